//! A table whose newest version is another than the graph says is left to repair.

use super::*;

fn refused(world: &World) -> String {
    let plan = world.plan(&keep_one());
    assert_eq!(plan.of("U").refused, None, "another table is not refused");
    let refused = plan.of("T").refused.clone();
    assert_eq!(plan.deleted("T").is_empty(), refused.is_some());
    refused.unwrap_or_default()
}

fn graph(table: Table, pin: u64) -> World {
    let pins: &[Pin<'_>] = &[("T", "main", pin), ("U", "main", 2)];
    World::graph([table, Table::of_graph("U").with([1, 2])]).live("main", "", pins, &[])
}

#[test]
fn a_table_with_a_version_above_the_published_one_is_refused() {
    assert_eq!(
        refused(&graph(Table::of_graph("T").with(1..=4), 3)),
        "version 4 of branch main is the newest, but 3 is what the graph publishes: it drifted, repair it first"
    );
    assert_eq!(refused(&graph(Table::of_graph("T").with(1..=4), 4)), "");
}

#[test]
fn a_table_without_the_published_version_is_refused() {
    assert_eq!(
        refused(&graph(Table::of_graph("T").with(1..=4), 5)),
        "branch main reads version 5, but 4 is the newest that was found"
    );
}

#[test]
fn a_branch_has_drifted_only_on_its_own_fork() {
    let fork = |pins: &[Pin<'_>]| {
        let table = Table::of_graph("T").with(1..=2).fork("a", "main", 2).version("a", 4, OLD);
        graph(table, 2).live("a", "main", pins, &[]).live("b", "a", &[("T", "a", 3)], &[])
    };
    // Branch b reads what a had when b was cut from it.
    assert_eq!(refused(&fork(&[("T", "a", 4)])), "");
    // And goes on reading it when a has moved off its fork.
    assert_eq!(refused(&fork(&[("T", "main", 2)])), "");
    assert!(refused(&fork(&[("T", "a", 3)])).starts_with("version 4 of branch a is the newest"));
    // A lazy branch pins a version of main that main has left behind.
    let lazy =
        graph(Table::of_graph("T").with(1..=4), 4).live("a", "main", &[("T", "main", 2)], &[]);
    assert_eq!(refused(&lazy), "");
}

#[test]
fn what_a_refused_table_would_have_lost_costs_no_commit() {
    let world = graph(Table::of_graph("T").with(1..=4), 3).commit(
        "c1",
        5,
        &[],
        &[("T", "main", 1), ("U", "main", 2)],
    );
    let plan = world.plan(&keep_one());
    assert_eq!(plan.kept(MANIFEST, "main"), [5, 9]);
    assert_eq!(plan.lost(), [""; 0]);
}
