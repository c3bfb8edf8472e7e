//! The verb `branch`: what it makes and takes away on graphs of real clients, and what it
//! refuses.

mod refusals;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use chrono::{TimeDelta, Utc};
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{
    AssumedDead, Branch, BranchReport, BranchRow, CleanupOptions, CleanupPolicyOptions, Keeper,
    RecoverOptions, TableKey,
};
use lancekeeper_manifest::{Graph, PinMove};
use lancekeeper_model::{OperationId, Snapshot};
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::{Fixture, FixturePath, GraphRows, graph_rows};

use crate::fixtures::tree;

const BRANCHES: [&str; 2] = ["omnigraph-0.7.0-branches", "omnigraph-0.8.0-branches"];
const PERSON: &str = "node:Person";

async fn list(uri: &str) -> BranchReport {
    Keeper::new().list_branches(&[uri.to_owned()], false).await
}

/// Creates a branch, and expects that nothing went wrong.
async fn create(uri: &str, name: &str, from: &str) -> BranchReport {
    let report = Keeper::new().create_branch(uri, name, from).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    report
}

/// The same of a deletion.
async fn delete(uri: &str, name: &str) -> BranchReport {
    let report = Keeper::new().delete_branch(uri, name).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(report.roots[0].warnings, [""; 0], "{report:#?}");
    report
}

fn names(report: &BranchReport) -> BTreeSet<&str> {
    report.roots[0].branches.iter().map(|branch| branch.name.label()).collect()
}

fn row<'r>(report: &'r BranchReport, name: &str) -> &'r BranchRow {
    report.roots[0].branches.iter().find(|branch| branch.name.label() == name).unwrap()
}

async fn graph(uri: &str) -> Graph {
    Graph::open(&Tables::new(), &recognise(uri).unwrap()).await.unwrap()
}

async fn snapshot(uri: &str, branch: &str) -> Snapshot {
    graph(uri).await.snapshot(&Branch::named(branch)).await.unwrap()
}

/// The rows of one branch.
fn of(rows: &GraphRows, branch: &str) -> BTreeMap<String, Vec<String>> {
    let its = rows.iter().filter(|((name, _), _)| name == branch);
    its.map(|((_, table), rows)| (table.clone(), rows.clone())).collect()
}

fn without(mut rows: GraphRows, branch: &str) -> GraphRows {
    rows.retain(|(name, _), _| name != branch);
    rows
}

/// Files below a root and their sizes, without what we keep for ourselves.
fn files(uri: &str) -> BTreeMap<String, u64> {
    let all = tree(uri).into_iter();
    all.filter(|(path, _)| !path.contains("__maintenance") && Path::new(path).is_file()).collect()
}

/// Whether a path lies in the directory of branch `work` of some table, or is its file.
fn is_of_work(path: &str) -> bool {
    path.split('/').any(|part| part == "work" || part == "work.json")
}

/// Makes every file below a root look as old as that.
fn age_everything(uri: &str, age: Duration) {
    let time = SystemTime::now() - age;
    for path in files(uri).keys() {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(time).unwrap();
    }
}

/// Deletes a person on a branch, as a client does: the table's first change there forks it.
async fn write_on(uri: &str, branch: &str, table_branch: &str) {
    let graph = graph(uri).await;
    let pin = snapshot(uri, branch).await.pin(&TableKey::new(PERSON)).unwrap().clone();
    let table = format!("{uri}/{}", pin.location);
    if pin.table_branch.label() != table_branch {
        let mut source = DatasetBuilder::from_uri(&table).load().await.unwrap();
        let place = (pin.table_branch.name(), Some(pin.version.0));
        source.create_branch(table_branch, place, None).await.unwrap();
    }
    let builder = DatasetBuilder::from_uri(&table).with_branch(table_branch, None);
    let mut fork = builder.load().await.unwrap();
    let rows = fork.count_rows(None).await.unwrap();
    let mut scan = fork.scan();
    let one = scan.project(&["id"]).unwrap().limit(Some(1), None).unwrap();
    let one = one.try_into_batch().await.unwrap();
    let id = arrow_array::cast::AsArray::as_string::<i32>(one.column(0)).value(0).to_owned();
    fork.delete(&format!("id = '{id}'")).await.unwrap();
    assert_eq!(fork.count_rows(None).await.unwrap(), rows - 1);
    let moved = PinMove::to_version_of(TableKey::new(PERSON), pin.version, &fork).await.unwrap();
    let (operation, branch) = (OperationId::new("a-client"), Branch::named(branch));
    graph.publish(&branch, &[moved], &operation, "load", Some("client"), Utc::now()).await.unwrap();
}

/// Everything nobody needs goes, however young, but no version that a rule could keep.
async fn cleanup(uri: &str) -> lancekeeper::CleanupReport {
    let zero = TimeDelta::zero();
    let policy = CleanupPolicyOptions { keep_versions: Some(u32::MAX), older_than: None };
    let options = CleanupOptions {
        policy,
        writer_window: zero,
        min_age: zero,
        min_fork_age: zero,
        ..CleanupOptions::default()
    };
    let report = Keeper::new().cleanup(&[uri.to_owned()], &options).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    report
}

async fn cleans_nothing(uri: &str) {
    let report = cleanup(uri).await;
    assert_eq!(report.totals.files_removed, 0, "{report:#?}");
}

#[tokio::test]
async fn a_list_says_where_each_branch_comes_from_and_what_it_has_at_fixture_path() {
    let fixture = FixturePath::unpack(BRANCHES[0]).unwrap();
    for name in BRANCHES {
        fixture.reset(name).unwrap();
        let uri = fixture.uri();
        let before = tree(&uri);
        let report = list(&uri).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert_eq!(tree(&uri), before, "a list writes nothing");
        assert_eq!(names(&report), BTreeSet::from(["lazy", "main", "work"]));
        let (main, lazy, work) = (row(&report, "main"), row(&report, "lazy"), row(&report, "work"));
        assert_eq!((main.tables_owned, main.tables_lazy, &main.parent), (4, 0, &None));
        assert_eq!((lazy.tables_owned, lazy.tables_lazy), (0, 4));
        assert!(work.tables_owned >= 3, "{work:#?}");
        assert_eq!(work.tables_owned + work.tables_lazy, 4);
        for branch in [main, lazy, work] {
            let history = graph(&uri).await.history(&branch.name).await.unwrap();
            assert_eq!(branch.manifest_version, Some(history.snapshot.manifest_version));
            assert_eq!(branch.head_commit_id.as_ref(), Some(&history.commits[0].id));
            assert!(branch.head_commit_at.is_some() && branch.error.is_none());
        }
        assert_eq!(work.parent, Some(Branch::main()));
        assert!(work.parent_version < work.manifest_version);
    }
}

#[tokio::test]
async fn a_new_branch_reads_what_its_source_reads_and_copies_no_table_at_fixture_path() {
    let fixture = FixturePath::unpack(BRANCHES[0]).unwrap();
    for name in BRANCHES {
        fixture.reset(name).unwrap();
        let uri = fixture.uri();
        let rows = graph_rows(&uri).await.unwrap();
        let before = files(&uri);
        for (branch, from) in [("new", "main"), ("team/new", "work"), ("über", "lazy")] {
            let source = snapshot(&uri, from).await;
            let planned = Keeper::new().plan_create_branch(&uri, branch, from).await;
            assert_eq!(planned.exit_code().number(), 0, "{planned:#?}");
            let report = create(&uri, branch, from).await;
            assert_eq!(report.roots[0].branches, planned.roots[0].branches, "as it was planned");
            let made = row(&report, branch);
            assert_eq!(made.parent, Some(Branch::named(from)));
            assert_eq!(made.parent_version, Some(source.manifest_version));
            assert_eq!((made.tables_owned, made.tables_lazy), (0, 4));
            let now = graph_rows(&uri).await.unwrap();
            assert_eq!(of(&now, branch), of(&rows, from), "{name}: {branch}");
            assert_eq!(snapshot(&uri, branch).await.pins, source.pins);
        }
        let now = files(&uri);
        assert!(before.iter().all(|file| now.get(file.0) == Some(file.1)), "others are as before");
        let added = now.keys().filter(|path| !before.contains_key(*path));
        let own = ["__manifest/", "_graph_commits.lance/"];
        for path in added {
            assert!(own.iter().any(|own| path.contains(own)), "{path} is of a table");
        }
        // It can be written to, and what is written is its own.
        write_on(&uri, "team/new", "team/new").await;
        let written = graph_rows(&uri).await.unwrap();
        assert_eq!(of(&written, "work"), of(&rows, "work"));
        assert_ne!(of(&written, "team/new"), of(&rows, "work"));
        let history = graph(&uri).await.history(&Branch::named("team/new")).await.unwrap();
        let source = graph(&uri).await.history(&Branch::named("work")).await.unwrap();
        assert_eq!(history.commits[0].parents, [source.commits[0].id.clone()]);
        assert_eq!(history.commits[1..], source.commits);
        cleans_nothing(&uri).await;
    }
}

#[tokio::test]
async fn a_deleted_branch_goes_with_its_forks_and_all_others_read_on_at_fixture_path() {
    let fixture = FixturePath::unpack(BRANCHES[0]).unwrap();
    for name in BRANCHES {
        fixture.reset(name).unwrap();
        let uri = fixture.uri();
        let rows = graph_rows(&uri).await.unwrap();
        let before = tree(&uri);
        let sizes = files(&uri);
        let preview = Keeper::new().plan_delete_branch(&uri, "work").await;
        assert_eq!(preview.exit_code().number(), 0, "{preview:#?}");
        assert_eq!(tree(&uri), before, "a preview writes nothing");
        let lost = preview.roots[0].lost.clone().unwrap();
        assert!(lost.forks >= 3 && !lost.unmerged_commits.is_empty(), "{lost:#?}");

        let report = delete(&uri, "work").await;
        assert_eq!(report.roots[0].lost.as_ref(), Some(&lost), "as it was previewed");
        let left = files(&uri);
        let gone: BTreeMap<_, _> =
            sizes.iter().filter(|(path, _)| !left.contains_key(*path)).collect();
        assert_eq!((gone.len() as u64, gone.values().copied().sum()), (lost.files, lost.bytes));
        for path in gone.keys() {
            assert!(is_of_work(path), "{path}");
        }
        for path in left.keys() {
            assert!(!is_of_work(path), "{path}");
        }
        let lists = Path::new(&uri).join("__maintenance/cleanup");
        assert_eq!(fs::read_dir(lists).unwrap().count(), 0, "no list is left");
        assert_eq!(graph_rows(&uri).await.unwrap(), without(rows, "work"));
        assert_eq!(names(&list(&uri).await), BTreeSet::from(["lazy", "main"]));
        cleans_nothing(&uri).await;
    }
}

#[tokio::test]
async fn a_branch_made_again_reads_nothing_of_the_one_before_at_fixture_path() {
    let fixture = FixturePath::unpack(BRANCHES[0]).unwrap();
    for name in BRANCHES {
        fixture.reset(name).unwrap();
        let uri = fixture.uri();
        // One keeper for all: what it has cached must not answer either.
        let keeper = Keeper::new();
        for round in 0..2 {
            let report = keeper.create_branch(&uri, "b", "main").await;
            assert_eq!(report.exit_code().number(), 0, "{report:#?}");
            assert_eq!(row(&report, "b").tables_owned, 0, "round {round}");
            let rows = graph_rows(&uri).await.unwrap();
            assert_eq!(of(&rows, "b"), of(&rows, "main"), "round {round}");
            write_on(&uri, "b", "b").await;
            let listed = keeper.list_branches(std::slice::from_ref(&uri), false).await;
            assert_eq!(row(&listed, "b").tables_owned, 1, "round {round}");
            let report = keeper.delete_branch(&uri, "b").await;
            assert_eq!(report.exit_code().number(), 0, "{report:#?}");
            assert_eq!(report.roots[0].lost.as_ref().unwrap().unmerged_commits.len(), 1);
        }
    }
}

#[tokio::test]
async fn of_nested_names_either_goes_alone() {
    for (first, second) in [("a", "a/b"), ("a/b", "a")] {
        let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
        let uri = fixture.uri("graph");
        for name in ["a", "a/b", "a/b/c"] {
            create(&uri, name, "main").await;
            write_on(&uri, name, name).await;
        }
        let rows = graph_rows(&uri).await.unwrap();
        delete(&uri, first).await;
        let rows = without(rows, first);
        assert_eq!(graph_rows(&uri).await.unwrap(), rows, "without {first}");
        cleans_nothing(&uri).await;
        // The name is free again, between and below those that are left.
        create(&uri, first, "main").await;
        let again = graph_rows(&uri).await.unwrap();
        assert_eq!(of(&again, first), of(&again, "main"));
        assert_eq!(without(again, first), rows);
        delete(&uri, second).await;
        let rows = without(graph_rows(&uri).await.unwrap(), second);
        assert_eq!(graph_rows(&uri).await.unwrap(), rows);
    }
}

#[tokio::test]
async fn a_name_that_lance_encodes_in_full_is_deleted_like_any_other() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    create(&uri, "über/ß", "main").await;
    write_on(&uri, "über/ß", "über/ß").await;
    delete(&uri, "über/ß").await;
    assert_eq!(names(&list(&uri).await), BTreeSet::from(["main"]));
    cleans_nothing(&uri).await;
}

/// A directory of a branch without the branch: a creation, or a deletion, that died.
fn make_zombie(uri: &str, location: &str, name: &str) {
    fs::remove_file(Path::new(uri).join(location).join(format!("_refs/branches/{name}.json")))
        .unwrap();
}

#[tokio::test]
async fn a_branch_is_created_over_what_is_left_of_an_old_one_and_sees_none_of_it_at_fixture_path() {
    let fixture = FixturePath::unpack(BRANCHES[0]).unwrap();
    for name in BRANCHES {
        fixture.reset(name).unwrap();
        let uri = fixture.uri();
        make_zombie(&uri, "__manifest", "lazy");
        // Somebody may be just about to make the branch.
        age_everything(&uri, Duration::from_secs(60));
        is_refused(&uri, "lazy", "files of an earlier branch lazy").await;
        assert_eq!(names(&list(&uri).await), BTreeSet::from(["main", "work"]));

        age_everything(&uri, Duration::from_secs(3_600));
        let report = create(&uri, "lazy", "main").await;
        assert_eq!(report.roots[0].warnings.len(), 1, "{report:#?}");
        // One that was published to may have lost its file alone.
        make_zombie(&uri, "__manifest", "work");
        is_refused(&uri, "work", "published to a branch of that name").await;
        say_that_it_goes(&uri, "work").await;
        create(&uri, "work", "main").await;
        let rows = graph_rows(&uri).await.unwrap();
        assert_eq!(of(&rows, "work"), of(&rows, "main"), "{name}");
        let histories = [Branch::named("work"), Branch::main()];
        let graph = graph(&uri).await;
        let work = graph.history(&histories[0]).await.unwrap().commits;
        assert_eq!(work, graph.history(&histories[1]).await.unwrap().commits, "{name}");
        // The forks of the old one are nobody's, and a cleanup takes them away.
        let report = cleanup(&uri).await;
        assert!(report.roots[0].reconciled.reclaimed.len() >= 3, "{report:#?}");
        assert_eq!(graph_rows(&uri).await.unwrap(), rows);
        cleans_nothing(&uri).await;
    }
}

/// A branch of that name is not made, and nothing is touched.
async fn is_refused(uri: &str, branch: &str, why: &str) {
    let before = files(uri);
    let refused = Keeper::new().create_branch(uri, branch, "main").await;
    assert_eq!(refused.exit_code().number(), 13, "{refused:#?}");
    let error = refused.roots[0].error.as_deref().unwrap();
    assert!(error.contains(why), "{error}");
    assert_eq!(files(uri), before);
}

/// What is left of a branch that was published to is taken away, because a person says so.
async fn say_that_it_goes(uri: &str, branch: &str) {
    let later = Keeper::builder().clock(|| Utc::now() + TimeDelta::hours(1)).build();
    let mut named = RecoverOptions::default();
    named.assumed_dead = AssumedDead::These(vec![branch.to_owned()]);
    let recovered = later.recover([uri], &named).await;
    assert_eq!(recovered.exit_code().number(), 0, "{recovered:#?}");
}

#[tokio::test]
async fn a_commit_history_without_its_branch_is_made_anew_at_fixture_path() {
    let fixture = FixturePath::unpack(BRANCHES[0]).unwrap();
    let uri = fixture.uri();
    // As a client leaves it that deletes a branch and dies.
    let mut manifest = DatasetBuilder::from_uri(format!("{uri}/__manifest")).load().await.unwrap();
    manifest.delete_branch("work").await.unwrap();
    let graph = graph(&uri).await;
    assert!(graph.has_commit_branch(&Branch::named("work")).await.unwrap());
    create(&uri, "work", "main").await;
    let work = graph.history(&Branch::named("work")).await.unwrap().commits;
    assert_eq!(work, graph.history(&Branch::main()).await.unwrap().commits);
}

#[tokio::test]
async fn what_a_deletion_left_behind_goes_with_the_next_cleanup_at_fixture_path() {
    let fixture = FixturePath::unpack(BRANCHES[0]).unwrap();
    for name in BRANCHES {
        fixture.reset(name).unwrap();
        let uri = fixture.uri();
        make_zombie(&uri, "__manifest", "work");
        let rows = graph_rows(&uri).await.unwrap();
        // Whether it was deleted or only lost its file nobody but a person can tell.
        let of_work = |uri: &str| files(uri).into_keys().filter(|path| is_of_work(path)).count();
        let before = of_work(&uri);
        let report = cleanup(&uri).await;
        assert_eq!((of_work(&uri), before > 0), (before, true), "{report:#?}");
        say_that_it_goes(&uri, "work").await;
        let report = cleanup(&uri).await;
        assert!(report.totals.files_removed > 0, "{report:#?}");
        assert_eq!(of_work(&uri), 0, "{report:#?}");
        assert_eq!(graph_rows(&uri).await.unwrap(), rows);
        cleans_nothing(&uri).await;
    }
}
