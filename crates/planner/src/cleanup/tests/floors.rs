//! What something still needs stays, whatever the rules say.

use super::*;

fn pinned_on_main(version: u64) -> World {
    let table = Table::of_graph("T").with(1..=5);
    World::graph([table]).live("main", "", &[("T", "main", version)], &[])
}

#[test]
fn the_newest_version_stays_even_if_a_branch_reads_an_older_one() {
    let plan = pinned_on_main(3).plan(&keep_last(1));
    assert_eq!(plan.kept("T", "main"), [3, 5]);
    assert_eq!(plan.why("T", "main", 3), "branch main reads it");
    assert_eq!(plan.why("T", "main", 5), "the newest");
}

#[test]
fn a_lazy_branch_keeps_the_version_of_main_that_it_reads() {
    let world = pinned_on_main(5).live("lazy", "main", &[("T", "main", 2)], &[]);
    let plan = world.plan(&keep_one());
    assert_eq!(plan.kept("T", "main"), [2, 5]);
    assert_eq!(plan.why("T", "main", 2), "branch lazy reads it");
    assert!(!plan.deletes("T", "data/2.lance"), "{:?}", plan.deleted("T"));
}

#[test]
fn a_pin_keeps_the_version_of_its_own_chain_and_not_the_same_number_elsewhere() {
    let table = Table::of_graph("T").with(1..=5).fork("B", "main", 1).version("B", 3, OLD);
    let world = World::graph([table, Table::of_graph("U").with(1..=5)])
        .live("main", "", &[("T", "main", 5), ("U", "main", 5)], &[])
        .live("B", "main", &[("T", "B", 2), ("U", "main", 5)], &[]);
    let plan = world.plan(&keep_one());
    assert_eq!(plan.kept("T", "B"), [2, 3]);
    assert_eq!(plan.kept("T", "main"), [1, 5]);
    assert_eq!(plan.kept("U", "main"), [5]);
}

#[test]
fn a_tag_keeps_its_version_on_any_branch() {
    let table = Table::plain("T")
        .with(1..=4)
        .tag("main", 2, "release")
        .fork("B", "main", 4)
        .version("B", 6, OLD);
    let plan = World::database([table.tag("B", 5, "draft")]).plan(&keep_one());
    assert_eq!(plan.kept("T", "main"), [2, 4]);
    assert_eq!(plan.why("T", "main", 2), "tag release");
    assert_eq!(plan.kept("T", "B"), [5, 6]);
}

#[test]
fn a_fork_keeps_the_version_it_was_cut_from() {
    let table = Table::plain("T").with(1..=4).fork("B", "main", 2);
    let plan = World::database([table]).plan(&keep_one());
    assert_eq!(plan.kept("T", "main"), [2, 4]);
    assert_eq!(plan.why("T", "main", 2), "branch B was cut from it");
}

#[test]
fn files_of_the_parent_that_only_a_fork_reads_stay() {
    let table = Table::plain("T").with(1..=4).branch("B", "main", 2, OLD).version_of(
        "B",
        3,
        OLD,
        &["data/1.lance", "tree/B/data/x.lance"],
    );
    let plan = World::database([table]).plan(&keep_one());
    assert_eq!(plan.deleted("T"), ["_versions/1.manifest", "_versions/3.manifest", "data/3.lance"]);
}

#[test]
fn a_version_made_by_the_running_operation_stays() {
    let mut world = World::database([Table::plain("T").with(1..=4)]);
    world.own.push(pin(&("T", "main", 2)));
    let plan = world.plan(&keep_one());
    assert_eq!(plan.kept("T", "main"), [2, 4]);
    assert_eq!(plan.why("T", "main", 2), "made by this run");
}

#[test]
fn no_version_committed_within_the_writer_window_goes_by_the_writers_clock() {
    let table = Table::plain("T")
        .version("main", 1, 10)
        .version("main", 2, 9)
        .version("main", 3, 1)
        .version("main", 4, 0);
    let mut table = World::database([table]);
    for file in &mut table.tables[0].0.files {
        file.modified = ago(OLD);
    }
    let plan = table.plan(&keep_one());
    assert_eq!(plan.kept("T", "main"), [1, 2, 3, 4]);
    assert_eq!(
        plan.why("T", "main", 2).split(", ").next(),
        Some("committed within the writer window of 10m")
    );
    assert_eq!(plan.why("T", "main", 1), "the newest until within the writer window of 10m");
}

#[test]
fn no_version_committed_within_the_writer_window_goes_by_the_stores_clock() {
    let mut table = Table::plain("T").with(1..=4);
    for (file, age) in [("_versions/2.manifest", 10), ("_versions/3.manifest", 9)] {
        let id = table.id(file);
        table.0.files[id.0 as usize].modified = ago(age);
    }
    assert_eq!(World::database([table]).plan(&keep_one()).kept("T", "main"), [2, 3, 4]);
}

#[test]
fn the_writer_window_holds_on_the_graphs_own_tables_too() {
    let world =
        pinned_on_main(5).manifest(|table| table.version("main", 10, 3).version("main", 11, 2));
    assert_eq!(world.plan(&keep_one()).kept(MANIFEST, "main"), [9, 10, 11]);
}

#[test]
fn a_version_dated_in_the_future_stays_without_any_window() {
    let table = Table::plain("T").with([1]).version("main", 2, -1).with([3]);
    let policy = Retention { writer_window: TimeDelta::zero(), ..keep_one() };
    let plan = World::database([table]).plan(&policy);
    assert_eq!(plan.kept("T", "main"), [2, 3]);
    assert!(plan.why("T", "main", 2).contains("dated in the future"));
}

#[test]
fn what_a_writer_may_have_opened_within_the_writer_window_stays_readable_as_a_whole() {
    // The newest commit moved T to version 5; the one before, which was the newest until five minutes ago,
    // reads version 2, and whoever has it open can cut a branch from it.
    let table = Table::of_graph("T").with([1, 2, 3, 4]).version("main", 5, 5);
    let world = World::graph([table])
        .live("main", "", &[("T", "main", 5)], &["new", "opened", "old"])
        .commit("old", 2, &[], &[("T", "main", 1)])
        .commit("opened", 3, &["old"], &[("T", "main", 2)])
        .commit("new", 4, &["opened"], &[("T", "main", 5)]);
    let made = |age| {
        let mut world = world.clone();
        world.authority.commits[2].created_at = ago(age);
        world
    };
    let plan = made(5).plan(&keep_one());
    assert_eq!(plan.kept("T", "main"), [2, 4, 5]);
    let why = plan.why("T", "main", 2);
    assert!(why.ends_with("commit opened, which a writer may have opened, needs it"), "{why}");
    assert_eq!(plan.why("T", "main", 4), "the newest until within the writer window of 10m");
    assert!(plan.kept(MANIFEST, "main").contains(&3));
    assert_eq!(plan.lost(), ["old"]);
    assert_eq!(made(10).plan(&keep_one()).kept("T", "main"), [4, 5]);
    let alone = Retention { writer_window: TimeDelta::zero(), ..keep_one() };
    assert_eq!(made(5).plan(&alone).kept("T", "main"), [5]);
}

#[test]
fn a_base_that_only_the_rows_of_both_branches_lead_to_stays() {
    // Main was merged into a and b, which then both went on. The clients look for the base of a and b among
    // the commits of those two alone, and main's is none of them.
    let pins: &[Pin<'_>] = &[("T", "main", 9)];
    let world = World::graph([Table::of_graph("T").with(1..=9)])
        .live("main", "", pins, &["m2", "m1", "root"])
        .live("a", "main", pins, &["a2", "a1", "root"])
        .live("b", "main", pins, &["b2", "b1", "root"])
        .commit("root", 2, &[], &[("T", "main", 1)])
        .commit("m1", 3, &["root"], &[("T", "main", 2)])
        .commit("a1", 4, &["root", "m1"], &[("T", "main", 3)])
        .commit("b1", 5, &["root", "m1"], &[("T", "main", 4)])
        .commit("m2", 6, &["m1"], pins)
        .commit("a2", 7, &["a1"], pins)
        .commit("b2", 8, &["b1"], pins);
    let plan = world.plan(&keep_one());
    assert!(plan.why("T", "main", 1).starts_with("merge base of a and b"));
    assert!(plan.why("T", "main", 2).contains("merge base of a and b"));
    assert!(plan.kept(MANIFEST, "main").contains(&2));
}

/// Branch `work` was merged into main; then both were written again.
fn merged_and_diverged() -> World {
    let table = Table::of_graph("T")
        .with(1..=6)
        .branch("work", "main", 1, OLD)
        .version("work", 2, OLD)
        .version("work", 3, OLD)
        .version("work", 4, OLD);
    World::graph([table])
        .manifest(|table| {
            table
                .branch("work", "main", 2, OLD)
                .version("work", 3, OLD)
                .version("work", 4, OLD)
                .version("work", 5, OLD)
        })
        .live("main", "", &[("T", "main", 6)], &["m3", "m2", "m1"])
        .live("work", "main", &[("T", "work", 4)], &["w3", "w2", "w1", "m1"])
        .commit("m1", 2, &[], &[("T", "main", 1)])
        .commit("m2", 3, &["m1", "w2"], &[("T", "main", 5)])
        .commit("m3", 4, &["m2"], &[("T", "main", 6)])
        .commit_on("work", "w1", 3, &["m1"], &[("T", "work", 2)])
        .commit_on("work", "w2", 4, &["w1"], &[("T", "work", 3)])
        .commit_on("work", "w3", 5, &["w2"], &[("T", "work", 4)])
}

#[test]
fn the_merge_base_of_a_branch_that_was_merged_and_diverged_again_stays() {
    let plan = merged_and_diverged().plan(&keep_one());
    assert!(plan.why("T", "work", 3).starts_with("merge base of main and work"));
    assert!(plan.why(MANIFEST, "work", 4).starts_with("merge base of main and work"));
    assert_eq!(plan.kept("T", "work"), [3, 4]);
    // The older base is one no more: only the fork point of the tables is needed of it.
    assert_eq!(plan.why("T", "main", 1), "branch work was cut from it");
}

#[test]
fn the_version_of_the_manifest_at_a_merge_base_stays_with_all_that_it_pins() {
    let world = World::graph([Table::of_graph("T").with(1..=5), Table::of_graph("U").with(1..=5)])
        .live("main", "", &[("T", "main", 5), ("U", "main", 5)], &["m2", "m1"])
        .live("work", "main", &[("T", "main", 5), ("U", "main", 5)], &["w", "m1"])
        .commit("m1", 4, &[], &[("T", "main", 2), ("U", "main", 3)])
        .commit("m2", 6, &["m1"], &[("T", "main", 5), ("U", "main", 5)])
        .commit("w", 7, &["m1"], &[("T", "main", 5), ("U", "main", 5)]);
    let plan = world.plan(&keep_one());
    assert_eq!(plan.kept("T", "main"), [2, 5]);
    assert_eq!(plan.kept("U", "main"), [3, 5]);
    assert_eq!(plan.kept(MANIFEST, "main"), [4, 6, 7, 9]);
}

#[test]
fn every_pair_of_branches_keeps_its_merge_base_and_not_only_those_with_main() {
    let pins: &[Pin<'_>] = &[("T", "main", 9)];
    let world = World::graph([Table::of_graph("T").with(1..=9)])
        .live("main", "", pins, &["m2", "root"])
        .live("a", "main", pins, &["a2", "a1", "root"])
        .live("b", "a", pins, &["b1", "a1", "root"])
        .commit("root", 2, &[], &[("T", "main", 1)])
        .commit("m2", 3, &["root"], pins)
        .commit("a1", 4, &["root"], &[("T", "main", 3)])
        .commit("a2", 5, &["a1"], pins)
        .commit("b1", 6, &["a1"], pins);
    let plan = world.plan(&keep_one());
    assert_eq!(plan.kept("T", "main"), [1, 3, 9]);
    let both = "merge base of main and a, merge base of main and b";
    assert!(plan.why("T", "main", 1).starts_with(both), "{}", plan.why("T", "main", 1));
    assert!(plan.why("T", "main", 3).starts_with("merge base of a and b"));
}

#[test]
fn criss_cross_merges_keep_both_bases() {
    let pins: &[Pin<'_>] = &[("T", "main", 9)];
    let world = World::graph([Table::of_graph("T").with(1..=9)])
        .live("main", "", pins, &["m3", "m2", "m1", "root"])
        .live("work", "main", pins, &["w3", "w2", "w1", "root"])
        .commit("root", 2, &[], &[("T", "main", 1)])
        .commit("m1", 3, &["root"], &[("T", "main", 2)])
        .commit("w1", 4, &["root"], &[("T", "main", 3)])
        .commit("m2", 5, &["m1", "w1"], &[("T", "main", 4)])
        .commit("w2", 6, &["w1", "m1"], &[("T", "main", 5)])
        .commit("m3", 7, &["m2"], pins)
        .commit("w3", 8, &["w2"], pins);
    let plan = world.plan(&keep_one());
    assert_eq!(plan.kept("T", "main"), [2, 3, 9]);
    assert_eq!(plan.kept(MANIFEST, "main"), [3, 4, 7, 8, 9]);
}

#[test]
fn a_branch_cut_a_moment_ago_has_the_newest_commit_of_its_parent_as_merge_base() {
    let pins: &[Pin<'_>] = &[("T", "main", 5)];
    let world = pinned_on_main(5).live("work", "main", pins, &["m1"]).commit("m1", 3, &[], pins);
    let mut world = world;
    world.authority.branches[0].head_commit = Some("m1".into());
    let plan = world.plan(&keep_one());
    assert!(plan.why(MANIFEST, "main", 3).contains("merge base of main and work"));
}

#[test]
fn a_reader_of_a_version_that_is_gone_is_warned_about() {
    let plan = pinned_on_main(77).plan(&keep_one());
    assert_eq!(
        plan.warnings("T"),
        ["version 77 of branch main is gone already, but branch main reads it"]
    );
}

#[test]
fn a_reader_of_a_fork_that_is_gone_is_warned_about() {
    let world = pinned_on_main(5).live("B", "main", &[("T", "gone", 3)], &[]);
    assert_eq!(
        world.plan(&keep_one()).warnings("T"),
        ["version 3 of branch gone is gone already, but branch B reads it"]
    );
}

#[test]
fn the_head_commit_of_a_branch_stays_even_if_something_it_pins_is_gone() {
    // The next merge makes it the merge base.
    let pins: &[Pin<'_>] = &[("T", "main", 5), ("T", "main", 99)];
    let world = pinned_on_main(5).live("work", "main", pins, &["w"]).commit("w", 3, &[], pins);
    assert_eq!(world.plan(&keep_one()).why(MANIFEST, "main", 3), "commit w stays readable");
}
