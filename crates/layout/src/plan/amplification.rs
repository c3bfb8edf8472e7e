//! What a table costs over its life: how often each byte is written, and how many runs there are.

use super::laws::World;
use super::*;
use crate::runs::Run;

const TARGETS: Targets = Targets { rows: 10_000, bytes: 512 << 20 };

/// A row's bytes.
const ROW: u64 = 45;

/// What came of many appends with an optimize after each.
#[derive(Debug, PartialEq)]
struct Life {
    /// Bytes written after the first clustering, for each byte appended since; the append itself is one of them.
    times: f64,
    /// The most that one run wrote, as a share of the table then.
    most: f64,
    /// Of ten runs the nine smallest ones wrote less.
    usual: f64,
    runs: usize,
    /// Runs of the table whose size the largest run did not have: rows of all others, as a share.
    behind: f64,
}

/// A clustered table of 60 fragments, appended to.
fn life(appends: impl IntoIterator<Item = u64>) -> Life {
    let mut world = World::new(u64::MAX);
    (0..10).for_each(|_| world.append(60_000, 60_000 * ROW));
    let first = world.plan(TARGETS, Scope::Changed).unwrap();
    world.carry_out(&first);
    let (mut appended, mut written, mut shares, mut runs, mut behind) = (0, 0, vec![], 0, 0.0_f64);
    for rows in appends {
        world.append(rows, rows * ROW);
        appended += rows * ROW;
        let whole: u64 = world.fragments.iter().map(|fragment| fragment.bytes).sum();
        let group = world.plan(TARGETS, Scope::Changed).unwrap();
        world.carry_out(&group);
        written += group.bytes;
        shares.push(group.bytes as f64 / whole as f64);
        runs = runs.max(world.runs.len());
        let largest = world.runs.runs.iter().map(|run| bytes_of(&world, run)).max().unwrap();
        behind = behind.max(1.0 - largest as f64 / whole as f64);
        assert!(world.plan(TARGETS, Scope::Changed).is_none());
    }
    shares.sort_by(f64::total_cmp);
    let times = 1.0 + written as f64 / appended as f64;
    let (most, usual) = (shares[shares.len() - 1], shares[shares.len() * 9 / 10]);
    Life { times, most, usual, runs, behind }
}

fn bytes_of(world: &World, run: &Run) -> u64 {
    let own = world.fragments.iter().filter(|fragment| run.has(fragment.id));
    own.map(|fragment| fragment.bytes).sum()
}

#[test]
fn what_appends_cost_is_bounded_by_doublings() {
    println!("| appends | times written | nine of ten write | most | runs at most |");
    println!("|---|---|---|---|---|");
    let mut random = crate::simulation::Numbers::new(1);
    let mixed: Vec<_> = (0..200).map(|_| 60 << random.below(10)).collect();
    let rounds: [(&str, Vec<u64>); 5] = [
        ("200 of 0.1 %", vec![600; 200]),
        ("200 of 1 %", vec![6_000; 200]),
        ("1,000 of 1 %", vec![6_000; 1_000]),
        ("50 of 10 %", vec![60_000; 50]),
        ("200 of 0.01 % to 5 %", mixed),
    ];
    for (name, appends) in rounds {
        let smallest = appends.iter().min().copied().unwrap();
        let last: u64 = 600_000 + appends.iter().sum::<u64>();
        let doublings = (last as f64 / smallest as f64).log2();
        let life = life(appends);
        println!(
            "| {name} | {:.1} | {:.1} % | {:.0} % | {} |",
            life.times,
            life.usual * 100.0,
            life.most * 100.0,
            life.runs
        );
        assert!(life.times <= 2.0 + doublings, "{life:?}");
        assert!(life.runs as f64 <= 1.0 + doublings, "{life:?}");
        assert!(life.behind <= 0.5, "the largest run has half of the rows: {life:?}");
    }
}

#[test]
fn the_large_run_is_first_touched_when_as_much_was_appended() {
    let mut world = World::new(u64::MAX);
    (0..10).for_each(|_| world.append(60_000, 60_000 * ROW));
    let first = world.plan(TARGETS, Scope::Changed).unwrap();
    world.carry_out(&first);
    for append in 1..=100 {
        world.append(6_000, 6_000 * ROW);
        let group = world.plan(TARGETS, Scope::Changed).unwrap();
        let whole = 600_000 + append * 6_000;
        let share = group.outputs.iter().sum::<u64>() as f64 / whole as f64;
        // All that was appended so far at most.
        assert!(append == 100 || share <= append as f64 / 100.0, "{append}: {share}");
        assert!(append > 3 || share <= 0.05, "{append}: {share}");
        world.carry_out(&group);
    }
    assert_eq!(world.runs.len(), 1, "as much was appended as there was");
}
