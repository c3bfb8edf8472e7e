//! The job of a table in one run: begun right before anything of it is staged, ended when nothing more is done to it.
//! Not here: what a job says of itself (`run::jobs`).

use std::sync::Arc;

use lancekeeper_model::{
    JobKind, JobProgress, JobRecord, JobTable, LayoutStats, RootFailure, SkipReason,
    TableOptimizeStats, TableRef, without_secrets,
};
use lancekeeper_planner::jobs::Ended;
use lancekeeper_planner::optimize::Group;
use lancekeeper_rewrite::StagedGroup;

use crate::optimize::Run;
use crate::optimize::table::TableRun;
use crate::optimize::work::Work;
use crate::run::jobs::{Job, UnderWay};

impl Run<'_> {
    /// Begins a job of this run; `None` if nobody writes jobs down.
    ///
    /// # Cancel safety
    ///
    /// It is written down or not.
    pub(super) async fn begin(&self, table: &TableRef, record: JobRecord) -> Option<Arc<Job>> {
        let root = &self.write.read.root;
        let mut operations = self.write.live.clone();
        operations.push(self.operation.clone());
        let alive = UnderWay { operations, somebody_else: false };
        let record = JobRecord {
            operation: self.operation.to_string(),
            root: without_secrets(&root.address),
            table: table.key.to_string(),
            branch: table.branch.to_string(),
            ..record
        };
        Job::begin(self.context, root.files(), &alive, record).await.map(Arc::new)
    }

    /// Begins the jobs of these tables that have work, unless they have begun. The caller holds the root's lock.
    ///
    /// # Cancel safety
    ///
    /// Each is written down or not.
    pub(super) async fn begin_jobs(&self, tables: &mut [&mut TableRun]) {
        for table in tables.iter_mut().filter(|table| table.is_ready() && table.job.is_none()) {
            // Nothing will be begun of it, so it is no job.
            if self.budget.is_spent() && !self.resumable.has(&table.target) {
                continue;
            }
            let record = begun(table);
            table.job = self.begin(&table.target.table, record).await;
            table.stats.job = table.job.as_deref().map(Job::id);
        }
    }

    /// Ends the job of a table of which nothing more is done. `root`: why the run over the root ended early.
    ///
    /// # Cancel safety
    ///
    /// Not written down, the next run closes it.
    pub(super) async fn end_job(&self, table: &TableRun, root: Option<&RootFailure>) {
        if let Some(job) = &table.job {
            job.note(|record| record.after = Some(after(&table.stats)));
            job.note(|record| record.depth_after = depth(&table.stats, |layout| &layout.after));
            job.end(self.context, &ended(&table.stats, job, root)).await;
        }
    }
}

/// What is known of a table's job before it begins.
fn begun(table: &TableRun) -> JobRecord {
    let (groups, stats) = (table.groups(), &table.stats);
    JobRecord {
        kind: kind_of(table),
        plan: stats.reason.clone(),
        progress: JobProgress {
            groups_planned: groups.len() as u64,
            bytes_planned: groups.iter().map(|group| group.bytes).sum(),
            ..JobProgress::default()
        },
        before: Some(before(stats)),
        layout: stats.layout.as_ref().map(|layout| layout.layout.clone()),
        depth_before: depth(stats, |layout| &layout.before),
        ..JobRecord::default()
    }
}

fn kind_of(table: &TableRun) -> JobKind {
    let Some(planned) = table.planned() else { return JobKind::Publish };
    let is_laid_out = table.facts.as_ref().is_some_and(|facts| facts.order.arranged.is_some());
    match &table.work {
        Work::Publish(_) => JobKind::Publish,
        _ if !planned.rewrite.groups.is_empty() && is_laid_out => JobKind::Layout,
        _ if !planned.rewrite.groups.is_empty() => JobKind::Compact,
        _ if planned.indexes.is_empty() => JobKind::Layout,
        _ => JobKind::Index,
    }
}

/// Of a job of this table.
pub(super) fn before(stats: &TableOptimizeStats) -> JobTable {
    JobTable {
        rows: stats.rows_before,
        fragments: stats.fragments_before,
        files: stats.files_before,
        bytes: stats.bytes_before,
    }
}

/// The same afterwards.
pub(super) fn after(stats: &TableOptimizeStats) -> JobTable {
    JobTable {
        rows: stats.rows_after,
        fragments: stats.fragments_after,
        files: stats.files_after,
        bytes: stats.bytes_after,
    }
}

fn depth(
    stats: &TableOptimizeStats,
    of: impl Fn(&LayoutStats) -> &Option<lancekeeper_model::Clustering>,
) -> Option<f64> {
    let measured = of(stats.layout.as_ref()?).as_ref()?;
    measured.error.is_none().then_some(measured.depth)
}

/// How the job of a table ended.
pub(super) fn ended<'a>(
    stats: &'a TableOptimizeStats,
    job: &Job,
    root: Option<&'a RootFailure>,
) -> Ended<'a> {
    let kind = stats.error_kind.unwrap_or(lancekeeper_model::ErrorKind::Internal);
    let reason = match stats.skipped {
        Some(SkipReason::ChangedByWriters) => "writers changed it meanwhile",
        Some(SkipReason::BudgetSpent) => "the budget was spent before anything of it was begun",
        _ => &stats.reason,
    };
    Ended {
        error: stats.error.as_deref().map(|message| (message, kind)),
        committed: stats.committed,
        cancelled: job.is_cancelled(),
        left: !stats.left.is_nothing(),
        root,
        reason,
    }
}

/// Takes note of a group that is written.
pub(super) fn advance(job: Option<&Job>, group: &Group, staged: &StagedGroup) {
    let Some(job) = job else { return };
    let written: u64 = staged.files.iter().filter_map(|file| file.bytes).sum();
    let rows = staged.new_fragments.iter().filter_map(|fragment| fragment.num_rows());
    let rows = rows.sum::<usize>() as u64;
    job.note(|record| {
        let progress = &mut record.progress;
        progress.groups_done += 1;
        progress.bytes_done += group.bytes;
        record.bytes_read += group.bytes;
        record.bytes_written += written;
        record.rows_read += group.rows();
        record.rows_written += rows;
        // What a later look added was not among what was planned first.
        progress.groups_planned = progress.groups_planned.max(progress.groups_done);
        progress.bytes_planned = progress.bytes_planned.max(progress.bytes_done);
    });
}
