//! A branch whose file is gone, while what was published to it is there: nothing of it goes.

use super::*;
use crate::branch::{Dependant, only_it, plan_delete};

/// The file of branch B is gone. B forked T, whose fork has its own file, and reads an old version of U.
fn world() -> World {
    let mut forked = Table::of_graph("T").with(1..=3);
    forked = forked.branch("B", "main", 1, OLD).version("B", 2, OLD).version("B", 3, OLD);
    let half = Table::of_graph("H").with(1..=2).zombie("B").version("B", 3, OLD);
    let commits = Table::new("commits", Role::Commits).with(1..=2).fork("B", "main", 2);
    World::graph([forked, Table::of_graph("U").with(1..=3), half, commits])
        .manifest(|table| table.zombie("B").version("B", 6, OLD).version("B", 7, OLD))
        .live("main", "", &[("T", "main", 3), ("U", "main", 3), ("H", "main", 2)], &["m1"])
        .commit("m1", 5, &[], &[("T", "main", 1), ("U", "main", 1)])
        .commit_on("B", "b1", 7, &["m1"], &[("T", "B", 3), ("U", "main", 2)])
}

fn lost() -> World {
    world().lost("B", &[("T", "B", 3), ("U", "main", 2)], &["b1", "m1"])
}

const ALL: [&str; 5] = ["T", "U", "H", "commits", MANIFEST];

#[test]
fn nothing_of_a_branch_whose_file_was_lost_goes_nor_what_it_reads_elsewhere() {
    let plan = lost().plan(&keep_one());
    for table in ALL {
        let its: Vec<&str> =
            plan.deleted(table).into_iter().filter(|path| path.contains('B')).collect();
        assert_eq!(its, [""; 0], "of {table}");
    }
    assert_eq!(plan.kept("T", "B"), [2, 3]);
    assert!(plan.why("U", "main", 2).starts_with("branch B reads it"));
    for table in ["T", "commits"] {
        assert_eq!(
            plan.fork(table, "B"),
            "indeterminate: B is no branch, but was published to: its file may be lost"
        );
    }
    // Where it and main can be merged from, once it is back.
    assert!(plan.kept("U", "main").contains(&1) && plan.kept(MANIFEST, "main").contains(&5));
    // Others lose what they lose anyway.
    assert!(plan.deletes("T", "data/2.lance"), "{:?}", plan.deleted("T"));
}

#[test]
fn once_a_person_has_had_it_taken_away_its_forks_are_nobody_s() {
    let plan = world().plan(&keep_one());
    assert!(plan.fork("T", "B").starts_with("orphan"), "{}", plan.fork("T", "B"));
    assert!(plan.deletes(MANIFEST, "tree/B/_versions/7.manifest"));
}

#[test]
fn what_a_lost_branch_that_cannot_be_read_may_need_stays() {
    let mut world = lost();
    let facts = world.authority.branches.last_mut().expect("B");
    facts.pins = Err("damaged".into());
    let plan = world.plan(&keep_one());
    // Its descent is not known: it may read any branch.
    for table in ALL {
        assert_eq!(plan.deleted(table), [""; 0], "of {table}");
    }
}

#[test]
fn a_branch_that_a_lost_one_reads_cannot_be_deleted_but_what_is_left_of_the_lost_one_can() {
    let mut world = world().live("A", "main", &[("T", "A", 2)], &[]);
    world.tables[0] = world.tables[0].clone().fork("A", "main", 1);
    let world = world.lost("B", &[("T", "A", 2)], &[]);
    let delete = |branch: &str| {
        let inventory = CleanupInventory {
            authority: &world.authority,
            running: &world.running,
            datasets: world.tables.iter().map(|table| &table.0).collect(),
        };
        plan_delete(&inventory, &Branch::named(branch), &only_it(TimeDelta::zero()), now())
    };
    let reads = Dependant::Lost { branch: Branch::named("B"), reads: Some(vec!["T".to_owned()]) };
    assert!(delete("A").dependants.contains(&reads), "{:?}", delete("A").dependants);
    assert!(reads.to_string().contains("recover ROOT --assume-dead B --confirm"), "{reads}");
    let of_lost = delete("B");
    assert_eq!(of_lost.dependants, []);
    let manifest = of_lost.datasets.iter().find(|dataset| dataset.location == MANIFEST).unwrap();
    assert_eq!(manifest.deletions.len(), 4, "{:?}", manifest.deletions);
}
