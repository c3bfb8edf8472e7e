//! `count-rows`: what it reports. The report's fields are those of `--json`.

use serde::Serialize;

use crate::report::{RootOutcome, exit_code};
use crate::{Branch, BranchSelection, ErrorKind, ExitCode, RootKind, TableKey, Version};

/// Which rows to count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CountOptions {
    /// Only these tables; empty means all.
    pub tables: Vec<String>,
    /// Branches of graphs or tables.
    pub branches: BranchSelection,
}

/// The rows of one table, as readers of one branch see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

/// The rows of one root.
#[derive(Debug, Clone, Serialize)]
pub struct RootCounts {
    /// The root as the caller spelled it.
    pub uri: String,
    /// What it is; null when it was not recognised.
    pub kind: Option<RootKind>,
    /// Why it could not be read, if it could not.
    pub error: Option<String>,
    /// What a person can do about `error`.
    pub hint: Option<String>,
    /// One row per table and branch.
    pub tables: Vec<TableCount>,
    /// The kind of `error`.
    #[serde(skip)]
    pub error_kind: Option<ErrorKind>,
}

/// Sums over all roots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, Serialize)]
pub struct CountReport {
    /// One entry per root, in the order given.
    pub roots: Vec<RootCounts>,
    /// Sums.
    pub totals: CountTotals,
}

impl CountReport {
    /// Builds the report and its sums.
    #[must_use]
    pub fn new(roots: Vec<RootCounts>, duration_ms: u64) -> Self {
        let mut totals = CountTotals { duration_ms, ..CountTotals::default() };
        for table in roots.iter().flat_map(|root| &root.tables) {
            totals.tables += 1;
            totals.tables_failed += u64::from(table.error.is_some());
            totals.rows += table.rows.unwrap_or(0);
        }
        Self { roots, totals }
    }

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
}
