//! What holds of tables over their life: many appends, with an optimize after each.

use std::collections::BTreeMap;

use chrono::DateTime;
use lancekeeper_model::{FragmentFacts, OptimizeOptions, TableFacts};
use proptest::prelude::*;

use super::laws::{applied, groups, tiers};
use super::policy::Size;
use super::tests::inventory;
use super::*;

/// A table that is appended to and optimized in turn.
struct History {
    policy: LayoutPolicy,
    facts: TableFacts,
    next_id: u64,
    appended: u64,
    rewritten: u64,
    small_most: usize,
}

impl History {
    fn new(policy: LayoutPolicy) -> Self {
        let facts = inventory(Vec::new()).facts;
        Self { policy, facts, next_id: 0, appended: 0, rewritten: 0, small_most: 0 }
    }

    fn append(&mut self, physical_rows: u64, bytes: u64) {
        let id = self.next_id;
        let fragment = FragmentFacts {
            id,
            physical_rows,
            deleted_rows: 0,
            bytes,
            files: 1,
            coverage: 0,
            held: false,
        };
        self.facts.fragments.push(fragment);
        self.appended += bytes;
        self.next_id += 1;
    }

    fn optimize(&mut self) -> Vec<Group> {
        let groups = groups(&self.facts, &self.policy);
        self.facts = applied(&self.facts, &groups);
        self.next_id = self.facts.fragments.last().map_or(0, |last| last.id + 1);
        // Without deletions a group writes what it reads.
        self.rewritten += groups.iter().map(|group| group.bytes).sum::<u64>();
        self.small_most = self.small_most.max(self.small().count());
        groups
    }

    fn small(&self) -> impl Iterator<Item = Size> {
        let sizes = self.facts.fragments.iter().map(Size::of);
        sizes.filter(|size| self.policy.is_small(*size))
    }

    /// Bytes written, by appends and by rewrites, for each byte appended.
    fn amplification(&self) -> f64 {
        (self.appended + self.rewritten) as f64 / self.appended as f64
    }
}

fn default_policy() -> LayoutPolicy {
    LayoutPolicy::from_options(&OptimizeOptions::default(), DateTime::UNIX_EPOCH).expect("defaults")
}

/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

type Append = fn(&mut Dice) -> (u64, u64);

/// Rows and bytes of an append.
const KINDS: [(&str, Append); 9] = [
    ("one row", |_| (1, 1_000)),
    ("10 KB", |_| (10, 10_000)),
    ("100 KB", |_| (100, 100_000)),
    ("1 MB", |_| (1_000, 1_000_000)),
    ("10 MB", |_| (10_000, 10_000_000)),
    ("50 MB", |_| (50_000, 50_000_000)),
    ("1 MB, 8 B rows", |_| (125_000, 1_000_000)),
    ("1 KB to 10 MB", |dice| {
        let bytes = 1_000 * 10_u64.pow(dice.roll(5) as u32) + dice.roll(1_000);
        (bytes.div_ceil(1_000), bytes)
    }),
    ("random rows", |dice| {
        let rows = 1 + dice.roll(10_000);
        (rows, rows * (1 + dice.roll(2_000)))
    }),
];

#[test]
fn appends_with_an_optimize_after_each_are_written_a_few_times() {
    println!("written per byte, small fragments at the end and at most");
    println!("{:>16} {:>8} {:>8}", "1,000 appends", "tiers", "no tiers");
    for (name, append) in KINDS {
        let live = |tiers| {
            let mut history = History::new(LayoutPolicy { tiers, ..default_policy() });
            let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
            for _ in 0..1000 {
                let (rows, bytes) = append(&mut dice);
                history.append(rows, bytes);
                history.optimize();
            }
            history
        };
        let history = live(Tiers::DEFAULT);
        // With a floor above everything, whatever fits is merged.
        let eager = live(Tiers { floor_rows: u64::MAX, floor_bytes: u64::MAX, ..Tiers::DEFAULT });
        let (written, eagerly) = (history.amplification(), eager.amplification());
        let (small, fragments) = (history.small().count(), history.facts.fragments.len());
        let most = history.small_most;
        println!("{name:>16} {written:>8.2} {eagerly:>8.2}  {small} and {most} of {fragments}");
        // Six times, and below the floor once per run.
        let below = 1000 * Tiers::DEFAULT.floor_bytes;
        let most_bytes = history.appended * 5 + below;
        assert!(history.rewritten <= most_bytes, "{name}: {}", history.rewritten);
        let is_above = history.appended >= 1000 * 1_000_000;
        assert!(!is_above || written <= 6.0, "{name}: {written}");
        assert!(most <= 11, "{name}: {most} small fragments");
    }
}

/// Appends of a few kinds of rows, from one to many, some larger than a target.
fn appends() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let rows = prop_oneof![3 => Just(1), 3 => 1..=60_u64, 1 => 1..=3000_u64];
    let append = (rows, 0..=12_u64).prop_map(|(rows, width)| (rows, rows * width));
    let mixed = proptest::collection::vec(append.clone(), 0..120);
    let equal = (append, 0..120_usize).prop_map(|(append, count)| vec![append; count]);
    prop_oneof![mixed, equal]
}

fn policy() -> impl Strategy<Value = LayoutPolicy> {
    (1..=5000_u64, 1..=20_000_u64, tiers()).prop_map(|(target_rows, target_bytes, tiers)| {
        LayoutPolicy { target_rows, target_bytes, tiers, ..default_policy() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn an_optimize_after_each_append_leaves_nothing_to_do(
        appends in appends(),
        policy in policy(),
    ) {
        let mut history = History::new(policy);
        for (rows, bytes) in appends {
            history.append(rows, bytes);
            history.optimize();
            prop_assert_eq!(history.optimize(), []);
        }
    }

    #[test]
    fn merges_write_at_most_tiers_times_what_was_appended_and_the_floor_per_run(
        appends in appends(),
        policy in policy(),
    ) {
        let mut history = History::new(policy);
        let mut allowed = 0;
        let mut climbed = 0;
        for (rows, bytes) in appends {
            let tiers = policy.tier(Size { rows, bytes });
            allowed += bytes * u64::from(tiers);
            history.append(rows, bytes);
            let (tiny, paid): (Vec<Group>, Vec<Group>) = history.optimize().into_iter().partition(
                |group| policy.is_tiny(Size { rows: group.rows(), bytes: group.bytes }),
            );
            climbed += paid.iter().map(|group| group.bytes).sum::<u64>();
            prop_assert!(climbed <= allowed, "{} of {}", climbed, allowed);
            let tiny: u64 = tiny.iter().map(|group| group.bytes).sum();
            prop_assert!(tiny <= policy.tiers.floor_bytes, "{} below the floor", tiny);
        }
    }

    #[test]
    fn few_fragments_wait_in_each_tier(appends in appends(), policy in policy()) {
        let mut history = History::new(policy);
        for (rows, bytes) in appends {
            history.append(rows, bytes);
            history.optimize();
            let mut tiers: BTreeMap<u32, u64> = BTreeMap::new();
            for size in history.small() {
                *tiers.entry(policy.tier(size)).or_default() += 1;
            }
            for (tier, waiting) in tiers {
                prop_assert!(waiting < 2 * policy.tiers.growth, "{} in {}", waiting, tier);
            }
        }
    }
}
