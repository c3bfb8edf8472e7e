//! `verify`: what it is asked and what it reports. The report's fields are those of `--json`.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::report::{Report, RootOutcome, RootReport, VerbBody};
use crate::{Branch, BranchSelection, ExitCode, TableKey, TableRef, Version};

/// What to check, and how closely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Only these tables; empty means all, those that a graph keeps for itself included.
    pub tables: Vec<String>,
    /// Branches of graphs; of databases and tables, Lance branches of the tables.
    pub branches: BranchSelection,
    /// Nothing is scanned and no index is asked: manifests, and whether files are there.
    pub quick: bool,
    /// How many values each index is asked about.
    pub samples: usize,
}

impl VerifyOptions {
    /// Unless told. Wrong files answer nearly every question wrongly, so a few are enough.
    pub const SAMPLES: usize = 16;
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            branches: BranchSelection::All,
            quick: false,
            samples: Self::SAMPLES,
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// A branch, or the list of versions, cannot be read.
    BranchUnreadable,
    /// A version that somebody names, or that is listed, cannot be opened.
    VersionUnreadable,
    /// A file is not there.
    FileMissing,
    /// A file has another size than its manifest says.
    FileSize,
    /// A file is there and does not hold what its manifest says.
    FileDamaged,
    /// Rows of a fragment cannot be read.
    DataUnreadable,
    /// A scan gives another number of rows than the manifest says.
    RowCount,
    /// A version has another number of rows than whoever pins it says.
    DeclaredRows,
    /// An index cannot be opened or asked.
    IndexUnreadable,
    /// An index answers otherwise than a scan.
    IndexWrong,
}

impl FindingKind {
    /// The token for scripts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BranchUnreadable => "branch_unreadable",
            Self::VersionUnreadable => "version_unreadable",
            Self::FileMissing => "file_missing",
            Self::FileSize => "file_size",
            Self::FileDamaged => "file_damaged",
            Self::DataUnreadable => "data_unreadable",
            Self::RowCount => "row_count",
            Self::DeclaredRows => "declared_rows",
            Self::IndexUnreadable => "index_unreadable",
            Self::IndexWrong => "index_wrong",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for FindingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The table.
    pub table_key: TableKey,
    /// The branch whose version it is.
    pub branch: Branch,
    /// The newest version that is affected; null if it is about all of the branch.
    pub version: Option<Version>,
    /// How many of the versions that were checked are affected.
    pub versions: u64,
    /// What is wrong.
    pub what: FindingKind,
    /// The fragment it is about.
    pub fragment: Option<u64>,
    /// The file it is about, below the table or in full.
    pub file: Option<String>,
    /// The index it is about.
    pub index: Option<String>,
    /// The same for people.
    pub message: String,
    /// What a person can do about it.
    pub hint: Option<String>,
}

impl Finding {
    /// Something that is wrong with a table, so far without a place in it.
    #[must_use]
    pub fn new(table: &TableRef, what: FindingKind, message: impl Into<String>) -> Self {
        Self {
            table_key: table.key.clone(),
            branch: table.branch.clone(),
            version: None,
            versions: 0,
            what,
            fragment: None,
            file: None,
            index: None,
            message: message.into(),
            hint: None,
        }
    }
}

/// Something that could not be checked, and about which nothing is known therefore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unchecked {
    /// The table.
    pub table_key: TableKey,
    /// The branch.
    pub branch: Branch,
    /// The version, if it is about one.
    pub version: Option<Version>,
    /// What was not checked.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl Unchecked {
    /// Something of a table that could not be checked.
    #[must_use]
    pub fn new(
        table: &TableRef,
        version: Option<Version>,
        what: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            table_key: table.key.clone(),
            branch: table.branch.clone(),
            version,
            what: what.into(),
            reason: reason.into(),
        }
    }
}

/// What was looked at of one table on one of its branches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableVerification {
    /// The table.
    pub table_key: TableKey,
    /// The branch whose chain of versions it is.
    pub branch: Branch,
    /// Versions that were opened.
    pub versions: u64,
    /// Fragments, each once for all versions in which it is the same.
    pub fragments: u64,
    /// Files that were looked for.
    pub files: u64,
    /// Live rows that were read, each once for all versions in which its fragment is the same.
    pub rows: u64,
    /// Indexes that were asked, each once for all versions in which it is the same.
    pub indexes: u64,
    /// What they were asked.
    pub questions: u64,
    /// How much is wrong.
    pub findings: u64,
    /// How much could not be checked.
    pub unchecked: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl TableVerification {
    /// A row about which nothing is known yet.
    #[must_use]
    pub fn of(table: &TableRef) -> Self {
        Self { table_key: table.key.clone(), branch: table.branch.clone(), ..Self::default() }
    }
}

/// What was found in one root.
pub type RootVerification = RootReport<VerifyBody>;

/// The part of a root's report that only `verify` has.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct VerifyBody {
    /// One row per table and branch.
    pub tables: Vec<TableVerification>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What could not be checked.
    pub unchecked: Vec<Unchecked>,
}

/// Sums over all roots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyTotals {
    /// Tables that were looked at, once per branch.
    pub tables: u64,
    /// Versions that were opened.
    pub versions: u64,
    /// Fragments that were looked at.
    pub fragments: u64,
    /// Files that were looked for.
    pub files: u64,
    /// Live rows that were read.
    pub rows: u64,
    /// Indexes that were asked.
    pub indexes: u64,
    /// What they were asked.
    pub questions: u64,
    /// How much is wrong.
    pub findings: u64,
    /// How much could not be checked.
    pub unchecked: u64,
    /// Wall time of the run, in milliseconds.
    pub duration_ms: u64,
}

/// What was found in all roots asked for.
pub type VerifyReport = Report<VerifyBody>;

impl VerbBody for VerifyBody {
    type Totals = VerifyTotals;

    fn add(root: &RootVerification, totals: &mut VerifyTotals) {
        for table in &root.tables {
            totals.tables += 1;
            totals.versions += table.versions;
            totals.fragments += table.fragments;
            totals.files += table.files;
            totals.rows += table.rows;
            totals.indexes += table.indexes;
            totals.questions += table.questions;
        }
        totals.findings += root.findings.len() as u64;
        totals.unchecked += root.unchecked.len() as u64;
    }

    fn set_duration(totals: &mut VerifyTotals, duration_ms: u64) {
        totals.duration_ms = duration_ms;
    }

    fn outcome(root: &RootVerification) -> RootOutcome {
        // One thing that is wrong makes the root wrong, however much else is in order.
        let tables = root.tables.len().max(1);
        root.outcome(if root.findings.is_empty() { 0 } else { tables }, root.tables.len())
    }

    fn exit_code(code: ExitCode) -> ExitCode {
        match code {
            // Nothing is done in part here: all is well, or something is not.
            ExitCode::Partial => ExitCode::Failed,
            code => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::RootFailure;

    fn root(findings: usize) -> RootVerification {
        let table = TableRef::on_main(TableKey::new("docs"));
        let mut root = RootVerification::of("r");
        for versions in 1..=2 {
            let row = TableVerification { versions, rows: 5, ..TableVerification::of(&table) };
            root.tables.push(row);
        }
        let finding = Finding::new(&table, FindingKind::FileMissing, "it is gone");
        root.findings = vec![finding; findings];
        root
    }

    #[test]
    fn one_finding_anywhere_is_a_failure_and_what_could_not_be_checked_is_none() {
        let mut unsure = root(0);
        let table = TableRef::on_main(TableKey::new("docs"));
        unsure.unchecked.push(Unchecked::new(&table, None, "index i", "it is of an unknown kind"));
        let missing = RootVerification::of("gone").failed(RootFailure {
            message: "no root".to_owned(),
            hint: None,
            kind: ErrorKind::NotFound,
            cause: None,
        });
        for (roots, code) in [
            (vec![], ExitCode::Done),
            (vec![root(0)], ExitCode::Done),
            (vec![unsure], ExitCode::Done),
            (vec![root(1)], ExitCode::Failed),
            (vec![root(0), root(1)], ExitCode::Failed),
            (vec![missing.clone()], ExitCode::NoSuchRoot),
            (vec![root(0), missing], ExitCode::Failed),
        ] {
            assert_eq!(VerifyReport::new(false, roots, 0).exit_code(), code);
        }
        let mut alone = RootVerification::of("r");
        alone.findings = root(1).findings.clone();
        assert_eq!(VerifyReport::new(false, vec![alone], 0).exit_code(), ExitCode::Failed);
    }

    #[test]
    fn sums_are_those_of_the_rows() {
        let totals = VerifyReport::new(false, vec![root(0), root(3)], 7).totals;
        let expected = VerifyTotals {
            tables: 4,
            versions: 6,
            rows: 20,
            findings: 3,
            duration_ms: 7,
            ..VerifyTotals::default()
        };
        assert_eq!(totals, expected);
    }
}
