//! The commits that make a table's staged work visible: auto-cleanup configuration removed,
//! new index segments, fragment ids reserved, one Rewrite. All strict.
//!
//! # Crash consistency
//!
//! The reservation moves HEAD without changing content. A run that ends there, by crash or
//! refusal, has moved the table all the same, so the caller publishes what was reached
//! ([`CommitFailure::reached`]) or the sweep does.

use std::collections::HashMap;

use futures::future::BoxFuture;
use lance::Dataset;
use lance::dataset::transaction::{
    Operation, RewriteGroup, RewrittenIndex, UpdateMap, UpdateMapEntry,
};
use lance_table::format::Fragment;
use lancekeeper_model::{ErrorKind, OperationId, TableRef};
use lancekeeper_store::failpoint::{self, Injected};
use lancekeeper_store::strict::{CommitError, Signature, commit};
use lancekeeper_store::{FilesError, LanceFailure};
use thiserror::Error;

use crate::carry::{miscounted, write_deletions};
use crate::check::missing_file;
use crate::index::StagedIndexes;
use crate::journal::{StagedFile, discard};
use crate::stage::StagedGroup;

/// Configuration keys by which old Lance versions delete versions after any commit.
const AUTO_CLEANUP_PREFIX: &str = "lance.auto_cleanup.";

/// Why a step was not made.
#[derive(Debug, Error)]
pub enum StepError {
    /// The commit was refused or failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A failpoint.
    #[error(transparent)]
    Injected(#[from] Injected),
    /// A staged file is gone: somebody deleted what no version referred to yet. Committed
    /// all the same, the table could not be read any more.
    #[error("{table}: the staged file {file} is gone")]
    Lost {
        /// The table.
        table: TableRef,
        /// The file, relative to the table's branch directory.
        file: String,
    },
    /// The new fragments have other numbers of live rows than what they replace.
    #[error("{table}: a rewrite of {old} live rows into {new} was not committed")]
    Rows {
        /// The table.
        table: TableRef,
        /// Live rows of the fragments that were to go.
        old: usize,
        /// Live rows of those that were to come.
        new: usize,
    },
    /// What has to be written down before the Rewrite could not be.
    #[error(transparent)]
    Note(#[from] FilesError),
    /// Whether the staged files are there could not be learned.
    #[error(transparent)]
    Look(#[from] LanceFailure),
    /// The reservation has no usable range of ids.
    #[error("{table}: the reservation of {wanted} fragment ids has no usable range")]
    Reservation {
        /// The table.
        table: TableRef,
        /// Ids asked for.
        wanted: usize,
    },
}

impl StepError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Commit(error) => error.kind(),
            // As if a writer had spoiled it: it is staged again.
            Self::Lost { .. } => ErrorKind::Conflict,
            Self::Note(error) => error.kind(),
            Self::Look(error) => error.kind(),
            Self::Injected(_) | Self::Reservation { .. } | Self::Rows { .. } => ErrorKind::Internal,
        }
    }
}

/// The commits ended before the Rewrite.
#[derive(Debug, Error)]
#[error("{source}")]
pub struct CommitFailure {
    /// The handle at the last version of ours, when at least one commit was made: it must be
    /// published, or HEAD drifts from the pin.
    pub reached: Option<Dataset>,
    /// What stopped it.
    #[source]
    pub source: StepError,
}

/// All commits were made.
#[derive(Debug)]
pub struct Committed {
    /// The handle at the new HEAD.
    pub head: Dataset,
}

/// How many commits are made of a table with this work, if none is refused. None of them changes what rows there are.
#[must_use]
pub fn commits_of(head: &Dataset, has_indexes: bool, has_groups: bool) -> u64 {
    let strips = strip_auto_cleanup(head).is_some();
    // A group takes a reservation and the Rewrite.
    u64::from(strips) + u64::from(has_indexes) + 2 * u64::from(has_groups)
}

/// Told of what happens between the commits of a table.
pub trait Watch: Send + Sync {
    /// HEAD has moved by the first commit. What goes wrong here is the watcher's own affair.
    fn moved(&self) -> BoxFuture<'_, ()>;

    /// The new fragments of these groups have their ids, and the Rewrite that brings them comes next.
    ///
    /// # Errors
    ///
    /// When it must not come.
    fn reserved<'a>(&'a self, groups: &'a [StagedGroup]) -> BoxFuture<'a, Result<(), FilesError>>;
}

/// The commits of one table in one run.
pub struct TableCommit<'a> {
    /// The run.
    pub operation: &'a OperationId,
    /// The table.
    pub table: &'a TableRef,
    /// Distinguishes repeated steps of one run.
    pub round: u32,
    /// Who wants to know what happens in between.
    pub watch: Option<&'a dyn Watch>,
}

impl TableCommit<'_> {
    async fn has_moved(&self, reached: &mut Option<Dataset>, head: &Dataset) {
        if reached.replace(head.clone()).is_none()
            && let Some(watch) = self.watch
        {
            watch.moved().await;
        }
    }

    fn signature(&self, step: &str) -> Signature {
        Signature {
            operation: self.operation.clone(),
            table: self.table.clone(),
            step: format!("{step}-{}", self.round),
        }
    }

    /// Strips, indexes, reserves and rewrites on top of `head`, as far as there is work.
    ///
    /// # Errors
    ///
    /// [`CommitFailure`], with what was reached before.
    ///
    /// # Cancel safety
    ///
    /// Some of the commits are made; an armed sidecar covers them.
    pub async fn run(
        &self,
        head: Dataset,
        indexes: Option<&StagedIndexes>,
        groups: Vec<StagedGroup>,
    ) -> Result<Committed, CommitFailure> {
        let mut reached = None;
        let outcome = self.steps(head, indexes, groups, &mut reached).await;
        outcome.map_err(|source| CommitFailure { reached, source })
    }

    async fn steps(
        &self,
        mut head: Dataset,
        indexes: Option<&StagedIndexes>,
        mut groups: Vec<StagedGroup>,
        reached: &mut Option<Dataset>,
    ) -> Result<Committed, StepError> {
        if let Some(strip) = strip_auto_cleanup(&head) {
            head = commit(&head, strip, &self.signature("strip-auto-cleanup")).await?;
            self.has_moved(reached, &head).await;
            failpoint::cross_async(failpoint::OPTIMIZE_STRIPPED_PRE_RESERVE).await?;
        }
        if let Some(indexes) = indexes {
            head = self.create_indexes(&head, indexes).await?;
            self.has_moved(reached, &head).await;
            as_they_are_now(&mut groups, &head);
            failpoint::cross_async(failpoint::OPTIMIZE_INDEXED_PRE_RESERVE).await?;
        }
        if !groups.is_empty() {
            head = self.reserve(&head, &mut groups).await?;
            self.has_moved(reached, &head).await;
            if let Some(watch) = self.watch {
                watch.reserved(&groups).await?;
            }
            failpoint::cross_async(failpoint::OPTIMIZE_RESERVED_PRE_REWRITE).await?;
            head = self.rewrite(&head, groups, Vec::new()).await?;
        }
        Ok(Committed { head })
    }

    /// Commits new index segments in place of the old ones.
    ///
    /// # Errors
    ///
    /// When the commit is refused or fails.
    ///
    /// # Cancel safety
    ///
    /// All segments are replaced or none.
    pub async fn create_indexes(
        &self,
        head: &Dataset,
        indexes: &StagedIndexes,
    ) -> Result<Dataset, StepError> {
        self.are_there(head, &indexes.files).await?;
        Ok(commit(head, indexes.operation(), &self.signature("create-index")).await?)
    }

    /// Sets a setting of the table, or takes it away.
    ///
    /// # Errors
    ///
    /// When the commit is refused or fails.
    ///
    /// # Cancel safety
    ///
    /// The commit is made or not; it changes no content.
    pub async fn configure(
        &self,
        head: &Dataset,
        key: &str,
        value: Option<String>,
    ) -> Result<Dataset, StepError> {
        let entries = vec![UpdateMapEntry { key: key.to_owned(), value }];
        Ok(commit(head, config_update(entries), &self.signature("configure")).await?)
    }

    /// Reserves ids for the groups' new fragments and assigns them. Ids that Lance would
    /// assign at commit are not enough: the bitmaps of row-id indexes are written from the
    /// ids in the transaction, and would name fragment 0.
    ///
    /// # Errors
    ///
    /// When the commit is refused or fails.
    ///
    /// # Cancel safety
    ///
    /// The reservation is made or not; it changes no content.
    pub async fn reserve(
        &self,
        head: &Dataset,
        groups: &mut [StagedGroup],
    ) -> Result<Dataset, StepError> {
        let wanted: usize = groups.iter().map(|group| group.new_fragments.len()).sum();
        let none = || StepError::Reservation { table: self.table.clone(), wanted };
        let num_fragments = u32::try_from(wanted).map_err(|_| none())?;
        let operation = Operation::ReserveFragments { num_fragments };
        let reserved = commit(head, operation, &self.signature("reserve")).await?;
        let end = u64::from(reserved.manifest().max_fragment_id.unwrap_or(0)) + 1;
        let first = end.checked_sub(wanted as u64).ok_or_else(none)?;
        let fragments = groups.iter_mut().flat_map(|group| &mut group.new_fragments);
        for (id, fragment) in (first..).zip(fragments) {
            fragment.id = id;
        }
        as_they_are_now(groups, &reserved);
        Ok(reserved)
    }

    /// The Rewrite itself. New fragments carry their final ids. Without a group that still
    /// has a source there is nothing to commit, and `head` comes back.
    ///
    /// # Errors
    ///
    /// When the commit is refused or fails.
    ///
    /// # Cancel safety
    ///
    /// The Rewrite is visible as a whole or not at all.
    pub async fn rewrite(
        &self,
        head: &Dataset,
        groups: Vec<StagedGroup>,
        rewritten_indices: Vec<RewrittenIndex>,
    ) -> Result<Dataset, StepError> {
        let groups: Vec<StagedGroup> =
            groups.into_iter().filter(|group| !group.source.is_empty()).collect();
        let mut files: Vec<StagedFile> =
            groups.iter().flat_map(|group| group.files.iter().cloned()).collect();
        files.extend(
            rewritten_indices.iter().map(|index| StagedFile {
                path: format!("_indices/{}", index.new_id),
                bytes: None,
            }),
        );
        self.are_there(head, &files).await?;
        if groups.is_empty() {
            return Ok(head.clone());
        }
        let mut deletions = Vec::new();
        let outcome = self.rewrite_with(head, groups, rewritten_indices, &mut deletions).await;
        let is_refused = outcome.as_ref().is_err_and(|error| error.kind() != ErrorKind::Unknown);
        if is_refused && let Err(error) = discard(head, &deletions).await {
            tracing::warn!(target: "lancekeeper::optimize", table = %self.table, %error,
                "deletion files that nothing refers to stay until they are collected");
        }
        outcome
    }

    async fn rewrite_with(
        &self,
        head: &Dataset,
        mut groups: Vec<StagedGroup>,
        rewritten_indices: Vec<RewrittenIndex>,
        deletions: &mut Vec<StagedFile>,
    ) -> Result<Dataset, StepError> {
        write_deletions(head, &mut groups, deletions).await?;
        if let Some((old, new)) = groups.iter().find_map(miscounted) {
            return Err(StepError::Rows { table: self.table.clone(), old, new });
        }
        let groups = groups.into_iter().map(|group| RewriteGroup {
            old_fragments: group.source,
            new_fragments: group.new_fragments,
        });
        let operation = Operation::Rewrite {
            groups: groups.collect(),
            rewritten_indices,
            frag_reuse_index: None,
        };
        Ok(commit(head, operation, &self.signature("rewrite")).await?)
    }
}

impl TableCommit<'_> {
    /// The last look before a commit that refers to staged files: Lance itself never looks.
    async fn are_there(&self, head: &Dataset, files: &[StagedFile]) -> Result<(), StepError> {
        match missing_file(head, files).await? {
            None => Ok(()),
            Some(file) => Err(StepError::Lost { table: self.table.clone(), file }),
        }
    }
}

/// Takes the groups' sources as they stand after a commit of ours on a HEAD that was checked.
///
/// Lance puts fragments in order with every commit: it fills in sizes and counts that old
/// writers left out, and drops fragments without live rows. What is gone needs no Rewrite.
pub fn as_they_are_now(groups: &mut [StagedGroup], head: &Dataset) {
    let now: HashMap<u64, &Fragment> =
        head.fragments().iter().map(|fragment| (fragment.id, fragment)).collect();
    for group in groups.iter_mut() {
        group.source =
            group.source.iter().filter_map(|old| now.get(&old.id).copied().cloned()).collect();
    }
}

/// The removal of auto-cleanup configuration, if the table has any: with it, any commit of
/// any client may delete versions that pins need.
fn strip_auto_cleanup(head: &Dataset) -> Option<Operation> {
    let mut keys: Vec<&String> =
        head.config().keys().filter(|key| key.starts_with(AUTO_CLEANUP_PREFIX)).collect();
    if keys.is_empty() {
        return None;
    }
    keys.sort();
    let entries = keys.into_iter().map(|key| UpdateMapEntry { key: key.clone(), value: None });
    Some(config_update(entries.collect()))
}

fn config_update(update_entries: Vec<UpdateMapEntry>) -> Operation {
    Operation::UpdateConfig {
        config_updates: Some(UpdateMap { update_entries, replace: false }),
        table_metadata_updates: None,
        schema_metadata_updates: None,
        field_metadata_updates: HashMap::default(),
    }
}
