//! A branch that cannot be read keeps whatever it may pin, and nothing else.

use super::*;

/// Branch C was cut from B and cannot be read; A is its sibling's.
fn world() -> World {
    let table = |name: &str| {
        ["A", "B", "C"].iter().fold(Table::of_graph(name).with(1..=3), |table, branch| {
            table.branch(branch, "main", 1, OLD).version(branch, 2, OLD).version(branch, 3, OLD)
        })
    };
    let pins: &[Pin<'_>] = &[("T", "main", 3), ("U", "main", 3)];
    World::graph([table("T"), table("U")])
        .manifest(|table| {
            ["A", "B"].iter().fold(table, |table, branch| {
                table.branch(branch, "main", 1, OLD).version(branch, 2, OLD).version(branch, 3, OLD)
            })
        })
        .live("main", "", pins, &[])
        .live("A", "main", pins, &[])
        .live("B", "main", pins, &[])
        .unreadable("C", "B")
}

#[test]
fn an_unreadable_branch_keeps_main_itself_and_what_it_descends_from_on_every_dataset() {
    let plan = world().plan(&keep_one());
    for table in ["T", "U"] {
        assert_eq!(plan.kept(table, "main"), [1, 2, 3]);
        assert_eq!(plan.kept(table, "B"), [2, 3]);
        assert_eq!(plan.kept(table, "C"), [2, 3]);
        assert_eq!(plan.why(table, "main", 2), "branch C cannot be read and may need it");
        assert_eq!(plan.fork(table, "B"), "indeterminate: branch C cannot be read and may read it");
    }
    assert_eq!(plan.kept(MANIFEST, "main").len(), 9);
    assert_eq!(plan.kept(MANIFEST, "B"), [2, 3]);
}

#[test]
fn everything_an_unreadable_branch_cannot_pin_is_cleaned_up_all_the_same() {
    let plan = world().plan(&keep_one());
    for table in ["T", "U"] {
        assert!(plan.fork(table, "A").starts_with("orphan"), "{}", plan.fork(table, "A"));
        assert!(plan.deletes(table, "tree/A/data/2.lance"));
    }
    assert_eq!(plan.kept(MANIFEST, "A"), [3]);
}

#[test]
fn litter_goes_whether_or_not_a_branch_can_be_read() {
    let mut world = world();
    world.tables[0] = world.tables[0].clone().stray("data/stray.lance", OLD);
    let plan = world.plan(&keep_one());
    assert_eq!(
        plan.deleted("T").iter().filter(|path| !path.contains('A')).collect::<Vec<_>>(),
        [&"data/stray.lance"]
    );
}

#[test]
fn a_database_has_no_branches_of_a_graph_that_could_be_unreadable() {
    let mut world = world();
    world.tables.push(Table::plain("P").with(1..=3));
    assert_eq!(world.plan(&keep_one()).kept("P", "main"), [3]);
}

#[test]
fn an_unreadable_branch_of_unknown_descent_may_pin_anything() {
    let mut world = world();
    world.authority.branches.retain(|branch| branch.branch != Branch::named("B"));
    let plan = world.plan(&keep_one());
    assert_eq!(plan.kept("T", "A"), [2, 3]);
    assert!(plan.fork("T", "A").starts_with("indeterminate"), "{}", plan.fork("T", "A"));
}
