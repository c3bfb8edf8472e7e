//! `branch create` and `branch delete` die, fail or are overtaken where it matters: every
//! branch that is listed reads, and a cleanup takes away what is left.

use std::path::Path;

use chrono::TimeDelta;
use fail::FailGuard;
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{
    Branch, BranchReport, CleanupOptions, CleanupReport, Keeper, LeftBehind, RecoverAction,
    RecoverOptions,
};
use lancekeeper_store::failpoint;
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::{GraphRows, graph_rows};

use crate::child::{Death, Verb, run_and_die, strictest};
use crate::pause::pause_at;
use crate::world::{PERSON, World};

const V3: &str = "omnigraph-0.7.0-branches";
const V4: &str = "omnigraph-0.8.0-branches";
/// A branch of the fixtures with forks of its own.
pub(crate) const WORK: &str = "work";
/// One that is made.
pub(crate) const NEW: &str = "new";

async fn delete(world: &World) -> BranchReport {
    Keeper::new().delete_branch(world.uri(), WORK).await
}

async fn create(world: &World, name: &str) -> BranchReport {
    Keeper::new().create_branch(world.uri(), name, "main").await
}

async fn branches(world: &World) -> Vec<Branch> {
    world.client.graph().await.branches().await.unwrap()
}

fn without(rows: &GraphRows, branch: &str) -> GraphRows {
    let others = rows.iter().filter(|((name, _), _)| name != branch);
    others.map(|(key, rows)| (key.clone(), rows.clone())).collect()
}

/// The strictest cleanup, whatever the age of anything.
async fn cleanup(world: &World) -> CleanupReport {
    let options = CleanupOptions { min_age: TimeDelta::zero(), ..strictest() };
    let report = Keeper::new().cleanup(&[world.uri().to_owned()], &options).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    report
}

/// No file below the root bears the branch's name.
fn expect_nothing_of(world: &World, branch: &str) {
    fn walk(directory: &Path, branch: &str) {
        for name in names(directory).unwrap().into_iter().filter(|name| name != "__maintenance") {
            let path = directory.join(&name);
            let is_its = name == format!("{branch}.json") || name == branch;
            assert!(!is_its, "{} is left", path.display());
            if path.is_dir() {
                walk(&path, branch);
            }
        }
    }
    walk(Path::new(world.uri()), branch);
}

/// Every branch but `name` reads as before; a cleanup leaves nothing of `name` if it is gone,
/// and another has nothing to do; then it can be made again, and reads what main reads.
async fn converges(world: &World, before: &GraphRows, name: &str) {
    let now = graph_rows(world.uri()).await.unwrap();
    let is_there = branches(world).await.contains(&Branch::named(name));
    assert_eq!(without(&now, name), without(before, name), "others are as before");
    if is_there {
        assert_eq!(&now, before, "it is there as it was, or not at all");
    }
    cleanup(world).await;
    let again = cleanup(world).await;
    assert_eq!(again.totals.files_removed, 0, "{again:#?}");
    assert_eq!(graph_rows(world.uri()).await.unwrap(), now, "a cleanup took no row");
    let lists = Path::new(world.uri()).join("__maintenance/cleanup");
    assert!(names(&lists).unwrap().is_empty(), "a list is left");
    if is_there {
        let report = Keeper::new().delete_branch(world.uri(), name).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    }
    expect_nothing_of(world, name);
    let report = create(world, name).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let now = graph_rows(world.uri()).await.unwrap();
    for ((branch, table), rows) in &now {
        if branch == name {
            assert_eq!(rows, &now[&("main".to_owned(), table.clone())], "{table}");
        }
    }
}

macro_rules! deaths {
    ($($test:ident: $fixture:ident $verb:ident $name:ident at $crossing:literal;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let world = World::at_path($fixture).await;
                let before = graph_rows(world.uri()).await.unwrap();
                let verb = Verb::$verb;
                let death = Death { verb, ..Death::at(failpoint::$name, $crossing) };
                run_and_die(world.uri(), death);
                let name = if verb == Verb::CreateBranch { NEW } else { WORK };
                converges(&world, &before, name).await;
            }
        )*

        /// The failpoints at which one of these tests dies.
        pub(crate) const DIED_AT: &[&str] = &[$(failpoint::$name),*];
    };
}

deaths! {
    a_creation_that_dies_with_the_commit_history_cut_leaves_no_branch_at_fixture_path:
        V3 CreateBranch BRANCH_CREATE_AFTER_COMMIT_BRANCH at 1;
    a_deletion_that_dies_with_its_list_written_changes_nothing_at_fixture_path:
        V4 DeleteBranch CLEANUP_LISTED_PRE_DELETE at 1;
    a_deletion_that_dies_before_the_branch_file_changes_nothing_on_v3_at_fixture_path:
        V3 DeleteBranch CLEANUP_RECONCILE_FORK at 1;
    a_deletion_that_dies_after_the_branch_file_is_finished_on_v3_at_fixture_path:
        V3 DeleteBranch BRANCH_DELETE_FLIPPED_PRE_LOOK at 1;
    a_deletion_that_dies_after_the_branch_file_is_finished_on_v4_at_fixture_path:
        V4 DeleteBranch BRANCH_DELETE_FLIPPED_PRE_LOOK at 1;
    a_deletion_that_dies_between_manifests_and_files_is_finished_at_fixture_path:
        V4 DeleteBranch CLEANUP_MANIFESTS_PRE_FILES at 1;
    a_deletion_that_dies_before_its_mark_is_finished_at_fixture_path:
        V3 DeleteBranch CLEANUP_DELETED_PRE_MARK at 1;
    a_deletion_that_dies_before_the_commit_history_is_finished_at_fixture_path:
        V3 DeleteBranch BRANCH_DELETE_BEFORE_COMMITS at 1;
    a_deletion_that_dies_before_the_first_fork_is_finished_at_fixture_path:
        V4 DeleteBranch BRANCH_DELETE_BEFORE_TABLE at 1;
    a_deletion_that_dies_before_the_last_fork_is_finished_at_fixture_path:
        V3 DeleteBranch BRANCH_DELETE_BEFORE_TABLE at 3;
    a_deletion_that_dies_within_a_fork_is_finished_at_fixture_path:
        V4 DeleteBranch CLEANUP_MANIFESTS_PRE_FILES at 2;
}

fn says_injected(report: &BranchReport, name: &str) -> bool {
    let text = format!("injected failpoint triggered: {name}");
    let root = &report.roots[0];
    root.warnings.iter().chain(&root.error).any(|said| said.contains(&text))
}

/// Fails where a verb's outcome is the first of these codes, and converges.
async fn fails(fixture: &str, verb: Verb, name: &'static str, code: u8) {
    let world = World::at_path(fixture).await;
    let before = graph_rows(world.uri()).await.unwrap();
    let guard = FailGuard::new(name, "return").unwrap();
    let (report, branch) = match verb {
        Verb::CreateBranch => (create(&world, NEW).await, NEW),
        _ => (delete(&world).await, WORK),
    };
    drop(guard);
    assert_eq!(report.exit_code().number(), code, "{report:#?}");
    assert!(says_injected(&report, name), "{report:#?}");
    if verb == Verb::DeleteBranch {
        let is_there = branches(&world).await.contains(&Branch::named(WORK));
        assert_eq!(is_there, code != 0, "an error means that nothing was deleted");
    }
    converges(&world, &before, branch).await;
}

macro_rules! failures {
    ($($test:ident: $fixture:ident $verb:ident $name:ident is $code:literal;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                fails($fixture, Verb::$verb, failpoint::$name, $code).await;
            }
        )*

        /// The failpoints at which one of these tests fails.
        pub(crate) const FAILED_AT: &[&str] = &[$(failpoint::$name),*];
    };
}

failures! {
    a_creation_that_fails_half_way_leaves_no_branch_at_fixture_path:
        V3 CreateBranch BRANCH_CREATE_AFTER_COMMIT_BRANCH is 1;
    a_deletion_that_cannot_look_again_puts_the_branch_back_at_fixture_path:
        V3 DeleteBranch BRANCH_DELETE_FLIPPED_PRE_LOOK is 1;
    a_deletion_that_cannot_take_the_branch_file_away_changes_nothing_at_fixture_path:
        V4 DeleteBranch CLEANUP_RECONCILE_FORK is 1;
    a_deletion_that_leaves_files_is_one_and_says_so_at_fixture_path:
        V4 DeleteBranch CLEANUP_MANIFESTS_PRE_FILES is 0;
    a_deletion_that_leaves_the_commit_history_is_one_and_says_so_at_fixture_path:
        V3 DeleteBranch BRANCH_DELETE_BEFORE_COMMITS is 0;
    a_deletion_that_leaves_forks_is_one_and_says_so_at_fixture_path:
        V4 DeleteBranch BRANCH_DELETE_BEFORE_TABLE is 0;
}

/// The branch is there as before, with all its rows, although its deletion had begun.
async fn was_put_back(world: &World, report: &BranchReport, word: &str) {
    assert_eq!(report.exit_code().number(), 1, "{report:#?}");
    let error = report.roots[0].error.as_deref().unwrap();
    assert!(error.contains("work was not deleted") && error.contains(word), "{error}");
    assert!(branches(world).await.contains(&Branch::named(WORK)));
    let lists = Path::new(world.uri()).join("__maintenance/cleanup");
    assert!(names(&lists).unwrap().is_empty(), "a list is left");
}

async fn manifest_of(uri: &str, branch: &str) -> lance::Dataset {
    let builder = DatasetBuilder::from_uri(format!("{uri}/__manifest"));
    builder.with_branch(branch, None).load().await.unwrap()
}

async fn cut_from_work(uri: &str) -> lance::Result<lance::Dataset> {
    let mut work = manifest_of(uri, WORK).await;
    work.create_branch("child", (Some(WORK), None), None).await
}

#[tokio::test]
async fn a_branch_cut_from_it_between_look_and_deletion_is_not_lost_at_fixture_path() {
    for fixture in [V4, V3] {
        let world = World::at_path(fixture).await;
        let uri = world.uri().to_owned();
        let pause = pause_at(failpoint::CLEANUP_LISTED_PRE_DELETE, move || async move {
            cut_from_work(&uri).await.unwrap();
        });
        let report = delete(&world).await;
        assert!(pause.crossings() > 0);
        drop(pause);
        was_put_back(&world, &report, "child was cut from it").await;
        let child = manifest_of(world.uri(), "child").await;
        assert!(child.count_rows(None).await.unwrap() > 0);
        world.reads_as_before_but("child").await;
        // And now it is a dependant like any other.
        let report = delete(&world).await;
        assert_eq!(report.exit_code().number(), 13, "{report:#?}");
    }
}

/// It got past Lance's question whether its parent is there before the parent's file went.
#[tokio::test]
async fn a_branch_that_is_being_cut_from_it_is_not_lost_at_fixture_path() {
    let world = World::at_path(V4).await;
    let uri = world.uri().to_owned();
    let pause = pause_at(failpoint::CLEANUP_LISTED_PRE_DELETE, move || async move {
        cut_from_work(&uri).await.unwrap();
        let file = Path::new(&uri).join("__manifest/_refs/branches/child.json");
        std::fs::rename(&file, Path::new(&uri).join("aside")).unwrap();
    });
    let report = delete(&world).await;
    assert!(pause.crossings() > 0);
    drop(pause);
    was_put_back(&world, &report, "child was cut from it meanwhile").await;
    let file = Path::new(world.uri()).join("__manifest/_refs/branches/child.json");
    std::fs::rename(Path::new(world.uri()).join("aside"), file).unwrap();
    let child = manifest_of(world.uri(), "child").await;
    assert!(child.count_rows(None).await.unwrap() > 0);
    world.reads_as_before_but("child").await;
}

#[tokio::test]
async fn what_is_published_on_it_between_look_and_deletion_is_not_lost_at_fixture_path() {
    let world = World::at_path(V4).await;
    let uri = world.uri().to_owned();
    let pause = pause_at(failpoint::CLEANUP_LISTED_PRE_DELETE, move || async move {
        let mut work = manifest_of(&uri, WORK).await;
        work.update_config([("written", "meanwhile")]).await.unwrap();
    });
    let report = delete(&world).await;
    drop(pause);
    was_put_back(&world, &report, "wrote to it").await;
    world.reads_as_before().await;
    let work = manifest_of(world.uri(), WORK).await;
    assert_eq!(work.config().get("written").map(String::as_str), Some("meanwhile"));
}

#[tokio::test]
async fn a_fork_that_is_written_to_while_its_branch_goes_is_left_to_a_cleanup_at_fixture_path() {
    let mut world = World::at_path(V4).await;
    let client = world.client.clone();
    let pause = pause_at(failpoint::BRANCH_DELETE_BEFORE_TABLE, || async move {
        let mut fork = client.fork_of(PERSON, WORK).await;
        fork.update_config([("written", "meanwhile")]).await.unwrap();
    });
    let report = delete(&world).await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let table = report.roots[0].tables.iter().find(|table| table.table_key.as_str() == PERSON);
    assert!(table.unwrap().kept.as_deref().unwrap().contains("young"), "{report:#?}");
    world.accepts_new_rows().await;
    cleanup(&world).await;
    world.reads_as_before().await;
    expect_nothing_of(&world, WORK);
}

/// A list says that it was being deleted: whoever has that needs nobody who names the branch.
#[tokio::test]
async fn what_a_dead_deletion_left_is_recovered_as_such_at_fixture_path() {
    for fixture in [V3, V4] {
        let world = World::at_path(fixture).await;
        let before = graph_rows(world.uri()).await.unwrap();
        let death = Death::at(failpoint::BRANCH_DELETE_FLIPPED_PRE_LOOK, 1);
        run_and_die(world.uri(), Death { verb: Verb::DeleteBranch, ..death });
        let recovery = Path::new(world.uri()).join("__recovery");
        std::fs::create_dir_all(&recovery).unwrap();
        let text = r#"{"schema_version":2,"operation_id":"01A","started_at":"1","branch":"work","actor_id":"a-client","writer_kind":"Load","tables":[]}"#;
        std::fs::write(recovery.join("01A.json"), text).unwrap();
        let keeper = Keeper::new();
        let options = RecoverOptions::default();
        let preview = keeper.plan_recover([world.uri()], &options).await;
        let done = keeper.recover([world.uri()], &options).await;
        assert_eq!(done.exit_code().number(), 0, "{done:#?}");
        for report in [&preview, &done] {
            let said: Vec<_> =
                report.roots[0].left.iter().map(|row| (row.what, row.action)).collect();
            let expected = [
                (LeftBehind::Sidecar, RecoverAction::DiscardOrphan),
                (LeftBehind::BranchRemains, RecoverAction::Remove),
            ];
            assert_eq!(said, expected, "{report:#?}");
        }
        assert!(!Path::new(world.uri()).join("__manifest/tree/work").exists());
        converges(&world, &before, WORK).await;
    }
}
