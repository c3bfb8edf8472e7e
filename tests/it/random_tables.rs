//! Random tables, held against every verb: whatever columns, indexes and history a database has,
//! each branch, tag, clone and version reads the rows it read before, an index answers as a scan
//! does, a second run finds nothing to do, and cleanup takes only what nothing refers to.
//!
//! Histories are what one client does (`steps`, `world`), and `verdict` is about rows that were
//! written down when they were written. Writers beside our runs and runs that die are the business
//! of `races` and of the failpoint tests, graphs of `failpoints::histories`.

pub(crate) mod columns;
pub(crate) mod questions;
pub(crate) mod steps;
mod verdict;
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestError, TestRunner};

use steps::Plan;
use world::World;

/// How long histories are made, in seconds. Without it, and without a first one, the same few are
/// made every time.
const SECONDS: &str = "LANCEKEEPER_RANDOM_SECONDS";
/// The first history; each further one has the next number. Without it, it is a random one that is
/// printed.
const SEED: &str = "LANCEKEEPER_RANDOM_SEED";
/// The histories of a run that names neither.
const FIXED_SEEDS: [u64; 3] = [1, 2, 5];
/// How long a shorter history is looked for after a failing one, in milliseconds.
const SHRINKS_FOR: u32 = 20_000;
/// A long run goes on after a failure; so many are enough to read.
const MOST_FAILURES: usize = 25;

type Counts = BTreeMap<&'static str, u64>;

/// Does what the plan says, and says all of it when something is wrong.
fn happens(plan: &Plan) -> Result<Counts, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(plan).await.map_err(|error| format!("{error:#}"))?;
        match Box::pin(world.run(&plan.steps)).await {
            Ok(()) => Ok(world.counts),
            Err(error) => Err(format!("{}\n{}\n=> {error:#}", plan.shape, world.log.join("\n"))),
        }
    })
}

/// One history; what it counted, or the shortest failing one that was found.
fn history(seed: u64) -> Result<Counts, String> {
    let config = ProptestConfig {
        cases: 1,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_time: SHRINKS_FOR,
        max_shrink_iters: 4_096,
        ..ProptestConfig::default()
    };
    let counts = std::cell::RefCell::new(Counts::new());
    let outcome = TestRunner::new(config).run(&steps::plan(), |plan| {
        let counted = happens(&plan).map_err(TestCaseError::fail)?;
        *counts.borrow_mut() = counted;
        Ok(())
    });
    match outcome {
        Ok(()) => Ok(counts.into_inner()),
        Err(TestError::Fail(why, _)) => Err(why.to_string()),
        Err(TestError::Abort(why)) => Err(format!("given up: {why}")),
    }
}

/// A number from the environment, if there is one.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}

/// The first seeds, each with the time its histories have.
fn series() -> Vec<(u64, Duration)> {
    let time = asked(SECONDS).map(Duration::from_secs);
    match (asked(SEED), time) {
        (Some(seed), time) => vec![(seed, time.unwrap_or_default())],
        (None, Some(time)) => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            // Below 2^32, so that it can be read aloud.
            vec![(u64::from(now.subsec_nanos()), time)]
        }
        // Without any time one history of each.
        (None, None) => FIXED_SEEDS.map(|seed| (seed, Duration::ZERO)).to_vec(),
    }
}

#[test]
fn whatever_happened_to_a_table_every_verb_keeps_its_rows_its_answers_and_its_readers() {
    let mut counts = Counts::new();
    let mut failures = Vec::new();
    for (first, time) in series() {
        println!("histories from {SEED}={first}, for {time:?}");
        let end = Instant::now() + time;
        for seed in first.. {
            match history(seed) {
                Ok(counted) => {
                    *counts.entry("histories").or_default() += 1;
                    for (kind, count) in counted {
                        *counts.entry(kind).or_default() += count;
                    }
                }
                Err(why) => {
                    println!("{SEED}={seed} fails:\n{why}\n");
                    failures.push(format!("{SEED}={seed}:\n{why}"));
                }
            }
            if Instant::now() >= end || failures.len() >= MOST_FAILURES {
                break;
            }
        }
    }
    println!("{counts:?}");
    assert!(failures.is_empty(), "{} failed\n\n{}", failures.len(), failures.join("\n\n"));
    // A history without verbs shows nothing, and without indexes not much.
    for kind in ["optimize", "layouts", "cleanup", "indexes", "questions", "versions removed"] {
        assert!(counts.get(kind).is_some_and(|count| *count > 0), "no {kind}: {counts:?}");
    }
}
