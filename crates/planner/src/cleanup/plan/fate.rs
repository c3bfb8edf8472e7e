//! What becomes of each chain of a dataset as a whole. Not here: which of its versions and files stay.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, ForkRefStatus};

use super::super::authority::Authority;
use super::super::floors::Floors;
use super::super::inventory::{ChainFacts, DatasetFacts, FileClass, Role};
use super::super::policy::Retention;
use super::{ForkDecision, key_of, last_writes};

/// What becomes of a chain as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes with all that is in it: an orphaned fork, or the directory of a branch that is
    /// none any more.
    Goes,
    /// It stays; versions and files of it may go.
    Stays,
    /// Whether it stays is not known yet. Nothing of it goes: what is young in it is all that
    /// tells that somebody is at work.
    LeftAlone,
}

/// What becomes of each chain.
pub(super) fn fates(
    dataset: &DatasetFacts,
    authority: &Authority,
    forks: &[ForkDecision],
    floors: &Floors,
    policy: &Retention,
    now: DateTime<Utc>,
) -> Vec<Fate> {
    let orphans = orphans(forks);
    let chains = dataset.chains.iter().zip(last_writes(dataset)).enumerate();
    chains
        .map(|(at, (chain, written))| {
            // What its readers saw is all there: a restored file brings it back.
            if chain.is_zombie && dataset.role != Role::Plain && authority.is_lost(&chain.branch) {
                return Fate::LeftAlone;
            }
            if chain.is_zombie {
                let (age, may_be_staged) = match &authority.retired {
                    // Its files are no strangers': whose name they bear was just deleted.
                    Some(retired) if *retired == chain.branch => (policy.fork_age(), false),
                    _ => {
                        let age = policy.min_age.max(policy.fork_age());
                        (age, floors.running().may_have_written(written))
                    }
                };
                // What an earlier cleanup was cut off deleting is nobody's new branch.
                let is_old = now - written >= age && !may_be_staged || is_explained(dataset, at);
                let is_dead = is_old && is_dead_zombie(dataset, chain, &orphans, floors);
                return if is_dead { Fate::Goes } else { Fate::LeftAlone };
            }
            let decision = forks.iter().find(|fork| fork.branch == chain.branch);
            match decision.map(|decision| decision.status) {
                Some(ForkRefStatus::Orphan) => Fate::Goes,
                Some(ForkRefStatus::Indeterminate) => Fate::LeftAlone,
                Some(ForkRefStatus::Legitimate) | None => Fate::Stays,
            }
        })
        .collect()
}

/// The forks that go.
pub(super) fn orphans(forks: &[ForkDecision]) -> BTreeSet<&Branch> {
    let orphans = forks.iter().filter(|fork| fork.status == ForkRefStatus::Orphan);
    orphans.map(|fork| &fork.branch).collect()
}

/// Whether an earlier cleanup had decided to delete all there is of a chain.
fn is_explained(dataset: &DatasetFacts, chain: usize) -> bool {
    let explained: BTreeSet<usize> = dataset.explained.iter().map(|file| file.0 as usize).collect();
    let mut files = dataset.files.iter().enumerate().filter(|(_, file)| {
        file.chain.is_some_and(|at| at as usize == chain) && file.class != FileClass::Untouchable
    });
    !explained.is_empty() && files.all(|(at, _)| explained.contains(&at))
}

/// A directory without a branch file is a branch being made, until everything in it is old,
/// or what is left of one. Then it is dead, unless somebody still reads there.
fn is_dead_zombie(
    dataset: &DatasetFacts,
    chain: &ChainFacts,
    orphans: &BTreeSet<&Branch>,
    floors: &Floors,
) -> bool {
    let mut children = dataset.chains.iter().filter(|child| {
        child.fork.as_ref().is_some_and(|fork| fork.parent == chain.branch)
            && !orphans.contains(&child.branch)
    });
    floors.of_chain(&key_of(dataset, chain)).is_none()
        && blocked_by(dataset, chain, floors).is_none()
        && chain.versions.iter().all(|version| version.tags.is_empty())
        && children.next().is_none()
}

/// The unreadable branch of the graph that may read a chain.
pub(super) fn blocked_by<'a>(
    dataset: &DatasetFacts,
    chain: &ChainFacts,
    floors: &'a Floors,
) -> Option<&'a Branch> {
    floors.blocked_by(&chain.branch).filter(|_| dataset.role != Role::Plain)
}
