//! What verbs report. These are the fields of `--json`, so their names are stable; how they
//! are laid out for people is the business of `cli`.

use serde::Serialize;

use crate::{
    Branch, ErrorKind, ExitCode, InternalStatus, PendingIndex, Reclaimable, Recovery, RootKind,
    SkipReason, TableBytes, TableKey, Version, WorkLeft,
};

/// What `optimize` did to one table.
#[derive(Debug, Clone, Serialize)]
pub struct TableOptimizeStats {
    /// The table.
    pub table_key: TableKey,
    /// The branch.
    pub branch: Branch,
    /// Fragments that were replaced.
    pub fragments_removed: u64,
    /// Fragments that replaced them.
    pub fragments_added: u64,
    /// Whether the table's pin (in a database: its HEAD) moved.
    pub committed: bool,
    /// In a dry run: whether a run would commit to the table.
    pub would_commit: bool,
    /// Why the table was left alone, if it was.
    pub skipped: Option<SkipReason>,
    /// The pinned version; only on drift skips.
    pub manifest_version: Option<Version>,
    /// The table's HEAD; only on drift skips.
    pub lance_head_version: Option<Version>,
    /// Declared indexes that do not exist yet.
    pub pending_indexes: Vec<PendingIndex>,
    /// Live rows before.
    pub rows_before: u64,
    /// Live rows after.
    pub rows_after: u64,
    /// Fragments before.
    pub fragments_before: u64,
    /// Fragments after.
    pub fragments_after: u64,
    /// Data files before.
    pub files_before: u64,
    /// Data files after.
    pub files_after: u64,
    /// Bytes of all its files before.
    pub bytes_before: u64,
    /// Bytes of all its files after.
    pub bytes_after: u64,
    /// The same before, by kind of file.
    pub sizes_before: TableBytes,
    /// The same after.
    pub sizes_after: TableBytes,
    /// Wall time spent on this table, in milliseconds.
    pub duration_ms: u64,
    /// Why the table failed, if it did.
    pub error: Option<String>,
    /// Rewritten groups that were given up because a writer changed their fragments.
    pub groups_dropped: u64,
    /// Groups that were planned and rewritten again after a writer changed their fragments.
    pub groups_redone: u64,
    /// What the run's budget left for the next one; all zero when nothing was.
    #[serde(flatten)]
    pub left: WorkLeft,
    /// What was planned or done, and why, in a sentence.
    pub reason: String,
    /// What was deleted afterwards, or would be; null when that was not asked for.
    pub pruned: Option<PrunedStats>,
    /// The kind of `error`.
    #[serde(skip)]
    pub error_kind: Option<ErrorKind>,
}

/// What `optimize` deleted of one table after its work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PrunedStats {
    /// Versions.
    pub old_versions_removed: u64,
    /// Bytes.
    pub bytes_removed: u64,
    /// Files.
    pub files_removed: u64,
    /// Versions that stay.
    pub versions_kept: u64,
    /// Files that nothing refers to and that stay, because they are young.
    pub unverified_left: u64,
}

/// What `optimize` did to one root.
#[derive(Debug, Clone, Serialize)]
pub struct RootOptimizeReport {
    /// The root as the caller spelled it.
    pub uri: String,
    /// What it is; null when it was not recognised.
    pub kind: Option<RootKind>,
    /// Why the whole root failed, if it did.
    pub error: Option<String>,
    /// What a person can do about `error`.
    pub hint: Option<String>,
    /// Publishes to `__manifest` in this run (always 0 for databases and tables).
    pub published: u64,
    /// What opening it recovered of runs that died.
    pub recovery: Recovery,
    /// Things to know that are no errors.
    pub warnings: Vec<String>,
    /// One row per table.
    pub tables: Vec<TableOptimizeStats>,
    /// The kind of `error`.
    #[serde(skip)]
    pub error_kind: Option<ErrorKind>,
}

impl RootOptimizeReport {
    /// Whether a row is about a table that a graph keeps for itself. Those being done does not
    /// make a run of which nothing else is done a success.
    fn is_internal(&self, table: &TableOptimizeStats) -> bool {
        self.kind == Some(RootKind::Graph) && table.table_key.as_str().starts_with('_')
    }
}

/// Sums over all tables of all roots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OptimizeTotals {
    /// Live rows.
    pub rows: u64,
    /// Fragments before and after.
    pub fragments_before: u64,
    /// Fragments after.
    pub fragments_after: u64,
    /// Data files before.
    pub files_before: u64,
    /// Data files after.
    pub files_after: u64,
    /// Bytes of all files before.
    pub bytes_before: u64,
    /// Bytes of all files after.
    pub bytes_after: u64,
    /// The same before, by kind of file.
    pub sizes_before: TableBytes,
    /// The same after.
    pub sizes_after: TableBytes,
    /// Tables whose pin or HEAD moved.
    pub tables_committed: u64,
    /// Tables that failed.
    pub tables_failed: u64,
    /// Tables of which the budget left something for the next run.
    pub tables_left: u64,
    /// What it left of them.
    #[serde(flatten)]
    pub left: WorkLeft,
    /// Wall time of the run, in milliseconds.
    pub duration_ms: u64,
}

/// What `optimize` did, over all roots.
#[derive(Debug, Clone, Serialize)]
pub struct OptimizeReport {
    /// Whether this is a plan that was not carried out.
    pub dry_run: bool,
    /// One entry per root, in the order given.
    pub roots: Vec<RootOptimizeReport>,
    /// Sums.
    pub totals: OptimizeTotals,
}

impl OptimizeReport {
    /// Builds the report and its sums.
    #[must_use]
    pub fn new(dry_run: bool, roots: Vec<RootOptimizeReport>, duration_ms: u64) -> Self {
        let mut totals = OptimizeTotals { duration_ms, ..OptimizeTotals::default() };
        for table in roots.iter().flat_map(|root| &root.tables) {
            totals.rows += table.rows_after;
            totals.fragments_before += table.fragments_before;
            totals.fragments_after += table.fragments_after;
            totals.files_before += table.files_before;
            totals.files_after += table.files_after;
            totals.bytes_before += table.bytes_before;
            totals.bytes_after += table.bytes_after;
            totals.sizes_before.add(&table.sizes_before);
            totals.sizes_after.add(&table.sizes_after);
            totals.tables_committed += u64::from(table.committed);
            totals.tables_failed += u64::from(table.error.is_some());
            totals.tables_left += u64::from(!table.left.is_nothing());
            totals.left.add(&table.left);
        }
        Self { dry_run, roots, totals }
    }

    /// The exit code: a root's error beats a table's; several different ones are a failure.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        exit_code(self.roots.iter().map(|root| {
            RootOutcome {
                error: root.error_kind,
                failed: root.tables.iter().filter(|table| table.error.is_some()).count(),
                // Blocked tables count as done unless they are all there is.
                blocked: root
                    .tables
                    .iter()
                    .filter(|table| table.skipped == Some(SkipReason::RecoveryPending))
                    .count(),
                tables: root.tables.iter().filter(|table| !root.is_internal(table)).count(),
            }
        }))
    }
}

/// What decides the exit code about one root.
pub(crate) struct RootOutcome {
    pub(crate) error: Option<ErrorKind>,
    pub(crate) failed: usize,
    pub(crate) blocked: usize,
    pub(crate) tables: usize,
}

pub(crate) fn exit_code(roots: impl Iterator<Item = RootOutcome>) -> ExitCode {
    let mut codes: Vec<ExitCode> = roots
        .map(|root| match root.error {
            Some(kind) => kind.exit_code(),
            None if root.failed > 0 && root.failed >= root.tables => ExitCode::Failed,
            None if root.failed > 0 => ExitCode::Partial,
            None if root.blocked > 0 && root.blocked == root.tables => ExitCode::RecoveryNeeded,
            None => ExitCode::Done,
        })
        .collect();
    codes.sort_unstable();
    codes.dedup();
    match codes.as_slice() {
        [] => ExitCode::Done,
        [only] => *only,
        // Some roots are done and some are not, or they failed for different reasons.
        _ if codes.contains(&ExitCode::Interrupted) => ExitCode::Interrupted,
        _ => ExitCode::Partial,
    }
}

/// An unfinished operation found under `__recovery/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PendingSidecar {
    /// The file, relative to the root.
    pub file: String,
    /// The kind of its writer: `Load`, `Optimize`, …; null when it cannot be read.
    pub writer_kind: Option<String>,
    /// The tables it names.
    pub tables: Vec<TableKey>,
    /// The graph branch it is about.
    pub branch: Branch,
    /// Whether this keeper wrote it.
    pub ours: bool,
    /// Why it cannot be read, if it cannot.
    pub error: Option<String>,
}

/// The state of one table.
#[derive(Debug, Clone, Serialize)]
pub struct TableStatus {
    /// The table.
    pub table_key: TableKey,
    /// The branch.
    pub branch: Branch,
    /// The version readers see.
    pub version: Version,
    /// Live rows.
    pub rows: u64,
    /// Fragments.
    pub fragments: u64,
    /// Data files.
    pub files: u64,
    /// Fragments below [`crate::SMALL_FRAGMENT_BYTES`].
    pub small_fragments: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// The same by kind of file.
    #[serde(flatten)]
    pub sizes: TableBytes,
    /// Share of rows that are deleted but still stored, 0 to 1.
    pub deleted_share: f64,
    /// Versions that exist.
    pub versions: u64,
    /// Rows that some index of the table does not cover; null when it has no index.
    pub unindexed_rows: Option<u64>,
    /// HEAD, when it is not the pinned version.
    pub drift_head: Option<Version>,
    /// Lance branches of the table.
    pub branches: Vec<String>,
    /// What `optimize` would do, and why.
    pub would: String,
    /// Why the table could not be read, if it could not.
    pub error: Option<String>,
}

/// Something that stands in the way of verbs that write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// What it is.
    pub message: String,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// What a caller can do about it.
    #[serde(skip)]
    pub kind: ErrorKind,
}

/// The state of one root.
#[derive(Debug, Clone, Serialize)]
pub struct RootStatus {
    /// The root as the caller spelled it.
    pub uri: String,
    /// What it is; null when it was not recognised.
    pub kind: Option<RootKind>,
    /// Why it could not be read, if it could not.
    pub error: Option<String>,
    /// What a person can do about `error`.
    pub hint: Option<String>,
    /// A graph's internal schema version.
    pub internal_schema: Option<u32>,
    /// A graph's version of `__manifest` on main.
    pub manifest_version: Option<Version>,
    /// A graph's branches, besides main.
    pub branches: Vec<String>,
    /// Unfinished operations.
    pub sidecars: Vec<PendingSidecar>,
    /// The place its branches still read from, when it was moved or copied.
    pub moved_from: Option<String>,
    /// What stands in the way of verbs that write, all of it.
    pub obstacles: Vec<Obstacle>,
    /// The tables a graph keeps for itself.
    pub internal: Vec<InternalStatus>,
    /// What a cleanup by the default rules would free; null when that could not be learned.
    pub reclaimable: Option<Reclaimable>,
    /// Why not, if not.
    pub reclaimable_error: Option<String>,
    /// Things to know that are no errors.
    pub warnings: Vec<String>,
    /// One row per table.
    pub tables: Vec<TableStatus>,
    /// The kind of `error`.
    #[serde(skip)]
    pub error_kind: Option<ErrorKind>,
}

/// The state of all roots asked for.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// One entry per root, in the order given.
    pub roots: Vec<RootStatus>,
}

impl StatusReport {
    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        exit_code(self.roots.iter().map(|root| RootOutcome {
            error: root.error_kind,
            failed: root.tables.iter().filter(|table| table.error.is_some()).count(),
            blocked: 0,
            tables: root.tables.len(),
        }))
    }

    /// The exit code for whoever wants to know whether a person has to act: that of the first
    /// obstacle of a root; a table that drifted is one, too.
    #[must_use]
    pub fn attention_code(&self) -> ExitCode {
        exit_code(self.roots.iter().map(|root| {
            let obstacle = root.obstacles.first().map(|obstacle| obstacle.kind);
            let has_drifted = root.tables.iter().any(|table| table.drift_head.is_some());
            let drift = has_drifted.then_some(ErrorKind::Refused);
            RootOutcome {
                error: root.error_kind.or(obstacle).or(drift),
                failed: root.tables.iter().filter(|table| table.error.is_some()).count(),
                blocked: 0,
                tables: root.tables.len(),
            }
        }))
    }
}
