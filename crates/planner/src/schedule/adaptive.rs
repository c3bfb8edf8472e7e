//! How many small fragments are a reason to merge where nobody says: it follows the table's own rate of appends.
//!
//! Two prices stand against each other. Each open fragment costs every reader a request or two, and each run costs a
//! commit and, below the floor of the size tiers, up to that floor of writing. A run for every append would pay the
//! second one in full; so a run waits for [`APPENDS_LEAST`] fragments at least. A table that is appended to faster
//! collects them for [`APPEND_PERIOD`] instead, and never more than [`APPENDS_MOST`].

use std::time::Duration;

use lancekeeper_model::EffectivePolicy;

use super::memory::Pace;

/// A run for fewer fragments would cost more than a quarter of a commit for each append.
pub const APPENDS_LEAST: u64 = 4;
/// More open fragments than this are felt by every query, however fast they come.
pub const APPENDS_MOST: u64 = 64;
/// For how long fragments are collected, as long as the bounds let it.
pub const APPEND_PERIOD: Duration = Duration::from_secs(3);

/// The shortest time after which writers count as gone for now.
const SETTLED_LEAST: Duration = Duration::from_secs(2);
/// The longest. A watcher that looks once takes it that this has passed.
pub const SETTLED_MOST: Duration = Duration::from_secs(60);
/// After so many of their usual intervals writers count as gone for now.
const SETTLED_INTERVALS: f64 = 5.0;

/// How many fragments a merge must take for a run.
pub(super) fn trigger(policy: &EffectivePolicy, pace: &Pace) -> u64 {
    let Some(rate) = pace.rate().filter(|_| policy.is_adaptive) else {
        return policy.threshold_files;
    };
    let collected = (rate * APPEND_PERIOD.as_secs_f64()).ceil();
    // From a float as large as any to the nearest number: never out of bounds after the clamp.
    (collected as u64).clamp(APPENDS_LEAST, APPENDS_MOST)
}

/// From when on a table counts as left alone by its writers, so that what they left is merged below the trigger, too.
/// Where their interval is not known, after [`SETTLED_MOST`].
pub(super) fn settled_from(pace: &Pace) -> Duration {
    let pause =
        pace.interval().map_or(SETTLED_MOST, |interval| interval.mul_f64(SETTLED_INTERVALS));
    // A table that was never appended to has been alone since the watcher began.
    pace.last().unwrap_or_default().saturating_add(pause.clamp(SETTLED_LEAST, SETTLED_MOST))
}
