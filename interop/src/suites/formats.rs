//! Graphs of old formats: after our migration the client of the new format reads every branch and the whole history,
//! and goes on writing.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::graph::{Exports, Fixture, Graph};
use super::killed::files;
use super::omnigraph::Omnigraph;
use super::report::{Report, Scenario};
use super::{Lab, output};

/// Prints the commits that a v3 graph keeps, by branch.
const HISTORY: &str = include_str!("history.py");

const OLDEST: Fixture = Fixture::written(
    "omnigraph-0.3.1-v1-branches",
    &[("lazy", 3019), ("main", 4819), ("work", 4219)],
);
const V3: Fixture =
    Fixture::written("omnigraph-0.7.0-branches", &[("lazy", 3619), ("main", 7193), ("work", 6619)]);
const V3_MAIN: Fixture = Fixture::written("omnigraph-0.7.0-main-only", &[("main", 6010)]);

/// The client that a format is of, and what is taken to it.
const GOALS: [(&str, &str, &[Fixture]); 2] =
    [("3", "0.7.0", &[OLDEST]), ("4", "0.8.0", &[OLDEST, V3, V3_MAIN])];

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
    scenario.check("a preview changes nothing", || {
        let before = files(&path)?;
        migrate(graph, &["--to", goal])?;
        ensure!(files(&path)? == before, "files have changed");
        Ok(())
    })?;
    let mut expected = scenario.check("the client reads every branch afterwards", || {
        migrate(graph, &["--to", goal, "--confirm"])?;
        graph.read_fixture()
    })?;
    scenario.check("it lists the whole history", || same_history(graph, client, &history))?;
    scenario.check("a second migration has nothing to do", || {
        let before = files(&path)?;
        migrate(graph, &["--to", goal, "--confirm"])?;
        ensure!(files(&path)? == before, "files have changed");
        Ok(())
    })?;
    for (branch, _) in graph.fixture.branches {
        scenario.check(&format!("the client loads on {branch}"), || {
            graph.load(branch, &super::graph::mark(branch), &mut expected)
        })?;
    }
    scenario.check("the client branches, loads, merges and optimizes", || {
        works_on(graph, client, &mut expected)
    })?;
    scenario.check("lancekeeper optimize", || {
        graph.lab.keeper.optimize_all(&path)?;
        graph.expect_unchanged(&expected)?;
        graph.expect_no_drift()
    })
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
    let keeper = &graph.lab.keeper;
    let outcome = keeper.start_verb("migrate", &graph.path(), options, None)?.wait()?;
    ensure!(outcome.status.success(), "lancekeeper migrate: {}", outcome.describe());
    Ok(())
}

/// By branch, each commit as the client's `commit list` has it.
type History = BTreeMap<String, Vec<Value>>;

fn history(graph: &Graph<'_>) -> Result<History> {
    let mut command = Command::new(&graph.lab.clients.python);
    let text = output(command.args(["-c", HISTORY]).arg(graph.path()))?;
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
}

fn same_history(graph: &Graph<'_>, client: &Omnigraph, history: &History) -> Result<()> {
    const FIELDS: [&str; 5] = [
        "graph_commit_id",
        "manifest_version",
        "parent_commit_id",
        "merged_parent_commit_id",
        "created_at",
    ];
    for (branch, commits) in history {
        let listed = client.commit_rows(&graph.path(), branch)?;
        for commit in commits {
            let found = listed.iter().find(|found| found[FIELDS[0]] == commit[FIELDS[0]]);
            let found = found.with_context(|| format!("{branch}: {commit} is not listed"))?;
            for field in FIELDS {
                let is_same = found[field] == commit[field];
                ensure!(is_same, "{branch}: {field} of {found} is not that of {commit}");
            }
        }
    }
    Ok(())
}
