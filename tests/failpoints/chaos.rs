//! Chaos: a graph and a database on which verbs, clients and readers work at the same time, while failpoints
//! are switched on and off at random: to fail, to dawdle, to panic. At the end all is calm, and then every
//! acknowledged row is there and none twice, every table stands at its pin, no file is left over, and a second
//! run finds nothing to do.
//!
//! A seed brings back what everybody means to do and which failpoints are set when. In which order the threads
//! get to it is the machine's to say, so a failure that hangs on a race may need its seed more than once.
//!
//! `ledger` knows which rows there have to be, `verbs` is the list of what we run, `client` writes to the branches of
//! `graph`, as others do to the `database`, `old` is a graph that is moved and migrated, `faults` are the failpoints, `verdict` is the end. `everybody` lets them
//! loose on one `scene`. Killed processes are in `interop`.

mod client;
mod database;
mod dice;
mod everybody;
mod faults;
mod graph;
mod ledger;
mod old;
mod rows;
mod scene;
mod verbs;
mod verdict;
mod world;

use std::time::{Duration, Instant, SystemTime};

use fail::FailScenario;

use everybody::{Ending, prepare, work};

/// For how many seconds new worlds are begun.
const SECONDS: &str = "LANCEKEEPER_CHAOS_SECONDS";
const SECONDS_IN_CI: u64 = 40;
/// The seed of the first world; those after it count on. Without it, and with a time, it is another one every
/// time, which is said.
const SEED: &str = "LANCEKEEPER_CHAOS_SEED";
/// Unless a time is asked for.
const FIXED_SEED: u64 = 1;
/// Worlds of one run, whatever time it has: each takes a quarter of a minute.
const WORLDS_MAX: u64 = 1_000;
/// Without a time that was asked for, one that was judged is enough, and so many are tried for it.
const WORLDS_TRIED: u64 = 8;
/// Failpoints are crossed on the runtime's own threads too, where sleeping takes a thread away.
const THREADS: usize = 6;

/// What the environment says; garbage is no number and no run.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

fn a_new_seed() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() * 1_000
}

/// Lets one world happen. Whether it could be judged.
#[expect(clippy::print_stdout, reason = "the seed is what a failure is found again by")]
fn happens(seed: u64) -> bool {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (world, ending) = runtime.block_on(async {
        let scene = prepare(&directory).await.unwrap();
        let ending = work(&scene, seed).await;
        (scene.world, ending)
    });
    println!("{SEED}={seed}: {}", world.counts());
    match ending {
        Ok(Ending::Judged) => true,
        Ok(Ending::TooSlow) => {
            println!("{SEED}={seed} is not judged: a client was slower than its window");
            false
        }
        // Said on both ends: a log that is cut still says what went wrong.
        Err(error) => {
            panic!("{SEED}={seed}: {error:#}\n\n{}\n\n{error:#}", world.last_words())
        }
    }
}

#[test]
fn chaos_of_verbs_clients_and_failpoints_loses_nothing() {
    let _failpoints = FailScenario::setup();
    faults::quieten();
    let (started, time) =
        (Instant::now(), Duration::from_secs(number(SECONDS).unwrap_or(SECONDS_IN_CI)));
    let next = || if number(SECONDS).is_some() { a_new_seed() } else { FIXED_SEED };
    let first = number(SEED).unwrap_or_else(next);
    println!("{SEED}={first}");
    let mut judged = 0;
    let most = if number(SECONDS).is_some() { WORLDS_MAX } else { WORLDS_TRIED };
    for seed in first..first + most {
        // On a slow machine it may take a few until one can be judged.
        if started.elapsed() >= time && judged > 0 {
            break;
        }
        judged += usize::from(happens(seed));
    }
    println!("{judged} worlds judged");
    assert!(judged > 0, "no client of any world was quick enough to be judged");
}
