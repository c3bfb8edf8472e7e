//! Rows of the report.

use std::collections::BTreeMap;

use lancekeeper_model::{
    Branch, BranchReconcileStats, CleanupOptions, ForkRefStatus, KeptVersionReport,
    LostCommitReport, OperationId, RootCleanupReport, RootKind, TableCleanupStats, TableKey,
    shell_word,
};
use lancekeeper_planner::cleanup::{CleanupPlan, DatasetPlan, ForkDecision, lost_commits};
use lancekeeper_reconciler::cleanup::{CleanupError, Done};
use lancekeeper_store::failure::{full_text, text_with_hint};
use lancekeeper_store::members::{MemberState, Members};
use lancekeeper_store::root::MANIFEST_DIR;

use crate::cleanup::gather::Gathered;

/// The rules that are applied.
pub(super) fn set_rules(report: &mut RootCleanupReport, options: &CleanupOptions) {
    report.keep_versions = options.policy.keep_versions;
    report.older_than_secs = options.policy.older_than.map(|age| age.as_secs());
}

/// What lies in a database where tables lie and is none that is cleaned up.
pub(super) fn warn_of_members(report: &mut RootCleanupReport, members: &Members) {
    report.warnings.extend(members.warnings.iter().cloned());
    for member in &members.all {
        let what = match member.state {
            MemberState::Table | MemberState::Aside => continue,
            MemberState::Declared => "declared, without a version",
            MemberState::Deregistered => "taken off the list of tables",
            MemberState::Empty => "a directory without a table",
            MemberState::Young => "no version yet, it may be just being made",
        };
        report.warnings.push(format!("{} is left alone: {what}", member.key));
    }
}

/// Lists that cannot be understood.
pub(super) fn warn_of_torn(report: &mut RootCleanupReport, gathered: &Gathered, what: &str) {
    for (file, why) in &gathered.torn {
        report.warnings.push(format!(
            "__maintenance/cleanup/{file} of an earlier cleanup cannot be read ({why}) and {what}: files that it alone explained go when they are old"
        ));
    }
}

/// Branches whose file is gone: nothing of them goes.
pub(super) fn warn_of_lost(report: &mut RootCleanupReport, gathered: &Gathered) {
    for lost in &gathered.read.lost {
        report.warnings.push(format!(
            "there is no branch {branch}, but {published} of its versions of {MANIFEST_DIR} were published: nothing of it goes, and nothing that it reads. If only its file in {MANIFEST_DIR}/_refs/branches/ was lost, restore that; if it was being deleted, `lancekeeper recover ROOT --assume-dead {word} --confirm` takes it away, and the next cleanup its forks",
            branch = lost.branch,
            published = lost.published,
            word = shell_word(lost.branch.label()),
        ));
    }
}

/// What could not be looked at: branches, and of the tables that were asked for those.
pub(super) fn set_failures(report: &mut RootCleanupReport, gathered: &Gathered, tables: &[String]) {
    // Whatever keeps several branches from being read is said once.
    let mut unread: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (branch, why) in &gathered.read.failures {
        unread.entry(why).or_default().push(branch.label());
    }
    for (why, branches) in unread {
        let failure =
            (TableKey::new(MANIFEST_DIR), format!("branch {}: {why}", branches.join(", ")));
        report.reconciled.failures.push(failure);
    }
    let wanted = |table: &TableKey| tables.is_empty() || tables.iter().any(|t| t == table.as_str());
    for (place, error) in gathered.failed.iter().filter(|(place, _)| wanted(&place.table)) {
        let mut stats = TableCleanupStats::of(&place.table);
        match error.skip_reason() {
            Some(reason) => {
                stats.skipped = Some(reason);
                stats.warnings.push(full_text(error));
            }
            None => set_error(&mut stats, error),
        }
        report.tables.push(stats);
    }
}

/// Forks that went, or would go.
pub(super) fn add_reclaimed(report: &mut RootCleanupReport, plan: &DatasetPlan) {
    if plan.refused.is_some() {
        return;
    }
    let table = established_key(&plan.table);
    let orphans = orphans(plan).map(|branch| (table.clone(), branch.to_owned()));
    report.reconciled.reclaimed.extend(orphans);
}

/// Forks that were to go and did not, or not with all there is of them. What the plan refused was never to go:
/// the table's row says why.
pub(super) fn add_forks_not_reclaimed(
    report: &mut RootCleanupReport,
    plan: &DatasetPlan,
    error: &CleanupError,
) {
    let orphans = plan.forks.iter().filter(|fork| fork.status == ForkRefStatus::Orphan);
    let orphans: Vec<Branch> = orphans.map(|fork| fork.branch.clone()).collect();
    if plan.refused.is_none() && !orphans.is_empty() {
        add_fork_failure(report, &plan.table, &orphans, error);
    }
}

/// Forks of a table that could not be deleted.
pub(super) fn add_fork_failure(
    report: &mut RootCleanupReport,
    table: &TableKey,
    forks: &[Branch],
    error: &CleanupError,
) {
    let (names, error) = (labels(forks), full_text(error));
    report.reconciled.failures.push((established_key(table), format!("fork {names}: {error}")));
}

fn labels(branches: &[Branch]) -> String {
    branches.iter().map(Branch::label).collect::<Vec<_>>().join(", ")
}

/// Says what became of a table, for whoever reads logs.
pub(super) fn tell(operation: &OperationId, stats: &TableCleanupStats) {
    let TableCleanupStats { table_key: table, old_versions_removed, files_removed, .. } = stats;
    match &stats.error {
        Some(error) => {
            tracing::warn!(target: "lancekeeper::cleanup", operation_id = %operation, %table, %error, count = *old_versions_removed, "a table was not cleaned up");
        }
        None => {
            tracing::info!(target: "lancekeeper::cleanup", operation_id = %operation, %table, count = *old_versions_removed, files = *files_removed, bytes = stats.bytes_removed, "collected a table");
        }
    }
}

/// Says what became of forks, for whoever reads logs.
pub(super) fn tell_reconciled(operation: &OperationId, report: &RootCleanupReport) {
    let BranchReconcileStats { reclaimed, failures } = &report.reconciled;
    for (table, branch) in reclaimed {
        tracing::info!(target: "lancekeeper::cleanup", operation_id = %operation, %table, %branch, "reclaimed a fork");
    }
    for (table, error) in failures {
        tracing::warn!(target: "lancekeeper::cleanup", operation_id = %operation, %table, %error, "could not be looked at or reclaimed");
    }
    let (reclaimed, failures) = (reclaimed.len(), failures.len());
    tracing::info!(target: "lancekeeper::cleanup", operation_id = %operation, reclaimed, failures, "reconciled forks");
}

/// Forks of which it is not known whether anything reads them, but for those that another failure
/// speaks of already.
pub(super) fn add_undecided(report: &mut RootCleanupReport, plan: &DatasetPlan) {
    if plan.refused.is_some() {
        return;
    }
    let table = established_key(&plan.table);
    let undecided = plan
        .forks
        .iter()
        .filter(|fork| fork.status == ForkRefStatus::Indeterminate && !fork.is_said);
    for fork in undecided {
        let why = format!("indeterminate fork status for {}: {}", fork.branch, fork.why);
        report.reconciled.failures.push((table.clone(), why));
        report.undecided_forks += 1;
    }
}

fn orphans(plan: &DatasetPlan) -> impl Iterator<Item = &str> {
    let orphans = plan.forks.iter().filter(|fork| fork.status == ForkRefStatus::Orphan);
    orphans.map(|fork| fork.branch.label())
}

/// In this part of the report a v3 graph's commit datasets have the names that scripts know.
fn established_key(table: &TableKey) -> TableKey {
    let known = table.as_str().strip_suffix(".lance").filter(|name| name.starts_with("_graph_"));
    known.map_or_else(|| table.clone(), TableKey::new)
}

/// What became of the plan for a table.
pub(super) enum Carried<'a> {
    /// Nothing: this is a preview.
    Not,
    /// It was carried out, as far as this says.
    Out(&'a Done),
    /// Nothing: something went wrong before the first deletion.
    Failed,
}

/// The row of one table: what was planned, or what was done.
pub(super) fn table_stats(plan: &DatasetPlan, carried: Carried<'_>) -> TableCleanupStats {
    let mut stats = TableCleanupStats::of(&plan.table);
    let is_planned = plan.refused.is_none();
    let versions = if is_planned { plan.removed.len() as u64 } else { 0 };
    let empties = is_planned && plan.empties.is_some();
    let (files, bytes, versions, emptied) = match carried {
        Carried::Not => (plan.deletions.len() as u64, plan.bytes(), versions, empties),
        Carried::Out(done) if done.error.is_none() => (done.files, done.bytes, versions, empties),
        Carried::Out(done) => (done.files, done.bytes, done.versions, done.emptied),
        Carried::Failed => (0, 0, 0, false),
    };
    (stats.files_removed, stats.bytes_removed) = (files, bytes);
    (stats.old_versions_removed, stats.emptied) = (versions, emptied);
    stats.versions_kept = plan.kept.len() as u64;
    stats.kept = plan
        .kept
        .iter()
        .map(|kept| KeptVersionReport {
            branch: kept.branch.clone(),
            version: kept.version,
            because: kept.reasons.iter().map(ToString::to_string).collect(),
        })
        .collect();
    stats.unverified_left = plan.unverified_left.files;
    stats.unverified_left_bytes = plan.unverified_left.bytes;
    stats.warnings.clone_from(&plan.warnings);
    stats.warnings.extend(plan.forks.iter().filter_map(left_alone));
    stats
}

fn left_alone(fork: &ForkDecision) -> Option<String> {
    (fork.status == ForkRefStatus::Indeterminate)
        .then(|| format!("fork {} is left alone: {}", fork.branch, fork.why))
}

/// What went wrong with a table.
pub(super) fn set_error(stats: &mut TableCleanupStats, error: &CleanupError) {
    stats.error = Some(text_with_hint(error));
    stats.error_kind = Some(error.kind());
}

/// Of the datasets asked for those of which something went.
pub(super) fn touched(
    report: &RootCleanupReport,
    gathered: &Gathered,
    wanted: &[usize],
) -> Vec<usize> {
    let is_touched = |at: &usize| {
        let table = &gathered.datasets[*at].facts.table;
        report.tables.iter().any(|row| row.table_key == *table && row.files_removed > 0)
    };
    wanted.iter().copied().filter(is_touched).collect()
}

/// Commits that stop being readable by what is done to these datasets.
pub(super) fn lost(
    gathered: &Gathered,
    plan: &CleanupPlan,
    wanted: &[usize],
) -> Vec<LostCommitReport> {
    let datasets = wanted.iter().map(|at| &plan.datasets[*at]);
    lost_commits(&gathered.read.authority, datasets)
        .into_iter()
        .map(|commit| LostCommitReport {
            graph_commit_id: commit.id,
            branch: commit.branch,
            manifest_version: commit.manifest_version,
        })
        .collect()
}

/// Puts the tables a graph keeps for itself last, as `optimize` does.
pub(super) fn order(report: &mut RootCleanupReport) {
    let is_graph = report.kind == Some(RootKind::Graph);
    report.tables.sort_by_key(|table| is_graph && table.table_key.as_str().starts_with('_'));
}
