//! A graph of v3 is migrated to v4 while its client loads: our migration is killed before any of its steps, and the next one
//! finishes it or takes it back. What the client was told is done is there once, and each client goes on with its format.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::super::Lab;
use super::super::omnigraph::Omnigraph;
use super::super::race::expect_whole_loads;
use super::super::random::Random;
use super::cases::Case;
use super::graph::{SPAN, Siege};
use super::verbs::{Killer, expect_no_leftovers};

/// Of a graph with two branches: the note, a stamp, a copy, a look and the last stamp of each, and the end of the note.
const STEPS: usize = 10;
/// The exit code for a client that is at work.
const RECOVERY_NEEDED: i32 = 12;
/// A client is at work most of the time.
const ATTEMPTS: usize = 30;
const PAUSE: Duration = Duration::from_millis(100);
const OF_V4: &str = "0.8.0";
const BACK: &[&str] = &["--abort", "--confirm"];

/// Whether the run came to its failpoint and was killed there.
pub(super) fn kill_at(
    lab: &Lab,
    client: &Omnigraph,
    killer: &mut Killer<'_>,
    case: Case,
    random: &mut Random,
) -> Result<bool> {
    let crossing = 1 + random.below(STEPS);
    let siege = Siege::prepare(lab, client)?;
    let mut was_killed = false;
    siege.beside_loads(random, |random, is_over| {
        thread::sleep(random.duration_below(SPAN));
        for _ in 0..ATTEMPTS {
            // The client is refused from the first stamp on, and stops when it was refused often enough.
            let is_there = || if is_over() { bail!("the client gave up") } else { Ok(()) };
            was_killed = killer.kill_at(&siege.path(), case, crossing, random, is_there)?;
            if was_killed || is_v4(lab, &siege)? {
                break;
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    })?;
    let is_taken_back = random.below(2) == 0;
    let how = if is_taken_back { "taken back" } else { "finished" };
    finish(lab, client, &siege, case, is_taken_back)
        .with_context(|| format!("killed before step {crossing}, {how}"))?;
    Ok(was_killed)
}

fn is_v4(lab: &Lab, siege: &Siege<'_>) -> Result<bool> {
    let outcome = lab.keeper.start_verb("status", &siege.path(), &["--quick"], None)?.wait()?;
    let report = outcome.json()?;
    Ok(report["roots"][0]["internal_schema"] == 4)
}

fn finish(
    lab: &Lab,
    client: &Omnigraph,
    siege: &Siege<'_>,
    case: Case,
    is_taken_back: bool,
) -> Result<()> {
    let path = siege.path();
    let run = |options: &[&str]| lab.keeper.start_verb("migrate", &path, options, None)?.wait();
    let mut reads = client.version;
    if is_taken_back && !is_v4(lab, siege)? {
        let outcome = run(BACK)?;
        ensure!(outcome.status.success(), "migrate --abort: {}", outcome.describe());
    } else {
        let options = case.group.options;
        let mut outcome = run(options)?;
        if outcome.status.code() == Some(RECOVERY_NEEDED) {
            // Before the first stamp what a dead client left is recovered by the rules of v3.
            let recover = ["--assume-dead", "all", "--confirm"];
            let ended = lab.keeper.start_verb("recover", &path, &recover, None)?.wait()?;
            ensure!(ended.status.success(), "recover: {}", ended.describe());
            outcome = run(options)?;
        }
        ensure!(outcome.status.success(), "the next migration: {}", outcome.describe());
        reads = OF_V4;
    }
    let Some(reader) = lab.clients.installed(reads) else { return Ok(()) };
    for (branch, mut done) in siege.acknowledged() {
        let (number, rows) = siege.new_load();
        reader.load(&path, branch, &rows).with_context(|| format!("{reads} loads on {branch}"))?;
        done.insert(number);
        let rows = reader.export(&path, branch)?;
        expect_whole_loads(&rows, &siege.base, &done).with_context(|| branch.to_owned())?;
    }
    reader.expect_no_drift(&path)?;
    expect_no_leftovers(&path)
}
