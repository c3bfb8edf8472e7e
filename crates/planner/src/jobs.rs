//! Jobs: how one ends, which open ones are closed because their process is gone, and which ended ones history
//! drops.
//!
//! Pure. Who lives is a fact that is given in, and so is the time. Not here: the documents (`service::jobs`).

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_model::{ErrorKind, JobError, JobKind, JobRecord, JobStatus, RootFailure};

#[cfg(test)]
mod tests;

/// How long an ended job is kept, unless told.
pub const HISTORY_DAYS: i64 = 30;
/// How many ended jobs of a table are kept, unless told.
pub const HISTORY_PER_TABLE: usize = 1_000;

/// What is known of the process that works on a job, or has put it in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It lives.
    Alive,
    /// It is gone.
    Dead,
    /// Nobody can tell. Nothing follows from that.
    Unknown,
}

/// An open job as it is closed because its process is gone; `None` if it stays as it is. `is_cancelled`: somebody
/// had asked for its end.
#[must_use]
pub fn closed(
    record: &JobRecord,
    liveness: Liveness,
    is_cancelled: bool,
    now: DateTime<Utc>,
) -> Option<JobRecord> {
    if liveness != Liveness::Dead || record.compaction_status.is_over() {
        return None;
    }
    let mut closed = record.clone();
    // A clock that was set back must not let a job end before it began.
    closed.ended_at = Some(now.max(record.started_at.unwrap_or(record.queued_at)));
    match record.compaction_status {
        _ if is_cancelled => {
            closed.compaction_status = JobStatus::Cancelled;
            closed.outcome = "it was cancelled, and its process died before it ended".to_owned();
        }
        JobStatus::Queued => {
            closed.compaction_status = JobStatus::Cancelled;
            closed.outcome = "the process that had queued it died before it began".to_owned();
        }
        _ => {
            closed.compaction_status = JobStatus::Failed;
            let hint = match record.kind {
                JobKind::Recover | JobKind::Repair | JobKind::Migrate => {
                    "run it again: it goes on from where it was"
                }
                _ => {
                    "run it again (jobs resume): what it had finished is taken over, if the table is still as it was"
                }
            };
            let message = "its process died before it was done";
            closed.error =
                Some(JobError::new(message, ErrorKind::Interrupted, Some(hint.to_owned())));
        }
    }
    Some(closed)
}

/// What is known of a job's work when it ends.
#[derive(Debug, Clone, Default)]
pub struct Ended<'a> {
    /// Why the table failed, if it did, with the kind of that.
    pub error: Option<(&'a str, ErrorKind)>,
    /// Whether readers see something new.
    pub committed: bool,
    /// Whether somebody asked for the end of the job, and it heard of that.
    pub cancelled: bool,
    /// Whether the work was left to a later run, by a budget or by an end that came too early.
    pub left: bool,
    /// Why the run over the root ended early, if it did.
    pub root: Option<&'a RootFailure>,
    /// What was planned, or why nothing was done, in words.
    pub reason: &'a str,
}

/// Ends a job: success with numbers, a no-op with its reason, or an error. One that was asked to end is cancelled.
pub fn end(record: &mut JobRecord, ended: &Ended<'_>, now: DateTime<Utc>) {
    record.ended_at = Some(now.max(record.started_at.unwrap_or(record.queued_at)));
    let progress = &record.progress;
    let so_far = match record.kind {
        JobKind::Cleanup => {
            format!("{} of {} files went", progress.groups_done, progress.groups_planned)
        }
        JobKind::Recover | JobKind::Repair | JobKind::Migrate => {
            format!("{} of {} steps were done", progress.groups_done, progress.groups_planned)
        }
        _ => format!("{} of {} groups were done", progress.groups_done, progress.groups_planned),
    };
    let (status, outcome) = match ended {
        Ended { error: Some((message, kind)), .. } => {
            record.error = Some(JobError::new(*message, *kind, None));
            (JobStatus::Failed, String::new())
        }
        Ended { cancelled: true, .. } => (JobStatus::Cancelled, format!("cancelled: {so_far}")),
        Ended { committed: true, left: true, .. } => {
            (JobStatus::Done, format!("{so_far}, the rest is left to the next run"))
        }
        Ended { committed: true, .. } => (JobStatus::Done, String::new()),
        Ended { root: Some(root), .. } if root.kind == ErrorKind::Interrupted => {
            (JobStatus::Cancelled, format!("the run was asked to stop: {so_far}"))
        }
        Ended { root: Some(root), .. } => {
            record.error = Some(JobError::new(&*root.message, root.kind, root.hint.clone()));
            (JobStatus::Failed, String::new())
        }
        Ended { reason, .. } => (JobStatus::Noop, (*reason).to_owned()),
    };
    (record.compaction_status, record.outcome) = (status, outcome);
}

/// How much of the ended jobs is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryPolicy {
    /// The age from which one goes, counted from its end.
    pub max_age: TimeDelta,
    /// The number of those of one table that stay, the newest.
    pub per_table: usize,
}

impl Default for HistoryPolicy {
    fn default() -> Self {
        Self { max_age: TimeDelta::days(HISTORY_DAYS), per_table: HISTORY_PER_TABLE }
    }
}

/// A job, as far as history looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its table. Branches do not count apart.
    pub table: &'a str,
    /// How far it is, or how it ended.
    pub status: JobStatus,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

impl<'a> From<&'a JobRecord> for Kept<'a> {
    fn from(record: &'a JobRecord) -> Self {
        let (id, table, ended_at) = (&*record.id, &*record.table, record.ended_at);
        Self { id, table, status: record.compaction_status, ended_at }
    }
}

/// The ids of jobs that history drops, sorted. A job that is not over is never among them.
#[must_use]
pub fn dropped<'a>(
    jobs: impl IntoIterator<Item = Kept<'a>>,
    policy: &HistoryPolicy,
    now: DateTime<Utc>,
) -> Vec<&'a str> {
    let over = jobs.into_iter().filter(|job| job.status.is_over());
    let mut over: Vec<_> = over.collect();
    // The newest first; an end that nobody wrote down counts as the oldest.
    over.sort_by(|a, b| (b.ended_at, b.id).cmp(&(a.ended_at, a.id)));
    let mut of_table: HashMap<&str, usize> = HashMap::new();
    let mut dropped = Vec::new();
    for job in over {
        let count = of_table.entry(job.table).or_default();
        *count += 1;
        // An end in the future, by a clock that jumped, is no age.
        let is_old = job.ended_at.is_some_and(|ended| now - ended >= policy.max_age);
        if is_old || *count > policy.per_table {
            dropped.push(job.id);
        }
    }
    dropped.sort_unstable();
    dropped
}
