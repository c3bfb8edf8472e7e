//! `optimize` on a database dies, fails, or is overtaken: there is no publish and no sidecar,
//! every table is as it was or compacted, and the journal accounts for every file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fail::{FailGuard, FailScenario};
use lance::Dataset;
use lancekeeper::{Keeper, NoProgress, OptimizeOptions, OptimizeReport, SkipReason};
use lancekeeper_store::failpoint;
use lancekeeper_testkit::invariants::{check_files, names};
use lancekeeper_testkit::{Fixture, table_rows};

use crate::child::{Death, run_and_die};
use crate::pause::pause_at;
use crate::world::says_injected;

/// The table with the most to do: 60 fragments, an index, deleted rows.
const VIEWS: &str = "article_views";

/// A database as LanceDB for Python left it.
struct Database {
    uri: String,
    rows: BTreeMap<String, Vec<String>>,
    _fixture: Fixture,
    _failpoints: FailScenario<'static>,
}

impl Database {
    async fn unpack() -> Self {
        let failpoints = FailScenario::setup();
        let fixture = Fixture::unpack("lancedb-python-0.40").unwrap();
        let uri = fixture.uri("lancedb");
        let rows = rows(&uri).await;
        Self { uri, rows, _fixture: fixture, _failpoints: failpoints }
    }

    async fn optimize(&self) -> OptimizeReport {
        let options = OptimizeOptions::default();
        Keeper::new()
            .optimize(std::slice::from_ref(&self.uri), &options, Arc::new(NoProgress))
            .await
    }

    async fn reads_as_before(&self) {
        let now = rows(&self.uri).await;
        let differs = |key: &&String| now.get(*key) != self.rows.get(*key);
        let others: Vec<_> = self.rows.keys().filter(differs).collect();
        assert!(others.is_empty() && now.len() == self.rows.len(), "{others:?} read otherwise");
    }

    fn journal(&self) -> Vec<String> {
        let all = names(&Path::new(&self.uri).join("__maintenance/journal")).unwrap();
        all.into_iter().filter(|name| name.ends_with(".json")).collect()
    }

    async fn has_no_unexplained_file(&self) {
        for key in self.rows.keys() {
            let directory = Path::new(&self.uri).join(format!("{key}.lance"));
            check_files(&open(&self.uri, key).await, &directory).await.unwrap();
        }
    }

    async fn converges(&self) {
        let report = self.optimize().await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        self.reads_as_before().await;
        assert!(self.journal().is_empty());
        self.has_no_unexplained_file().await;
        let second = self.optimize().await;
        assert_eq!(second.exit_code().number(), 0, "{second:#?}");
        assert_eq!(second.totals.tables_committed, 0, "{second:#?}");
        assert!(second.roots[0].tables.iter().all(|table| table.fragments_after <= 2));
    }
}

async fn open(uri: &str, key: &str) -> Dataset {
    Dataset::open(&format!("{uri}/{key}.lance")).await.unwrap()
}

async fn rows(uri: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for name in names(Path::new(uri)).unwrap() {
        if let Some(key) = name.strip_suffix(".lance") {
            rows.insert(key.to_owned(), table_rows(&open(uri, key).await).await.unwrap());
        }
    }
    rows
}

async fn dies_and_converges(name: &'static str) {
    let database = Database::unpack().await;
    run_and_die(&database.uri, Death::at(name, 1));
    assert!(!database.journal().is_empty(), "nothing names the staged files");
    database.reads_as_before().await;
    database.converges().await;
}

#[tokio::test]
async fn a_database_run_that_dies_after_a_staged_group_is_cleared_up() {
    dies_and_converges(failpoint::OPTIMIZE_AFTER_STAGE_GROUP).await;
}

#[tokio::test]
async fn a_database_run_that_dies_with_a_table_staged_is_cleared_up() {
    dies_and_converges(failpoint::OPTIMIZE_STAGED_PRE_ENTER).await;
}

#[tokio::test]
async fn a_database_run_that_dies_with_its_indexes_carried_over_is_cleared_up() {
    dies_and_converges(failpoint::OPTIMIZE_ENTERED_PRE_RECHECK).await;
}

#[tokio::test]
async fn a_database_run_that_dies_with_its_new_segments_committed_is_cleared_up() {
    dies_and_converges(failpoint::OPTIMIZE_INDEXED_PRE_RESERVE).await;
}

#[tokio::test]
async fn a_database_run_that_dies_before_its_rewrite_is_cleared_up() {
    dies_and_converges(failpoint::OPTIMIZE_RESERVED_PRE_REWRITE).await;
}

#[tokio::test]
async fn a_database_run_that_fails_anywhere_says_so_and_leaves_no_file() {
    for name in [
        failpoint::OPTIMIZE_AFTER_STAGE_GROUP,
        failpoint::OPTIMIZE_STAGED_PRE_ENTER,
        failpoint::OPTIMIZE_ENTERED_PRE_RECHECK,
        failpoint::OPTIMIZE_INDEXED_PRE_RESERVE,
        failpoint::OPTIMIZE_RESERVED_PRE_REWRITE,
    ] {
        let database = Database::unpack().await;
        let guard = FailGuard::new(name, "return").unwrap();
        let report = database.optimize().await;
        drop(guard);
        assert!(says_injected(&report, name), "{report:#?}");
        assert_ne!(report.exit_code().number(), 0, "{report:#?}");
        assert_eq!(report.totals.tables_committed, 0, "{report:#?}");
        assert!(database.journal().is_empty(), "{name}");
        database.reads_as_before().await;
        database.has_no_unexplained_file().await;
        database.converges().await;
    }
}

/// Optimizes with `action` done to the table before its Rewrite; what it reads afterwards is
/// what it read after the action.
async fn is_overtaken(action: impl AsyncFnOnce(Dataset) + Send + 'static) -> OptimizeReport {
    let database = Database::unpack().await;
    let uri = database.uri.clone();
    let expected = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&expected);
    let pause = pause_at(failpoint::OPTIMIZE_RESERVED_PRE_REWRITE, move || async move {
        action(open(&uri, VIEWS).await).await;
        *seen.lock().unwrap() = table_rows(&open(&uri, VIEWS).await).await.unwrap();
    });
    let options = OptimizeOptions { tables: vec![VIEWS.to_owned()], ..Default::default() };
    let roots = [database.uri.clone()];
    let report = Keeper::new().optimize(&roots, &options, Arc::new(NoProgress)).await;
    assert!(pause.crossings() > 1, "the Rewrite was refused and tried again: {report:#?}");
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(report.roots[0].tables[0].committed, "{report:#?}");
    let now = table_rows(&open(&database.uri, VIEWS).await).await.unwrap();
    assert!(now == *expected.lock().unwrap(), "rows were lost or came back");
    assert!(database.journal().is_empty());
    database.has_no_unexplained_file().await;
    report
}

#[tokio::test]
async fn an_append_before_the_rewrite_costs_an_attempt_and_no_work() {
    let report = is_overtaken(async |mut table: Dataset| {
        let mut scan = table.scan();
        let batch = scan.limit(Some(3), None).unwrap().try_into_batch().await.unwrap();
        let schema = batch.schema();
        let batches = arrow_array::RecordBatchIterator::new([Ok(batch)], schema);
        table.append(batches, None).await.unwrap();
    })
    .await;
    let table = &report.roots[0].tables[0];
    assert_eq!((table.groups_dropped, table.groups_redone), (0, 0), "{table:#?}");
}

#[tokio::test]
async fn a_delete_before_the_rewrite_is_carried_over() {
    let report = is_overtaken(async |mut table: Dataset| {
        let before = table.count_rows(None).await.unwrap();
        table.delete("_rowaddr % 7 = 0").await.unwrap();
        assert!(table.count_rows(None).await.unwrap() < before);
    })
    .await;
    let table = &report.roots[0].tables[0];
    assert!(table.committed && table.rows_after < table.rows_before, "{table:#?}");
    assert_eq!((table.groups_dropped, table.groups_redone), (0, 0), "{table:#?}");
}

#[tokio::test]
async fn a_table_dropped_after_it_was_planned_is_no_failure_of_the_database() {
    let database = Database::unpack().await;
    let directory = Path::new(&database.uri).join(format!("{VIEWS}.lance"));
    let dropped = directory.clone();
    let pause = pause_at(failpoint::OPTIMIZE_STAGED_PRE_ENTER, move || async move {
        std::fs::remove_dir_all(dropped).unwrap();
    });
    let options = OptimizeOptions { tables: vec![VIEWS.to_owned()], ..OptimizeOptions::default() };
    let report = Keeper::new().optimize([&database.uri], &options, Arc::new(NoProgress)).await;
    assert_eq!(pause.crossings(), 1, "{report:#?}");
    drop(pause);
    let row = &report.roots[0].tables[0];
    assert_eq!(row.skipped, Some(SkipReason::NotATable), "{report:#?}");
    assert_eq!((report.exit_code().number(), &row.error), (0, &None), "{row:#?}");
    assert!(!directory.join("_versions").exists(), "the table came back");
    let rest = database.optimize().await;
    assert_eq!(rest.exit_code().number(), 0, "{rest:#?}");
}
