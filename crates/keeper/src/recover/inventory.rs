//! The facts of `recover` beside those of foreign sidecars: our own, in a preview.

use lancekeeper_manifest::FoundSidecar;
use lancekeeper_model::{LeftBehind, RecoverAction, RecoverRow, TableRef};
use lancekeeper_planner::recover::ForeignFacts;
use lancekeeper_planner::sweep::{SidecarDecision, plan_sweep};
use lancekeeper_reconciler::{RecoverError, recover, sweep};
use lancekeeper_store::Tables;

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
    let own: Vec<_> =
        found.iter().filter(|found| found.our_operation().is_some()).cloned().collect();
    let plan = plan_sweep(&sweep::inventory(&graph.graph, tables, &own).await?);
    let row = |step: &lancekeeper_planner::sweep::SweepStep| {
        let mut row = RecoverRow::of(LeftBehind::Sidecar, &step.file);
        row.writer_kind = Some("lancekeeper".to_owned());
        row.branch = step.branch.clone();
        row.action = match step.decision {
            SidecarDecision::Publish { .. } => RecoverAction::RollForward,
            SidecarDecision::Discard => RecoverAction::Remove,
            SidecarDecision::LeaveToItsWriter | SidecarDecision::Stop => RecoverAction::Refuse,
        };
        row.why.clone_from(&step.why);
        row
    };
    Ok(plan.steps.iter().map(row).collect())
}
