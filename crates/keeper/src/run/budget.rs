//! What one run may still spend: bytes, decided by the planner before anything is read, and
//! time, looked at before each piece of work is begun. Nothing here stops what was begun.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use lancekeeper_model::OptimizeOptions;
use lancekeeper_planner::optimize::{ByteBudget, Offer, Share};

/// The budget of one run, shared by its roots and tables.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    bytes: Option<Mutex<ByteBudget>>,
    deadline: Option<Instant>,
    /// Whether anything was begun. The first piece of work is begun whatever the time: else a
    /// run that takes long to look around would never get on.
    begun: AtomicBool,
}

impl Budget {
    /// The budget of a run that started at a given time.
    pub(crate) fn of(options: &OptimizeOptions, started: Instant) -> Self {
        Self {
            bytes: options.max_bytes.map(|max| Mutex::new(ByteBudget::new(max))),
            // A time that no clock reaches is no limit.
            deadline: options.max_time.and_then(|time| started.checked_add(time)),
            begun: AtomicBool::new(false),
        }
    }

    /// Whether bytes are limited. Who plans then plans everything before anything is begun,
    /// so that the best of it is done.
    pub(crate) fn limits_bytes(&self) -> bool {
        self.bytes.is_some()
    }

    /// Whether another piece of work may be begun. Whoever is told so begins it.
    pub(crate) fn may_begin(&self) -> bool {
        let is_over = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        !self.begun.swap(true, Ordering::Relaxed) || !is_over
    }

    /// Whether the time is over and something was begun, so that nothing more will be.
    pub(crate) fn is_spent(&self) -> bool {
        let is_over = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        is_over && self.begun.load(Ordering::Relaxed)
    }

    /// Takes out of what some tables offer what the bytes allow, and spends it: one share per
    /// offer. `None` when bytes are not limited.
    pub(crate) fn take(&self, offers: &[Offer<'_>]) -> Option<Vec<Share>> {
        let bytes = self.bytes.as_ref()?;
        Some(bytes.lock().unwrap_or_else(PoisonError::into_inner).take(offers))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(max_time: Duration, ago: Duration) -> Budget {
        let options = OptimizeOptions { max_time: Some(max_time), ..OptimizeOptions::default() };
        Budget::of(&options, Instant::now().checked_sub(ago).expect("a clock that runs"))
    }

    #[test]
    fn a_run_without_limits_begins_everything() {
        let budget = Budget::of(&OptimizeOptions::default(), Instant::now());
        assert!(!budget.limits_bytes());
        assert!((0..3).all(|_| budget.may_begin()));
    }

    #[test]
    fn once_the_time_is_over_only_the_very_first_piece_is_begun() {
        let over = of(Duration::from_millis(1), Duration::from_millis(2));
        assert!(!over.is_spent() && over.may_begin() && over.is_spent());
        assert!((0..3).all(|_| !over.may_begin()));
        let in_time = of(Duration::from_secs(3600), Duration::ZERO);
        assert!((0..3).all(|_| in_time.may_begin()) && !in_time.is_spent());
    }

    #[test]
    fn a_time_beyond_every_clock_is_no_limit() {
        let budget = of(Duration::MAX, Duration::ZERO);
        assert!((0..3).all(|_| budget.may_begin()));
    }
}
