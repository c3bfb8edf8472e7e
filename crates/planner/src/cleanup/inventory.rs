//! What was found on disk: every file of every dataset, once, and what each version refers to.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, TableKey, Version};

use super::authority::Authority;
use super::running::Running;

/// A file of a dataset: its place in [`DatasetFacts::files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// Files that versions refer to as one: a data file, an index segment. Or a set of such, see
/// [`DatasetFacts::sets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(pub u32);

/// Everything [`super::plan_cleanup`] reads.
#[derive(Debug, Clone)]
pub struct CleanupInventory<'a> {
    /// What a graph's branches and commits need; empty for databases and tables.
    pub authority: &'a Authority,
    /// What runs that are under way need.
    pub running: &'a Running,
    /// The datasets, each listed once.
    pub datasets: Vec<&'a DatasetFacts>,
}

/// What a dataset is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A table of a graph that some live branch has.
    Table,
    /// A table of a graph that no live branch has any more.
    Dropped,
    /// `__manifest`: its branches are the graph's.
    Manifest,
    /// A v3 graph's commit history, with a branch per graph branch.
    Commits,
    /// A table of a database, or a single one: its own authority.
    Plain,
    /// No dataset: what lies in the root beside them. Only litter of it ever goes.
    Root,
}

/// One dataset: a directory with versions.
#[derive(Debug, Clone)]
pub struct DatasetFacts {
    /// What it is called in reports.
    pub table: TableKey,
    /// Where it lies, relative to the root.
    pub location: String,
    /// What it is for.
    pub role: Role,
    /// Every file below it, in listing order.
    pub files: Vec<FileFacts>,
    /// How many units there are, sets included.
    pub units: u32,
    /// Units without files of their own, each with those it stands for: what the blob
    /// descriptors of one fragment name. A version has as many of them as fragments, where it
    /// may have millions of blobs.
    pub sets: BTreeMap<UnitId, Vec<UnitId>>,
    /// Main first, then every Lance branch, then branch directories without a branch file.
    pub chains: Vec<ChainFacts>,
    /// Units that other datasets of the root refer to, or versions that are on no chain.
    pub held: Vec<UnitId>,
    /// Why nothing of it may go, whatever the plan says: somebody may read it who could not be asked.
    pub unsure: Option<String>,
    /// Why no file of blobs of it may go: somebody's descriptors could not be read, and may name
    /// any of them.
    pub blobs_unread: Option<String>,
    /// What of it is left alone because it is of a kind that is not known, and other things to
    /// know.
    pub warnings: Vec<String>,
    /// Forks that could not be deleted in this run: they are left alone.
    pub stuck: BTreeSet<Branch>,
    /// Files that an earlier cleanup had decided to delete and did not get to. Units among them
    /// were explained then, and are deleted now if nothing refers to them. Manifests and branch
    /// files are judged anew: their names come back when a branch is made again.
    pub explained: Vec<FileId>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Relative to the dataset.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last written, by the store's clock.
    pub modified: DateTime<Utc>,
    /// What it is.
    pub class: FileClass,
    /// The chain whose directory it lies in: its place in [`DatasetFacts::chains`].
    pub chain: Option<u32>,
}

impl FileClass {
    /// The units that keep a file when something needs them: any of these is enough.
    pub fn units(self) -> impl Iterator<Item = UnitId> {
        let (one, other) = match self {
            Self::Part(unit) => (Some(unit), None),
            Self::Blob { own, beside } => (Some(own), beside),
            _ => (None, None),
        };
        one.into_iter().chain(other)
    }
}

/// What a file is to the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileClass {
    /// The manifest of a version.
    Manifest,
    /// A part of versions.
    Part(UnitId),
    /// A file of blobs.
    Blob {
        /// What descriptors name it by.
        own: UnitId,
        /// The data file in whose directory it lies.
        beside: Option<UnitId>,
    },
    /// A temporary that nothing ever refers to.
    Litter,
    /// The hint at the newest version: goes with its chain.
    Hint,
    /// The file that makes a Lance branch exist: goes with its chain.
    BranchFile,
    /// Never deleted.
    Untouchable,
}

/// One chain of versions of a dataset.
#[derive(Debug, Clone)]
pub struct ChainFacts {
    /// Main, or the Lance branch.
    pub branch: Branch,
    /// What makes it a branch; `None` for main.
    pub fork: Option<ForkFacts>,
    /// A directory of a branch that has no branch file: its creation or its deletion died.
    pub is_zombie: bool,
    /// Existing versions, ascending.
    pub versions: Vec<VersionFacts>,
}

/// Where a Lance branch comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkFacts {
    /// The Lance branch it was cut from.
    pub parent: Branch,
    /// At which version of it.
    pub parent_version: Version,
    /// Its branch file.
    pub file: FileId,
}

/// One existing version.
#[derive(Debug, Clone)]
pub struct VersionFacts {
    /// The version.
    pub version: Version,
    /// When it was committed, by its writer's clock.
    pub committed_at: DateTime<Utc>,
    /// Its manifest.
    pub manifest: FileId,
    /// How many fragments it has: none, and it holds no rows.
    pub fragments: u64,
    /// What it refers to inside this dataset and was listed.
    pub refs: Vec<UnitId>,
    /// What it refers to inside this dataset and was not listed: the first such path, and
    /// how many there are.
    pub missing: Option<(String, u64)>,
    /// Tags on it.
    pub tags: Vec<String>,
}
