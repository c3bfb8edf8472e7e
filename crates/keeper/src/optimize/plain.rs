//! `optimize` on databases and single tables: no publish, so the Rewrite itself is the one
//! visible step. Ids are reserved and indexes carried over before the key is taken.

use std::collections::BTreeSet;
use std::time::Instant;

use futures::{FutureExt, StreamExt};
use lance::Dataset;
use lance::dataset::transaction::RewrittenIndex;
use lancekeeper_model::{
    ErrorKind, IndexMode, ProgressEvent, RootOptimizeReport, SkipReason, TableOptimizeStats,
    Version, WorkLeft,
};
use lancekeeper_queue::QueueError;
use lancekeeper_rewrite::check::{HeadCheck, RowsError, index_ids, same_rows};
use lancekeeper_rewrite::journal::StagedFile;
use lancekeeper_rewrite::remap::remap_indexes;
use lancekeeper_rewrite::table_commit::{StepError, TableCommit};
use lancekeeper_rewrite::{JournalError, StagedGroup};
use lancekeeper_store::failpoint::{self, Injected};
use lancekeeper_store::tables::version_of;
use lancekeeper_store::{LanceFailure, OpenError};
use thiserror::Error;

use crate::budget::leave;
use crate::concurrency::{in_order, tables_at_once};
use crate::facts::view;
use crate::keeper::millis;
use crate::optimize::inventory::{TableRun, Target, look_at};
use crate::optimize::report::{set_after, set_error};
use crate::optimize::stage::{
    Journaled, JournaledIndexes, StagedTable, give_up, note, stage_table,
};
use crate::optimize::{ROUNDS_MAX, Run};
use crate::stop::Interrupted;

/// How often a strict commit is tried on a fresh HEAD. Foreign appends do not disturb a
/// rewrite, so each of them costs one attempt and no work.
const COMMIT_ATTEMPTS: u32 = 20;

/// Why a table failed.
#[derive(Debug, Error)]
enum PlainError {
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
    Injected(#[from] Injected),
}

impl PlainError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Lance(error) => error.kind(),
            Self::Step(error) => error.kind(),
            Self::Queue(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Injected(_) => ErrorKind::Internal,
        }
    }
}

/// Runs over the tables in turn.
pub(crate) async fn run(run: &Run<'_>, targets: Vec<Target>, report: &mut RootOptimizeReport) {
    let mut planned = planned_for_budget(run, &targets).await.into_iter();
    for target in targets {
        let started = Instant::now();
        let mut table = match planned.next() {
            Some(table) => table,
            None => look_at(&run.write.read, target, &run.wish, None).await,
        };
        let groups = table.plan.as_ref().map_or(&[][..], |plan| &plan.groups);
        run.progress.on_event(ProgressEvent::TablePlanned {
            table: table.target.table.clone(),
            groups: groups.len() as u64,
            bytes: groups.iter().map(|group| group.bytes).sum(),
        });
        rounds(run, &mut table).await;
        table.stats.duration_ms = millis(started);
        run.progress.on_event(ProgressEvent::TableFinished {
            table: table.target.table.clone(),
            failed: table.stats.error.is_some(),
        });
        report.tables.push(table.stats);
        if run.keeper.stop.is_requested() {
            report.error = Some(Interrupted.to_string());
            report.error_kind = Some(ErrorKind::Interrupted);
            return;
        }
    }
}

/// All tables with what the run's bytes allow of each; none when bytes are not limited, and each
/// table is planned when its turn comes.
async fn planned_for_budget(run: &Run<'_>, targets: &[Target]) -> Vec<TableRun> {
    if !run.budget.limits_bytes() {
        return Vec::new();
    }
    let read = &run.write.read;
    let at_once = tables_at_once(run.options.concurrency, targets.len());
    let looks = targets.iter().map(|target| look_at(read, target.clone(), &run.wish, None).boxed());
    let mut tables: Vec<TableRun> = in_order(looks.collect(), at_once).collect().await;
    run.budget.cut(&mut tables);
    tables
}

async fn rounds(run: &Run<'_>, table: &mut TableRun) {
    for round in 0..ROUNDS_MAX {
        let (Some(plan), Some(handle)) = (table.plan.take(), table.handle.clone()) else { return };
        if round > 0 {
            table.stats.groups_redone += plan.groups.len() as u64;
        }
        let work = std::mem::take(&mut table.index_work);
        let staging = Box::pin(stage_table(run, &table.target, &handle, &plan, &work));
        let Some(staged) = run.keeper.stop.unless_requested(staging).await else {
            // The table is as it was; the verb's loop sees the request and ends the run.
            if let Err(error) =
                run.write.journal.settle_all(&run.keeper.tables, &run.write.read.root).await
            {
                tracing::warn!(target: "lancekeeper::optimize", %error, "staged files stay until the next run");
            }
            table.stats.skipped = Some(SkipReason::RunEnded);
            return;
        };
        let staged = match staged {
            Ok(staged) => staged,
            Err(error) => {
                set_error(&mut table.stats, error.kind(), &error);
                return;
            }
        };
        let is_nothing = staged.is_nothing();
        let StagedTable { groups, indexes, left } = staged;
        leave(&mut table.stats, left, is_nothing);
        if is_nothing {
            return;
        }
        let mut attempt = Attempt {
            run,
            target: &table.target,
            handle: &handle,
            round,
            groups,
            indexes,
            indexed: None,
            staged_against: BTreeSet::new(),
            remapped: None,
            dropped: Vec::new(),
            left_open: false,
            is_rewritten: true,
            rows: None,
        };
        let outcome = Box::pin(attempt.commit()).await;
        let is_rewritten = attempt.is_rewritten && outcome.as_ref().is_ok_and(Option::is_some);
        attempt.clear_up(is_rewritten).await;
        let dropped = std::mem::take(&mut attempt.dropped);
        table.stats.groups_dropped += dropped.len() as u64;
        if let Some(why) = dropped.first() {
            table.stats.reason = format!("{}; dropped: {why}", table.stats.reason);
        }
        let rows = attempt.rows.take();
        match outcome {
            Ok(Some((from, head, removed, added))) => {
                done(run, &mut table.stats, &table.target, from, &head, (removed, added)).await;
            }
            Ok(None) => {}
            Err(error) => {
                set_error(&mut table.stats, error.kind(), &error);
                return;
            }
        }
        if let Some(error) = rows {
            set_error(&mut table.stats, error.kind(), &error);
            return;
        }
        if dropped.is_empty() {
            return;
        }
        let fresh = look_at(&run.write.read, table.target.clone(), &run.wish, None).await;
        if let Some(error) = fresh.stats.error {
            table.stats.error = Some(error);
            table.stats.error_kind = fresh.stats.error_kind;
            return;
        }
        // What was left before is in the new plan.
        table.stats.left = WorkLeft::default();
        let stats = std::mem::replace(&mut table.stats, fresh.stats);
        *table = TableRun { stats, ..fresh };
        run.budget.cut(std::slice::from_mut(table));
    }
    if table.plan.is_some() && !table.stats.committed {
        table.stats.skipped = Some(SkipReason::ChangedByWriters);
    }
}

async fn done(
    run: &Run<'_>,
    stats: &mut TableOptimizeStats,
    target: &Target,
    from: Version,
    head: &Dataset,
    (removed, added): (u64, u64),
) {
    stats.committed = true;
    stats.fragments_removed += removed;
    stats.fragments_added += added;
    if let Ok(seen) = view(head, &target.table, IndexMode::Keep).await {
        set_after(stats, seen.totals);
    }
    run.progress.on_event(ProgressEvent::TablePublished {
        table: target.table.clone(),
        from,
        to: version_of(head),
    });
}

/// What a commit came to: the version before, the handle after, fragments removed and added.
type Outcome = (Version, Dataset, u64, u64);

/// One table in one round, from staged to committed.
struct Attempt<'a> {
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
    left_open: bool,
    /// Whether the Rewrite was committed, not only what led up to it.
    is_rewritten: bool,
    /// What is wrong with the rows after it. It is committed all the same.
    rows: Option<RowsError>,
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
        for journaled in std::mem::take(&mut self.groups) {
            match check.group(&journaled.group).await? {
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
    async fn commit(&mut self) -> Result<Option<Outcome>, PlainError> {
        failpoint::cross_async(failpoint::OPTIMIZE_STAGED_PRE_ENTER).await?;
        self.staged_against = index_ids(self.handle).await?;
        if self.indexes.is_some() && !self.create_indexes().await? {
            return Ok(None);
        }
        if self.groups.is_empty() {
            return Ok(self.indexed.take().map(|(from, head)| (from, head, 0, 0)));
        }
        failpoint::cross_async(failpoint::OPTIMIZE_INDEXED_PRE_RESERVE).await?;
        let Some(reserved) = self.reserve().await? else { return Ok(self.index_outcome()) };
        let staged: Vec<StagedGroup> = self.groups.iter().map(|g| g.group.clone()).collect();
        let (indexes, files) = remap_indexes(&reserved, &staged).await?;
        if !indexes.is_empty() {
            let entry = note(self.run, self.target, self.handle, files.clone()).await?;
            self.remapped = Some((indexes, files, entry));
        }
        let _keys = self.run.write.queue.acquire_one(self.target.table.clone()).await?;
        failpoint::cross_async(failpoint::OPTIMIZE_ENTERED_PRE_RECHECK).await?;
        let rewritten = self.rewrite().await?;
        Ok(rewritten.or_else(|| self.index_outcome()))
    }

    /// What was reached when only the new segments were committed.
    fn index_outcome(&mut self) -> Option<Outcome> {
        self.is_rewritten = false;
        self.indexed.take().map(|(from, head)| (from, head, 0, 0))
    }

    /// Commits the new segments. Returns whether the groups may follow: they were planned as
    /// if the segments covered them all.
    async fn create_indexes(&mut self) -> Result<bool, PlainError> {
        let Some(journaled) = self.indexes.take() else { return Ok(true) };
        for attempt in 1..=COMMIT_ATTEMPTS {
            let head = self.head().await?;
            let stale = HeadCheck::new(&head, &self.staged_against).await?.segments(self.handle);
            if let Some(why) = stale {
                self.dropped.push(why.to_string());
                break;
            }
            match self.step().create_indexes(&head, &journaled.indexes).await {
                Ok(indexed) => {
                    self.staged_against = index_ids(&indexed).await?;
                    self.indexed = Some((version_of(&head), indexed));
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

    async fn rewrite(&mut self) -> Result<Option<Outcome>, PlainError> {
        for attempt in 1..=COMMIT_ATTEMPTS {
            let head = self.head().await?;
            let before = self.groups.len();
            self.recheck(&head).await?;
            // Carried-over indexes speak of all groups: with one of them gone they are void.
            let is_void = self.groups.len() < before && self.remapped.is_some();
            if self.groups.is_empty() || is_void {
                return Ok(None);
            }
            failpoint::cross_async(failpoint::OPTIMIZE_RESERVED_PRE_REWRITE).await?;
            let groups: Vec<StagedGroup> = self.groups.iter().map(|g| g.group.clone()).collect();
            let removed = groups.iter().map(|g| g.source.len() as u64).sum();
            let added = groups.iter().map(|g| g.new_fragments.len() as u64).sum();
            let indexes = self.remapped.as_ref().map_or_else(Vec::new, |(i, _, _)| i.clone());
            match self.step().rewrite(&head, groups, indexes).await {
                Ok(committed) => {
                    self.rows = same_rows(&self.target.table, &head, &committed).await.err();
                    return Ok(Some((version_of(&head), committed, removed, added)));
                }
                Err(error) => self.judge(error, attempt)?,
            }
        }
        Ok(None)
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

    /// Deletes what was not committed and forgets what was.
    async fn clear_up(&mut self, is_rewritten: bool) {
        if self.left_open {
            return;
        }
        if let Some(journaled) = self.indexes.take() {
            let (tables, root) = (&self.run.keeper.tables, &self.run.write.read.root);
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
