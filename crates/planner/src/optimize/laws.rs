//! What holds of every plan, for tables made up at random.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::DateTime;
use lancekeeper_model::{FragmentFacts, PageFacts, PageTarget, TableFacts};
use proptest::prelude::*;

use super::policy::Size;
use super::tests::{inventory, planned};
use super::*;

/// Small numbers, so that targets are reached, passed and met exactly all the time.
pub(super) fn fragments() -> impl Strategy<Value = Vec<FragmentFacts>> {
    let deleted_percent = prop_oneof![4 => Just(0_u64), 2 => 0..=100_u64, 1 => Just(100)];
    let fragment = (0..=60_u64, deleted_percent, 0..=12_u64, 1..=2_u64, 0..=2_u32);
    let fragments = proptest::collection::vec(fragment, 0..60);
    fragments.prop_map(|rolls| {
        rolls
            .into_iter()
            .enumerate()
            .map(|(id, (physical_rows, percent, width, files, coverage))| FragmentFacts {
                // Manifests are sorted by id, with gaps.
                id: (id as u64 + 3) * 7 / 4,
                physical_rows,
                deleted_rows: physical_rows * percent / 100,
                bytes: physical_rows * width,
                files,
                coverage,
                held: false,
            })
            .collect()
    })
}

/// Tiers that fit small numbers, with a floor above all of them, below all of them and between.
pub(super) fn tiers() -> impl Strategy<Value = Tiers> {
    let floor = prop_oneof![Just(0), 0..=200_u64, Just(u64::MAX)];
    (2..=8_u64, floor.clone(), floor).prop_map(|(growth, floor_rows, floor_bytes)| Tiers {
        growth,
        floor_rows,
        floor_bytes,
    })
}

pub(super) fn policy() -> impl Strategy<Value = LayoutPolicy> {
    let threshold = prop_oneof![Just(0.0), Just(0.1), Just(1.0), 0.0..=1.0];
    (1..=200_u64, 1..=1000_u64, threshold, tiers()).prop_map(
        |(target_rows, target_bytes, deletion_threshold, tiers)| LayoutPolicy {
            target_rows,
            target_bytes,
            deletion_threshold,
            min_fragments: 0,
            pages: None,
            storage: None,
            tiers,
            now: DateTime::UNIX_EPOCH,
        },
    )
}

/// The groups of a plan; none if there is nothing to do.
pub(super) fn groups(facts: &TableFacts, policy: &LayoutPolicy) -> Vec<Group> {
    let mut table = inventory(Vec::new());
    table.facts = facts.clone();
    match planned(&table, policy) {
        TablePlan::Rewrite(plan) => plan.groups,
        TablePlan::Nothing { .. } => Vec::new(),
        other => panic!("{other}"),
    }
}

/// The table after its groups were rewritten, and sizes came out as expected: what Lance
/// makes of it. Outputs get fresh ids above all others, in the order of the plan, and the
/// manifest is sorted by id.
pub(super) fn applied(facts: &TableFacts, groups: &[Group]) -> TableFacts {
    let mut fragments: BTreeMap<u64, FragmentFacts> =
        facts.fragments.iter().map(|fragment| (fragment.id, fragment.clone())).collect();
    let mut id = fragments.keys().max().map_or(0, |id| id + 1);
    for group in groups {
        let sources: Vec<FragmentFacts> =
            group.fragments.iter().map(|id| fragments.remove(id).expect("still there")).collect();
        if group.rows() > 0 {
            let output = FragmentFacts {
                id,
                physical_rows: group.rows(),
                deleted_rows: 0,
                bytes: sources.iter().map(FragmentFacts::live_bytes).sum(),
                files: 1,
                coverage: sources[0].coverage,
                held: false,
            };
            fragments.insert(id, output);
            id += 1;
        }
    }
    TableFacts { fragments: fragments.into_values().collect(), ..facts.clone() }
}

pub(super) fn rows(facts: &TableFacts) -> u64 {
    facts.fragments.iter().map(FragmentFacts::live_rows).sum()
}

fn find(facts: &TableFacts, id: u64) -> &FragmentFacts {
    facts.fragments.iter().find(|fragment| fragment.id == id).expect("groups name real fragments")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_fragment_is_in_two_groups(fragments in fragments(), policy in policy()) {
        let facts = inventory(fragments).facts;
        let mut ids: Vec<u64> =
            groups(&facts, &policy).into_iter().flat_map(|group| group.fragments).collect();
        let before = ids.len();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), before);
    }

    #[test]
    fn no_group_touches_what_a_predicate_does_not_choose(
        fragments in fragments(),
        policy in policy(),
        every in 1..5_u64,
    ) {
        let mut facts = inventory(fragments).facts;
        facts.unchosen = facts.fragments.iter().map(|f| f.id).filter(|id| id % every == 0).collect();
        let touched = |facts: &TableFacts| -> BTreeSet<u64> {
            groups(facts, &policy).into_iter().flat_map(|group| group.fragments).collect()
        };
        let around = touched(&facts);
        // As if the others were not there.
        let unchosen = std::mem::take(&mut facts.unchosen);
        facts.fragments.retain(|fragment| !unchosen.contains(&fragment.id));
        prop_assert_eq!(touched(&facts), around);
    }

    /// If the new files have as many pages as was asked for.
    #[test]
    fn pages_are_not_made_anew_for_ever(
        fragments in fragments(),
        policy in policy(),
        pages in proptest::collection::vec(1..60_u64, 60),
        target in prop_oneof![
            (1..30_u64).prop_map(PageTarget::Rows), (1..300_u64).prop_map(PageTarget::Bytes)
        ],
    ) {
        let policy = LayoutPolicy { pages: Some(target), ..policy };
        let mut facts = inventory(fragments).facts;
        let known = facts.fragments.iter().zip(pages);
        let known = known.map(|(f, pages)| (f.id, PageFacts { pages, bytes: f.bytes / 2 + 1 }));
        facts.pages = known.collect();
        // What was made anew is smaller or larger than before, so it may be merged yet; and of a few bytes, rounded down, a
        // page has other rows than of the same before. It comes to an end all the same.
        for _ in 0..4 {
            let groups = groups(&facts, &policy);
            let mut after = applied(&facts, &groups);
            let old: BTreeSet<u64> = facts.fragments.iter().map(|f| f.id).collect();
            let new: Vec<_> = after.fragments.iter().filter(|f| !old.contains(&f.id)).collect();
            let made = groups.iter().filter(|group| group.rows() > 0);
            for (fragment, group) in new.into_iter().zip(made) {
                let Recipe::Repage { page_rows } = group.recipe else { panic!("{group}") };
                let pages = fragment.physical_rows.div_ceil(u64::from(page_rows));
                let bytes = group.fragments.iter().map(|id| facts.pages[id].bytes * find(&facts, *id).live_rows()
                    / find(&facts, *id).physical_rows.max(1)).sum();
                after.pages.insert(fragment.id, PageFacts { pages, bytes });
            }
            facts = after;
        }
        let idle = groups(&facts, &policy);
        prop_assert!(idle.is_empty(), "{idle:?}");
    }

    #[test]
    fn no_group_touches_what_an_index_holds(
        fragments in fragments(),
        policy in policy(),
        every in 1..5_u64,
    ) {
        let mut facts = inventory(fragments).facts;
        for fragment in &mut facts.fragments {
            fragment.held = fragment.id % every == 0;
        }
        for group in groups(&facts, &policy) {
            prop_assert!(group.fragments.iter().all(|id| !find(&facts, *id).held));
        }
    }

    #[test]
    fn groups_have_one_coverage_and_follow_the_manifest(
        fragments in fragments(),
        policy in policy(),
    ) {
        let facts = inventory(fragments).facts;
        for group in groups(&facts, &policy) {
            let coverage = find(&facts, group.fragments[0]).coverage;
            prop_assert!(group.fragments.iter().all(|id| find(&facts, *id).coverage == coverage));
            // Ids of the facts are in manifest order.
            prop_assert!(group.fragments.is_sorted());
        }
    }

    #[test]
    fn no_group_passes_a_target_unless_it_purges_one_fragment(
        fragments in fragments(),
        policy in policy(),
    ) {
        let facts = inventory(fragments).facts;
        for group in groups(&facts, &policy) {
            let bytes: u64 =
                group.fragments.iter().map(|id| find(&facts, *id).live_bytes()).sum();
            let fits = group.rows() <= policy.target_rows && bytes <= policy.target_bytes;
            prop_assert!(fits || group.fragments.len() == 1, "{}", group);
        }
    }

    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do(
        fragments in fragments(),
        policy in policy(),
    ) {
        let facts = inventory(fragments).facts;
        let groups = groups(&facts, &policy);
        let after = applied(&facts, &groups);
        let again = plan_table(&inventory(after.fragments), &policy);
        prop_assert!(matches!(again, TablePlan::Nothing { .. }), "{again}");
    }

    /// Merges that wait for one another, many deep: small numbers seldom come to that.
    #[test]
    fn a_nest_of_merges_is_one_plan(turns in proptest::collection::vec(0..4_u8, 0..60)) {
        let policy = LayoutPolicy {
            target_rows: 10,
            target_bytes: 10,
            deletion_threshold: 0.1,
            min_fragments: 0,
            pages: None,
storage: None,
            tiers: Tiers::DEFAULT,
            now: DateTime::UNIX_EPOCH,
        };
        let fragments = turns.iter().zip(0..).map(|(turn, id)| {
            let (physical_rows, bytes) = [(8, 2), (5, 5), (2, 8), (1, 1)][usize::from(*turn)];
            FragmentFacts { id, physical_rows, deleted_rows: 0, bytes, files: 1, coverage: 0, held: false }
        });
        let facts = inventory(fragments.collect()).facts;
        let after = applied(&facts, &groups(&facts, &policy));
        prop_assert_eq!(groups(&after, &policy), []);
    }

    #[test]
    fn a_reason_to_do_nothing_names_coverage_only_where_coverage_is_the_reason(
        fragments in fragments(),
        policy in policy(),
    ) {
        let facts = inventory(fragments).facts;
        let mut table = inventory(applied(&facts, &groups(&facts, &policy)).fragments);
        let TablePlan::Nothing { reason } = plan_table(&table, &policy) else {
            panic!("there is something to do");
        };
        for fragment in &mut table.facts.fragments {
            fragment.coverage = 0;
        }
        let freed = !groups(&table.facts, &policy).is_empty();
        prop_assert_eq!(reason.contains("covered by different indexes"), freed, "{}", reason);
    }

    #[test]
    fn rows_are_conserved(fragments in fragments(), policy in policy()) {
        let facts = inventory(fragments).facts;
        let after = applied(&facts, &groups(&facts, &policy));
        prop_assert_eq!(rows(&after), rows(&facts));
        prop_assert!(after.fragments.len() <= facts.fragments.len());
    }

    #[test]
    fn full_fragments_with_few_deletions_are_never_touched(
        fragments in fragments(),
        policy in policy(),
    ) {
        let facts = inventory(fragments).facts;
        for group in groups(&facts, &policy) {
            for id in group.fragments {
                let fragment = find(&facts, id);
                let full = fragment.live_rows() >= policy.target_rows
                    || fragment.live_bytes() >= policy.target_bytes;
                let share = fragment.deleted_rows as f64 / fragment.physical_rows as f64;
                let few = fragment.live_rows() > 0 && share <= policy.deletion_threshold;
                prop_assert!(!(full && few), "fragment {} was touched", id);
            }
        }
    }

    #[test]
    fn every_group_is_worth_its_rewrite(fragments in fragments(), policy in policy()) {
        let facts = inventory(fragments).facts;
        for group in groups(&facts, &policy) {
            let one = group.fragments.len() == 1;
            let first = find(&facts, group.fragments[0]);
            let share = first.deleted_rows as f64 / first.physical_rows as f64;
            prop_assert!(!one || group.rows() == 0 || share > policy.deletion_threshold);
            prop_assert_eq!(group.why == GroupReason::Merge, !one && group.rows() > 0);
        }
    }

    #[test]
    fn a_merge_lifts_all_it_merges_into_a_higher_tier_unless_it_is_tiny_or_purges(
        fragments in fragments(),
        policy in policy(),
    ) {
        let facts = inventory(fragments).facts;
        for group in groups(&facts, &policy) {
            let members: Vec<_> = group.fragments.iter().map(|id| find(&facts, *id)).collect();
            let sum = members.iter().fold(Size::default(), |sum, f| sum.plus(Size::of(f)));
            let purges = members.iter().any(|fragment| policy.needs_purge(fragment));
            let climbs =
                members.iter().all(|fragment| policy.tier(Size::of(fragment)) > policy.tier(sum));
            prop_assert!(purges || climbs || policy.is_tiny(sum), "{}", group);
        }
    }

    #[test]
    fn nothing_above_the_threshold_is_left_behind(fragments in fragments(), policy in policy()) {
        let facts = inventory(fragments).facts;
        let after = applied(&facts, &groups(&facts, &policy));
        for fragment in &after.fragments {
            let share = fragment.deleted_rows as f64 / fragment.physical_rows as f64;
            prop_assert!(fragment.live_rows() > 0 && share <= policy.deletion_threshold);
        }
    }

    #[test]
    fn one_clean_fragment_is_never_touched(
        physical_rows in 1..=u64::MAX,
        bytes in 0..=u64::MAX,
        policy in policy(),
    ) {
        let fragment =
            FragmentFacts { id: 0, physical_rows, deleted_rows: 0, bytes, files: 1, coverage: 0, held: false };
        prop_assert_eq!(groups(&inventory(vec![fragment]).facts, &policy), []);
    }

    #[test]
    fn the_same_groups_are_planned_again(fragments in fragments(), policy in policy()) {
        let facts = inventory(fragments).facts;
        prop_assert_eq!(replan_groups(&facts, &policy), groups(&facts, &policy));
    }

    #[test]
    fn a_table_with_too_few_fragments_is_left_alone_and_no_other(
        fragments in fragments(),
        policy in policy(),
        min_fragments in 0..70_u64,
    ) {
        let table = inventory(fragments);
        let count = table.facts.fragments.len() as u64;
        let without = plan_table(&table, &policy);
        let with = plan_table(&table, &LayoutPolicy { min_fragments, ..policy });
        if count > 0 && count < min_fragments {
            let is_left =
                matches!(with, TablePlan::Skip { reason: SkipReason::AlreadyCompact, .. });
            prop_assert!(is_left, "{}", with);
        } else {
            prop_assert_eq!(with, without);
        }
    }

    #[test]
    fn windows_lose_no_table_and_stay_within_their_size(
        keys in proptest::collection::vec("[a-d]{1,2}", 0..40),
        tables_max in 1..20_usize,
    ) {
        use lancekeeper_model::{TableKey, TableRef};
        let tables: Vec<_> =
            keys.into_iter().map(|key| TableRef::on_main(TableKey::new(key))).collect();
        let cut = windows(tables.clone(), |table| table, tables_max);
        prop_assert!(cut.iter().all(|window| (1..=tables_max).contains(&window.len())));
        let mut expected = tables;
        expected.sort();
        prop_assert_eq!(cut.concat(), expected);
    }
}

#[test]
fn planning_takes_time_in_proportion_to_the_fragments() {
    const ATTEMPTS: usize = 20;
    let policy = LayoutPolicy {
        target_rows: 1 << 20,
        target_bytes: 512 << 20,
        deletion_threshold: 0.1,
        min_fragments: 0,
        pages: None,
        storage: None,
        tiers: Tiers::DEFAULT,
        now: DateTime::UNIX_EPOCH,
    };
    let best = |count: u64| -> Duration {
        let fragments = (0..count)
            .map(|id| FragmentFacts {
                id,
                physical_rows: 1000 + id % 500,
                deleted_rows: if id % 50 == 0 { 300 } else { 0 },
                bytes: 400_000 + id % 9000,
                files: 1,
                coverage: u32::from(id % 1000 == 0),
                held: false,
            })
            .collect();
        let table = inventory(fragments);
        (0..3)
            .map(|_| {
                let start = Instant::now();
                assert!(matches!(plan_table(&table, &policy), TablePlan::Rewrite(_)));
                start.elapsed()
            })
            .min()
            .expect("three runs")
    };
    // Ten times the work is to take ten times as long; a quadratic rule would take a hundred
    // times as long at every attempt, a busy machine only at some.
    let mut seen = Vec::new();
    for _ in 0..ATTEMPTS {
        let (some, many) = (best(20_000), best(200_000));
        if many < some * 25 {
            return;
        }
        seen.push((some, many));
    }
    panic!("20,000 and 200,000 fragments took {seen:?}");
}
