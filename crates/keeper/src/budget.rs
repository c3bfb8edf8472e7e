//! What one run may still spend: bytes, decided by the planner before anything is read, and
//! time, looked at before each piece of work is begun. Nothing here stops what was begun.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use lancekeeper_model::{BudgetLimit, OptimizeOptions, SkipReason, TableOptimizeStats, WorkLeft};
use lancekeeper_planner::optimize::{ByteBudget, Group, Offer};

use crate::optimize::TableRun;

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

    /// Takes from the plans of some tables what the bytes allow, and spends it. What is left of
    /// a table stands in its row. Versions of ours that only need publishing cost nothing; what
    /// such a table has to do besides is offered in the next round.
    pub(crate) fn cut(&self, tables: &mut [TableRun]) {
        let Some(bytes) = &self.bytes else { return };
        let mut offered: Vec<&mut TableRun> =
            tables.iter_mut().filter(|table| table.plan.is_some() && !table.adopt).collect();
        let offers: Vec<Offer<'_>> = offered
            .iter()
            .map(|table| Offer {
                groups: table.plan.as_ref().map_or(&[], |plan| &plan.groups),
                indexes: !table.index_work.is_empty(),
                index_bytes: table.index_bytes,
            })
            .collect();
        let shares = bytes.lock().unwrap_or_else(PoisonError::into_inner).take(&offers);
        for (table, share) in offered.iter_mut().zip(shares) {
            table.keep(&share.groups, share.indexes);
        }
    }
}

impl TableRun {
    /// Leaves of the plan what is not named here.
    fn keep(&mut self, groups: &[usize], indexes: bool) {
        let Some(plan) = &self.plan else { return };
        let mut left = left_of(
            BudgetLimit::MaxBytes,
            plan.groups.iter().enumerate().filter(|(at, _)| !groups.contains(at)).map(|(_, g)| g),
        );
        if !indexes && !self.index_work.is_empty() {
            left.left_by = Some(BudgetLimit::MaxBytes);
            left.indexes_left = self.index_work.len() as u64;
            left.bytes_left = left.bytes_left.saturating_add(self.index_bytes);
        }
        if left.is_nothing() {
            return;
        }
        if groups.is_empty() && !indexes {
            self.plan = None;
            self.index_work.clear();
        } else {
            let part = plan.only(groups);
            self.plan = Some(self.with_index_reason(part));
            self.stats.reason = self.plan.as_ref().map_or_else(String::new, |p| p.reason.clone());
        }
        leave(&mut self.stats, left, self.plan.is_none());
    }
}

/// What groups that are not begun add up to.
pub(crate) fn left_of<'a>(
    limit: BudgetLimit,
    groups: impl IntoIterator<Item = &'a Group>,
) -> WorkLeft {
    let mut left = WorkLeft::default();
    for group in groups {
        left.left_by = Some(limit);
        left.groups_left += 1;
        left.fragments_left += group.fragments.len() as u64;
        left.bytes_left = left.bytes_left.saturating_add(group.bytes);
    }
    left
}

/// Writes into a table's row what was left of it, and whether that was all there was.
pub(crate) fn leave(stats: &mut TableOptimizeStats, left: WorkLeft, is_all: bool) {
    stats.left.add(&left);
    if is_all && !left.is_nothing() && !stats.committed && stats.skipped.is_none() {
        stats.skipped = Some(SkipReason::BudgetSpent);
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
        assert!(over.may_begin());
        assert!((0..3).all(|_| !over.may_begin()));
        let in_time = of(Duration::from_secs(3600), Duration::ZERO);
        assert!((0..3).all(|_| in_time.may_begin()));
    }

    #[test]
    fn a_time_beyond_every_clock_is_no_limit() {
        let budget = of(Duration::MAX, Duration::ZERO);
        assert!((0..3).all(|_| budget.may_begin()));
    }
}
