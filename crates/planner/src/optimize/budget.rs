//! What a limit on bytes lets of the plans of several tables. Pure: the same plans and the same
//! limit give the same shares. Not here: limits on time, which no plan can know.
//!
//! # Overview
//!
//! A budget is offered the plans of some tables and takes units of work out of them: a group,
//! or the indexes of a table that has no groups. Where a table has groups, these were planned
//! as if its indexes were done: so the first group that is taken of the table brings the work
//! on its indexes with it, and pays for it.
//!
//! Units are taken in the order of fragments replaced per byte read, the most first, as long as
//! they fit. That is what makes a table fast soonest, and it keeps no table waiting because of
//! its name.
//!
//! # Invariants
//!
//! * What is taken over all offers stays within the limit, or it is a single unit that alone
//!   exceeds it: without that exception such a unit would wait for ever.
//! * As long as something is offered to an untouched budget, something is taken. So run after
//!   run gets on until nothing is left.
//! * Nothing that would still fit is left.

use std::cmp::Ordering;

use super::Group;

/// What one table has to do.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The groups of its plan.
    pub groups: &'a [Group],
    /// Whether its indexes are worked on as well.
    pub indexes: bool,
    /// Bytes to read for them.
    pub index_bytes: u64,
}

/// What of it is to be done now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// The groups, by number, ascending.
    pub groups: Vec<usize>,
    /// Whether the indexes are worked on.
    pub indexes: bool,
    /// Bytes to read for both.
    pub bytes: u64,
}

/// Bytes that may still be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteBudget {
    left: u64,
    spent: bool,
}

/// A unit of work: a group of a table, or its indexes.
#[derive(Clone, Copy)]
struct Unit {
    table: usize,
    group: Option<usize>,
    fragments: u64,
    bytes: u64,
}

impl ByteBudget {
    /// A budget of which nothing is spent.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self { left: bytes, spent: false }
    }

    /// Takes out of the offers what the budget allows, and spends it. One share per offer, in
    /// the same order.
    pub fn take(&mut self, offers: &[Offer<'_>]) -> Vec<Share> {
        let mut shares = vec![Share::default(); offers.len()];
        let mut waiting = units(offers);
        self.take_what_fits(&mut waiting, offers, &mut shares);
        if !self.spent && !waiting.is_empty() {
            let first = waiting.remove(0);
            let cost = cost(&first, offers, &shares);
            self.spend(&first, cost, &mut shares);
            // It may have paid for the indexes of a group that costs nothing else.
            self.take_what_fits(&mut waiting, offers, &mut shares);
        }
        for (share, offer) in shares.iter_mut().zip(offers) {
            share.groups.sort_unstable();
            share.indexes = offer.indexes && (share.indexes || !share.groups.is_empty());
        }
        shares
    }

    /// Goes over the units again while something was taken: a group may fit once another has
    /// paid for the indexes of their table. Every turn but the last takes a unit, so this ends.
    fn take_what_fits(
        &mut self,
        waiting: &mut Vec<Unit>,
        offers: &[Offer<'_>],
        shares: &mut [Share],
    ) {
        loop {
            let before = waiting.len();
            waiting.retain(|unit| {
                let cost = cost(unit, offers, shares);
                let fits = cost <= self.left;
                if fits {
                    self.spend(unit, cost, shares);
                }
                !fits
            });
            if waiting.len() == before {
                return;
            }
        }
    }

    fn spend(&mut self, unit: &Unit, cost: u64, shares: &mut [Share]) {
        self.left = self.left.saturating_sub(cost);
        // What costs nothing does not use up the right to one unit of any size.
        self.spent |= cost > 0;
        let share = &mut shares[unit.table];
        share.bytes = share.bytes.saturating_add(cost);
        match unit.group {
            Some(group) => share.groups.push(group),
            None => share.indexes = true,
        }
    }
}

/// All units, the best first; equally good ones in the order of the offers.
fn units(offers: &[Offer<'_>]) -> Vec<Unit> {
    let mut units = Vec::new();
    for (table, offer) in offers.iter().enumerate() {
        if offer.groups.is_empty() && offer.indexes {
            units.push(Unit { table, group: None, fragments: 1, bytes: offer.index_bytes });
        }
        units.extend(offer.groups.iter().enumerate().map(|(at, group)| Unit {
            table,
            group: Some(at),
            fragments: group.fragments.len() as u64,
            bytes: group.bytes,
        }));
    }
    // Stable.
    units.sort_by(worth);
    units
}

/// By fragments per byte, without dividing.
fn worth(a: &Unit, b: &Unit) -> Ordering {
    let a_share = u128::from(a.fragments) * u128::from(b.bytes);
    let b_share = u128::from(b.fragments) * u128::from(a.bytes);
    b_share.cmp(&a_share)
}

/// The bytes to read for a unit, with the indexes of its table if nobody paid for them yet.
fn cost(unit: &Unit, offers: &[Offer<'_>], shares: &[Share]) -> u64 {
    let offer = &offers[unit.table];
    let brings_indexes =
        unit.group.is_some() && offer.indexes && shares[unit.table].groups.is_empty();
    unit.bytes.saturating_add(if brings_indexes { offer.index_bytes } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::super::{GroupReason, Recipe};
    use super::*;

    fn group(fragments: u64, bytes: u64) -> Group {
        Group {
            fragments: (0..fragments).collect(),
            outputs: vec![10],
            bytes,
            recipe: Recipe::Reencode { batch_rows: 1 },
            why: GroupReason::Merge,
        }
    }

    fn groups_alone(groups: &[Group]) -> Offer<'_> {
        Offer { groups, indexes: false, index_bytes: 0 }
    }

    /// The groups taken of each offer.
    fn taken(max: u64, offers: &[Offer<'_>]) -> Vec<Vec<usize>> {
        ByteBudget::new(max).take(offers).into_iter().map(|share| share.groups).collect()
    }

    #[test]
    fn the_most_fragments_per_byte_come_first_whatever_the_table_is_called() {
        let (first, second) = ([group(2, 100), group(10, 100)], [group(50, 100)]);
        let offers = [groups_alone(&first), groups_alone(&second)];
        assert_eq!(taken(100, &offers), [vec![], vec![0]]);
        assert_eq!(taken(200, &offers), [vec![1], vec![0]]);
        assert_eq!(taken(300, &offers), [vec![0, 1], vec![0]]);
    }

    #[test]
    fn what_is_too_large_lets_smaller_ones_pass_and_is_done_alone_when_nothing_else_is_left() {
        let groups = [group(100, 1000), group(2, 90)];
        assert_eq!(taken(100, &[groups_alone(&groups)]), [[1]]);
        assert_eq!(taken(100, &[groups_alone(&groups[..1])]), [[0]]);
    }

    #[test]
    fn one_too_large_unit_is_all_that_a_budget_is_exceeded_by() {
        let groups = [group(100, 1000), group(90, 1000)];
        let mut budget = ByteBudget::new(100);
        assert_eq!(budget.take(&[groups_alone(&groups)])[0].groups, [0]);
        assert_eq!(budget.take(&[groups_alone(&groups[1..])])[0], Share::default());
    }

    #[test]
    fn fragments_without_live_rows_cost_nothing() {
        let groups = [group(3, 0), group(4, 1000)];
        assert_eq!(taken(1, &[groups_alone(&groups)]), [[0, 1]]);
        let mut spent = ByteBudget::new(10);
        spent.take(&[groups_alone(&[group(2, 10)])]);
        assert_eq!(spent.take(&[groups_alone(&groups)])[0].groups, [0]);
    }

    #[test]
    fn the_first_group_of_a_table_pays_for_its_indexes() {
        let groups = [group(10, 40), group(2, 20)];
        let offer = Offer { groups: &groups, indexes: true, index_bytes: 50 };
        let share = |max| ByteBudget::new(max).take(&[offer]).remove(0);
        // The better group does not fit with the indexes, the other one does.
        assert_eq!(share(80), Share { groups: vec![1], indexes: true, bytes: 70 });
        assert_eq!(share(90), Share { groups: vec![0], indexes: true, bytes: 90 });
        assert_eq!(share(110), Share { groups: vec![0, 1], indexes: true, bytes: 110 });
    }

    #[test]
    fn a_group_fits_once_another_has_paid_for_the_indexes() {
        // 60 + 50 is too much, 45 + 50 is not; then 60 is not either.
        let groups = [group(100, 60), group(2, 10)];
        let offer = Offer { groups: &groups, indexes: true, index_bytes: 50 };
        let share = ByteBudget::new(125).take(&[offer]).remove(0);
        assert_eq!(share, Share { groups: vec![0, 1], indexes: true, bytes: 120 });
        let groups = [group(100, 80), group(2, 10)];
        let offer = Offer { groups: &groups, indexes: true, index_bytes: 50 };
        let mut other = ByteBudget::new(129);
        assert_eq!(other.take(&[offer]).remove(0).groups, [1]);
    }

    #[test]
    fn indexes_that_alone_exceed_a_budget_bring_along_what_costs_nothing_else() {
        let groups = [group(1, 0), group(1, 0)];
        let offer = Offer { groups: &groups, indexes: true, index_bytes: 32 };
        let share = ByteBudget::new(1).take(&[offer]).remove(0);
        assert_eq!(share, Share { groups: vec![0, 1], indexes: true, bytes: 32 });
    }

    #[test]
    fn indexes_alone_are_a_unit() {
        let offer = Offer { groups: &[], indexes: true, index_bytes: 50 };
        let mut budget = ByteBudget::new(60);
        assert_eq!(budget.take(&[offer]), [Share { groups: vec![], indexes: true, bytes: 50 }]);
        assert_eq!(budget.take(&[offer]), [Share::default()]);
        let nothing = Offer { groups: &[], indexes: false, index_bytes: 0 };
        assert_eq!(ByteBudget::new(60).take(&[nothing]), [Share::default()]);
    }
}
