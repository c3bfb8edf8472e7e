//! What others do to plain tables while a cleanup is under way, and what a cleanup that died leaves: nothing
//! that came in between is lost, and what is said to be gone is what this run took away.

use std::fs;
use std::path::{Path, PathBuf};

use fail::{FailGuard, FailScenario};
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{CleanupOptions, CleanupReport, ErrorKind, Keeper};
use lancekeeper_model::TableCleanupStats;
use lancekeeper_store::failpoint;
use lancekeeper_testkit::{table_rows, tables};
use serde_json::Value;
use tempfile::TempDir;

use crate::child::{Death, run_and_die, strictest};
use crate::pause::pause_at;

/// Tables `a` and `b` of six versions each, whose rows are all replaced by the last two.
struct Database {
    directory: TempDir,
    _failpoints: FailScenario<'static>,
}

impl Database {
    async fn new() -> Self {
        let failpoints = FailScenario::setup();
        let database = Self { directory: tempfile::tempdir().unwrap(), _failpoints: failpoints };
        for name in ["a", "b"] {
            let mut table = tables::create(&database.uri(name), 4, 10, false).await.unwrap();
            table.delete("id >= 0").await.unwrap();
            tables::append(&database.uri(name), 100, 5).await.unwrap();
        }
        database
    }

    fn root(&self) -> String {
        self.directory.path().to_string_lossy().into_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.lance"))
    }

    fn uri(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    async fn open(&self, name: &str) -> Dataset {
        DatasetBuilder::from_uri(self.uri(name)).load().await.unwrap()
    }

    async fn cleanup(&self) -> CleanupReport {
        Keeper::new().cleanup(&[self.root()], &strictest()).await
    }

    fn records(&self) -> Vec<Value> {
        let directory = self.directory.path().join("__maintenance/audit");
        let mut paths: Vec<PathBuf> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        let read = |path: &PathBuf| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        paths.iter().map(read).collect()
    }
}

fn row_of<'r>(report: &'r CleanupReport, table: &str) -> &'r TableCleanupStats {
    let mut rows = report.roots[0].tables.iter();
    rows.find(|row| row.table_key.as_str() == table).unwrap()
}

#[tokio::test]
async fn a_clone_that_is_made_while_another_table_is_cleaned_up_keeps_what_it_reads() {
    let database = Database::new().await;
    let (origin, clone) = (database.uri("b"), database.uri("clone"));
    let to = clone.clone();
    let pause = pause_at(failpoint::CLEANUP_TABLE_GC, || async move {
        let mut origin = DatasetBuilder::from_uri(origin).load().await.unwrap();
        origin.shallow_clone(&to, 4, None).await.unwrap();
    });
    let report = database.cleanup().await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(row_of(&report, "b").old_versions_removed > 0, "{report:#?}");
    let clone = DatasetBuilder::from_uri(clone).load().await.unwrap();
    assert_eq!(table_rows(&clone).await.unwrap().len(), 40);
}

#[tokio::test]
async fn a_clone_of_the_very_table_that_is_being_deleted_keeps_what_it_reads() {
    // Before its manifests go, and between them and the rest: there the clone is made from an old handle.
    for name in [failpoint::CLEANUP_TABLE_GC, failpoint::CLEANUP_LISTED_PRE_DELETE] {
        let database = Database::new().await;
        let (origin, clone) = (database.uri("a"), database.uri("clone"));
        let to = clone.clone();
        let pause = pause_at(name, || async move {
            let mut origin = DatasetBuilder::from_uri(origin).load().await.unwrap();
            origin.shallow_clone(&to, 4, None).await.unwrap();
        });
        let report = database.cleanup().await;
        drop(pause);
        let row = row_of(&report, "a");
        assert_eq!(row.error_kind, Some(ErrorKind::Conflict), "{name}: {row:#?}");
        // The versions went, and are said to have; what they referred to waits for the next run.
        assert_eq!((row.files_removed, row.old_versions_removed), (5, 5), "{name}: {row:#?}");
        let read = || async {
            let clone = DatasetBuilder::from_uri(&clone).load().await.unwrap();
            table_rows(&clone).await.unwrap().len()
        };
        assert_eq!(read().await, 40, "{name}");
        let report = database.cleanup().await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert_eq!(read().await, 40, "{name}");
        assert_eq!(database.cleanup().await.totals.files_removed, 0);
    }
}

#[tokio::test]
async fn a_tag_on_a_version_that_stays_stops_nothing() {
    let database = Database::new().await;
    for first in 0..8 {
        tables::append(&database.uri("a"), 1_000 + first, 1).await.unwrap();
    }
    let uri = database.uri("a");
    let options =
        CleanupOptions { delete_rate: Some(2), tables: vec!["a".to_owned()], ..strictest() };
    let pause = pause_at(failpoint::CLEANUP_LISTED_PRE_DELETE, || async move {
        let mut table = DatasetBuilder::from_uri(uri).load().await.unwrap();
        let head = table.manifest().version;
        table.tags().create("now", head).await.unwrap();
        table.create_branch("side", head, None).await.unwrap();
    });
    let report = Keeper::new().cleanup(&[database.root()], &options).await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(row_of(&report, "a").old_versions_removed, 13, "{report:#?}");
}

#[tokio::test]
async fn a_version_that_is_restored_while_it_is_deleted_keeps_its_files() {
    let database = Database::new().await;
    let mut old = database.open("a").await.checkout_version(4).await.unwrap();
    let rows = table_rows(&old).await.unwrap();
    assert_eq!(rows.len(), 40);
    // After the last look before the deletions: the version still has its manifest.
    let pause = pause_at(failpoint::CLEANUP_LISTED_PRE_DELETE, || async move {
        old.restore().await.unwrap();
    });
    let report = database.cleanup().await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(database.open("a").await.manifest().version, 7);
    assert_eq!(table_rows(&database.open("a").await).await.unwrap(), rows);
    // What is recorded is what went.
    let recorded: u64 =
        database.records().iter().map(|record| record["files"].as_u64().unwrap()).sum();
    assert_eq!(recorded, report.totals.files_removed);
}

#[tokio::test]
async fn a_tag_that_is_set_while_versions_are_deleted_stops_what_was_not_deleted_yet() {
    let database = Database::new().await;
    for first in 0..8 {
        tables::append(&database.uri("a"), 1_000 + first, 1).await.unwrap();
    }
    let uri = database.uri("a");
    let rows = table_rows(&database.open("a").await.checkout_version(3).await.unwrap()).await;
    // Slowly, and the newest first: tags are looked at after each, and version 3 is among the last.
    let options = CleanupOptions { delete_rate: Some(1), ..strictest() };
    let pause = pause_at(failpoint::CLEANUP_LISTED_PRE_DELETE, || async move {
        let table = DatasetBuilder::from_uri(uri).load().await.unwrap();
        table.tags().create("late", 3).await.unwrap();
    });
    let options = CleanupOptions { tables: vec!["a".to_owned()], ..options };
    let report = Keeper::new().cleanup(&[database.root()], &options).await;
    drop(pause);
    let row = row_of(&report, "a");
    assert_eq!(row.error_kind, Some(ErrorKind::Conflict), "{row:#?}");
    assert_eq!((row.files_removed, row.old_versions_removed), (1, 1), "{row:#?}");
    let report = database.cleanup().await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let tagged = database.open("a").await.checkout_version("late").await.unwrap();
    assert_eq!(table_rows(&tagged).await.unwrap(), rows.unwrap());
    assert_eq!(database.open("a").await.version_refs().await.unwrap().len(), 2);
}

#[tokio::test]
async fn deletions_are_no_faster_than_asked_and_a_run_can_be_stopped_between_them() {
    let database = Database::new().await;
    // There is no next table at which the stop could be noticed.
    let tables = vec!["a".to_owned()];
    let options = CleanupOptions { delete_rate: Some(2), tables, ..strictest() };
    let keeper = Keeper::new();
    let stopper = keeper.clone();
    let pause = pause_at(failpoint::CLEANUP_MANIFESTS_PRE_FILES, || async move { stopper.stop() });
    let started = std::time::Instant::now();
    let report = keeper.cleanup(&[database.root()], &options).await;
    drop(pause);
    // Five manifests at two a second.
    assert!(started.elapsed().as_secs_f64() > 2.0, "{:?}", started.elapsed());
    assert_eq!(report.exit_code().number(), 130, "{report:#?}");
    assert_eq!(row_of(&report, "a").files_removed, 5, "{report:#?}");
    let report = database.cleanup().await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(database.cleanup().await.totals.files_removed, 0);
}

#[tokio::test]
async fn a_file_that_somebody_else_deletes_first_is_not_said_to_be_reclaimed() {
    let database = Database::new().await;
    let file = |name: &str| {
        let table = database.path(name).join("data");
        let files = fs::read_dir(table).unwrap().map(|entry| entry.unwrap().path());
        // The oldest of the table is none that its newest version reads.
        files.min_by_key(|path| path.metadata().unwrap().modified().unwrap()).unwrap()
    };
    let (gone, size) = (file("a"), file("a").metadata().unwrap().len());
    let previewed = Keeper::new().plan_cleanup(&[database.root()], &strictest()).await;
    let pause = pause_at(failpoint::CLEANUP_LISTED_PRE_DELETE, || async move {
        fs::remove_file(gone).unwrap();
    });
    let report = database.cleanup().await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(report.totals.files_removed + 1, previewed.totals.files_removed);
    assert_eq!(report.totals.bytes_removed + size, previewed.totals.bytes_removed);
}

#[tokio::test]
async fn a_run_that_fails_before_its_first_deletion_says_that_it_removed_nothing() {
    let database = Database::new().await;
    let guard = FailGuard::new(failpoint::CLEANUP_TABLE_GC, "return").unwrap();
    let report = database.cleanup().await;
    drop(guard);
    assert_eq!(report.totals.tables_failed, 2, "{report:#?}");
    let totals = &report.totals;
    assert_eq!(
        (totals.files_removed, totals.bytes_removed, totals.old_versions_removed),
        (0, 0, 0)
    );
    assert_eq!(database.open("a").await.version_refs().await.unwrap().len(), 6);
}

#[tokio::test]
async fn what_a_run_that_died_had_deleted_is_on_record_with_the_next_one() {
    let database = Database::new().await;
    let death = Death::of_cleanup_at(failpoint::CLEANUP_MANIFESTS_PRE_FILES, 1);
    run_and_die(&database.root(), death);
    assert!(!Path::new(&database.root()).join("__maintenance/audit").exists());
    let report = database.cleanup().await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let records = database.records();
    let interrupted: Vec<&Value> =
        records.iter().filter(|record| record["interrupted"] == true).collect();
    assert_eq!(interrupted.len(), 1, "{records:#?}");
    let record = interrupted[0];
    assert_eq!(record["table"], "a");
    // Its five old manifests; what they referred to is on the record of the run that took it away.
    assert_eq!(
        (&record["files"], &record["reasons"]),
        (&5.into(), &serde_json::json!({"old_version": 5}))
    );
    for record in &records {
        let by = record["by"].as_str().unwrap();
        assert!(by.contains('@') && by.contains("lancekeeper") && by.contains("pid"), "{by}");
    }
    let own: Vec<&Value> = records.iter().filter(|record| record["interrupted"] == false).collect();
    assert_eq!(own.iter().filter(|record| record["table"] == "a").count(), 1);
    let of_b = own.iter().find(|record| record["table"] == "b").unwrap();
    assert_eq!(of_b["versions"], serde_json::json!({"main": [1, 2, 3, 4, 5]}));
    assert_eq!(of_b["reasons"]["old_version"], 5);
    let recorded: u64 = own.iter().map(|record| record["bytes"].as_u64().unwrap()).sum();
    assert_eq!(recorded, report.totals.bytes_removed);
}

#[tokio::test]
async fn a_list_that_a_power_cut_left_torn_stops_no_later_cleanup() {
    let database = Database::new().await;
    let lists = Path::new(&database.root()).join("__maintenance/cleanup");
    fs::create_dir_all(&lists).unwrap();
    let torn = lists.join("01ARZ3NDEKTSV4RRFFQ69G5FAV-0000.json");
    fs::write(&torn, "").unwrap();
    let previewed = Keeper::new().plan_cleanup(&[database.root()], &strictest()).await;
    assert_eq!(previewed.exit_code().number(), 0, "{previewed:#?}");
    assert!(previewed.roots[0].warnings[0].contains("cannot be read"), "{previewed:#?}");
    assert!(torn.exists());
    let report = database.cleanup().await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(report.roots[0].warnings[0].contains("is removed"), "{report:#?}");
    assert!(!torn.exists());
    assert!(report.totals.old_versions_removed > 0);

    // A newer one may mean anything.
    fs::write(&torn, r#"{"schema":2}"#).unwrap();
    let report = database.cleanup().await;
    assert_eq!(report.exit_code().number(), 1, "{report:#?}");
    assert!(report.roots[0].error.as_deref().unwrap().contains("it has schema 2"), "{report:#?}");
    assert!(torn.exists());
}
