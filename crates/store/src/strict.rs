//! The strict commit: the one function through which every Lance commit of ours goes.
//!
//! # Protocol
//!
//! A commit is made on top of one HEAD that the caller observed and reasoned about. It is
//! tried once, and it either becomes exactly HEAD+1 or fails as [`CommitError::Conflict`]:
//! Lance on its own would rebase most operations over whatever others committed meanwhile,
//! and then the version we publish would hold work we never looked at.
//!
//! Lance has no option for that. A wrapper around the commit handler refuses to
//! write a manifest of any other version than the expected one.
//!
//! # Crash consistency
//!
//! The transaction carries a uuid derived from operation, table and step, and the operation
//! id in its properties, so that after a crash [`crate::owner`] can prove which versions are
//! ours. When the store's answer is ambiguous, the version that is there is read back and
//! decided by uuid.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use lance::Dataset;
use lance::dataset::CommitBuilder;
use lance::dataset::transaction::{Operation, TransactionBuilder};
use lance_io::object_store::ObjectStore;
use lance_select::RowAddrTreeMap;
use lance_table::format::{IndexMetadata, Manifest, Transaction as StoredTransaction};
use lance_table::io::commit::{
    CommitError as HandlerError, CommitHandler, ManifestLocation, ManifestNamingScheme,
    ManifestWriter, commit_handler_from_url,
};
use lancekeeper_model::{ErrorKind, OperationId, TableRef, Version};
use object_store::path::Path;
use thiserror::Error;
use uuid::Uuid;

use crate::failure::full_text;
use crate::tables::version_of;

/// Transaction property that carries the operation id: the proof of ownership.
pub const OPERATION_PROPERTY: &str = "lancekeeper.operation";
/// Transaction property that carries the step.
pub const STEP_PROPERTY: &str = "lancekeeper.step";

/// Who commits what: everything the uuid is derived from.
#[derive(Debug, Clone)]
pub struct Signature {
    /// The run of the verb.
    pub operation: OperationId,
    /// The table and branch committed to.
    pub table: TableRef,
    /// The step within the operation, unique per table: `reserve-0`, `rewrite-0`, `publish-0`.
    pub step: String,
}

impl Signature {
    /// The transaction's uuid: the same signature always gives the same one.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        let text = format!(
            "lancekeeper/{}/{}/{}/{}",
            self.operation, self.table.key, self.table.branch, self.step
        );
        Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes())
    }

    fn properties(&self) -> HashMap<String, String> {
        HashMap::from([
            (OPERATION_PROPERTY.to_owned(), self.operation.to_string()),
            (STEP_PROPERTY.to_owned(), self.step.clone()),
        ])
    }
}

/// What to commit.
#[derive(Debug)]
pub struct Change {
    /// The operation.
    pub operation: Operation,
    /// Rows it touches, where Lance wants to know (merge-inserts).
    pub affected_rows: Option<RowAddrTreeMap>,
}

impl From<Operation> for Change {
    fn from(operation: Operation) -> Self {
        Self { operation, affected_rows: None }
    }
}

/// A strict commit was not made.
#[derive(Debug, Error)]
pub enum CommitError {
    /// Somebody else committed after the observed HEAD. Nothing of ours is visible.
    #[error(
        "{table}: version {expected} was to be ours, but somebody else committed first ({step})"
    )]
    Conflict {
        /// The table.
        table: TableRef,
        /// The step that was refused.
        step: String,
        /// The version the commit would have had.
        expected: Version,
        /// What Lance said, where it was Lance that noticed.
        #[source]
        source: Option<lance::Error>,
    },
    /// The store or Lance failed. Nothing of ours is visible.
    #[error("{table}: failed to commit version {expected} ({step}): {}", full_text(source))]
    Failed {
        /// The table.
        table: TableRef,
        /// The step.
        step: String,
        /// The version the commit would have had.
        expected: Version,
        /// What Lance said.
        #[source]
        source: lance::Error,
    },
    /// Whether the commit was made could not be learned: recovery will find out.
    #[error(
        "{table}: whether version {expected} was committed is not known ({step}): {}",
        full_text(source)
    )]
    Unknown {
        /// The table.
        table: TableRef,
        /// The step.
        step: String,
        /// The version the commit would have had.
        expected: Version,
        /// What Lance said.
        #[source]
        source: lance::Error,
    },
}

impl CommitError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Failed { source, .. } => crate::failure::kind_of(source),
            Self::Unknown { .. } => ErrorKind::Unknown,
        }
    }
}

/// Commits on top of `head`, a handle that stands at the HEAD the caller observed, and
/// returns a handle at the new version, which is exactly one higher.
///
/// # Errors
///
/// [`CommitError::Conflict`] when anybody committed after `head`; nothing of ours is visible
/// then. [`CommitError::Unknown`] only when the store neither confirmed nor denied.
///
/// # Cancel safety
///
/// Dropped, the commit has happened or not; a sidecar must therefore be armed before.
pub async fn commit(
    head: &Dataset,
    change: impl Into<Change>,
    signature: &Signature,
) -> Result<Dataset, CommitError> {
    let change = change.into();
    let expected = version_of(head).next();
    let uuid = signature.uuid().to_string();
    let failed = |source| CommitError::Failed {
        table: signature.table.clone(),
        step: signature.step.clone(),
        expected,
        source,
    };
    let inner = commit_handler_from_url(head.uri(), &None).await.map_err(failed)?;
    let guard = Arc::new(ExpectHead::on(inner, expected));
    let transaction = TransactionBuilder::new(version_of(head).0, change.operation)
        .uuid(uuid.clone())
        .transaction_properties(Some(Arc::new(signature.properties())))
        .build();
    let mut builder = CommitBuilder::new(Arc::new(head.clone()))
        .with_commit_handler(Arc::clone(&guard) as Arc<dyn CommitHandler>)
        .with_max_retries(1)
        .with_skip_auto_cleanup(true);
    if let Some(rows) = change.affected_rows {
        builder = builder.with_affected_rows(rows);
    }
    match Box::pin(builder.execute(transaction)).await {
        Ok(dataset) if version_of(&dataset) == expected => {
            tracing::debug!(table = %signature.table.key, branch = %signature.table.branch,
                operation_id = %signature.operation, step = %signature.step, version = expected.0,
                "committed");
            Ok(dataset)
        }
        Ok(dataset) => Err(CommitError::Unknown {
            table: signature.table.clone(),
            step: signature.step.clone(),
            expected,
            source: lance::Error::internal(format!(
                "the commit became version {} past the guard",
                dataset.manifest().version
            )),
        }),
        Err(source) => judge(head, &guard, &uuid, signature, expected, source).await,
    }
}

/// Decides what a failed commit came to.
async fn judge(
    head: &Dataset,
    guard: &ExpectHead,
    uuid: &str,
    signature: &Signature,
    expected: Version,
    source: lance::Error,
) -> Result<Dataset, CommitError> {
    let table = signature.table.clone();
    let step = signature.step.clone();
    if guard.has_refused() {
        // We never wrote a manifest.
        return Err(CommitError::Conflict { table, step, expected, source: Some(source) });
    }
    // The answer may have been lost on the way: what is there decides, by uuid.
    match head.read_version_transaction(expected.0).await {
        Ok(found) if found.transaction.as_ref().is_some_and(|t| t.uuid == uuid) => head
            .checkout_version(expected.0)
            .await
            .map_err(|error| CommitError::Unknown { table, step, expected, source: error }),
        Ok(_) => Err(CommitError::Conflict { table, step, expected, source: Some(source) }),
        Err(error) if crate::kind_of(&error) == ErrorKind::NotFound => {
            if crate::kind_of(&source) == ErrorKind::Conflict {
                Err(CommitError::Conflict { table, step, expected, source: Some(source) })
            } else {
                Err(CommitError::Failed { table, step, expected, source })
            }
        }
        Err(_) => Err(CommitError::Unknown { table, step, expected, source }),
    }
}

/// A commit handler that writes the expected version or none.
#[derive(Debug)]
pub(crate) struct ExpectHead {
    inner: Arc<dyn CommitHandler>,
    expected: u64,
    /// The version that was refused; 0 when none was.
    refused_at: AtomicU64,
}

impl ExpectHead {
    pub(crate) fn on(inner: Arc<dyn CommitHandler>, expected: Version) -> Self {
        Self { inner, expected: expected.0, refused_at: AtomicU64::new(0) }
    }

    /// Whether it refused to write a version.
    pub(crate) fn has_refused(&self) -> bool {
        self.refused_at.load(Ordering::SeqCst) != 0
    }

    /// Refuses to write on top of a version, for a reason.
    fn refuse(&self, newest: u64, why: String) -> HandlerError {
        self.refused_at.store(newest.max(1), Ordering::SeqCst);
        HandlerError::OtherError(lance::Error::commit_conflict_source(newest, why.into()))
    }
}

#[async_trait]
impl CommitHandler for ExpectHead {
    fn is_version_not_found_definitive(&self) -> bool {
        self.inner.is_version_not_found_definitive()
    }

    fn propagate_commit_error_after_success(&self) -> bool {
        self.inner.propagate_commit_error_after_success()
    }

    async fn resolve_latest_location(
        &self,
        base_path: &Path,
        object_store: &ObjectStore,
    ) -> lance::Result<ManifestLocation> {
        self.inner.resolve_latest_location(base_path, object_store).await
    }

    async fn resolve_version_location(
        &self,
        base_path: &Path,
        version: u64,
        object_store: &dyn object_store::ObjectStore,
    ) -> lance::Result<ManifestLocation> {
        self.inner.resolve_version_location(base_path, version, object_store).await
    }

    async fn version_exists(
        &self,
        base_path: &Path,
        version: u64,
        object_store: &dyn object_store::ObjectStore,
        naming_scheme: ManifestNamingScheme,
    ) -> lance::Result<bool> {
        self.inner.version_exists(base_path, version, object_store, naming_scheme).await
    }

    fn list_manifest_locations<'a>(
        &self,
        base_path: &Path,
        object_store: &'a ObjectStore,
        sorted_descending: bool,
    ) -> BoxStream<'a, lance::Result<ManifestLocation>> {
        self.inner.list_manifest_locations(base_path, object_store, sorted_descending)
    }

    fn list_manifest_locations_since<'a>(
        &self,
        base_path: &Path,
        object_store: &'a ObjectStore,
        since_version: u64,
    ) -> BoxStream<'a, lance::Result<ManifestLocation>> {
        self.inner.list_manifest_locations_since(base_path, object_store, since_version)
    }

    async fn commit(
        &self,
        manifest: &mut Manifest,
        indices: Option<Vec<IndexMetadata>>,
        base_path: &Path,
        object_store: &ObjectStore,
        manifest_writer: ManifestWriter,
        naming_scheme: ManifestNamingScheme,
        transaction: Option<StoredTransaction>,
    ) -> Result<ManifestLocation, HandlerError> {
        let expected = || format!("a strict commit expected version {}", self.expected);
        if manifest.version != self.expected {
            return Err(self.refuse(manifest.version, expected()));
        }
        // Below a version that was collected Lance may take an old version for HEAD, and would
        // write into the gap.
        let newest = self
            .inner
            .resolve_latest_location(base_path, object_store)
            .await
            .map_err(HandlerError::OtherError)?;
        if newest.version + 1 != self.expected {
            return Err(self.refuse(newest.version, expected()));
        }
        // A handle that was opened before the manifests got other names goes on under the old ones, and nobody could
        // open the table any more.
        if newest.naming_scheme != naming_scheme {
            let why = "its manifests have other names than when it was opened".to_owned();
            return Err(self.refuse(newest.version, why));
        }
        self.inner
            .commit(
                manifest,
                indices,
                base_path,
                object_store,
                manifest_writer,
                naming_scheme,
                transaction,
            )
            .await
    }
}
