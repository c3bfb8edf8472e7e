//! Branches that are of an older internal schema than main. Clients of v3 bring one along when they publish to it, and
//! so does a recovery; not while somebody may be writing to such a branch, because his publish would fail then, he would
//! write again, and a recovery would publish what he wrote first as well.

use lancekeeper_model::{Branch, LeftBehind, RecoverRow};
use lancekeeper_planner::migrate::MigrationPlan;
use lancekeeper_planner::recover::{Decision, RecoverPlan};

use super::rest::{is_planned, wait};

/// Leaves the sidecars of such branches alone while a writer may be alive who is at work on one.
pub(super) fn hold_back(migration: &MigrationPlan, plan: &RecoverPlan, rows: &mut [RecoverRow]) {
    let mut steps = plan.steps.iter();
    let living = steps.find(|step| {
        matches!(step.decision, Decision::Wait { .. }) && is_behind(migration, &step.branch)
    });
    let Some(living) = living else { return };
    let because = format!(
        "{} is of an older internal schema than main, and the writer of {} could not publish to it any more, who may be alive",
        living.branch, living.file
    );
    let held = |row: &&mut RecoverRow| is_about(migration, row);
    rows.iter_mut().filter(held).for_each(|row| wait(row, &because));
}

/// Whether something is done about a sidecar of such a branch.
pub(super) fn is_needed(migration: &MigrationPlan, rows: &[RecoverRow]) -> bool {
    rows.iter().any(|row| is_about(migration, row))
}

fn is_about(migration: &MigrationPlan, row: &RecoverRow) -> bool {
    row.what == LeftBehind::Sidecar && is_planned(row) && is_behind(migration, &row.branch)
}

fn is_behind(migration: &MigrationPlan, branch: &Branch) -> bool {
    migration.stamped().contains(&branch)
}
