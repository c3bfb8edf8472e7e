//! What is said of a deletion: who forbids it, what would be lost, what became of each dataset.

use lancekeeper_model::{Branch, BranchLoss, ErrorKind, RootBranchReport, TableKey};
use lancekeeper_planner::branch::{DeletePlan, Dependant};
use lancekeeper_planner::cleanup::{DatasetPlan, Role};
use lancekeeper_reconciler::cleanup::Done;
use lancekeeper_store::failure::{full_text, text_with_hint};

use crate::branch::{BranchRootError, stats};
use crate::cleanup::Gathered;

/// Refuses while others need the branch.
pub(super) fn check_free(dependants: &[Dependant], branch: &Branch) -> Result<(), BranchRootError> {
    if dependants.is_empty() {
        return Ok(());
    }
    let each: Vec<String> = dependants.iter().map(ToString::to_string).collect();
    let are_lost = dependants.iter().all(|one| matches!(one, Dependant::Lost { .. }));
    let dependants = each.join("; ");
    Err(BranchRootError::Depends { branch: branch.clone(), dependants, are_lost })
}

/// Whether a dataset has anything of the branch.
pub(super) fn concerns(plan: &DatasetPlan, branch: &Branch) -> bool {
    !plan.deletions.is_empty() || plan.forks.iter().any(|fork| fork.branch == *branch)
}

/// Says what goes with the branch.
pub(super) fn say_loss(
    report: &mut RootBranchReport,
    gathered: &Gathered,
    plan: &DeletePlan,
    branch: &Branch,
) {
    let of_tables = gathered.datasets.iter().zip(&plan.datasets).filter(|(dataset, planned)| {
        matches!(dataset.facts.role, Role::Table | Role::Dropped)
            && planned.forks.iter().any(|fork| fork.branch == *branch)
    });
    report.lost = Some(BranchLoss {
        unmerged_commits: plan.unmerged.clone(),
        forks: of_tables.count() as u64,
        files: plan.datasets.iter().map(|dataset| dataset.deletions.len() as u64).sum(),
        bytes: plan.datasets.iter().map(|dataset| dataset.bytes()).sum(),
    });
    for (place, error) in &gathered.failed {
        let why = full_text(error);
        report
            .warnings
            .push(format!("{} cannot be looked at, and is left alone: {why}", place.table));
    }
}

/// The row of a dataset that was worked on.
pub(super) fn note(
    branch: &Branch,
    plan: &DatasetPlan,
    done: &Done,
    report: &mut RootBranchReport,
) {
    let mut row = stats(plan, branch);
    (row.files_removed, row.bytes_removed) = (done.files, done.bytes);
    if let Some(why) = &row.kept {
        let why = format!("{}: what it had there stays: {why}", row.table_key);
        report.warnings.push(why);
    }
    if done.error.is_some() || plan.refused.is_some() || done.files == 0 {
        row.versions_removed = 0;
    }
    let table = row.table_key.clone();
    report.tables.push(row);
    if let Some(error) = done.error.as_ref().filter(|_| plan.refused.is_none()) {
        note_failure(branch, &table, text_with_hint(error), error.kind(), report);
    }
}

/// Says, in the row of a dataset and as a warning, what is left to the next cleanup.
pub(super) fn note_failure(
    branch: &Branch,
    table: &TableKey,
    why: String,
    kind: ErrorKind,
    report: &mut RootBranchReport,
) {
    tracing::warn!(target: "lancekeeper::branch", %branch, %table, error = %why, "not all of a deleted branch could be taken away");
    report.warnings.push(format!("{table}: {why}; the next cleanup takes away what is left"));
    if let Some(row) = report.tables.iter_mut().rfind(|row| row.table_key == *table) {
        row.error = Some(why);
        row.error_kind = Some(kind);
    }
}
