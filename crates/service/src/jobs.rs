//! Jobs of a root: the documents under `__maintenance/jobs/`, written and read.
//!
//! | path | what |
//! |---|---|
//! | `open/ID.json` | a job that is queued or running |
//! | `ID.json` | a job that is over; never written again |
//! | `cancel/ID.json` | somebody asks for the end of that job |
//! | `damaged/ID.json` | what was no document, moved aside |
//! | `noops/watch.json` | how often a watcher found nothing to do |
//!
//! So whoever looks for what is open reads no history. A job that ends is written to its last place first: found in
//! both, it is over.
//!
//! Not here: which jobs are closed or forgotten (`planner::jobs`), what a document says (`model::JobRecord`).

mod error;
mod log;
mod noops;
mod process;
mod seen;
mod sweep;
mod verbs;

use chrono::{DateTime, SecondsFormat, Utc};
use futures::StreamExt;
use lancekeeper_model::{JobDocumentError, JobRecord, JobStatus, file_name_of};
use lancekeeper_planner::jobs::HistoryPolicy;
use lancekeeper_store::Files;

pub use error::JobsError;
pub use log::Recorder;
pub use noops::{NoopCount, Noops};
pub use seen::{cancel_job, find_job, jobs_of};
pub use verbs::{cancel, list_jobs, resume, show_job};

/// Where the documents lie, relative to the root.
pub const JOBS_DIRECTORY: &str = "__maintenance/jobs";
/// The directories in it.
const OPEN: &str = "open";
const CANCEL: &str = "cancel";
const DAMAGED: &str = "damaged";
/// Documents that are read at the same time: each takes a thread for as long as one small file takes.
const READS_AT_ONCE: usize = 16;

/// The jobs of one root. Cheap to make and to clone; nothing is looked at or created by that.
#[derive(Debug, Clone)]
pub struct Jobs {
    over: Files,
    open: Files,
    cancel: Files,
    damaged: Files,
    noops: Files,
    policy: HistoryPolicy,
}

/// What the documents of a root say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobList {
    /// The jobs, the newest first.
    pub jobs: Vec<JobRecord>,
    /// Documents that say nothing: damaged ones, and those of a newer program.
    pub warnings: Vec<String>,
}

/// A new id of a job.
#[must_use]
pub fn new_job_id() -> String {
    ulid::Ulid::generate().to_string()
}

impl Jobs {
    /// Those among the files of a root.
    #[must_use]
    pub fn of(root: &Files) -> Self {
        let over = root.below(JOBS_DIRECTORY);
        let (open, cancel, damaged) = (over.below(OPEN), over.below(CANCEL), over.below(DAMAGED));
        let (noops, policy) = (over.below(noops::NOOPS), HistoryPolicy::default());
        Self { over, open, cancel, damaged, noops, policy }
    }

    /// The same, with another rule about how much is kept.
    #[must_use]
    pub fn keeping(self, policy: HistoryPolicy) -> Self {
        Self { policy, ..self }
    }

    /// Every job, open or over, the newest first. Documents that are damaged are moved aside, if that can be done,
    /// and told.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed or a document cannot be read.
    ///
    /// # Cancel safety
    ///
    /// As [`Jobs::open`].
    pub async fn list(&self) -> Result<JobList, JobsError> {
        // Open ones first: one that ends meanwhile is then found in both places, and not in neither.
        let open = self.read_all(&self.open).await?;
        let mut list = self.read_all(&self.over).await?;
        let is_over = |id: &str| list.jobs.binary_search_by(|job| (*job.id).cmp(id)).is_ok();
        let still: Vec<JobRecord> = open.jobs.into_iter().filter(|job| !is_over(&job.id)).collect();
        list.jobs.extend(still);
        list.jobs.sort_by(|a, b| b.id.cmp(&a.id));
        list.warnings.extend(open.warnings);
        Ok(list)
    }

    /// The jobs that are queued or running as far as documents tell, the oldest first.
    ///
    /// # Errors
    ///
    /// As [`Jobs::list`].
    ///
    /// # Cancel safety
    ///
    /// A damaged document is where it was, aside, or in both places.
    pub async fn open(&self) -> Result<JobList, JobsError> {
        self.read_all(&self.open).await
    }

    /// One job; `None` if there is none of that id.
    ///
    /// # Errors
    ///
    /// When its document cannot be read, is damaged, or is of a newer program.
    pub async fn show(&self, id: &str) -> Result<Option<JobRecord>, JobsError> {
        let open = read(&self.open, id).await?;
        // In this order: one that ends meanwhile is found in both.
        Ok(read(&self.over, id).await?.or(open))
    }

    /// Writes down a job that is queued or running, or how far it is.
    ///
    /// # Errors
    ///
    /// When it cannot be written; what was there before then stays.
    ///
    /// # Cancel safety
    ///
    /// The document is the new one as a whole, or what it was.
    pub async fn write(&self, record: &JobRecord) -> Result<(), JobsError> {
        let document = self.document(record)?;
        Ok(self.open.put(&name_of(&record.id), document).await?)
    }

    /// Writes down how a job ended.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the job then counts as open, and is closed once its process is gone.
    ///
    /// # Cancel safety
    ///
    /// The job is open or over; a request for its end may stay and is cleared away later.
    pub async fn end(&self, record: &JobRecord) -> Result<(), JobsError> {
        let (name, document) = (name_of(&record.id), self.document(record)?);
        self.over.put(&name, document).await?;
        self.open.delete(&name).await?;
        Ok(self.cancel.delete(&name).await?)
    }

    /// Asks for the end of a job. The run that works on it looks between two groups. One that is queued is over at
    /// once. Returns the job as it is then; `None` if there is none of that id.
    ///
    /// # Errors
    ///
    /// When the job cannot be read, or the request cannot be written.
    ///
    /// # Cancel safety
    ///
    /// The request stands or does not.
    pub async fn request_cancel(
        &self,
        id: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<JobRecord>, JobsError> {
        let Some(mut record) = self.show(id).await? else { return Ok(None) };
        match record.compaction_status {
            JobStatus::Running => {
                let at = now.to_rfc3339_opts(SecondsFormat::Secs, true);
                let request = format!("{{\"schema\": 1, \"requested_at\": \"{at}\"}}\n");
                self.cancel.put(&name_of(id), request).await?;
            }
            JobStatus::Queued => {
                record.compaction_status = JobStatus::Cancelled;
                record.outcome = "cancelled before it began".to_owned();
                record.ended_at = Some(now.max(record.queued_at));
                self.end(&record).await?;
            }
            _ => {}
        }
        Ok(Some(record))
    }

    /// Whether somebody asked for the end of a job.
    ///
    /// # Errors
    ///
    /// When that cannot be found out.
    pub async fn is_cancel_requested(&self, id: &str) -> Result<bool, JobsError> {
        Ok(self.cancel.size(&name_of(id)).await?.is_some())
    }

    fn document(&self, record: &JobRecord) -> Result<String, JobsError> {
        let place = || self.over.place_of(&name_of(&record.id));
        record.to_json().map_err(|source| JobsError::Document { place: place(), source })
    }

    /// The documents that lie directly in a directory, in the order of their ids.
    async fn read_all(&self, directory: &Files) -> Result<JobList, JobsError> {
        self.read_those(directory, directory.names(".json").await?).await
    }

    /// These documents of a directory. What is damaged is moved aside, and what is of a newer program left alone.
    async fn read_those(
        &self,
        directory: &Files,
        names: Vec<String>,
    ) -> Result<JobList, JobsError> {
        let reads = names.iter().map(|name| read_file(directory, name));
        let read = futures::stream::iter(reads.collect::<Vec<_>>()).buffered(READS_AT_ONCE);
        let read: Vec<Result<Option<JobRecord>, JobsError>> = read.collect().await;
        let mut list = JobList::default();
        for (name, found) in names.iter().zip(read) {
            match found {
                Ok(record) => list.jobs.extend(record),
                Err(error @ (JobsError::Document { .. } | JobsError::Renamed { .. })) => {
                    let is_damaged = !matches!(
                        error,
                        JobsError::Document { source: JobDocumentError::Newer { .. }, .. }
                    );
                    let mut said = error.to_string();
                    if is_damaged && self.move_aside(directory, name).await.is_ok() {
                        said = format!("{said}; it was moved to {}", self.damaged.place_of(name));
                    }
                    list.warnings.push(said);
                }
                Err(error) => return Err(error),
            }
        }
        list.jobs.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(list)
    }

    /// Moves a document aside, so that nobody stumbles over it again.
    async fn move_aside(&self, directory: &Files, name: &str) -> Result<(), JobsError> {
        let Some(content) = directory.read(name).await? else { return Ok(()) };
        self.damaged.put(name, content).await?;
        Ok(directory.delete(name).await?)
    }
}

/// The file of a job.
fn name_of(id: &str) -> String {
    format!("{}.json", file_name_of(id))
}

async fn read(directory: &Files, id: &str) -> Result<Option<JobRecord>, JobsError> {
    read_file(directory, &name_of(id)).await
}

/// The job of a document; `None` when it is gone.
async fn read_file(directory: &Files, name: &str) -> Result<Option<JobRecord>, JobsError> {
    let understood = directory.read_as(name, |content| JobRecord::from_json(&content)).await?;
    let place = || directory.place_of(name);
    let Some(understood) = understood else { return Ok(None) };
    let record = understood.map_err(|source| JobsError::Document { place: place(), source })?;
    // A copy under another name would be ended in one place and stay open in the other.
    if name_of(&record.id) != name {
        return Err(JobsError::Renamed { place: place(), id: record.id });
    }
    Ok(Some(record))
}

#[cfg(test)]
mod tests;
