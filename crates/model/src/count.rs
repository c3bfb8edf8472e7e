//! `count-rows`: what it reports. The report's fields are those of `--json`.

use serde::Serialize;

use crate::report::{Report, RootOutcome, RootReport, VerbBody};
use crate::{Branch, BranchSelection, TableKey, TableRef, Version};

/// Which rows to count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CountOptions {
    /// Only these tables; empty means all.
    pub tables: Vec<String>,
    /// Branches of graphs or tables.
    pub branches: BranchSelection,
}

/// The rows of one table, as readers of one branch see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableCount {
    /// The table.
    pub table_key: TableKey,
    /// The branch that was asked for.
    pub branch: Branch,
    /// The version readers see: in a graph the pinned one, else HEAD.
    pub version: Option<Version>,
    /// Live rows of it; null when they could not be counted.
    pub rows: Option<u64>,
    /// Why they could not be counted, if so.
    pub error: Option<String>,
}

impl TableCount {
    /// A row about which nothing is known yet.
    #[must_use]
    pub fn of(table: &TableRef) -> Self {
        Self { table_key: table.key.clone(), branch: table.branch.clone(), ..Self::default() }
    }
}

/// The rows of one root.
pub type RootCounts = RootReport<CountBody>;

/// The part of a root's report that only `count-rows` has.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct CountBody {
    /// One row per table and branch.
    pub tables: Vec<TableCount>,
}

/// Sums over all roots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CountTotals {
    /// Tables that were looked at, once per branch.
    pub tables: u64,
    /// Those whose rows could not be counted.
    pub tables_failed: u64,
    /// Live rows of the others.
    pub rows: u64,
    /// Wall time of the run, in milliseconds.
    pub duration_ms: u64,
}

/// The rows of all roots asked for.
pub type CountReport = Report<CountBody>;

impl VerbBody for CountBody {
    type Totals = CountTotals;

    fn add(root: &RootCounts, totals: &mut CountTotals) {
        for table in &root.tables {
            totals.tables += 1;
            totals.tables_failed += u64::from(table.error.is_some());
            totals.rows += table.rows.unwrap_or(0);
        }
    }

    fn set_duration(totals: &mut CountTotals, duration_ms: u64) {
        totals.duration_ms = duration_ms;
    }

    fn outcome(root: &RootCounts) -> RootOutcome {
        let failed = root.tables.iter().filter(|table| table.error.is_some()).count();
        root.outcome(failed, root.tables.len())
    }
}
