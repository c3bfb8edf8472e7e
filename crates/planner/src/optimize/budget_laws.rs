//! What holds of every budget, for tables made up at random, over one run and over many.

use lancekeeper_model::TableFacts;
use proptest::prelude::*;

use super::laws::{applied, fragments, groups, policy, rows};
use super::tests::inventory;
use super::*;

/// A table and what its indexes cost, if they are worked on.
type Table = (TableFacts, Option<u64>);

fn tables() -> impl Strategy<Value = Vec<Table>> {
    let indexes = prop_oneof![Just(None), (0..300_u64).prop_map(Some)];
    let table = (fragments(), indexes)
        .prop_map(|(fragments, indexes)| (inventory(fragments).facts, indexes));
    proptest::collection::vec(table, 0..5)
}

fn planned_groups(tables: &[Table], policy: &LayoutPolicy) -> Vec<Vec<Group>> {
    tables.iter().map(|(facts, _)| groups(facts, policy)).collect()
}

fn offers<'a>(tables: &[Table], groups: &'a [Vec<Group>]) -> Vec<Offer<'a>> {
    let offer = |((_, indexes), groups): (&Table, &'a Vec<Group>)| Offer {
        groups,
        indexes: indexes.is_some(),
        index_bytes: indexes.unwrap_or(0),
    };
    tables.iter().zip(groups).map(offer).collect()
}

/// The bytes of a share, counted from what it names.
fn bytes_of(share: &Share, offer: &Offer<'_>) -> u64 {
    let groups: u64 = share.groups.iter().map(|at| offer.groups[*at].bytes).sum();
    groups + if share.indexes { offer.index_bytes } else { 0 }
}

/// Units taken that cost something, with what each brings along counted once.
fn costly(share: &Share, offer: &Offer<'_>) -> usize {
    let groups = share.groups.iter().filter(|at| offer.groups[**at].bytes > 0).count();
    let indexes_alone = share.groups.is_empty() && share.indexes && offer.index_bytes > 0;
    groups + usize::from(indexes_alone)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_budget_is_kept_unless_one_unit_alone_exceeds_it(
        tables in tables(),
        policy in policy(),
        max in 1..3000_u64,
    ) {
        let groups = planned_groups(&tables, &policy);
        let offers = offers(&tables, &groups);
        let shares = ByteBudget::new(max).take(&offers);
        let pairs = || shares.iter().zip(&offers);
        for (share, offer) in pairs() {
            prop_assert_eq!(share.bytes, bytes_of(share, offer));
        }
        let bytes: u64 = shares.iter().map(|share| share.bytes).sum();
        let units: usize = pairs().map(|(share, offer)| costly(share, offer)).sum();
        prop_assert!(bytes <= max || units <= 1, "{} bytes in {} units", bytes, units);
    }

    #[test]
    fn several_calls_spend_one_budget(
        tables in tables(),
        policy in policy(),
        max in 1..3000_u64,
    ) {
        let groups = planned_groups(&tables, &policy);
        let offers = offers(&tables, &groups);
        let mut budget = ByteBudget::new(max);
        let (mut bytes, mut units) = (0, 0);
        for offer in offers {
            let share = budget.take(&[offer]).remove(0);
            bytes += share.bytes;
            units += costly(&share, &offer);
        }
        prop_assert!(bytes <= max || units <= 1, "{} bytes in {} units", bytes, units);
    }

    #[test]
    fn nothing_that_still_fits_is_left(
        tables in tables(),
        policy in policy(),
        max in 1..3000_u64,
    ) {
        let groups = planned_groups(&tables, &policy);
        let offers = offers(&tables, &groups);
        let shares = ByteBudget::new(max).take(&offers);
        let bytes: u64 = shares.iter().map(|share| share.bytes).sum();
        let remains = max.saturating_sub(bytes);
        for (share, offer) in shares.iter().zip(&offers) {
            prop_assert!(share.groups.is_sorted());
            let unpaid = if offer.indexes && !share.indexes { offer.index_bytes } else { 0 };
            for (at, group) in offer.groups.iter().enumerate() {
                let fits = group.bytes + unpaid <= remains;
                // What costs nothing fits always.
                prop_assert!(share.groups.contains(&at) || !fits, "group {} fits", at);
            }
        }
    }

    #[test]
    fn a_budget_without_bounds_takes_everything(tables in tables(), policy in policy()) {
        let groups = planned_groups(&tables, &policy);
        let offers = offers(&tables, &groups);
        for (share, offer) in ByteBudget::new(u64::MAX).take(&offers).iter().zip(&offers) {
            prop_assert_eq!(&share.groups, &(0..offer.groups.len()).collect::<Vec<_>>());
            prop_assert_eq!(share.indexes, offer.indexes);
        }
    }

    #[test]
    fn indexes_are_worked_on_exactly_with_the_first_of_their_table(
        tables in tables(),
        policy in policy(),
        max in 1..3000_u64,
    ) {
        let groups = planned_groups(&tables, &policy);
        let offers = offers(&tables, &groups);
        for (share, offer) in ByteBudget::new(max).take(&offers).iter().zip(&offers) {
            if !offer.groups.is_empty() {
                prop_assert_eq!(share.indexes, offer.indexes && !share.groups.is_empty());
            }
            prop_assert!(offer.indexes || !share.indexes);
        }
    }

    /// Runs with a fresh budget each, on what the one before left.
    #[test]
    fn run_after_run_gets_on_until_nothing_is_left(
        mut tables in tables(),
        policy in policy(),
        max in 1..3000_u64,
    ) {
        let before: Vec<u64> = tables.iter().map(|(facts, _)| rows(facts)).collect();
        let fragments: usize = tables.iter().map(|(facts, _)| facts.fragments.len()).sum();
        // A run merges, drops or purges a fragment, or does the indexes of a table.
        let runs_max = 2 * fragments + tables.len() + 1;
        for run in 0.. {
            prop_assert!(run <= runs_max, "not done after {} runs", run);
            let groups = planned_groups(&tables, &policy);
            let offers = offers(&tables, &groups);
            let has_work = |offer: &Offer<'_>| offer.indexes || !offer.groups.is_empty();
            if !offers.iter().any(has_work) {
                break;
            }
            let shares = ByteBudget::new(max).take(&offers);
            let has_share = |share: &Share| share.indexes || !share.groups.is_empty();
            prop_assert!(shares.iter().any(has_share), "nothing was taken");
            for (share, (facts, indexes)) in shares.iter().zip(&mut tables) {
                if share.indexes {
                    *indexes = None;
                }
                if share.groups.is_empty() {
                    continue;
                }
                let TablePlan::Rewrite(plan) = plan_table(&inventory(facts.fragments.clone()), &policy)
                else { panic!("there are groups") };
                let part = plan.only(&share.groups);
                prop_assert_eq!(part.lint(facts), Vec::<String>::new());
                *facts = applied(facts, &part.groups);
            }
        }
        let after: Vec<u64> = tables.iter().map(|(facts, _)| rows(facts)).collect();
        prop_assert_eq!(after, before);
    }
}
