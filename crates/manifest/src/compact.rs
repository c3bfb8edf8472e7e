//! Compaction of the graph's own tables: `__manifest`, and on v3 the commit datasets.
//!
//! # Protocol
//!
//! One Rewrite of all fragments, the newest included, without a reservation: these tables
//! have no index. Because the newest fragment is replaced, a publisher that loaded before
//! and updates a row of it, as v4's head row is, conflicts and tries again, instead of
//! landing on another version than its commit row names. One that only inserts, as on v3,
//! lands on top; there the commit row is written after, with the version it reached. Nothing
//! else of ours commits to `__manifest` besides publishes.
//!
//! # Crash consistency
//!
//! The Rewrite is visible or not. Staged files of a run that died before it stay until they
//! are old enough to be collected; they are a few kilobytes.

use futures::future::BoxFuture;
use lance::Dataset;
use lance::index::DatasetIndexExt;
use lancekeeper_model::{
    Branch, ErrorKind, OperationId, RewriteCheck, TableKey, TableRef, Version,
};
use lancekeeper_planner::optimize::{BATCH_ROWS_MAX, Group, GroupReason, Recipe};
use lancekeeper_rewrite::StageError;
use lancekeeper_rewrite::content::{self, Reading};
use lancekeeper_rewrite::journal::{StagedFile, discard};
use lancekeeper_rewrite::stage::{RowOrder, stage_group};
use lancekeeper_rewrite::table_commit::{StepError, TableCommit};
use lancekeeper_store::root::MANIFEST_DIR;
use lancekeeper_store::tables::version_of;
use lancekeeper_store::{LanceFailure, OpenError};
use thiserror::Error;

use crate::graph::Graph;
use crate::lineage::{ACTORS, COMMITS};

/// Every publish in between costs one attempt.
const ATTEMPTS: u32 = 4;

/// A table of the graph itself could not be compacted.
#[derive(Debug, Error)]
pub enum CompactError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It could not be read.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    /// It could not be rewritten.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The Rewrite was not committed.
    #[error(transparent)]
    Commit(#[from] StepError),
}

impl CompactError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Lance(error) => error.kind(),
            Self::Stage(error) => error.kind(),
            Self::Commit(error) => error.kind(),
        }
    }
}

/// The size of an internal table at one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InternalSize {
    /// The version.
    pub version: Version,
    /// Live rows.
    pub rows: u64,
    /// Fragments.
    pub fragments: u64,
    /// Data files.
    pub files: u64,
    /// Bytes of data files.
    pub bytes: u64,
}

/// What became of an internal table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Before.
    pub before: InternalSize,
    /// After; equal to `before` when there was nothing to do.
    pub after: InternalSize,
}

impl Compacted {
    /// Whether a Rewrite was committed.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.before.version != self.after.version
    }
}

/// What is done right before an internal table is rewritten, whose size is given.
pub type Begins<'a> = dyn Fn(InternalSize) -> BoxFuture<'a, ()> + Send + Sync + 'a;

impl Graph {
    /// The graph's own tables, by their directory names.
    #[must_use]
    pub fn internal_tables(&self) -> Vec<TableKey> {
        let names: &[&str] = if self.keeps_commits_apart() {
            &[MANIFEST_DIR, COMMITS, ACTORS]
        } else {
            &[MANIFEST_DIR]
        };
        names.iter().map(|name| TableKey::new(*name)).collect()
    }

    /// The size of an internal table now.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub async fn internal_size(&self, table: &TableKey) -> Result<InternalSize, CompactError> {
        let head = self.open_internal(table).await?;
        Ok(size_of(&head).await?)
    }

    /// How many versions of an internal table exist.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or listed.
    pub async fn internal_versions(&self, table: &TableKey) -> Result<u64, CompactError> {
        let head = self.open_internal(table).await?;
        let failed = |source| LanceFailure::new(format!("failed to list {table}"), source);
        Ok(head.count_versions().await.map_err(failed)?)
    }

    /// Compacts an internal table into one fragment, whose rows are compared with the old ones as
    /// far as `check` says. Does nothing to one that has at most one
    /// fragment, or indexes. `begins` is waited for right before anything is written.
    ///
    /// # Errors
    ///
    /// When it cannot be rewritten, or publishers won every attempt.
    ///
    /// # Cancel safety
    ///
    /// The Rewrite is visible or not; staged files may stay.
    pub async fn compact_internal(
        &self,
        table: &TableKey,
        operation: &OperationId,
        check: RewriteCheck,
        begins: &Begins<'_>,
    ) -> Result<Compacted, CompactError> {
        let table_ref = TableRef::on_main(table.clone());
        let mut attempt = 0;
        loop {
            let head = self.open_internal(table).await?;
            let before = size_of(&head).await?;
            let indexes = head.load_indices().await.map_err(|source| {
                LanceFailure::new(format!("failed to list the indexes of {table}"), source)
            })?;
            if before.fragments < 2 || !indexes.is_empty() {
                return Ok(Compacted { before, after: before });
            }
            if attempt == 0 {
                begins(before).await;
            }
            let rewritten =
                rewrite_all(&head, before.rows, operation, &table_ref, (attempt, check)).await;
            match rewritten {
                Ok(compacted) => {
                    return Ok(Compacted { before, after: size_of(&compacted).await? });
                }
                Err(CompactError::Commit(error))
                    if error.kind() == ErrorKind::Conflict && attempt + 1 < ATTEMPTS =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn open_internal(&self, table: &TableKey) -> Result<Dataset, OpenError> {
        self.tables.open(&self.root.address_of(table.as_str()), &Branch::main()).await
    }
}

async fn rewrite_all(
    head: &Dataset,
    rows: u64,
    operation: &OperationId,
    table: &TableRef,
    (attempt, check): (u32, RewriteCheck),
) -> Result<Dataset, CompactError> {
    let group = Group {
        fragments: head.fragments().iter().map(|fragment| fragment.id).collect(),
        outputs: Vec::from_iter((rows > 0).then_some(rows)),
        bytes: 0,
        // Rows of many small publishes: their pages are not worth keeping.
        recipe: Recipe::Reencode { batch_rows: BATCH_ROWS_MAX },
        why: GroupReason::Merge,
    };
    let order = RowOrder::AsListed { capture_addresses: false };
    let staged = match Box::pin(stage_group(head, table, &group, order, None)).await {
        Ok(staged) => staged,
        Err(error) => {
            if let StageError::Rows { files, .. } = &error {
                give_up(head, files).await;
            }
            return Err(error.into());
        }
    };
    let files = staged.files.clone();
    if check == RewriteCheck::Content {
        let compared = async {
            let reading = Reading::of(head, table, &group).await?;
            content::check(head, table, &reading, &staged).await
        };
        if let Err(error) = Box::pin(compared).await {
            give_up(head, &files).await;
            return Err(error.into());
        }
    }
    let commit = TableCommit { operation, table, round: attempt, watch: None };
    match commit.rewrite(head, vec![staged], Vec::new()).await {
        Ok(compacted) => Ok(compacted),
        Err(error) => {
            // Whether an unknown commit was made is not ours to guess: its files stay.
            if error.kind() != ErrorKind::Unknown {
                give_up(head, &files).await;
            }
            Err(error.into())
        }
    }
}

/// Deletes staged files that were not committed. What cannot be deleted is litter of a few
/// kilobytes, and is said.
async fn give_up(head: &Dataset, files: &[StagedFile]) {
    if let Err(error) = discard(head, files).await {
        tracing::warn!(target: "lancekeeper::optimize", %error, "staged files stay");
    }
}

async fn size_of(table: &Dataset) -> Result<InternalSize, LanceFailure> {
    let failed = |source| LanceFailure::new(format!("failed to read {}", table.uri()), source);
    let fragments = table.fragments();
    let files: Vec<_> = fragments.iter().flat_map(|fragment| &fragment.files).collect();
    Ok(InternalSize {
        version: version_of(table),
        rows: table.count_rows(None).await.map_err(failed)? as u64,
        fragments: fragments.len() as u64,
        files: files.len() as u64,
        bytes: files
            .iter()
            .filter_map(|file| file.file_size_bytes.get())
            .map(std::num::NonZero::get)
            .sum(),
    })
}
