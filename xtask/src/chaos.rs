//! The chaos test for as long as one likes: the one that runs for seconds with the others, with its worlds from a
//! seed that is printed. It is not run by nextest, which would end it after some minutes.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;
use xtask::cargo::{self, WITH_FAILPOINTS};

const TEST: &str = "chaos::chaos_of";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long new worlds are begun
    #[arg(long, default_value_t = 10, value_name = "N")]
    minutes: u64,
    /// The seed of the first world, which the failing test names [default: a new one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Runs the test that long, from that seed or from a new one.
pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let seed = match args.seed {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() * 1_000,
    };
    println!("worlds from --seed {seed} on, for {} minutes", args.minutes);
    let mut test = cargo::cargo(root)?;
    test.arg("test").args(WITH_FAILPOINTS).args([
        "--test",
        "failpoints",
        "--",
        TEST,
        "--nocapture",
    ]);
    test.env("LANCEKEEPER_CHAOS_SEED", seed.to_string());
    test.env("LANCEKEEPER_CHAOS_SECONDS", (args.minutes * 60).to_string());
    cargo::run(&mut test)
}
