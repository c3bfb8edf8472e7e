//! Other verbs work on a root while a run stages there: they are let in, nothing that the run needs goes,
//! and the run commits as if it had been alone. They are processes of their own, as at a user's.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_array::RecordBatchIterator;
use fail::FailScenario;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{
    Branch, BranchSelection, Keeper, NoProgress, OptimizeOptions, OptimizeReport, TableKey,
};
use lancekeeper_store::failpoint;
use lancekeeper_store::tables::version_of;
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::{graph_rows, table_rows, tables};
use tempfile::TempDir;

use crate::pause::pause_at;
use crate::world::{PERSON, World, moved};

/// Everything that may go, goes, however young.
const STRICTEST: [&str; 11] = [
    "cleanup",
    "--confirm",
    "--keep=1",
    "--writer-window=0s",
    "--min-age=0s",
    "--min-fork-age=0s",
    "--max-delete-percent=100",
    "--quiet",
    "--progress=none",
    "--concurrency=2",
    "--json",
];

/// A verb in a process of its own: its exit code, and all that it said.
fn elsewhere(arguments: &[&str]) -> (Option<i32>, String) {
    let test = std::env::current_exe().unwrap();
    let name = format!("lancekeeper{}", std::env::consts::EXE_SUFFIX);
    let binary = test.parent().and_then(Path::parent).unwrap().join(name);
    let ran = Command::new(binary).args(arguments).output().unwrap();
    let said = [ran.stdout, ran.stderr].concat();
    (ran.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn expect_done(arguments: &[&str]) {
    let (code, said) = elsewhere(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {said}");
}

fn clean_up(root: &str) {
    expect_done(&[&STRICTEST[..], &[root]].concat());
}

/// Files as if they had been written two hours ago.
fn age(path: &Path) {
    let old = SystemTime::now() - Duration::from_secs(7_200);
    File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
}

fn journal(root: &Path) -> Vec<(String, String)> {
    let directory = root.join("__maintenance/journal");
    let names = names(&directory).unwrap().into_iter().filter(|name| name.ends_with(".json"));
    names.map(|name| (fs::read_to_string(directory.join(&name)).unwrap(), name)).collect()
}

/// The data files that the journal names.
fn staged(root: &Path, table: &Path) -> Vec<PathBuf> {
    let journal: String = journal(root).into_iter().map(|(text, _)| text).collect();
    let files = names(&table.join("data")).unwrap().into_iter();
    files
        .filter(|name| journal.contains(name.as_str()))
        .map(|name| table.join("data").join(name))
        .collect()
}

fn live_runs(root: &Path) -> BTreeSet<String> {
    names(&root.join("__maintenance/runs")).unwrap()
}

/// Two tables of six versions, as a database or each for itself.
struct Database {
    directory: TempDir,
    _failpoints: FailScenario<'static>,
}

impl Database {
    async fn new() -> Self {
        let failpoints = FailScenario::setup();
        let database = Self { directory: tempfile::tempdir().unwrap(), _failpoints: failpoints };
        for name in ["a", "b"] {
            tables::create(&database.uri(name), 6, 10, false).await.unwrap();
        }
        database
    }

    fn root(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(format!("{name}.lance"))
    }

    fn uri(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    async fn open(&self, name: &str) -> Dataset {
        DatasetBuilder::from_uri(self.uri(name)).load().await.unwrap()
    }
}

/// Nothing else is being staged while a run waits.
fn one_by_one() -> OptimizeOptions {
    OptimizeOptions { concurrency: Some(1), ..OptimizeOptions::default() }
}

async fn optimize(root: &Path, options: &OptimizeOptions) -> OptimizeReport {
    let roots = [root.to_string_lossy().into_owned()];
    Keeper::new().optimize(&roots, options, Arc::new(NoProgress)).await
}

/// A cleanup comes while a table is staged, and somebody has appended to the table before it.
async fn is_cleaned_up_meanwhile(root: PathBuf, database: &Database) {
    let (table, uri) = (database.path("a"), database.uri("a"));
    let before = table_rows(&database.open("a").await).await.unwrap();
    let place = root.clone();
    let pause = pause_at(failpoint::OPTIMIZE_AFTER_STAGE_GROUP, move || async move {
        let (fresh, old) = (table.join("data/fresh.lance"), table.join("data/old.lance"));
        [&fresh, &old].into_iter().for_each(|path| fs::write(path, "no table's").unwrap());
        age(&old);
        // What is named counts, not how old it seems.
        let staged = staged(&place, &table);
        assert_eq!((staged.len(), live_runs(&place).len()), (1, 1));
        age(&staged[0]);
        tables::append(&uri, 1_000, 5).await.unwrap();
        clean_up(&place.to_string_lossy());
        assert!(staged[0].exists() && fresh.exists() && !old.exists());
        assert_eq!((journal(&place).len(), live_runs(&place).len()), (1, 1));
        fs::remove_file(fresh).unwrap();
    });
    let report = optimize(&root, &one_by_one()).await;
    assert!(pause.crossings() > 0);
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let row = &report.roots[0].tables[0];
    assert!(row.committed && row.groups_dropped == 0, "{row:#?}");
    let head = database.open("a").await;
    // The version that was staged at, and what came after it. What came before is gone.
    let versions: Vec<u64> = head.version_refs().await.unwrap().iter().map(|v| v.version).collect();
    assert!(
        versions.contains(&6) && versions.contains(&7) && !versions.contains(&5),
        "{versions:?}"
    );
    let mut rows = table_rows(&head).await.unwrap();
    assert_eq!(rows.len(), before.len() + 5);
    rows.retain(|row| before.contains(row));
    assert_eq!(rows, before);
    assert_eq!((journal(&root).len(), live_runs(&root).len()), (0, 0));
    // Nothing is kept for the run any more.
    clean_up(&root.to_string_lossy());
    assert_eq!(head.version_refs().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_cleanup_of_a_database_takes_nothing_that_a_run_stages_or_reads() {
    let database = Database::new().await;
    is_cleaned_up_meanwhile(database.root(), &database).await;
}

#[tokio::test]
async fn a_cleanup_of_a_table_takes_nothing_that_a_run_stages_or_reads() {
    let database = Database::new().await;
    is_cleaned_up_meanwhile(database.path("a"), &database).await;
}

#[tokio::test]
async fn a_cleanup_of_a_graph_takes_nothing_that_a_run_stages_or_reads() {
    let world = World::v4().await;
    let (root, uri) = (PathBuf::from(world.uri()), world.uri().to_owned());
    let pause = pause_at(failpoint::OPTIMIZE_AFTER_STAGE_GROUP, move || async move {
        let before = journal(&root);
        clean_up(&uri);
        let now = journal(&root);
        assert!(!before.is_empty() && before.iter().all(|entry| now.contains(entry)), "{now:?}");
    });
    let report = world.optimize_with(&one_by_one()).await;
    assert!(pause.crossings() > 0);
    drop(pause);
    assert_eq!((report.exit_code().number(), moved(&report)), (0, 3), "{report:#?}");
    world.reads_as_before().await;
    world.is_at_rest().await;
    world.converges().await;
}

#[tokio::test]
async fn branches_are_made_and_deleted_while_a_run_stages() {
    let world = World::v4().await;
    let uri = world.uri().to_owned();
    let pause = pause_at(failpoint::OPTIMIZE_AFTER_STAGE_GROUP, move || async move {
        for name in ["stays", "goes"] {
            expect_done(&["branch", "create", &uri, name]);
        }
        expect_done(&["branch", "delete", "--confirm", &uri, "goes"]);
    });
    let before = graph_rows(world.uri()).await.unwrap();
    let report = world.optimize().await;
    drop(pause);
    assert_eq!((report.exit_code().number(), moved(&report)), (0, 3), "{report:#?}");
    let branches = world.client.graph().await.branches().await.unwrap();
    assert_eq!(branches, [Branch::named("stays")]);
    // The new branch reads what main read when it was made, and main reads the same as before.
    let now = graph_rows(world.uri()).await.unwrap();
    for ((_, table), rows) in &before {
        for branch in ["main", "stays"] {
            assert!(now[&(branch.to_owned(), table.clone())] == *rows, "{table} on {branch}");
        }
    }
    world.is_at_rest().await;
}

/// A branch `topic` with a fork of a table that has something to be merged. Returns the fork's directory.
async fn fork(world: &World) -> PathBuf {
    let client = &world.client;
    client.fork(PERSON, "topic").await;
    let mut fork = client.fork_of(PERSON, "topic").await;
    for _ in 0..3 {
        let mut scan = fork.scan();
        let batch = scan.limit(Some(2), None).unwrap().try_into_batch().await.unwrap();
        let schema = batch.schema();
        fork.append(RecordBatchIterator::new([Ok(batch)], schema), None).await.unwrap();
    }
    client.publish_fork(PERSON, "topic").await;
    let snapshot = client.snapshot().await;
    let pin = snapshot.pin(&TableKey::new(PERSON)).unwrap();
    Path::new(world.uri()).join(&pin.location).join("tree/topic")
}

fn only_topic() -> OptimizeOptions {
    let branches = BranchSelection::Named(vec!["topic".to_owned()]);
    OptimizeOptions { branches, ..one_by_one() }
}

#[tokio::test]
async fn a_branch_that_is_deleted_while_it_is_staged_is_given_up_with_what_was_staged() {
    let world = World::v4().await;
    let directory = fork(&world).await;
    let (uri, place) = (world.uri().to_owned(), directory.clone());
    let pause = pause_at(failpoint::OPTIMIZE_AFTER_STAGE_GROUP, move || async move {
        expect_done(&["branch", "delete", "--confirm", &uri, "topic"]);
        // The run reads it, and its name may be had again all the same.
        assert!(place.join("_versions").exists());
        expect_done(&["branch", "create", &uri, "topic"]);
        clean_up(&uri);
        assert!(place.join("_versions").exists());
        expect_done(&["branch", "delete", "--confirm", &uri, "topic"]);
    });
    let report = world.optimize_with(&only_topic()).await;
    assert!(pause.crossings() > 0, "{report:#?}");
    drop(pause);
    assert_eq!((report.exit_code().number(), moved(&report)), (0, 0), "{report:#?}");
    let person =
        report.roots[0].tables.iter().find(|row| row.table_key.as_str() == PERSON).unwrap();
    assert!(person.reason.contains("the branch was deleted"), "{person:#?}");
    assert_eq!(world.journal(), [""; 0]);
    world.reads_as_before().await;
    clean_up(world.uri());
    assert!(!directory.join("_versions").exists());
    world.converges().await;
}

#[tokio::test]
async fn a_branch_that_is_made_anew_while_its_forerunner_is_staged_is_left_alone() {
    let mut world = World::v4().await;
    fork(&world).await;
    // By its number, what main reads might as well be the newest version of the old fork.
    let client = &world.client;
    let newest = version_of(&client.fork_of(PERSON, "topic").await);
    while client.head(PERSON).await < newest {
        client.publish(PERSON, &client.append(PERSON).await).await;
    }
    assert_eq!(client.pin(PERSON).await, newest);
    world.accepts_new_rows().await;
    let uri = world.uri().to_owned();
    let pause = pause_at(failpoint::OPTIMIZE_AFTER_STAGE_GROUP, move || async move {
        expect_done(&["branch", "delete", "--confirm", &uri, "topic"]);
        expect_done(&["branch", "create", &uri, "topic"]);
    });
    let report = world.optimize_with(&only_topic()).await;
    drop(pause);
    assert_eq!((report.exit_code().number(), moved(&report)), (0, 0), "{report:#?}");
    let now = graph_rows(world.uri()).await.unwrap();
    for ((_, table), rows) in world.rows().iter().filter(|((branch, _), _)| branch == "main") {
        assert!(now[&("topic".to_owned(), table.clone())] == *rows, "{table} of the old branch");
    }
    world.is_at_rest().await;
}

#[tokio::test]
async fn a_second_run_is_refused_while_the_first_one_stages_and_opening_settles_nothing_of_it() {
    let database = Database::new().await;
    let root = database.root();
    let pause = pause_at(failpoint::OPTIMIZE_AFTER_STAGE_GROUP, move || async move {
        let uri = root.to_string_lossy().into_owned();
        let before = journal(&root);
        assert_eq!(before.len(), 1);
        // Over the whole, and over one of its tables.
        for place in [uri.clone(), format!("{uri}/b.lance")] {
            let (code, said) = elsewhere(&["optimize", "--json", &place]);
            assert_eq!(code, Some(11), "{said}");
            assert!(
                said.contains("locked by another keeper") && said.contains("optimize"),
                "{said}"
            );
        }
        let (code, said) = elsewhere(&["status", &uri]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("locked by another keeper"), "{said}");
        let (code, said) = elsewhere(&["cleanup", "--keep=1", "--confirm", &uri]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(journal(&root), before);
    });
    let report = optimize(&database.root(), &one_by_one()).await;
    assert!(pause.crossings() > 0);
    drop(pause);
    assert_eq!(
        (report.exit_code().number(), report.totals.tables_committed),
        (0, 2),
        "{report:#?}"
    );
}
