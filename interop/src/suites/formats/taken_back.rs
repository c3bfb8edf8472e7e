//! A migration to v4 that died half-way and is taken back: the client of v3 goes on as if nothing had been, also where
//! its branches already have rows of the new format; and begun anew it comes to its end.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::super::Lab;
use super::super::graph::{Exports, Fixture, Graph};
use super::super::keeper::{Action, Failpoint};
use super::super::omnigraph::Omnigraph;
use super::super::output;
use super::super::report::{Report, Scenario};
use super::history::{History, expect_same_history, history};
use super::{migrate, migrate_and_die, works_on};

const STEP: &str = "migrate.before_step";
const NEWER_CLIENT: &str = "0.8.0";
/// Before which step it dies, and on how many of three branches the history is copied by then: the note, a stamp for each
/// branch, a copy for each, a look at each, the last stamps.
const DEATHS: [(usize, usize); 4] = [(5, 0), (6, 1), (8, 3), (13, 3)];
/// Prints the number of copied commits on each branch of `__manifest`.
const COPIED: &str = "import json, sys, lance\n\
    manifest = lance.dataset(sys.argv[1] + '/__manifest')\n\
    count = lambda at: at.count_rows(\"object_type = 'graph_commit'\")\n\
    forks = [manifest.checkout_version((name, None)) for name in manifest.branches.list()]\n\
    print(json.dumps([count(at) for at in [manifest, *forks]]))\n";

pub(super) fn run(
    report: &mut Report,
    lab: &Lab,
    client: &Omnigraph,
    fixture: Fixture,
) -> Result<()> {
    for (step, copied) in DEATHS {
        let graph = Graph::unpacked(lab, client, fixture)?;
        let name = format!("migrate {} taken back from step {step}", fixture.name(client));
        let mut scenario = report.scenario(&client.title(), &name);
        // What failed is in the report.
        let _: Option<()> = check(&graph, client, (step, copied), &mut scenario);
    }
    Ok(())
}

fn check(
    graph: &Graph<'_>,
    client: &Omnigraph,
    (step, copied): (usize, usize),
    scenario: &mut Scenario<'_>,
) -> Option<()> {
    let path = graph.path();
    let (before, mut expected) = scenario.check("the client reads it", || {
        let expected = graph.read_fixture()?;
        Ok((history(graph)?, expected))
    })?;
    scenario.check(&format!("killed with {copied} histories copied"), || {
        let failpoint = Failpoint { name: STEP, action: Action::Abort, crossing: step };
        migrate_and_die(graph, &["--to", "4", "--confirm"], &failpoint)?;
        let counts = copied_commits(graph)?;
        let branches = counts.iter().filter(|count| **count > 0).count();
        ensure!(branches == copied, "{counts:?} commits are copied");
        Ok(())
    })?;
    let said =
        scenario.check("the client is let in nowhere meanwhile", || refused(graph, client))?;
    scenario.note("it says", &said);
    scenario.check("migrate --abort: the same rows and the same history", || {
        migrate(graph, &["--abort", "--confirm"])?;
        is_as_before(graph, client, &before, &expected)?;
        let counts = copied_commits(graph)?;
        let branches = counts.iter().filter(|count| **count > 0).count();
        // Else nothing is shown of what a client makes of them.
        ensure!(branches == copied, "{counts:?} copied commits are left");
        Ok(())
    })?;
    for (branch, _) in graph.fixture.branches {
        scenario.check(&format!("the client loads on {branch}"), || {
            graph.load(branch, &super::super::graph::mark(branch), &mut expected)
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
    let Some(newer) = graph.lab.clients.installed(NEWER_CLIENT) else {
        scenario.note("migrated anew", &format!("not tried: {NEWER_CLIENT} is not installed"));
        return Some(());
    };
    scenario.check(&format!("migrated anew, {NEWER_CLIENT} reads, lists and loads"), || {
        let commits = listed_by(graph, client, &expected)?;
        migrate(graph, &["--to", "4", "--confirm"])?;
        super::super::graph::expect_unchanged(&newer, &path, &expected)?;
        ensure!(listed_by(graph, &newer, &expected)? == commits, "another history is listed");
        super::super::graph::load(&newer, &path, "work", "loadedatlast", &mut expected)?;
        newer.expect_no_drift(&path)
    })
}

/// The ids of the commits of each branch, sorted.
fn listed_by(
    graph: &Graph<'_>,
    client: &Omnigraph,
    branches: &Exports,
) -> Result<Vec<Vec<String>>> {
    let of = |branch: &String| {
        let mut commits = client.commits(&graph.path(), branch)?;
        commits.sort();
        Ok(commits)
    };
    branches.keys().map(of).collect()
}

/// How the client refuses to write to any branch, none of which changes by that.
fn refused(graph: &Graph<'_>, client: &Omnigraph) -> Result<String> {
    let mut said = String::new();
    for (branch, _) in graph.fixture.branches {
        let (rows, _) = super::super::graph::new_rows("loadedtooearly");
        let refusal = client.load(&graph.path(), branch, &rows).err();
        let refusal = refusal.with_context(|| format!("it loads on {branch}"))?;
        said = super::super::race::reason(&format!("{refusal:#}"));
    }
    let sidecars = graph.sidecars()?;
    ensure!(sidecars.is_empty(), "it left {sidecars:?}");
    Ok(said)
}

fn is_as_before(
    graph: &Graph<'_>,
    client: &Omnigraph,
    history: &History,
    expected: &Exports,
) -> Result<()> {
    graph.expect_unchanged(expected)?;
    expect_same_history(graph, client, history)?;
    graph.expect_no_drift()
}

fn copied_commits(graph: &Graph<'_>) -> Result<Vec<u64>> {
    let mut command = Command::new(&graph.lab.clients.python);
    let text = output(command.args(["-c", COPIED]).arg(graph.path()))?;
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
}
