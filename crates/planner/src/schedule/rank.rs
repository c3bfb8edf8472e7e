//! Which job goes first.

use std::time::Duration;

use super::Job;
use super::due::Due;
use super::facts::TableState;

/// So many seconds of waiting raise a job by a point.
pub const SECONDS_A_POINT: u64 = 6;
/// Points for each step of priority.
const PRIORITY_POINTS: f64 = 10.0;
/// Benefit per cost is worth less than this, however good it is: less than a step of priority.
const WORTH_MOST: f64 = 10.0;
/// The steps from the lowest priority to the highest.
const PRIORITY_STEPS: u64 = 20;
/// After waiting for this long a table is overtaken by none that becomes due later.
pub const OVERTAKEN_MOST: Duration = Duration::from_secs(
    (PRIORITY_STEPS * PRIORITY_POINTS as u64 + WORTH_MOST as u64) * SECONDS_A_POINT,
);
/// A commit costs about as much as writing this: see `optimize::tiers`.
const COMMIT_BYTES: u64 = 1 << 20;

/// What is due as a job with its rank.
pub(super) fn job(table: &TableState<'_>, due: Due, at: Duration) -> Job {
    let Due { work, benefit, cost, reason } = due;
    let waited = table.memory.waited(work, at).as_secs_f64();
    let priority = table.policy.priority.clamp(-10, 10) as f64;
    let rank = priority * PRIORITY_POINTS + worth(benefit, cost) + waited / SECONDS_A_POINT as f64;
    Job { place: table.place.clone(), work, benefit, cost, rank, reason }
}

/// Benefit per cost as points, from 0 to [`WORTH_MOST`].
fn worth(benefit: f64, cost: u64) -> f64 {
    let per_commit = benefit.max(0.0) / (1.0 + cost as f64 / COMMIT_BYTES as f64);
    WORTH_MOST * per_commit / (1.0 + per_commit)
}
