//! What holds of every decision.

use std::time::Duration;

use chrono::TimeDelta;
use lancekeeper_model::{EffectivePolicy, Policy, Version};
use proptest::prelude::*;

use super::tests::{monday, place, seconds};
use super::*;
use crate::optimize::Tiers;

/// A table with a history.
#[derive(Debug, Clone)]
struct Table {
    shape: Shape,
    policy: Policy,
    memory: Memory,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let planned = prop::option::of((0_u64..100, 0_u64..3, 0_u64..1 << 32));
    let rest =
        (0_u64..100, 0_u64..1 << 32, 0.0..1.0_f64, 0_u64..300, prop::option::of(0_u64..200_000));
    (planned, rest).prop_map(
        |(planned, (small, bytes, deleted_share, versions, unindexed_rows))| Shape {
            version: Version(versions),
            rows: 1 << 20,
            bytes: bytes.saturating_mul(2),
            fragments: small + 1,
            small,
            small_bytes: bytes,
            deleted_share,
            unindexed_rows,
            versions,
            depth: None,
            planned: planned.map(|(fragments, leaves, bytes)| Planned { fragments, leaves, bytes }),
        },
    )
}

fn policies() -> impl Strategy<Value = Policy> {
    let switches = (any::<bool>(), any::<bool>(), any::<bool>());
    (switches, 1_u64..6, -10_i64..=10, prop::option::of(2_u64..40)).prop_map(
        |((auto, retains, quiet), jobs, priority, files)| Policy {
            auto_compact: Some(auto),
            compact_threshold_files: files,
            max_concurrent_jobs: Some(jobs),
            priority: Some(priority),
            retain_days: retains.then_some(1),
            keep_versions: retains.then_some(10),
            quiet_times: quiet.then(|| "Mon 12:00-13:00".parse().expect("times")),
            ..Policy::default()
        },
    )
}

/// Appends, runs and their ends, in some order.
fn memories() -> impl Strategy<Value = Memory> {
    prop::collection::vec((0_u8..5, 0.0..20.0_f64, 0_u64..300), 0..12).prop_map(|events| {
        let mut memory = Memory::default();
        let mut at = 0.0;
        for (event, later, version) in events {
            at += later;
            match event {
                0 => memory.saw_appends(seconds(at), 1),
                1 => memory.began(Work::Compact, seconds(at)),
                2 => memory.ended(seconds(at), Outcome::Done, Version(version)),
                3 => memory.ended(seconds(at), Outcome::NoOp, Version(version)),
                _ => memory.ended(seconds(at), Outcome::Failed, Version(version)),
            }
        }
        memory
    })
}

fn tables() -> impl Strategy<Value = Vec<Table>> {
    let table = (shapes(), policies(), memories());
    let table = table.prop_map(|(shape, policy, memory)| Table { shape, policy, memory });
    prop::collection::vec(table, 0..8)
}

/// What is decided about tables that are spread over so many roots.
fn decided(
    tables: &[Table],
    roots: usize,
    running: usize,
    now: Now,
) -> (Vec<Place>, Vec<EffectivePolicy>, Schedule) {
    let place = |at: usize| Place { root: format!("r{}", at % roots), ..place(&format!("t{at}")) };
    let places: Vec<Place> = (0..tables.len()).map(place).collect();
    let policies: Vec<EffectivePolicy> =
        tables.iter().map(|table| EffectivePolicy::of(&table.policy)).collect();
    let states: Vec<TableState<'_>> = tables
        .iter()
        .zip(&places)
        .zip(&policies)
        .map(|((table, place), policy)| TableState {
            place,
            shape: &table.shape,
            policy,
            memory: &table.memory,
        })
        .collect();
    let schedule = schedule(&states, running, now);
    (places, policies, schedule)
}

proptest! {
    #[test]
    fn nothing_begins_that_may_not(
        tables in tables(), running in 0_usize..6, at in 0.0..400.0_f64, minutes in -120_i64..120,
    ) {
        let now = Now { at: seconds(at), wall: monday() + TimeDelta::minutes(minutes) };
        let (places, policies, schedule) = decided(&tables, 3, running, now);
        for (begun, job) in (running as u64..).zip(&schedule.jobs) {
            let table = places.iter().position(|place| *place == job.place).expect("one of them");
            let (policy, memory) = (&policies[table], &tables[table].memory);
            prop_assert!(begun < policy.max_concurrent_jobs);
            prop_assert!(job.work == Work::Cleanup || policy.auto_compact);
            prop_assert!(job.work != Work::Cleanup || policy.retention.is_some());
            prop_assert!(memory.running().is_none());
            prop_assert!(memory.pause(job.work, now.at).is_none());
            prop_assert!(!memory.is_idle(job.work, tables[table].shape.version));
            let quiet = policy.quiet_times.as_ref().and_then(|times| times.until(now.wall));
            prop_assert!(quiet.is_none());
            let of_root = schedule.jobs.iter().filter(|other| other.place.root == job.place.root);
            prop_assert_eq!(of_root.count(), 1);
            let mut others = places.iter().zip(&tables).filter(|(place, _)| place.root == job.place.root);
            prop_assert!(others.all(|(_, table)| table.memory.running().is_none()));
            prop_assert!(job.rank.is_finite() && !job.reason.is_empty());
        }
        // In order, and what waits has a reason.
        prop_assert!(schedule.jobs.windows(2).all(|pair| pair[0].rank >= pair[1].rank));
        for wait in &schedule.waits {
            prop_assert!(wait.reason.contains("wait"), "{}", wait.reason);
            prop_assert!(wait.until.is_none_or(|until| until > now.at));
        }
        // Never a moment that has passed: whoever waits for it would ask again for ever.
        prop_assert!(schedule.ask_again.is_none_or(|again| again > now.at));
    }

    #[test]
    fn with_room_for_all_everything_begins_that_need_not_wait(tables in tables()) {
        let tables: Vec<Table> = tables
            .into_iter()
            .map(|table| Table {
                policy: Policy { max_concurrent_jobs: Some(64), quiet_times: None, ..table.policy },
                memory: Memory::default(),
                ..table
            })
            .collect();
        let now = Now { at: Duration::ZERO, wall: monday() };
        let (places, _, schedule) = decided(&tables, usize::MAX, 0, now);
        for place in &places {
            let due = schedule.due_of(place).count();
            let begun = schedule.jobs.iter().filter(|job| job.place == *place).count();
            prop_assert_eq!(begun, due.min(1));
        }
    }

    /// Tables that are due again as soon as they were worked on, one job at a time.
    #[test]
    fn no_table_waits_for_ever(
        kinds in prop::collection::vec((-10_i64..=10, 2_u64..200, 0_u64..1 << 34), 2..7),
        run in 1_u32..60,
    ) {
        let policies: Vec<EffectivePolicy> = kinds
            .iter()
            .map(|(priority, ..)| EffectivePolicy::of(&Policy {
                auto_compact: Some(true),
                priority: Some(*priority),
                compact_threshold_files: Some(2),
                max_concurrent_jobs: Some(1),
                ..Policy::default()
            }))
            .collect();
        let shapes: Vec<Shape> = kinds
            .iter()
            .map(|(_, fragments, bytes)| Shape {
                version: Version(1),
                fragments: *fragments,
                small: *fragments,
                small_bytes: *bytes,
                planned: Some(Planned { fragments: *fragments, leaves: 1, bytes: *bytes }),
                ..Shape::default()
            })
            .collect();
        let places: Vec<Place> = (0..kinds.len()).map(|at| place(&format!("t{at}"))).collect();
        let mut memories = vec![Memory::default(); kinds.len()];
        let mut last = vec![Duration::ZERO; kinds.len()];
        let run = Duration::from_secs(run.into());
        let (mut at, bound) = (Duration::ZERO, OVERTAKEN_MOST + run * (kinds.len() as u32 + 2));
        while at < bound * 3 {
            let states: Vec<TableState<'_>> = (0..kinds.len())
                .map(|n| TableState { place: &places[n], shape: &shapes[n], policy: &policies[n], memory: &memories[n] })
                .collect();
            let schedule = schedule(&states, 0, Now { at, wall: monday() });
            prop_assert!(schedule.jobs.len() <= 1);
            for (place, memory) in places.iter().zip(&mut memories) {
                memory.saw_due(at, schedule.due_of(place).collect::<Vec<_>>());
            }
            if let Some(job) = schedule.jobs.first() {
                let n = places.iter().position(|place| *place == job.place).expect("one of them");
                prop_assert!(at - last[n] <= bound, "{n} waited {:?}", at - last[n]);
                memories[n].began(job.work, at);
                at += run;
                memories[n].ended(at, Outcome::Done, Version(1));
                last[n] = at;
            } else {
                at += Duration::from_secs(1);
            }
            for last in &last {
                prop_assert!(at.saturating_sub(*last) <= bound + run, "waits for more than {bound:?}");
            }
        }
    }

    #[test]
    fn rests_grow_and_are_bounded(failures in 1_u32..80) {
        let mut memory = Memory::default();
        let mut before = Duration::ZERO;
        for at in 0..failures {
            let at = Duration::from_secs(u64::from(at) * 1_000);
            memory.began(Work::Compact, at);
            memory.ended(at, Outcome::Failed, Version(1));
            let (until, _) = memory.pause(Work::Compact, at).expect("rests");
            let rest = until - at;
            prop_assert!(rest >= before && rest >= BACKOFF_FIRST && rest <= BACKOFF_MOST);
            before = rest;
        }
    }

    /// Whatever comes: within the bound of the tiers, few runs, and few fragments in the end.
    #[test]
    fn the_adaptive_trigger_writes_within_the_bound_of_the_tiers(
        appends in prop::collection::vec((0.0..5.0_f64, 1_u64..20_000, 1_u64..2_000), 1..250),
        pace in 1_u32..200,
    ) {
        let mut at = 0.0;
        let arrivals: Vec<Arrival> = appends
            .iter()
            .map(|(later, rows, width)| {
                at += later / f64::from(pace);
                Arrival { at: seconds(at), bytes: rows * width, rows: *rows, deleted_rows: 0 }
            })
            .collect();
        let auto = EffectivePolicy::of(&Policy { auto_compact: Some(true), ..Policy::default() });
        let result = &simulate(&arrivals, &[("auto".to_owned(), auto)], monday())[0];
        let tiers = Tiers::DEFAULT;
        // From the floor up to half of a target, each as many times as large as the one below.
        let count = (EffectivePolicy::default().target_bytes / 2 / tiers.floor_bytes).ilog(tiers.growth) + 2;
        // Rows are counted as well as bytes: a fragment can be below the floor by one of them only.
        let bound = u64::from(count) * result.appended_bytes + result.runs * 3 * tiers.floor_bytes;
        prop_assert!(result.rewritten_bytes <= bound, "{result:?}, at most {bound}");
        prop_assert!(result.runs * 2 <= appends.len() as u64, "{result:?}");
        prop_assert!(result.fragments_end <= 20, "{result:?}");
    }
}
