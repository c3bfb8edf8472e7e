//! Histories told step by step: each is the shortest in which one mistake loses something, or keeps
//! something for ever. The random ones find these mistakes too, but need more of them.

use std::collections::BTreeMap;

use fail::FailScenario;

use super::happens;
use super::steps::Death::{self, Committed, Forked, MidPublish, Staged};
use super::steps::{Age, Change, End, How, Policy, Roll, Step};

/// The tables, in the order in which steps count them.
const A: Roll = 0;
const B: Roll = 1;
/// The only branch, until there is another: those count in order of name, main after `b` and `c`.
const MAIN: Roll = 0;

fn write(branch: Roll, table: Roll) -> Step {
    Step::Write { branch, tables: vec![(table, Change::Append(1))], dies: None }
}

fn writer_dies(branch: Roll, table: Roll, death: Death) -> Step {
    Step::Write { branch, tables: vec![(table, Change::Append(1))], dies: Some(death) }
}

fn branch(from: Roll) -> Step {
    Step::Branch { name: 0, from }
}

fn strictest() -> Policy {
    Policy {
        keep: Some(1),
        older_than: None,
        keep_last: None,
        keep_within: None,
        has_writer_window: false,
        has_min_age: false,
        has_min_fork_age: false,
    }
}

fn cleanup() -> Step {
    Step::Cleanup { policy: strictest(), how: How::Whole }
}

/// As strict, but files that nothing explains stay.
fn cleanup_dies(failpoint: Roll, crossing: Roll, end: End) -> Step {
    let policy = Policy { has_min_age: true, ..strictest() };
    Step::Cleanup { policy, how: How::Crash { failpoint, crossing, end } }
}

fn cleanup_while(step: Step) -> Step {
    Step::Cleanup { policy: strictest(), how: How::Meanwhile(Box::new(step)) }
}

/// Runs a history, and makes sure that what it is about did happen.
fn tell(steps: &[Step], expected: &[(&str, u64)]) {
    let _failpoints = FailScenario::setup();
    let counts: BTreeMap<&str, u64> = happens(steps).unwrap_or_else(|why| panic!("{why}"));
    for (kind, count) in expected {
        assert_eq!(counts.get(kind).copied().unwrap_or_default(), *count, "{kind}: {counts:?}");
    }
}

#[test]
fn what_two_branches_were_merged_at_stays() {
    let (b, main) = (0, 1);
    let cut = [write(MAIN, A), branch(MAIN), write(b, A), write(b, B)];
    let merged = [Step::Merge { from: b, into: main }];
    let after = [write(main, A), write(main, B), write(b, A), write(b, B), cleanup(), cleanup()];
    tell(&[&cut[..], &merged, &after].concat(), &[("merged", 1), ("cleaned", 2)]);
}

#[test]
fn what_is_tagged_stays_until_the_tag_is_gone() {
    let tagged = [write(MAIN, A), write(MAIN, A), Step::Tag { version: 0 }, cleanup()];
    let untagged = [Step::Untag { tag: 0 }, cleanup()];
    tell(&[&tagged[..], &untagged].concat(), &[("tagged", 1), ("untagged", 1)]);
}

#[test]
fn a_fork_that_only_a_branch_of_its_branch_reads_is_no_orphan() {
    // C reads A where B wrote it; then B reads A on main again.
    let (b, main) = (0, 2);
    let cut = [write(MAIN, A), branch(MAIN), write(b, A), branch(b)];
    let back = [
        Step::Merge { from: b, into: main },
        write(main, A),
        write(main, A),
        Step::Merge { from: main, into: b },
        write(b, B),
        cleanup(),
    ];
    tell(&[&cut[..], &back].concat(), &[("merged", 2), ("forks removed", 0)]);
}

#[test]
fn what_a_lazy_branch_reads_of_main_stays() {
    let (b, main) = (0, 1);
    let steps = [write(MAIN, A), branch(MAIN), write(main, A), write(main, A), cleanup()];
    let more = [write(b, B), write(main, A), cleanup()];
    tell(&[&steps[..], &more].concat(), &[("branched", 1), ("forks removed", 0)]);
}

#[test]
fn forks_of_a_deleted_branch_go_the_inner_ones_too() {
    // B forks A, C cuts its fork from B's. Without C, and then without B, nobody reads either.
    let (b, c) = (0, 1);
    let forks = [write(MAIN, A), branch(MAIN), write(b, A), branch(b), write(c, A)];
    let gone = [Step::Unbranch { branch: 0 }, Step::Unbranch { branch: 0 }, cleanup()];
    tell(&[&forks[..], &gone].concat(), &[("unbranched", 2), ("forks removed", 2)]);
}

#[test]
fn what_a_cleanup_did_not_get_to_goes_with_the_next_however_young() {
    let (fails, dropped) = (End::Fails { lastingly: true }, End::Dropped { polls: 0 });
    let forks = [write(MAIN, A), branch(MAIN), write(0, A), write(0, B)];
    let orphaned = [Step::Unbranch { branch: 0 }, write(MAIN, A), Step::Optimize];
    // Between manifests and files; after the first orphan's branch file.
    let cut_off = [cleanup_dies(4, 0, fails), write(MAIN, A), cleanup_dies(4, 1, dropped)];
    let steps = [&forks[..], &orphaned, &cut_off].concat();
    tell(&steps, &[("crashed", 2), ("cleaned", 2)]);
}

#[test]
fn a_fork_half_deleted_goes_with_the_next_cleanup() {
    let forks = [write(MAIN, A), branch(MAIN), write(0, A), write(0, B)];
    let cut_off =
        [Step::Unbranch { branch: 0 }, cleanup_dies(4, 1, End::Fails { lastingly: true })];
    tell(&[&forks[..], &cut_off].concat(), &[("crashed", 1), ("unbranched", 1)]);
}

#[test]
fn a_fork_published_while_a_cleanup_waits_stays() {
    let steps = [write(MAIN, A), branch(MAIN), writer_dies(0, A, Committed)];
    let finished = [cleanup_while(Step::Finish { which: 0 })];
    tell(&[&steps[..], &finished].concat(), &[("finished", 1), ("forks removed", 0)]);
}

#[test]
fn a_version_tagged_while_a_cleanup_waits_stays() {
    let steps = [write(MAIN, A), write(MAIN, A), write(MAIN, A)];
    let tagged = [cleanup_while(Step::Tag { version: 0 }), cleanup()];
    tell(&[&steps[..], &tagged].concat(), &[("tagged", 1), ("held up", 1)]);
}

#[test]
fn a_table_published_while_a_cleanup_waits_is_cleaned_up_not_refused() {
    // Its own list is older than what the branches say now, whichever table is looked at next.
    let steps = [write(MAIN, A), write(MAIN, B), write(MAIN, B)];
    tell(&[&steps[..], &[cleanup_while(write(MAIN, B))]].concat(), &[("held up", 1)]);
}

#[test]
fn what_writers_left_when_they_died_goes_and_nobody_else_loses_anything() {
    let deaths = [Staged, Forked, Committed, MidPublish];
    let on_main = deaths.map(|death| writer_dies(MAIN, A, death));
    let on_b = deaths.map(|death| writer_dies(0, B, death));
    let half = [Step::HalfFork { branch: 0, table: A }, cleanup(), write(0, A), write(0, B)];
    // What was not published is, with the next write: from then on nothing is refused.
    let last = [write(1, A), cleanup()];
    let steps = [&[write(MAIN, B)][..], &on_main, &[branch(MAIN)], &on_b, &half, &last];
    tell(&steps.concat(), &[("died", 8), ("half forked", 1)]);
}

#[test]
fn a_dropped_type_is_emptied_once_nobody_reads_it() {
    // A branch still has it; then nobody does, and a cleanup dies over it.
    let (b, main) = (0, 1);
    let dropped = [write(MAIN, A), branch(MAIN), write(main, A)];
    let lazy = [Step::Drop { branch: main, table: A }, cleanup(), write(b, A), cleanup()];
    let nobodys = [Step::Unbranch { branch: b }, write(MAIN, B)];
    let died = [cleanup_dies(6, 0, End::Fails { lastingly: true }), cleanup()];
    let expected = [("dropped", 1), ("crashed", 1), ("emptied", 1), ("unbranched", 1)];
    tell(&[&dropped[..], &lazy, &nobodys, &died].concat(), &expected);
}

#[test]
fn of_a_table_that_was_committed_to_and_not_published_nothing_goes() {
    let drifted = [write(MAIN, A), write(MAIN, B), writer_dies(MAIN, A, Committed), cleanup()];
    let published = [Step::Finish { which: 0 }, cleanup()];
    let expected = [("tables refused", 1), ("finished", 1), ("cleaned", 2)];
    tell(&[&drifted[..], &published].concat(), &expected);
}

#[test]
fn versions_older_than_a_pause_go_and_younger_ones_stay() {
    let policy = Policy { keep: None, older_than: Some(Age::Between(0)), ..strictest() };
    let aged = Step::Cleanup { policy, how: How::Whole };
    let steps = [write(MAIN, A), write(MAIN, A), Step::Optimize, cleanup(), cleanup(), cleanup()];
    tell(&[&steps[..], &[write(MAIN, A), write(MAIN, A), aged]].concat(), &[("cleaned", 4)]);
}
