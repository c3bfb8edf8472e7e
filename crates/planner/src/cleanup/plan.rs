//! From facts to the list of what goes. Pure.

mod dataset;
mod fate;
mod files;
mod forks;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, ForkRefStatus, TableKey, Version};

use super::authority::{Authority, PinnedVersion};
use super::chain::ChainKey;
use super::floors::{Floors, opened_commits, ruled_commits};
use super::inventory::{ChainFacts, CleanupInventory, DatasetFacts, FileId, UnitId};
use super::policy::Retention;
use super::reason::KeepReason;

/// What cleanup will do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanupPlan {
    /// One per dataset, in the inventory's order.
    pub datasets: Vec<DatasetPlan>,
}

/// A commit that stops being readable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostCommit {
    /// Its id.
    pub id: String,
    /// The branch it was made on.
    pub branch: Branch,
    /// Its version of `__manifest`.
    pub manifest_version: Version,
}

/// What cleanup will do to one dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetPlan {
    /// What it is called in reports.
    pub table: TableKey,
    /// Where it lies, relative to the root.
    pub location: String,
    /// Why nothing of it is deleted, if so.
    pub refused: Option<String>,
    /// Versions that stay, each with its reasons.
    pub kept: Vec<KeptVersion>,
    /// Versions that go.
    pub removed: Vec<(Branch, Version)>,
    /// The newest version of main that goes too, because no branch has the table any more: one
    /// without rows is committed on top of it before anything is deleted. The directory stays,
    /// so that a table that comes back under its name meets what it met before, without rows.
    pub empties: Option<Version>,
    /// What becomes of its forks.
    pub forks: Vec<ForkDecision>,
    /// The exact list, in the order in which it is deleted.
    pub deletions: Vec<Deletion>,
    /// Files that nothing refers to and that are too young to go.
    pub unverified_left: Leftover,
    /// What to know that is no error.
    pub warnings: Vec<String>,
}

impl DatasetPlan {
    /// Takes units off the list that a version refers to which was not there when it was made.
    pub fn spare(&mut self, dataset: &DatasetFacts, units: &BTreeSet<UnitId>) {
        let class = |deletion: &Deletion| dataset.files[deletion.file.0 as usize].class;
        self.deletions
            .retain(|deletion| !class(deletion).units().any(|unit| units.contains(&unit)));
    }

    /// Bytes that will be free.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.deletions.iter().map(|deletion| deletion.bytes).sum()
    }
}

/// A version that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptVersion {
    /// Its Lance branch.
    pub branch: Branch,
    /// The version.
    pub version: Version,
    /// Why, never empty.
    pub reasons: Vec<KeepReason>,
}

/// What becomes of a fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkDecision {
    /// The Lance branch.
    pub branch: Branch,
    /// Whether anything reads it.
    pub status: ForkRefStatus,
    /// Why, in a sentence.
    pub why: String,
    /// Whether it is undecided for a reason that is reported as a failure of its own.
    pub is_said: bool,
}

/// One path to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// The file.
    pub file: FileId,
    /// Relative to the dataset.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When in the order it goes.
    pub step: DeletionStep,
    /// Why it goes.
    pub reason: DeletionReason,
}

/// The order of deletions: whoever finds a name must find all that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeletionStep {
    /// What makes an orphaned fork exist.
    BranchFile,
    /// What makes a version exist.
    Manifest,
    /// What it referred to.
    Rest,
}

/// Why a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeletionReason {
    /// It belongs to an orphaned fork, or to a branch directory without a branch.
    Fork,
    /// It is the manifest of a version that goes.
    Version,
    /// Only versions that go refer to it, or went when an earlier cleanup was cut off.
    OnlyRemovedVersions,
    /// Nothing refers to it, and it is old.
    Unreferenced,
    /// No descriptor names it, and it is old. Blobs outlive the versions that named them, so this
    /// is nothing to wonder at.
    UnnamedBlob,
}

impl DeletionReason {
    /// The stable token in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fork => "orphaned_fork",
            Self::Version => "old_version",
            Self::OnlyRemovedVersions => "only_old_versions",
            Self::Unreferenced => "unreferenced",
            Self::UnnamedBlob => "unnamed_blob",
        }
    }
}

/// Files that stay although nothing refers to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leftover {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Leftover {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Versions of one chain that stay, with their reasons; the others go.
pub(super) type Kept = BTreeMap<Version, BTreeSet<KeepReason>>;

/// Decides about everything. `own` are versions that the running operation made.
#[must_use]
pub fn plan_cleanup(
    inventory: &CleanupInventory<'_>,
    own: &[PinnedVersion],
    policy: &Retention,
    now: DateTime<Utc>,
) -> CleanupPlan {
    let authority = inventory.authority;
    let mut floors = Floors::of(authority, own, inventory.running);
    for commit in ruled_commits(authority, policy, now) {
        floors.need_commit(authority, commit, &KeepReason::Commit(commit.id.clone()));
    }
    for commit in opened_commits(authority, policy, now) {
        floors.need_commit(authority, commit, &KeepReason::OpenedCommit(commit.id.clone()));
    }
    let surviving = Surviving::of(inventory, &floors, policy, now);
    for commit in &authority.commits {
        if let Some(pins) = &commit.pins
            && pins.iter().all(|pin| surviving.contains(pin))
        {
            floors.need_commit(authority, commit, &KeepReason::Commit(commit.id.clone()));
        }
    }
    let datasets: Vec<DatasetPlan> = inventory
        .datasets
        .iter()
        .map(|dataset| dataset::plan(dataset, authority, &floors, policy, now))
        .collect();
    CleanupPlan { datasets }
}

/// What the rules for tables and the floors leave, before commits that merely happen to
/// survive are counted.
struct Surviving {
    versions: BTreeSet<PinnedVersion>,
    /// Tables that decide whether a commit stays. Those that could not be looked at or are
    /// refused lose nothing, and must not cost others anything.
    voting: BTreeSet<String>,
}

impl Surviving {
    fn of(
        inventory: &CleanupInventory<'_>,
        floors: &Floors,
        policy: &Retention,
        now: DateTime<Utc>,
    ) -> Self {
        let authority = inventory.authority;
        let mut versions = BTreeSet::new();
        let mut voting = BTreeSet::new();
        for dataset in inventory.datasets.iter().copied() {
            // More floors to come only make more forks stay: what is refused now is then.
            let is_refused = dataset::is_refused(dataset, authority, floors, policy, now);
            if !is_refused {
                voting.insert(dataset.location.clone());
            }
            for chain in &dataset.chains {
                let key = key_of(dataset, chain);
                let kept = dataset::rules(dataset, chain, floors, policy, now);
                let kept =
                    kept.into_keys().chain(dataset::newest_of_dropped(dataset, chain, policy));
                versions.extend(kept.map(|version| PinnedVersion { chain: key.clone(), version }));
            }
        }
        Self { versions, voting }
    }

    fn contains(&self, pin: &PinnedVersion) -> bool {
        self.versions.contains(pin) || !self.voting.contains(&pin.chain.location)
    }
}

pub(super) fn key_of(dataset: &DatasetFacts, chain: &ChainFacts) -> ChainKey {
    ChainKey { location: dataset.location.clone(), branch: chain.branch.clone() }
}

/// When anything was last written below each chain's directory, its branch file included.
pub(super) fn last_writes(dataset: &DatasetFacts) -> Vec<DateTime<Utc>> {
    let mut written = vec![DateTime::<Utc>::MIN_UTC; dataset.chains.len()];
    for file in &dataset.files {
        if let Some(chain) = file.chain {
            let last = &mut written[chain as usize];
            *last = file.modified.max(*last);
        }
    }
    written
}

/// The commits that stop being readable when these plans are carried out: all of a plan's, or
/// those of them that were.
#[must_use]
pub fn lost_commits<'p>(
    authority: &Authority,
    datasets: impl IntoIterator<Item = &'p DatasetPlan>,
) -> Vec<LostCommit> {
    let removed: BTreeSet<PinnedVersion> = datasets
        .into_iter()
        .filter(|dataset| dataset.refused.is_none())
        .flat_map(|dataset| {
            dataset.removed.iter().map(|(branch, version)| PinnedVersion {
                chain: ChainKey { location: dataset.location.clone(), branch: branch.clone() },
                version: *version,
            })
        })
        .collect();
    let is_lost = |chain: ChainKey, version| removed.contains(&PinnedVersion { chain, version });
    authority
        .commits
        .iter()
        .filter(|commit| {
            let manifest =
                ChainKey { location: authority.manifest.clone(), branch: commit.branch.clone() };
            // What could not be read before is not lost now.
            commit.pins.as_ref().is_some_and(|pins| {
                is_lost(manifest, commit.manifest_version)
                    || pins.iter().any(|pin| removed.contains(pin))
            })
        })
        .map(|commit| LostCommit {
            id: commit.id.clone(),
            branch: commit.branch.clone(),
            manifest_version: commit.manifest_version,
        })
        .collect()
}
