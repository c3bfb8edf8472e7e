//! Which files go: what only versions that go refer to, and old litter.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::super::inventory::{DatasetFacts, FileClass, FileFacts, FileId, Role, UnitId};
use super::super::policy::Retention;
use super::super::running::Running;
use super::fate::Fate;
use super::{DatasetPlan, Deletion, DeletionReason, DeletionStep};

/// Decides about every file. `fates` has an entry per chain; `stays` one per version, chain by
/// chain.
pub(super) fn decide(
    dataset: &DatasetFacts,
    (fates, stays): (&[Fate], &[bool]),
    running: &Running,
    policy: &Retention,
    now: DateTime<Utc>,
    plan: &mut DatasetPlan,
) {
    let marks = Marks::of(dataset, stays, running);
    for (at, file) in dataset.files.iter().enumerate() {
        let id = FileId(u32::try_from(at).unwrap_or(u32::MAX));
        let fate = file.chain.map_or(Fate::Stays, |chain| fates[chain as usize]);
        let written = marks.last_write(file);
        // Whatever age is asked for: a run that is under way has named no file before it is written.
        let is_old = now - written >= policy.min_age && !running.may_have_written(written);
        let reason = match marks.verdict(dataset, id, fate, is_old) {
            Verdict::Goes(reason) => reason,
            Verdict::Waits => {
                plan.unverified_left.add(file.bytes);
                continue;
            }
            Verdict::Stays => continue,
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
    plan.warnings.extend(dataset.blobs_unread.clone());
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

/// What becomes of a file.
enum Verdict {
    Stays,
    /// Nothing is known to need it, and it may not go yet.
    Waits,
    Goes(DeletionReason),
}

/// What is known of units, by their numbers.
struct Marks {
    /// Something that stays needs it.
    needed: Vec<bool>,
    /// Something that goes, or went, named it.
    explained: Vec<bool>,
    /// When it was last written to: as long as one of its files is young, somebody may be
    /// writing the others, and what is there of it must wait for them.
    written: Vec<DateTime<Utc>>,
    /// Manifests of versions that go.
    manifests: BTreeSet<FileId>,
    /// Files of blobs that an earlier cleanup had decided to delete.
    listed: BTreeSet<FileId>,
}

impl Marks {
    /// `stays` has an entry per version, chain by chain.
    fn of(dataset: &DatasetFacts, stays: &[bool], running: &Running) -> Self {
        let mut marks = Self {
            needed: vec![false; dataset.units as usize],
            explained: vec![false; dataset.units as usize],
            written: units_written(dataset),
            manifests: BTreeSet::new(),
            listed: BTreeSet::new(),
        };
        for unit in &dataset.held {
            marks.needed[unit.0 as usize] = true;
        }
        let named =
            dataset.files.iter().filter(|file| running.names(&dataset.location, &file.path));
        for unit in named.filter_map(|file| written_with(file.class)) {
            marks.needed[unit.0 as usize] = true;
        }
        let versions = dataset.chains.iter().flat_map(|chain| &chain.versions);
        for (version, stays) in versions.zip(stays) {
            if !stays {
                marks.manifests.insert(version.manifest);
            }
            let of_version = if *stays { &mut marks.needed } else { &mut marks.explained };
            for unit in &version.refs {
                of_version[unit.0 as usize] = true;
            }
        }
        for of_units in [&mut marks.needed, &mut marks.explained] {
            for (set, members) in &dataset.sets {
                let is_marked = of_units[set.0 as usize];
                members.iter().for_each(|unit| of_units[unit.0 as usize] |= is_marked);
            }
        }
        for file in &dataset.explained {
            let class = dataset.files[file.0 as usize].class;
            if let Some(unit) = written_with(class) {
                marks.explained[unit.0 as usize] = true;
            }
            if matches!(class, FileClass::Blob { .. }) {
                marks.listed.insert(*file);
            }
        }
        marks
    }

    fn last_write(&self, file: &FileFacts) -> DateTime<Utc> {
        written_with(file.class).map_or(file.modified, |unit| self.written[unit.0 as usize])
    }

    fn is_explained(&self, unit: UnitId) -> bool {
        self.explained[unit.0 as usize]
    }

    fn verdict(&self, dataset: &DatasetFacts, file: FileId, fate: Fate, is_old: bool) -> Verdict {
        let class = dataset.files[file.0 as usize].class;
        let chain_goes = fate == Fate::Goes;
        let if_old = |reason| if is_old { Verdict::Goes(reason) } else { Verdict::Waits };
        match class {
            FileClass::Manifest if !self.manifests.contains(&file) => Verdict::Stays,
            FileClass::Manifest if chain_goes => Verdict::Goes(DeletionReason::Fork),
            FileClass::Manifest => Verdict::Goes(DeletionReason::Version),
            FileClass::BranchFile | FileClass::Hint if chain_goes => {
                Verdict::Goes(DeletionReason::Fork)
            }
            FileClass::BranchFile | FileClass::Hint | FileClass::Untouchable => Verdict::Stays,
            _ if class.units().any(|unit| self.needed[unit.0 as usize]) => Verdict::Stays,
            FileClass::Blob { .. } if dataset.blobs_unread.is_some() => Verdict::Waits,
            _ if fate == Fate::LeftAlone => Verdict::Waits,
            _ if self.is_explained_as_one(class) || self.listed.contains(&file) => {
                Verdict::Goes(DeletionReason::OnlyRemovedVersions)
            }
            _ if chain_goes => Verdict::Goes(DeletionReason::Fork),
            FileClass::Blob { own, beside } if beside.is_none() || self.is_explained(own) => {
                if_old(DeletionReason::UnnamedBlob)
            }
            _ => if_old(DeletionReason::Unreferenced),
        }
    }

    /// Whether what goes, or went, named all of a file that was ever named. A file of blobs that
    /// descriptors name by itself is none of those: whoever stages a rewrite adopts it, and says
    /// so only when that is committed.
    fn is_explained_as_one(&self, class: FileClass) -> bool {
        match class {
            FileClass::Part(unit) => self.is_explained(unit),
            FileClass::Blob { own, beside: Some(unit) } => {
                self.is_explained(unit) && !self.is_explained(own)
            }
            _ => false,
        }
    }
}

/// The unit with whose other files a file is written.
fn written_with(class: FileClass) -> Option<UnitId> {
    match class {
        FileClass::Part(unit) => Some(unit),
        FileClass::Blob { beside, .. } => beside,
        _ => None,
    }
}

fn units_written(dataset: &DatasetFacts) -> Vec<DateTime<Utc>> {
    let mut written = vec![DateTime::<Utc>::MIN_UTC; dataset.units as usize];
    for file in &dataset.files {
        if let Some(unit) = written_with(file.class) {
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
