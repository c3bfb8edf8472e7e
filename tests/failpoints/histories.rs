//! Random histories of a small graph on real tables: clients write, branch, merge, tag, drop and
//! die, we optimize and clean up, whole or cut off. After every cleanup the versions that exist are
//! those that a model of the history says must, each reads its rows, and every file that went is
//! accounted for.
//!
//! The model (`model`, `verdict`) knows what the steps did and works out from the words of the
//! design what must stay; the plan's own model, on made-up roots, is `planner::cleanup::laws`.

mod clients;
pub(crate) mod disk;
mod history;
mod keeper;
mod model;
mod run;
mod steps;
mod told;
mod verdict;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use fail::FailScenario;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed, TestError, TestRunner};

use history::History;
use steps::Step;

/// For how many seconds new histories are begun.
const SECONDS: &str = "LANCEKEEPER_HISTORY_SECONDS";
const SECONDS_IN_CI: u64 = 20;
/// The seed of the first random history; those after it count on. Without it, and with a time, it
/// is another one every time, which is said.
const SEED: &str = "LANCEKEEPER_HISTORY_SEED";
/// A history that is always the first.
const FIXED_SEED: u64 = 1;
/// Parts that follow the first one, each ended by a cleanup.
const PARTS: std::ops::RangeInclusive<usize> = 0..=2;
/// A failing history is said at once; how long a shorter one is looked for, in milliseconds.
const SHRINKS_FOR: u32 = 60_000;
const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/failpoints/histories.regressions");

/// Does the steps, and says all of them when something is wrong.
fn happens(steps: &[Step]) -> Result<BTreeMap<&'static str, u64>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut history = History::new().await.map_err(|error| format!("{error:#}"))?;
        match Box::pin(history.run(steps)).await {
            Ok(()) => Ok(history.counts),
            Err(error) => Err(format!("{}\n\n{error:#}", history.log.join("\n"))),
        }
    })
}

/// What the environment says; garbage is no number and no run.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

fn a_new_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_secs() * 1_000_000
}

fn one_case(seed: u64) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: 1,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(REGRESSIONS))),
        max_shrink_time: SHRINKS_FOR,
        ..default
    }
}

#[test]
fn after_every_cleanup_of_a_random_history_what_must_stay_is_there_and_nothing_else() {
    let _failpoints = FailScenario::setup();
    let counts = Mutex::new(BTreeMap::<&str, u64>::new());
    let failed = AtomicBool::new(false);
    let run = |seed: u64| {
        let outcome = TestRunner::new(one_case(seed)).run(&steps::steps(PARTS), |steps| {
            let happened = happens(&steps).map_err(|why| {
                if !failed.swap(true, Ordering::SeqCst) {
                    println!("{SEED}={seed}\n{why}\n\nlooking for a shorter one\n");
                }
                TestCaseError::fail(why)
            })?;
            for (kind, count) in happened {
                *counts.lock().unwrap().entry(kind).or_default() += count;
            }
            Ok(())
        });
        // Every step with what it came to; the bare rolls say less.
        if let Err(TestError::Fail(why, _)) = &outcome {
            panic!("{SEED}={seed}: {why}");
        }
        outcome.unwrap();
    };
    let (started, time) =
        (Instant::now(), Duration::from_secs(number(SECONDS).unwrap_or(SECONDS_IN_CI)));
    // A run that is asked for nothing makes the same histories every time.
    let next = || if number(SECONDS).is_some() { a_new_seed() } else { FIXED_SEED + 1 };
    let first = number(SEED).unwrap_or_else(next);
    println!("{SEED}={first}");
    let seeds = std::iter::once(FIXED_SEED).chain(first..);
    let histories = seeds.take_while(|_| started.elapsed() < time).map(run).count();
    let counts = counts.into_inner().unwrap();
    println!("{histories} histories: {counts:?}");
    // One alone may have nothing to remove.
    assert!(histories < 6 || counts["versions removed"] > 0, "{counts:?}");
}
