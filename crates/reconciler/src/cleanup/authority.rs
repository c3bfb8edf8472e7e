//! What a graph's branches and commits need, and a stamp by which a change of that is noticed.

use std::collections::{BTreeMap, BTreeSet};

use lancekeeper_manifest::{
    BranchHistory, BranchRemains, Graph, GraphError, LiveBranch, OldSnapshots,
};
use lancekeeper_model::{Branch, ErrorKind, Snapshot, TableKey, Version};
use lancekeeper_planner::cleanup::{
    Authority, BranchFacts, ChainKey, CommitFacts, DatasetPlan, PinnedVersion, Role,
};
use lancekeeper_store::failpoint;
use lancekeeper_store::failure::full_text;
use lancekeeper_store::root::MANIFEST_DIR;

use crate::cleanup::dataset::{DatasetInventory, DatasetPlace};
use crate::cleanup::report::CleanupError;

/// The newest version of `__manifest` of every live branch: as long as it stays the same, so
/// does everything read from the branches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamp(BTreeMap<Branch, Option<Version>>);

impl Stamp {
    /// The same without a branch.
    #[must_use]
    pub fn without(mut self, branch: &Branch) -> Self {
        self.0.remove(branch);
        self
    }

    /// Whether a branch was there.
    #[must_use]
    pub fn has(&self, branch: &Branch) -> bool {
        self.0.contains_key(branch)
    }
}

/// What was read of a graph.
#[derive(Debug)]
pub struct AuthorityRead {
    /// What a plan needs. Pins of commits are filled in by [`AuthorityRead::read_commits`].
    pub authority: Authority,
    /// Every table any live branch has or had, with its role.
    pub tables: Vec<DatasetPlace>,
    /// Branches that cannot be read, with the reason.
    pub failures: Vec<(Branch, String)>,
    /// Branches whose file is gone, while what was published to them is there. They are among the branches of
    /// `authority`.
    pub lost: Vec<BranchRemains>,
    /// As the branches were when they were read.
    pub stamp: Stamp,
}

/// The branches as they are now.
///
/// # Errors
///
/// When they cannot be listed. One that cannot be read has no version.
pub async fn stamp(graph: &Graph) -> Result<Stamp, GraphError> {
    let mut heads = BTreeMap::new();
    for live in graph.live_branches().await? {
        let head = graph.head(&live.branch).await.ok();
        heads.insert(live.branch, head);
    }
    Ok(Stamp(heads))
}

/// The branches of a graph whose file is gone, while what was published to them is there. Not those that a
/// deletion of ours had begun to take away: all that is left of them is in `explained`, which are paths
/// relative to `__manifest`.
///
/// # Errors
///
/// When branches or directories cannot be listed.
pub async fn lost_branches(
    graph: &Graph,
    explained: &BTreeSet<String>,
) -> Result<Vec<BranchRemains>, GraphError> {
    let mut remains = graph.branch_remains().await?;
    remains.retain(|of| {
        of.hold_publishes() && !of.manifests.iter().all(|path| explained.contains(path))
    });
    Ok(remains)
}

/// Reads every live branch of a graph, and what is left of those whose file was lost. `explained` is as in
/// [`lost_branches`].
///
/// # Errors
///
/// When the branches cannot be listed. A single one that cannot be read is a failure in its
/// place.
pub async fn read_authority(
    graph: &Graph,
    explained: &BTreeSet<String>,
) -> Result<AuthorityRead, CleanupError> {
    let (manifest, holds_quarantine) = (MANIFEST_DIR.to_owned(), graph.holds_quarantine().await?);
    let mut read = AuthorityRead {
        authority: Authority { manifest, holds_quarantine, ..Authority::default() },
        tables: Vec::new(),
        failures: Vec::new(),
        // First: what changes while the branches are read is noticed later.
        stamp: stamp(graph).await?,
        lost: Vec::new(),
    };
    // By place: a table that went and came back under its name has the same one.
    let mut tables: BTreeMap<String, (TableKey, bool)> = BTreeMap::new();
    let mut commits = BTreeMap::new();
    let live = graph.live_branches().await?;
    // Second: a branch whose file goes in between is one that is read, or one that is lost.
    read.lost = lost_branches(graph, explained).await?;
    let live = live.into_iter().map(|LiveBranch { branch, parent, .. }| (branch, parent, false));
    let lost = read.lost.iter().map(|lost| (lost.branch.clone(), None, true));
    let branches: BTreeMap<Branch, (Option<Branch>, bool)> =
        lost.chain(live).map(|(branch, parent, is_lost)| (branch, (parent, is_lost))).collect();
    for (branch, (parent, is_lost)) in branches {
        let mut facts = BranchFacts {
            branch: branch.clone(),
            is_lost,
            parent,
            pins: Ok(Vec::new()),
            head_commit: None,
            commits: Vec::new(),
        };
        match resolve(graph, &branch).await {
            Ok(BranchHistory { snapshot, commits: history, tables: known }) => {
                facts.pins = Ok(pins_of(&snapshot));
                facts.commits = history.iter().map(|commit| commit.id.clone()).collect();
                facts.head_commit = facts.commits.first().cloned();
                commits.extend(history.into_iter().map(|commit| (commit.id.clone(), commit)));
                let live: BTreeSet<&str> =
                    snapshot.pins.iter().map(|pin| pin.location.as_str()).collect();
                for (key, location) in known {
                    let is_live = live.contains(location.as_str());
                    tables.entry(location).or_insert((key, false)).1 |= is_live;
                }
            }
            // One that cannot be read stops nothing but what it may read.
            Err(why) => {
                tracing::warn!(target: "lancekeeper::cleanup", %branch, error = %why, "a branch cannot be read");
                read.failures.push((branch, why.clone()));
                facts.pins = Err(why);
            }
        }
        read.authority.branches.push(facts);
    }
    read.authority.commits = commits
        .into_values()
        .map(|commit| CommitFacts {
            id: commit.id,
            branch: commit.branch,
            manifest_version: commit.manifest_version,
            parents: commit.parents,
            created_at: commit.created_at,
            pins: None,
        })
        .collect();
    let is_unsure = !read.failures.is_empty();
    read.tables = tables
        .into_iter()
        .map(|(location, (table, is_live))| {
            // A branch that cannot be read may have it.
            let role = if is_live || is_unsure { Role::Table } else { Role::Dropped };
            DatasetPlace { table, location, role }
        })
        .collect();
    Ok(read)
}

/// Whether a live branch reads a version now that a plan takes away: somebody who has a table for
/// a while may let a branch read any version of it. Of branches that are as they were `seen` that
/// is not asked again; then it is what was seen now.
pub(super) async fn reads_what_goes(
    graph: &Graph,
    plan: &DatasetPlan,
    seen: &mut Stamp,
) -> Result<bool, CleanupError> {
    // First: what moves while the branches are read is another branch the next time.
    let now = stamp(graph).await?;
    let goes: BTreeSet<&(Branch, Version)> = plan.removed.iter().collect();
    for (branch, head) in &now.0 {
        if head.is_some() && seen.0.get(branch) == Some(head) {
            continue;
        }
        // One that cannot be read may read any.
        let Ok(snapshot) = graph.snapshot(branch).await else { return Ok(true) };
        let mut own = snapshot.pins.iter().filter(|pin| pin.location == plan.location);
        if own.any(|pin| goes.contains(&(pin.table_branch.clone(), pin.version))) {
            return Ok(true);
        }
    }
    *seen = now;
    Ok(false)
}

/// Reads one branch; the error says why it cannot be read.
async fn resolve(graph: &Graph, branch: &Branch) -> Result<BranchHistory, String> {
    let crossed = failpoint::cross_async(failpoint::CLEANUP_RESOLVE_BRANCH).await;
    crossed.map_err(|injected| full_text(&injected))?;
    graph.history(branch).await.map_err(|error| full_text(&error))
}

impl AuthorityRead {
    /// Takes over what an earlier read learned of commits: they never change.
    pub fn adopt_commits(&mut self, earlier: &Self) {
        let known: BTreeMap<&str, &CommitFacts> =
            earlier.authority.commits.iter().map(|commit| (commit.id.as_str(), commit)).collect();
        for commit in &mut self.authority.commits {
            if let Some(known) = known.get(commit.id.as_str()) {
                commit.pins.clone_from(&known.pins);
            }
        }
    }

    /// Reads what each commit pins, as far as its version of `__manifest` exists.
    ///
    /// # Errors
    ///
    /// When a version that exists cannot be read now: what it needs is not known. One that is
    /// damaged is as if it did not exist.
    pub async fn read_commits(
        &mut self,
        graph: &Graph,
        manifest: &DatasetInventory,
    ) -> Result<(), CleanupError> {
        let existing: BTreeSet<(&Branch, Version)> = manifest
            .facts
            .chains
            .iter()
            .filter(|chain| !chain.is_zombie || self.authority.is_lost(&chain.branch))
            .flat_map(|chain| chain.versions.iter().map(|v| (&chain.branch, v.version)))
            .collect();
        let wanted = self.authority.commits.iter_mut().filter(|commit| {
            commit.pins.is_none() && existing.contains(&(&commit.branch, commit.manifest_version))
        });
        let mut wanted: Vec<&mut CommitFacts> = wanted.collect();
        // Neighbours have nearly the same fragments.
        wanted
            .sort_by(|a, b| (&a.branch, a.manifest_version).cmp(&(&b.branch, b.manifest_version)));
        let mut snapshots = OldSnapshots::of(graph);
        for commit in wanted {
            match snapshots.at(&commit.branch, commit.manifest_version).await {
                Ok(snapshot) => commit.pins = Some(pins_of(&snapshot)),
                // Broken before us: there is nothing left of it to keep.
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::warn!(target: "lancekeeper::cleanup", commit = %commit.id, %error, "a commit cannot be read");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn pins_of(snapshot: &Snapshot) -> Vec<PinnedVersion> {
    snapshot
        .pins
        .iter()
        .map(|pin| PinnedVersion {
            chain: ChainKey { location: pin.location.clone(), branch: pin.table_branch.clone() },
            version: pin.version,
        })
        .collect()
}
