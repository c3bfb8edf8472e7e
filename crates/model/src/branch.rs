//! `branch`: what its verbs report. The report's fields are those of `--json`.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::report::{Report, RootOutcome, RootReport, VerbBody};
use crate::{Branch, ErrorKind, Recovery, TableKey, Version};

/// What was done with branches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BranchAction {
    /// They were looked at.
    #[default]
    List,
    /// One was created.
    Create,
    /// One was deleted.
    Delete,
}

/// One branch of a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BranchRow {
    /// Its name.
    pub name: Branch,
    /// The branch it was cut from; null for main.
    pub parent: Option<Branch>,
    /// The version of that one's `__manifest` it was cut at; null for main.
    pub parent_version: Option<Version>,
    /// The newest version of its `__manifest`; null when it cannot be read.
    pub manifest_version: Option<Version>,
    /// Its newest commit.
    pub head_commit_id: Option<String>,
    /// When that was made.
    pub head_commit_at: Option<DateTime<Utc>>,
    /// Tables of which it has versions of its own; on main, all.
    pub tables_owned: u64,
    /// Tables it still reads from where it was cut.
    pub tables_lazy: u64,
    /// Whether it is none of the graph's users, but of some operation.
    pub internal: bool,
    /// Why it cannot be read, if it cannot.
    pub error: Option<String>,
}

impl BranchRow {
    /// A row of which only the name is known yet.
    #[must_use]
    pub fn of(branch: &Branch) -> Self {
        Self { name: branch.clone(), internal: branch.is_internal(), ..Self::default() }
    }
}

/// What the deletion of a branch loses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BranchLoss {
    /// Commits that no other branch has in its history, newest first.
    pub unmerged_commits: Vec<String>,
    /// Forks of tables.
    pub forks: u64,
    /// Files that go with the branch.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What became of a branch's part of one table.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct BranchTableStats {
    /// The table, or `__manifest`, or a table of commits.
    pub table_key: TableKey,
    /// Versions of the branch that went, or would go.
    pub versions_removed: u64,
    /// Files that went, or would go.
    pub files_removed: u64,
    /// Their bytes.
    pub bytes_removed: u64,
    /// Why something of it stays, where something does.
    pub kept: Option<String>,
    /// Why it could not be done, if so.
    pub error: Option<String>,
    /// The kind of `error`.
    #[serde(skip)]
    pub error_kind: Option<ErrorKind>,
}

impl BranchTableStats {
    /// A row about which nothing is known yet.
    #[must_use]
    pub fn of(table: &TableKey) -> Self {
        Self { table_key: table.clone(), ..Self::default() }
    }
}

/// What was done with the branches of one root.
pub type RootBranchReport = RootReport<BranchBody>;

/// The part of a root's report that only `branch` has.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct BranchBody {
    /// What was asked for.
    #[serde(skip)]
    pub action: BranchAction,
    /// The branches looked at, or the one created or deleted.
    pub branches: Vec<BranchRow>,
    /// What opening it recovered of runs that died.
    pub recovery: Recovery,
    /// What a deletion loses; null otherwise.
    pub lost: Option<BranchLoss>,
    /// Things to know that are no errors.
    pub warnings: Vec<String>,
    /// One row per table a deletion touches.
    pub tables: Vec<BranchTableStats>,
}

/// Sums over all roots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BranchTotals {
    /// Branches in the report.
    pub branches: u64,
    /// Those that cannot be read.
    pub branches_failed: u64,
    /// Files that went, or would go.
    pub files_removed: u64,
    /// Their bytes.
    pub bytes_removed: u64,
    /// Wall time of the run, in milliseconds.
    pub duration_ms: u64,
}

/// What was done with branches, over all roots.
pub type BranchReport = Report<BranchBody>;

impl VerbBody for BranchBody {
    type Totals = BranchTotals;

    fn add(root: &RootBranchReport, totals: &mut BranchTotals) {
        totals.branches += root.branches.len() as u64;
        let failed = root.branches.iter().filter(|branch| branch.error.is_some());
        totals.branches_failed += failed.count() as u64;
        for table in &root.tables {
            totals.files_removed += table.files_removed;
            totals.bytes_removed += table.bytes_removed;
        }
    }

    fn set_duration(totals: &mut BranchTotals, duration_ms: u64) {
        totals.duration_ms = duration_ms;
    }

    /// What a deletion could not reclaim at once is for cleanup and no failure; a branch that
    /// cannot be read is one where branches were to be looked at.
    fn outcome(root: &RootBranchReport) -> RootOutcome {
        let failed = match root.action {
            BranchAction::List => root.branches.iter().filter(|b| b.error.is_some()).count(),
            BranchAction::Create | BranchAction::Delete => 0,
        };
        root.outcome(failed, root.branches.len())
    }
}
