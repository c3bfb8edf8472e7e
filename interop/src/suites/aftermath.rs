//! Runs of ours that die, and what must hold after one died or was held up: the graph is whole, and our next
//! run finishes the work.

use anyhow::{Context, Result, ensure};

use super::graph::{Exports, Graph};
use super::keeper::{Action, Failpoint, Outcome};

/// A run that dies here leaves everything for a sweep to do: all tables moved, none published.
pub(super) const BEFORE_PUBLISH: &str = "optimize.post_phase_b_pre_manifest_commit";

/// A run that is to abort there. Whether it came to that is in the outcome.
pub(super) fn run_to_death(graph: &Graph<'_>, name: &str, crossing: usize) -> Result<Outcome> {
    let failpoint = Failpoint { name, action: Action::Abort, crossing };
    graph.lab.keeper.start(&graph.path(), Some(&failpoint))?.wait().context(name.to_owned())
}

/// A run that aborted at the first crossing of that failpoint.
pub(super) fn dead_run(graph: &Graph<'_>, name: &str) -> Result<()> {
    let outcome = run_to_death(graph, name, 1)?;
    ensure!(outcome.aborted(), "not killed at {name}: {}", outcome.describe());
    Ok(())
}

/// The real client opens first, and for writing: it meets what we left and resolves it by its own rules.
pub(super) fn expect_client_recovers(
    graph: &Graph<'_>,
    mark: &str,
    expected: &mut Exports,
) -> Result<()> {
    graph.load("main", mark, expected).context("the client loads")?;
    let sidecars = graph.sidecars()?;
    ensure!(sidecars.is_empty(), "the client left the sidecars {sidecars:?}");
    graph.expect_unchanged(expected).context("after the client's recovery")?;
    graph.expect_no_drift().context("after the client's recovery")
}

/// One more run of ours packs main, a second one finds nothing to do, and no reader notices.
pub(super) fn expect_we_finish(graph: &Graph<'_>, expected: &Exports) -> Result<()> {
    let keeper = &graph.lab.keeper;
    keeper.optimize_all(&graph.path())?.expect_packed("main").context("our next run")?;
    keeper.optimize_all(&graph.path())?.expect_idle().context("our run after that")?;
    let (sidecars, journal) = (graph.sidecars()?, graph.journal()?);
    ensure!(sidecars.is_empty() && journal.is_empty(), "we left {sidecars:?} and {journal:?}");
    graph.expect_unchanged(expected).context("after our next run")?;
    graph.expect_no_drift().context("after our next run")
}
