//! `optimize`: what it reports. The report's fields are those of `--json`.

use serde::Serialize;

use crate::report::{Report, RootOutcome, RootReport, VerbBody};
use crate::{
    Branch, Clustering, ErrorKind, PendingIndex, QueueHolds, Recovery, RootKind, SkipReason,
    StatisticsNote, TableBytes, TableKey, TableRef, Version, WorkLeft,
};

/// What `optimize` did to one table.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
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
    /// How the caller's predicate divided the fragments when they were last looked at; null without one.
    #[serde(rename = "where")]
    pub chosen: Option<ChosenFragments>,
    /// What was planned or done, and why, in a sentence.
    pub reason: String,
    /// The order of its rows, where one is kept up; else null.
    pub layout: Option<LayoutStats>,
    /// Where statistics of its values were written, or would be; null when that was not asked for.
    pub statistics: Option<StatisticsNote>,
    /// What was deleted afterwards, or would be; null when that was not asked for.
    pub pruned: Option<PrunedStats>,
    /// The job that it was, where jobs are recorded and there was work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The kind of `error`.
    #[serde(skip)]
    pub error_kind: Option<ErrorKind>,
}

impl TableOptimizeStats {
    /// A row about which nothing is known yet.
    #[must_use]
    pub fn of(table: &TableRef) -> Self {
        Self { table_key: table.key.clone(), branch: table.branch.clone(), ..Self::default() }
    }
}

/// How well the rows of a table lie in the order of its layout.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayoutStats {
    /// The layout, as it is written on the command line.
    pub layout: String,
    /// Before the run; null where nothing was read that would tell.
    pub before: Option<Clustering>,
    /// After the run.
    pub after: Option<Clustering>,
    /// The depth after the run, where rows that no layout has placed may lie anywhere. For whoever decides by it: it is no
    /// measure.
    #[serde(skip)]
    pub depth_at_most: Option<f64>,
    /// What following edges touches; null unless the layout is `graph` and this run has rewritten the table.
    pub expansions: Option<Expansions>,
}

/// What following the edges of a table touches before and after a run, from the same nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Expansions {
    /// Of how many nodes the edges were followed that go out, at most; and of as many those that come in.
    pub nodes: u64,
    /// Before the run.
    pub before: Expansion,
    /// After it.
    pub after: Expansion,
}

/// What following the edges of a table touches: the mean over some of the nodes that have edges of the direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Expansion {
    /// Along the edges that go out of a node.
    pub one_hop_out: Touch,
    /// Along those that come in.
    pub one_hop_in: Touch,
    /// Along those that go out of a node, and out of the nodes that they lead to.
    pub two_hops_out: Touch,
    /// Along those that come into a node, and into the nodes that they come from.
    pub two_hops_in: Touch,
}

/// Where rows lie that are looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Touch {
    /// Fragments with such a row in them.
    pub fragments: f64,
    /// Bytes of the data files of those.
    pub bytes: u64,
}

/// How a predicate divides the fragments of a table that could be rewritten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChosenFragments {
    /// Fragments of which every live row matches.
    pub whole: u64,
    /// Those of which some rows match and others do not, by id. They stay as they are.
    pub partial: Vec<u64>,
    /// Those of which no row matches. They stay as they are.
    pub none: u64,
}

/// What `optimize` deleted of one table after its work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PrunedStats {
    /// Versions that were deleted.
    pub old_versions_removed: u64,
    /// Bytes that were freed.
    pub bytes_removed: u64,
    /// Files that were deleted.
    pub files_removed: u64,
    /// Versions that stay.
    pub versions_kept: u64,
    /// Files that nothing refers to and that stay, because they are young.
    pub unverified_left: u64,
}

/// What `optimize` did to one root.
pub type RootOptimizeReport = RootReport<OptimizeBody>;

/// The part of a root's report that only `optimize` has.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct OptimizeBody {
    /// Publishes to `__manifest` in this run (always 0 for databases and tables).
    pub published: u64,
    /// What opening it recovered of runs that died.
    pub recovery: Recovery,
    /// How long it held the keys of tables, those of pruning included.
    pub queue_holds: QueueHolds,
    /// Things to know that are no errors.
    pub warnings: Vec<String>,
    /// One row per table.
    pub tables: Vec<TableOptimizeStats>,
}

/// Sums over all tables of all roots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
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
pub type OptimizeReport = Report<OptimizeBody>;

impl VerbBody for OptimizeBody {
    type Totals = OptimizeTotals;

    fn add(root: &RootOptimizeReport, totals: &mut OptimizeTotals) {
        for table in &root.tables {
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
    }

    fn set_duration(totals: &mut OptimizeTotals, duration_ms: u64) {
        totals.duration_ms = duration_ms;
    }

    fn outcome(root: &RootOptimizeReport) -> RootOutcome {
        // The tables that a graph keeps for itself being done does not make a run of which nothing
        // else is done a success.
        let is_internal = |table: &&TableOptimizeStats| {
            root.kind == Some(RootKind::Graph) && table.table_key.as_str().starts_with('_')
        };
        let is_blocked =
            |table: &&TableOptimizeStats| table.skipped == Some(SkipReason::RecoveryPending);
        RootOutcome {
            error: root.error_kind,
            failed: root.tables.iter().filter(|table| table.error.is_some()).count(),
            blocked: root.tables.iter().filter(is_blocked).count(),
            tables: root.tables.iter().filter(|table| !is_internal(table)).count(),
        }
    }
}
