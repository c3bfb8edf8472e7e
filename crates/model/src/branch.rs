//! `branch`: what its verbs report. The report's fields are those of `--json`.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::report::{RootReport, exit_code};
use crate::{Branch, ErrorKind, ExitCode, Recovery, TableKey, Version};

/// What was done with branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchAction {
    /// They were looked at.
    List,
    /// One was created.
    Create,
    /// One was deleted.
    Delete,
}

impl BranchAction {
    /// The verb as people type it.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::List => "branch list",
            Self::Create => "branch create",
            Self::Delete => "branch delete",
        }
    }
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
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BranchReport {
    /// What was asked for.
    pub action: BranchAction,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// One entry per root, in the order given.
    pub roots: Vec<RootBranchReport>,
    /// The sums over all roots.
    pub totals: BranchTotals,
}

impl BranchReport {
    /// Builds the report and its sums.
    #[must_use]
    pub fn new(
        action: BranchAction,
        dry_run: bool,
        roots: Vec<RootBranchReport>,
        duration_ms: u64,
    ) -> Self {
        let mut totals = BranchTotals { duration_ms, ..BranchTotals::default() };
        for root in &roots {
            totals.branches += root.branches.len() as u64;
            let failed = root.branches.iter().filter(|branch| branch.error.is_some());
            totals.branches_failed += failed.count() as u64;
            for table in &root.tables {
                totals.files_removed += table.files_removed;
                totals.bytes_removed += table.bytes_removed;
            }
        }
        Self { action, dry_run, roots, totals }
    }

    /// The exit code. What a deletion could not reclaim at once is for cleanup and no failure;
    /// a branch that cannot be read is one where branches were to be looked at.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        let is_list = self.action == BranchAction::List;
        exit_code(self.roots.iter().map(|root| {
            let failed = root.branches.iter().filter(|branch| branch.error.is_some()).count();
            root.outcome(if is_list { failed } else { 0 }, root.branches.len())
        }))
    }
}
