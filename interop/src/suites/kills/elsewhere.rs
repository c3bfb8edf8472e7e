//! A copy of the graph is made whole at another place: our relocation is killed there while the client goes on loading where
//! the graph was made, and the next one finishes it. Neither place knows of the other afterwards.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask::archive;

use super::super::omnigraph::Lines;
use super::super::output;
use super::super::race::expect_whole_loads;
use super::super::random::Random;
use super::cases::{Case, Needs, STRICT};
use super::graph::{BRANCHES, Siege};
use super::verbs::{Killer, expect_no_leftovers};

/// Whether the run came to its failpoint and was killed there.
pub(super) fn kill_at(
    siege: &Siege<'_>,
    killer: &mut Killer<'_>,
    case: Case,
    crossing: usize,
    random: &mut Random,
) -> Result<bool> {
    debug_assert_eq!(case.group.needs, Needs::Copy);
    let copy = siege.beside("copy");
    archive::remove(&copy)?;
    let done = {
        let _turn = siege.take_turn();
        // What a dead client left says where the tables were.
        BRANCHES.into_iter().try_for_each(|branch| siege.load_on(branch))?;
        output(Command::new("cp").arg("-a").arg(siege.path()).arg(&copy))?;
        siege.acknowledged()
    };
    let was_killed = killer.kill_at(&copy, case, crossing, random, || Ok(()))?;
    // At any moment, too.
    if random.below(2) == 0 {
        killer.kill_later(&copy, (case.group.verb, case.group.options), random)?;
    }
    let next = siege.lab.keeper.start_verb(case.group.verb, &copy, case.group.options, None)?;
    let outcome = next.wait()?;
    ensure!(outcome.status.success(), "the next relocation: {}", outcome.describe());
    expect_whole(siege, &copy, &done)?;
    archive::remove(&copy)?;
    Ok(was_killed)
}

/// The client reads there what was acknowledged when it was copied, loads, and finds no drift; and what it loads is only there.
/// What a dead cleanup had still to do where the graph was made was copied too: the next one here ends it, and takes no row.
fn expect_whole(
    siege: &Siege<'_>,
    copy: &Path,
    done: &BTreeMap<&str, std::collections::BTreeSet<usize>>,
) -> Result<()> {
    for branch in BRANCHES {
        let mut done = done[branch].clone();
        let rows = siege.client.export(copy, branch)?;
        expect_whole_loads(&rows, &siege.base, &done).with_context(|| branch.to_owned())?;
        let (number, rows) = siege.new_load();
        siege.client.load(copy, branch, &rows).context("the client loads at the new place")?;
        done.insert(number);
        let rows = siege.client.export(copy, branch)?;
        expect_whole_loads(&rows, &siege.base, &done).with_context(|| branch.to_owned())?;
    }
    siege.client.expect_no_drift(copy)?;
    let rows = read_all(siege, copy)?;
    let cleanup = siege.lab.keeper.start_verb("cleanup", copy, STRICT, None)?.wait()?;
    cleanup.expect_success().context("the cleanup at the new place")?;
    ensure!(read_all(siege, copy)? == rows, "the cleanup at the new place took rows");
    expect_no_leftovers(copy)
}

fn read_all(siege: &Siege<'_>, copy: &Path) -> Result<Vec<Lines>> {
    BRANCHES.into_iter().map(|branch| siege.client.export(copy, branch)).collect()
}
