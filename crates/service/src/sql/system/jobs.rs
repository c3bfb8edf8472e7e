//! `system.compaction_jobs`: the documents of jobs, as they are now.

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{JobRecord, JobTable};

use super::column::{count, real, text, time};
use super::{Asked, Rows, SystemTable};
use crate::jobs;
use crate::sql::SqlSession;
use crate::sql::answer::Cell;
use crate::sql::error::SqlRunError;

pub(super) const TABLE: SystemTable = SystemTable {
    name: "compaction_jobs",
    about: "A job: one piece of work on one table, and what became of it. Not only compactions.",
    columns: &[
        text("id", "its id; later ones are greater"),
        text("table", "the table"),
        text("branch", "the branch"),
        text(
            "kind",
            "`compact`, `layout`, `index`, `statistics`, `cleanup`, `publish`, `recover`, `repair` or `migrate`",
        ),
        text("trigger", "who started it: `command`, `sql` or `policy`"),
        text("reason", "why: the statement, or the policy's reason; empty for a plain command"),
        text("plan", "what was planned, in words"),
        text("compaction_status", "`queued`, `running`, `done`, `failed`, `cancelled` or `noop`"),
        text("outcome", "why it ended as it did; empty after success"),
        count("priority", "higher comes first"),
        count("groups_planned", "groups of fragments to rewrite; of a cleanup, files to delete"),
        count("groups_done", "those that are done"),
        count("bytes_planned", "bytes to rewrite or to delete"),
        count("bytes_done", "those that are done"),
        count("bytes_read", "bytes of the files that were read for what was rewritten"),
        count("bytes_written", "bytes of the files that were written"),
        count("bytes_deleted", "bytes of the files that were deleted"),
        count("rows_read", "live rows that were read for what was rewritten"),
        count("rows_written", "rows of the fragments that were written"),
        count("rows_before", "live rows before; null if nobody looked, as below"),
        count("rows_after", "live rows afterwards"),
        count("fragments_before", "fragments before"),
        count("fragments_after", "fragments afterwards"),
        count("files_before", "data files before"),
        count("files_after", "data files afterwards"),
        count("bytes_before", "bytes of all files before"),
        count("bytes_after", "bytes of all files afterwards"),
        text("layout", "the order of the rows, if any"),
        real("depth_before", "the depth of the layout before, where it was measured"),
        real("depth_after", "the depth afterwards"),
        text("error", "why it failed, if it did"),
        text("error_kind", "what kind of error that is"),
        count("memory_peak_bytes", "the most memory that the process had had by its end"),
        count("index_cache_hits", "how often a part of an index was in memory"),
        count("index_cache_misses", "how often it was not"),
        count("metadata_cache_hits", "how often a manifest or a footer was in memory"),
        count("metadata_cache_misses", "how often it was not"),
        time("queued_at", "when it was put in line"),
        time("started_at", "when work on it began"),
        time("ended_at", "when it ended"),
        text("operation", "the run that works on it, as it stands in commits and logs"),
        text("host", "the machine"),
        count("process", "the number of the process there"),
    ],
    fill,
};

/// Of whichever table: a document does not say by its name which one it is about.
fn fill<'a>(session: &'a SqlSession, _: &'a Asked) -> BoxFuture<'a, Result<Rows, SqlRunError>> {
    async move {
        let list = jobs::jobs_of(&session.root, session.now()).await?;
        Ok(Rows { rows: list.jobs.iter().map(row).collect(), notes: list.warnings })
    }
    .boxed()
}

fn row(job: &JobRecord) -> Vec<Cell> {
    let (before, after, progress) = (job.before.as_ref(), job.after.as_ref(), &job.progress);
    let caches = job.caches.as_ref();
    let of = |table: Option<&JobTable>, field: fn(&JobTable) -> u64| {
        Cell::maybe(table.map(field), Cell::count)
    };
    let both = |field: fn(&JobTable) -> u64| [of(before, field), of(after, field)];
    let mut row = vec![
        Cell::text(&job.id),
        Cell::text(&job.table),
        Cell::text(&job.branch),
        Cell::text(job.kind.as_str()),
        Cell::text(job.trigger.as_str()),
        Cell::text(&job.reason),
        Cell::text(&job.plan),
        Cell::text(job.compaction_status.as_str()),
        Cell::text(&job.outcome),
        Cell::count(job.priority),
    ];
    let counts = [
        progress.groups_planned,
        progress.groups_done,
        progress.bytes_planned,
        progress.bytes_done,
        job.bytes_read,
        job.bytes_written,
        job.bytes_deleted,
        job.rows_read,
        job.rows_written,
    ];
    row.extend(counts.map(Cell::count));
    row.extend(both(|table| table.rows));
    row.extend(both(|table| table.fragments));
    row.extend(both(|table| table.files));
    row.extend(both(|table| table.bytes));
    row.extend([
        Cell::maybe(job.layout.as_ref(), Cell::text),
        Cell::maybe(job.depth_before, Cell::Real),
        Cell::maybe(job.depth_after, Cell::Real),
        Cell::maybe(job.error.as_ref(), |error| Cell::text(&error.message)),
        Cell::maybe(job.error.as_ref(), |error| Cell::text(&error.kind)),
        Cell::maybe(job.memory_peak_bytes, Cell::count),
        Cell::maybe(caches, |caches| Cell::count(caches.index_hits)),
        Cell::maybe(caches, |caches| Cell::count(caches.index_misses)),
        Cell::maybe(caches, |caches| Cell::count(caches.metadata_hits)),
        Cell::maybe(caches, |caches| Cell::count(caches.metadata_misses)),
        Cell::Time(job.queued_at),
        Cell::maybe(job.started_at, Cell::Time),
        Cell::maybe(job.ended_at, Cell::Time),
        Cell::text(&job.operation),
        Cell::text(&job.host),
        Cell::count(job.process),
    ]);
    row
}
