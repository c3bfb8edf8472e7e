//! Which versions a cleanup must keep, said once more from the words of the design, of what the
//! steps of a history did. No code is shared with the plan.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper::CleanupOptions;
use lancekeeper_testkit::writer::{Entry, MANIFEST};

use super::model::{Chain, CommitModel, Litter, MAIN, Model, Place};

/// What must be true after a cleanup.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict {
    /// Versions that stay.
    pub(super) kept: BTreeSet<Place>,
    /// Those of them that stay whatever the rules say.
    pub(super) floors: BTreeSet<Place>,
    /// Versions that go.
    pub(super) removed: BTreeSet<Place>,
    /// Forks, and directories of forks without a branch file, that go as a whole.
    pub(super) gone: BTreeSet<(String, String)>,
    /// Those about which nothing is decided: not even litter goes.
    pub(super) left_alone: BTreeSet<(String, String)>,
    /// Tables of which nothing goes, because somebody committed to them without publishing.
    pub(super) refused: BTreeSet<String>,
    /// Tables that no branch has any more, with the version without rows that comes on top.
    pub(super) emptied: BTreeMap<String, u64>,
    /// Commits that could be read before, as far as their own files go.
    pub(super) lost: BTreeSet<String>,
}

impl Verdict {
    /// The versions that are there afterwards.
    pub(super) fn existing(&self) -> BTreeSet<Place> {
        let emptied = self.emptied.iter();
        let empty = emptied.map(|(at, version)| (at.clone(), MAIN.to_owned(), *version));
        empty.chain(self.kept.iter().cloned()).collect()
    }

    /// Whether a file that no version refers to stays.
    pub(super) fn keeps_litter(
        &self,
        location: &str,
        litter: &Litter,
        options: &CleanupOptions,
    ) -> bool {
        let at = (location.to_owned(), litter.branch.clone());
        let is_young = !litter.is_old && options.min_age > TimeDelta::zero();
        let is_left = self.left_alone.contains(&at) || self.refused.contains(location);
        !self.gone.contains(&at) && (is_young || is_left)
    }
}

/// One question: what is there, what was asked, and when.
pub(super) struct Case<'a> {
    pub(super) model: &'a Model,
    pub(super) options: &'a CleanupOptions,
    pub(super) now: DateTime<Utc>,
    /// Chains all of whose files an earlier cleanup had listed and did not get to.
    pub(super) listed: BTreeSet<(String, String)>,
}

impl Case<'_> {
    pub(super) fn verdict(&self) -> Verdict {
        let lasting = self.needed(&self.lasting_commits());
        let ruled: BTreeSet<&str> = &self.lasting_commits() | &self.ruled_commits();
        let by_rule = self.needed(&ruled);
        let refused = self.refused();
        let surviving = &by_rule | &self.surviving();
        let voting = &surviving | &self.newest_of_dropped();
        let retained: BTreeSet<&str> = &ruled | &self.retained_commits(&voting, &refused);
        let needed = self.needed(&retained);
        let mut gone = self.gone(&needed);
        gone.retain(|(location, _)| !refused.contains(location));
        let left_alone = self.left_alone(&lasting, &gone);
        let mut verdict = Verdict::default();
        for (location, dataset) in &self.model.datasets {
            for (branch, chain) in dataset.chains.iter().filter(|(_, chain)| !chain.is_zombie) {
                let at = (location.clone(), branch.clone());
                for version in chain.versions.keys() {
                    let place = (location.clone(), branch.clone(), *version);
                    let is_floor = lasting.contains(&place)
                        || self.stays_as_head(&place, chain)
                        || self.is_tagged(&place)
                        || self.is_cut_from(&place, &gone)
                        || refused.contains(location);
                    let is_kept = is_floor
                        || needed.contains(&place)
                        || surviving.contains(&place)
                        || left_alone.contains(&at);
                    if gone.contains(&at) || !is_kept {
                        if branch == MAIN && is_newest(chain, *version) {
                            verdict.emptied.insert(location.clone(), version + 1);
                        }
                        verdict.removed.insert(place);
                        continue;
                    }
                    if is_floor {
                        verdict.floors.insert(place.clone());
                    }
                    verdict.kept.insert(place);
                }
            }
        }
        verdict.lost = self.lost(&verdict.removed);
        (verdict.gone, verdict.left_alone, verdict.refused) = (gone, left_alone, refused);
        verdict
    }

    fn commits(&self) -> impl Iterator<Item = &CommitModel> {
        let visible = self.model.visible();
        self.model.commits.values().filter(move |commit| visible.contains(commit.of.id.as_str()))
    }

    fn commit(&self, id: &str) -> Option<&CommitModel> {
        self.commits().find(|commit| commit.of.id == id)
    }

    /// A commit and all before it.
    fn history(&self, id: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&CommitModel> = self.commit(id).into_iter().collect();
        while let Some(commit) = open.pop() {
            if found.insert(commit.of.id.as_str()) {
                open.extend(commit.of.parents.iter().filter_map(|parent| self.commit(parent)));
            }
        }
        found
    }

    /// The heads of live branches, and what every pair of them was last merged at.
    fn lasting_commits(&self) -> BTreeSet<&str> {
        let heads: Vec<&str> = self
            .model
            .branches
            .values()
            .filter_map(|branch| branch.commits.first().map(String::as_str))
            .collect();
        let mut named: BTreeSet<&str> = heads.iter().copied().collect();
        for one in &heads {
            for other in &heads {
                let common = &self.history(one) & &self.history(other);
                let is_best = |base: &&&str| {
                    common
                        .iter()
                        .all(|other| other == *base || !self.history(other).contains(**base))
                };
                named.extend(common.iter().filter(is_best).copied());
            }
        }
        let branches = || self.model.branches.iter();
        for (one, of_one) in branches() {
            for (_, of_other) in branches().filter(|(other, _)| *other != one) {
                named.extend(self.nearest(&of_one.commits, &of_other.commits));
            }
        }
        named
    }

    /// What a client merges two branches from: a commit that it reaches from both heads in the fewest steps,
    /// by rows of either.
    fn nearest(&self, one: &[String], other: &[String]) -> Vec<&str> {
        let is_row = |id: &&str| one.iter().chain(other).any(|row| row == id);
        let steps_from = |head: Option<&String>| {
            let mut steps: BTreeMap<&str, usize> = BTreeMap::new();
            let mut layer: BTreeSet<&str> =
                head.and_then(|head| self.commit(head)).iter().map(|c| c.of.id.as_str()).collect();
            for number in 0.. {
                layer.retain(|id| !steps.contains_key(id));
                if layer.is_empty() {
                    break;
                }
                steps.extend(layer.iter().map(|id| (*id, number)));
                let commits = layer.iter().filter_map(|id| self.commit(id));
                let parents = commits.flat_map(|commit| &commit.of.parents).map(String::as_str);
                layer = parents.filter(is_row).collect();
            }
            steps
        };
        let (of_one, of_other) = (steps_from(one.first()), steps_from(other.first()));
        let sum = |id: &str| Some(of_one.get(id)? + of_other.get(id)?);
        let fewest = of_one.keys().filter_map(|id| sum(id)).min();
        of_one.keys().copied().filter(|id| fewest.is_some() && sum(id) == fewest).collect()
    }

    /// What rules about commits name.
    fn ruled_commits(&self) -> BTreeSet<&str> {
        let last = usize::try_from(self.options.keep_last.unwrap_or(0)).unwrap_or(usize::MAX);
        let branches = self.model.branches.values();
        let newest = branches.flat_map(|branch| branch.commits.iter().take(last));
        let mut named: BTreeSet<&str> = newest.map(String::as_str).collect();
        if let Some(within) = self.options.keep_within {
            let young = self.commits().filter(|commit| self.now - commit.of.created_at < within);
            named.extend(young.map(|commit| commit.of.id.as_str()));
        }
        if self.options.writer_window > TimeDelta::zero() {
            // Whatever was a branch's newest since the window began.
            let window = self.options.writer_window;
            for branch in self.model.branches.values() {
                let commits = branch.commits.iter().filter_map(|id| self.commit(id));
                let ids: Vec<(&str, bool)> = commits
                    .map(|c| (c.of.id.as_str(), self.now - c.of.created_at < window))
                    .collect();
                let old = ids.iter().position(|(_, young)| !young).unwrap_or(ids.len());
                named.extend(ids.into_iter().take(old + 1).map(|(id, _)| id));
            }
        }
        named
    }

    /// Commits all of whose versions stay anyway. Tables of which nothing goes have no say.
    fn retained_commits(
        &self,
        surviving: &BTreeSet<Place>,
        refused: &BTreeSet<String>,
    ) -> BTreeSet<&str> {
        let commits = self.commits().filter(|commit| {
            self.model.is_listed(commit)
                && commit.pins.values().all(|pin| {
                    let stays =
                        || self.model.rows_at(pin).is_some() && surviving.contains(&place_of(pin));
                    refused.contains(&pin.location) || stays()
                })
        });
        commits.map(|commit| commit.of.id.as_str()).collect()
    }

    /// What live branches read, and what these commits need.
    fn needed(&self, commits: &BTreeSet<&str>) -> BTreeSet<Place> {
        let branches = self.model.branches.values();
        let mut needed: BTreeSet<Place> =
            branches.flat_map(|branch| branch.pins.values().map(place_of)).collect();
        for commit in commits.iter().filter_map(|id| self.commit(id)) {
            let manifest = MANIFEST.to_owned();
            needed.insert((manifest, commit.of.branch.clone(), commit.of.manifest_version));
            // What it pinned is not known any more once its version is gone.
            if self.model.is_listed(commit) {
                needed.extend(commit.pins.values().map(place_of));
            }
        }
        needed
    }

    /// Tables that live branches have, and whose newest version on a branch's own chain is not
    /// what that branch reads.
    fn refused(&self) -> BTreeSet<String> {
        let branches = self.model.branches.iter();
        branches
            .flat_map(|(name, branch)| branch.pins.values().map(move |pin| (name, pin)))
            .filter(|(name, pin)| self.model.drifts(name, pin))
            .map(|(_, pin)| pin.location.clone())
            .collect()
    }

    /// Whether no live branch has a table any more.
    fn is_dropped(&self, location: &str) -> bool {
        location != MANIFEST
            && self
                .model
                .branches
                .values()
                .all(|branch| branch.pins.values().all(|pin| pin.location != location))
    }

    /// What the rules about versions leave, whatever anybody reads.
    fn surviving(&self) -> BTreeSet<Place> {
        let mut surviving = BTreeSet::new();
        for (location, dataset) in &self.model.datasets {
            for (branch, chain) in dataset.chains.iter().filter(|(_, chain)| !chain.is_zombie) {
                for (version, facts) in &chain.versions {
                    let place = (location.clone(), branch.clone(), *version);
                    let is_younger = |than: TimeDelta| self.now - facts.committed_at < than;
                    let newer = chain.versions.range(version + 1..).count() as u64;
                    let policy = &self.options.policy;
                    let is_counted =
                        policy.keep_versions.is_some_and(|keep| newer < u64::from(keep));
                    if self.stays_as_head(&place, chain)
                        || self.is_tagged(&place)
                        || is_younger(self.options.writer_window)
                        || policy
                            .older_than
                            .is_some_and(|age| TimeDelta::from_std(age).is_ok_and(is_younger))
                        || is_counted && !self.is_dropped(location)
                    {
                        surviving.insert(place);
                    }
                }
            }
        }
        surviving
    }

    /// The newest version stays; that of a dropped table's main only once it has no rows.
    fn stays_as_head(&self, (location, branch, version): &Place, chain: &Chain) -> bool {
        let is_replaced = branch == MAIN
            && self.is_dropped(location)
            && !chain.versions.get(version).is_some_and(|facts| facts.is_empty);
        is_newest(chain, *version) && !is_replaced
    }

    /// What the rule about numbers would keep of dropped tables, if the drop were their newest
    /// version. It keeps nothing there; it says which commits may.
    fn newest_of_dropped(&self) -> BTreeSet<Place> {
        let count = self.options.policy.keep_versions.unwrap_or(0);
        let datasets = self.model.datasets.iter().filter(|(at, _)| self.is_dropped(at));
        let chains = datasets.flat_map(|(location, dataset)| {
            let chains = dataset.chains.iter().filter(|(_, chain)| !chain.is_zombie);
            chains.map(move |(branch, chain)| (location, branch, chain))
        });
        chains
            .flat_map(|(location, branch, chain)| {
                let head = chain.versions.values().next_back();
                let is_dropped_by_name = branch == MAIN && head.is_some_and(|head| !head.is_empty);
                let count = count.saturating_sub(u32::from(is_dropped_by_name));
                let newest = chain.versions.keys().rev().take(usize::try_from(count).unwrap_or(0));
                newest.map(|version| (location.clone(), branch.clone(), *version))
            })
            .collect()
    }

    fn is_tagged(&self, (location, branch, version): &Place) -> bool {
        let mut tags = self.model.dataset(location).tags.values();
        tags.any(|tag| *tag == (branch.clone(), *version))
    }

    /// Whether a fork that stays was cut from a version.
    fn is_cut_from(
        &self,
        (location, branch, version): &Place,
        gone: &BTreeSet<(String, String)>,
    ) -> bool {
        self.model.dataset(location).chains.iter().any(|(fork, chain)| {
            !chain.is_zombie
                && !gone.contains(&(location.clone(), fork.clone()))
                && chain.cut_from.as_ref().is_some_and(|from| *from == (branch.clone(), *version))
        })
    }

    /// How long a fork that nobody reads is left alone: nothing here is older than a history.
    fn forks_are_young(&self) -> bool {
        self.options.min_fork_age.max(self.options.writer_window) > TimeDelta::zero()
    }

    /// Forks that nobody reads, without those that others were cut from.
    fn gone(&self, needed: &BTreeSet<Place>) -> BTreeSet<(String, String)> {
        let mut gone = BTreeSet::new();
        for (location, dataset) in &self.model.datasets {
            for (branch, chain) in &dataset.chains {
                let at = (location.clone(), branch.clone());
                if self.is_unread(&at, chain, needed) && self.may_go(&at, chain) {
                    gone.insert(at);
                }
            }
        }
        // Until nothing that goes has a child that stays.
        loop {
            let parents: BTreeSet<(String, String)> = self
                .model
                .datasets
                .iter()
                .flat_map(|(location, dataset)| {
                    dataset.chains.iter().map(move |(branch, chain)| (location, branch, chain))
                })
                .filter(|(location, branch, chain)| {
                    !chain.is_zombie && !gone.contains(&((*location).clone(), (*branch).clone()))
                })
                .filter_map(|(location, _, chain)| {
                    Some((location.clone(), chain.cut_from.as_ref()?.0.clone()))
                })
                .collect();
            let before = gone.len();
            gone.retain(|chain| !parents.contains(chain));
            if gone.len() == before {
                return gone;
            }
        }
    }

    fn is_unread(&self, at: &(String, String), chain: &Chain, needed: &BTreeSet<Place>) -> bool {
        let (location, branch) = at;
        let is_candidate = branch != "main" && (chain.is_zombie || location != MANIFEST);
        let tags = &self.model.dataset(location).tags;
        is_candidate
            && !needed.iter().any(|(l, b, _)| l == location && b == branch)
            && tags.values().all(|(of, _)| of != branch)
    }

    /// Whether a fork that nobody reads is old enough. An earlier cleanup's word is enough for
    /// what is left of one.
    fn may_go(&self, at: &(String, String), chain: &Chain) -> bool {
        if !chain.is_zombie {
            return !self.forks_are_young();
        }
        let is_young = self.forks_are_young() || self.options.min_age > TimeDelta::zero();
        self.listed.contains(at) || !is_young
    }

    /// Forks that nothing lasting needs, and that stay only because they are young or others
    /// were cut from them; and directories that may yet become branches.
    fn left_alone(
        &self,
        lasting: &BTreeSet<Place>,
        gone: &BTreeSet<(String, String)>,
    ) -> BTreeSet<(String, String)> {
        let mut left = BTreeSet::new();
        for (location, dataset) in &self.model.datasets {
            for (branch, chain) in &dataset.chains {
                let at = (location.clone(), branch.clone());
                let is_young = chain.is_zombie || self.forks_are_young();
                if is_young && self.is_unread(&at, chain, lasting) && !gone.contains(&at) {
                    left.insert(at);
                }
            }
        }
        left
    }

    /// Commits that could be read, as far as the graph's own history goes, and lose a version.
    fn lost(&self, removed: &BTreeSet<Place>) -> BTreeSet<String> {
        let commits = self.commits().filter(|commit| self.model.is_listed(commit));
        commits
            .filter(|commit| {
                let manifest =
                    (MANIFEST.to_owned(), commit.of.branch.clone(), commit.of.manifest_version);
                removed.contains(&manifest)
                    || commit.pins.values().any(|pin| removed.contains(&place_of(pin)))
            })
            .map(|commit| commit.of.id.clone())
            .collect()
    }
}

fn is_newest(chain: &Chain, version: u64) -> bool {
    chain.versions.keys().next_back() == Some(&version)
}

fn place_of(pin: &Entry) -> Place {
    (pin.location.clone(), pin.branch.clone(), pin.version)
}
