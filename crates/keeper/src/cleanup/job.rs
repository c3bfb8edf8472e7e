//! The job of a table in one cleanup: begun right before anything of it is deleted, ended when its turn is over. Not
//! here: what a job says of itself (`run::jobs`).

use std::time::Duration;

use lancekeeper_model::{
    Branch, ErrorKind, JobKind, JobProgress, JobRecord, OperationId, TableCleanupStats,
    without_secrets,
};
use lancekeeper_planner::cleanup::DatasetPlan;
use lancekeeper_planner::jobs::Ended;
use lancekeeper_store::failure::full_text;
use tokio::sync::watch;

use crate::cleanup::{Cleaning, CleanupRootError};
use crate::run::Context;
use crate::run::ended::EndsRoot;
use crate::run::jobs::{Job, UnderWay};

/// How often it is asked whether somebody wants the end of a job: a request is heard within a second or so.
const LISTEN_EVERY: Duration = Duration::from_millis(500);

/// Begins the job of a table, if anything of it goes. `live`: runs of others that are under way.
///
/// # Cancel safety
///
/// It is written down or not.
pub(super) async fn begin(
    cleaning: &Cleaning<'_>,
    live: &[OperationId],
    operation: &OperationId,
    planned: &DatasetPlan,
) -> Option<Job> {
    let is_nothing = planned.deletions.is_empty() && planned.empties.is_none();
    if is_nothing || planned.refused.is_some() {
        return None;
    }
    let (root, files) = (&cleaning.read.root, planned.deletions.len() as u64);
    let operations = live.iter().chain([operation]).cloned().collect();
    let alive = UnderWay { operations, somebody_else: false };
    let record = JobRecord {
        operation: operation.to_string(),
        root: without_secrets(&root.address),
        table: planned.table.to_string(),
        branch: Branch::main().to_string(),
        kind: JobKind::Cleanup,
        plan: format!("delete {files} files of {} versions", planned.removed.len()),
        progress: JobProgress {
            groups_planned: files,
            bytes_planned: planned.bytes(),
            ..JobProgress::default()
        },
        ..JobRecord::default()
    };
    Job::begin(cleaning.context, root.files(), &alive, record).await
}

/// Ends the job of a table, if it has begun. `cancelled`: it ended because somebody asked for that. `root`: the error that ends the run with it.
///
/// # Cancel safety
///
/// Not written down, the next run closes it.
pub(super) async fn end(
    context: &Context,
    job: Option<Job>,
    stats: &TableCleanupStats,
    cancelled: bool,
    root: Option<&CleanupRootError>,
) {
    let Some(job) = job else { return };
    job.note(|record| {
        record.progress.groups_done = stats.files_removed;
        record.progress.bytes_done = stats.bytes_removed;
        record.bytes_deleted = stats.bytes_removed;
    });
    let said = root.map(|error| (full_text(error), error.kind()));
    let of_table = stats.error.as_deref();
    let of_table = of_table.map(|said| (said, stats.error_kind.unwrap_or(ErrorKind::Internal)));
    let ended = Ended {
        error: of_table.or(said.as_ref().map(|(said, kind)| (said.as_str(), *kind))),
        committed: stats.files_removed > 0 || stats.emptied,
        cancelled,
        reason: "what was to go is needed after all",
        ..Ended::default()
    };
    job.end(context, &ended).await;
}

/// Waits for work on a table, and tells it when somebody asks for the end of its job.
///
/// # Cancel safety
///
/// That of the work.
pub(super) async fn listening<T>(
    job: Option<&Job>,
    cancel: &watch::Sender<bool>,
    work: impl Future<Output = T>,
) -> T {
    let Some(job) = job else { return work.await };
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(LISTEN_EVERY) => {
                if !job.may_go_on().await {
                    cancel.send_replace(true);
                }
            }
        }
    }
}
