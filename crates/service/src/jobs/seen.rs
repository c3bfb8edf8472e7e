//! The jobs of a root as a person sees them: with those whose process is gone told as such. Nothing is closed
//! by looking.

use chrono::{DateTime, Utc};
use lancekeeper::{UnderWay, under_way};
use lancekeeper_model::JobRecord;
use lancekeeper_planner::jobs::{Liveness, closed};
use lancekeeper_store::root::recognise;

use super::{JobList, Jobs, JobsError};

/// The jobs of a root, the newest first.
///
/// # Errors
///
/// When the place is no root, or its jobs cannot be read.
///
/// # Cancel safety
///
/// As [`Jobs::open`].
pub async fn jobs_of(uri: &str, now: DateTime<Utc>) -> Result<JobList, JobsError> {
    let mut list = jobs_at(uri).await?.list().await?;
    if list.jobs.iter().any(|job| !job.compaction_status.is_over()) {
        let alive = alive(uri).await?;
        for job in &mut list.jobs {
            as_seen(job, &alive, now);
        }
    }
    Ok(list)
}

/// One job of a root.
///
/// # Errors
///
/// [`JobsError::Unknown`] when there is none of that id; else as [`jobs_of`].
pub async fn find_job(uri: &str, id: &str, now: DateTime<Utc>) -> Result<JobRecord, JobsError> {
    let Some(mut job) = jobs_at(uri).await?.show(id).await? else {
        return Err(JobsError::Unknown { root: uri.to_owned(), id: id.to_owned() });
    };
    if !job.compaction_status.is_over() {
        as_seen(&mut job, &alive(uri).await?, now);
    }
    Ok(job)
}

/// Asks for the end of a job, and returns it as it is then.
///
/// # Errors
///
/// As [`find_job`], and when the request cannot be written.
///
/// # Cancel safety
///
/// The request stands or does not.
pub async fn cancel_job(uri: &str, id: &str, now: DateTime<Utc>) -> Result<JobRecord, JobsError> {
    let seen = find_job(uri, id, now).await?;
    // A request to a process that is gone would be found by whoever closes the job, and told as its end.
    if seen.compaction_status.is_over() {
        return Ok(seen);
    }
    let cancelled = jobs_at(uri).await?.request_cancel(id, now).await?;
    let Some(mut job) = cancelled else {
        return Err(JobsError::Unknown { root: uri.to_owned(), id: id.to_owned() });
    };
    if !job.compaction_status.is_over() {
        as_seen(&mut job, &alive(uri).await?, now);
    }
    Ok(job)
}

/// What runs tell of a job: that its process is gone is a fact, that it has not begun is none.
pub(super) fn liveness(job: &JobRecord, under_way: &UnderWay) -> Liveness {
    let is_alive = |operation: &str| under_way.operations.iter().any(|o| o.as_str() == operation);
    match &*job.operation {
        "" => Liveness::Unknown,
        operation if is_alive(operation) => Liveness::Alive,
        _ if under_way.somebody_else => Liveness::Unknown,
        _ => Liveness::Dead,
    }
}

fn as_seen(job: &mut JobRecord, alive: &UnderWay, now: DateTime<Utc>) {
    if let Some(closed) = closed(job, liveness(job, alive), false, now) {
        // Nobody knows when it died.
        *job = JobRecord { ended_at: None, ..closed };
    }
}

async fn jobs_at(uri: &str) -> Result<Jobs, JobsError> {
    let uri = uri.to_owned();
    let root = tokio::task::spawn_blocking(move || recognise(&uri)).await??;
    Ok(Jobs::of(&root.files()))
}

async fn alive(uri: &str) -> Result<UnderWay, JobsError> {
    let uri = uri.to_owned();
    Ok(tokio::task::spawn_blocking(move || under_way(&uri)).await??)
}
