//! Jobs of a run: each table that it changes is one, and somebody may write down what becomes of it.
//!
//! Not here: where that is kept (`service::jobs`), when a job begins and ends (the verbs).

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use lancekeeper_model::{CacheStats, JobCaches, JobRecord, OperationId};
use lancekeeper_planner::jobs::{Ended, end};
use lancekeeper_store::Files;

use super::Context;

/// The runs over a root that are under way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnderWay {
    /// Their operations.
    pub operations: Vec<OperationId>,
    /// Somebody else has the root's lock, and has not said which operation it is.
    pub somebody_else: bool,
}

/// Writes jobs down. What goes wrong with that is its own affair: a run goes on without.
pub trait JobLog: Send + Sync {
    /// A job begins; nothing is staged or deleted yet, and the root is locked. `alive` are all runs over the root, that
    /// of the job among them: open jobs of others have no process any more. A record with an id is that of a job that
    /// was put in line, if there is one. Returns the record as it was written, and `None` if it was not.
    ///
    /// # Cancel safety
    ///
    /// The job is written down or not.
    fn begin<'a>(
        &'a self,
        root: &'a Files,
        record: JobRecord,
        alive: &'a UnderWay,
    ) -> BoxFuture<'a, Option<JobRecord>>;

    /// A job is so far. Returns whether somebody asked for its end.
    ///
    /// # Cancel safety
    ///
    /// It is written down or not.
    fn advance<'a>(&'a self, root: &'a Files, record: JobRecord) -> BoxFuture<'a, bool>;

    /// A job is over.
    ///
    /// # Cancel safety
    ///
    /// Not written down, it counts as one whose process died.
    fn end<'a>(&'a self, root: &'a Files, record: JobRecord) -> BoxFuture<'a, ()>;
}

/// Who writes jobs down, if anybody does.
#[derive(Clone, Default)]
pub(crate) struct Log(pub(crate) Option<Arc<dyn JobLog>>);

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Log" } else { "no Log" })
    }
}

/// A job of this run that was written down.
pub(crate) struct Job {
    log: Arc<dyn JobLog>,
    files: Files,
    record: Mutex<JobRecord>,
    caches: CacheStats,
    cancelled: AtomicBool,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Job").field(&self.id()).finish()
    }
}

impl Job {
    /// Begins a job, if somebody writes jobs down. `record` says what is done to which table.
    ///
    /// # Cancel safety
    ///
    /// As [`JobLog::begin`].
    pub(crate) async fn begin(
        context: &Context,
        files: Files,
        alive: &UnderWay,
        record: JobRecord,
    ) -> Option<Self> {
        let log = context.jobs.0.clone()?;
        let (now, cause) = (context.now(), &context.cause);
        let record = JobRecord {
            id: cause.job.clone().unwrap_or_default(),
            trigger: cause.trigger,
            reason: cause.reason.clone(),
            priority: cause.priority,
            queued_at: now,
            started_at: Some(now),
            ..record
        };
        let record = Mutex::new(log.begin(&files, record, alive).await?);
        let (caches, cancelled) = (context.tables.cache_stats().await, AtomicBool::new(false));
        Some(Self { log, files, record, caches, cancelled })
    }

    /// Its id.
    pub(crate) fn id(&self) -> String {
        self.record().id.clone()
    }

    /// Changes what is known of it. It is written down with the next step.
    pub(crate) fn note(&self, change: impl FnOnce(&mut JobRecord)) {
        change(&mut self.record());
    }

    /// Whether it may go on: nobody asked for its end. Once somebody did, it may not any more. Also the moment at which
    /// it is written down how far it is.
    ///
    /// # Cancel safety
    ///
    /// As [`JobLog::advance`].
    pub(crate) async fn may_go_on(&self) -> bool {
        if self.is_cancelled() {
            return false;
        }
        let record = self.record().clone();
        if self.log.advance(&self.files, record).await {
            self.cancelled.store(true, Ordering::Relaxed);
        }
        !self.is_cancelled()
    }

    /// Whether it has heard that somebody asked for its end.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Ends it.
    ///
    /// # Cancel safety
    ///
    /// As [`JobLog::end`].
    pub(crate) async fn end(&self, context: &Context, ended: &Ended<'_>) {
        let after = context.tables.cache_stats().await;
        let now: DateTime<Utc> = context.now();
        let mut record = self.record().clone();
        record.caches = Some(JobCaches::between(&self.caches, &after));
        end(&mut record, ended, now);
        self.log.end(&self.files, record).await;
    }

    fn record(&self) -> MutexGuard<'_, JobRecord> {
        // Every change of it is whole: poison means nothing here.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
