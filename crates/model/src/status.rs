//! `status`: what it reports. The report's fields are those of `--json`.

use serde::Serialize;

use crate::report::{Report, RootOutcome, RootReport, VerbBody, exit_code};
use crate::{
    Branch, ErrorKind, ExitCode, InternalStatus, Reclaimable, Stamp, TableBytes, TableKey,
    TableRef, TableStatistics, Version,
};

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
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
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
    /// Fragments below [`crate::SMALL_FRAGMENT_BYTES`], or below what was asked for.
    pub small_fragments: u64,
    /// Bytes of those.
    #[serde(skip)]
    pub small_bytes: u64,
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
    /// The same in numbers, for whoever decides by them: `would` says more to people.
    #[serde(skip)]
    pub planned: PlannedRewrite,
    /// The layout that its rows are kept in, as it is written on the command line.
    pub layout: Option<String>,
    /// How well its fragments are told apart by some columns: those that were asked for, else those of
    /// its layout.
    pub clustering: Option<Clustering>,
    /// The depth that its layout may have come to, where rows that no layout has placed may lie anywhere. For whoever
    /// decides by it: it is no measure.
    #[serde(skip)]
    pub depth_at_most: Option<f64>,
    /// The statistics of its values that were kept, if they were asked for and there are some.
    pub statistics: Option<TableStatistics>,
    /// Why they cannot be read, if they cannot.
    pub statistics_error: Option<String>,
    /// Why the table could not be read, if it could not.
    pub error: Option<String>,
}

/// What a plan would rewrite; nothing where there is no plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlannedRewrite {
    /// Fragments that would go.
    pub fragments_removed: u64,
    /// Fragments that would take their place.
    pub fragments_added: u64,
    /// Bytes that would be read.
    pub bytes: u64,
}

/// How well a table's fragments are told apart by some of its columns: what queries on those columns
/// have to read.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Clustering {
    /// The columns.
    pub columns: Vec<String>,
    /// Fragments with rows in them.
    pub fragments: u64,
    /// Into how many fragments a row's place falls, on average over all rows: 1 is perfect, and the number
    /// of fragments is no order at all.
    pub depth: f64,
    /// Which share of the fragments a range of 1 % of a column touches, for each column.
    pub ranges: Vec<f64>,
    /// The same for a box of 10 % × 10 %, over all pairs of columns; null for one column.
    pub boxes: Option<f64>,
    /// Why it could not be measured, if it could not; then nothing above but `columns` says anything.
    pub error: Option<String>,
    /// The fragments in rank space as an SVG document, if that was asked for.
    #[serde(skip)]
    pub drawing: Option<String>,
    /// The file that the drawing was written to, if it was.
    pub drawn_to: Option<String>,
}

impl Clustering {
    /// Of a table of which nothing is known yet.
    #[must_use]
    pub fn of(columns: &[String]) -> Self {
        Self { columns: columns.to_vec(), ..Self::default() }
    }
}

impl TableStatus {
    /// A row about which nothing is known yet.
    #[must_use]
    pub fn of(table: &TableRef) -> Self {
        Self { table_key: table.key.clone(), branch: table.branch.clone(), ..Self::default() }
    }
}

/// What one branch of a graph is stamped with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BranchStamp {
    /// The branch.
    pub branch: Branch,
    /// Its stamp.
    pub stamp: Stamp,
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
pub type RootStatus = RootReport<StatusBody>;

/// The part of a root's report that only `status` has.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct StatusBody {
    /// A graph's internal schema version: the stamp of main. Null when that is no number.
    pub internal_schema: Option<u32>,
    /// What each branch is stamped with, main first, when they differ or one of them is no version
    /// that we know; else nothing.
    pub stamps: Vec<BranchStamp>,
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
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StatusTotals {
    /// Roots, those that could not be read among them.
    pub roots: usize,
    /// Tables, once per branch.
    pub tables: usize,
}

/// The state of all roots asked for.
pub type StatusReport = Report<StatusBody>;

impl VerbBody for StatusBody {
    type Totals = StatusTotals;

    fn add(root: &RootStatus, totals: &mut StatusTotals) {
        totals.roots += 1;
        totals.tables += root.tables.len();
    }

    fn outcome(root: &RootStatus) -> RootOutcome {
        let failed = root.tables.iter().filter(|table| table.error.is_some()).count();
        root.outcome(failed, root.tables.len())
    }
}

impl StatusReport {
    /// The exit code for whoever wants to know whether a person has to act: that of the first
    /// obstacle of a root; a table that drifted is one, too.
    #[must_use]
    pub fn attention_code(&self) -> ExitCode {
        exit_code(self.roots.iter().map(|root| {
            // That another keeper is at work needs nobody's attention.
            let mut obstacles = root.obstacles.iter().map(|obstacle| obstacle.kind);
            let obstacle = obstacles.find(|kind| *kind != ErrorKind::Busy);
            let has_drifted = root.tables.iter().any(|table| table.drift_head.is_some());
            let drift = has_drifted.then_some(ErrorKind::Refused);
            let outcome = StatusBody::outcome(root);
            RootOutcome { error: outcome.error.or(obstacle).or(drift), ..outcome }
        }))
    }
}
