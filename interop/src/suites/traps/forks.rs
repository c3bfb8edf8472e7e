//! Forks that a branch reads whose own they are not, and forks whose names lie in each other.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use super::super::Lab;
use super::super::omnigraph::Omnigraph;
use super::super::process::Process;
use super::super::report::{Report, Scenario};
use super::world::{CLEANED, UNTOUCHED, World, company, expect_same_answers, expect_same_rows};

/// Names that lie in each other, and names of directories that tables have.
const NAMES: [&str; 4] = ["a", "a/b", "data", "tree/x"];
/// The graph with all of them.
const ALL: &str = "all";
/// Tries to kill a deletion in the middle.
const MOST_KILLS: usize = 20;

pub(super) fn run(report: &mut Report, lab: &Lab, client: &Omnigraph) {
    let title = client.title();
    // What failed is in the report.
    let _: Option<()> = branch_of_branch(lab, client, &mut report.scenario(&title, "traps forks"));
    let _: Option<()> = nested_names(lab, client, &mut report.scenario(&title, "traps names"));
}

/// B is cut from main and writes, C is cut from B and reads B's fork; merges move B off it.
fn branch_of_branch(lab: &Lab, client: &Omnigraph, scenario: &mut Scenario<'_>) -> Option<()> {
    let world = scenario.check("C reads B's fork, which B has left", || {
        let world = World::new(lab, client)?;
        world.load("main", &["a"])?;
        client.load(&world.path(), "main", &company("Acme"))?;
        world.branch("B", "main")?;
        world.load("B", &["b"])?;
        world.branch("C", "B")?;
        world.merge("B", "main")?;
        world.load("main", &["m"])?;
        world.merge("main", "B")?;
        ensure!(fork_of(&world, "C")? == "B" && fork_of(&world, "B")? == "main", "otherwise");
        world.save(UNTOUCHED)?;
        Ok(world)
    })?;
    let (answers, rows) = scenario.check("its branches are read", || {
        let (answers, rows) = (world.answers()?, world.rows()?);
        ensure!(rows["C"].len() == 3, "{} rows on C", rows["C"].len());
        Ok((answers, rows))
    })?;
    if let Err(said) = &answers["C"] {
        scenario.note("without us the client cannot read C", said);
    }
    let unchanged = || {
        expect_same_answers(&answers, &world.answers()?)?;
        expect_same_rows(&rows, &world.rows()?)?;
        world.expect_no_drift()
    };
    scenario.check("optimize and cleanup leave every branch its rows", || {
        world.optimize_and_clean()?;
        unchanged()?;
        world.save(CLEANED)
    })?;
    scenario.check("the client writes to C as without us", || {
        let load = |world: &World<'_>| client.load(&world.path(), "C", &company("Own"));
        let step = world.expect_as_untouched(|world| load(world).map(|()| "done"))?;
        ensure!(step.outcome.is_ok(), "refused: {:?}", step.outcome);
        ensure!(world.rows()?["C"].len() == 4, "not one row more");
        Ok(())
    })?;
    let refused = scenario.check("it writes to the fork of a fork as without us", || {
        let step = world.expect_as_untouched(|world| world.load("C", &["c"]).map(|()| "done"))?;
        Ok(step.outcome.err())
    })?;
    if let Some(said) = refused {
        scenario.note("without us the client cannot fork a fork", &said);
        // Its attempt leaves a fork that nobody reads.
        scenario.check("what that left is collected, and C stays", || {
            world.clean()?;
            ensure!(!world.branch_file("node:Person", "C")?.exists(), "the orphan is still there");
            unchanged()
        })?;
    }
    scenario.check("the client deletes B, or refuses, as without us", || {
        world.expect_as_untouched(|world| world.delete_branch("B").map(|()| "done"))?;
        world.clean()?;
        let rows_now = world.rows()?;
        ensure!(rows_now["C"] == rows["C"], "C has other rows");
        Ok(())
    })?;
    scenario.check("C and then B deleted: main stays, and no fork does", || {
        world.restore(CLEANED)?;
        world.delete_branch("C")?;
        world.delete_branch("B")?;
        world.clean()?;
        ensure!(world.rows()?["main"] == rows["main"], "main has other rows");
        ensure!(!world.branch_file("node:Person", "B")?.exists(), "B's fork is still there");
        world.expect_no_drift()
    })
}

/// The Lance branch that a graph branch reads persons from.
fn fork_of(world: &World<'_>, branch: &str) -> Result<String> {
    let tables = world.client.tables(&world.path(), branch)?;
    let person = tables.into_iter().find(|table| table.key == "node:Person");
    Ok(person.map(|table| table.branch).unwrap_or_default())
}

/// One of several branches whose names lie in each other is deleted, and the deletion is killed.
fn nested_names(lab: &Lab, client: &Omnigraph, scenario: &mut Scenario<'_>) -> Option<()> {
    let world = scenario.check("branches in each other, each with forks", || {
        let world = World::new(lab, client)?;
        world.load("main", &["a"])?;
        for name in NAMES {
            world.branch(name, "main")?;
            world.load(name, &[&format!("on{}", name.replace('/', ""))])?;
            client.load(&world.path(), name, &company("Acme"))?;
        }
        world.save(ALL)?;
        Ok(world)
    })?;
    let rows = scenario.check("its branches are read", || world.rows())?;
    for gone in NAMES {
        let label = format!("{gone} deleted, the deletion killed: its orphans go, others stay");
        let _: Option<()> = scenario.check(&label, || {
            orphan(&world, gone)?;
            let mut rows = rows.clone();
            rows.remove(gone);
            let answers = world.answers()?;
            let report = world.clean_at(&world.path(), &[])?;
            let reclaimed = report["roots"][0]["reconciled"]["reclaimed"].as_array();
            ensure!(
                reclaimed.is_some_and(|forks| !forks.is_empty()),
                "nothing reclaimed: {report}"
            );
            expect_same_answers(&answers, &world.answers()?)?;
            expect_same_rows(&rows, &world.rows()?)?;
            for other in rows.keys() {
                world.load(other, &["late"])?;
            }
            world.expect_no_drift()
        });
        let _: Option<()> = comes_back(&world, gone, scenario);
    }
    Some(())
}

/// A branch is deleted, and made again after a cleanup.
fn comes_back(world: &World<'_>, name: &str, scenario: &mut Scenario<'_>) -> Option<()> {
    let step = scenario.check(&format!("{name} comes back, or not, as without us"), || {
        world.restore(ALL)?;
        world.delete_branch(name)?;
        world.save(UNTOUCHED)?;
        world.optimize_and_clean()?;
        world.save(CLEANED)?;
        world.expect_as_untouched(|world| {
            world.branch(name, "main")?;
            world.load(name, &["again"])?;
            Ok("written")
        })
    })?;
    let Err(said) = step.outcome else { return Some(()) };
    scenario.note(&format!("without us {name} cannot come back"), &said);
    // What the client's deletion leaves behind is younger than any default.
    scenario.check(&format!("{name} comes back when its remains are collected"), || {
        world.restore(CLEANED)?;
        world.clean_at(&world.path(), &["--min-age", "0s"])?;
        world.branch(name, "main")?;
        world.load(name, &["again"])?;
        let rows = world.rows()?;
        ensure!(rows[name].len() == rows["main"].len() + 1, "{} rows", rows[name].len());
        Ok(())
    })
}

/// Kills the deletion of a branch when the branch is gone and a fork of a table is still there.
fn orphan(world: &World<'_>, name: &str) -> Result<()> {
    for _ in 0..MOST_KILLS {
        world.restore(ALL)?;
        let of_graph = branch_file(&world.path().join("__manifest"), name);
        let gone = kill_deletion(world.client, &world.path(), name, || !of_graph.exists())?;
        if gone && world.branch_file("node:Person", name)?.exists() {
            return Ok(());
        }
    }
    bail!("{MOST_KILLS} deletions were killed too early or too late")
}

/// Deletes a branch, and kills the client as soon as something is gone. Returns whether it went.
pub(super) fn kill_deletion(
    client: &Omnigraph,
    graph: &Path,
    name: &str,
    gone: impl Fn() -> bool,
) -> Result<bool> {
    let mut command = client.command("branch");
    let mut process = Process::start(command.args(["delete", "--uri"]).arg(graph).arg(name))?;
    let is_gone = process.wait_until(|| Ok(gone()))?;
    process.kill()?;
    process.wait()?;
    Ok(is_gone)
}

pub(super) fn branch_file(table: &Path, name: &str) -> PathBuf {
    table.join("_refs").join("branches").join(format!("{}.json", name.replace('/', "%2F")))
}

impl World<'_> {
    /// Where Lance notes a branch of a table of main.
    pub(super) fn branch_file(&self, key: &str, name: &str) -> Result<PathBuf> {
        let tables = self.client.tables(&self.path(), "main")?;
        let table = tables.into_iter().find(|table| table.key == key);
        let table = table.map(|table| table.path).unwrap_or_default();
        Ok(branch_file(&self.path().join(table), name))
    }
}
