//! `cleanup` dies, or fails, at every failpoint it crosses: every reader reads on, and the next
//! cleanup finishes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fail::FailGuard;
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{CleanupOptions, CleanupReport, Keeper, Queues, RootIdentity};
use lancekeeper_model::{TableKey, TableRef};
use lancekeeper_store::failpoint;
use lancekeeper_testkit::graph_rows;
use lancekeeper_testkit::graphs::{add_tables, drop_table};
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::tables;

use crate::child::{Death, strictest};
use crate::pause::{count, pause_at};
use crate::world::{KNOWS, PERSON, WORKS_AT, World};

const BRANCHES: &str = "omnigraph-0.8.0-branches";

/// A graph with old versions, a fork that nobody reads, and a table that no branch has any more.
async fn world() -> World {
    let world = World::at_path(BRANCHES).await;
    let report = world.optimize().await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    orphan(&world).await;
    world
}

/// Leaves a fork that nobody reads, and a table that no branch has.
pub(crate) async fn orphan(world: &World) {
    world.client.fork(PERSON, "gone").await;
    let added = add_tables(world.uri(), 1, 2, 10).await.unwrap();
    drop_table(world.uri(), &added[0], 2).await.unwrap();
}

/// Files below a root, but for those we keep for ourselves.
fn files(uri: &str) -> BTreeMap<String, u64> {
    fn walk(directory: &Path, into: &mut BTreeMap<String, u64>) {
        for name in names(directory).unwrap().into_iter().filter(|name| name != "__maintenance") {
            let path = directory.join(name);
            if path.is_dir() {
                walk(&path, into);
            } else {
                let size = path.metadata().unwrap().len();
                into.insert(path.to_string_lossy().into_owned(), size);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(Path::new(uri), &mut found);
    found
}

/// What a cleanup leaves that nothing came in between of.
async fn expected() -> usize {
    let world = world().await;
    let report = world.cleanup().await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(report.roots[0].reconciled.reclaimed.len(), 1, "{report:#?}");
    assert_eq!(report.roots[0].tables.iter().filter(|table| table.emptied).count(), 1);
    world.reads_as_before().await;
    files(world.uri()).len()
}

/// The next cleanup finishes; the one after it has nothing to do.
async fn finishes(world: &World, expected: usize) {
    world.reads_as_before().await;
    let report = world.cleanup().await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    world.reads_as_before().await;
    assert_eq!(files(world.uri()).len(), expected, "not all that was listed went");
    let lists = names(&Path::new(world.uri()).join("__maintenance/cleanup")).unwrap();
    assert!(lists.iter().all(|name| !name.ends_with(".json")), "{lists:?}");
    let again = world.cleanup().await;
    assert_eq!(again.totals.files_removed, 0, "{again:#?}");
}

macro_rules! deaths {
    ($($test:ident: $name:ident at $crossing:literal;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let expected = expected().await;
                let mut world = world().await;
                world.dies(Death::of_cleanup_at(failpoint::$name, $crossing)).await;
                finishes(&world, expected).await;
            }
        )*

        /// The failpoints at which a cleanup of these tests dies.
        pub(crate) const DIED_AT: &[&str] = &[$(failpoint::$name),*];
    };
}

deaths! {
    a_cleanup_that_dies_reading_the_second_branch_is_finished_at_fixture_path:
        CLEANUP_RESOLVE_BRANCH at 2;
    a_cleanup_that_dies_before_its_first_list_is_finished_at_fixture_path:
        CLEANUP_TABLE_GC at 1;
    a_cleanup_that_dies_before_its_last_table_is_finished_at_fixture_path:
        CLEANUP_TABLE_GC at 6;
    a_cleanup_that_dies_with_a_dropped_table_emptied_is_finished_at_fixture_path:
        CLEANUP_EMPTIED_PRE_DELETE at 1;
    a_cleanup_that_dies_with_its_first_list_written_is_finished_at_fixture_path:
        CLEANUP_LISTED_PRE_DELETE at 1;
    a_cleanup_that_dies_over_an_orphaned_fork_is_finished_at_fixture_path:
        CLEANUP_RECONCILE_FORK at 1;
    a_cleanup_that_dies_between_two_turns_is_finished_at_fixture_path:
        CLEANUP_BETWEEN_TURNS at 1;
    a_cleanup_that_dies_between_two_later_turns_is_finished_at_fixture_path:
        CLEANUP_BETWEEN_TURNS at 5;
    a_cleanup_that_dies_between_manifests_and_files_is_finished_at_fixture_path:
        CLEANUP_MANIFESTS_PRE_FILES at 1;
    a_cleanup_that_dies_between_manifests_and_files_of_a_fork_is_finished_at_fixture_path:
        CLEANUP_MANIFESTS_PRE_FILES at 3;
    a_cleanup_that_dies_between_manifests_and_files_of_manifest_is_finished_at_fixture_path:
        CLEANUP_MANIFESTS_PRE_FILES at 5;
    a_cleanup_that_dies_with_everything_deleted_is_finished_at_fixture_path:
        CLEANUP_DELETED_PRE_MARK at 2;
}

fn says_injected(report: &CleanupReport, name: &str) -> bool {
    let text = format!("injected failpoint triggered: {name}");
    let root = &report.roots[0];
    let errors = root.tables.iter().filter_map(|table| table.error.as_ref());
    let failures = root.reconciled.failures.iter().map(|(_, why)| why);
    errors.chain(&root.error).chain(failures).any(|error| error.contains(&text))
}

macro_rules! failures {
    ($($test:ident: $name:ident;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let expected = expected().await;
                let world = world().await;
                let guard = FailGuard::new(failpoint::$name, "return").unwrap();
                let report = world.cleanup().await;
                drop(guard);
                assert_ne!(report.exit_code().number(), 0, "{report:#?}");
                assert!(says_injected(&report, failpoint::$name), "{report:#?}");
                finishes(&world, expected).await;
            }
        )*

        /// The failpoints at which a cleanup of these tests fails.
        pub(crate) const FAILED_AT: &[&str] = &[$(failpoint::$name),*];
    };
}

failures! {
    a_cleanup_that_fails_before_every_list_says_so_at_fixture_path: CLEANUP_TABLE_GC;
    a_cleanup_that_fails_with_a_dropped_table_emptied_says_so_at_fixture_path:
        CLEANUP_EMPTIED_PRE_DELETE;
    a_cleanup_that_fails_with_its_lists_written_says_so_at_fixture_path:
        CLEANUP_LISTED_PRE_DELETE;
    a_cleanup_that_fails_between_two_turns_says_so_at_fixture_path: CLEANUP_BETWEEN_TURNS;
    a_cleanup_that_fails_between_manifests_and_files_says_so_at_fixture_path:
        CLEANUP_MANIFESTS_PRE_FILES;
    a_cleanup_that_cannot_mark_its_end_says_so_at_fixture_path: CLEANUP_DELETED_PRE_MARK;
}

/// Failpoints that stop nothing but what they are about.
pub(crate) const SPARED_AT: &[&str] =
    &[failpoint::CLEANUP_RESOLVE_BRANCH, failpoint::CLEANUP_RECONCILE_FORK];

#[tokio::test]
async fn branches_that_cannot_be_read_are_one_failure_and_nothing_of_them_goes_at_fixture_path() {
    let expected = expected().await;
    let world = world().await;
    let before = files(world.uri());
    let guard = FailGuard::new(failpoint::CLEANUP_RESOLVE_BRANCH, "return").unwrap();
    let report = world.cleanup().await;
    drop(guard);
    let root = &report.roots[0];
    assert_eq!((root.error.as_deref(), report.exit_code().number()), (None, 3), "{report:#?}");
    assert_eq!(root.reconciled.failures.len(), 1, "{report:#?}");
    assert!(says_injected(&report, failpoint::CLEANUP_RESOLVE_BRANCH), "{report:#?}");
    assert!(root.reconciled.reclaimed.is_empty(), "{report:#?}");
    assert!(root.tables.iter().all(|table| table.old_versions_removed == 0), "{report:#?}");
    let manifests = |files: &BTreeMap<String, u64>| {
        files.keys().filter(|path| path.contains("_versions/")).cloned().collect::<Vec<_>>()
    };
    assert_eq!(manifests(&files(world.uri())), manifests(&before));
    finishes(&world, expected).await;
}

#[tokio::test]
async fn a_fork_that_cannot_be_deleted_stops_no_version_of_its_table_at_fixture_path() {
    let expected = expected().await;
    let world = world().await;
    let guard = FailGuard::new(failpoint::CLEANUP_RECONCILE_FORK, "return").unwrap();
    let report = world.cleanup().await;
    drop(guard);
    let root = &report.roots[0];
    assert_eq!((root.error.as_deref(), report.exit_code().number()), (None, 3), "{report:#?}");
    let [(table, why)] = root.reconciled.failures.as_slice() else { panic!("{report:#?}") };
    assert_eq!(table.as_str(), PERSON);
    assert!(why.starts_with("fork gone: ") && why.contains("injected failpoint"), "{why}");
    assert!(root.reconciled.reclaimed.is_empty(), "{report:#?}");
    let person = root.tables.iter().find(|row| row.table_key.as_str() == PERSON).unwrap();
    assert_eq!(person.error, None, "{person:#?}");
    assert!(person.old_versions_removed > 0, "{person:#?}");
    finishes(&world, expected).await;
}

#[tokio::test]
async fn a_writer_that_waits_for_a_table_publishes_between_its_deletions_at_fixture_path() {
    let world = world().await;
    let resolved = Path::new(world.uri()).canonicalize().unwrap();
    let queue = Queues::process().root(&RootIdentity::new(resolved.to_string_lossy()));
    let client = world.client.clone();
    let (has_keys, cleaning) = tokio::sync::oneshot::channel();
    let pause = pause_at(failpoint::CLEANUP_TABLE_GC, || async move { has_keys.send(()).unwrap() });
    let writer = async {
        cleaning.await.unwrap();
        let _keys = queue.acquire_one(TableRef::on_main(TableKey::new(PERSON))).await.unwrap();
        let table = client.append(PERSON).await;
        client.publish(PERSON, &table).await;
        graph_rows(world.uri()).await.unwrap()
    };
    let options = CleanupOptions { tables: vec![PERSON.to_owned()], ..strictest() };
    let (keeper, roots) = (Keeper::new(), [world.uri()]);
    let (report, rows) = tokio::join!(keeper.cleanup(roots, &options), writer);
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let root = &report.roots[0];
    assert!(root.tables[0].old_versions_removed > 0, "{report:#?}");
    // The writer came in between, and not after the last one.
    assert!(root.queue_holds.count > 2, "{report:#?}");
    assert_eq!(graph_rows(world.uri()).await.unwrap(), rows);
    let report = world.cleanup().await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(graph_rows(world.uri()).await.unwrap(), rows);
}

#[tokio::test]
async fn a_fork_that_is_published_after_the_branches_were_read_stays_at_fixture_path() {
    let world = world().await;
    let client = world.client.clone();
    // At the first table: the branches are read, every table is listed, and the fork of a
    // later one is on the list of what goes.
    let pause = pause_at(failpoint::CLEANUP_TABLE_GC, || async move {
        client.publish_fork(PERSON, "gone").await;
    });
    let report = world.cleanup().await;
    assert!(pause.crossings() > 0);
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(report.roots[0].reconciled.reclaimed.is_empty(), "{report:#?}");
    let rows = graph_rows(world.uri()).await.unwrap();
    let of = |branch: &str| &rows[&(branch.to_owned(), PERSON.to_owned())];
    assert_eq!(of("gone"), of("main"));
}

#[tokio::test]
async fn a_fork_that_is_made_anew_just_before_its_deletion_stays_at_fixture_path() {
    let world = world().await;
    let client = world.client.clone();
    // The new fork is cut where the old one was, so that its manifests have the same paths.
    let pause = pause_at(failpoint::CLEANUP_RECONCILE_FORK, || async move {
        client.fork_anew_and_publish(PERSON, "gone").await;
    });
    let report = world.cleanup().await;
    assert!(pause.crossings() > 0);
    drop(pause);
    let expect_whole = async || {
        let rows = graph_rows(world.uri()).await.unwrap();
        let of = |branch: &str| &rows[&(branch.to_owned(), PERSON.to_owned())];
        assert_eq!(of("gone"), of("main"));
        let branches = world.client.table(PERSON).await.list_branches().await.unwrap();
        assert!(branches.contains_key("gone"), "{branches:?}");
    };
    expect_whole().await;
    assert_eq!(report.exit_code().number(), 3, "{report:#?}");
    let reconciled = &report.roots[0].reconciled;
    assert!(reconciled.reclaimed.is_empty(), "{report:#?}");
    let [(table, why)] = reconciled.failures.as_slice() else { panic!("{reconciled:#?}") };
    assert_eq!(table.as_str(), PERSON);
    assert!(why.starts_with("fork gone: ") && why.contains("somebody wrote meanwhile"), "{why}");

    let report = world.cleanup().await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    expect_whole().await;
}

#[tokio::test]
async fn a_schema_apply_that_begins_meanwhile_stops_the_rest_at_fixture_path() {
    let world = world().await;
    let client = world.client.clone();
    let pause = pause_at(failpoint::CLEANUP_TABLE_GC, || async move {
        client.begin_schema_apply().await;
    });
    let report = world.cleanup().await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 13, "{report:#?}");
    assert_eq!(report.roots[0].tables.len(), 1, "only the table that was under way: {report:#?}");
    world.reads_as_before().await;
}

#[tokio::test]
async fn a_dropped_table_that_is_written_to_meanwhile_is_looked_at_again_at_fixture_path() {
    let world = world().await;
    let dropped = format!("{}/nodes/0000000000000000", world.uri());
    let uri = dropped.clone();
    // At the first table: the newest version of the dropped one, a later, is known.
    let pause = pause_at(failpoint::CLEANUP_TABLE_GC, || async move {
        tables::append(&uri, 100, 5).await.unwrap();
    });
    let report = world.cleanup().await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    // What was written after the run began is younger than everything it may delete.
    assert!(report.roots[0].tables.iter().all(|table| !table.emptied), "{report:#?}");
    let table = async || DatasetBuilder::from_uri(&dropped).load().await.unwrap();
    assert_eq!(table().await.count_rows(None).await.unwrap(), 2 * 10 + 5);
    let report = world.cleanup().await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(table().await.count_rows(None).await.unwrap(), 0);
    world.reads_as_before().await;
}

#[tokio::test]
async fn a_writer_that_begins_while_a_table_is_listed_is_not_taken_for_drift_at_fixture_path() {
    let world = world().await;
    let client = world.client.clone();
    let second = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&second);
    // Somebody publishes while the first table is under way: the branches are read again, and the
    // next table is listed again. In between somebody else arms and commits.
    let first = pause_at(failpoint::CLEANUP_TABLE_GC, || async move {
        let table = client.append(PERSON).await;
        client.publish(PERSON, &table).await;
        let pause = pause_at(failpoint::CLEANUP_RESOLVE_BRANCH, || async move {
            // Either may be the next.
            for key in [KNOWS, WORKS_AT] {
                client.arm(key).await;
                client.append(key).await;
            }
        });
        *kept.lock().unwrap() = Some(pause);
    });
    let report = world.cleanup().await;
    drop(first);
    assert!(second.lock().unwrap().as_ref().is_some_and(|pause| pause.crossings() > 0));
    assert_eq!(report.exit_code().number(), 12, "{report:#?}");
    let errors = report.roots[0].tables.iter().filter_map(|table| table.error.as_ref());
    assert_eq!(errors.count(), 0, "{report:#?}");
}

#[tokio::test]
async fn a_quiet_graph_has_each_branch_read_once_whatever_it_has_of_tables_at_fixture_path() {
    let world = world().await;
    let counter = count(failpoint::CLEANUP_RESOLVE_BRANCH);
    let report = world.cleanup().await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    // Main, `work` and `lazy`.
    assert_eq!(counter.crossings(), 3);
}

#[tokio::test]
async fn a_branch_that_becomes_unreadable_on_the_way_is_a_failure_and_loses_nothing_at_fixture_path()
 {
    let world = world().await;
    let (client, uri) = (world.client.clone(), world.uri().to_owned());
    let versions = Path::new(&uri).join("__manifest/tree/lazy/_versions");
    let aside = Path::new(&uri).join("__manifest/tree/lazy/aside");
    let (from, to) = (versions.clone(), aside.clone());
    let pause = pause_at(failpoint::CLEANUP_TABLE_GC, || async move {
        std::fs::rename(from, to).unwrap();
        // So that the branches are read again.
        let table = client.append(PERSON).await;
        client.publish(PERSON, &table).await;
    });
    let report = world.cleanup().await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 3, "{report:#?}");
    let failures = &report.roots[0].reconciled.failures;
    assert!(failures.iter().any(|(_, why)| why.contains("branch lazy")), "{failures:#?}");
    // A hint may have been written where it was.
    std::fs::remove_dir_all(&versions).ok();
    std::fs::rename(aside, versions).unwrap();
    let rows = graph_rows(world.uri()).await.unwrap();
    let of_lazy = |rows: &lancekeeper_testkit::GraphRows| {
        let its = rows.iter().filter(|((branch, _), _)| branch == "lazy");
        its.map(|(at, rows)| (at.clone(), rows.clone())).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(of_lazy(&rows), of_lazy(world.rows()));
}
