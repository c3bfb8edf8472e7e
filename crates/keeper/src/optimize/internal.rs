//! `optimize` on the graph's own tables: `__manifest`, and on v3 the commit datasets. After
//! all publishes of the run, so that a second run finds nothing to do.

use std::sync::OnceLock;
use std::time::Instant;

use futures::FutureExt;
use lancekeeper_manifest::{CompactError, Compacted, Graph, InternalSize};
use lancekeeper_model::{
    BudgetLimit, ErrorKind, JobProgress, JobRecord, SkipReason, TableBytes, TableKey,
    TableOptimizeStats, TableRef, WorkLeft,
};
use lancekeeper_planner::optimize::why_compact;
use lancekeeper_store::failure::full_text;

use crate::optimize::cut::leave;
use crate::optimize::job::{after, before as before_of, ended};
use crate::optimize::report::{set_after, set_before, set_error};
use crate::optimize::{Run, Wish};
use crate::root::facts::Totals;
use crate::run::millis;

/// From so many fragments on an internal table is compacted by a run that names tables, if it is one of those that
/// go on for ever beside writers: every publish adds a fragment, and whoever publishes reads all of them.
const FRAGMENTS_MOST: u64 = 32;

/// Compacts every internal table; one row each. They are never selected by name, so a run
/// that names tables leaves them alone, but for a patient one where nobody else would.
pub(crate) async fn run(run: &Run<'_>, graph: &Graph) -> Vec<TableOptimizeStats> {
    let is_limited = !run.options.selected().is_empty();
    if is_limited && run.context.yielding.patience.is_zero() {
        return Vec::new();
    }
    let mut rows = Vec::new();
    for table in graph.internal_tables() {
        if is_limited {
            // What cannot be read is an error of the runs that are about it.
            let size = graph.internal_size(&table).await;
            if !size.is_ok_and(|size| size.fragments >= FRAGMENTS_MOST) {
                continue;
            }
        }
        let started = Instant::now();
        let mut stats = match left_alone(run, graph, &table).await {
            Some(stats) => stats,
            None => compacted(run, graph, &table).await,
        };
        stats.duration_ms = millis(started);
        run.finished(&stats);
        rows.push(stats);
    }
    rows
}

/// Compacts one, as a job if there is anything to do.
async fn compacted(run: &Run<'_>, graph: &Graph, table: &TableKey) -> TableOptimizeStats {
    let begun = OnceLock::new();
    let (begun, named) = (&begun, &TableRef::on_main(table.clone()));
    let begins = move |size: InternalSize| {
        async move {
            let before = row(&named.key, Ok(Compacted { before: size, after: size }));
            let progress = JobProgress { groups_planned: 1, ..JobProgress::default() };
            let (plan, before) = (merged(size.fragments), Some(before_of(&before)));
            let record = JobRecord { plan, progress, before, ..JobRecord::default() };
            if let Some(job) = run.begin(named, record).await {
                // Asked once: nobody else has set it.
                let _ = begun.set(job);
            }
        }
        .boxed()
    };
    let check = run.options.verify;
    let outcome = graph.compact_internal(table, &run.operation, check, &begins).await;
    let mut stats = row(table, outcome);
    if let Some(job) = begun.get() {
        stats.job = Some(job.id());
        job.note(|record| {
            record.after = Some(after(&stats));
            record.progress.groups_done = u64::from(stats.committed);
            if stats.committed {
                (record.rows_read, record.rows_written) = (stats.rows_before, stats.rows_after);
                (record.bytes_read, record.bytes_written) = (stats.bytes_before, stats.bytes_after);
            }
        });
        job.end(run.context, &ended(&stats, job, None)).await;
    }
    stats
}

/// The row of a table that the caller's limits leave alone; `None` when they do not. A limit on
/// bytes is none here: these tables are small.
async fn left_alone(run: &Run<'_>, graph: &Graph, table: &TableKey) -> Option<TableOptimizeStats> {
    if run.wish.layout.min_fragments == 0 && run.options.max_time.is_none() {
        return None;
    }
    // What cannot be read is an error of the attempt to compact it.
    let size = graph.internal_size(table).await.ok()?;
    let mut stats = row(table, Ok(Compacted { before: size, after: size }));
    if is_compact(&mut stats, &run.wish) {
        return Some(stats);
    }
    if size.fragments <= 1 || run.budget.may_begin() {
        return None;
    }
    stats.reason = merged(size.fragments);
    let left = WorkLeft {
        left_by: Some(BudgetLimit::MaxTime),
        groups_left: 1,
        fragments_left: size.fragments,
        bytes_left: size.bytes,
        indexes_left: 0,
    };
    leave(&mut stats, left, true);
    Some(stats)
}

/// Whether a table has fewer fragments than the caller cares for; its row says so then.
fn is_compact(stats: &mut TableOptimizeStats, wish: &Wish) -> bool {
    let (fragments, least) = (stats.fragments_before, wish.layout.min_fragments);
    let is_compact = fragments > 0 && fragments < least;
    if is_compact {
        stats.skipped = Some(SkipReason::AlreadyCompact);
        stats.reason = why_compact(fragments, least);
    }
    is_compact
}

/// What a run would do to the internal tables now.
pub(crate) async fn preview(graph: &Graph, wish: &Wish) -> Vec<TableOptimizeStats> {
    let mut rows = Vec::new();
    for table in graph.internal_tables() {
        let size = graph.internal_size(&table).await;
        let mut stats = row(&table, size.map(|before| Compacted { before, after: before }));
        if !is_compact(&mut stats, wish) && stats.fragments_before > 1 {
            stats.would_commit = true;
            stats.fragments_removed = stats.fragments_before;
            stats.fragments_added = 1;
            stats.fragments_after = 1;
            stats.files_after = 1;
            stats.reason = merged(stats.fragments_before);
        }
        rows.push(stats);
    }
    rows
}

fn row(table: &TableKey, outcome: Result<Compacted, CompactError>) -> TableOptimizeStats {
    let mut stats = TableOptimizeStats::of(&TableRef::on_main(table.clone()));
    match outcome {
        Ok(compacted) => {
            set_before(&mut stats, totals(&compacted.before));
            set_after(&mut stats, totals(&compacted.after));
            stats.committed = compacted.is_committed();
            if stats.committed {
                stats.fragments_removed = compacted.before.fragments;
                stats.fragments_added = compacted.after.fragments;
                stats.reason = merged(compacted.before.fragments);
            } else {
                stats.reason = "one fragment".to_owned();
            }
        }
        // Publishers won every attempt: nothing is wrong, and the next run tries again.
        Err(error) if error.kind() == ErrorKind::Conflict => {
            stats.skipped = Some(SkipReason::ChangedByWriters);
            stats.reason = full_text(&error);
        }
        Err(error) => set_error(&mut stats, error.kind(), &error),
    }
    stats
}

fn merged(fragments: u64) -> String {
    format!("merge {fragments} fragments into 1")
}

fn totals(size: &InternalSize) -> Totals {
    Totals {
        rows: size.rows,
        deleted: 0,
        fragments: size.fragments,
        files: size.files,
        sizes: TableBytes { data_bytes: size.bytes, ..TableBytes::default() },
    }
}
