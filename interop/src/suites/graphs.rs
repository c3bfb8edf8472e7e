//! Graphs: what omnigraph exports before and after us, and that it goes on working afterwards.

use anyhow::{Result, ensure};

use super::graph::{Exports, FIXTURES, Graph, mark};
use super::omnigraph::Lines;
use super::report::{Report, Scenario};
use super::{Lab, answers};

/// A branch that the client makes, writes and merges after our run.
const NEW_BRANCH: &str = "interop";

/// A branch of the fixtures that nobody has written: its tables are pinned to old versions of main's.
const LAZY_BRANCH: &str = "lazy";

pub(super) fn run(report: &mut Report, lab: &Lab) -> Result<()> {
    for client in &lab.clients.omnigraph {
        for fixture in FIXTURES {
            let graph = Graph::unpacked(lab, client, fixture)?;
            let mut scenario = report.scenario(&client.title(), &fixture.name(client));
            // What failed is in the report.
            let _: Option<()> = check(&graph, &mut scenario, |_, _| Some(()));
        }
    }
    Ok(())
}

/// What a client can do after our run, and after what `then` does to the graph besides.
pub(super) fn check(
    graph: &Graph<'_>,
    scenario: &mut Scenario<'_>,
    then: impl FnOnce(&mut Scenario<'_>, &Exports) -> Option<()>,
) -> Option<()> {
    let before = scenario.check("the client reads the fixture", || graph.read_fixture())?;
    check_answers(graph, scenario, "its indexes answer as a scan", &before)?;
    scenario.check("lancekeeper optimize moves pins", || {
        let pins = graph.client.pins(&graph.path(), "main")?;
        // Afresh, so that nothing the client wrote while it looked can help or harm us.
        graph.unpack()?;
        graph.lab.keeper.optimize(&graph.path())?;
        let moved = graph.client.pins(&graph.path(), "main")? != pins;
        ensure!(moved, "every table of main is still pinned where it was");
        Ok(())
    })?;
    then(scenario, &before)?;
    check_unchanged(graph, scenario, "the client reads the same rows", &before)?;
    check_answers(graph, scenario, "the indexes answer as a scan", &before)?;

    let mut expected = before;
    for (branch, _) in graph.fixture.branches {
        scenario.check(&format!("the client loads on {branch}"), || {
            graph.load(branch, &mark(branch), &mut expected)
        })?;
    }
    scenario.check("the client branches, loads and merges", || {
        graph.client.create_branch(&graph.path(), NEW_BRANCH, "main")?;
        expected.insert(NEW_BRANCH.to_owned(), expected["main"].clone());
        graph.load(NEW_BRANCH, &mark(NEW_BRANCH), &mut expected)?;
        let outcome = graph.client.merge_branch(&graph.path(), NEW_BRANCH, "main")?;
        ensure!(outcome == "fast_forward" || outcome == "merged", "the outcome is {outcome}");
        expected.insert("main".to_owned(), expected[NEW_BRANCH].clone());
        Ok(())
    })?;
    if expected.contains_key(LAZY_BRANCH) {
        scenario.check("the client merges main into the lazy branch", || {
            let outcome = graph.client.merge_branch(&graph.path(), "main", LAZY_BRANCH)?;
            ensure!(outcome == "merged", "the outcome is {outcome}");
            // What lazy had of its own is what was just loaded there.
            let own = expected[LAZY_BRANCH].iter().filter(|line| line.contains(&mark(LAZY_BRANCH)));
            let mut merged: Lines = own.chain(&expected["main"]).cloned().collect();
            merged.sort();
            expected.insert(LAZY_BRANCH.to_owned(), merged);
            Ok(())
        })?;
    }
    check_unchanged(graph, scenario, "every row is on its branch", &expected)?;
    // Not again after the client's optimize: that leaves BTREEs which the client itself cannot read
    // ("from_sorted_iter called with non-sorted input"), on graphs that we never touched too.
    check_answers(graph, scenario, "the indexes find the new rows", &expected)?;
    check_no_drift(graph, scenario, "the client finds no drift")?;

    scenario.check("the client optimizes", || graph.client.optimize(&graph.path()))?;
    check_no_drift(graph, scenario, "no drift after the client's optimize")?;
    check_unchanged(graph, scenario, "the same rows after it", &expected)?;

    scenario.check("lancekeeper optimize again", || graph.lab.keeper.optimize(&graph.path()))?;
    check_unchanged(graph, scenario, "the same rows after ours", &expected)?;
    check_no_drift(graph, scenario, "no drift after ours")
}

fn check_unchanged(
    graph: &Graph<'_>,
    scenario: &mut Scenario<'_>,
    check: &str,
    expected: &Exports,
) -> Option<()> {
    scenario.check(check, || graph.expect_unchanged(expected))
}

fn check_answers(
    graph: &Graph<'_>,
    scenario: &mut Scenario<'_>,
    check: &str,
    what: &Exports,
) -> Option<()> {
    scenario.check(check, || answers::expect(graph.client, &graph.path(), what))
}

fn check_no_drift(graph: &Graph<'_>, scenario: &mut Scenario<'_>, check: &str) -> Option<()> {
    scenario.check(check, || graph.expect_no_drift())
}
