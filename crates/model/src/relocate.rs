//! `repair --relocate`: what it reports. The report's fields are those of `--json`.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::report::{Report, RootOutcome, RootReport, VerbBody};
use crate::{Branch, Recovery, Version};

/// One branch of one dataset that refers to the old place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RelocatedBranch {
    /// The dataset, relative to the root.
    pub location: String,
    /// The branch.
    pub branch: Branch,
    /// Manifests of it that refer to the old place, or did.
    pub manifests: u64,
    /// Which these are, relative to the root.
    pub references: Vec<String>,
    /// The most files that one of them reads there; all of them are here.
    pub files: u64,
    /// Rows of `__manifest` on that branch that name the old place, or did. Only v3 graphs have such.
    pub rows: u64,
    /// What these rows name: manifests of tables, as keys without the slash in front.
    pub rows_name: Vec<String>,
    /// The version of `__manifest` with which the rows were changed.
    pub published_version: Option<Version>,
}

impl RelocatedBranch {
    /// A branch of which nothing is known yet.
    #[must_use]
    pub fn of(location: &str, branch: &Branch) -> Self {
        Self { location: location.to_owned(), branch: branch.clone(), ..Self::default() }
    }
}

/// What became of one root.
pub type RootRelocateReport = RootReport<RelocateBody>;

/// The part of a root's report that only this has.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct RelocateBody {
    /// Whether anything was to be written.
    pub confirm: bool,
    /// Where its branches said that it lay.
    pub moved_from: BTreeSet<String>,
    /// What they say now, or would.
    pub moved_to: String,
    /// Manifests that were changed.
    pub changed: u64,
    /// Where the changed manifests lie as they were, relative to the root.
    pub originals: Option<String>,
    /// Why nothing may be done, if so: what is not here.
    pub refusals: Vec<String>,
    /// What opening it recovered of runs that died.
    pub recovery: Recovery,
    /// Things to know that are no errors.
    pub warnings: Vec<String>,
    /// What refers to the old place, or did.
    pub branches: Vec<RelocatedBranch>,
}

/// Sums over all roots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RelocateTotals {
    /// Manifests that refer to an old place, or did.
    pub manifests: u64,
    /// Rows that name one, or did.
    pub rows: u64,
    /// Wall time of the run, in milliseconds.
    pub duration_ms: u64,
}

/// What was done with roots that were moved.
pub type RelocateReport = Report<RelocateBody>;

impl VerbBody for RelocateBody {
    type Totals = RelocateTotals;

    fn add(root: &RootRelocateReport, totals: &mut RelocateTotals) {
        for branch in &root.branches {
            totals.manifests += branch.manifests;
            totals.rows += branch.rows;
        }
    }

    fn set_duration(totals: &mut RelocateTotals, duration_ms: u64) {
        totals.duration_ms = duration_ms;
    }

    fn outcome(root: &RootRelocateReport) -> RootOutcome {
        root.outcome(0, root.branches.len())
    }
}
