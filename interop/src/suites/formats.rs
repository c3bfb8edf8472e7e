//! Graphs of old formats: after our migration the client of the new format reads every branch and the whole history,
//! merges by it, and goes on writing.
//!
//! `history` compares what is listed, `merges` lets the clients merge a branch that is older than the migration,
//! `taken_back` ends a migration half-way and takes it back.

mod history;
mod merges;
mod taken_back;

use anyhow::{Context, Result, ensure};

use super::Lab;
use super::cleanup::STRICTEST;
use super::graph::{Exports, Fixture, Graph};
use super::keeper::Failpoint;
use super::killed::files;
use super::omnigraph::Omnigraph;
use super::report::{Report, Scenario};
use history::{expect_same_history, history};

const OLDEST: Fixture = Fixture::written(
    "omnigraph-0.3.1-v1-branches",
    &[("lazy", 3019), ("main", 4819), ("work", 4219)],
);
const V3: Fixture =
    Fixture::written("omnigraph-0.7.0-branches", &[("lazy", 3619), ("main", 7193), ("work", 6619)]);
const V3_MAIN: Fixture = Fixture::written("omnigraph-0.7.0-main-only", &[("main", 6010)]);

/// The client of before v4.
const OLD_CLIENT: &str = "0.7.0";
/// The client that a format is of, and what is taken to it.
const GOALS: [(&str, &str, &[Fixture]); 2] =
    [("3", OLD_CLIENT, &[OLDEST]), ("4", "0.8.0", &[OLDEST, V3, V3_MAIN])];

pub(super) fn run(report: &mut Report, lab: &Lab) -> Result<()> {
    for (goal, version, fixtures) in GOALS {
        for client in lab.clients.omnigraph.iter().filter(|client| client.version == version) {
            for fixture in fixtures {
                let graph = Graph::unpacked(lab, client, *fixture)?;
                let name = format!("migrate {} to v{goal}", fixture.name(client));
                let mut scenario = report.scenario(&client.title(), &name);
                // What failed is in the report.
                let _: Option<()> = check(&graph, client, goal, &mut scenario);
            }
        }
    }
    for client in lab.clients.omnigraph.iter().filter(|client| client.version == OLD_CLIENT) {
        taken_back::run(report, lab, client, V3)?;
    }
    Ok(())
}

fn check(
    graph: &Graph<'_>,
    client: &Omnigraph,
    goal: &str,
    scenario: &mut Scenario<'_>,
) -> Option<()> {
    let path = graph.path();
    let history = scenario.check("its history", || history(graph))?;
    let merged = merges::by_the_old_client(graph, scenario)?;
    scenario.check("a preview changes nothing", || {
        graph.unpack()?;
        let before = files(&path)?;
        migrate(graph, &["--to", goal])?;
        ensure!(files(&path)? == before, "files have changed");
        Ok(())
    })?;
    let mut expected = scenario.check("the client reads every branch afterwards", || {
        migrate(graph, &["--to", goal, "--confirm"])?;
        graph.read_fixture()
    })?;
    scenario.check("it lists the whole history, and nothing else", || {
        expect_same_history(graph, client, &history)
    })?;
    scenario.check("a second migration has nothing to do", || {
        let before = files(&path)?;
        migrate(graph, &["--to", goal, "--confirm"])?;
        ensure!(files(&path)? == before, "files have changed");
        Ok(())
    })?;
    merges::check(graph, client, merged.as_ref(), scenario)?;
    for (branch, _) in graph.fixture.branches {
        scenario.check(&format!("the client loads on {branch}"), || {
            // What was merged meanwhile is what is read now.
            let now = client.export(&path, branch)?;
            expected.insert((*branch).to_owned(), now);
            graph.load(branch, &format!("migrated{branch}"), &mut expected)
        })?;
    }
    scenario.check("the client branches, loads, merges and optimizes", || {
        works_on(graph, client, &mut expected)
    })?;
    scenario.check("lancekeeper optimize", || {
        graph.lab.keeper.optimize_all(&path)?;
        graph.expect_unchanged(&expected)?;
        graph.expect_no_drift()
    })?;
    scenario.check("lancekeeper cleanup --keep 1: the same rows on every branch", || {
        clean(graph)?;
        graph.expect_unchanged(&expected)?;
        graph.expect_no_drift()
    })?;
    scenario.check("the client loads after it", || {
        graph.load("main", "loadedaftercleanup", &mut expected)
    })?;
    scenario.check("migrated and cleaned up at once: the same rows on every branch", || {
        graph.unpack()?;
        migrate(graph, &["--to", goal, "--confirm"])?;
        clean(graph)?;
        graph.read_fixture()
    })?;
    merges::check(graph, client, merged.as_ref(), scenario)
}

fn works_on(graph: &Graph<'_>, client: &Omnigraph, expected: &mut Exports) -> Result<()> {
    let path = graph.path();
    client.create_branch(&path, "interop", "main")?;
    expected.insert("interop".to_owned(), expected["main"].clone());
    graph.load("interop", "loadedinterop", expected)?;
    client.merge_branch(&path, "interop", "main")?;
    expected.insert("main".to_owned(), expected["interop"].clone());
    client.optimize(&path)?;
    graph.expect_unchanged(expected)?;
    graph.expect_no_drift()
}

fn migrate(graph: &Graph<'_>, options: &[&str]) -> Result<()> {
    let outcome = graph.lab.keeper.start_verb("migrate", &graph.path(), options, None)?.wait()?;
    ensure!(outcome.status.success(), "lancekeeper migrate: {}", outcome.describe());
    Ok(())
}

/// A migration that dies at a failpoint.
fn migrate_and_die(graph: &Graph<'_>, options: &[&str], failpoint: &Failpoint<'_>) -> Result<()> {
    let run =
        graph.lab.keeper.start_verb("migrate", &graph.path(), options, Some(failpoint))?.wait()?;
    ensure!(run.aborted(), "not killed: {}", run.describe());
    Ok(())
}

/// Only the newest version of everything stays, and what somebody reads.
fn clean(graph: &Graph<'_>) -> Result<()> {
    let mut options = STRICTEST.to_vec();
    options.extend(["--min-age", "0s", "--confirm"]);
    let outcome = graph.lab.keeper.start_verb("cleanup", &graph.path(), &options, None)?.wait()?;
    outcome.expect_success().context("cleanup")?;
    let removed = &outcome.json()?["totals"]["files_removed"];
    ensure!(removed.as_u64() > Some(0), "nothing went: {}", outcome.describe());
    Ok(())
}
