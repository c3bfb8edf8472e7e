//! A table that no branch has any more is emptied; its directory stays.

use super::*;

fn graph(dropped: Table) -> World {
    World::graph([Table::of_graph("T").with([1]), dropped]).live(
        "main",
        "",
        &[("T", "main", 1)],
        &[],
    )
}

fn dropped() -> Table {
    Table::new("D", Role::Dropped).with(1..=4)
}

fn empties(world: &World) -> Option<u64> {
    world.plan(&keep_one()).of("D").empties.map(|version| version.0)
}

#[test]
fn the_newest_version_of_a_dropped_table_goes_when_nothing_else_needs_it() {
    let world = graph(dropped());
    let plan = world.plan(&keep_one());
    assert_eq!(empties(&world), Some(4));
    assert_eq!(plan.kept("D", "main"), [0; 0]);
    assert_eq!(plan.deleted("D").len(), 8, "{:?}", plan.deleted("D"));
    assert_eq!(plan.of("T").empties, None);
    assert_eq!(plan.kept("T", "main"), [1], "a table that main has keeps its newest");
}

#[test]
fn a_dropped_table_without_rows_keeps_its_newest_version() {
    let mut table = dropped();
    table.found("main", 4).fragments = 0;
    let world = graph(table);
    assert_eq!(empties(&world), None);
    assert_eq!(world.plan(&keep_one()).kept("D", "main"), [4]);
}

#[test]
fn a_dropped_table_is_not_emptied_while_something_needs_its_newest_version() {
    let tagged = dropped().tag("main", 4, "v");
    let cut = dropped().branch("b", "main", 4, 30).version("b", 5, 30);
    let young = dropped().version("main", 5, 9);
    // What was the newest when the writer window began stays with what replaced it.
    for (table, kept) in [(tagged, &[4][..]), (cut, &[4]), (young, &[4, 5])] {
        let world = graph(table);
        assert_eq!(empties(&world), None);
        assert_eq!(world.plan(&keep_one()).kept("D", "main"), kept);
    }
    let head = World::graph([Table::of_graph("T").with([1]), dropped()])
        .live("main", "", &[("T", "main", 1)], &["c1"])
        .commit("c1", 9, &[], &[("D", "main", 4)]);
    assert_eq!(empties(&head), None);
}

#[test]
fn a_commit_that_the_rules_let_go_does_not_keep_a_dropped_table() {
    let read: &[Pin<'_>] = &[("T", "main", 1), ("D", "main", 4)];
    let world = World::graph([Table::of_graph("T").with([1, 2]), dropped()])
        .live("main", "", &[("T", "main", 2)], &[])
        .commit("c1", 5, &[], read);
    assert_eq!(empties(&world), Some(4));
    assert_eq!(world.plan(&keep_one()).lost(), ["c1"]);
    let two = Retention { keep_versions: Some(2), ..keep_one() };
    assert_eq!(world.plan(&two).of("D").empties, None);
    assert_eq!(world.plan(&two).why("D", "main", 4), "commit c1 stays readable");
}

#[test]
fn the_drop_counts_as_a_version_of_the_table() {
    // Commit c1 reads what main still reads, but for D.
    let world = graph(dropped()).commit("c1", 5, &[], &[("T", "main", 1), ("D", "main", 4)]);
    assert_eq!(empties(&world), Some(4));
    assert_eq!(world.plan(&keep_one()).lost(), ["c1"]);
    let two = Retention { keep_versions: Some(2), ..keep_one() };
    assert_eq!(world.plan(&two).kept("D", "main"), [4]);
    // As much as with the version that stands for it.
    let mut emptied = dropped().with([5]);
    emptied.found("main", 5).fragments = 0;
    let world = graph(emptied).commit("c1", 5, &[], &[("T", "main", 1), ("D", "main", 4)]);
    assert_eq!(world.plan(&keep_one()).lost(), ["c1"]);
    assert_eq!(world.plan(&two).kept("D", "main"), [4, 5]);
}

#[test]
fn a_dropped_table_that_lacks_files_is_refused_and_not_emptied() {
    let mut table = dropped();
    table.found("main", 4).missing = Some(("data/x.lance".into(), 1));
    let plan = graph(table).plan(&keep_one());
    assert!(plan.of("D").refused.is_some());
    assert_eq!(plan.deleted("D"), [""; 0]);
}

#[test]
fn files_that_a_clone_reads_stay_when_a_dropped_table_is_emptied() {
    let mut table = dropped();
    let held = table.unit("data/4.lance");
    table.0.held.push(held);
    let plan = graph(table).plan(&keep_one());
    assert!(plan.deletes("D", "_versions/4.manifest"));
    assert!(!plan.deletes("D", "data/4.lance"));
}
