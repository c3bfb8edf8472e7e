//! `repair`: what it is asked and what it reports. The report's fields are those of `--json`.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Serialize, Serializer};

use crate::report::{Report, RootOutcome, RootReport, VerbBody};
use crate::{Branch, BranchSelection, ErrorKind, Recovery, TableKey, TableRef, Version};

/// Which tables to repair, and how far to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairOptions {
    /// Only these tables; empty means all.
    pub tables: Vec<String>,
    /// Branches of the graph.
    pub branches: BranchSelection,
    /// Whether anything is written. Without it, a preview is made.
    pub confirm: bool,
    /// Publish also what others committed and what cannot be judged.
    pub force: bool,
    /// Take tables back to what readers see instead, and keep what others committed under a tag.
    pub restore_pin: bool,
    /// What others committed is theirs to publish until its newest version is as old as this.
    pub dead_after: TimeDelta,
    /// Nobody is about to publish it, however young it is.
    pub assume_dead: bool,
    /// Tables looked at at the same time; `None` for the default.
    pub concurrency: Option<usize>,
}

impl RepairOptions {
    /// Unless told. A client publishes seconds after it has committed.
    pub const DEAD_AFTER: TimeDelta = TimeDelta::minutes(15);
}

impl Default for RepairOptions {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            branches: BranchSelection::All,
            confirm: false,
            force: false,
            restore_pin: false,
            dead_after: Self::DEAD_AFTER,
            assume_dead: false,
            concurrency: None,
        }
    }
}

/// What lies between the version that readers see and the newest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DriftClass {
    /// Nothing: readers see the newest version.
    NoDrift,
    /// Only maintenance, by the table's own history: both have the same rows.
    VerifiedMaintenance,
    /// Something that changed rows, or may have.
    Suspicious,
    /// Some of the history cannot be read.
    Unverifiable,
}

impl DriftClass {
    /// The stable token.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoDrift => "no_drift",
            Self::VerifiedMaintenance => "verified_maintenance",
            Self::Suspicious => "suspicious",
            Self::Unverifiable => "unverifiable",
        }
    }
}

impl fmt::Display for DriftClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDrift => "no drift",
            Self::VerifiedMaintenance => "maintenance",
            Self::Suspicious => "suspicious",
            Self::Unverifiable => "unverifiable",
        })
    }
}

impl Serialize for DriftClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What was done with a table, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RepairAction {
    /// Nothing, and nothing was to be done.
    #[default]
    NoOp,
    /// Nothing yet: this is a preview.
    Preview,
    /// Maintenance was published.
    Healed,
    /// What others committed was published, because the caller said so.
    Forced,
    /// The table was taken back to what readers see.
    Restored,
    /// Nothing: it takes a decision of the caller's.
    Refused,
}

impl RepairAction {
    /// The stable token.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoOp => "no_op",
            Self::Preview => "preview",
            Self::Healed => "healed",
            Self::Forced => "forced",
            Self::Restored => "restored",
            Self::Refused => "refused",
        }
    }
}

impl Serialize for RepairAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What publishing the newest version changes for readers, counted by the ids of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RowChanges {
    /// Rows that readers would see and do not see now.
    pub appear: u64,
    /// Rows that readers see now and would not see.
    pub disappear: u64,
    /// Rows that stay, with other values.
    pub change: u64,
}

/// One table of one branch.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct TableRepairStats {
    /// The table.
    pub table_key: TableKey,
    /// The branch, of the graph and of the table alike.
    pub branch: Branch,
    /// The version that readers saw.
    pub manifest_version: Version,
    /// The newest version there was; null when it cannot be read.
    pub lance_head_version: Option<Version>,
    /// What lies between the two; null when that could not be found out.
    pub classification: Option<DriftClass>,
    /// What was done.
    pub action: RepairAction,
    /// What would be done with `confirm`; the same as `action` when something was done.
    pub would: RepairAction,
    /// The operation of each version between the two, oldest first, as far as they were read.
    pub operations: Vec<String>,
    /// Why it is of that class, and why that is done.
    pub reason: String,
    /// Rows that readers saw.
    pub rows_pinned: Option<u64>,
    /// Rows of the newest version.
    pub rows_head: Option<u64>,
    /// What publishing the newest version changes; null for maintenance, and when it cannot be told.
    pub rows: Option<RowChanges>,
    /// When the newest version was committed, by its writer's clock.
    pub newest_commit_at: Option<DateTime<Utc>>,
    /// The version that readers see now, if it was moved.
    pub published_version: Option<Version>,
    /// The tag that keeps what was taken back, or would.
    pub kept_as: Option<String>,
    /// Why it could not be done, if so.
    pub error: Option<String>,
    /// The kind of `error`.
    #[serde(skip)]
    pub error_kind: Option<ErrorKind>,
}

impl TableRepairStats {
    /// A row about which nothing but the pin is known yet.
    #[must_use]
    pub fn of(table: &TableRef, pin: Version) -> Self {
        Self {
            table_key: table.key.clone(),
            branch: table.branch.clone(),
            manifest_version: pin,
            ..Self::default()
        }
    }

    /// Notes that something went wrong with the table.
    pub fn fail(&mut self, message: impl Into<String>, kind: ErrorKind) {
        self.error = Some(message.into());
        self.error_kind = Some(kind);
        self.action = RepairAction::NoOp;
    }
}

/// What became of one root.
pub type RootRepairReport = RootReport<RepairBody>;

/// The part of a root's report that only `repair` has.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct RepairBody {
    /// Whether anything was to be written.
    pub confirm: bool,
    /// Whether what is not proven was to be published, too.
    pub force: bool,
    /// Whether it was to be taken back instead.
    pub restore_pin: bool,
    /// The version of main's `__manifest` at the end; null when it was not read.
    pub manifest_version: Option<Version>,
    /// What opening it recovered of runs that died.
    pub recovery: Recovery,
    /// Publishes, at most one per branch.
    pub published: u64,
    /// Things to know that are no errors.
    pub warnings: Vec<String>,
    /// One row per table that a branch has versions of its own of.
    pub tables: Vec<TableRepairStats>,
}

/// Sums over all roots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RepairTotals {
    /// Tables that were looked at, once per branch.
    pub tables: u64,
    /// Those of which readers did not see the newest version.
    pub tables_drifted: u64,
    /// Those whose maintenance was published.
    pub tables_healed: u64,
    /// Those of which the caller had the newest version published.
    pub tables_forced: u64,
    /// Those that were taken back.
    pub tables_restored: u64,
    /// Those that take a decision.
    pub tables_refused: u64,
    /// Those that failed.
    pub tables_failed: u64,
    /// Wall time of the run, in milliseconds.
    pub duration_ms: u64,
}

/// What `repair` did, over all roots.
pub type RepairReport = Report<RepairBody>;

impl VerbBody for RepairBody {
    type Totals = RepairTotals;

    fn add(root: &RootRepairReport, totals: &mut RepairTotals) {
        for table in &root.tables {
            let is = |action| u64::from(table.action == action);
            let is_level = matches!(table.classification, None | Some(DriftClass::NoDrift));
            totals.tables += 1;
            totals.tables_drifted += u64::from(!is_level);
            totals.tables_healed += is(RepairAction::Healed);
            totals.tables_forced += is(RepairAction::Forced);
            totals.tables_restored += is(RepairAction::Restored);
            totals.tables_refused += is(RepairAction::Refused);
            totals.tables_failed += u64::from(table.error.is_some());
        }
    }

    fn set_duration(totals: &mut RepairTotals, duration_ms: u64) {
        totals.duration_ms = duration_ms;
    }

    /// A table that takes a decision refuses the root, whatever else was done: a script has to call a
    /// person.
    fn outcome(root: &RootRepairReport) -> RootOutcome {
        let failed = root.tables.iter().filter(|table| table.error.is_some()).count();
        let outcome = root.outcome(failed, root.tables.len());
        let is_refused = root.tables.iter().any(|table| table.action == RepairAction::Refused);
        let refused = (is_refused && failed == 0).then_some(ErrorKind::Refused);
        RootOutcome { error: outcome.error.or(refused), ..outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExitCode;

    fn row(action: RepairAction, classification: DriftClass) -> TableRepairStats {
        let table = TableRef::on_main(TableKey::new("node:Person"));
        let classification = Some(classification);
        TableRepairStats { action, classification, ..TableRepairStats::of(&table, Version(3)) }
    }

    fn report(rows: &[TableRepairStats]) -> RepairReport {
        let mut root = RootRepairReport::of("r");
        root.tables = rows.to_vec();
        RepairReport::new(false, vec![root], 7)
    }

    #[test]
    fn a_refused_table_is_told_by_the_exit_code_and_a_failed_one_goes_before_it() {
        let healed = row(RepairAction::Healed, DriftClass::VerifiedMaintenance);
        let refused = row(RepairAction::Refused, DriftClass::Suspicious);
        let preview = row(RepairAction::Preview, DriftClass::Suspicious);
        let mut failed = row(RepairAction::Healed, DriftClass::VerifiedMaintenance);
        failed.fail("gone", ErrorKind::Corrupt);
        for (rows, code) in [
            (vec![], ExitCode::Done),
            (vec![preview.clone()], ExitCode::Done),
            (vec![healed.clone()], ExitCode::Done),
            (vec![healed.clone(), refused.clone()], ExitCode::Refused),
            (vec![failed.clone()], ExitCode::Failed),
            (vec![failed, healed, refused], ExitCode::Partial),
        ] {
            assert_eq!(report(&rows).exit_code(), code, "{rows:#?}");
        }
    }

    #[test]
    fn sums_are_those_of_the_rows() {
        let totals = report(&[
            row(RepairAction::NoOp, DriftClass::NoDrift),
            row(RepairAction::Healed, DriftClass::VerifiedMaintenance),
            row(RepairAction::Forced, DriftClass::Unverifiable),
            row(RepairAction::Restored, DriftClass::Suspicious),
        ])
        .totals;
        let expected = RepairTotals {
            tables: 4,
            tables_drifted: 3,
            tables_healed: 1,
            tables_forced: 1,
            tables_restored: 1,
            duration_ms: 7,
            ..RepairTotals::default()
        };
        assert_eq!(totals, expected);
    }
}
