//! What holds of every plan, for roots made up at random.

mod model;
mod story;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use lancekeeper_model::{ForkRefStatus, Version};
use proptest::prelude::*;

use super::tests::{Outcome, Table, World};
use super::*;
use model::{Model, Place, Verdict};
use world::{policy, rolls};

/// Versions that a plan keeps.
fn kept(plan: &Outcome) -> BTreeSet<Place> {
    let datasets = plan.0.datasets.iter();
    datasets
        .flat_map(|dataset| {
            let kept = dataset.kept.iter();
            kept.map(|kept| (dataset.location.clone(), kept.branch.clone(), kept.version))
        })
        .collect()
}

fn removed(plan: &Outcome) -> BTreeSet<Place> {
    let datasets = plan.0.datasets.iter();
    datasets
        .flat_map(|dataset| {
            let removed = dataset.removed.iter().cloned();
            removed.map(|(branch, version)| (dataset.location.clone(), branch, version))
        })
        .collect()
}

/// Files that a plan deletes, by dataset and path.
fn deleted(plan: &Outcome) -> BTreeSet<(String, String)> {
    let datasets = plan.0.datasets.iter();
    datasets
        .flat_map(|dataset| {
            let deletions = dataset.deletions.iter();
            deletions.map(|deletion| (dataset.location.clone(), deletion.path.clone()))
        })
        .collect()
}

/// Every listed dataset with its plan.
fn pairs<'a>(
    world: &'a World,
    plan: &'a Outcome,
) -> impl Iterator<Item = (&'a DatasetFacts, &'a DatasetPlan)> {
    world.tables.iter().map(|table| &table.0).zip(&plan.0.datasets)
}

/// A unit that goes, by its deletions.
fn units(dataset: &DatasetFacts, plan: &DatasetPlan) -> BTreeSet<UnitId> {
    let classes =
        plan.deletions.iter().map(|deletion| dataset.files[deletion.file.0 as usize].class);
    classes
        .filter_map(|class| match class {
            FileClass::Part(unit) | FileClass::Blob { own: unit, .. } => Some(unit),
            _ => None,
        })
        .collect()
}

/// The root after a plan was carried out, looked at again.
fn applied(world: &World, plan: &Outcome) -> World {
    let mut after = world.clone();
    for (table, dataset) in after.tables.iter_mut().zip(&plan.0.datasets) {
        *table = without(&table.0, dataset);
    }
    let manifest = after.authority.manifest.clone();
    let existing: BTreeSet<_> = after
        .tables
        .iter()
        .filter(|table| table.0.location == manifest)
        .flat_map(|table| &table.0.chains)
        .flat_map(|chain| chain.versions.iter().map(move |v| (chain.branch.clone(), v.version)))
        .collect();
    for commit in &mut after.authority.commits {
        if !existing.contains(&(commit.branch.clone(), commit.manifest_version)) {
            commit.pins = None;
        }
    }
    after
}

fn without(dataset: &DatasetFacts, plan: &DatasetPlan) -> Table {
    let gone: BTreeSet<FileId> = plan.deletions.iter().map(|deletion| deletion.file).collect();
    let ids = (0..).map(FileId).take(dataset.files.len());
    let left: Vec<FileId> = ids.filter(|id| !gone.contains(id)).collect();
    let moved: BTreeMap<FileId, FileId> =
        left.iter().zip(0..).map(|(old, new)| (*old, FileId(new))).collect();
    let mut after = dataset.clone();
    let empty = plan.empties.filter(|_| plan.refused.is_none()).map(Version::next);
    after.files = left.iter().map(|id| dataset.files[id.0 as usize].clone()).collect();
    after.explained.retain_mut(|id| {
        moved.get(id).is_some_and(|new| {
            *id = *new;
            true
        })
    });
    for chain in &mut after.chains {
        chain.versions.retain_mut(|version| {
            moved.get(&version.manifest).is_some_and(|new| {
                version.manifest = *new;
                true
            })
        });
        if let Some(fork) = &mut chain.fork {
            match moved.get(&fork.file) {
                Some(new) => fork.file = *new,
                // What is left of it is a directory without a branch.
                None => (chain.fork, chain.is_zombie) = (None, true),
            }
        }
    }
    match empty {
        Some(Version(version)) => {
            let mut after = Table(after).version_of("main", version, 0, &[]);
            after.found("main", version).fragments = 0;
            after
        }
        None => Table(after),
    }
}

fn judged(world: &World, policy: &Retention) -> (Outcome, Verdict) {
    (world.plan(policy), Model::new(world, policy).verdict())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn what_stays_is_what_the_words_of_the_design_say_each_with_a_reason(
        rolls in rolls(),
        policy in policy(),
    ) {
        let (plan, verdict) = judged(&rolls.world(), &policy);
        prop_assert_eq!(kept(&plan), verdict.kept);
        prop_assert_eq!(removed(&plan), verdict.removed);
        for kept in plan.0.datasets.iter().flat_map(|dataset| &dataset.kept) {
            prop_assert!(!kept.reasons.is_empty(), "{:?}", kept);
        }
    }

    #[test]
    fn what_merges_start_from_and_writers_may_have_opened_stays(
        steps in story::steps(),
        minutes in 0..8_i64,
        policy in policy(),
    ) {
        let world = story::world(&steps, minutes);
        let (plan, verdict) = judged(&world, &policy);
        prop_assert_eq!(kept(&plan), verdict.kept);
        prop_assert_eq!(removed(&plan), verdict.removed);
    }

    #[test]
    fn the_files_that_go_are_those_that_the_words_of_the_design_let_go(
        rolls in rolls(),
        policy in policy(),
    ) {
        let (plan, verdict) = judged(&rolls.world(), &policy);
        prop_assert_eq!(deleted(&plan), verdict.deleted);
    }

    #[test]
    fn every_file_is_kept_or_deleted_once_and_every_deletion_is_explained(
        rolls in rolls(),
        policy in policy(),
    ) {
        let world = rolls.world();
        let plan = world.plan(&policy);
        for (dataset, plan) in pairs(&world, &plan) {
            let orphans: BTreeSet<_> = plan.forks.iter()
                .filter(|fork| fork.status == ForkRefStatus::Orphan)
                .map(|fork| &fork.branch)
                .collect();
            let mut seen = BTreeSet::new();
            for deletion in &plan.deletions {
                let file = &dataset.files[deletion.file.0 as usize];
                prop_assert!(seen.insert(deletion.file), "{} goes twice", deletion.path);
                prop_assert_eq!((&file.path, file.bytes), (&deletion.path, deletion.bytes));
                let chain = file.chain.map(|at| &dataset.chains[at as usize]);
                let versions = || dataset.chains.iter().flat_map(|chain| &chain.versions);
                let is_referred_to = |unit| versions().any(|version| version.refs.contains(&unit));
                let is_explained = match (deletion.reason, file.class) {
                    (_, FileClass::Untouchable) => false,
                    (DeletionReason::Fork, _) => chain
                        .is_some_and(|chain| chain.is_zombie || orphans.contains(&chain.branch)),
                    (DeletionReason::Version, FileClass::Manifest) => {
                        let mut of_chain = chain.into_iter().flat_map(|chain| &chain.versions);
                        of_chain.any(|version| version.manifest == deletion.file
                            && chain.is_some_and(|chain| plan.removed.contains(&(chain.branch.clone(), version.version))))
                    }
                    (
                        DeletionReason::OnlyRemovedVersions,
                        FileClass::Part(unit) | FileClass::Blob { beside: Some(unit), .. },
                    ) => {
                        is_referred_to(unit) || dataset.explained.iter().any(|file|
                            dataset.files[file.0 as usize].class.units().any(|one| one == unit))
                    }
                    (DeletionReason::OnlyRemovedVersions, FileClass::Blob { .. }) => {
                        dataset.explained.contains(&deletion.file)
                    }
                    (DeletionReason::UnnamedBlob, FileClass::Blob { .. }) => {
                        tests::now() - file.modified >= policy.min_age
                    }
                    (DeletionReason::Unreferenced, FileClass::Part(unit)) => !is_referred_to(unit),
                    (DeletionReason::Unreferenced, FileClass::Blob { own, beside: Some(unit) }) => {
                        !is_referred_to(own) && !is_referred_to(unit)
                    }
                    (DeletionReason::Unreferenced, class) => class == FileClass::Litter,
                    _ => false,
                };
                prop_assert!(is_explained, "{deletion:?}");
            }
        }
    }

    #[test]
    fn nothing_goes_that_a_version_which_stays_refers_to(rolls in rolls(), policy in policy()) {
        let world = rolls.world();
        let plan = world.plan(&policy);
        for (dataset, plan) in pairs(&world, &plan) {
            let gone = units(dataset, plan);
            let files: BTreeSet<FileId> = plan.deletions.iter().map(|deletion| deletion.file).collect();
            for chain in &dataset.chains {
                // Whatever the plan calls it: its manifest is there, so it can be opened.
                let staying = chain.versions.iter().filter(|v| !files.contains(&v.manifest));
                for version in staying {
                    for unit in &version.refs {
                        prop_assert!(!gone.contains(unit), "{} of {} {}", version.version, dataset.location, chain.branch);
                    }
                }
            }
            prop_assert!(dataset.held.iter().all(|unit| !gone.contains(unit)));
            // Files of blobs have ages of their own.
            let classes = |unit| move |file: &&FileFacts| file.class == FileClass::Part(unit);
            for unit in gone {
                let of_unit = dataset.files.iter().filter(classes(unit)).count();
                let going = plan.deletions.iter()
                    .map(|deletion| &dataset.files[deletion.file.0 as usize])
                    .filter(classes(unit))
                    .count();
                prop_assert_eq!(of_unit, going, "a unit goes as one");
            }
        }
    }

    #[test]
    fn every_head_and_everything_a_branch_reads_or_a_tag_names_stays(
        rolls in rolls(),
        policy in policy(),
    ) {
        let world = rolls.world();
        let after = applied(&world, &world.plan(&policy));
        let pins: BTreeSet<&PinnedVersion> =
            world.authority.branches.iter().flat_map(|branch| branch.pins.iter().flatten()).collect();
        for (before, after) in world.tables.iter().zip(&after.tables) {
            for (chain, left) in before.0.chains.iter().zip(&after.0.chains) {
                let key = ChainKey { location: before.0.location.clone(), branch: chain.branch.clone() };
                let is_left = |version| left.versions.iter().any(|v| v.version == version);
                let newest = left.versions.last();
                if chain.branch.is_main() && newest.is_some_and(|version| version.fragments == 0) {
                    prop_assert_eq!(before.0.role, Role::Dropped);
                } else if !left.is_zombie {
                    prop_assert_eq!(
                        chain.versions.last().map(|version| version.version),
                        newest.map(|version| version.version)
                    );
                }
                for version in chain.versions.iter().map(|version| version.version) {
                    let pin = PinnedVersion { chain: key.clone(), version };
                    prop_assert!(!pins.contains(&pin) || is_left(version), "{pin:?}");
                }
                for version in chain.versions.iter().filter(|version| !version.tags.is_empty()) {
                    prop_assert!(is_left(version.version), "{key:?}, {}", version.version);
                }
                if let Some(fork) = &left.fork {
                    let of = |table: &Table| table.0.chains.iter()
                        .filter(|chain| chain.branch == fork.parent)
                        .any(|chain| chain.versions.iter().any(|v| v.version == fork.parent_version));
                    prop_assert!(!of(before) || of(&Table(after.0.clone())), "{fork:?}");
                }
            }
        }
    }

    #[test]
    fn carried_out_and_planned_again_nothing_more_goes(rolls in rolls(), policy in policy()) {
        let world = rolls.world();
        let after = applied(&world, &world.plan(&policy));
        let again = after.plan(&policy);
        prop_assert_eq!(deleted(&again), BTreeSet::new());
        // What is refused names what would go.
        for dataset in again.0.datasets.iter().filter(|dataset| dataset.refused.is_none()) {
            prop_assert_eq!(&dataset.removed, &[]);
        }
    }

    #[test]
    fn a_stricter_policy_never_deletes_more(rolls in rolls(), one in policy(), other in policy()) {
        let world = rolls.world();
        // Stopped by too much litter, a laxer policy deletes less: the only exception.
        let loose = Retention { max_delete_percent: 100, ..one };
        let strict = stricter(&loose, &other);
        let (loose, strict) = (world.plan(&loose), world.plan(&strict));
        prop_assert!(deleted(&strict).is_subset(&deleted(&loose)));
        prop_assert!(kept(&strict).is_superset(&kept(&loose)));
    }

    #[test]
    fn names_go_before_what_belongs_to_them(rolls in rolls(), policy in policy()) {
        let world = rolls.world();
        let plan = world.plan(&policy);
        for (dataset, plan) in pairs(&world, &plan) {
            let order: BTreeMap<FileId, usize> =
                plan.deletions.iter().zip(0..).map(|(deletion, at)| (deletion.file, at)).collect();
            for (number, chain) in dataset.chains.iter().enumerate() {
                let branch_file = chain.fork.as_ref().and_then(|fork| order.get(&fork.file));
                for version in &chain.versions {
                    let Some(manifest) = order.get(&version.manifest) else { continue };
                    prop_assert!(branch_file.is_none_or(|file| file < manifest));
                    let parts = dataset.files.iter().zip(0..).filter(|(file, _)| {
                        file.class.units().any(|unit| version.refs.contains(&unit))
                    });
                    for (part, id) in parts {
                        let part_at = order.get(&FileId(id));
                        prop_assert!(part_at.is_none_or(|at| at > manifest), "{}", part.path);
                    }
                }
                let inside = dataset.files.iter().zip(0..).filter(|(file, _)| {
                    file.chain.is_some_and(|at| at as usize == number)
                });
                for (file, id) in inside.filter(|(file, _)| file.class != FileClass::BranchFile) {
                    let at = order.get(&FileId(id));
                    prop_assert!(at.zip(branch_file).is_none_or(|(at, name)| at > name), "{}", file.path);
                }
                let parent = chain.fork.as_ref().and_then(|fork| {
                    dataset.chains.iter().find(|parent| parent.branch == fork.parent)?.fork.as_ref()
                });
                if let Some(parent) = parent.and_then(|parent| order.get(&parent.file)) {
                    prop_assert!(branch_file.is_some_and(|child| child < parent), "{}", chain.branch);
                }
            }
        }
    }
}

/// Both policies' rules and limits at once.
fn stricter(one: &Retention, other: &Retention) -> Retention {
    Retention {
        keep_versions: one.keep_versions.max(other.keep_versions),
        older_than: one.older_than.max(other.older_than),
        keep_last: one.keep_last.max(other.keep_last),
        keep_within: one.keep_within.max(other.keep_within),
        writer_window: one.writer_window.max(other.writer_window),
        min_age: one.min_age.max(other.min_age),
        min_fork_age: one.min_fork_age.max(other.min_fork_age),
        max_delete_percent: one.max_delete_percent.min(other.max_delete_percent),
    }
}
