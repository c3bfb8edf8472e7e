//! The facts of `recover` beside those of foreign sidecars: our own, in a preview.

use lancekeeper_manifest::FoundSidecar;
use lancekeeper_model::{LeftBehind, RecoverAction, RecoverRow, TableRef};
use lancekeeper_planner::recover::{ForeignFacts, Unread};
use lancekeeper_planner::sweep::{SidecarDecision, SweepStep, plan_sweep};
use lancekeeper_reconciler::{RecoverError, recover, sweep};
use lancekeeper_store::Tables;

use super::report;
use crate::root::{OpenRootError, ReadGraph};

/// What is known of the sidecars of others, and of those that cannot be understood.
pub(super) async fn foreign(
    graph: &ReadGraph,
    tables: &Tables,
    found: &[FoundSidecar],
) -> Result<Vec<ForeignFacts>, RecoverError> {
    recover::inventory(&graph.graph, tables, found).await
}

/// The forks of tables that a sidecar names and that no branch reads: what its writer was the first to commit there.
pub(super) async fn unread_forks(graph: &ReadGraph, found: &FoundSidecar) -> Vec<TableRef> {
    let mut forks = Vec::new();
    for table in found.tables() {
        // What a branch reads that cannot be read is not known.
        let Ok(unread) = graph.graph.unowned_forks(&table.branch).await else { continue };
        if unread.contains(&table.key) {
            forks.push(table);
        }
    }
    forks
}

/// What becomes of our own sidecars.
pub(super) async fn own(
    graph: &ReadGraph,
    tables: &Tables,
    found: &[FoundSidecar],
) -> Result<Vec<RecoverRow>, OpenRootError> {
    let uri = &graph.graph.root().given;
    let row = |(step, unread): (SweepStep, Option<Unread>)| {
        let mut row = RecoverRow::of(LeftBehind::Sidecar, &step.file);
        row.writer_kind = Some("lancekeeper".to_owned());
        row.branch = step.branch.clone();
        row.action = match step.decision {
            SidecarDecision::Publish { .. } => RecoverAction::RollForward,
            SidecarDecision::Discard => RecoverAction::Remove,
            SidecarDecision::LeaveToItsWriter | SidecarDecision::Refuse | SidecarDecision::Stop => {
                RecoverAction::Refuse
            }
        };
        row.hint = report::own_hint(&step, unread.as_ref(), uri);
        row.why = step.why;
        row
    };
    Ok(own_steps(graph, tables, found).await?.into_iter().map(row).collect())
}

/// What is decided about our own sidecars, each with what could not be read of it.
pub(super) async fn own_steps(
    graph: &ReadGraph,
    tables: &Tables,
    found: &[FoundSidecar],
) -> Result<Vec<(SweepStep, Option<Unread>)>, OpenRootError> {
    let own: Vec<_> =
        found.iter().filter(|found| found.our_operation().is_some()).cloned().collect();
    let inventory = sweep::inventory(&graph.graph, tables, &own).await?;
    let with_unread = |step: SweepStep| {
        let facts = inventory.sidecars.iter().find(|facts| facts.file == step.file);
        let unread = facts.and_then(|facts| facts.unread.clone());
        (step, unread)
    };
    Ok(plan_sweep(&inventory).steps.into_iter().map(with_unread).collect())
}
