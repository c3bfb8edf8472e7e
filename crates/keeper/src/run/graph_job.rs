//! The job of a run that works on a graph as a whole: it begins right before the first thing is written, so that a run
//! that is killed leaves a job that says so, and a run that finds nothing to do leaves none. It stands at `__manifest`.
//!
//! Not here: what a job says of itself (`run::jobs`).

use lancekeeper_model::{
    Branch, ErrorKind, JobKind, JobRecord, OperationId, RootFailure, without_secrets,
};
use lancekeeper_planner::jobs::Ended;
use lancekeeper_store::Root;
use lancekeeper_store::root::MANIFEST_DIR;
use tokio::sync::OnceCell;

use super::Context;
use super::jobs::{Job, UnderWay};

/// The job of a run over a graph.
#[derive(Debug)]
pub(crate) struct GraphJob<'a> {
    context: &'a Context,
    root: &'a Root,
    operation: &'a OperationId,
    kind: JobKind,
    branch: Branch,
    /// None where nobody writes jobs down.
    job: OnceCell<Option<Job>>,
}

impl<'a> GraphJob<'a> {
    /// A job of main that has not begun.
    pub(crate) fn new(
        context: &'a Context,
        root: &'a Root,
        operation: &'a OperationId,
        kind: JobKind,
    ) -> Self {
        let (branch, job) = (Branch::main(), OnceCell::new());
        Self { context, root, operation, kind, branch, job }
    }

    /// The same, of a branch.
    pub(crate) fn of(mut self, branch: &Branch) -> Self {
        self.branch = branch.clone();
        self
    }

    /// Begins it, unless it has begun, and adds so many steps to its plan. `live`: runs of others that are under way.
    ///
    /// # Cancel safety
    ///
    /// It is written down or not.
    pub(crate) async fn begin(&self, live: &[OperationId], plan: &str, steps: usize) {
        let begun = || {
            let operations = live.iter().chain([self.operation]).cloned().collect();
            let alive = UnderWay { operations, somebody_else: false };
            let record = JobRecord {
                operation: self.operation.to_string(),
                root: without_secrets(&self.root.address),
                table: MANIFEST_DIR.to_owned(),
                branch: self.branch.to_string(),
                kind: self.kind,
                plan: plan.to_owned(),
                ..JobRecord::default()
            };
            let files = self.root.files();
            async move { Job::begin(self.context, files, &alive, record).await }
        };
        if let Some(job) = self.job.get_or_init(begun).await {
            job.note(|record| record.progress.groups_planned += steps as u64);
        }
    }

    /// Whether the next step may be taken: nobody asked for the end of the job.
    ///
    /// # Cancel safety
    ///
    /// As [`Job::may_go_on`].
    pub(crate) async fn may_go_on(&self) -> bool {
        match self.job.get() {
            Some(Some(job)) => job.may_go_on().await,
            _ => true,
        }
    }

    /// Ends it, if it has begun. `failure`: what ended the run. `done`: how many steps were done.
    ///
    /// # Cancel safety
    ///
    /// Not written down, the next run closes it.
    pub(crate) async fn end(&self, done: usize, failure: Option<&RootFailure>) {
        let Some(Some(job)) = self.job.get() else { return };
        let mut is_left = false;
        job.note(|record| {
            record.progress.groups_done = done as u64;
            is_left = record.progress.groups_done < record.progress.groups_planned;
        });
        let said = failure.filter(|failure| failure.kind != ErrorKind::Interrupted);
        let ended = Ended {
            error: said.map(|failure| (failure.message.as_str(), failure.kind)),
            committed: done > 0,
            cancelled: job.is_cancelled(),
            left: is_left,
            root: failure,
            reason: "somebody else was faster, or it has to wait",
        };
        job.end(self.context, &ended).await;
    }
}
