//! Which forks are orphans: Lance branches of tables that nothing reads any more.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, ForkRefStatus};

use super::super::authority::Authority;
use super::super::floors::Floors;
use super::super::inventory::{ChainFacts, DatasetFacts, Role};
use super::super::policy::Retention;
use super::{ForkDecision, key_of, last_writes};

/// Decides about every fork of a dataset.
pub(super) fn decide(
    dataset: &DatasetFacts,
    authority: &Authority,
    floors: &Floors,
    policy: &Retention,
    now: DateTime<Utc>,
) -> Vec<ForkDecision> {
    let written = last_writes(dataset);
    let forks = dataset.chains.iter().zip(written).filter(|(chain, _)| chain.fork.is_some());
    let mut decisions: Vec<ForkDecision> = forks
        .map(|(chain, written)| {
            let is_young = is_young(chain, written, policy, now);
            let (mut status, mut why) = alone(dataset, chain, authority, floors, is_young);
            let is_unread = floors.blocked_by(&chain.branch).is_some();
            let is_stuck = dataset.stuck.contains(&chain.branch);
            if is_stuck && status == ForkRefStatus::Orphan {
                (status, why) =
                    (ForkRefStatus::Indeterminate, "it could not be deleted".to_owned());
            }
            let is_said = status == ForkRefStatus::Indeterminate && (is_unread || is_stuck);
            ForkDecision { branch: chain.branch.clone(), status, why, is_said }
        })
        .collect();
    // A fork that stays keeps the one it was cut from: its files lie there. Every round but
    // the last changes at least one mind.
    for _ in 0..decisions.len() {
        let mut is_stable = true;
        let staying: BTreeSet<&Branch> = decisions
            .iter()
            .filter(|decision| decision.status != ForkRefStatus::Orphan)
            .map(|decision| &decision.branch)
            .collect();
        let parents: Vec<(Branch, Branch)> = dataset
            .chains
            .iter()
            .filter(|chain| staying.contains(&chain.branch))
            .filter_map(|chain| Some((chain.fork.as_ref()?.parent.clone(), chain.branch.clone())))
            .collect();
        for decision in &mut decisions {
            if decision.status == ForkRefStatus::Orphan
                && let Some((_, child)) =
                    parents.iter().find(|(parent, _)| *parent == decision.branch)
            {
                decision.status = ForkRefStatus::Legitimate;
                decision.why = format!("branch {child} was cut from it");
                is_stable = false;
            }
        }
        if is_stable {
            break;
        }
    }
    decisions
}

/// Decides about a fork without looking at those cut from it.
fn alone(
    dataset: &DatasetFacts,
    chain: &ChainFacts,
    authority: &Authority,
    floors: &Floors,
    is_young: bool,
) -> (ForkRefStatus, String) {
    let branch = &chain.branch;
    let legitimate = |why: &str| (ForkRefStatus::Legitimate, why.to_owned());
    let is_retired = authority.retired.as_ref() == Some(branch);
    if authority.retired.is_some() && !is_retired {
        return legitimate("it is another branch's");
    }
    match dataset.role {
        Role::Plain | Role::Root => return legitimate("the table is its own authority"),
        Role::Manifest if !is_retired => return legitimate("it is a branch of the graph"),
        Role::Manifest => {}
        Role::Table | Role::Dropped => {}
        Role::Commits
            if authority.branches.iter().any(|live| live.branch == *branch && !live.is_lost) =>
        {
            return legitimate("it is a branch of the graph");
        }
        Role::Commits => {}
    }
    if branch.is_internal() {
        return legitimate("it is an internal branch");
    }
    if authority.is_lost(branch) {
        let why = format!("{branch} is no branch, but was published to: its file may be lost");
        return (ForkRefStatus::Indeterminate, why);
    }
    if authority.may_be_set_aside(&dataset.location, branch) {
        let why = "a sidecar in quarantine may be about it".to_owned();
        return (ForkRefStatus::Indeterminate, why);
    }
    let (key, read) = (key_of(dataset, chain), "a branch or a commit reads it");
    if floors.staged_from(&key).is_some() {
        return legitimate("an optimize that is under way works on it");
    }
    if floors.is_lasting(&key) {
        return legitimate(read);
    }
    if chain.versions.iter().any(|version| !version.tags.is_empty()) {
        return legitimate("it is tagged");
    }
    // Before commits that a rule retains are asked: with one rule less the fork would be left
    // alone, and one rule more must not make anything of it go.
    if let Some(unreadable) = floors.blocked_by(branch) {
        let why = format!("branch {unreadable} cannot be read and may read it");
        return (ForkRefStatus::Indeterminate, why);
    }
    if is_young {
        let why = "it is young: a writer may be about to publish it".to_owned();
        return (ForkRefStatus::Indeterminate, why);
    }
    if floors.of_chain(&key).is_some() {
        return legitimate(read);
    }
    (ForkRefStatus::Orphan, "no live branch, retained commit or merge base reads it".to_owned())
}

/// Its branch file, its versions and files that no version refers to yet all count: any may
/// be all a writer did so far.
fn is_young(
    chain: &ChainFacts,
    written: DateTime<Utc>,
    policy: &Retention,
    now: DateTime<Utc>,
) -> bool {
    let committed = chain.versions.iter().map(|version| version.committed_at);
    committed.chain([written]).any(|time| now - time < policy.fork_age())
}
