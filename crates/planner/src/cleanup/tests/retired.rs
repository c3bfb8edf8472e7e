//! A branch that is being deleted: it goes with all that is its own, and with nothing else.

use super::*;
use crate::branch::{DeletePlan, Dependant, only_it, plan_delete};

/// Branch B, written on: table T is forked, table U is read from where B was cut. Beside it a
/// table of commits, as v3 has one.
fn world() -> World {
    let forked = Table::of_graph("T").with(1..=3).fork("B", "main", 1);
    let mut commits = Table::new("commits", Role::Commits).with(1..=2).fork("B", "main", 2);
    commits = commits.stray("tree/B/data/stray.lance", 0);
    World::graph([forked, Table::of_graph("U").with(1..=2), commits])
        .manifest(|table| table.fork("B", "main", 5))
        .live("main", "", &[("T", "main", 3), ("U", "main", 2)], &["m2", "m1"])
        .live("B", "main", &[("T", "B", 2), ("U", "main", 1)], &["b2", "b1", "m1"])
        .commit("m1", 5, &[], &[("T", "main", 1), ("U", "main", 1)])
        .commit("m2", 9, &["m1"], &[("T", "main", 3), ("U", "main", 2)])
        .commit_on("B", "b1", 6, &["m1"], &[("T", "B", 2), ("U", "main", 1)])
        .commit_on("B", "b2", 6, &["b1"], &[("T", "B", 2), ("U", "main", 1)])
}

fn delete(world: &World) -> DeletePlan {
    aged(world, TimeDelta::zero())
}

fn aged(world: &World, age: TimeDelta) -> DeletePlan {
    let inventory = CleanupInventory {
        authority: &world.authority,
        running: &world.running,
        datasets: world.tables.iter().map(|table| &table.0).collect(),
    };
    plan_delete(&inventory, &Branch::named("B"), &only_it(age), now())
}

fn paths<'p>(plan: &'p DeletePlan, table: &str) -> Vec<&'p str> {
    let dataset = plan.datasets.iter().find(|dataset| dataset.location == table).unwrap();
    dataset.deletions.iter().map(|deletion| deletion.path.as_str()).collect()
}

#[test]
fn a_branch_goes_with_its_forks_and_nothing_else() {
    let plan = delete(&world());
    assert_eq!(plan.dependants, []);
    let of_fork = |version: u64| {
        [
            "_refs/branches/B.json".to_owned(),
            format!("tree/B/_versions/{version}.manifest"),
            format!("tree/B/data/{version}.lance"),
        ]
    };
    assert_eq!(paths(&plan, MANIFEST), of_fork(6));
    assert_eq!(paths(&plan, "T"), of_fork(2));
    assert_eq!(paths(&plan, "U"), [""; 0]);
    // Its directory is nobody's any more: files that were written just now go too.
    let mut commits = of_fork(3).to_vec();
    commits.push("tree/B/data/stray.lance".to_owned());
    assert_eq!(paths(&plan, "commits"), commits);
}

#[test]
fn commits_that_another_branch_merged_are_not_lost() {
    let mut world = world();
    assert_eq!(delete(&world).unmerged, ["b2", "b1"]);
    world.authority.commits[1].parents.push("b1".to_owned());
    assert_eq!(delete(&world).unmerged, ["b2"]);
}

#[test]
fn a_branch_that_another_was_cut_from_stays() {
    let world = world().live("C", "B", &[("T", "main", 3)], &[]);
    assert_eq!(delete(&world).dependants, [Dependant::CutFrom(Branch::named("C"))]);
}

#[test]
fn a_branch_whose_fork_another_reads_stays() {
    let world = world().live("C", "main", &[("T", "B", 2)], &[]);
    let reads = Dependant::Reads { branch: Branch::named("C"), location: "T".to_owned() };
    assert_eq!(delete(&world).dependants, [reads]);
}

#[test]
fn while_another_branch_cannot_be_read_a_branch_stays() {
    let mut world = world().unreadable("C", "main");
    let unreadable = Dependant::Unreadable(Branch::named("C"));
    assert_eq!(delete(&world).dependants[0], unreadable);
    // But one that cannot be read itself can be deleted.
    world.authority.branches.pop();
    world.authority.branches[1].pins = Err("damaged".into());
    let plan = delete(&world);
    assert_eq!(plan.dependants, []);
    assert_eq!(paths(&plan, MANIFEST).len(), 3);
}

#[test]
fn a_branch_that_is_tagged_stays() {
    for table in ["T", MANIFEST] {
        let mut world = world();
        let at = world.tables.iter().position(|t| t.0.location == table).unwrap();
        let version = if table == "T" { 2 } else { 6 };
        world.tables[at] = world.tables[at].clone().tag("B", version, "v1");
        let dependants = delete(&world).dependants;
        assert!(
            matches!(&dependants[0], Dependant::Tag { tag, .. } if tag == "v1"),
            "{dependants:?}"
        );
    }
}

#[test]
fn a_branch_that_a_merge_base_of_others_lies_on_stays() {
    let mut world = world().live("C", "main", &[("T", "main", 1)], &["c1", "b1"]);
    world = world.commit("c1", 7, &["b1"], &[("T", "main", 1)]);
    world.authority.branches[0].commits.push("b1".to_owned());
    world.authority.commits[1].parents.push("b1".to_owned());
    let dependants = delete(&world).dependants;
    assert!(matches!(&dependants[0], Dependant::Needed { .. }), "{dependants:?}");
}

#[test]
fn a_fork_that_another_fork_was_cut_from_stays_with_its_files() {
    let mut world = world().live("C", "main", &[("T", "C", 3)], &[]);
    world.tables[0] =
        world.tables[0].clone().fork("C", "B", 2).shares("C", 3, &["tree/B/data/2.lance"]);
    let plan = delete(&world);
    assert_eq!(plan.dependants, []);
    assert_eq!(paths(&plan, "T"), [""; 0]);
    assert_eq!(plan.datasets[0].forks[0].why, "branch C was cut from it");
    assert_eq!(paths(&plan, MANIFEST).len(), 3);
}

#[test]
fn files_of_a_fork_that_another_table_version_reads_stay() {
    let mut world = world();
    world.tables[0] = world.tables[0].clone().shares("main", 3, &["tree/B/data/2.lance"]);
    assert_eq!(
        paths(&delete(&world), "T"),
        ["_refs/branches/B.json", "tree/B/_versions/2.manifest"]
    );
}

#[test]
fn nested_names_are_other_branches() {
    let mut world = world().live("B/x", "main", &[("T", "B/x", 2)], &[]);
    world.tables[0] = world.tables[0].clone().fork("B/x", "main", 1);
    let plan = delete(&world);
    assert_eq!(plan.dependants, []);
    assert!(plan.datasets.iter().all(|dataset| {
        dataset.deletions.iter().all(|d| !d.path.contains("B/x") && !d.path.contains("B%2Fx"))
    }));
    assert_eq!(paths(&plan, "T").len(), 3);
}

#[test]
fn other_orphans_and_old_litter_are_left_to_a_cleanup() {
    let mut world = world();
    world.tables[0] =
        world.tables[0].clone().fork("gone", "main", 1).stray("data/stray.lance", OLD);
    assert!(paths(&delete(&world), "T").iter().all(|path| path.contains('B')));
}

#[test]
fn what_is_left_of_a_branch_goes_unless_it_is_young() {
    let mut world = world();
    world.authority.branches.pop();
    // Its deletion died after the branch file.
    let at = world.tables.iter().position(|t| t.0.location == MANIFEST).unwrap();
    let chain = &mut world.tables[at].0.chains[1];
    (chain.fork, chain.is_zombie) = (None, true);
    for file in &mut world.tables[at].0.files {
        if file.class == FileClass::BranchFile {
            (file.class, file.chain) = (FileClass::Untouchable, None);
        }
    }
    let plan = delete(&world);
    assert_eq!(plan.dependants, []);
    assert_eq!(paths(&plan, MANIFEST), ["tree/B/_versions/6.manifest", "tree/B/data/6.lance"]);
    let young = aged(&world, TimeDelta::minutes(OLD + 1));
    assert_eq!(paths(&young, MANIFEST), [""; 0]);
    // And a cleanup takes what is old of `__manifest` only when its directory is nobody's.
    let cleaned = world.plan(&keep_one());
    assert_eq!(cleaned.deleted(MANIFEST).iter().filter(|path| path.contains('B')).count(), 2);
}

#[test]
fn a_cleanup_never_takes_a_branch_of_the_graph_it_did_not_read() {
    let mut world = world();
    // Made between the look at the branches and the listing.
    world.authority.branches.pop();
    let plan = world.plan(&keep_one());
    assert_eq!(plan.fork(MANIFEST, "B"), "legitimate: it is a branch of the graph");
}
