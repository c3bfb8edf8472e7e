//! The plan of one dataset: versions first, then the files they leave behind.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, ForkRefStatus};

use super::super::authority::Authority;
use super::super::floors::Floors;
use super::super::inventory::{ChainFacts, DatasetFacts, FileClass, FileId, Role, VersionFacts};
use super::super::policy::Retention;
use super::super::reason::KeepReason;
use super::{
    DatasetPlan, Deletion, DeletionReason, DeletionStep, Kept, KeptVersion, Leftover, forks,
    key_of, last_writes,
};

/// What the rules and floors keep of one chain, whether or not the chain itself stays.
pub(super) fn rules(
    dataset: &DatasetFacts,
    chain: &ChainFacts,
    floors: &Floors,
    policy: &Retention,
    now: DateTime<Utc>,
) -> Kept {
    let needed = floors.of_chain(&key_of(dataset, chain));
    let blocked = floors.blocked_by(&chain.branch).filter(|_| dataset.role != Role::Plain);
    let newest = chain.versions.len();
    let mut kept = Kept::new();
    for (at, version) in chain.versions.iter().enumerate() {
        let mut reasons = BTreeSet::new();
        // A directory without a branch has no readers that a HEAD could serve.
        if at + 1 == newest && !chain.is_zombie {
            reasons.insert(KeepReason::Head);
        }
        reasons.extend(
            needed.and_then(|needed| needed.get(&version.version)).into_iter().flatten().cloned(),
        );
        reasons.extend(version.tags.iter().cloned().map(KeepReason::Tag));
        reasons.extend(blocked.cloned().map(KeepReason::Unreadable));
        if !chain.is_zombie {
            reasons.extend(by_age(dataset, version, policy, now));
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

fn by_age(
    dataset: &DatasetFacts,
    version: &VersionFacts,
    policy: &Retention,
    now: DateTime<Utc>,
) -> BTreeSet<KeepReason> {
    let mut reasons = BTreeSet::new();
    let age = now - version.committed_at;
    // The store's clock has a say too: a writer's may be slow.
    let written = now - dataset.files[version.manifest.0 as usize].modified;
    if age.min(written) < policy.writer_window {
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

/// Plans one dataset.
pub(super) fn plan(
    dataset: &DatasetFacts,
    authority: &Authority,
    floors: &Floors,
    policy: &Retention,
    now: DateTime<Utc>,
) -> DatasetPlan {
    let forks = forks::decide(dataset, authority, floors, policy, now);
    let orphans: BTreeSet<&Branch> = forks
        .iter()
        .filter(|fork| fork.status == ForkRefStatus::Orphan)
        .map(|fork| &fork.branch)
        .collect();
    let goes = going(dataset, &orphans, floors, policy, now);
    let mut kept = Vec::new();
    let mut removed = Vec::new();
    let mut stays = Vec::new();
    for (chain, goes) in dataset.chains.iter().zip(&goes) {
        let reasons = if *goes {
            Kept::new()
        } else {
            of_chain(dataset, chain, &orphans, floors, policy, now)
        };
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
                    stays.push(chain.is_zombie && !goes);
                }
            }
        }
    }
    let mut plan = DatasetPlan {
        table: dataset.table.clone(),
        location: dataset.location.clone(),
        refused: self_check(dataset, &goes),
        kept,
        removed,
        forks,
        deletions: Vec::new(),
        unverified_left: Leftover::default(),
        warnings: warnings(dataset, floors, &stays),
    };
    if plan.refused.is_none() {
        files(dataset, &goes, &stays, policy, now, &mut plan);
    }
    plan
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

/// Which chains go with all that is in them: orphaned forks, and directories of branches that
/// are none any more.
fn going(
    dataset: &DatasetFacts,
    orphans: &BTreeSet<&Branch>,
    floors: &Floors,
    policy: &Retention,
    now: DateTime<Utc>,
) -> Vec<bool> {
    let chains = dataset.chains.iter().zip(last_writes(dataset));
    chains
        .map(|(chain, written)| {
            if chain.is_zombie {
                let is_old = now - written >= policy.min_age.max(policy.fork_age());
                is_old && is_dead_zombie(dataset, chain, orphans, floors)
            } else {
                chain.fork.is_some() && orphans.contains(&chain.branch)
            }
        })
        .collect()
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
        && floors.blocked_by(&chain.branch).is_none()
        && chain.versions.iter().all(|version| version.tags.is_empty())
        && children.next().is_none()
}

/// What HEAD reads must have been listed, or the listing cannot be trusted about anything.
fn self_check(dataset: &DatasetFacts, goes: &[bool]) -> Option<String> {
    let chains =
        dataset.chains.iter().zip(goes).filter(|(chain, goes)| !**goes && !chain.is_zombie);
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
    let mut warnings = Vec::new();
    let mut stays = stays.iter();
    for chain in &dataset.chains {
        let existing: BTreeMap<_, _> =
            chain.versions.iter().map(|version| (version.version, version)).collect();
        for (version, reasons) in floors.of_chain(&key_of(dataset, chain)).into_iter().flatten() {
            let readers = reasons.iter().filter(|reason| {
                matches!(reason, KeepReason::PinnedBy(_) | KeepReason::MergeBase(..))
            });
            if !existing.contains_key(version) {
                warnings.extend(readers.map(|reason| {
                    format!(
                        "version {version} of branch {} is gone already, but {reason}",
                        chain.branch
                    )
                }));
            }
        }
        for version in &chain.versions {
            let stays = stays.next().is_some_and(|stays| *stays);
            if let Some((path, count)) = version.missing.as_ref().filter(|_| stays) {
                warnings.push(format!(
                    "version {} of branch {} cannot be read: {count} of its files are gone, as {path}",
                    version.version, chain.branch
                ));
            }
        }
    }
    warnings
}

/// Decides about every file.
fn files(
    dataset: &DatasetFacts,
    goes: &[bool],
    stays: &[bool],
    policy: &Retention,
    now: DateTime<Utc>,
    plan: &mut DatasetPlan,
) {
    let mut needed = vec![false; dataset.units as usize];
    let mut explained = vec![false; dataset.units as usize];
    let mut manifests = BTreeSet::new();
    for unit in &dataset.held {
        needed[unit.0 as usize] = true;
    }
    let versions = dataset.chains.iter().flat_map(|chain| &chain.versions);
    for (version, stays) in versions.zip(stays) {
        if !stays {
            manifests.insert(version.manifest);
        }
        let marks = if *stays { &mut needed } else { &mut explained };
        for unit in &version.refs {
            marks[unit.0 as usize] = true;
        }
    }
    for file in &dataset.explained {
        if let FileClass::Part(unit) = dataset.files[file.0 as usize].class {
            explained[unit.0 as usize] = true;
        }
    }
    let written = units_written(dataset);
    for (at, file) in dataset.files.iter().enumerate() {
        let id = FileId(u32::try_from(at).unwrap_or(u32::MAX));
        let chain_goes = file.chain.is_some_and(|chain| goes[chain as usize]);
        let last_write = match file.class {
            FileClass::Part(unit) => written[unit.0 as usize],
            _ => file.modified,
        };
        let is_old = now - last_write >= policy.min_age;
        let reason = match file.class {
            FileClass::Manifest if manifests.contains(&id) && chain_goes => DeletionReason::Fork,
            FileClass::Manifest if manifests.contains(&id) => DeletionReason::Version,
            FileClass::BranchFile | FileClass::Hint if chain_goes => DeletionReason::Fork,
            FileClass::Part(unit) if needed[unit.0 as usize] => continue,
            FileClass::Part(unit) if explained[unit.0 as usize] => {
                DeletionReason::OnlyRemovedVersions
            }
            FileClass::Part(_) | FileClass::Litter if chain_goes => DeletionReason::Fork,
            FileClass::Part(_) | FileClass::Litter if is_old => DeletionReason::Unreferenced,
            FileClass::Part(_) | FileClass::Litter => {
                plan.unverified_left.files += 1;
                plan.unverified_left.bytes += file.bytes;
                continue;
            }
            _ => continue,
        };
        let step = match file.class {
            FileClass::BranchFile => DeletionStep::BranchFile,
            FileClass::Manifest => DeletionStep::Manifest,
            _ => DeletionStep::Rest,
        };
        plan.deletions.push(Deletion {
            file: id,
            path: file.path.clone(),
            bytes: file.bytes,
            step,
            reason,
        });
    }
    breaker(dataset, policy, plan);
    plan.deletions.sort_by_cached_key(|deletion| {
        // Forks go before what they were cut from.
        let file = &dataset.files[deletion.file.0 as usize];
        let depth = match file.class {
            FileClass::BranchFile => file.chain.map_or(0, |chain| depth(dataset, chain as usize)),
            _ => 0,
        };
        (deletion.step, Reverse(depth), deletion.path.clone())
    });
}

/// How many forks lie between a chain and main.
fn depth(dataset: &DatasetFacts, chain: usize) -> usize {
    let mut at = &dataset.chains[chain];
    for depth in 0..dataset.chains.len() {
        let Some(fork) = &at.fork else { return depth };
        let Some(parent) = dataset.chains.iter().find(|chain| chain.branch == fork.parent) else {
            return depth + 1;
        };
        at = parent;
    }
    dataset.chains.len()
}

/// When each unit was last written to: as long as one of its files is young, somebody may be
/// writing the others, and what is there of it must wait for them.
fn units_written(dataset: &DatasetFacts) -> Vec<DateTime<Utc>> {
    let mut written = vec![DateTime::<Utc>::MIN_UTC; dataset.units as usize];
    for file in &dataset.files {
        if let FileClass::Part(unit) = file.class {
            let last = &mut written[unit.0 as usize];
            *last = file.modified.max(*last);
        }
    }
    written
}

/// So much litter is rather a mistake of ours than litter.
fn breaker(dataset: &DatasetFacts, policy: &Retention, plan: &mut DatasetPlan) {
    let is_litter = |deletion: &&Deletion| deletion.reason == DeletionReason::Unreferenced;
    let count = plan.deletions.iter().filter(is_litter).count();
    let limit = u64::from(policy.max_delete_percent) * dataset.files.len() as u64;
    if count as u64 * 100 <= limit {
        return;
    }
    let bytes: u64 = plan.deletions.iter().filter(is_litter).map(|deletion| deletion.bytes).sum();
    plan.deletions.retain(|deletion| deletion.reason != DeletionReason::Unreferenced);
    plan.unverified_left.files += count as u64;
    plan.unverified_left.bytes += bytes;
    plan.warnings.push(format!(
        "{count} of {} files are referred to by nothing, more than {} %: they stay; look at them, then allow it with --max-delete-percent",
        dataset.files.len(),
        policy.max_delete_percent
    ));
}
