//! Rows of `repair`.

use lancekeeper_manifest::GraphError;
use lancekeeper_model::{
    Branch, ErrorKind, RepairAction, TableKey, TableRef, TableRepairStats, Version,
};
use lancekeeper_planner::repair::{Decision, RepairPlan};
use lancekeeper_reconciler::repair::{Drifted, RepairError, Settled};
use lancekeeper_store::failure::text_with_hint;
use lancekeeper_store::root::MANIFEST_DIR;

use super::inventory::Found;

/// The row of a table that was looked at: of a preview, or of a run before anything is done.
pub(super) fn row(found: &Found, is_run: bool) -> TableRepairStats {
    let pin = &found.pin;
    let table = TableRef { key: pin.key.clone(), branch: pin.table_branch.clone() };
    let mut row = TableRepairStats::of(&table, pin.version);
    match &found.seen {
        Ok((drifted, plan)) => fill(&mut row, drifted, plan, is_run),
        Err(error) => fail(&mut row, error),
    }
    row
}

fn fill(row: &mut TableRepairStats, drifted: &Drifted, plan: &RepairPlan, is_run: bool) {
    let facts = &drifted.facts;
    row.lance_head_version = Some(facts.head);
    row.classification = plan.class;
    row.operations = facts.versions.iter().map(|version| version.operation.clone()).collect();
    row.reason.clone_from(&plan.why);
    row.rows_pinned = facts.rows_pinned;
    row.rows_head = Some(facts.rows_head);
    row.rows = drifted.changes;
    row.newest_commit_at = Some(facts.newest_at);
    row.kept_as.clone_from(&plan.kept_as);
    row.would = match plan.decision {
        Decision::Nothing | Decision::Broken => RepairAction::NoOp,
        Decision::Heal => RepairAction::Healed,
        Decision::Force => RepairAction::Forced,
        Decision::Restore { .. } => RepairAction::Restored,
        Decision::Refuse => RepairAction::Refused,
    };
    row.action = match (is_run, row.would) {
        (_, RepairAction::NoOp) => RepairAction::NoOp,
        (true, RepairAction::Refused) => RepairAction::Refused,
        // Until it is done.
        (true, _) => RepairAction::NoOp,
        (false, _) => RepairAction::Preview,
    };
    if plan.decision == Decision::Broken {
        row.fail(plan.why.clone(), ErrorKind::Corrupt);
    }
}

/// Notes what went wrong with a table.
pub(super) fn fail(row: &mut TableRepairStats, error: &RepairError) {
    row.fail(text_with_hint(error), error.kind());
}

/// Notes that a table was published.
pub(super) fn done(row: &mut TableRepairStats, settled: &Settled) {
    row.action = settled.action;
    row.published_version = Some(settled.to);
}

/// The row of a branch that cannot be read.
pub(super) fn unreadable(branch: &Branch, error: &GraphError) -> TableRepairStats {
    let table = TableRef { key: TableKey::new(MANIFEST_DIR), branch: branch.clone() };
    let mut row = TableRepairStats::of(&table, Version(0));
    row.fail(text_with_hint(error), error.kind());
    row
}
