//! Commit history: in `__manifest` itself on v4, in `_graph_commits.lance` beside it on v3.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMicrosecondType, UInt64Type};
use arrow_array::{
    ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array, new_null_array,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use lance::Dataset;
use lance::dataset::transaction::{Operation, Transaction};
use lancekeeper_model::{Branch, ErrorKind, OperationId, TableKey, TableRef, Version};
use lancekeeper_store::failpoint::Injected;
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::strict::{CommitError, STEP_PROPERTY, Signature};
use lancekeeper_store::tables::version_of;
use lancekeeper_store::{LanceFailure, OpenError};
use thiserror::Error;

use crate::fold::Folded;
use crate::graph::{Graph, GraphError};
use crate::row::{CommitMetadata, GRAPH_COMMIT, GRAPH_HEAD, HeadMetadata, Row};

mod records;

use records::{APPEND_ATTEMPTS, append_strictly};

/// Where v3 keeps the commit history, with a branch per graph branch.
pub const COMMITS: &str = "_graph_commits.lance";
/// Where v3 keeps who made which commit; on main only.
pub const ACTORS: &str = "_graph_commit_actors.lance";
/// How the steps begin by which a migration writes a history into `__manifest`, or takes commits away that it wrote
/// before.
pub(crate) const HISTORY_STEP: &str = "history-";

/// A v3 graph's commit row could not be appended.
#[derive(Debug, Error)]
pub enum LineageError {
    /// The commit dataset could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It could not be read or written.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    /// The append was not committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// `__manifest` could not be read.
    #[error(transparent)]
    Graph(#[from] Box<GraphError>),
    /// A failpoint.
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl LineageError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Lance(error) => error.kind(),
            Self::Commit(error) => error.kind(),
            Self::Graph(error) => error.kind(),
            Self::Injected(_) => ErrorKind::Internal,
        }
    }
}

/// The commit being published.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    /// Minted once per publish, the same in every attempt.
    pub(crate) id: String,
    pub(crate) actor: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    /// Of a merge: the commit that is merged.
    pub(crate) merged: Option<String>,
}

impl Commit {
    /// One that is made now.
    pub(crate) fn minted(actor: Option<&str>, now: DateTime<Utc>, merged: Option<&str>) -> Self {
        Self {
            id: ulid::Ulid::generate().to_string(),
            actor: actor.map(ToOwned::to_owned),
            created_at: now,
            merged: merged.map(ToOwned::to_owned),
        }
    }
}

/// The two rows a v4 publish adds in the same merge. `lands_at` is the version the publish
/// becomes.
pub(crate) fn v4_rows(
    commit: &Commit,
    branch: &Branch,
    folded: &Folded,
    lands_at: Version,
) -> Result<[Row; 2], serde_json::Error> {
    // Not from `graph_head`: a fresh branch has none of its own until its first publish.
    let parent = folded.head_commit.clone();
    let metadata = CommitMetadata {
        parent_commit_id: parent.clone(),
        merged_parent_commit_id: commit.merged.clone(),
        actor_id: commit.actor.clone(),
        created_at: commit.created_at.timestamp_micros(),
    };
    let head = HeadMetadata { head_commit_id: commit.id.clone(), parent_commit_id: parent };
    let row = |object_id: String, object_type: &str, metadata: String| Row {
        object_id,
        object_type: object_type.to_owned(),
        location: None,
        metadata: Some(metadata),
        table_key: String::new(),
        table_version: None,
        table_branch: None,
        row_count: None,
    };
    Ok([
        Row {
            table_version: Some(lands_at.0),
            table_branch: branch.name().map(ToOwned::to_owned),
            ..row(commit.id.clone(), GRAPH_COMMIT, serde_json::to_string(&metadata)?)
        },
        row(format!("graph_head:{}", branch.label()), GRAPH_HEAD, serde_json::to_string(&head)?),
    ])
}

/// The newest commit of a v3 branch.
pub(crate) struct V3Head {
    id: String,
    pub(crate) manifest_version: u64,
}

impl Graph {
    /// Appends the commit row of a v3 publish that landed at `manifest_version`.
    ///
    /// # Cancel safety
    ///
    /// The row is there or not; when not, [`Graph::mend_commit_row`] adds it.
    pub(crate) async fn append_v3_commit(
        &self,
        branch: &Branch,
        commit_row: &Commit,
        manifest_version: Version,
        operation: &OperationId,
    ) -> Result<(), LineageError> {
        let uri = self.root.address_of(COMMITS);
        let mut attempt = 0;
        loop {
            let commits = self.tables.open(&uri, branch).await?;
            // A later publish may have appended its row first: it is no parent of ours.
            let parent = v3_head(&commits, manifest_version).await?.map(|head| head.id);
            let batch = v3_row(&commits, branch, commit_row, manifest_version, parent)?;
            let signature = Signature {
                operation: operation.clone(),
                table: TableRef { key: TableKey::new(COMMITS), branch: branch.clone() },
                step: format!("commit-row-{manifest_version}-{attempt}"),
            };
            match append_strictly(&commits, batch, &signature).await {
                Err(LineageError::Commit(CommitError::Conflict { .. }))
                    if attempt + 1 < APPEND_ATTEMPTS =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        let Some(actor) = &commit_row.actor else { return Ok(()) };
        let row = actor_row(commit_row, actor)?;
        self.append_record(ACTORS, &row, operation, &format!("actor-{manifest_version}")).await
    }

    /// Adds the commit row of our own last publish on a v3 branch, when a crash came between
    /// the two. Does nothing on v4, and nothing when the last publish is not ours.
    ///
    /// # Errors
    ///
    /// When the commit dataset cannot be read or appended to.
    ///
    /// # Cancel safety
    ///
    /// The row is there or not.
    pub async fn mend_commit_row(
        &self,
        branch: &Branch,
        now: DateTime<Utc>,
    ) -> Result<bool, LineageError> {
        if !self.keeps_commits_apart() {
            return Ok(false);
        }
        let manifest = self.open_manifest(branch).await.map_err(Box::new)?;
        let head = newest_publish(&manifest).await;
        let owner = owners_between(&manifest, Version(head.0.saturating_sub(1)), head).await;
        let Some(Owner::Ours(operation)) = owner.first() else { return Ok(false) };
        if self.needs_no_history(branch).await.map_err(Box::new)? {
            return Ok(false);
        }
        let commits = self.tables.open(&self.root.address_of(COMMITS), branch).await?;
        if v3_head(&commits, head.next()).await?.is_some_and(|last| last.manifest_version >= head.0)
        {
            return Ok(false);
        }
        let commit_row = Commit {
            id: ulid::Ulid::generate().to_string(),
            actor: None,
            created_at: now,
            merged: None,
        };
        self.append_v3_commit(branch, &commit_row, head, operation).await?;
        Ok(true)
    }
}

/// The newest version of `__manifest` that moved a pin: compacting it, stamping it and writing a history into it move
/// none, and are no commits of the graph.
pub(crate) async fn newest_publish(manifest: &Dataset) -> Version {
    let mut newest = version_of(manifest).0;
    while newest > 1 {
        let found = manifest.read_version_transaction(newest).await;
        let made = found.ok().and_then(|found| found.transaction);
        if !made.is_some_and(|made| moves_no_pin(&made)) {
            break;
        }
        newest -= 1;
    }
    Version(newest)
}

/// Whether a transaction leaves the pins of `__manifest` as they are, by itself: also where the version before it was
/// collected and nothing can be compared.
pub(crate) fn moves_no_pin(made: &Transaction) -> bool {
    let properties = made.transaction_properties.as_ref();
    let step = properties.and_then(|properties| properties.get(STEP_PROPERTY));
    matches!(made.operation, Operation::Rewrite { .. } | Operation::UpdateConfig { .. })
        || step.is_some_and(|step| step.starts_with(HISTORY_STEP))
}

/// The newest commit of a version of `__manifest` before `before`.
pub(crate) async fn v3_head(
    commits: &Dataset,
    before: Version,
) -> Result<Option<V3Head>, LineageError> {
    let failed = |source| LanceFailure::new(format!("failed to read {}", commits.uri()), source);
    let mut scan = commits.scan();
    scan.project(&["graph_commit_id", "manifest_version", "created_at"]).map_err(failed)?;
    let batches: Vec<RecordBatch> = Box::pin(scan.try_into_stream())
        .await
        .map_err(failed)?
        .try_collect()
        .await
        .map_err(failed)?;
    let mut best: Option<((u64, i64, String), V3Head)> = None;
    for batch in &batches {
        let ids = batch.column(0).as_string::<i32>();
        let versions = batch.column(1).as_primitive::<UInt64Type>();
        let times = batch.column(2).as_primitive::<TimestampMicrosecondType>();
        for at in (0..batch.num_rows()).filter(|at| versions.value(*at) < before.0) {
            let rank = (versions.value(at), times.value(at), ids.value(at).to_owned());
            if best.as_ref().is_none_or(|(top, _)| rank > *top) {
                let head =
                    V3Head { id: ids.value(at).to_owned(), manifest_version: versions.value(at) };
                best = Some((rank, head));
            }
        }
    }
    Ok(best.map(|(_, head)| head))
}

fn v3_row(
    commits: &Dataset,
    branch: &Branch,
    commit_row: &Commit,
    manifest_version: Version,
    parent: Option<String>,
) -> Result<RecordBatch, LanceFailure> {
    let schema = Arc::new(Schema::from(commits.schema()));
    let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let columns = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "graph_commit_id" => text(Some(&commit_row.id)),
            "manifest_branch" => text(branch.name()),
            "manifest_version" => Arc::new(UInt64Array::from(vec![manifest_version.0])) as ArrayRef,
            "parent_commit_id" => text(parent.as_deref()),
            "merged_parent_commit_id" => text(commit_row.merged.as_deref()),
            "created_at" => Arc::new(TimestampMicrosecondArray::from(vec![
                commit_row.created_at.timestamp_micros(),
            ])),
            _ => new_null_array(field.data_type(), 1),
        })
        .collect();
    RecordBatch::try_new(schema, columns)
        .map_err(|error| LanceFailure::new("failed to build the commit row", error.into()))
}

fn actor_row(commit_row: &Commit, actor: &str) -> Result<RecordBatch, LanceFailure> {
    let at = DataType::Timestamp(TimeUnit::Microsecond, None);
    let schema = Arc::new(Schema::new(vec![
        Field::new("graph_commit_id", DataType::Utf8, false),
        Field::new("actor_id", DataType::Utf8, false),
        Field::new("created_at", at, false),
    ]));
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let micros = commit_row.created_at.timestamp_micros();
    let at = Arc::new(TimestampMicrosecondArray::from(vec![micros]));
    RecordBatch::try_new(schema, vec![text(&commit_row.id), text(actor), at])
        .map_err(|error| LanceFailure::new("failed to build the row of an actor", error.into()))
}

/// The first row of a history, and an empty batch of the actors beside it.
pub(crate) fn genesis_row(
    manifest_version: Version,
    now: DateTime<Utc>,
) -> Result<(RecordBatch, RecordBatch), LanceFailure> {
    let at = DataType::Timestamp(TimeUnit::Microsecond, None);
    let schema = Arc::new(Schema::new(vec![
        Field::new("graph_commit_id", DataType::Utf8, false),
        Field::new("manifest_branch", DataType::Utf8, true),
        Field::new("manifest_version", DataType::UInt64, false),
        Field::new("parent_commit_id", DataType::Utf8, true),
        Field::new("merged_parent_commit_id", DataType::Utf8, true),
        Field::new("created_at", at, false),
    ]));
    let id = ulid::Ulid::generate().to_string();
    let commit = Commit { id, actor: None, created_at: now, merged: None };
    let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let micros = commit.created_at.timestamp_micros();
    let columns = vec![
        text(Some(&commit.id)),
        text(None),
        Arc::new(UInt64Array::from(vec![manifest_version.0])),
        text(None),
        text(None),
        Arc::new(TimestampMicrosecondArray::from(vec![micros])),
    ];
    let row = RecordBatch::try_new(schema, columns)
        .map_err(|error| LanceFailure::new("failed to build the first commit", error.into()))?;
    Ok((row, actor_row(&commit, "")?))
}
