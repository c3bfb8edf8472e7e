//! Which forks are orphans, and what goes with them.

use super::*;

/// Table T with an old fork B; branch B of the graph reads main.
fn moved_off() -> World {
    let table = Table::of_graph("T").with(1..=3).fork("B", "main", 1);
    World::graph([table]).live("main", "", &[("T", "main", 3)], &[]).live(
        "B",
        "main",
        &[("T", "main", 3)],
        &[],
    )
}

fn with_fork(change: impl FnOnce(Table) -> Table) -> World {
    let mut world = moved_off();
    world.tables[0] = change(world.tables[0].clone());
    world
}

const ORPHAN: &str = "orphan: no live branch, retained commit or merge base reads it";
const YOUNG: &str = "indeterminate: it is young: a writer may be about to publish it";

#[test]
fn a_fork_whose_branch_is_gone_goes_with_all_that_is_in_it() {
    let mut world = with_fork(|table| {
        table
            .stray("tree/B/data/stray.lance", OLD)
            .other("tree/B/_versions/latest_version_hint.json", OLD, FileClass::Hint)
            .other("tree/B/data/.tmpAb3dEf", OLD, FileClass::Litter)
            .other("tree/B/notes.txt", OLD, FileClass::Untouchable)
    });
    world.authority.branches.pop();
    let plan = world.plan(&keep_one());
    assert_eq!(plan.fork("T", "B"), ORPHAN);
    assert_eq!(plan.kept("T", "main"), [3]);
    assert_eq!(
        plan.deleted("T"),
        [
            "_refs/branches/B.json",
            "_versions/1.manifest",
            "_versions/2.manifest",
            "tree/B/_versions/2.manifest",
            "data/1.lance",
            "data/2.lance",
            "tree/B/_versions/latest_version_hint.json",
            "tree/B/data/.tmpAb3dEf",
            "tree/B/data/2.lance",
            "tree/B/data/stray.lance",
        ]
    );
}

#[test]
fn a_fork_goes_although_its_branch_lives_if_that_reads_elsewhere() {
    assert_eq!(moved_off().plan(&keep_one()).fork("T", "B"), ORPHAN);
}

#[test]
fn a_fork_that_its_branch_reads_stays() {
    let world = moved_off().live("C", "B", &[("T", "B", 2)], &[]);
    let plan = world.plan(&keep_one());
    assert_eq!(plan.fork("T", "B"), "legitimate: a branch or a commit reads it");
    assert_eq!(plan.kept("T", "main"), [1, 3]);
}

#[test]
fn a_branch_cut_from_another_keeps_that_ones_fork_alive_after_it_is_gone() {
    let mut world = moved_off().live("C", "B", &[("T", "B", 2)], &[]);
    world.authority.branches.retain(|branch| branch.branch != Branch::named("B"));
    let plan = world.plan(&keep_one());
    assert_eq!(plan.fork("T", "B"), "legitimate: a branch or a commit reads it");
    assert_eq!(
        plan.why("T", "B", 2),
        "branch C reads it, the newest, among the newest 1"
            .replace("among the newest 1", "the newest one")
    );
}

#[test]
fn a_retained_commit_keeps_the_fork_it_reads() {
    let mut world = moved_off().commit("c", 4, &[], &[("T", "B", 2), ("T", "main", 2)]).commit(
        "d",
        5,
        &["c"],
        &[("T", "main", 3)],
    );
    world.authority.branches[1].commits = vec!["d".into(), "c".into()];
    let policy = Retention { keep_last: Some(2), ..keep_one() };
    let plan = world.plan(&policy);
    assert_eq!(plan.fork("T", "B"), "legitimate: a branch or a commit reads it");
    assert_eq!(plan.kept("T", "main"), [1, 2, 3]);
    assert_eq!(world.plan(&keep_one()).fork("T", "B"), ORPHAN);
}

#[test]
fn a_fork_that_a_merge_base_reads_stays() {
    let world = World::graph([Table::of_graph("T").with(1..=3).fork("B", "main", 1)])
        .live("main", "", &[("T", "main", 3)], &["m", "base"])
        .live("B", "main", &[("T", "main", 3)], &["b", "base"])
        .commit_on("B", "base", 4, &[], &[("T", "B", 2), ("T", "main", 2)])
        .commit("m", 5, &["base"], &[("T", "main", 3)])
        .commit("b", 6, &["base"], &[("T", "main", 3)]);
    assert!(world.plan(&keep_one()).fork("T", "B").starts_with("legitimate"));
}

#[test]
fn a_tagged_fork_stays() {
    let world = with_fork(|table| table.tag("B", 2, "v"));
    assert_eq!(world.plan(&keep_one()).fork("T", "B"), "legitimate: it is tagged");
}

#[test]
fn a_fork_that_stays_keeps_all_it_descends_from() {
    // Branch C reads fork C, which was cut from B, which was cut from A.
    let table =
        Table::of_graph("T").with(1..=3).fork("A", "main", 1).fork("B", "A", 2).fork("C", "B", 3);
    let world = World::graph([table]).live("main", "", &[("T", "main", 3)], &[]).live(
        "C",
        "main",
        &[("T", "C", 4)],
        &[],
    );
    let plan = world.plan(&keep_one());
    assert_eq!(plan.fork("T", "B"), "legitimate: branch C was cut from it");
    assert_eq!(plan.fork("T", "A"), "legitimate: branch B was cut from it");
    assert_eq!(plan.kept("T", "main"), [1, 3]);
}

#[test]
fn a_fork_of_an_orphan_goes_with_it_and_their_fork_points_too() {
    let table = Table::of_graph("T").with(1..=3).fork("A", "main", 1).fork("B", "A", 2);
    let world = World::graph([table]).live("main", "", &[("T", "main", 3)], &[]);
    let plan = world.plan(&keep_one());
    assert_eq!((plan.fork("T", "A"), plan.fork("T", "B")), (ORPHAN.into(), ORPHAN.into()));
    assert_eq!(plan.kept("T", "main"), [3]);
}

#[test]
fn files_of_an_orphan_that_somebody_else_still_reads_stay() {
    let world = with_fork(|table| table.shares("main", 3, &["tree/B/data/2.lance"]));
    let plan = world.plan(&keep_one());
    assert_eq!(plan.fork("T", "B"), ORPHAN);
    assert!(!plan.deletes("T", "tree/B/data/2.lance"), "{:?}", plan.deleted("T"));
}

#[test]
fn a_fork_stays_while_its_branch_file_is_young() {
    let table = Table::of_graph("T").with(1..=3).branch("B", "main", 1, 59).version("B", 2, OLD);
    let mut world = moved_off();
    world.tables[0] = table;
    assert_eq!(world.plan(&keep_one()).fork("T", "B"), YOUNG);
}

#[test]
fn a_fork_stays_while_its_newest_version_is_young() {
    assert_eq!(
        with_fork(|table| table.version("B", 3, 59)).plan(&keep_one()).fork("T", "B"),
        YOUNG
    );
    assert_eq!(
        with_fork(|table| table.version("B", 3, 60)).plan(&keep_one()).fork("T", "B"),
        ORPHAN
    );
}

#[test]
fn internal_branches_and_those_of_old_runs_are_nobodys_orphans() {
    for name in ["__run__01", "__schema_apply_lock__"] {
        let table = Table::of_graph("T").with(1..=3).fork(name, "main", 1);
        let world = World::graph([table]).live("main", "", &[("T", "main", 3)], &[]);
        let plan = world.plan(&keep_one());
        assert_eq!(plan.fork("T", name), "legitimate: it is an internal branch");
        let path = format!("_refs/branches/{name}.json");
        assert!(!plan.deletes("T", &path), "{:?}", plan.deleted("T"));
    }
}

#[test]
fn branches_of_a_database_and_of_the_manifest_are_their_own_authority() {
    let plain = World::database([Table::plain("T").with(1..=3).fork("B", "main", 1)]);
    assert_eq!(
        plain.plan(&keep_one()).fork("T", "B"),
        "legitimate: the table is its own authority"
    );
    let graph = moved_off().manifest(|table| table.fork("B", "main", 1));
    assert_eq!(
        graph.plan(&keep_one()).fork(MANIFEST, "B"),
        "legitimate: it is a branch of the graph"
    );
}

#[test]
fn a_branch_of_the_commit_history_lives_as_long_as_the_graphs_branch() {
    let commits =
        Table::new("commits", Role::Commits).with([1]).fork("B", "main", 1).fork("gone", "main", 1);
    let mut world = moved_off();
    world.tables.push(commits);
    let plan = world.plan(&keep_one());
    assert_eq!(plan.fork("commits", "B"), "legitimate: it is a branch of the graph");
    assert_eq!(plan.fork("commits", "gone"), ORPHAN);
}

#[test]
fn a_branch_directory_without_a_branch_goes_once_all_in_it_is_old() {
    let zombie = |age| {
        with_fork(|table| table.zombie("Z").version("Z", 2, OLD).stray("tree/Z/data/x.lance", age))
            .plan(&keep_one())
    };
    let (week, plan) = (7 * 24 * 60, zombie(OLD));
    for path in ["tree/Z/_versions/2.manifest", "tree/Z/data/2.lance", "tree/Z/data/x.lance"] {
        assert!(plan.deletes("T", path), "{path}");
        assert!(!zombie(week - 1).deletes("T", path), "{path}");
        assert!(zombie(week).deletes("T", path), "{path}");
    }
}

#[test]
fn a_fork_stays_while_somebody_writes_files_into_it() {
    let world = with_fork(|table| table.stray("tree/B/data/staged.lance", 59));
    let plan = world.plan(&keep_one());
    assert_eq!(plan.fork("T", "B"), YOUNG);
    assert!(!plan.deletes("T", "tree/B/data/staged.lance"), "{:?}", plan.deleted("T"));
}

#[test]
fn children_go_before_the_forks_they_were_cut_from() {
    // By name the parents come first.
    let table = Table::of_graph("T")
        .with(1..=3)
        .fork("a", "main", 1)
        .fork("b", "a", 2)
        .fork("c", "b", 3)
        .fork("d", "a", 2);
    let world = World::graph([table]).live("main", "", &[("T", "main", 3)], &[]);
    let plan = world.plan(&keep_one());
    let branch_files = plan.deleted("T").into_iter().take(4);
    let names = ["c", "b", "d", "a"].map(|name| format!("_refs/branches/{name}.json"));
    assert_eq!(branch_files.collect::<Vec<_>>(), names);
}

#[test]
fn the_writer_window_holds_for_forks_whatever_their_least_age() {
    let world = with_fork(|table| table.version("B", 3, 9));
    let policy = Retention { min_fork_age: TimeDelta::zero(), ..keep_one() };
    let plan = world.plan(&policy);
    assert_eq!(plan.fork("T", "B"), YOUNG);
    assert!(plan.kept("T", "B").contains(&3));
}

#[test]
fn a_branch_directory_without_a_branch_is_a_branch_in_the_making_at_first() {
    // A writer is between the first version of its branch and the branch file.
    let world = with_fork(|table| table.zombie("Z").version("Z", 2, 59));
    let policy = Retention { min_age: TimeDelta::zero(), ..keep_one() };
    let plan = world.plan(&policy);
    assert!(!plan.deletes("T", "tree/Z/_versions/2.manifest"), "{:?}", plan.deleted("T"));
    assert!(!plan.deletes("T", "tree/Z/data/2.lance"), "{:?}", plan.deleted("T"));
}

#[test]
fn a_branch_directory_without_a_branch_keeps_what_a_branch_reads_or_a_tag_names() {
    let zombie = |table: Table| table.zombie("Z").version("Z", 2, OLD).version("Z", 3, OLD);
    let read = with_fork(zombie).live("Z", "main", &[("T", "Z", 2)], &[]).plan(&keep_one());
    assert_eq!(read.why("T", "Z", 2), "branch Z reads it");
    let tagged = with_fork(|table| zombie(table).tag("Z", 2, "v")).plan(&keep_one());
    assert_eq!(tagged.why("T", "Z", 2), "tag v");
    for plan in [read, tagged] {
        assert!(plan.deleted("T").iter().all(|path| !path.starts_with("tree/Z")));
    }
}

#[test]
fn a_branch_directory_without_a_branch_stays_while_a_fork_descends_from_it() {
    let world = with_fork(|table| table.zombie("Z").version("Z", 2, OLD).fork("C", "Z", 2)).live(
        "C",
        "main",
        &[("T", "C", 3)],
        &[],
    );
    let plan = world.plan(&keep_one());
    assert!(!plan.deletes("T", "tree/Z/_versions/2.manifest"), "{:?}", plan.deleted("T"));
}

#[test]
fn a_fork_that_is_too_young_to_judge_is_left_alone_altogether() {
    // What goes of it may be all that tells that somebody is at work.
    let world = with_fork(|table| {
        table.version("B", 3, 30).version("B", 4, OLD).stray("tree/B/data/stray.lance", OLD).other(
            "tree/B/data/.tmpAb3dEf",
            OLD,
            FileClass::Litter,
        )
    });
    let plan = world.plan(&keep_one());
    assert_eq!(plan.kept("T", "B"), [2, 3, 4]);
    assert_eq!(plan.why("T", "B", 2), "its branch may be needed");
    assert!(plan.deleted("T").iter().all(|path| !path.starts_with("tree/B")));
    assert_eq!(plan.of("T").unverified_left, Leftover { files: 2, bytes: 20 });
}

#[test]
fn a_young_fork_that_only_a_rule_about_commits_needs_is_left_alone_too() {
    // One rule more must not delete what stays without it.
    let mut world = with_fork(|table| table.version("B", 3, 30).version("B", 4, OLD));
    world = world.commit("c", 4, &[], &[("T", "B", 2)]);
    world.authority.branches[1].commits.push("c".into());
    let plan = world.plan(&Retention { keep_last: Some(1), ..keep_one() });
    assert_eq!(plan.fork("T", "B"), YOUNG);
    assert_eq!(plan.kept("T", "B"), [2, 3, 4]);
}

#[test]
fn forks_that_could_not_be_deleted_are_left_alone_and_versions_they_do_not_need_go() {
    let mut world = with_fork(|table| table.shares("B", 2, &["data/1.lance"]));
    world.tables[0].0.stuck = [Branch::named("B")].into();
    let plan = world.plan(&keep_one());
    assert_eq!(plan.fork("T", "B"), "indeterminate: it could not be deleted");
    assert!(plan.of("T").forks[0].is_said, "its failure speaks of it");
    assert_eq!(plan.kept("T", "main"), [1, 3]);
    assert_eq!(plan.deleted("T"), ["_versions/2.manifest", "data/2.lance"]);
}

#[test]
fn a_fork_that_a_sidecar_in_quarantine_may_be_about_stays_until_that_is_taken_away() {
    let aside = "indeterminate: a sidecar in quarantine may be about it";
    let mut world = moved_off();
    world.authority.holds_quarantine = true;
    let plan = world.plan(&keep_one());
    assert_eq!(plan.fork("T", "B"), aside);
    assert_eq!(plan.kept("T", "B"), [2]);
    assert!(!plan.of("T").forks[0].is_said, "nothing else speaks of it");
    // One that its branch reads is that branch's.
    let mut read = moved_off();
    read.authority.holds_quarantine = true;
    let [_, branch] = &mut read.authority.branches[..] else { panic!("two branches") };
    branch.pins.as_mut().unwrap()[0].chain.branch = Branch::named("B");
    assert_eq!(read.plan(&keep_one()).fork("T", "B"), "legitimate: a branch or a commit reads it");
    // Whoever deletes the branch deletes what it may have committed.
    world.authority.branches.pop();
    assert_eq!(world.plan(&keep_one()).fork("T", "B"), ORPHAN);
}

#[test]
fn an_undecided_fork_is_said_by_the_failure_of_the_branch_that_cannot_be_read() {
    let is_said = |world: World| world.plan(&keep_one()).of("T").forks[0].is_said;
    let mut unread = with_fork(|table| table);
    unread.authority.branches[1].pins = Err("damaged".into());
    assert!(is_said(unread));
    let young = Table::of_graph("T").with(1..=3).branch("B", "main", 1, 5).version("B", 2, 5);
    let world = World::graph([young]).live("main", "", &[("T", "main", 3)], &[]);
    assert_eq!(world.plan(&keep_one()).fork("T", "B"), YOUNG);
    assert!(!is_said(world));
}
