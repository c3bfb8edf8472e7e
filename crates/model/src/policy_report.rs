//! `policy`: what it reports. The report's fields are those of `--json`.

use serde::Serialize;

use crate::report::{Report, RootOutcome, RootReport, VerbBody};

/// What was found of policies, in a root or in a file.
pub type RootPolicies = RootReport<PolicyBody>;

/// The part of a report that only `policy` has.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PolicyBody {
    /// Which options hold, table by table.
    pub options: Vec<PolicyRow>,
    /// What each policy would have done.
    pub simulated: Vec<SimulatedRow>,
    /// What is wrong.
    pub problems: Vec<PolicyProblem>,
    /// Things to know that are no errors.
    pub warnings: Vec<String>,
    /// Whether files are checked, and nothing else is said.
    #[serde(skip)]
    pub is_check: bool,
}

/// An option that holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PolicyRow {
    /// The table, or the section of a file.
    pub table: String,
    /// The option.
    pub option: String,
    /// Its value, as it can be written.
    pub value: String,
    /// Who says so.
    pub source: String,
}

/// Something that is wrong with a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PolicyProblem {
    /// What, with its place.
    pub message: String,
    /// What a person can do about it.
    pub hint: Option<String>,
}

/// What a policy would have done to a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SimulatedRow {
    /// The table; empty for a pattern.
    pub table: String,
    /// The policy.
    pub policy: String,
    /// Commits that were replayed.
    pub commits: u64,
    /// Runs.
    pub runs: u64,
    /// Bytes that writers appended.
    pub appended_bytes: u64,
    /// Bytes that runs wrote.
    pub rewritten_bytes: u64,
    /// Bytes that were written for each byte that was appended, the append included.
    pub amplification: f64,
    /// Bytes of files that runs replaced.
    pub replaced_bytes: u64,
    /// Deleted rows whose room became free.
    pub purged_rows: u64,
    /// Fragments at most.
    pub fragments_most: u64,
    /// Fragments at the end.
    pub fragments_end: u64,
}

/// How much was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PolicyTotals {
    /// Options that are set.
    pub options: u64,
    /// What is wrong.
    pub problems: u64,
}

/// What was found of policies, in all roots.
pub type PolicyReport = Report<PolicyBody>;

impl VerbBody for PolicyBody {
    type Totals = PolicyTotals;

    fn add(root: &RootPolicies, totals: &mut PolicyTotals) {
        totals.options += root.options.len() as u64;
        totals.problems += root.problems.len() as u64;
    }

    fn outcome(root: &RootPolicies) -> RootOutcome {
        root.outcome(0, root.options.len())
    }
}
