//! The floors: versions that something still needs, whatever the rules say. One set, computed
//! here, for garbage collection and for forks alike.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, Version};

use super::authority::{Authority, BranchFacts, CommitFacts, PinnedVersion};
use super::chain::ChainKey;
use super::history::merge_bases;
use super::policy::Retention;
use super::reason::KeepReason;
use super::running::Running;

/// What is needed of one chain.
pub(super) type Needed = BTreeMap<Version, BTreeSet<KeepReason>>;

/// Versions that authorities need.
#[derive(Debug, Default)]
pub(super) struct Floors {
    needed: BTreeMap<ChainKey, Needed>,
    /// Chains that something needs under any policy.
    lasting: BTreeSet<ChainKey>,
    /// Branches of tables that an unreadable branch of the graph may read, with that branch.
    blocked: BTreeMap<Branch, Branch>,
    /// An unreadable branch whose descent is not known: it may read any branch of tables.
    blocked_all: Option<Branch>,
    /// What runs that are under way need.
    running: Running,
    /// The first version that such a run stages at, of each chain that one does.
    staged_from: BTreeMap<ChainKey, Version>,
}

impl Floors {
    /// What live branches read, what merging them needs, what the running operation made, and what other
    /// runs that are under way need.
    pub(super) fn of(authority: &Authority, own: &[PinnedVersion], running: &Running) -> Self {
        let mut floors = Self { running: running.clone(), ..Self::default() };
        for stage in &running.stages {
            floors.need(stage, KeepReason::Staging);
            let from = floors.staged_from.entry(stage.chain.clone()).or_insert(stage.version);
            *from = stage.version.min(*from);
        }
        for pin in own {
            floors.need(pin, KeepReason::ThisRun);
        }
        for branch in &authority.branches {
            match &branch.pins {
                Ok(pins) => {
                    for pin in pins {
                        floors.need(pin, KeepReason::PinnedBy(branch.branch.clone()));
                    }
                }
                Err(_) => floors.block(authority, branch),
            }
            // The next merge makes it a merge base.
            let head = authority.commits.iter().filter(|commit| {
                branch.head_commit.as_ref().is_some_and(|head| *head == commit.id)
            });
            for commit in head {
                let reason = KeepReason::Commit(commit.id.clone());
                floors.need_commit(authority, commit, &reason);
            }
        }
        for (id, one, other) in merge_bases(authority) {
            if let Some(commit) = authority.commits.iter().find(|commit| commit.id == id) {
                floors.need_commit(authority, commit, &KeepReason::MergeBase(one, other));
            }
        }
        floors.lasting = floors.needed.keys().cloned().collect();
        floors
    }

    /// Whether something needs a chain whatever the policy.
    pub(super) fn is_lasting(&self, chain: &ChainKey) -> bool {
        self.lasting.contains(chain)
    }

    /// What runs that are under way need.
    pub(super) fn running(&self) -> &Running {
        &self.running
    }

    /// From which version on everything of a chain stays for runs that are under way.
    pub(super) fn staged_from(&self, chain: &ChainKey) -> Option<Version> {
        self.staged_from.get(chain).copied()
    }

    /// Versions needed of chains of a dataset, chain by chain.
    pub(super) fn of_dataset<'a>(
        &'a self,
        location: &'a str,
    ) -> impl Iterator<Item = (&'a Branch, &'a Needed)> {
        let needed = self.needed.iter().filter(move |(chain, _)| chain.location == location);
        needed.map(|(chain, needed)| (&chain.branch, needed))
    }

    /// What is needed of a chain.
    pub(super) fn of_chain(&self, chain: &ChainKey) -> Option<&Needed> {
        self.needed.get(chain)
    }

    /// The unreadable branch that may read any version of this Lance branch.
    pub(super) fn blocked_by(&self, branch: &Branch) -> Option<&Branch> {
        self.blocked.get(branch).or(self.blocked_all.as_ref())
    }

    pub(super) fn need(&mut self, pin: &PinnedVersion, reason: KeepReason) {
        let versions = self.needed.entry(pin.chain.clone()).or_default();
        versions.entry(pin.version).or_default().insert(reason);
    }

    /// Keeps a commit readable: its version of `__manifest` and every version it pins.
    pub(super) fn need_commit(
        &mut self,
        authority: &Authority,
        commit: &CommitFacts,
        reason: &KeepReason,
    ) {
        let chain =
            ChainKey { location: authority.manifest.clone(), branch: commit.branch.clone() };
        self.need(&PinnedVersion { chain, version: commit.manifest_version }, reason.clone());
        for pin in commit.pins.iter().flatten() {
            self.need(pin, reason.clone());
        }
    }

    /// A table's entries on a branch lie on main, on the branch itself or on a branch it
    /// descends from; so does `__manifest` of its history.
    fn block(&mut self, authority: &Authority, unreadable: &BranchFacts) {
        self.blocked.insert(Branch::main(), unreadable.branch.clone());
        if unreadable.is_lost {
            self.blocked_all = Some(unreadable.branch.clone());
        }
        let mut next = Some(unreadable.branch.clone());
        while let Some(branch) = next {
            if self.blocked.insert(branch.clone(), unreadable.branch.clone()).is_some()
                && !branch.is_main()
            {
                break;
            }
            let known = authority.branches.iter().find(|facts| facts.branch == branch);
            if known.is_none() {
                self.blocked_all = Some(unreadable.branch.clone());
            }
            next = known.and_then(|facts| facts.parent.clone());
        }
    }
}

/// The commits that a writer may have opened within the writer window: those made in it, and of each branch
/// the one that was the newest when it began. Whoever opened one may publish what it pins again, as by
/// cutting a branch from it or by merging it, and looks at no table before that.
pub(super) fn opened_commits<'a>(
    authority: &'a Authority,
    policy: &Retention,
    now: DateTime<Utc>,
) -> Vec<&'a CommitFacts> {
    let by_id: BTreeMap<&str, &CommitFacts> =
        authority.commits.iter().map(|commit| (commit.id.as_str(), commit)).collect();
    let mut opened = BTreeMap::new();
    if policy.writer_window.is_zero() {
        return Vec::new();
    }
    for branch in &authority.branches {
        for commit in branch.commits.iter().filter_map(|id| by_id.get(id.as_str())) {
            // Heads are needed whatever the window.
            if branch.head_commit.as_ref() != Some(&commit.id) {
                opened.insert(commit.id.as_str(), *commit);
            }
            if now - commit.created_at >= policy.writer_window {
                break;
            }
        }
    }
    opened.into_values().collect()
}

/// The commits that a graph-wide rule names.
pub(super) fn ruled_commits<'a>(
    authority: &'a Authority,
    policy: &Retention,
    now: DateTime<Utc>,
) -> Vec<&'a CommitFacts> {
    let newest: BTreeSet<&str> = authority
        .branches
        .iter()
        .flat_map(|branch| {
            let count = policy.keep_last.unwrap_or(0);
            branch.commits.iter().take(usize::try_from(count).unwrap_or(usize::MAX))
        })
        .map(String::as_str)
        .collect();
    let is_young = |commit: &&CommitFacts| {
        policy.keep_within.is_some_and(|within| now - commit.created_at < within)
    };
    authority
        .commits
        .iter()
        .filter(|commit| newest.contains(commit.id.as_str()) || is_young(commit))
        .collect()
}
