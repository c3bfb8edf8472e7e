//! Which files go, in which order, and when none may.

use super::*;

fn database(change: impl FnOnce(Table) -> Table) -> World {
    World::database([change(Table::plain("T").with(1..=3))])
}

const OF_OLD_VERSIONS: [&str; 4] =
    ["_versions/1.manifest", "_versions/2.manifest", "data/1.lance", "data/2.lance"];

fn reason(plan: &Outcome, path: &str) -> DeletionReason {
    let found = plan.of("T").deletions.iter().find(|deletion| deletion.path == path);
    found.expect("a deleted file").reason
}

#[test]
fn manifests_go_before_what_they_refer_to() {
    // By name, data would come first.
    let plan = database(|table| table.stray("_a/1.lance", OLD)).plan(&keep_one());
    assert_eq!(plan.deleted("T")[..2], OF_OLD_VERSIONS[..2]);
    assert_eq!(plan.deleted("T")[2..], ["_a/1.lance", "data/1.lance", "data/2.lance"]);
}

#[test]
fn what_a_kept_version_shares_with_one_that_goes_stays() {
    let plan = database(|table| table.shares("main", 3, &["data/1.lance"])).plan(&keep_one());
    assert_eq!(plan.deleted("T"), ["_versions/1.manifest", "_versions/2.manifest", "data/2.lance"]);
}

#[test]
fn what_other_datasets_or_detached_versions_refer_to_stays() {
    let mut world = database(|table| table.stray("data/held.lance", OLD));
    let table = &mut world.tables[0];
    table.0.held = vec![table.unit("data/1.lance"), table.unit("data/held.lance")];
    let plan = world.plan(&keep_one());
    assert_eq!(plan.deleted("T"), ["_versions/1.manifest", "_versions/2.manifest", "data/2.lance"]);
    assert_eq!(plan.of("T").unverified_left, Leftover::default());
}

#[test]
fn a_unit_goes_as_one_with_the_versions_that_referred_to_it() {
    let segment = "_indices/s/page.idx";
    let plan = database(|table| {
        table
            .blob("data/1/01.blob", Some("data/1.lance"), OLD)
            .stray(segment, OLD)
            .beside(segment, "_indices/s/aux.idx", OLD)
            .shares("main", 2, &[segment])
            .blob("data/3/01.blob", Some("data/3.lance"), OLD)
    })
    .plan(&keep_one());
    for path in ["data/1/01.blob", segment, "_indices/s/aux.idx"] {
        assert_eq!(reason(&plan, path), DeletionReason::OnlyRemovedVersions, "{path}");
    }
    assert!(!plan.deletes("T", "data/3/01.blob"));
}

#[test]
fn what_nothing_refers_to_goes_only_when_it_is_old_and_is_counted_until_then() {
    let week = 7 * 24 * 60;
    let plan = database(|table| {
        table
            .stray("data/old.lance", week)
            .stray("data/young.lance", week - 1)
            .stray("data/future.lance", -5)
            .other("data/.tmpAb3dEf", week, FileClass::Litter)
            .other("data/.tmpZb3dEf", 1, FileClass::Litter)
    })
    .plan(&keep_one());
    assert_eq!(reason(&plan, "data/old.lance"), DeletionReason::Unreferenced);
    assert_eq!(reason(&plan, "data/.tmpAb3dEf"), DeletionReason::Unreferenced);
    assert_eq!(plan.deleted("T").len(), OF_OLD_VERSIONS.len() + 2);
    assert_eq!(plan.of("T").unverified_left, Leftover { files: 3, bytes: 30 });
}

#[test]
fn what_an_earlier_cleanup_had_listed_goes_whatever_its_age_unless_something_refers_to_it() {
    let mut world = database(|table| {
        table
            .stray("data/a.lance", 1)
            .blob("data/a/1.blob", Some("data/a.lance"), 1)
            .stray("data/b.lance", 1)
    });
    let table = &mut world.tables[0];
    let listed = ["data/a.lance", "data/3.lance", "_versions/3.manifest"];
    table.0.explained = listed.iter().map(|path| table.id(path)).collect();
    let plan = world.plan(&keep_one());
    assert_eq!(reason(&plan, "data/a.lance"), DeletionReason::OnlyRemovedVersions);
    assert_eq!(reason(&plan, "data/a/1.blob"), DeletionReason::OnlyRemovedVersions);
    for path in ["data/b.lance", "data/3.lance", "_versions/3.manifest"] {
        assert!(!plan.deletes("T", path), "{path}");
    }
}

#[test]
fn files_of_unknown_kinds_are_never_touched() {
    let plan = database(|table| {
        table
            .other("README.md", OLD, FileClass::Untouchable)
            .other("_versions/d7.manifest", OLD, FileClass::Untouchable)
            .other("_versions/latest_version_hint.json", OLD, FileClass::Hint)
            .other("_versions/9.manifest", OLD, FileClass::Manifest)
    })
    .plan(&keep_one());
    assert_eq!(plan.deleted("T"), OF_OLD_VERSIONS);
    assert_eq!(plan.of("T").unverified_left, Leftover::default());
}

#[test]
fn nothing_is_deleted_if_the_newest_version_refers_to_what_was_not_listed() {
    let mut world = database(|table| table.stray("data/stray.lance", OLD));
    world.tables[0].found("main", 3).missing = Some(("data/x.lance".into(), 2));
    let plan = world.plan(&keep_one());
    assert_eq!(
        plan.of("T").refused.as_deref(),
        Some(
            "version 3 of branch main, the newest, refers to 2 files that were not found, as data/x.lance"
        )
    );
    assert_eq!(plan.deleted("T"), [""; 0]);
}

#[test]
fn nothing_is_deleted_if_the_newest_version_of_a_fork_that_stays_lacks_files() {
    let mut world = database(|table| table.fork("B", "main", 3));
    world.tables[0].found("B", 4).missing = Some(("tree/B/data/x.lance".into(), 1));
    assert!(world.plan(&keep_one()).of("T").refused.is_some());
}

#[test]
fn nothing_is_deleted_if_a_branch_has_no_version_at_all() {
    let plan = database(|table| table.branch("B", "main", 3, OLD)).plan(&keep_one());
    assert_eq!(plan.of("T").refused.as_deref(), Some("branch B has no version at all"));
    assert_eq!(plan.deleted("T"), [""; 0]);
}

#[test]
fn an_older_version_that_lacks_files_is_a_warning_if_it_stays_and_nothing_if_it_goes() {
    let mut world = database(|table| table.tag("main", 2, "v"));
    for version in [1, 2] {
        world.tables[0].found("main", version).missing = Some(("data/x.lance".into(), 1));
    }
    let plan = world.plan(&keep_one());
    assert_eq!(plan.of("T").refused, None);
    assert_eq!(
        plan.warnings("T"),
        ["version 2 of branch main cannot be read: 1 of its files are gone, as data/x.lance"]
    );
}

/// Three old stray files among nine: a third.
fn a_third_is_litter(max_delete_percent: u8) -> Outcome {
    let strays = ["data/x.lance", "data/y.lance", "data/z.lance"];
    database(|table| strays.iter().fold(table, |table, stray| table.stray(stray, OLD)))
        .plan(&Retention { max_delete_percent, ..keep_one() })
}

#[test]
fn so_much_litter_that_it_must_be_a_mistake_stays_and_old_versions_go_all_the_same() {
    let plan = a_third_is_litter(33);
    assert_eq!(plan.deleted("T"), OF_OLD_VERSIONS);
    assert_eq!(plan.of("T").unverified_left, Leftover { files: 3, bytes: 30 });
    assert_eq!(
        plan.warnings("T"),
        [
            "3 of 9 files are referred to by nothing, more than 33 %: they stay; look at them, then allow it with --max-delete-percent"
        ]
    );
}

#[test]
fn litter_within_the_limit_goes() {
    let plan = a_third_is_litter(34);
    assert_eq!(plan.deleted("T").len(), OF_OLD_VERSIONS.len() + 3);
    assert_eq!(plan.warnings("T"), [""; 0]);
}

#[test]
fn what_a_version_refers_to_that_came_after_the_plan_is_spared_and_nothing_else() {
    let world = database(|table| table.blob("data/1/01.blob", Some("data/1.lance"), OLD));
    let mut plan = world.plan(&keep_one());
    let facts = &world.tables[0].0;
    let spared = [world.tables[0].unit("data/1.lance")].into_iter().collect();
    plan.0.datasets[0].spare(facts, &spared);
    assert_eq!(plan.deleted("T"), ["_versions/1.manifest", "_versions/2.manifest", "data/2.lance"]);
    assert_eq!(plan.of("T").bytes(), 30);
}

#[test]
fn a_unit_shared_by_two_chains_goes_only_if_no_kept_version_of_either_needs_it() {
    let shared = |to: u64| {
        database(|table| {
            table
                .branch("B", "main", 3, OLD)
                .version_of("B", 4, OLD, &["data/shared.lance"])
                .version("B", 5, OLD)
                .shares("main", to, &["data/shared.lance"])
        })
        .plan(&keep_one())
    };
    assert!(shared(1).deletes("T", "data/shared.lance"));
    assert!(!shared(3).deletes("T", "data/shared.lance"));
}

#[test]
fn an_unreferenced_unit_stays_whole_until_its_youngest_file_is_old() {
    // Somebody writes blobs, slowly; the data file that names them comes last.
    let unit = |age| {
        database(|table| {
            table.stray("data/9.lance", age).blob("data/9/01.blob", Some("data/9.lance"), OLD)
        })
        .plan(&keep_one())
    };
    let plan = unit(5);
    assert_eq!(plan.deleted("T"), OF_OLD_VERSIONS);
    assert_eq!(plan.of("T").unverified_left, Leftover { files: 2, bytes: 20 });
    assert!(unit(OLD).deletes("T", "data/9/01.blob"));
}

#[test]
fn what_is_left_of_a_fork_that_an_earlier_cleanup_had_listed_goes_at_once() {
    let with_new_file = |age: Option<i64>| {
        let mut world = database(|table| {
            let table = table.zombie("Z").version("Z", 2, 1).stray("tree/Z/data/x.lance", 1);
            let hint = "tree/Z/_versions/latest_version_hint.json";
            table.other(hint, 1, FileClass::Hint)
        });
        let table = &mut world.tables[0];
        let all = (0..).zip(&table.0.files).filter(|(_, file)| file.path.starts_with("tree/Z"));
        table.0.explained = all.map(|(at, _)| FileId(at)).collect();
        if let Some(age) = age {
            *table = table.clone().stray("tree/Z/data/new.lance", age);
        }
        world.plan(&keep_one())
    };
    let of_fork =
        |plan: &Outcome| plan.deleted("T").iter().filter(|path| path.starts_with("tree/Z")).count();
    assert_eq!(of_fork(&with_new_file(None)), 4);
    assert_eq!(of_fork(&with_new_file(Some(1))), 0, "somebody makes that branch anew");
}

/// Version 1 was written with a blob beside its file; version 3 is a rewrite that adopted it.
/// Version 2 alone names `_blobs/2.blob`.
fn adopted(age: i64) -> Table {
    Table::plain("T")
        .with(1..=3)
        .blob("data/1/01.blob", Some("data/1.lance"), age)
        .blob("_blobs/2.blob", None, age)
        .blob("_blobs/3.blob", None, age)
        .names("main", 2, &["data/1/01.blob", "_blobs/2.blob"])
        .names("main", 3, &["data/1/01.blob", "_blobs/3.blob"])
}

#[test]
fn a_blob_stays_as_long_as_a_descriptor_of_a_kept_version_names_it_whoever_wrote_it() {
    let plan = World::database([adopted(OLD)]).plan(&keep_one());
    let mut gone = OF_OLD_VERSIONS.to_vec();
    gone.insert(2, "_blobs/2.blob");
    assert_eq!(plan.deleted("T"), gone);
    assert_eq!(reason(&plan, "_blobs/2.blob"), DeletionReason::UnnamedBlob);
}

#[test]
fn a_blob_that_no_descriptor_names_any_more_goes_only_when_it_is_old() {
    let plan = World::database([adopted(5)]).plan(&keep_one());
    assert_eq!(plan.deleted("T"), OF_OLD_VERSIONS);
    assert_eq!(plan.of("T").unverified_left, Leftover { files: 1, bytes: 10 });
    // Nor does it count as litter: it outlives the versions that named it.
    let policy = Retention { max_delete_percent: 0, ..keep_one() };
    assert!(World::database([adopted(OLD)]).plan(&policy).deletes("T", "_blobs/2.blob"));
}

#[test]
fn descriptors_of_other_tables_tags_and_branches_keep_a_blob_too() {
    let held = |change: fn(&mut Table)| {
        let mut table = adopted(OLD);
        change(&mut table);
        !World::database([table]).plan(&keep_one()).deletes("T", "_blobs/2.blob")
    };
    assert!(!held(|_| {}));
    assert!(held(|table| table.0.held = vec![table.unit("_blobs/2.blob")]));
    assert!(held(|table| *table = table.clone().tag("main", 2, "v")));
    assert!(held(|table| {
        *table = table.clone().fork("B", "main", 3).names("B", 4, &["_blobs/2.blob"]);
    }));
}

#[test]
fn no_blob_goes_if_descriptors_could_not_be_read_and_the_report_says_why() {
    let mut table = adopted(OLD);
    table.0.blobs_unread = Some("why".into());
    let plan = World::database([table]).plan(&keep_one());
    assert_eq!(plan.deleted("T"), OF_OLD_VERSIONS);
    assert_eq!(plan.warnings("T")[0], "why");
}

#[test]
fn blobs_of_a_fork_that_goes_go_with_it_unless_a_version_that_stays_names_them() {
    let fork = |names: Option<&str>| {
        let table = Table::of_graph("T").with([1]).fork("B", "main", 1);
        let table = table.blob("tree/B/_blobs/1.blob", None, OLD);
        let table = table.names("B", 2, &["tree/B/_blobs/1.blob"]);
        match names {
            Some(branch) => table.names(branch, 1, &["tree/B/_blobs/1.blob"]),
            None => table,
        }
    };
    let goes = |names| {
        let world = World::graph([fork(names)]).live("main", "", &[("T", "main", 1)], &[]);
        world.plan(&keep_one()).deletes("T", "tree/B/_blobs/1.blob")
    };
    assert!(goes(None));
    assert!(!goes(Some("main")));
}
