//! What is said of a migration.

use lancekeeper_manifest::CopiedHistory;
use lancekeeper_model::{MigratedBranch, RootMigrateReport};
use lancekeeper_planner::migrate::{Facts, MigrationPlan};

use crate::root::{locked_out, runs};

/// The branches as they are.
pub(super) fn describe(report: &mut RootMigrateReport, facts: &Facts) {
    let rows = facts.branches.iter().map(|of| MigratedBranch {
        name: of.branch.clone(),
        from: of.stamp.clone(),
        to: None,
        commits: 0,
        rebuilt: 0,
    });
    report.branches = rows.collect();
    report.from = facts.branches.first().map(|main| main.stamp.clone());
}

/// What was done, or would be.
pub(super) fn set_steps(report: &mut RootMigrateReport, plan: &MigrationPlan) {
    report.to = Some(plan.to.number());
    report.steps = plan.steps.iter().map(ToString::to_string).collect();
    report.locked_out = locked_out(plan);
    report.run_branches = runs(&plan.steps);
    let stamped = plan.stamped();
    for row in &mut report.body.branches {
        if stamped.contains(&&row.name) {
            row.to = Some(plan.to.number());
        }
    }
}

/// The histories that were copied, or would be.
pub(super) fn set_histories(
    report: &mut RootMigrateReport,
    histories: impl Iterator<Item = CopiedHistory>,
) {
    for history in histories {
        let rows = report.body.branches.iter_mut();
        for row in rows.filter(|row| row.name == history.branch) {
            (row.commits, row.rebuilt) = (history.commits, history.rebuilt);
        }
    }
}

/// That nobody is named as the maker of a commit any more, if so.
pub(super) fn warn_of_actors(report: &mut RootMigrateReport, are_lacking: bool) {
    if are_lacking {
        report.warnings.push(
            "_graph_commit_actors.lance is not there: no commit says who made it; if it is lost, restore it from a backup first".to_owned(),
        );
    }
}
