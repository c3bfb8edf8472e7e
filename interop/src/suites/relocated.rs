//! A graph with branches that its client wrote is copied elsewhere, and where it was made there is nothing any more: after
//! `repair --relocate` the same client reads every branch at the new place and goes on there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::cleanup::STRICTEST;
use super::graph::{BRANCHES, Exports, Graph, expect_same, expect_unchanged, load, mark};
use super::killed::files;
use super::omnigraph::{Lines, Omnigraph};
use super::race::reason;
use super::report::{Report, Scenario};
use super::{Lab, answers, output};

/// The name of the copy.
const NEW: &str = "copied";
/// The exit code of a verb that writes, on a graph that was moved.
const REFUSED: i32 = 13;

pub(super) fn run(report: &mut Report, lab: &Lab) -> Result<()> {
    for client in &lab.clients.omnigraph {
        let name = format!("relocate {}", BRANCHES.name(client));
        // What failed is in the report.
        let _: Option<()> = check(lab, client, &mut report.scenario(&client.title(), &name));
    }
    Ok(())
}

fn check(lab: &Lab, client: &Omnigraph, scenario: &mut Scenario<'_>) -> Option<()> {
    // For as long as we are at it the old place stays ours, so that nothing can appear there.
    let (graph, moved, mut expected) = scenario.check("written, copied, and moved away", || {
        let graph = Graph::unpacked(lab, client, BRANCHES)?;
        graph.load("work", "loadedbefore", &mut graph.read_fixture()?)?;
        graph.client.create_branch(&graph.path(), "fresh", "work")?;
        let expected = graph.export(["fresh", "lazy", "main", "work"])?;
        let moved = Moved::from(&graph)?;
        Ok((graph, moved, expected))
    })?;
    let (path, away) = (moved.path(), moved.away.clone());
    let left = scenario.check("what is not its own any more", || files(&away))?;
    match client.export(&path, "work") {
        Ok(_) => scenario.note("before that the client", "exports a branch all the same"),
        Err(error) => scenario.note("before that the client", &reason(&format!("{error:#}"))),
    }
    scenario.check("lancekeeper refuses to write to it", || {
        let outcome = lab.keeper.start(&path, None)?.wait()?;
        ensure!(outcome.status.code() == Some(REFUSED), "{}", outcome.describe());
        Ok(())
    })?;
    scenario.check("a preview changes nothing", || {
        let before = files(&path)?;
        relocate(lab, &path, &[])?;
        ensure!(files(&path)? == before, "files have changed");
        Ok(())
    })?;
    scenario.check("repair --relocate: the client reads the same on every branch", || {
        let report = relocate(lab, &path, &["--confirm"])?;
        let changed = report["roots"][0]["changed"].as_u64();
        ensure!(changed > Some(0), "nothing was changed: {report}");
        let branches = client.branches(&path)?;
        ensure!(branches.iter().eq(expected.keys()), "the branches are {branches:?}");
        expect_unchanged(client, &path, &expected)?;
        client.expect_no_drift(&path)
    })?;
    scenario.check("its indexes answer as a scan", || answers::expect(client, &path, &expected))?;
    scenario.check("a second one has nothing to do", || {
        let before = files(&path)?;
        relocate(lab, &path, &["--confirm"])?;
        ensure!(files(&path)? == before, "files have changed");
        Ok(())
    })?;
    scenario.check("the client merges two branches as it does where they were made", || {
        let merged = merge(client, &path)?;
        ensure!(
            merged.outcome == moved.merged.outcome,
            "{:?}, not {:?}",
            merged.outcome,
            moved.merged.outcome
        );
        expect_same(&moved.merged.rows, &merged.rows)?;
        expected.insert("main".to_owned(), merged.rows);
        Ok(())
    })?;
    for (branch, _) in BRANCHES.branches {
        scenario.check(&format!("the client loads on {branch}"), || {
            load(client, &path, branch, &mark(branch), &mut expected)
        })?;
    }
    scenario.check("the client branches, loads, merges and optimizes", || {
        works_on(client, &path, &mut expected)
    })?;
    scenario.check("lancekeeper optimizes and cleans up", || {
        lab.keeper.optimize_all(&path)?.expect_packed("main")?;
        let mut options = STRICTEST.to_vec();
        options.push("--confirm");
        lab.keeper.start_verb("cleanup", &path, &options, None)?.wait()?.expect_success()?;
        expect_unchanged(client, &path, &expected)?;
        client.expect_no_drift(&path)
    })?;
    scenario.check("nobody has touched the old one, or made it anew", || {
        ensure!(files(&away)? == left, "its files have changed");
        ensure!(!graph.path().exists(), "there is something where it was made");
        Ok(())
    })
}

/// A graph at another place than it was made.
struct Moved {
    temp: TempDir,
    /// Where the one that was copied is now.
    away: PathBuf,
    /// What became of a merge there, after it was copied.
    merged: Merged,
}

struct Merged {
    /// What the client called the outcome, or how it refused.
    outcome: Result<String, String>,
    /// The rows of main.
    rows: Lines,
}

fn merge(client: &Omnigraph, path: &Path) -> Result<Merged> {
    let outcome = client.merge_branch(path, "work", "main");
    let outcome = outcome.map_err(|error| reason(&format!("{error:#}")));
    Ok(Merged { outcome, rows: client.export(path, "main")? })
}

impl Moved {
    fn from(graph: &Graph<'_>) -> Result<Self> {
        let temp = tempfile::tempdir()?;
        output(Command::new("cp").arg("-a").arg(graph.path()).arg(temp.path().join(NEW)))?;
        let merged = merge(graph.client, &graph.path())?;
        let away = graph.path().with_file_name("away");
        fs::rename(graph.path(), &away).context("failed to move the old one away")?;
        Ok(Self { temp, away, merged })
    }

    fn path(&self) -> PathBuf {
        self.temp.path().join(NEW)
    }
}

fn works_on(client: &Omnigraph, path: &Path, expected: &mut Exports) -> Result<()> {
    client.create_branch(path, "interop", "main")?;
    expected.insert("interop".to_owned(), expected["main"].clone());
    load(client, path, "interop", "loadedinterop", expected)?;
    client.merge_branch(path, "interop", "main")?;
    expected.insert("main".to_owned(), expected["interop"].clone());
    client.optimize(path)?;
    expect_unchanged(client, path, expected)?;
    client.expect_no_drift(path)
}

fn relocate(lab: &Lab, path: &Path, options: &[&str]) -> Result<serde_json::Value> {
    let options: Vec<&str> = ["--relocate"].into_iter().chain(options.iter().copied()).collect();
    let outcome = lab.keeper.start_verb("repair", path, &options, None)?.wait()?;
    ensure!(outcome.status.success(), "lancekeeper repair --relocate: {}", outcome.describe());
    outcome.json()
}
