//! Closing jobs whose process is gone, and forgetting the oldest of those that are over.

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_model::JobRecord;
use lancekeeper_planner::jobs::{Kept, Liveness, closed, dropped};
use ulid::Ulid;

use super::{JobList, Jobs, JobsError, name_of};

/// Of so many jobs that begin, one looks through the whole history when it is long enough for the rule about
/// numbers: else every run would read a thousand documents for the one that is too much.
const TURNS: u128 = 16;

impl Jobs {
    /// Closes the open jobs whose processes are gone, and returns them as they are now.
    ///
    /// # Errors
    ///
    /// When they cannot be read or written.
    ///
    /// # Cancel safety
    ///
    /// Each job is open or over.
    pub async fn close_dead(
        &self,
        liveness: impl Fn(&JobRecord) -> Liveness,
        now: DateTime<Utc>,
    ) -> Result<Vec<JobRecord>, JobsError> {
        let mut all = Vec::new();
        let open = self.open().await?;
        tell(&open.warnings);
        for record in open.jobs {
            if liveness(&record) != Liveness::Dead {
                continue;
            }
            if self.over.size(&name_of(&record.id)).await?.is_some() {
                // Its run died between the two steps of its end.
                self.open.delete(&name_of(&record.id)).await?;
                continue;
            }
            let is_cancelled = self.is_cancel_requested(&record.id).await?;
            let Some(record) = closed(&record, Liveness::Dead, is_cancelled, now) else { continue };
            self.end(&record).await?;
            tracing::info!(target: "lancekeeper::jobs", job = record.id, table = record.table,
                status = %record.compaction_status, "closed a job whose process is gone");
            all.push(record);
        }
        Ok(all)
    }

    /// Forgets jobs that are over as the rule says, and returns how many. `begun`, the job that begins now, decides
    /// whether it is a turn of the rule about numbers; `None` makes it one.
    ///
    /// # Errors
    ///
    /// When documents cannot be read or deleted.
    ///
    /// # Cancel safety
    ///
    /// Each document is there or not.
    pub async fn prune(&self, begun: Option<&str>, now: DateTime<Utc>) -> Result<usize, JobsError> {
        let names = self.over.names(".json").await?;
        // A job ends after its id was made: a young id cannot be of one that is too old.
        let is_old = |name: &String| age(name, now).is_none_or(|age| age >= self.policy.max_age);
        let is_turn = begun.is_none_or(is_turn);
        let looked_at = match names.len() > self.policy.per_table && is_turn {
            true => names,
            false => names.into_iter().filter(is_old).collect(),
        };
        if looked_at.is_empty() {
            return Ok(0);
        }
        let JobList { jobs, warnings } = self.read_those(&self.over, looked_at).await?;
        tell(&warnings);
        let gone = dropped(jobs.iter().map(Kept::from), &self.policy, now);
        for id in &gone {
            self.over.delete(&name_of(id)).await?;
        }
        for directory in [&self.damaged, &self.cancel] {
            for name in directory.names(".json").await?.iter().filter(|name| is_old(name)) {
                directory.delete(name).await?;
            }
        }
        Ok(gone.len())
    }
}

/// Says which documents say nothing, where nobody is told otherwise.
fn tell(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(target: "lancekeeper::jobs", "{warning}");
    }
}

/// How long ago the id in a file's name was made; `None` if it is no id.
fn age(name: &str, now: DateTime<Utc>) -> Option<TimeDelta> {
    let id = Ulid::from_string(name.strip_suffix(".json")?).ok()?;
    let made = DateTime::<Utc>::from_timestamp_millis(i64::try_from(id.timestamp_ms()).ok()?)?;
    Some(now - made)
}

/// One of [`TURNS`], by the random part of an id.
fn is_turn(id: &str) -> bool {
    Ulid::from_string(id).is_ok_and(|id| id.random() % TURNS == 0)
}
