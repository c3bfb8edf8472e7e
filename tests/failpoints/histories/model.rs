//! What the steps of a history did: plain values, known from the doing. Nothing here was computed
//! by the code under test.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use lancekeeper_testkit::writer::{Commit, Entry, MANIFEST};

pub(super) const MAIN: &str = "main";

/// Dataset, Lance branch, version.
pub(super) type Place = (String, String, u64);
/// Rows of a node table: note by id.
pub(super) type Rows = BTreeMap<String, String>;

/// A graph.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    /// By place below the graph; `__manifest` is one.
    pub(super) datasets: BTreeMap<String, DatasetModel>,
    /// The graph's live branches, main included.
    pub(super) branches: BTreeMap<String, BranchModel>,
    /// Every commit there ever was.
    pub(super) commits: BTreeMap<String, CommitModel>,
    /// Writers that committed to a table and may still publish: table, branch, version.
    pub(super) stalled: Vec<Stalled>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct DatasetModel {
    /// Its key: `node:A`.
    pub(super) key: String,
    /// By Lance branch.
    pub(super) chains: BTreeMap<String, Chain>,
    pub(super) tags: BTreeMap<String, (String, u64)>,
    /// Files that no version refers to, relative to the dataset.
    pub(super) litter: BTreeMap<String, Litter>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Chain {
    /// What it was cut from.
    pub(super) cut_from: Option<(String, u64)>,
    /// Its branch file is missing: its making or its deletion died.
    pub(super) is_zombie: bool,
    pub(super) versions: BTreeMap<u64, VersionModel>,
}

#[derive(Debug, Clone)]
pub(super) struct VersionModel {
    pub(super) committed_at: DateTime<Utc>,
    /// It has no fragments.
    pub(super) is_empty: bool,
    /// What it reads; not told for `__manifest`.
    pub(super) rows: Rows,
}

#[derive(Debug, Clone)]
pub(super) struct Litter {
    /// The Lance branch in whose directory it lies.
    pub(super) branch: String,
    /// A month old, by the store's clock.
    pub(super) is_old: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct BranchModel {
    pub(super) parent: Option<String>,
    /// What it reads, by table.
    pub(super) pins: BTreeMap<String, Entry>,
    /// The commits its `__manifest` has rows of, newest first.
    pub(super) commits: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct CommitModel {
    pub(super) of: Commit,
    /// What it reads, by table.
    pub(super) pins: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
pub(super) struct Stalled {
    pub(super) key: String,
    pub(super) branch: String,
    pub(super) version: u64,
    /// What the branch read when it began.
    pub(super) expected: Entry,
}

impl Model {
    pub(super) fn dataset(&self, location: &str) -> &DatasetModel {
        self.datasets.get(location).expect("a dataset of the graph")
    }

    pub(super) fn dataset_mut(&mut self, location: &str) -> &mut DatasetModel {
        self.datasets.get_mut(location).expect("a dataset of the graph")
    }

    /// The rows of a version, if it exists.
    pub(super) fn rows_at(&self, entry: &Entry) -> Option<&Rows> {
        let chain = self.dataset(&entry.location).chains.get(&entry.branch)?;
        Some(&chain.versions.get(&entry.version)?.rows)
    }

    /// The newest version of a chain.
    pub(super) fn head(&self, location: &str, branch: &str) -> Option<u64> {
        let chain = self.dataset(location).chains.get(branch)?;
        chain.versions.keys().next_back().copied()
    }

    /// Every version that exists and can be opened by its name.
    pub(super) fn existing(&self) -> BTreeSet<Place> {
        self.datasets
            .iter()
            .flat_map(|(location, dataset)| {
                let chains = dataset.chains.iter().filter(|(_, chain)| !chain.is_zombie);
                chains.flat_map(move |(branch, chain)| {
                    chain.versions.keys().map(|v| (location.clone(), branch.clone(), *v))
                })
            })
            .collect()
    }

    /// The commits that live branches have in their histories.
    pub(super) fn visible(&self) -> BTreeSet<&str> {
        let branches = self.branches.values();
        branches.flat_map(|branch| branch.commits.iter().map(String::as_str)).collect()
    }

    /// Whether a commit's version of `__manifest` is there.
    pub(super) fn is_listed(&self, commit: &CommitModel) -> bool {
        let chain = self.dataset(MANIFEST).chains.get(&commit.of.branch);
        chain.is_some_and(|chain| {
            !chain.is_zombie && chain.versions.contains_key(&commit.of.manifest_version)
        })
    }

    /// Whether a commit can be read: its version of `__manifest` and all it pins are there.
    pub(super) fn is_readable(&self, commit: &CommitModel) -> bool {
        self.is_listed(commit) && commit.pins.values().all(|pin| self.rows_at(pin).is_some())
    }

    /// Whether anybody committed to a chain without publishing.
    pub(super) fn drifts(&self, branch: &str, pin: &Entry) -> bool {
        pin.branch == branch && self.head(&pin.location, branch) != Some(pin.version)
    }

    /// Whether a branch may be deleted, as clients see it.
    pub(super) fn is_deletable(&self, name: &str) -> bool {
        let others = || self.branches.iter().filter(|(other, _)| *other != name);
        name != MAIN
            && others().all(|(_, branch)| {
                branch.parent.as_deref() != Some(name)
                    && branch.pins.values().all(|pin| pin.branch != name)
            })
    }

    /// Forgets a chain that somebody removed as a whole.
    pub(super) fn forget_chain(&mut self, location: &str, branch: &str) {
        let dataset = self.dataset_mut(location);
        dataset.chains.remove(branch);
        dataset.litter.retain(|_, litter| litter.branch != branch);
    }
}
