//! One table of a database in one pass, from staged to committed.

mod layout;

use std::collections::BTreeSet;

use lance::Dataset;
use lance::dataset::transaction::RewrittenIndex;
use lancekeeper_model::{ErrorKind, Version};
use lancekeeper_planner::index::IndexWish;
use lancekeeper_queue::QueueError;
use lancekeeper_rewrite::check::{HeadCheck, RowsError, index_ids, same_rows};
use lancekeeper_rewrite::index::IndexFailure;
use lancekeeper_rewrite::journal::StagedFile;
use lancekeeper_rewrite::remap::remap_indexes;
use lancekeeper_rewrite::table_commit::{StepError, TableCommit};
use lancekeeper_rewrite::{JournalError, StagedGroup};
use lancekeeper_store::failpoint::{self, Injected};
use lancekeeper_store::tables::version_of;
use lancekeeper_store::{LanceFailure, OpenError};
use thiserror::Error;

use crate::layouts::LayoutsError;
use crate::optimize::Run;
use crate::optimize::arranged::{Arranged, Remember};
use crate::optimize::notes::{Journaled, JournaledIndexes, give_up, note, only_files};
use crate::optimize::stage::StagedTable;
use crate::optimize::work::{Carried, Committed};
use crate::root::Target;

/// How often a strict commit is tried on a fresh HEAD. Foreign appends do not disturb a
/// rewrite, so each of them costs one attempt and no work.
const COMMIT_ATTEMPTS: u32 = 20;

/// How often indexes are carried over because writers made a group stale after that. Each of them
/// reads and writes every index once.
const REMAPS_MAX: u32 = 3;

/// Why a table failed.
#[derive(Debug, Error)]
pub(super) enum PlainError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Layouts(#[from] LayoutsError),
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl PlainError {
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Lance(error) => error.kind(),
            Self::Step(error) => error.kind(),
            Self::Queue(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Layouts(error) => error.kind(),
            Self::Injected(_) => ErrorKind::Internal,
        }
    }
}

/// What became of the Rewrite.
enum Outcome {
    Committed(Box<Committed>),
    /// A group went stale after the indexes were carried over: they have to be once more.
    Void,
    /// Nothing is left to commit, or writers were faster at every try.
    Nothing,
}

/// One table in one round, from staged to committed.
pub(super) struct Attempt<'a> {
    run: &'a Run<'a>,
    target: &'a Target,
    handle: &'a Dataset,
    round: u32,
    groups: Vec<Journaled>,
    indexes: Option<JournaledIndexes>,
    /// The handle after the new segments were committed, and the version before.
    indexed: Option<(Version, Dataset)>,
    /// The index segments the work counts on.
    staged_against: BTreeSet<String>,
    /// The carried-over indexes and the journal entry that names their files.
    remapped: Option<(Vec<RewrittenIndex>, Vec<StagedFile>, String)>,
    /// Why groups were dropped.
    dropped: Vec<String>,
    /// Indexes that Lance would have left behind at the Rewrite.
    lost: Vec<IndexFailure>,
    /// What is to follow once all of it is carried out.
    then: Option<IndexWish>,
    /// The order of the table's rows, if one is kept up.
    arranged: Option<Arranged>,
    /// What the table has to remember of it from now on.
    remember: Option<Remember>,
    left_open: bool,
    /// Whether the Rewrite was committed, not only what led up to it.
    is_rewritten: bool,
    /// What is wrong with the rows after it. It is committed all the same.
    pub(super) rows: Option<RowsError>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        run: &'a Run<'a>,
        target: &'a Target,
        handle: &'a Dataset,
        round: u32,
        staged: StagedTable,
        arranged: Option<Arranged>,
    ) -> Self {
        Self {
            run,
            target,
            handle,
            round,
            groups: staged.groups,
            indexes: staged.indexes,
            indexed: None,
            staged_against: BTreeSet::new(),
            remapped: None,
            dropped: Vec::new(),
            lost: Vec::new(),
            then: staged.then,
            arranged,
            remember: staged.remember,
            left_open: false,
            is_rewritten: true,
            rows: None,
        }
    }
}

impl Attempt<'_> {
    async fn head(&self) -> Result<Dataset, OpenError> {
        let read = &self.run.write.read;
        read.tables
            .open(&read.root.address_of(&self.target.location), &self.target.table.branch)
            .await
    }

    /// Drops the groups that no longer replace what is at HEAD.
    async fn recheck(&mut self, head: &Dataset) -> Result<(), PlainError> {
        let check = HeadCheck::new(head, &self.staged_against).await?;
        let mut keep = Vec::new();
        for mut journaled in std::mem::take(&mut self.groups) {
            match check.group(&mut journaled.group).await? {
                None => keep.push(journaled),
                Some(why) => {
                    self.dropped.push(why.to_string());
                    let files = &journaled.group.files;
                    give_up(self.run, self.handle, files, Some(&journaled.entry)).await;
                }
            }
        }
        self.groups = keep;
        Ok(())
    }

    /// Reserves, carries indexes over, then commits the Rewrite under the table's key.
    ///
    /// # Cancel safety
    ///
    /// Each commit is made or not. Staged files stay; the journal names them.
    pub(super) async fn commit(&mut self) -> Result<Option<Committed>, PlainError> {
        self.staged_against = index_ids(self.handle).await?;
        self.remember().await?;
        if self.indexes.is_some() && !self.create_indexes().await? {
            return Ok(self.index_outcome());
        }
        if self.groups.is_empty() {
            return Ok(self.indexed.take().map(only_indexes));
        }
        failpoint::cross_async(failpoint::OPTIMIZE_INDEXED_PRE_RESERVE).await?;
        let Some(reserved) = self.reserve().await? else { return Ok(self.index_outcome()) };
        self.keep_layout().await?;
        for _ in 0..REMAPS_MAX {
            if !self.remap(&reserved).await? {
                return Ok(self.index_outcome());
            }
            let _keys = self.run.write.queue.acquire_one(self.target.table.clone()).await?;
            failpoint::cross_async(failpoint::OPTIMIZE_ENTERED_PRE_RECHECK).await?;
            match self.rewrite().await? {
                Outcome::Committed(committed) => return Ok(Some(*committed)),
                Outcome::Void => {}
                Outcome::Nothing => break,
            }
        }
        Ok(self.index_outcome())
    }

    /// Carries the indexes over. Returns whether all of them follow that Lance ought to carry.
    async fn remap(&mut self, reserved: &Dataset) -> Result<bool, PlainError> {
        let staged: Vec<StagedGroup> = self.groups.iter().map(|g| g.group.clone()).collect();
        let sorted_rows = staged.iter().map(StagedGroup::sorted_rows).sum();
        let admitted = self.run.context.admission.admit_remap(sorted_rows).await;
        let remapped = remap_indexes(reserved, &staged).await?;
        drop(admitted);
        if !remapped.indexes.is_empty() {
            let entry = only_files(remapped.files.clone());
            let entry = note(self.run, self.target, self.handle, entry).await?;
            self.remapped = Some((remapped.indexes, remapped.files, entry));
        }
        // Committed all the same, these indexes would end for the rewritten rows.
        self.lost = remapped.lost;
        Ok(self.lost.is_empty())
    }

    /// A commit was made before the Rewrite.
    fn reached(&mut self, before: &Dataset, after: Dataset) {
        let first = self.indexed.as_ref().map(|(from, _)| *from);
        self.indexed = Some((first.unwrap_or_else(|| version_of(before)), after));
    }

    /// What was reached when only the new segments were committed.
    fn index_outcome(&mut self) -> Option<Committed> {
        self.is_rewritten = false;
        self.indexed.take().map(only_indexes)
    }

    /// Commits the new segments. Returns whether the groups may follow: they were planned as
    /// if the segments covered them all.
    async fn create_indexes(&mut self) -> Result<bool, PlainError> {
        let Some(journaled) = self.indexes.take() else { return Ok(true) };
        for attempt in 1..=COMMIT_ATTEMPTS {
            let head = self.head().await?;
            let check = HeadCheck::new(&head, &self.staged_against).await?;
            if let Some(why) = check.segments(self.handle).await? {
                self.dropped.push(why.to_string());
                break;
            }
            match self.step().create_indexes(&head, &journaled.indexes).await {
                Ok(indexed) => {
                    self.staged_against = index_ids(&indexed).await?;
                    self.reached(&head, indexed);
                    self.run.write.journal.forget(&[journaled.entry]).await?;
                    return Ok(true);
                }
                Err(error) => {
                    let outcome = self.judge(error, attempt);
                    if outcome.is_err() {
                        self.indexes = Some(journaled);
                        return outcome.map(|()| false);
                    }
                }
            }
        }
        self.indexes = Some(journaled);
        Ok(false)
    }

    fn step(&self) -> TableCommit<'_> {
        TableCommit {
            operation: &self.run.operation,
            table: &self.target.table,
            round: self.round,
            watch: None,
        }
    }

    async fn reserve(&mut self) -> Result<Option<Dataset>, PlainError> {
        for attempt in 1..=COMMIT_ATTEMPTS {
            let head = self.head().await?;
            self.recheck(&head).await?;
            if self.groups.is_empty() {
                return Ok(None);
            }
            let mut groups: Vec<StagedGroup> =
                self.groups.iter().map(|g| g.group.clone()).collect();
            match self.step().reserve(&head, &mut groups).await {
                Ok(reserved) => {
                    for (journaled, group) in self.groups.iter_mut().zip(groups) {
                        journaled.group = group;
                    }
                    return Ok(Some(reserved));
                }
                Err(error) => self.judge(error, attempt)?,
            }
        }
        Ok(None)
    }

    async fn rewrite(&mut self) -> Result<Outcome, PlainError> {
        for attempt in 1..=COMMIT_ATTEMPTS {
            let head = self.head().await?;
            let before = self.groups.len();
            self.recheck(&head).await?;
            if self.groups.is_empty() {
                break;
            }
            // Carried-over indexes speak of all groups: with one of them gone they are void.
            if self.groups.len() < before
                && let Some((_, files, entry)) = self.remapped.take()
            {
                give_up(self.run, self.handle, &files, Some(&entry)).await;
                return Ok(Outcome::Void);
            }
            failpoint::cross_async(failpoint::OPTIMIZE_RESERVED_PRE_REWRITE).await?;
            let groups: Vec<StagedGroup> = self.groups.iter().map(|g| g.group.clone()).collect();
            let fragments_removed = groups.iter().map(|g| g.source.len() as u64).sum();
            let fragments_added = groups.iter().map(|g| g.new_fragments.len() as u64).sum();
            let indexes = self.remapped.as_ref().map_or_else(Vec::new, |(i, _, _)| i.clone());
            match self.step().rewrite(&head, groups, indexes).await {
                Ok(committed) => {
                    self.rows = same_rows(&self.target.table, &head, &committed).await.err();
                    return Ok(Outcome::Committed(Box::new(Committed {
                        from: version_of(&head),
                        head: committed,
                        fragments_removed,
                        fragments_added,
                    })));
                }
                Err(error) => self.judge(error, attempt)?,
            }
        }
        Ok(Outcome::Nothing)
    }

    /// A conflict is tried again on a fresh HEAD; the last one drops the groups.
    fn judge(&mut self, error: StepError, attempt: u32) -> Result<(), PlainError> {
        match error.kind() {
            ErrorKind::Conflict => {
                if attempt == COMMIT_ATTEMPTS {
                    self.dropped.push(error.to_string());
                }
                Ok(())
            }
            ErrorKind::Unknown => {
                self.left_open = true;
                Err(error.into())
            }
            _ => Err(error.into()),
        }
    }

    /// Deletes what was not committed, forgets what was, and says what the attempt came to.
    ///
    /// # Cancel safety
    ///
    /// What is not deleted stays named in the journal; the next run deletes it.
    pub(super) async fn end(mut self, committed: Option<Committed>) -> Carried {
        let is_rewritten = self.is_rewritten && committed.is_some();
        self.clear_up(is_rewritten).await;
        Carried {
            committed,
            is_whole: is_rewritten && self.dropped.is_empty(),
            dropped: self.dropped,
            lost: self.lost,
            then: self.then,
            arranged: self.arranged,
            is_left_open: self.left_open,
        }
    }

    async fn clear_up(&mut self, is_rewritten: bool) {
        if self.left_open {
            return;
        }
        if let Some(journaled) = self.indexes.take() {
            let (tables, root) = (&self.run.context.tables, &self.run.write.read.root);
            if let Err(error) = self.run.write.journal.settle(tables, root, &journaled.entry).await
            {
                tracing::warn!(target: "lancekeeper::optimize", %error, "staged index files stay until the next run");
            }
        }
        let mut entries: Vec<String> = self.groups.iter().map(|g| g.entry.clone()).collect();
        let mut files: Vec<StagedFile> =
            self.groups.iter().flat_map(|g| g.group.files.clone()).collect();
        if let Some((_, index_files, entry)) = self.remapped.take() {
            entries.push(entry);
            files.extend(index_files);
        }
        if !is_rewritten && !give_up(self.run, self.handle, &files, None).await {
            return;
        }
        if let Err(error) = self.run.write.journal.forget(&entries).await {
            tracing::warn!(target: "lancekeeper::optimize", %error, "journal entries stay until the next run");
        }
    }
}

/// A commit of new segments alone.
fn only_indexes((from, head): (Version, Dataset)) -> Committed {
    Committed { from, head, fragments_removed: 0, fragments_added: 0 }
}
