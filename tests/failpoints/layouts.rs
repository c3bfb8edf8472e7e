//! `optimize --layout` on a database dies, fails, or is overtaken: every row is there once, what was deleted stays
//! deleted, nothing is left lying about, and the next run finishes what was begun.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use fail::{FailGuard, FailScenario};
use lance::Dataset;
use lance::dataset::UpdateBuilder;
use lance::dataset::builder::DatasetBuilder;
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper::{Keeper, NoProgress, OptimizeOptions, OptimizeReport, SkipReason};
use lancekeeper_store::failpoint;
use lancekeeper_testkit::invariants::{check_files, names};
use lancekeeper_testkit::rows::batch_rows;
use lancekeeper_testkit::{table_rows, tables};
use tempfile::TempDir;

use crate::child::{Death, SMALL_ROWS, run_and_die};
use crate::pause::pause_at;
use crate::world::says_injected;

/// Rows come in the other direction.
const LAYOUT: &str = "sort:-id";
const ROWS: i64 = 300;
/// Set, it runs everything at every failpoint with stable row ids and without. Else they take turns: what is done
/// about row ids is in other tests, and each of these takes seconds.
const EVERYTHING: &str = "LANCEKEEPER_WHOLE_MATRIX";
/// The failpoints that a run over a database crosses.
const CROSSED: [&str; 5] = [
    failpoint::OPTIMIZE_AFTER_STAGE_GROUP,
    failpoint::OPTIMIZE_STAGED_PRE_ENTER,
    failpoint::OPTIMIZE_INDEXED_PRE_RESERVE,
    failpoint::OPTIMIZE_ENTERED_PRE_RECHECK,
    failpoint::OPTIMIZE_RESERVED_PRE_REWRITE,
];

/// Each failpoint with whether row ids are stable.
fn with_row_ids(names: &[&'static str]) -> Vec<(bool, &'static str)> {
    let whole = std::env::var_os(EVERYTHING).is_some();
    let both =
        names.iter().enumerate().flat_map(|(at, name)| [(at, false, *name), (at, true, *name)]);
    both.filter(|(at, stable, _)| whole || (at % 2 == 1) == *stable)
        .map(|(_, stable, name)| (stable, name))
        .collect()
}

/// A database with a table of six fragments, some rows of which are deleted, under two indexes.
struct Database {
    directory: TempDir,
    rows: Vec<String>,
    _failpoints: FailScenario<'static>,
}

async fn open(uri: &str) -> Dataset {
    DatasetBuilder::from_uri(uri).load().await.unwrap()
}

async fn index(table: &mut Dataset, column: &str, kind: &str) {
    let params = ScalarIndexParams::new(kind.to_owned());
    let name = Some(format!("{column} {kind}"));
    table.create_index(&[column], IndexType::Scalar, name, &params, true).await.unwrap();
}

/// The rows that match, as text.
async fn found(table: &Dataset, filter: &str, by_index: bool) -> Vec<String> {
    let mut scan = table.scan();
    scan.filter(filter).unwrap().use_scalar_index(by_index);
    let mut rows = batch_rows(&scan.try_into_batch().await.unwrap()).unwrap();
    rows.sort();
    rows
}

impl Database {
    async fn new(stable: bool) -> Self {
        let failpoints = FailScenario::setup();
        let directory = tempfile::tempdir().unwrap();
        let mut database = Self { directory, rows: Vec::new(), _failpoints: failpoints };
        let mut table = tables::create(&database.uri(), 6, 50, stable).await.unwrap();
        index(&mut table, "id", "btree").await;
        index(&mut table, "text", "inverted").await;
        table.delete("id % 7 = 3").await.unwrap();
        database.rows = table_rows(&open(&database.uri()).await).await.unwrap();
        database
    }

    fn root(&self) -> String {
        self.directory.path().to_string_lossy().into_owned()
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("t.lance")
    }

    fn uri(&self) -> String {
        self.path().to_string_lossy().into_owned()
    }

    async fn optimize(&self, layout: Option<&str>) -> OptimizeReport {
        let options = OptimizeOptions {
            layout: layout.map(|layout| layout.parse().unwrap()),
            target_rows: SMALL_ROWS,
            ..OptimizeOptions::default()
        };
        Keeper::new().optimize(&[self.root()], &options, Arc::new(NoProgress)).await
    }

    /// Readers see these rows; indexes answer as a scan does.
    async fn reads(&self, rows: &[String], what: &str) {
        let table = open(&self.uri()).await;
        table.validate().await.unwrap();
        assert!(table_rows(&table).await.unwrap() == *rows, "{what}: other rows");
        for filter in ["id = 42", "id < 7 OR id > 290", "id = 299", "text = 'row 5'"] {
            let by = async |by_index| found(&table, filter, by_index).await;
            assert_eq!(by(true).await, by(false).await, "{what}: {filter}");
        }
    }

    /// Nothing is left of what is not the table's.
    async fn is_tidy(&self, what: &str) {
        let journal = names(&self.directory.path().join("__maintenance/journal")).unwrap();
        let entries: Vec<_> = journal.iter().filter(|name| name.ends_with(".json")).collect();
        assert!(entries.is_empty(), "{what}: {entries:?}");
        check_files(&open(&self.uri()).await, &self.path())
            .await
            .unwrap_or_else(|e| panic!("{what}: {e:#}"));
    }

    /// The rows of the first fragments, in their order, up to where ids are appended again.
    async fn ids(&self) -> Vec<i64> {
        let table = open(&self.uri()).await;
        let rows = table.scan().try_into_batch().await.unwrap();
        rows.column_by_name("id").unwrap().as_primitive::<Int64Type>().values().to_vec()
    }

    async fn is_laid_out(&self, what: &str) {
        assert!(self.ids().await.is_sorted_by(|one, other| one >= other), "{what}");
        assert!(open(&self.uri()).await.fragments().len() > 1, "{what}: several outputs");
    }

    /// A run with or without the layout ends what was begun; after that there is nothing to do.
    async fn converges(&self, layout: Option<&str>, what: &str) {
        let report = self.optimize(layout).await;
        assert_eq!(report.exit_code().number(), 0, "{what}: {report:#?}");
        self.reads(&self.rows, what).await;
        self.is_laid_out(what).await;
        self.is_tidy(what).await;
        let second = self.optimize(None).await;
        assert_eq!(second.exit_code().number(), 0, "{what}: {second:#?}");
        assert_eq!(second.totals.tables_committed, 0, "{what}: {second:#?}");
    }
}

#[tokio::test]
async fn a_run_that_dies_anywhere_loses_nothing_and_is_finished_by_the_next_one() {
    for (stable, name) in with_row_ids(&CROSSED) {
        let what = format!("{name}, stable row ids: {stable}");
        let database = Database::new(stable).await;
        run_and_die(&database.root(), Death::at(name, 1).laying_out(LAYOUT));
        database.reads(&database.rows, &what).await;
        database.converges(Some(LAYOUT), &what).await;
    }
}

#[tokio::test]
async fn a_run_that_dies_once_the_layout_is_remembered_is_finished_by_a_plain_one() {
    for name in [failpoint::OPTIMIZE_INDEXED_PRE_RESERVE, failpoint::OPTIMIZE_RESERVED_PRE_REWRITE]
    {
        let database = Database::new(false).await;
        run_and_die(&database.root(), Death::at(name, 1).laying_out(LAYOUT));
        database.converges(None, name).await;
    }
}

#[tokio::test]
async fn dying_again_and_again_leaves_no_more_than_dying_once() {
    let database = Database::new(false).await;
    let files = || names(&database.path().join("data")).unwrap().len();
    let mut left = BTreeSet::new();
    for _ in 0..3 {
        run_and_die(
            &database.root(),
            Death::at(failpoint::OPTIMIZE_RESERVED_PRE_REWRITE, 1).laying_out(LAYOUT),
        );
        left.insert(files());
    }
    assert_eq!(left.len(), 1, "{left:?}");
    database.converges(None, "after three deaths").await;
}

#[tokio::test]
async fn a_run_that_fails_anywhere_says_so_and_leaves_no_file() {
    for (stable, name) in with_row_ids(&CROSSED) {
        let what = format!("{name}, stable row ids: {stable}");
        let database = Database::new(stable).await;
        let guard = FailGuard::new(name, "return").unwrap();
        let report = database.optimize(Some(LAYOUT)).await;
        drop(guard);
        assert!(says_injected(&report, name), "{report:#?}");
        assert_ne!(report.exit_code().number(), 0, "{report:#?}");
        database.reads(&database.rows, &what).await;
        database.is_tidy(&what).await;
        database.converges(Some(LAYOUT), &what).await;
    }
}

/// Lays the table out while `action` is done to it at a failpoint. Readers see what they saw after the action.
async fn is_overtaken(
    stable: bool,
    name: &'static str,
    action: impl AsyncFnOnce(Dataset) + Send + 'static,
) -> (Database, OptimizeReport) {
    let what = format!("{name}, stable row ids: {stable}");
    let database = Database::new(stable).await;
    let uri = database.uri();
    let expected = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&expected);
    let pause = pause_at(name, move || async move {
        action(open(&uri).await).await;
        *seen.lock().unwrap() = table_rows(&open(&uri).await).await.unwrap();
    });
    let report = database.optimize(Some(LAYOUT)).await;
    assert!(pause.crossings() > 0, "{report:#?}");
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{what}: {report:#?}");
    let row = &report.roots[0].tables[0];
    assert!(row.committed, "{what}: {row:#?}");
    let expected = expected.lock().unwrap().clone();
    assert_ne!(expected, database.rows, "{what}: the action did something");
    database.reads(&expected, &what).await;
    database.is_tidy(&what).await;
    // Once nobody else writes, everything lies as it should, and rows stay what they are.
    let report = database.optimize(None).await;
    assert_eq!(report.exit_code().number(), 0, "{what}: {report:#?}");
    database.reads(&expected, &what).await;
    assert_eq!(database.optimize(None).await.totals.tables_committed, 0, "{what}");
    (database, report)
}

/// Where somebody else may get in: while a table is staged, and right before its commit.
const BETWEEN: [&str; 4] = [
    failpoint::OPTIMIZE_AFTER_STAGE_GROUP,
    failpoint::OPTIMIZE_STAGED_PRE_ENTER,
    failpoint::OPTIMIZE_ENTERED_PRE_RECHECK,
    failpoint::OPTIMIZE_RESERVED_PRE_REWRITE,
];

#[tokio::test]
async fn rows_that_are_deleted_and_appended_meanwhile_stay_deleted_and_stay_there() {
    for (stable, name) in with_row_ids(&BETWEEN) {
        let (database, report) = is_overtaken(stable, name, async |mut table: Dataset| {
            table.delete("id % 5 = 1 OR id < 4 OR id > 297").await.unwrap();
            tables::append(table.uri(), ROWS, 20).await.unwrap();
        })
        .await;
        let row = &report.roots[0].tables[0];
        assert_eq!((row.groups_dropped, row.groups_redone), (0, 0), "{name}: {row:#?}");
        let ids = database.ids().await;
        let old: Vec<i64> = ids.iter().copied().filter(|id| *id < ROWS).collect();
        assert!(old.is_sorted_by(|one, other| one > other), "{name}: {ids:?}");
    }
}

#[tokio::test]
async fn deletions_meanwhile_cost_no_work_and_are_carried_over_where_the_rows_are_now() {
    for stable in [false, true] {
        let database = Database::new(stable).await;
        let uri = database.uri();
        let pause = pause_at(failpoint::OPTIMIZE_RESERVED_PRE_REWRITE, move || async move {
            open(&uri).await.delete("id IN (0, 50, 77, 299)").await.unwrap();
        });
        let report = database.optimize(Some(LAYOUT)).await;
        drop(pause);
        let row = &report.roots[0].tables[0];
        assert_eq!((row.groups_dropped, row.groups_redone), (0, 0), "{row:#?}");
        let table = open(&database.uri()).await;
        let deleted = table.fragments().iter().filter(|f| f.deletion_file.is_some()).count();
        assert!(deleted > 0, "they are carried over, not written without: {row:#?}");
        let expected: Vec<i64> =
            (0..ROWS).rev().filter(|id| id % 7 != 3 && ![0, 50, 77, 299].contains(id)).collect();
        assert_eq!(database.ids().await, expected);
    }
}

#[tokio::test]
async fn rows_that_are_updated_meanwhile_have_their_new_values() {
    for (stable, name) in with_row_ids(&BETWEEN) {
        is_overtaken(stable, name, async |table: Dataset| {
            let update = UpdateBuilder::new(Arc::new(table)).update_where("id % 11 = 2").unwrap();
            let update = update.set("text", "concat('new ', text)").unwrap();
            update.build().unwrap().execute().await.unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn a_whole_output_that_is_deleted_meanwhile_is_laid_out_again() {
    let (_database, _report) = is_overtaken(
        false,
        failpoint::OPTIMIZE_RESERVED_PRE_REWRITE,
        async |mut table: Dataset| {
            table.delete("id > 150").await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn an_index_that_is_made_meanwhile_covers_the_rows_in_their_new_order() {
    for (stable, name) in with_row_ids(&BETWEEN) {
        let (database, _report) = is_overtaken(stable, name, async |mut table: Dataset| {
            index(&mut table, "text", "bitmap").await;
            table.delete("id = 8").await.unwrap();
        })
        .await;
        let table = open(&database.uri()).await;
        let live: BTreeSet<u64> = table.fragments().iter().map(|f| f.id).collect();
        let segments = table.load_indices_by_name("text bitmap").await.unwrap();
        let covered = segments.iter().filter_map(|s| s.fragment_bitmap.as_ref()).flatten();
        let covered: BTreeSet<u64> = covered.map(u64::from).collect();
        assert!(live.is_subset(&covered), "{name}, {stable}: {live:?} {covered:?}");
        database.is_laid_out(name).await;
    }
}

#[tokio::test]
async fn a_table_that_is_dropped_meanwhile_stays_dropped() {
    for name in [failpoint::OPTIMIZE_AFTER_STAGE_GROUP, failpoint::OPTIMIZE_STAGED_PRE_ENTER] {
        let database = Database::new(false).await;
        let gone = database.path();
        let pause = pause_at(name, move || async move { std::fs::remove_dir_all(gone).unwrap() });
        let report = database.optimize(Some(LAYOUT)).await;
        drop(pause);
        let row = &report.roots[0].tables[0];
        assert_eq!(row.skipped, Some(SkipReason::NotATable), "{name}: {report:#?}");
        assert_eq!((report.exit_code().number(), &row.error), (0, &None), "{name}: {row:#?}");
        assert!(!database.path().join("_versions").exists(), "{name}: the table came back");
        assert!(!Path::new(&database.uri()).join("data").exists(), "{name}: files are left");
    }
}

#[tokio::test]
async fn a_table_that_is_made_anew_meanwhile_has_its_own_rows() {
    for name in [failpoint::OPTIMIZE_STAGED_PRE_ENTER, failpoint::OPTIMIZE_ENTERED_PRE_RECHECK] {
        let database = Database::new(false).await;
        let (uri, path) = (database.uri(), database.path());
        let pause = pause_at(name, move || async move {
            std::fs::remove_dir_all(path).unwrap();
            for fragment in 0..6 {
                match fragment {
                    0 => tables::create(&uri, 1, 50, false).await.unwrap(),
                    _ => tables::append(&uri, 1_000 + fragment * 50, 50).await.unwrap(),
                };
            }
        });
        let report = database.optimize(Some(LAYOUT)).await;
        drop(pause);
        let rows = table_rows(&open(&database.uri()).await).await.unwrap();
        let is_new = |row: &String| {
            let id: i64 =
                row.strip_prefix("id=").unwrap().split('|').next().unwrap().parse().unwrap();
            !(50..1_050).contains(&id)
        };
        assert!(rows.len() == 300 && rows.iter().all(is_new), "{name}: {report:#?}");
        let report = database.optimize(Some(LAYOUT)).await;
        assert_eq!(report.exit_code().number(), 0, "{name}: {report:#?}");
        assert_eq!(table_rows(&open(&database.uri()).await).await.unwrap(), rows, "{name}");
        database.is_laid_out(name).await;
    }
}
