//! The verbs about jobs, over roots: list, show, cancel, resume. Each never fails as a whole: what went wrong stands
//! with the root.

use std::sync::Arc;

use chrono::Utc;
use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper::Keeper;
use lancekeeper_model::{
    BranchSelection, ErrorKind, JobCause, JobKind, JobRecord, JobStatus, JobTrigger, JobsBody,
    JobsOptions, JobsReport, OptimizeOptions, OptimizeReport, Progress, Report, RootFailure,
    RootJobs, RootOptimizeReport,
};

use super::{JobsError, cancel_job, find_job, jobs_of};

/// The jobs of roots, the newest first.
pub fn list_jobs<'a>(roots: &'a [String], options: &'a JobsOptions) -> BoxFuture<'a, JobsReport> {
    async move {
        let mut reports = Vec::new();
        for uri in roots {
            let mut report = RootJobs::of(uri);
            match jobs_of(uri, Utc::now()).await {
                Ok(list) => {
                    report.jobs = list.jobs.into_iter().filter(|job| options.wants(job)).collect();
                    let shown = options.limit.unwrap_or(usize::MAX).min(report.jobs.len());
                    report.more = (report.jobs.len() - shown) as u64;
                    report.jobs.truncate(shown);
                    report.warnings = list.warnings;
                }
                Err(error) => report.fail(failure(error)),
            }
            reports.push(report);
        }
        Report::new(false, reports, 0)
    }
    .boxed()
}

/// One job of a root, with all that is known of it.
pub fn show_job<'a>(root: &'a str, id: &'a str) -> BoxFuture<'a, JobsReport> {
    async move { one(root, find_job(root, id, Utc::now()).await, |_| None) }.boxed()
}

/// Asks for the end of a job.
///
/// # Cancel safety
///
/// The request stands or does not.
pub fn cancel(root: &str, id: &str) -> BoxFuture<'static, JobsReport> {
    let (root, id) = (root.to_owned(), id.to_owned());
    async move {
        let cancelled = cancel_job(&root, &id, Utc::now()).await;
        one(&root, cancelled, |job| Some(about_cancelled(job).to_owned()))
    }
    .boxed()
}

/// What became of the wish that a job ends.
fn about_cancelled(job: &JobRecord) -> &'static str {
    match job.compaction_status {
        JobStatus::Running => "asked for its end: its run looks between two groups",
        JobStatus::Cancelled => "cancelled",
        _ => "it is over: nothing was done",
    }
}

/// Does the work of a job again, by an `optimize` of its table: what the job finished and did not commit is taken over
/// if the table is still as it was. `options` are those that hold unless the job says otherwise.
///
/// # Cancel safety
///
/// As [`Keeper::optimize`].
pub fn resume<'a>(
    keeper: &'a Keeper,
    root: &'a str,
    id: &'a str,
    options: OptimizeOptions,
    progress: Arc<dyn Progress>,
) -> BoxFuture<'a, OptimizeReport> {
    async move {
        let refused = |failure| {
            let report = RootOptimizeReport::of(root).failed(failure);
            OptimizeReport::new(false, vec![report], 0)
        };
        let job = match find_job(root, id, Utc::now()).await {
            Ok(job) => job,
            Err(error) => return refused(failure(error)),
        };
        if let Some(why) = why_not_resumed(&job) {
            return refused(why);
        }
        let options = options_of(&job, options);
        let reason = format!("resumes job {} ({})", job.id, job.compaction_status);
        let queued = (job.compaction_status == JobStatus::Queued).then(|| job.id.clone());
        let cause =
            JobCause { trigger: JobTrigger::Command, reason, priority: job.priority, job: queued };
        keeper.clone().caused_by(cause).optimize([root], &options, progress).await
    }
    .boxed()
}

fn why_not_resumed(job: &JobRecord) -> Option<RootFailure> {
    let (message, hint) = match (job.compaction_status, job.kind) {
        (JobStatus::Running, _) => ("it is running", "`lancekeeper jobs show` says how far it is"),
        (_, JobKind::Cleanup) => (
            "what a cleanup deletes is decided anew each time",
            "run `lancekeeper cleanup`, which shows it, and then with --confirm",
        ),
        (_, JobKind::Recover | JobKind::Repair | JobKind::Migrate) => (
            "what is to be done to a graph as a whole is decided anew each time",
            "run the verb again, which shows it, and then with --confirm",
        ),
        _ => return None,
    };
    Some(RootFailure {
        message: format!("job {} is not resumed: {message}", job.id),
        hint: Some(hint.to_owned()),
        kind: ErrorKind::Refused,
        cause: None,
    })
}

/// What a run is to do in place of a job.
fn options_of(job: &JobRecord, options: OptimizeOptions) -> OptimizeOptions {
    let branches = match &*job.branch {
        "main" => BranchSelection::Main,
        named => BranchSelection::Named(vec![named.to_owned()]),
    };
    // Which rows indexes lack stands in the table; a layout may not have come so far.
    let layout = job.layout.as_ref().filter(|_| job.kind == JobKind::Layout);
    let layout = options.layout.clone().or_else(|| layout?.parse().ok());
    let statistics = options.statistics || job.kind == JobKind::Statistics;
    let tables = vec![job.table.clone()];
    OptimizeOptions { tables, branches, layout, statistics, ..options }
}

fn one(
    root: &str,
    job: Result<JobRecord, JobsError>,
    done: impl Fn(&JobRecord) -> Option<String>,
) -> JobsReport {
    let mut report = RootJobs::of(root);
    match job {
        Ok(job) => {
            let body: &mut JobsBody = &mut report.body;
            body.done = done(&job);
            body.in_full = body.done.is_none();
            body.jobs.push(job);
        }
        Err(error) => report.fail(failure(error)),
    }
    Report::new(false, vec![report], 0)
}

fn failure(error: JobsError) -> RootFailure {
    RootFailure {
        message: error.to_string(),
        hint: error.hint().map(ToOwned::to_owned),
        kind: error.kind(),
        cause: Some(Arc::new(error)),
    }
}
