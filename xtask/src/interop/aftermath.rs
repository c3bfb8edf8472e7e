//! After a run of ours was killed or held up: the graph is whole, and our next run finishes the work.

use anyhow::{Context, Result, ensure};

use super::graph::{Exports, Graph};

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
