//! `migrate`: what it is asked and what it reports. The report's fields are those of `--json`.

mod tables;

use chrono::TimeDelta;
use serde::Serialize;

use crate::report::{Report, RootOutcome, RootReport, VerbBody};
use crate::{Branch, InternalSchema, Recovery, RootKind, Stamp};

pub use tables::{ManifestPaths, MigratedTable, StorageVersion, StorageVersionError, TableStep};

/// Where a graph is to be taken, or the tables of a database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MigrateGoal {
    /// Where the first write of any verb takes it. Of a database it is only said what there is.
    #[default]
    Writable,
    /// To v3, by name: refused where the graph is past it.
    V3,
    /// To the newest version, which locks out the clients of the one before.
    Newest {
        /// Make the history of the versions that are there if the one kept apart is lost.
        rebuild: bool,
    },
    /// Back, from a migration that is not finished.
    Abort,
    /// Nowhere: only its stamps are written anew, after a look whether it is of that version.
    Restamp(InternalSchema),
    /// Tables of a database, or a single one, are taken to another form of Lance's own.
    Tables(TableStep),
}

/// What to migrate, and how careful to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrateOptions {
    /// Where to.
    pub goal: MigrateGoal,
    /// How long the branch of a run of an old client must be left alone before it counts as nobody's.
    pub dead_after: TimeDelta,
    /// Only these tables of a database; empty means all.
    pub tables: Vec<String>,
}

impl MigrateOptions {
    /// How long a writer is silent before it is presumed dead.
    pub const DEAD_AFTER: TimeDelta = TimeDelta::minutes(15);
}

impl Default for MigrateOptions {
    fn default() -> Self {
        Self { goal: MigrateGoal::default(), dead_after: Self::DEAD_AFTER, tables: Vec::new() }
    }
}

/// One branch of a graph that is migrated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MigratedBranch {
    /// Its name.
    pub name: Branch,
    /// What it was stamped with before.
    pub from: Stamp,
    /// The version it has, or would have; null when it stays as it is.
    pub to: Option<u32>,
    /// Commits of its history that were copied, or would be.
    pub commits: u64,
    /// Those among them that were never written down.
    pub rebuilt: u64,
}

/// The migration of one root.
pub type RootMigrateReport = RootReport<MigrateBody>;

/// The part of a root's report that only `migrate` has.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct MigrateBody {
    /// What main was stamped with before.
    pub from: Option<Stamp>,
    /// The internal schema version it has, or would have.
    pub to: Option<u32>,
    /// Main and the public branches, main first.
    pub branches: Vec<MigratedBranch>,
    /// Branches of runs of old clients that went, or would go.
    pub run_branches: Vec<Branch>,
    /// The clients that cannot write it any more, or could not.
    pub locked_out: Vec<String>,
    /// What was done, or would be, in this order.
    pub steps: Vec<String>,
    /// The tables of a database, each with its branches; none of a graph.
    pub tables: Vec<MigratedTable>,
    /// What can be done with the tables, where nothing was asked.
    pub available: Vec<String>,
    /// What opening it recovered of runs that died.
    pub recovery: Recovery,
    /// Things to know that are no errors.
    pub warnings: Vec<String>,
}

/// Sums over all roots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MigrateTotals {
    /// Graphs in the report.
    pub graphs: u64,
    /// Steps that were done, or would be.
    pub steps: u64,
    /// Tables of databases that were changed, or would be, a branch counting as one more.
    pub tables: u64,
    /// Wall time of the run, in milliseconds.
    pub duration_ms: u64,
}

/// The migration of all roots asked for.
pub type MigrateReport = Report<MigrateBody>;

impl VerbBody for MigrateBody {
    type Totals = MigrateTotals;

    fn add(root: &RootMigrateReport, totals: &mut MigrateTotals) {
        totals.graphs += u64::from(root.kind == Some(RootKind::Graph));
        totals.tables += root.tables.iter().filter(|table| table.changed).count() as u64;
        totals.steps += root.steps.len() as u64;
    }

    fn set_duration(totals: &mut MigrateTotals, duration_ms: u64) {
        totals.duration_ms = duration_ms;
    }

    fn outcome(root: &RootMigrateReport) -> RootOutcome {
        let failed = root.tables.iter().filter(|table| table.error.is_some()).count();
        root.outcome(failed, root.branches.len() + root.tables.len())
    }
}
