//! Which files go: what only versions that go refer to, and old litter.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::super::inventory::{DatasetFacts, FileClass, FileId, Role};
use super::super::policy::Retention;
use super::dataset::Fate;
use super::{DatasetPlan, Deletion, DeletionReason, DeletionStep};

/// Decides about every file. `fates` has an entry per chain; `stays` one per version, chain by
/// chain.
pub(super) fn decide(
    dataset: &DatasetFacts,
    fates: &[Fate],
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
        let fate = file.chain.map_or(Fate::Stays, |chain| fates[chain as usize]);
        let (chain_goes, is_left_alone) = (fate == Fate::Goes, fate == Fate::LeftAlone);
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
            FileClass::Part(_) | FileClass::Litter if is_left_alone => {
                plan.unverified_left.add(file.bytes);
                continue;
            }
            FileClass::Part(unit) if explained[unit.0 as usize] => {
                DeletionReason::OnlyRemovedVersions
            }
            FileClass::Part(_) | FileClass::Litter if chain_goes => DeletionReason::Fork,
            FileClass::Part(_) | FileClass::Litter if is_old => DeletionReason::Unreferenced,
            FileClass::Part(_) | FileClass::Litter => {
                plan.unverified_left.add(file.bytes);
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
    // Beside the datasets there is little else, and litter is known there by its name alone.
    if dataset.role == Role::Root {
        return;
    }
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
