//! The plan of one dataset: its versions. What becomes of its chains is decided in `fate`, of files in `files`.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, Version};

use super::super::authority::Authority;
use super::super::floors::Floors;
use super::super::inventory::{ChainFacts, DatasetFacts, Role, VersionFacts};
use super::super::policy::Retention;
use super::super::reason::KeepReason;
use super::fate::{Fate, blocked_by, fates, orphans};
use super::{DatasetPlan, Kept, KeptVersion, Leftover, files, forks, key_of};

/// Versions of a branch below which a recovery may lack the one it would go back to: what a writer has
/// just committed, what it committed on top of, and one more for a crash in the recovery itself.
const FEW: usize = 3;

/// What the rules and floors keep of one chain, whether or not the chain itself stays.
pub(super) fn rules(
    dataset: &DatasetFacts,
    chain: &ChainFacts,
    floors: &Floors,
    policy: &Retention,
    now: DateTime<Utc>,
) -> Kept {
    let key = key_of(dataset, chain);
    let (needed, staged_from) = (floors.of_chain(&key), floors.staged_from(&key));
    let blocked = blocked_by(dataset, chain, floors);
    let newest = chain.versions.len();
    let mut kept = Kept::new();
    for (at, version) in chain.versions.iter().enumerate() {
        let mut reasons = BTreeSet::new();
        // A directory without a branch has no readers that a HEAD could serve.
        if at + 1 == newest && !chain.is_zombie && !can_be_emptied(dataset, chain, version) {
            reasons.insert(KeepReason::Head);
        }
        reasons.extend(
            needed.and_then(|needed| needed.get(&version.version)).into_iter().flatten().cloned(),
        );
        if staged_from.is_some_and(|from| version.version >= from) {
            reasons.insert(KeepReason::Staging);
        }
        reasons.extend(version.tags.iter().cloned().map(KeepReason::Tag));
        reasons.extend(blocked.cloned().map(KeepReason::Unreadable));
        if !chain.is_zombie {
            reasons.extend(by_age(dataset, version, policy, now));
            let next = chain.versions.get(at + 1);
            if next.is_some_and(|next| is_in_window(dataset, next, policy, now)) {
                reasons.insert(KeepReason::Replaced(policy.writer_window));
            }
            if let Some(count) = policy.keep_versions
                && dataset.role != Role::Dropped
                && u64::try_from(newest - at).is_ok_and(|rank| rank <= count)
            {
                reasons.insert(KeepReason::Newest(count));
            }
        }
        if !reasons.is_empty() {
            kept.insert(version.version, reasons);
        }
    }
    kept
}

/// Whether a version may go although it is the newest: nobody reads the table, and one without
/// rows takes its place.
fn can_be_emptied(dataset: &DatasetFacts, chain: &ChainFacts, version: &VersionFacts) -> bool {
    dataset.role == Role::Dropped && chain.branch.is_main() && version.fragments > 0
}

/// The versions of a table that no branch has any more which the rule about numbers would keep.
/// They stay only if a commit does that reads them; here they say which commits may. The drop
/// counts as the newest version, with or without the one that comes to stand for it.
pub(super) fn newest_of_dropped<'a>(
    dataset: &DatasetFacts,
    chain: &'a ChainFacts,
    policy: &Retention,
) -> impl Iterator<Item = Version> + use<'a> {
    let count = policy.keep_versions.filter(|_| dataset.role == Role::Dropped).unwrap_or(0);
    let head = chain.versions.last();
    let is_to_come = head.is_some_and(|head| can_be_emptied(dataset, chain, head));
    let count = usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(is_to_come.into());
    chain.versions.iter().rev().take(count).map(|version| version.version)
}

fn by_age(
    dataset: &DatasetFacts,
    version: &VersionFacts,
    policy: &Retention,
    now: DateTime<Utc>,
) -> BTreeSet<KeepReason> {
    let mut reasons = BTreeSet::new();
    let age = now - version.committed_at;
    if is_in_window(dataset, version, policy, now) {
        reasons.insert(KeepReason::WriterWindow(policy.writer_window));
    }
    if age < chrono::TimeDelta::zero() {
        reasons.insert(KeepReason::FutureDated);
    }
    if let Some(limit) = policy.older_than
        && age < limit
    {
        reasons.insert(KeepReason::YoungerThan(limit));
    }
    reasons
}

/// Whether a version was committed within the writer window. The store's clock has a say too: a writer's
/// may be slow.
fn is_in_window(
    dataset: &DatasetFacts,
    version: &VersionFacts,
    policy: &Retention,
    now: DateTime<Utc>,
) -> bool {
    let written = dataset.files[version.manifest.0 as usize].modified;
    !policy.writer_window.is_zero()
        && now - version.committed_at.max(written) < policy.writer_window
}

/// Plans one dataset.
pub(super) fn plan(
    dataset: &DatasetFacts,
    authority: &Authority,
    floors: &Floors,
    policy: &Retention,
    now: DateTime<Utc>,
) -> DatasetPlan {
    let forks = forks::decide(dataset, authority, floors, policy, now);
    let orphans = orphans(&forks);
    let fates = fates(dataset, authority, &forks, floors, policy, now);
    let mut kept = Vec::new();
    let mut removed = Vec::new();
    let mut stays = Vec::new();
    for (chain, fate) in dataset.chains.iter().zip(&fates) {
        let mut reasons = match fate {
            Fate::Goes => Kept::new(),
            _ => of_chain(dataset, chain, &orphans, floors, policy, now),
        };
        if *fate == Fate::LeftAlone && !chain.is_zombie {
            for version in &chain.versions {
                let undecided = || BTreeSet::from([KeepReason::UndecidedFork]);
                reasons.entry(version.version).or_insert_with(undecided);
            }
        }
        for version in &chain.versions {
            let (branch, number) = (chain.branch.clone(), version.version);
            match reasons.get(&number) {
                Some(reasons) => {
                    let reasons = reasons.iter().cloned().collect();
                    kept.push(KeptVersion { branch, version: number, reasons });
                    stays.push(true);
                }
                // What a directory without a branch holds is said as files, not as versions.
                None => {
                    if !chain.is_zombie {
                        removed.push((branch, number));
                    }
                    stays.push(*fate == Fate::LeftAlone);
                }
            }
        }
    }
    let mut plan = DatasetPlan {
        table: dataset.table.clone(),
        location: dataset.location.clone(),
        refused: refusal(dataset, authority, &fates),
        empties: emptied(dataset, &removed),
        kept,
        removed,
        forks,
        deletions: Vec::new(),
        unverified_left: Leftover::default(),
        warnings: warnings(dataset, floors, &stays),
    };
    if plan.refused.is_none() {
        files::decide(dataset, (&fates, &stays), floors.running(), policy, now, &mut plan);
        plan.warnings.extend(few_left(dataset, policy, &plan));
    }
    plan
}

/// Says of which branches fewer than [`FEW`] versions stay because others go.
fn few_left(dataset: &DatasetFacts, policy: &Retention, plan: &DatasetPlan) -> Option<String> {
    if !matches!(dataset.role, Role::Table | Role::Plain) || !policy.has_rule() {
        // Who asks for everything to go needs no telling.
        return None;
    }
    let shrinks: BTreeSet<&Branch> = plan.removed.iter().map(|(branch, _)| branch).collect();
    let stays = |branch: &Branch| plan.kept.iter().filter(|kept| kept.branch == *branch).count();
    let few = shrinks.into_iter().filter(|branch| (1..FEW).contains(&stays(branch)));
    let few: Vec<&str> = few.map(Branch::label).collect();
    (!few.is_empty()).then(|| {
        format!(
            "fewer than {FEW} versions of {} stay: the one that a later crash recovery would roll back to may be gone",
            few.join(", ")
        )
    })
}

/// What stays of a chain that stays itself.
fn of_chain(
    dataset: &DatasetFacts,
    chain: &ChainFacts,
    orphans: &BTreeSet<&Branch>,
    floors: &Floors,
    policy: &Retention,
    now: DateTime<Utc>,
) -> Kept {
    let mut kept = rules(dataset, chain, floors, policy, now);
    let children = dataset.chains.iter().filter(|child| !orphans.contains(&child.branch));
    for child in children {
        if let Some(fork) = &child.fork
            && fork.parent == chain.branch
            && chain.versions.iter().any(|version| version.version == fork.parent_version)
        {
            let reasons = kept.entry(fork.parent_version).or_default();
            reasons.insert(KeepReason::ForkPoint(child.branch.clone()));
        }
    }
    kept
}

/// Whether nothing of a dataset would be deleted.
pub(super) fn is_refused(
    dataset: &DatasetFacts,
    authority: &Authority,
    floors: &Floors,
    policy: &Retention,
    now: DateTime<Utc>,
) -> bool {
    let forks = forks::decide(dataset, authority, floors, policy, now);
    let fates = fates(dataset, authority, &forks, floors, policy, now);
    refusal(dataset, authority, &fates).is_some()
}

/// The newest version of main, if it goes.
fn emptied(dataset: &DatasetFacts, removed: &[(Branch, Version)]) -> Option<Version> {
    let main = dataset.chains.iter().find(|chain| chain.branch.is_main())?;
    let head = main.versions.last()?.version;
    removed.contains(&(Branch::main(), head)).then_some(head)
}

/// Why nothing of a dataset is deleted, if so.
fn refusal(dataset: &DatasetFacts, authority: &Authority, fates: &[Fate]) -> Option<String> {
    let unsure = dataset.unsure.clone();
    unsure.or_else(|| self_check(dataset, fates)).or_else(|| drift(dataset, authority))
}

/// What a branch of the graph says of its own chain of a table must be what was found there. A
/// newer version was committed by somebody who died, or who is not done: whoever repairs that
/// may have to go back. An older one means that the listing lacks versions.
fn drift(dataset: &DatasetFacts, authority: &Authority) -> Option<String> {
    if dataset.role != Role::Table {
        return None;
    }
    dataset.chains.iter().find_map(|chain| {
        let branch = &chain.branch;
        let mut live = authority.branches.iter().filter(|live| !live.is_lost);
        let owner = live.find(|live| live.branch == *branch)?;
        let key = key_of(dataset, chain);
        let pins = owner.pins.as_ref().ok()?.iter().filter(|pin| pin.chain == key);
        let pin = pins.map(|pin| pin.version).max()?;
        let head = chain.versions.last()?.version;
        match head.cmp(&pin) {
            Ordering::Equal => None,
            Ordering::Greater => Some(format!(
                "version {head} of branch {branch} is the newest, but {pin} is what the graph publishes: it drifted, repair it first"
            )),
            Ordering::Less => Some(format!(
                "branch {branch} reads version {pin}, but {head} is the newest that was found"
            )),
        }
    })
}

/// What HEAD reads must have been listed, or the listing cannot be trusted about anything.
fn self_check(dataset: &DatasetFacts, fates: &[Fate]) -> Option<String> {
    let chains = dataset.chains.iter().zip(fates);
    let chains = chains.filter(|(chain, fate)| **fate != Fate::Goes && !chain.is_zombie);
    for (chain, _) in chains {
        let Some(head) = chain.versions.last() else {
            return Some(format!("branch {} has no version at all", chain.branch));
        };
        if let Some((path, count)) = &head.missing {
            return Some(format!(
                "version {} of branch {}, the newest, refers to {count} files that were not found, as {path}",
                head.version, chain.branch
            ));
        }
    }
    None
}

fn warnings(dataset: &DatasetFacts, floors: &Floors, stays: &[bool]) -> Vec<String> {
    let versions = dataset
        .chains
        .iter()
        .flat_map(|chain| chain.versions.iter().map(move |version| (&chain.branch, version)));
    let existing: BTreeSet<(&Branch, Version)> =
        versions.clone().map(|(branch, version)| (branch, version.version)).collect();
    let mut warnings = dataset.warnings.clone();
    for (branch, needed) in floors.of_dataset(&dataset.location) {
        for (version, reasons) in needed {
            let readers = reasons.iter().filter(|reason| {
                matches!(reason, KeepReason::PinnedBy(_) | KeepReason::MergeBase(..))
            });
            if !existing.contains(&(branch, *version)) {
                warnings.extend(readers.map(|reason| {
                    format!("version {version} of branch {branch} is gone already, but {reason}")
                }));
            }
        }
    }
    for ((branch, version), stays) in versions.zip(stays) {
        if let Some((path, count)) = version.missing.as_ref().filter(|_| *stays) {
            warnings.push(format!(
                "version {} of branch {branch} cannot be read: {count} of its files are gone, as {path}",
                version.version
            ));
        }
    }
    warnings
}
