//! Commits that stay readable, and those that do not.

use super::*;

/// Four commits on main, each with its own version of T; U stays where it is.
fn history() -> World {
    let pins = |version| [("T", "main", version), ("U", "main", 1)];
    let mut world =
        World::graph([Table::of_graph("T").with(1..=4), Table::of_graph("U").with([1])]).live(
            "main",
            "",
            &pins(4),
            &["c4", "c3", "c2", "c1"],
        );
    let mut parents: Vec<&str> = Vec::new();
    for (id, version) in [("c1", 1), ("c2", 2), ("c3", 3), ("c4", 4)] {
        world = world.commit(id, version + 2, &parents, &pins(version));
        parents = vec![id];
    }
    world
}

#[test]
fn the_newest_commits_of_each_branch_stay_readable() {
    let plan = history().plan(&keep_last(2));
    assert_eq!(plan.kept("T", "main"), [3, 4]);
    assert_eq!(plan.why("T", "main", 3), "commit c3 stays readable");
    assert_eq!(plan.kept(MANIFEST, "main"), [5, 6, 9]);
    assert_eq!(plan.lost(), ["c1", "c2"]);
}

#[test]
fn the_newest_commits_are_counted_on_every_branch_for_itself() {
    let world = history().live("work", "main", &[("T", "main", 4)], &["c2", "c1"]);
    assert_eq!(world.plan(&keep_last(1)).kept("T", "main"), [2, 4]);
}

#[test]
fn commits_younger_than_asked_stay_readable() {
    let mut world = history();
    for (commit, age) in world.authority.commits.iter_mut().zip([90, 59, OLD, OLD]) {
        commit.created_at = ago(age);
    }
    let keep_within = Some(TimeDelta::hours(1));
    let policy = Retention { keep_versions: None, keep_within, ..keep_one() };
    let plan = world.plan(&policy);
    assert_eq!(plan.kept("T", "main"), [2, 4]);
    assert_eq!(plan.lost(), ["c1", "c3"]);
}

#[test]
fn a_commit_stays_if_every_version_it_pins_survives_the_rules() {
    let policy = Retention { keep_versions: Some(3), ..keep_one() };
    let plan = history().plan(&policy);
    assert_eq!(plan.kept("T", "main"), [2, 3, 4]);
    assert_eq!(plan.kept(MANIFEST, "main"), [4, 5, 6, 7, 8, 9]);
    assert_eq!(plan.why(MANIFEST, "main", 4), "commit c2 stays readable");
    assert_eq!(plan.lost(), ["c1"]);
}

#[test]
fn commits_that_could_not_be_read_before_are_not_lost() {
    let mut world = history();
    world.authority.commits[0].pins = None;
    assert_eq!(world.plan(&keep_last(2)).lost(), ["c2"]);
}

#[test]
fn dropped_tables_follow_the_commits_that_read_them() {
    let dropped = Table::new("D", Role::Dropped).with(1..=3);
    let mut world = history();
    world.tables.push(dropped);
    for (commit, version) in world.authority.commits.iter_mut().zip(1..=3) {
        commit.pins.as_mut().expect("readable").push(pin(&("D", "main", version)));
    }
    let two = Retention { keep_versions: Some(2), ..keep_one() };
    // Commits c3 and c4 survive by T; of D, 3 and the drop are the newest two.
    assert_eq!(world.plan(&two).kept("D", "main"), [3]);
    assert_eq!(world.plan(&keep_one()).kept("D", "main"), [0; 0]);
    assert_eq!(world.plan(&keep_one()).lost(), ["c1", "c2", "c3"]);
    assert_eq!(world.plan(&keep_last(3)).kept("D", "main"), [2, 3]);
}

#[test]
fn what_could_not_be_looked_at_costs_others_nothing() {
    let mut world = history();
    for commit in &mut world.authority.commits {
        commit.pins.as_mut().expect("readable").push(pin(&("unseen", "main", 1)));
    }
    let policy = Retention { keep_versions: Some(3), ..keep_one() };
    assert_eq!(world.plan(&policy).kept(MANIFEST, "main"), [4, 5, 6, 7, 8, 9]);
    assert_eq!(world.plan(&policy).lost(), ["c1"]);
}

#[test]
fn what_is_refused_loses_nothing_and_costs_no_commit() {
    let mut world = history();
    world.tables[0].found("main", 4).missing = Some(("data/x.lance".into(), 1));
    let plan = world.plan(&keep_one());
    assert!(plan.of("T").refused.is_some());
    // Versions 1 to 3 of T stay where they are, and so do the commits that read them.
    assert_eq!(plan.kept(MANIFEST, "main"), [3, 4, 5, 6, 9]);
    assert_eq!(plan.lost(), [""; 0]);
}
