//! What a budget leaves of the plans of some tables, and how the rest is told.

use lancekeeper_model::{BudgetLimit, SkipReason, TableOptimizeStats, WorkLeft};
use lancekeeper_planner::optimize::{Group, Offer};

use crate::optimize::table::TableRun;
use crate::optimize::work::{Planned, Work};
use crate::run::budget::Budget;

/// Cuts the plans of some tables to what the bytes of a budget allow, and spends it. What is left
/// of a table stands in its row. Versions of ours that only need publishing cost nothing; what
/// such a table has to do besides is offered in the next round.
pub(crate) fn cut(budget: &Budget, tables: &mut [TableRun]) {
    let is_offered = |table: &&mut TableRun| matches!(table.work, Work::Planned(_));
    let mut offered: Vec<&mut TableRun> = tables.iter_mut().filter(is_offered).collect();
    let offers: Vec<Offer<'_>> =
        offered.iter().filter_map(|table| table.planned()).map(offer).collect();
    let Some(shares) = budget.take(&offers) else { return };
    for (table, share) in offered.iter_mut().zip(shares) {
        table.keep(&share.groups, share.indexes);
    }
}

fn offer(planned: &Planned) -> Offer<'_> {
    Offer {
        groups: &planned.rewrite.groups,
        indexes: !planned.indexes.is_empty(),
        index_bytes: planned.index_bytes,
    }
}

impl TableRun {
    /// Leaves of the plan what is not named here.
    fn keep(&mut self, groups: &[usize], indexes: bool) {
        let Work::Planned(planned) = &mut self.work else { return };
        let plan = &planned.rewrite;
        let mut left = left_of(
            BudgetLimit::MaxBytes,
            plan.groups.iter().enumerate().filter(|(at, _)| !groups.contains(at)).map(|(_, g)| g),
        );
        if !indexes && !planned.indexes.is_empty() {
            left.left_by = Some(BudgetLimit::MaxBytes);
            left.indexes_left = planned.indexes.len() as u64;
            left.bytes_left = left.bytes_left.saturating_add(planned.index_bytes);
        }
        if left.is_nothing() {
            return;
        }
        let is_all = groups.is_empty() && !indexes;
        if is_all {
            self.work = Work::Nothing;
        } else {
            planned.rewrite = plan.only(groups);
            self.stats.reason = planned.reason();
        }
        leave(&mut self.stats, left, is_all);
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
