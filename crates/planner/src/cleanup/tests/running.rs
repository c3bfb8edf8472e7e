//! Runs that are under way while something else is deleted: what they read and what they staged stays,
//! whatever is asked for.

use super::*;
use crate::branch::{only_it, plan_delete};

/// Everything that may go, goes.
fn strictest() -> Retention {
    Retention {
        writer_window: TimeDelta::zero(),
        min_age: TimeDelta::zero(),
        min_fork_age: TimeDelta::zero(),
        ..keep_one()
    }
}

fn running(stages: &[Pin<'_>], began: i64) -> Running {
    let stages = stages.iter().map(pin).collect();
    Running { stages, since: Some(ago(began)), files: BTreeMap::new() }
}

#[test]
fn the_version_a_run_stages_at_stays_with_all_that_came_after_it() {
    let mut world = World::database([
        Table::new("T", Role::Plain).with(1..=5),
        Table::new("U", Role::Plain).with(1..=5),
    ]);
    world.running = running(&[("T", "main", 4), ("T", "main", 3)], 5);
    let plan = world.plan(&strictest());
    assert_eq!(plan.kept("T", "main"), [3, 4, 5]);
    assert_eq!(plan.why("T", "main", 4), "an optimize that is under way needs it");
    assert_eq!(plan.kept("U", "main"), [5]);
    assert_eq!(
        plan.deleted("T"),
        ["_versions/1.manifest", "_versions/2.manifest", "data/1.lance", "data/2.lance"]
    );
}

#[test]
fn what_was_written_since_a_run_began_stays_however_young_files_may_be_to_go() {
    let table = Table::new("T", Role::Plain)
        .with(1..=1)
        .stray("data/before.lance", 6)
        .stray("data/then.lance", 5)
        .stray("data/after.lance", 0)
        .other("data/x.lance#1", 0, FileClass::Litter);
    let mut world = World::database([table]);
    assert_eq!(world.plan(&strictest()).deleted("T").len(), 4);
    world.running = running(&[("T", "main", 1)], 5);
    let plan = world.plan(&strictest());
    assert_eq!(plan.deleted("T"), ["data/before.lance"]);
    assert_eq!(plan.of("T").unverified_left.files, 3);
}

#[test]
fn what_a_journal_names_stays_however_old_it_is_and_whatever_explains_it() {
    let segment = "_indices/0a1b2c3d-0000-4000-8000-0123456789ab";
    let mut table = Table::new("T", Role::Plain).with(1..=1).stray("data/staged.lance", OLD);
    table = table.blob("data/staged/0.blob", Some("data/staged.lance"), OLD);
    table = table.stray("data/other.lance", OLD).stray("data/listed.lance", OLD);
    let unit = table.new_unit();
    table.file(&format!("{segment}/a.idx"), OLD, FileClass::Part(unit));
    let listed = table.id("data/listed.lance");
    table.0.explained.push(listed);
    let mut world = World::database([table]);
    let named = ["data/staged.lance", "data/listed.lance", segment].map(ToOwned::to_owned);
    assert_eq!(world.plan(&strictest()).deleted("T").len(), 5);
    world.running.files.insert("T".to_owned(), BTreeSet::from(named));
    assert_eq!(world.plan(&strictest()).deleted("T"), ["data/other.lance"]);
}

#[test]
fn a_fork_that_a_run_works_on_survives_its_branch_until_the_run_is_over() {
    let forked = Table::of_graph("T").with(1..=3).fork("B", "main", 1);
    let mut world = World::graph([forked])
        .manifest(|table| table.fork("B", "main", 5))
        .live("main", "", &[("T", "main", 3)], &["m1"])
        .live("B", "main", &[("T", "B", 2)], &["b1", "m1"])
        .commit("m1", 5, &[], &[("T", "main", 1)])
        .commit_on("B", "b1", 6, &["m1"], &[("T", "B", 2)]);
    let deleted = |world: &World| {
        let inventory = CleanupInventory {
            authority: &world.authority,
            running: &world.running,
            datasets: world.tables.iter().map(|table| &table.0).collect(),
        };
        let only = only_it(TimeDelta::zero());
        let plan = plan_delete(&inventory, &Branch::named("B"), &only, now());
        assert_eq!(plan.dependants, []);
        plan.datasets.iter().map(|dataset| dataset.deletions.len()).collect::<Vec<_>>()
    };
    assert_eq!(deleted(&world), [3, 3]);
    world.running = running(&[("T", "B", 2)], 5);
    // The branch goes from `__manifest` all the same.
    assert_eq!(deleted(&world), [0, 3]);
    let fork = world.plan(&strictest()).fork("T", "B");
    assert_eq!(fork, "legitimate: an optimize that is under way works on it");
}

#[test]
fn the_directory_of_a_branch_that_is_gone_stays_while_a_run_works_in_it() {
    let table = Table::of_graph("T").with(1..=3).zombie("Z").version("Z", 4, OLD);
    let mut world = World::graph([table]).live("main", "", &[("T", "main", 3)], &[]);
    let goes = |world: &World| {
        let plan = world.plan(&strictest());
        plan.deleted("T").iter().any(|path| path.starts_with("tree/Z/"))
    };
    assert!(goes(&world));
    world.running = running(&[("T", "Z", 4)], 5);
    assert!(!goes(&world));
}
