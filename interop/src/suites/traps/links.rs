//! One graph by its path and by a link to it, in turns, by the client and by us.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::super::Lab;
use super::super::cleanup::STRICTEST;
use super::super::omnigraph::{Lines, Omnigraph};
use super::super::report::{Report, Scenario};
use super::world::{World, expect_same_rows, persons, rows_of};

/// What we exit with where a safety rule forbids.
const REFUSED: i32 = 13;

pub(super) fn run(report: &mut Report, lab: &Lab, client: &Omnigraph) {
    let mut scenario = report.scenario(&client.title(), "traps links");
    // What failed is in the report.
    let _: Option<()> = check(lab, client, &mut scenario);
}

fn check(lab: &Lab, client: &Omnigraph, scenario: &mut Scenario<'_>) -> Option<()> {
    let (world, [real, link]) = scenario.check("a graph and a link to it", || {
        let world = World::new(lab, client)?;
        let link = world.beside("link");
        std::os::unix::fs::symlink(world.path(), &link)?;
        let places = [world.path(), link];
        Ok((world, places))
    })?;
    scenario.check("written, optimized and cleaned up through both in turns", || {
        let mut number = 0;
        for ours in [&link, &real] {
            for theirs in [&real, &link] {
                number += 1;
                client.load(theirs, "main", &persons(&[&format!("p{number}")], 30))?;
                let rows = read_by_both(&world, &real, &link)?;
                ensure!(rows["main"].len() == number, "{} rows on main", rows["main"].len());
                lab.keeper.optimize_all(ours)?;
                world.clean_at(ours, &[])?;
                expect_same_rows(&rows, &read_by_both(&world, &real, &link)?)?;
            }
        }
        Ok(())
    })?;
    scenario.check("a fork made by the path is kept by cleanups through both", || {
        client.create_branch(&real, "work", "main")?;
        client.load(&real, "work", &persons(&["onwork"], 30))?;
        client.load(&link, "main", &persons(&["onmain"], 30))?;
        let rows = read_by_both(&world, &real, &link)?;
        for ours in [&link, &real, &link] {
            lab.keeper.optimize_all(ours)?;
            world.clean_at(ours, &[])?;
            expect_same_rows(&rows, &read_by_both(&world, &real, &link)?)?;
        }
        Ok(())
    })?;
    scenario.check("a second fork made by the link: whatever deletes refuses", || {
        client.create_branch(&link, "other", "main")?;
        client.load(&link, "other", &persons(&["onother"], 30))?;
        let rows = read_by_both(&world, &real, &link)?;
        let before = files(&real)?;
        for ours in [&link, &real] {
            let mut command = Command::new(&lab.keeper.0);
            command.args(["cleanup", "--quiet", "--confirm"]).args(STRICTEST).arg(ours);
            let run = command.output()?;
            let said = String::from_utf8_lossy(&run.stderr);
            ensure!(run.status.code() == Some(REFUSED), "{}: {said}", run.status);
            ensure!(said.contains("several spellings"), "it does not say why: {said}");
        }
        ensure!(files(&real)? == before, "something was written or deleted");
        expect_same_rows(&rows, &read_by_both(&world, &real, &link)?)
    })?;
    scenario.check("optimize, which deletes nothing, leaves every branch its rows", || {
        let rows = read_by_both(&world, &real, &link)?;
        lab.keeper.optimize_all(&link)?;
        expect_same_rows(&rows, &read_by_both(&world, &real, &link)?)?;
        for branch in rows.keys() {
            client.load(&real, branch, &persons(&["late"], 30))?;
        }
        world.expect_no_drift()
    })
}

/// The rows of each branch; the client reads the same ones through both.
fn read_by_both(world: &World<'_>, real: &Path, link: &Path) -> Result<BTreeMap<String, Lines>> {
    for branch in world.client.branches(real)? {
        let [one, other] = [real, link].map(|place| world.client.export(place, &branch));
        ensure!(one? == other?, "{branch} reads otherwise through the link");
    }
    let rows = rows_of(world.lab, real)?;
    expect_same_rows(&rows, &rows_of(world.lab, link)?)?;
    Ok(rows)
}

/// Every file below the graph, but for those we keep for ourselves.
fn files(graph: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![graph.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.ends_with("__maintenance") {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
