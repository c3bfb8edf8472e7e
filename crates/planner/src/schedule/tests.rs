//! Decisions one by one.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_model::{EffectivePolicy, Policy, TableKey, Version};

use super::*;

pub(super) fn place(name: &str) -> Place {
    Place { root: "r".to_owned(), table: TableKey::new(name) }
}

pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// 2024-01-01 was a Monday.
pub(super) fn monday() -> DateTime<Utc> {
    "2024-01-01T12:00:00Z".parse().expect("a time")
}

fn now(at: f64) -> Now {
    let at = seconds(at);
    Now { at, wall: monday() + TimeDelta::from_std(at).expect("short") }
}

fn auto() -> Policy {
    Policy { auto_compact: Some(true), ..Policy::default() }
}

/// A table with so many small fragments, each of a kilobyte, that a plan would make one of.
fn small(count: u64) -> Shape {
    Shape {
        version: Version(count),
        rows: count,
        bytes: count << 10,
        fragments: count,
        small: count,
        small_bytes: count << 10,
        versions: count,
        planned: Some(Planned { fragments: count, leaves: 1, bytes: count << 10 }),
        ..Shape::default()
    }
}

/// What is decided of one table, in words.
fn said(shape: &Shape, policy: &Policy, memory: &Memory, at: f64) -> String {
    let (place, policy) = (place("t"), EffectivePolicy::of(policy));
    let state = TableState { place: &place, shape, policy: &policy, memory };
    let schedule = schedule(&[state], 0, now(at));
    let jobs = schedule.jobs.iter().map(|job| format!("{}: {}\n", job.work, job.reason));
    let waits = schedule.waits.iter().map(|wait| {
        let until =
            wait.until.map_or("?".to_owned(), |until| format!("{:.1}", until.as_secs_f64()));
        format!("{} until {until}: {}\n", wait.work, wait.reason)
    });
    let lines: String = jobs.chain(waits).collect();
    if lines.is_empty() { "nothing\n".to_owned() } else { lines }
}

/// Appends seen at equal intervals, the last one at `end`.
fn pace(interval: f64, count: u32, end: f64) -> Memory {
    let mut memory = Memory::default();
    for back in (0..count).rev() {
        memory.saw_appends(seconds(end - interval * f64::from(back)), 1);
    }
    memory
}

#[test]
fn what_is_due_is_said_with_its_reason() {
    let quiet = Memory::default();
    let files = Policy { compact_threshold_files: Some(5), ..auto() };
    let size = Policy { compact_threshold_mb: Some(100), ..auto() };
    let large = Shape { small_bytes: 200 << 20, planned: None, ..small(2) };
    let deleted = Shape { deleted_share: 0.3, ..small(2) };
    let unindexed = Shape { unindexed_rows: Some(70_000), rows: 70_000, ..small(1) };
    let retained =
        Policy { retain_days: Some(7), keep_versions: Some(5), version_count: Some(20), ..auto() };
    let deep = Policy { clustering_depth: Some(2.0), ..auto() };
    let depth = Shape { depth: Some(3.5), ..small(3) };
    let lines = [
        said(&small(5), &files, &quiet, 0.0),
        said(&small(4), &files, &quiet, 0.0),
        said(&large, &size, &quiet, 0.0),
        said(&Shape { small_bytes: 99 << 20, ..large }, &size, &quiet, 0.0),
        said(&deleted, &auto(), &quiet, 0.0),
        said(&unindexed, &auto(), &quiet, 0.0),
        said(
            &Shape { planned: Some(Planned::default()), versions: 40, ..small(40) },
            &retained,
            &quiet,
            0.0,
        ),
        said(&depth, &deep, &quiet, 0.0),
        said(&small(10), &auto(), &pace(0.3, 10, 3.0), 3.0),
        said(&small(4), &auto(), &pace(60.0, 4, 240.0), 240.0),
        said(&small(5), &auto(), &pace(0.3, 5, 3.0), 6.0),
        said(&small(5), &auto(), &quiet, 59.0),
        said(&small(5), &auto(), &quiet, 60.0),
    ];
    insta::assert_snapshot!(lines.concat(), @"
    compact: 5 small fragments reach the trigger of 5
    nothing
    compact: 2 small fragments hold 200.0 MiB, 100.0 MiB or more
    nothing
    compact: 30 % of the rows are deleted
    index: indexes miss 70000 rows, 65536 or more
    cleanup: 40 versions, more than 20; those younger than 7 days and the newest 5 stay
    compact: the place of a row may fall into 3.5 fragments, more than 2
    compact: 10 small fragments reach the trigger of 10 at 3.3 appends per second
    compact: 4 small fragments reach the trigger of 4 at 60.0 appends per hour
    compact: 5 small fragments, and no append lately
    nothing
    compact: 5 small fragments, and no append lately
    ");
}

#[test]
fn nothing_is_due_without_the_word_for_it_or_when_nothing_pays() {
    let quiet = Memory::default();
    let all = Shape {
        deleted_share: 0.9,
        unindexed_rows: Some(1 << 40),
        versions: 1 << 20,
        ..small(500)
    };
    assert_eq!(said(&all, &Policy::default(), &quiet, 0.0), "nothing\n");
    // Both rules or none.
    let half = Policy { retain_days: Some(1), ..Policy::default() };
    assert_eq!(said(&all, &half, &quiet, 0.0), "nothing\n");
    let pays_nothing = Shape { planned: Some(Planned::default()), ..small(500) };
    assert_eq!(said(&pays_nothing, &auto(), &quiet, 0.0), "nothing\n");
}

#[test]
fn the_trigger_follows_the_rate_of_appends_within_its_bounds() {
    let begins = |interval: f64, count: u64| {
        let memory = pace(interval, 20, 1e5);
        said(&small(count), &auto(), &memory, 1e5) != "nothing\n"
    };
    for (interval, trigger) in [(3600.0, 4), (1.0, 4), (0.5, 6), (0.3, 10), (0.05, 60), (0.001, 64)]
    {
        assert!(begins(interval, trigger), "{interval}");
        assert!(!begins(interval, trigger - 1), "{interval}");
    }
}

#[test]
fn what_is_due_waits_for_quiet_times_pauses_and_jobs() {
    let files = Policy { compact_threshold_files: Some(5), ..auto() };
    let kept =
        Policy { quiet_times: Some("Mon 08:00-18:00".parse().expect("times")), ..files.clone() };
    let mut memory = Memory::default();
    let mut lines = said(&small(5), &kept, &memory, 0.0);
    memory.began(Work::Compact, seconds(10.0));
    lines += &said(&small(5), &files, &memory, 11.0);
    memory.ended(seconds(14.0), Outcome::Done, Version(3));
    lines += &said(&small(5), &files, &memory, 15.0);
    for failure in [20.0, 30.0, 50.0] {
        memory.began(Work::Compact, seconds(failure));
        memory.ended(seconds(failure), Outcome::Failed, Version(3));
    }
    lines += &said(&small(5), &files, &memory, 60.0);
    lines += &said(&small(5), &files, &memory, 70.0);
    memory.began(Work::Compact, seconds(80.0));
    memory.ended(seconds(81.0), Outcome::NoOp, Version(5));
    lines += &said(&small(5), &files, &memory, 1000.0);
    lines += &said(&small(6), &files, &memory, 82.0);
    lines += &said(&small(6), &files, &memory, 87.0);
    insta::assert_snapshot!(lines, @"
    compact until 21600.0: 5 small fragments reach the trigger of 5; waits for the end of the quiet time at 2024-01-01 18:00 UTC
    compact until ?: 5 small fragments reach the trigger of 5; waits for the job of the table that runs (compact)
    compact until 18.0: 5 small fragments reach the trigger of 5; waits for as long as the run before took
    compact until 70.0: 5 small fragments reach the trigger of 5; waits because it failed 3 times in a row
    compact: 5 small fragments reach the trigger of 5
    nothing
    compact until 86.0: 6 small fragments reach the trigger of 5; waits because the run before found nothing to do
    compact: 6 small fragments reach the trigger of 5
    ");
}

#[test]
fn more_jobs_than_a_policy_lets_run_wait_and_the_best_go_first() {
    let places = ["a", "b", "c", "d"].map(|name| Place { root: name.to_owned(), ..place(name) });
    let policy = |most, priority| {
        EffectivePolicy::of(&Policy {
            max_concurrent_jobs: Some(most),
            priority: Some(priority),
            compact_threshold_files: Some(2),
            ..auto()
        })
    };
    let policies = [policy(2, 0), policy(2, 1), policy(2, 0), policy(1, 0)];
    let shapes = [small(3), small(2), small(30), small(90)];
    let memory = Memory::default();
    let state = |at: usize| TableState {
        place: &places[at],
        shape: &shapes[at],
        policy: &policies[at],
        memory: &memory,
    };
    let states: Vec<_> = (0..4).map(state).collect();
    let order = |running| -> Vec<String> {
        schedule(&states, running, now(0.0))
            .jobs
            .iter()
            .map(|job| job.place.table.to_string())
            .collect()
    };
    assert_eq!(
        order(0),
        ["b", "d"][..1].iter().map(ToString::to_string).chain(["c".to_owned()]).collect::<Vec<_>>()
    );
    assert_eq!(order(1), ["b"]);
    assert!(order(2).is_empty());
    let waits = schedule(&states, 1, now(0.0)).waits;
    assert_eq!(waits.len(), 3);
    assert!(waits.iter().all(|wait| wait.until.is_none()), "{waits:?}");
}

#[test]
fn a_root_has_one_job_at_a_time_and_the_others_of_it_keep_no_place_from_other_roots() {
    let in_root = |root: &str, name| Place { root: root.to_owned(), ..place(name) };
    let places = [in_root("a", "one"), in_root("a", "two"), in_root("b", "three")];
    let policy = EffectivePolicy::of(&Policy {
        max_concurrent_jobs: Some(2),
        compact_threshold_files: Some(2),
        ..auto()
    });
    let shapes = [small(30), small(20), small(3)];
    let (idle, mut busy) = (Memory::default(), Memory::default());
    let begun = |first: &Memory, running| -> (Vec<String>, Vec<String>) {
        let memories = [first, &idle, &idle];
        let state = |at: usize| TableState {
            place: &places[at],
            shape: &shapes[at],
            policy: &policy,
            memory: memories[at],
        };
        let decided = schedule(&(0..3).map(state).collect::<Vec<_>>(), running, now(0.0));
        let waits = decided.waits.iter().filter(|wait| wait.why == TURN_OF_ROOT);
        (
            decided.jobs.iter().map(|job| job.place.table.to_string()).collect(),
            waits.map(|wait| wait.place.table.to_string()).collect(),
        )
    };
    let tables = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(begun(&idle, 0), (tables(&["one", "three"]), tables(&["two"])));
    busy.began(Work::Compact, seconds(0.0));
    assert_eq!(begun(&busy, 1), (tables(&["three"]), tables(&["two"])));
}

#[test]
fn a_wall_clock_that_jumps_moves_no_pause() {
    let files = EffectivePolicy::of(&Policy { compact_threshold_files: Some(5), ..auto() });
    let mut memory = Memory::default();
    memory.began(Work::Compact, seconds(10.0));
    memory.ended(seconds(11.0), Outcome::Failed, Version(1));
    let (place, shape) = (place("t"), small(5));
    let state = TableState { place: &place, shape: &shape, policy: &files, memory: &memory };
    for years in [-50, 0, 50] {
        let wall = monday() + TimeDelta::days(365 * years);
        let early = schedule(&[state], 0, Now { at: seconds(12.0), wall });
        assert_eq!((early.jobs.len(), early.ask_again), (0, Some(seconds(16.0))));
        assert_eq!(schedule(&[state], 0, Now { at: seconds(16.0), wall }).jobs.len(), 1);
    }
    // A clock that reads less than before is no reason to panic.
    assert!(schedule(&[state], 0, Now { at: Duration::ZERO, wall: monday() }).jobs.is_empty());
}

#[test]
fn thirty_one_small_appends_beside_a_watcher_are_few_fragments_after_few_runs() {
    let append = |at: u32| Arrival {
        at: seconds(1.0 + 0.32 * f64::from(at)),
        bytes: 700,
        rows: 10,
        deleted_rows: 0,
    };
    let arrivals: Vec<Arrival> = (0..31).map(append).collect();
    let off = EffectivePolicy::default();
    let adaptive = EffectivePolicy::of(&auto());
    let files = EffectivePolicy::of(&Policy { compact_threshold_files: Some(10), ..auto() });
    let policies = [("off", off), ("adaptive", adaptive), ("10 files", files)];
    let policies = policies.map(|(name, policy)| (name.to_owned(), policy));
    let simulated = simulate(&arrivals, &policies, monday());
    insta::assert_snapshot!(simulation_table(&simulated), @"
    policy    runs  appended  rewritten  written per byte  replaced  rows purged  fragments at most  at the end
    off          0  21.2 KiB        0 B               1.0       0 B            0                 31          31
    adaptive     4  21.2 KiB   60.2 KiB               3.8  60.2 KiB            0                 10           1
    10 files     3  21.2 KiB   39.0 KiB               2.8  39.0 KiB            0                 10           4
    ");
    assert_eq!(simulated[0].fragments_end, 31);
    assert!(simulated[1].fragments_most <= 12 && simulated[1].fragments_end <= 4);
    assert!(simulated[2].fragments_most <= 10);
    assert!((1..=8).contains(&simulated[1].runs) && (1..=8).contains(&simulated[2].runs));
}

#[test]
fn deletions_are_purged_when_they_are_many() {
    let arrivals: Vec<Arrival> = (0..40)
        .map(|at| Arrival {
            at: seconds(f64::from(at) * 10.0),
            bytes: if at == 0 { 80 << 20 } else { 0 },
            rows: if at == 0 { 80_000 } else { 0 },
            deleted_rows: if at == 0 { 0 } else { 1_000 },
        })
        .collect();
    let policies = [("auto".to_owned(), EffectivePolicy::of(&auto()))];
    let result = &simulate(&arrivals, &policies, monday())[0];
    assert!((3..=6).contains(&result.runs), "{result:?}");
    assert!(result.purged_rows >= 30_000, "{result:?}");
}

#[test]
fn a_cleanup_is_asked_for_with_both_rules_and_above_the_floors() {
    let table = TableKey::new("t");
    let of = |policy: &Policy| cleanup_options(&EffectivePolicy::of(policy), &table);
    assert_eq!(of(&Policy { keep_versions: Some(3), ..auto() }), None);
    let options =
        of(&Policy { keep_versions: Some(3), retain_days: Some(2), ..auto() }).expect("both");
    let default = lancekeeper_model::CleanupOptions::default();
    assert_eq!(options.policy.keep_versions, Some(3));
    assert_eq!(options.policy.older_than, Some(Duration::from_secs(2 * 86_400)));
    assert_eq!((options.writer_window, options.min_age), (default.writer_window, default.min_age));
    assert_eq!(options.min_fork_age, default.min_fork_age);
}

#[test]
fn what_is_closed_is_not_due_again_and_other_rules_forget_what_was_idle() {
    let shape = small(40);
    let mut memory = Memory::default();
    memory.began(Work::Compact, seconds(0.0));
    memory.ended(seconds(1.0), Outcome::NoOp, shape.version);
    assert_eq!(said(&shape, &auto(), &memory, 100.0), "nothing\n");
    memory.rules_changed();
    assert!(said(&shape, &auto(), &memory, 100.0).starts_with("compact: "));
    memory.closes(Work::Compact);
    assert_eq!(said(&shape, &auto(), &memory, 100.0), "nothing\n");
}
