//! What cleanup should decide, said once more from the words of the design: plain sets,
//! nothing clever, and no code shared with the plan.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_model::{Branch, Version};

use super::super::tests::{World, now};
use super::super::*;

/// Dataset, Lance branch, version.
pub(super) type Place = (String, Branch, Version);

/// What the model decides.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) kept: BTreeSet<Place>,
    pub(super) removed: BTreeSet<Place>,
    /// Dataset and path.
    pub(super) deleted: BTreeSet<(String, String)>,
}

pub(super) struct Model<'a> {
    world: &'a World,
    policy: &'a Retention,
}

type Chains<'a> = BTreeSet<(String, &'a Branch)>;

impl<'a> Model<'a> {
    pub(super) fn new(world: &'a World, policy: &'a Retention) -> Self {
        Self { world, policy }
    }

    pub(super) fn verdict(&self) -> Verdict {
        let needed = self.needed_by_rule();
        let retained: BTreeSet<&str> = self.retained(&needed);
        let needed: BTreeSet<Place> =
            needed.into_iter().chain(self.of_commits(&retained)).collect();
        let gone = self.gone(&needed);
        let mut verdict = Verdict::default();
        for (dataset, chain) in self.chains() {
            let stays = !gone.contains(&(dataset.location.clone(), &chain.branch));
            for version in &chain.versions {
                let place = place(dataset, chain, version.version);
                let is_parent = dataset.chains.iter().any(|child| {
                    !gone.contains(&(dataset.location.clone(), &child.branch))
                        && child.fork.as_ref().is_some_and(|fork| {
                            fork.parent == chain.branch && fork.parent_version == version.version
                        })
                });
                let is_skipped = !chain.is_zombie && self.is_undecided(dataset, chain, &gone);
                let is_kept = needed.contains(&place)
                    || self.survives(dataset, chain, version)
                    || is_parent
                    || is_skipped;
                if stays && is_kept {
                    verdict.kept.insert(place);
                } else if !chain.is_zombie {
                    verdict.removed.insert(place);
                }
            }
        }
        for dataset in self.datasets() {
            if !self.is_refused(dataset, &gone) {
                self.files(dataset, &gone, &mut verdict);
            }
        }
        verdict
    }

    fn datasets(&self) -> impl Iterator<Item = &'a DatasetFacts> + use<'a> {
        self.world.tables.iter().map(|table| &table.0)
    }

    fn chains(&self) -> impl Iterator<Item = (&'a DatasetFacts, &'a ChainFacts)> + use<'a> {
        self.datasets().flat_map(|dataset| dataset.chains.iter().map(move |chain| (dataset, chain)))
    }

    /// A commit and all before it.
    fn history(&self, id: &str) -> BTreeSet<&'a str> {
        let commits = &self.world.authority.commits;
        let mut found: BTreeSet<&str> = commits
            .iter()
            .filter(|commit| commit.id == id)
            .map(|commit| commit.id.as_str())
            .collect();
        loop {
            let more: BTreeSet<&str> = commits
                .iter()
                .filter(|commit| found.contains(commit.id.as_str()))
                .flat_map(|commit| commit.parents.iter().map(String::as_str))
                .collect();
            if more.is_subset(&found) {
                return found;
            }
            found.extend(more);
        }
    }

    /// Branch heads, merge bases of every pair of live branches, and what graph-wide rules
    /// name.
    fn named_commits(&self) -> BTreeSet<&'a str> {
        let authority = &self.world.authority;
        let mut named = BTreeSet::new();
        for one in &authority.branches {
            named.extend(one.head_commit.as_deref());
            let last = usize::try_from(self.policy.keep_last.unwrap_or(0)).expect("small");
            named.extend(one.commits.iter().take(last).map(String::as_str));
            for other in &authority.branches {
                let (Some(head), Some(other_head)) = (&one.head_commit, &other.head_commit) else {
                    continue;
                };
                let common = &self.history(head) & &self.history(other_head);
                named.extend(common.iter().copied().filter(|base| {
                    one.branch != other.branch
                        && common
                            .iter()
                            .all(|other| other == base || !self.history(other).contains(base))
                }));
            }
        }
        for one in &authority.branches {
            for other in &authority.branches {
                named.extend(self.nearest(one, other));
            }
            named.extend(self.opened(one));
        }
        let young = authority.commits.iter().filter(|commit| {
            self.policy.keep_within.is_some_and(|within| now() - commit.created_at < within)
        });
        named.extend(young.map(|commit| commit.id.as_str()));
        named
    }

    /// What a client merges two branches from: of the commits in the history of either those that it reaches
    /// from both heads in the fewest steps.
    fn nearest(&self, one: &'a BranchFacts, other: &'a BranchFacts) -> Vec<&'a str> {
        let commits = &self.world.authority.commits;
        let rows: BTreeSet<&str> =
            one.commits.iter().chain(&other.commits).map(String::as_str).collect();
        // Per number of steps, what is reached in exactly so many.
        let layers = |branch: &'a BranchFacts| {
            let mut layers: Vec<BTreeSet<&str>> =
                vec![branch.head_commit.iter().map(String::as_str).collect()];
            for step in 0..commits.len() {
                let parents = commits
                    .iter()
                    .filter(|commit| layers[step].contains(commit.id.as_str()))
                    .flat_map(|commit| commit.parents.iter().map(String::as_str));
                layers.push(parents.filter(|parent| rows.contains(parent)).collect());
            }
            layers
        };
        let (of_one, of_other) = (layers(one), layers(other));
        let steps = |layers: &[BTreeSet<&str>], id: &str| {
            layers.iter().position(|layer| layer.contains(id))
        };
        let sum = |id: &str| Some(steps(&of_one, id)? + steps(&of_other, id)?);
        let fewest = rows.iter().filter_map(|id| sum(id)).min();
        let is_pair = one.branch != other.branch && fewest.is_some();
        rows.into_iter().filter(|id| is_pair && sum(id) == fewest).collect()
    }

    /// The commits of a branch that were its newest at some time within the writer window.
    fn opened(&self, branch: &'a BranchFacts) -> Vec<&'a str> {
        let commits = &self.world.authority.commits;
        let is_young = |id: &String| {
            commits.iter().any(|commit| {
                commit.id == *id && now() - commit.created_at < self.policy.writer_window
            })
        };
        let known = |id: &&String| commits.iter().any(|commit| commit.id == **id);
        let all: Vec<&String> = branch.commits.iter().filter(known).collect();
        if self.policy.writer_window.is_zero() {
            return Vec::new();
        }
        let first_old = all.iter().position(|id| !is_young(id)).unwrap_or(all.len());
        all.into_iter().take(first_old + 1).map(String::as_str).collect()
    }

    /// The versions of `__manifest` and of tables that commits need.
    fn of_commits(&self, ids: &BTreeSet<&str>) -> BTreeSet<Place> {
        let authority = &self.world.authority;
        let mut needed = BTreeSet::new();
        for commit in authority.commits.iter().filter(|commit| ids.contains(commit.id.as_str())) {
            let manifest = authority.manifest.clone();
            needed.insert((manifest, commit.branch.clone(), commit.manifest_version));
            needed.extend(commit.pins.iter().flatten().map(of_pin));
        }
        needed
    }

    /// Everything live branches, named commits and the running operation need.
    fn needed_by_rule(&self) -> BTreeSet<Place> {
        let branches = &self.world.authority.branches;
        let pins = branches.iter().flat_map(|branch| branch.pins.iter().flatten());
        let pins = pins.chain(&self.world.own).map(of_pin);
        pins.chain(self.of_commits(&self.named_commits())).collect()
    }

    /// Whether an unreadable branch may pin versions of a Lance branch: it is main, the
    /// branch itself, or one it descends from; or nobody knows what it descends from.
    fn may_be_read(&self, dataset: &DatasetFacts, branch: &Branch) -> bool {
        let branches = &self.world.authority.branches;
        let unreadable = branches.iter().filter(|branch| branch.pins.is_err());
        dataset.role != Role::Plain
            && unreadable.into_iter().any(|unreadable| {
                let mut descent = vec![Branch::main(), unreadable.branch.clone()];
                let mut is_known = true;
                let mut parent = unreadable.parent.clone();
                while let Some(name) = parent {
                    let found = branches.iter().find(|branch| branch.branch == name);
                    is_known &= found.is_some();
                    parent = found.and_then(|branch| branch.parent.clone());
                    descent.push(name);
                }
                !is_known || descent.contains(branch)
            })
    }

    /// Whether the rules for tables, or a floor that asks no commit, keep a version.
    fn survives(&self, dataset: &DatasetFacts, chain: &ChainFacts, version: &VersionFacts) -> bool {
        if self.may_be_read(dataset, &chain.branch) || !version.tags.is_empty() {
            return true;
        }
        if chain.is_zombie {
            return false;
        }
        let newer = chain.versions.iter().filter(|other| other.version > version.version).count();
        let written = |of: &VersionFacts| now() - dataset.files[of.manifest.0 as usize].modified;
        let is_in_window = |of: &VersionFacts| {
            let window = self.policy.writer_window;
            !window.is_zero() && (now() - of.committed_at < window || written(of) < window)
        };
        let next = chain.versions.iter().filter(|other| other.version > version.version);
        let next = next.min_by_key(|other| other.version);
        let is_younger = |than: TimeDelta| now() - version.committed_at < than;
        let is_replaced =
            dataset.role == Role::Dropped && chain.branch.is_main() && version.fragments > 0;
        newer == 0 && !is_replaced
            || is_younger(TimeDelta::zero())
            || is_in_window(version)
            || next.is_some_and(is_in_window)
            || self.policy.older_than.is_some_and(is_younger)
            || dataset.role != Role::Dropped
                && self.policy.keep_versions.is_some_and(|keep| (newer as u64) < keep)
    }

    /// What `--keep` would keep if the drop were the newest version of a table.
    fn is_among_newest_of_dropped(
        &self,
        dataset: &DatasetFacts,
        chain: &ChainFacts,
        version: &VersionFacts,
    ) -> bool {
        let is_newer = |other: &&VersionFacts| other.version > version.version;
        let mut newer = chain.versions.iter().filter(is_newer).count() as u64;
        let newest = chain.versions.iter().max_by_key(|version| version.version);
        if chain.branch.is_main() && newest.is_some_and(|newest| newest.fragments > 0) {
            newer += 1;
        }
        dataset.role == Role::Dropped && self.policy.keep_versions.is_some_and(|keep| newer < keep)
    }

    /// Commits all of whose versions survive, as far as those are anybody's to lose.
    fn retained(&self, needed: &BTreeSet<Place>) -> BTreeSet<&'a str> {
        let surviving: BTreeSet<Place> = self
            .chains()
            .flat_map(|(dataset, chain)| chain.versions.iter().map(move |v| (dataset, chain, v)))
            .filter(|(dataset, chain, version)| {
                needed.contains(&place(dataset, chain, version.version))
                    || self.survives(dataset, chain, version)
                    || self.is_among_newest_of_dropped(dataset, chain, version)
            })
            .map(|(dataset, chain, version)| place(dataset, chain, version.version))
            .collect();
        let gone = self.gone(needed);
        let voting: BTreeSet<&str> = self
            .datasets()
            .filter(|dataset| !self.is_refused(dataset, &gone))
            .map(|dataset| dataset.location.as_str())
            .collect();
        let commits = self.world.authority.commits.iter().filter(|commit| {
            commit.pins.as_ref().is_some_and(|pins| {
                pins.iter()
                    .map(of_pin)
                    .all(|pin| surviving.contains(&pin) || !voting.contains(pin.0.as_str()))
            })
        });
        commits.map(|commit| commit.id.as_str()).collect()
    }

    /// Orphaned forks and dead branch directories.
    fn gone(&self, needed: &BTreeSet<Place>) -> Chains<'a> {
        let mut gone: Chains<'a> = self
            .chains()
            .filter(|(dataset, chain)| self.is_candidate(dataset, chain, needed))
            .map(|(dataset, chain)| (dataset.location.clone(), &chain.branch))
            .collect();
        // Until nothing that goes has a child that stays.
        loop {
            let parents: Chains<'a> = self
                .chains()
                .filter(|(dataset, chain)| {
                    !gone.contains(&(dataset.location.clone(), &chain.branch))
                })
                .filter_map(|(dataset, chain)| {
                    Some((dataset.location.clone(), &chain.fork.as_ref()?.parent))
                })
                .collect();
            let before = gone.len();
            gone.retain(|chain| !parents.contains(chain));
            if gone.len() == before {
                return gone;
            }
        }
    }

    /// A fork or a directory that nobody needs as far as one knows, and that yet stays:
    /// skipped, not cleaned up.
    fn is_undecided(&self, dataset: &DatasetFacts, chain: &ChainFacts, gone: &Chains<'_>) -> bool {
        let goes = gone.contains(&(dataset.location.clone(), &chain.branch));
        let is_young_or_blocked =
            !self.is_old(dataset, chain) || self.may_be_read(dataset, &chain.branch);
        // Whatever rules about commits say besides.
        let policy = Retention { keep_last: None, keep_within: None, ..self.policy.clone() };
        let needed = Model::new(self.world, &policy).needed_by_rule();
        let is_unneeded = || self.is_unneeded(dataset, chain, &needed);
        !goes && (chain.is_zombie || is_young_or_blocked && is_unneeded())
    }

    fn is_candidate(
        &self,
        dataset: &DatasetFacts,
        chain: &ChainFacts,
        needed: &BTreeSet<Place>,
    ) -> bool {
        self.is_unneeded(dataset, chain, needed)
            && self.is_old(dataset, chain)
            && !self.may_be_read(dataset, &chain.branch)
    }

    fn is_unneeded(
        &self,
        dataset: &DatasetFacts,
        chain: &ChainFacts,
        needed: &BTreeSet<Place>,
    ) -> bool {
        let name = chain.branch.label();
        let live = self.world.authority.branches.iter().any(|live| live.branch == chain.branch);
        let is_askable = match dataset.role {
            Role::Plain | Role::Manifest | Role::Root => false,
            Role::Commits => !live && !name.starts_with("__"),
            Role::Table | Role::Dropped => !name.starts_with("__"),
        };
        !chain.branch.is_main()
            && (chain.is_zombie || is_askable)
            && !needed.iter().any(|(location, branch, _)| {
                *location == dataset.location && *branch == chain.branch
            })
            && chain.versions.iter().all(|version| version.tags.is_empty())
    }

    fn is_old(&self, dataset: &DatasetFacts, chain: &ChainFacts) -> bool {
        let here = |file: &&FileFacts| {
            file.chain.is_some_and(|at| dataset.chains[at as usize].branch == chain.branch)
        };
        let files = dataset.files.iter().filter(here).map(|file| file.modified);
        let dates: Vec<DateTime<Utc>> = if chain.is_zombie {
            files.collect()
        } else {
            files.chain(chain.versions.iter().map(|version| version.committed_at)).collect()
        };
        let mut age = self.policy.min_fork_age.max(self.policy.writer_window);
        if chain.is_zombie {
            // Its end was decided by an earlier cleanup, which did not get to it.
            let in_chain = |file: &FileFacts| file.class != FileClass::Untouchable && here(&file);
            let listed = |at: usize| dataset.explained.iter().any(|file| file.0 as usize == at);
            let mut of_chain = dataset.files.iter().enumerate().filter(|(_, file)| in_chain(file));
            if !dataset.explained.is_empty() && of_chain.all(|(at, _)| listed(at)) {
                return true;
            }
            age = age.max(self.policy.min_age);
        }
        dates.into_iter().all(|date| now() - date >= age)
    }

    fn is_refused(&self, dataset: &DatasetFacts, gone: &Chains<'_>) -> bool {
        let mut staying = dataset.chains.iter().filter(|chain| {
            !chain.is_zombie && !gone.contains(&(dataset.location.clone(), &chain.branch))
        });
        staying.any(|chain| {
            let newest = chain.versions.iter().max_by_key(|version| version.version);
            newest.is_none_or(|head| head.missing.is_some())
        }) || dataset.role == Role::Table && self.has_drifted(dataset)
    }

    /// Whether the newest version of a chain is another than the branch of its name reads there.
    fn has_drifted(&self, dataset: &DatasetFacts) -> bool {
        self.world.authority.branches.iter().any(|live| {
            let own = live.pins.iter().flatten().map(of_pin);
            let own = own.filter(|(location, branch, _)| {
                *location == dataset.location && *branch == live.branch
            });
            let newest = dataset.chains.iter().filter(|chain| chain.branch == live.branch);
            let newest = newest.flat_map(|chain| &chain.versions).map(|version| version.version);
            own.map(|(.., version)| version)
                .max()
                .zip(newest.max())
                .is_some_and(|(pin, head)| pin != head)
        })
    }

    fn files(&self, dataset: &DatasetFacts, gone: &Chains<'_>, verdict: &mut Verdict) {
        let goes = |branch: &Branch| gone.contains(&(dataset.location.clone(), branch));
        let mut needed: BTreeSet<UnitId> = dataset.held.iter().copied().collect();
        let mut manifests = BTreeSet::new();
        let mut explained = BTreeSet::new();
        for chain in &dataset.chains {
            for version in &chain.versions {
                let is_kept = verdict.kept.contains(&place(dataset, chain, version.version));
                if is_kept || chain.is_zombie && !goes(&chain.branch) {
                    needed.extend(&version.refs);
                } else {
                    manifests.insert(version.manifest);
                    explained.extend(&version.refs);
                }
            }
        }
        let class = |file: &FileId| dataset.files[file.0 as usize].class;
        for file in &dataset.explained {
            if let FileClass::Part(unit) | FileClass::Blob { beside: Some(unit), .. } = class(file)
            {
                explained.insert(unit);
            }
        }
        let is_old = |file: &FileFacts| now() - file.modified >= self.policy.min_age;
        let is_all_old = |unit: UnitId| {
            dataset.files.iter().all(|one| match one.class {
                FileClass::Part(of) | FileClass::Blob { beside: Some(of), .. } => {
                    of != unit || is_old(one)
                }
                _ => true,
            })
        };
        let (mut deleted, mut litter) = (BTreeSet::new(), BTreeSet::new());
        for (at, file) in dataset.files.iter().enumerate() {
            let id = FileId(u32::try_from(at).expect("few"));
            let chain_goes = file.chain.is_some_and(|at| goes(&dataset.chains[at as usize].branch));
            let is_skipped = file.chain.is_some_and(|at| {
                let chain = &dataset.chains[at as usize];
                self.is_undecided(dataset, chain, gone)
            });
            if is_skipped {
                continue;
            }
            let path = (dataset.location.clone(), file.path.clone());
            let (is_explained, is_litter) = match file.class {
                FileClass::Manifest => (manifests.contains(&id), false),
                FileClass::BranchFile | FileClass::Hint => (chain_goes, false),
                FileClass::Litter => (chain_goes, is_old(file)),
                FileClass::Untouchable => (false, false),
                FileClass::Part(unit) if needed.contains(&unit) => (false, false),
                FileClass::Part(unit) => {
                    (chain_goes || explained.contains(&unit), is_all_old(unit))
                }
                FileClass::Blob { own, beside }
                    if needed.contains(&own) || beside.is_some_and(|of| needed.contains(&of)) =>
                {
                    (false, false)
                }
                _ if chain_goes || dataset.explained.contains(&id) => (true, false),
                FileClass::Blob { own, beside: Some(of) } if !explained.contains(&own) => {
                    (explained.contains(&of), is_all_old(of))
                }
                // Named by descriptors or by nothing: its age decides, and nobody wonders.
                FileClass::Blob { beside: Some(of), .. } => (is_all_old(of), false),
                FileClass::Blob { beside: None, .. } => (is_old(file), false),
            };
            if is_explained {
                deleted.insert(path);
            } else if is_litter {
                litter.insert(path);
            }
        }
        let share = litter.len() as f64 / dataset.files.len() as f64;
        if share * 100.0 <= f64::from(self.policy.max_delete_percent) {
            deleted.extend(litter);
        }
        verdict.deleted.extend(deleted);
    }
}

fn place(dataset: &DatasetFacts, chain: &ChainFacts, version: Version) -> Place {
    (dataset.location.clone(), chain.branch.clone(), version)
}

fn of_pin(pin: &PinnedVersion) -> Place {
    (pin.chain.location.clone(), pin.chain.branch.clone(), pin.version)
}
