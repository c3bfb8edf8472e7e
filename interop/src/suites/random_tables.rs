//! The property test of random tables, for as long as one likes: the same test that runs for seconds
//! with the others, with its histories from a seed that is printed.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;
use xtask::cargo::{self, WITH_FAILPOINTS};

const TEST: &str = "random_tables::";

/// Runs the test that long, from that seed or from a new one.
pub(super) fn run(root: &Path, minutes: u64, seed: Option<u64>) -> Result<()> {
    let seed = match seed {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs(),
    };
    println!("histories of --seed {seed}, for {minutes} minutes");
    let mut test = cargo::cargo(root)?;
    test.arg("test").args(WITH_FAILPOINTS).args(["--test", "it", "--", TEST, "--nocapture"]);
    test.env("LANCEKEEPER_RANDOM_SEED", seed.to_string());
    test.env("LANCEKEEPER_RANDOM_SECONDS", (minutes * 60).to_string());
    cargo::run(&mut test)
}
