//! A client loads while our files are staged, round after round, and finds each of its rows by every index.
//!
//! What is loaded then stays beside what we rewrite, and is folded in by the round after. So the fragments
//! come into an order that no run on a graph at rest would make.

use anyhow::{Context, Result, ensure};

use super::graph::{Exports, Graph, MAIN_ONLY, NODES_OF_A_LOAD, node_name};
use super::keeper::{Action, Failpoint};
use super::report::{Report, Scenario};
use super::{Lab, answers};

/// Everything is staged, and no lock is taken yet.
const STAGED: &str = "optimize.staged_pre_enter";
const ROUNDS: usize = 6;
/// Loads of a round while we are staged, and after we are done.
const LOADS_MEANWHILE: usize = 3;
const LOADS_AFTERWARDS: usize = 1;

pub(super) fn run(report: &mut Report, lab: &Lab) -> Result<()> {
    for client in &lab.clients.omnigraph {
        let graph = Graph::unpacked(lab, client, MAIN_ONLY)?;
        let name = format!("staged {}", MAIN_ONLY.name(client));
        // What failed is in the report.
        let _: Option<()> = check(&graph, &mut report.scenario(&client.title(), &name));
    }
    Ok(())
}

fn check(graph: &Graph<'_>, scenario: &mut Scenario<'_>) -> Option<()> {
    let mut expected = scenario.check("the client reads the fixture", || graph.read_fixture())?;
    let mut marks = Vec::new();
    for round in 1..=ROUNDS {
        scenario.check(&format!("round {round}: the client loads while we are staged"), || {
            load_while_staged(graph, round, &mut marks, &mut expected)
        })?;
        scenario.check(&format!("round {round}: every loaded row is found"), || {
            let names =
                marks.iter().flat_map(|mark| (0..NODES_OF_A_LOAD).map(|n| node_name(mark, n)));
            answers::expect_found(graph.client, &graph.path(), names)
        })?;
    }
    scenario.check("the indexes answer as a scan", || {
        answers::expect(graph.client, &graph.path(), &expected)
    })
}

fn load_while_staged(
    graph: &Graph<'_>,
    round: usize,
    marks: &mut Vec<String>,
    expected: &mut Exports,
) -> Result<()> {
    let failpoint = Failpoint { name: STAGED, action: Action::Pause, crossing: 1 };
    let mut run = graph.lab.keeper.start(&graph.path(), Some(&failpoint))?;
    ensure!(run.pauses()?, "our run did not stage anything");
    let mut load = |number| {
        let mark = format!("round{round}load{number}n");
        graph.load("main", &mark, expected)?;
        marks.push(mark);
        anyhow::Ok(())
    };
    (0..LOADS_MEANWHILE).try_for_each(&mut load).context("while we are staged")?;
    run.resume()?;
    run.wait()?.expect_success()?;
    (LOADS_MEANWHILE..LOADS_MEANWHILE + LOADS_AFTERWARDS).try_for_each(load)?;
    graph.expect_unchanged(expected).context("after our run")?;
    graph.expect_no_drift().context("after our run")
}
