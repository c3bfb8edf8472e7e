//! What writes the jobs of a keeper's runs down. A record that cannot be written is said once a root, and the run goes
//! on without it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper::{JobLog, UnderWay};
use lancekeeper_model::{JOB_SCHEMA, JobRecord, JobStatus};
use lancekeeper_store::Files;

use super::seen::liveness;
use super::{Jobs, JobsError, new_job_id, process};

/// How often a job that goes on says how far it is: often enough for a person who looks, and a run of a second pays
/// nothing for it.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// Runs and roots that are remembered before all of them are forgotten: forgetting costs one more look each.
const REMEMBERED_MAX: usize = 4_096;

/// Records jobs under `__maintenance/jobs/` of their roots. One serves any number of runs and roots.
#[derive(Debug, Default)]
pub struct Recorder {
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// Runs that have closed dead jobs of their root.
    swept: HashSet<String>,
    /// Roots that it was said of that they have no records.
    told: HashSet<String>,
    /// When a job that goes on was last written.
    written: HashMap<String, Instant>,
}

impl Recorder {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // What is in it are hints: one that a panic left half done costs a look.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that there is no record, once a root.
    fn tell(&self, root: &Files, error: &JobsError) {
        let place = root.place_of("");
        let mut memory = self.memory();
        if memory.told.len() >= REMEMBERED_MAX {
            memory.told.clear();
        }
        if memory.told.insert(place.clone()) {
            tracing::warn!(target: "lancekeeper::jobs", root = place, %error,
                "jobs of this root are not recorded; the work goes on");
        }
    }

    /// Whether this is the first job of a run.
    fn is_first(&self, operation: &str) -> bool {
        let mut memory = self.memory();
        if memory.swept.len() >= REMEMBERED_MAX {
            memory.swept.clear();
        }
        memory.swept.insert(operation.to_owned())
    }

    /// Remembers when a job was written. Of runs that were dropped nobody hears the end.
    fn wrote(&self, id: &str) {
        let mut memory = self.memory();
        if memory.written.len() >= REMEMBERED_MAX {
            memory.written.clear();
        }
        memory.written.insert(id.to_owned(), Instant::now());
    }

    /// Whether it is time to say how far a job is.
    fn is_due(&self, id: &str) -> bool {
        let mut memory = self.memory();
        let Some(last) = memory.written.get_mut(id) else { return false };
        let is_due = last.elapsed() >= PROGRESS_EVERY;
        if is_due {
            *last = Instant::now();
        }
        is_due
    }

    async fn begun(
        &self,
        root: &Files,
        mut record: JobRecord,
        alive: &UnderWay,
    ) -> Result<JobRecord, JobsError> {
        let jobs = Jobs::of(root);
        let now = record.started_at.unwrap_or(record.queued_at);
        let queued = match &*record.id {
            "" => None,
            id => jobs.show(id).await?,
        };
        let is_it = |queued: &JobRecord| {
            queued.compaction_status == JobStatus::Queued && queued.table == record.table
        };
        match queued.filter(is_it) {
            Some(queued) => record.queued_at = queued.queued_at,
            None => record.id = new_job_id(),
        }
        (record.schema, record.compaction_status) = (JOB_SCHEMA, JobStatus::Running);
        (record.host, record.process) = (process::host(), std::process::id());
        jobs.write(&record).await?;
        self.wrote(&record.id);
        if self.is_first(&record.operation) {
            // The job stands by now: what goes wrong here is not its affair.
            let swept = async {
                jobs.close_dead(|job| liveness(job, alive), now).await?;
                jobs.prune(Some(&record.id), now).await
            };
            if let Err(error) = swept.await {
                tracing::warn!(target: "lancekeeper::jobs", root = root.place_of(""), %error,
                    "old jobs are not cleared away");
            }
        }
        Ok(record)
    }

    async fn advanced(&self, root: &Files, record: &JobRecord) -> Result<bool, JobsError> {
        let jobs = Jobs::of(root);
        if self.is_due(&record.id) {
            jobs.write(record).await?;
        }
        jobs.is_cancel_requested(&record.id).await
    }
}

impl JobLog for Recorder {
    fn begin<'a>(
        &'a self,
        root: &'a Files,
        record: JobRecord,
        alive: &'a UnderWay,
    ) -> BoxFuture<'a, Option<JobRecord>> {
        async move {
            let begun = self.begun(root, record, alive).await;
            begun.inspect_err(|error| self.tell(root, error)).ok()
        }
        .boxed()
    }

    fn advance<'a>(&'a self, root: &'a Files, record: JobRecord) -> BoxFuture<'a, bool> {
        async move {
            let advanced = self.advanced(root, &record).await;
            advanced.inspect_err(|error| self.tell(root, error)).unwrap_or(false)
        }
        .boxed()
    }

    fn end<'a>(&'a self, root: &'a Files, mut record: JobRecord) -> BoxFuture<'a, ()> {
        async move {
            self.memory().written.remove(&record.id);
            record.memory_peak_bytes = process::memory_peak();
            if let Err(error) = Jobs::of(root).end(&record).await {
                self.tell(root, &error);
            }
        }
        .boxed()
    }
}
