//! What a change must pass, in the order in which it is cheapest to fail.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use xtask::cargo;

use crate::tidy;

type Step = fn(&Path) -> Result<()>;

const STEPS: [(&str, Step); 4] = [
    ("fmt", fmt),
    ("tidy", tidy::run),
    ("clippy, doc and build", cargo::lint_and_build),
    ("test", cargo::test_linted),
];

pub(crate) fn run(root: &Path) -> Result<()> {
    run_steps(root, &STEPS)
}

fn run_steps(root: &Path, steps: &[(&str, Step)]) -> Result<()> {
    let begin = Instant::now();
    for (name, step) in steps {
        println!("==> {name}");
        let started = Instant::now();
        let result = step(root);
        let verdict = if result.is_ok() { "ok" } else { "FAILED" };
        println!("<== {name}: {verdict} in {:.1} s", started.elapsed().as_secs_f64());
        result.with_context(|| format!("step {name} failed"))?;
    }
    println!("All {} steps passed in {:.1} s.", steps.len(), begin.elapsed().as_secs_f64());
    if !can_mount() {
        println!("SKIPPED: nothing can be mounted here, so the tests of a full disk did nothing.");
    }
    Ok(())
}

/// Whether a test can have a file system of its own, as those of a full disk need.
fn can_mount() -> bool {
    [&["-m"][..], &["-r", "-m"]].into_iter().any(|how| {
        let mut command = Command::new("unshare");
        command.args(how).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
        command.output().is_ok_and(|output| output.status.success())
    })
}

fn fmt(root: &Path) -> Result<()> {
    cargo::run(cargo::cargo(root)?.args(["fmt", "--all", "--check"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failing_step_ends_the_run_and_is_named() {
        fn passes(_: &Path) -> Result<()> {
            Ok(())
        }
        fn fails(_: &Path) -> Result<()> {
            anyhow::bail!("as planted")
        }
        fn is_not_reached(_: &Path) -> Result<()> {
            unreachable!("the step before it failed")
        }
        let steps: [(&str, Step); 3] = [("a", passes), ("b", fails), ("c", is_not_reached)];
        let error = run_steps(Path::new("."), &steps).unwrap_err();
        assert_eq!(format!("{error:#}"), "step b failed: as planted");
    }
}
