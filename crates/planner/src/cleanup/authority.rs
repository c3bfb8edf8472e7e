//! What the branches and commits of a graph say they need.

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, Version};

use super::chain::ChainKey;

/// What a graph's authorities need. Empty for databases and tables.
#[derive(Debug, Clone, Default)]
pub struct Authority {
    /// Every live branch, main included, internal ones too; and those that are lost.
    pub branches: Vec<BranchFacts>,
    /// Every commit that some live branch has in its history.
    pub commits: Vec<CommitFacts>,
    /// Where `__manifest` lies, relative to the root.
    pub manifest: String,
    /// A branch of the graph that is being deleted, or that was: it is none of `branches`, and
    /// what is left under its name is all that may go. `None` in a cleanup.
    pub retired: Option<Branch>,
    /// Whether a sidecar lies in quarantine: what its writer committed is not known, and a fork that its branch does
    /// not read yet may hold the only copy.
    pub holds_quarantine: bool,
}

impl Authority {
    /// Whether a fork of a dataset may be what a sidecar in quarantine is about: the branch of its name is there, and
    /// reads the table where it was cut from.
    #[must_use]
    pub fn may_be_set_aside(&self, dataset: &str, fork: &Branch) -> bool {
        let is_unread = |facts: &BranchFacts| {
            let mut pins = facts.pins.iter().flatten().filter(|pin| pin.chain.location == dataset);
            pins.any(|pin| pin.chain.branch != *fork)
        };
        let mut branches = self.branches.iter().filter(|facts| facts.branch == *fork);
        self.holds_quarantine && self.retired.is_none() && branches.any(is_unread)
    }

    /// Whether a branch is none because its file is gone, and something was published there.
    #[must_use]
    pub fn is_lost(&self, branch: &Branch) -> bool {
        self.branches.iter().any(|facts| facts.is_lost && facts.branch == *branch)
    }
}

/// One branch of a graph.
#[derive(Debug, Clone)]
pub struct BranchFacts {
    /// The branch.
    pub branch: Branch,
    /// Whether the file is gone that made it a branch, while versions are there that were published to it. It
    /// needs what it would need with that file: whoever restores the file has the branch again.
    pub is_lost: bool,
    /// The branch it was cut from; `None` for main, and for one that is lost: its file said so.
    pub parent: Option<Branch>,
    /// What its readers see now, or why that cannot be read.
    pub pins: Result<Vec<PinnedVersion>, String>,
    /// Its newest commit, if it has any.
    pub head_commit: Option<String>,
    /// The commits in its history, newest first.
    pub commits: Vec<String>,
}

/// One version of one table that a branch or a commit reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinnedVersion {
    /// The table's chain.
    pub chain: ChainKey,
    /// The version on it.
    pub version: Version,
}

/// One commit.
#[derive(Debug, Clone)]
pub struct CommitFacts {
    /// Its id.
    pub id: String,
    /// The branch whose `__manifest` it is a version of.
    pub branch: Branch,
    /// That version.
    pub manifest_version: Version,
    /// Its parents, the merged one included.
    pub parents: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// What it pins; `None` when it cannot be read any more.
    pub pins: Option<Vec<PinnedVersion>>,
}
