//! `cleanup`: what may be asked, and what it reports. The report's fields are those of
//! `--json`.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use serde::Serialize;

use crate::report::{Report, RootOutcome, RootReport, VerbBody};
use crate::{
    Branch, ErrorKind, QueueHolds, Recovery, SkipReason, TableKey, Version, WRITER_WINDOW,
};

/// Whether anything reads a fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ForkRefStatus {
    /// Nothing does.
    Orphan,
    /// Something does, or it is not ours to ask.
    Legitimate,
    /// Not known: it is left alone and reported.
    Indeterminate,
}

/// Which versions may go: the established pair of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CleanupPolicyOptions {
    /// The newest so many existing versions of each table stay.
    pub keep_versions: Option<u32>,
    /// Versions younger than this stay.
    pub older_than: Option<Duration>,
}

/// So many of the newest versions of each table stay when no rule is given.
pub const KEEP_UNLESS_TOLD: u32 = 10;

/// Options of `cleanup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanupOptions {
    /// Rules about versions.
    pub policy: CleanupPolicyOptions,
    /// The newest so many commits of each branch of a graph stay readable.
    pub keep_last: Option<u64>,
    /// Commits of a graph younger than this stay readable.
    pub keep_within: Option<TimeDelta>,
    /// Versions committed within this time stay whatever the rules say.
    pub writer_window: TimeDelta,
    /// Files that nothing refers to stay for this long.
    pub min_age: TimeDelta,
    /// Forks that nothing reads stay for this long.
    pub min_fork_age: TimeDelta,
    /// More litter than this share of a table's files, in percent, stays and is reported.
    pub max_delete_percent: u8,
    /// Only these tables; empty means all, and everything that belongs to the graph itself.
    pub tables: Vec<String>,
    /// Tables looked at, and deletions made, at the same time.
    pub concurrency: Option<usize>,
    /// Deletions per second at most.
    pub delete_rate: Option<u64>,
    /// Whether the commit history goes that v3 kept apart, of graphs that are at v4. Nobody reads it there.
    pub old_history: bool,
}

impl Default for CleanupOptions {
    fn default() -> Self {
        Self {
            policy: CleanupPolicyOptions::default(),
            keep_last: None,
            keep_within: None,
            writer_window: WRITER_WINDOW,
            // Lance's own limit for files it cannot explain.
            min_age: TimeDelta::days(7),
            min_fork_age: TimeDelta::hours(1),
            max_delete_percent: 50,
            tables: Vec::new(),
            concurrency: None,
            delete_rate: None,
            old_history: false,
        }
    }
}

impl CleanupOptions {
    /// Whether no rule says what may go: then everything would that no floor holds.
    #[must_use]
    pub fn is_without_rule(&self) -> bool {
        self.policy == CleanupPolicyOptions::default()
            && self.keep_last.is_none()
            && self.keep_within.is_none()
    }
}

/// A version that stays, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptVersionReport {
    /// Its branch.
    pub branch: Branch,
    /// The version.
    pub version: Version,
    /// Why, each a phrase.
    pub because: Vec<String>,
}

/// What `cleanup` did to one table.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct TableCleanupStats {
    /// The table.
    pub table_key: TableKey,
    /// Bytes that went, or would go.
    pub bytes_removed: u64,
    /// Versions that went, or would go, over all branches of the table.
    pub old_versions_removed: u64,
    /// Why the table failed, if it did.
    pub error: Option<String>,
    /// Why it was left alone, if it was: nothing is wrong with it, and the reason stands among
    /// the warnings.
    pub skipped: Option<SkipReason>,
    /// Files that went, or would go.
    pub files_removed: u64,
    /// Versions that stay.
    pub versions_kept: u64,
    /// Which, and why each.
    pub kept: Vec<KeptVersionReport>,
    /// Whether the table was, or would be, left without rows: no branch has it any more. The one
    /// version it is left with is not among those that stay.
    pub emptied: bool,
    /// Files that nothing refers to and that stay, because they are young or too many.
    pub unverified_left: u64,
    /// Their bytes.
    pub unverified_left_bytes: u64,
    /// What to know that is no error.
    pub warnings: Vec<String>,
    /// Wall time spent on this table, in milliseconds.
    pub duration_ms: u64,
    /// The kind of `error`.
    #[serde(skip)]
    pub error_kind: Option<ErrorKind>,
}

impl TableCleanupStats {
    /// A row about which nothing is known yet.
    #[must_use]
    pub fn of(table: &TableKey) -> Self {
        Self { table_key: table.clone(), ..Self::default() }
    }

    /// Versions that stay, by their first reason, which says most: ranges of numbers, per branch.
    #[must_use]
    pub fn reasons(&self) -> BTreeMap<String, String> {
        let mut by_reason: BTreeMap<String, BTreeMap<&str, Vec<u64>>> = BTreeMap::new();
        for kept in &self.kept {
            if let Some(because) = kept.because.first() {
                let branches = by_reason.entry(because.clone()).or_default();
                branches.entry(kept.branch.label()).or_default().push(kept.version.0);
            }
        }
        let text = |branches: BTreeMap<&str, Vec<u64>>| {
            let each = branches.into_iter().map(|(branch, versions)| match branch {
                "main" => ranges(&versions),
                branch => format!("{branch} {}", ranges(&versions)),
            });
            each.collect::<Vec<_>>().join("; ")
        };
        by_reason.into_iter().map(|(because, branches)| (because, text(branches))).collect()
    }

    /// The same as one text: `11–12: among the newest 2; 4: branch lazy reads it`.
    #[must_use]
    pub fn kept_because(&self) -> String {
        let each =
            self.reasons().into_iter().map(|(because, versions)| format!("{versions}: {because}"));
        each.collect::<Vec<_>>().join("; ")
    }
}

/// Ascending numbers as people write them: `1, 4–7`.
fn ranges(numbers: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let text = |(first, last): &(u64, u64)| {
        if first == last { first.to_string() } else { format!("{first}–{last}") }
    };
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// What became of orphaned forks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BranchReconcileStats {
    /// Table and branch of each fork that went, or would go.
    pub reclaimed: Vec<(TableKey, String)>,
    /// What could not be looked at or reclaimed, each with the reason.
    pub failures: Vec<(TableKey, String)>,
}

/// A commit that stops being readable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostCommitReport {
    /// Its id.
    pub graph_commit_id: String,
    /// The branch it was made on.
    pub branch: Branch,
    /// Its version of `__manifest`.
    pub manifest_version: Version,
}

/// What `cleanup` did to one root.
pub type RootCleanupReport = RootReport<CleanupBody>;

/// The part of a root's report that only `cleanup` has.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct CleanupBody {
    /// The rule that was applied.
    pub keep_versions: Option<u32>,
    /// The rule that was applied, in seconds.
    pub older_than_secs: Option<u64>,
    /// What opening it recovered of runs that died.
    pub recovery: Recovery,
    /// Orphaned forks.
    pub reconciled: BranchReconcileStats,
    /// How many of its failures are forks that are merely too young to be decided about: they are
    /// left alone, and nothing went wrong.
    #[serde(skip)]
    pub undecided_forks: usize,
    /// Commits that could be read before and cannot be read afterwards.
    pub lost_commits: Vec<LostCommitReport>,
    /// How long it held the keys of tables; all zero in a dry run.
    pub queue_holds: QueueHolds,
    /// Things to know that are no errors.
    pub warnings: Vec<String>,
    /// One row per table, the graph's own among them.
    pub tables: Vec<TableCleanupStats>,
}

/// Sums over all tables of all roots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CleanupTotals {
    /// Bytes that went, or would go.
    pub bytes_removed: u64,
    /// Versions that went, or would go.
    pub old_versions_removed: u64,
    /// Files that went, or would go.
    pub files_removed: u64,
    /// Forks that went, or would go.
    pub forks_reclaimed: u64,
    /// Files that nothing refers to and that stay.
    pub unverified_left: u64,
    /// Tables that failed.
    pub tables_failed: u64,
    /// Wall time of the run, in milliseconds.
    pub duration_ms: u64,
}

/// What `cleanup` did, over all roots. In a dry run nothing was deleted.
pub type CleanupReport = Report<CleanupBody>;

impl VerbBody for CleanupBody {
    type Totals = CleanupTotals;

    fn add(root: &RootCleanupReport, totals: &mut CleanupTotals) {
        totals.forks_reclaimed += root.reconciled.reclaimed.len() as u64;
        for table in &root.tables {
            totals.bytes_removed += table.bytes_removed;
            totals.old_versions_removed += table.old_versions_removed;
            totals.files_removed += table.files_removed;
            totals.unverified_left += table.unverified_left;
            totals.tables_failed += u64::from(table.error.is_some());
        }
    }

    fn set_duration(totals: &mut CleanupTotals, duration_ms: u64) {
        totals.duration_ms = duration_ms;
    }

    fn outcome(root: &RootCleanupReport) -> RootOutcome {
        let failures = &root.reconciled.failures;
        let failed = root.tables.iter().filter(|table| table.error.is_some()).count();
        let of_forks = failures.len().saturating_sub(root.undecided_forks);
        root.outcome(failed + of_forks, root.tables.len() + failures.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_written_as_ranges() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[1, 2, 3, 5, 7, 8]), "1–3, 5, 7–8");
    }
}
