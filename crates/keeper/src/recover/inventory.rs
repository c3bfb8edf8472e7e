//! The facts of `recover` beside those of foreign sidecars: our own, in a preview.

use lancekeeper_manifest::FoundSidecar;
use lancekeeper_model::{LeftBehind, RecoverAction, RecoverRow};
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
