//! Layouts of databases with several tables, and of their branches.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{
    BranchSelection, ErrorKind, Keeper, NoProgress, OptimizeOptions, OptimizeReport,
};
use lancekeeper_layout::LayoutState;
use lancekeeper_testkit::{table_rows, tables};
use tempfile::TempDir;

use super::table::{TARGET_ROWS, batch, is_in_order, layout, write};

fn options(wanted: Option<&str>) -> OptimizeOptions {
    let layout = wanted.map(layout);
    OptimizeOptions { layout, target_rows: TARGET_ROWS, ..OptimizeOptions::default() }
}

async fn run(root: &str, options: &OptimizeOptions) -> OptimizeReport {
    Keeper::new().optimize(&[root.to_owned()], options, Arc::new(NoProgress)).await
}

async fn open(root: &str, name: &str, branch: Option<&str>) -> Dataset {
    let builder = DatasetBuilder::from_uri(format!("{root}/{name}.lance"));
    let builder = match branch {
        Some(branch) => builder.with_branch(branch, None),
        None => builder,
    };
    builder.load().await.unwrap()
}

/// What is kept of the layout of a table on a branch: in its own directory, as of a table that is no database's.
fn state(root: &str, name: &str, branch: &str) -> LayoutState {
    let document =
        Path::new(root).join(format!("{name}.lance/__maintenance/layouts/@{branch}.json"));
    LayoutState::from_json(&fs::read_to_string(document).unwrap()).unwrap()
}

async fn lies_in_order(table: &Dataset, state: &LayoutState) {
    is_in_order(&table.scan().try_into_batch().await.unwrap(), state);
}

/// Tables `one` and `two` of mixed rows, and `other` with columns of its own.
async fn database() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_string_lossy().into_owned();
    for name in ["one", "two"] {
        for first in [0, 100, 200] {
            let uri = format!("{root}/{name}.lance");
            write(&uri, batch(first..first + 100), first == 0, false).await;
        }
    }
    tables::create(&format!("{root}/other.lance"), 3, 20, false).await.unwrap();
    (directory, root)
}

#[tokio::test]
async fn a_table_without_the_column_fails_by_itself_and_the_others_are_laid_out() {
    let (_directory, root) = database().await;
    let before = table_rows(&open(&root, "other", None).await).await.unwrap();
    let report = run(&root, &options(Some("sort:a,id"))).await;
    assert_ne!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(
        (report.totals.tables_committed, report.totals.tables_failed),
        (2, 1),
        "{report:#?}"
    );
    for row in &report.roots[0].tables {
        if row.table_key.as_str() == "other" {
            assert_eq!(row.error_kind, Some(ErrorKind::Invalid), "{row:#?}");
            assert!(row.error.as_ref().unwrap().contains("there is no column a"), "{row:#?}");
        } else {
            assert!(row.committed && row.error.is_none(), "{row:#?}");
        }
    }
    let other = open(&root, "other", None).await;
    assert_eq!((table_rows(&other).await.unwrap(), other.manifest().version), (before, 3));
    for name in ["one", "two"] {
        let table = open(&root, name, None).await;
        lies_in_order(&table, &state(&root, name, "main")).await;
        let mut expected = lancekeeper_testkit::rows::batch_rows(&batch(0..300)).unwrap();
        expected.sort();
        assert_eq!(table_rows(&table).await.unwrap(), expected);
    }
    // Each table is kept as it is to be: two in order, one packed.
    let report = run(&root, &options(None)).await;
    assert_eq!(
        (report.exit_code().number(), report.totals.tables_committed),
        (0, 1),
        "{report:#?}"
    );
    let report = run(&root, &options(None)).await;
    assert_eq!(
        (report.exit_code().number(), report.totals.tables_committed),
        (0, 0),
        "{report:#?}"
    );
}

#[tokio::test]
async fn one_table_of_a_database_takes_a_layout_of_its_own() {
    let (_directory, root) = database().await;
    for (name, wanted) in [("one", "sort:-a"), ("two", "hilbert:a,b")] {
        let named = OptimizeOptions { tables: vec![name.to_owned()], ..options(Some(wanted)) };
        assert_eq!(run(&root, &named).await.exit_code().number(), 0);
    }
    for name in ["one", "two"] {
        write(&format!("{root}/{name}.lance"), batch(300..600), false, false).await;
    }
    let report = run(&root, &options(None)).await;
    assert_eq!(
        (report.exit_code().number(), report.totals.tables_committed),
        (0, 3),
        "{report:#?}"
    );
    let mut expected = lancekeeper_testkit::rows::batch_rows(&batch(0..600)).unwrap();
    expected.sort();
    for (name, wanted) in [("one", "sort:-a"), ("two", "hilbert:a,b")] {
        let state = state(&root, name, "main");
        assert_eq!(state.layout, layout(wanted));
        let table = open(&root, name, None).await;
        lies_in_order(&table, &state).await;
        assert_eq!(table_rows(&table).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_branch_of_a_table_has_its_own_layout_and_main_keeps_its_order() {
    let (_directory, root) = database().await;
    let mut main = open(&root, "one", None).await;
    let version = main.manifest().version;
    main.create_branch("side", version, None).await.unwrap();
    let mut side = open(&root, "one", Some("side")).await;
    let rows = batch(300..400);
    let reader = arrow_array::RecordBatchIterator::new([Ok(rows.clone())], rows.schema());
    side.append(reader, None).await.unwrap();
    let order = main.scan().try_into_batch().await.unwrap();
    let before = table_rows(&open(&root, "one", Some("side")).await).await.unwrap();
    let only_side = OptimizeOptions {
        branches: BranchSelection::Named(vec!["side".to_owned()]),
        tables: vec!["one".to_owned()],
        ..options(Some("hilbert:a,b"))
    };
    let report = run(&root, &only_side).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let main = open(&root, "one", None).await;
    assert!(main.scan().try_into_batch().await.unwrap() == order, "main is as it was");
    assert_eq!(main.manifest().version, version);
    let side = open(&root, "one", Some("side")).await;
    assert_eq!(table_rows(&side).await.unwrap(), before);
    assert!(side.config().contains_key("lancekeeper.layout"), "{report:#?}");
    // And main may have another one.
    let named = OptimizeOptions { tables: vec!["one".to_owned()], ..options(Some("sort:c")) };
    let report = run(&root, &named).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let of_main = state(&root, "one", "main");
    lies_in_order(&open(&root, "one", None).await, &of_main).await;
    assert_eq!(table_rows(&open(&root, "one", Some("side")).await).await.unwrap(), before);
    let again = OptimizeOptions { layout: None, ..only_side };
    let report = run(&root, &again).await;
    assert_eq!(
        (report.exit_code().number(), report.totals.tables_committed),
        (0, 0),
        "{report:#?}"
    );
}

#[tokio::test]
async fn a_run_over_the_database_and_one_over_the_table_alone_find_the_same_layout() {
    let (_directory, root) = database().await;
    let only = OptimizeOptions { tables: vec!["one".to_owned()], ..options(Some("sort:a,id")) };
    assert_eq!(run(&root, &only).await.exit_code().number(), 0);
    let table = format!("{root}/one.lance");
    let (alone, only) = (options(None), OptimizeOptions { layout: None, ..only });
    let report = run(&table, &alone).await;
    assert_eq!(report.totals.tables_committed, 0, "{report:#?}");
    for (round, (root, wish)) in [(&table, &alone), (&root, &only)].into_iter().enumerate() {
        let first = 1_000 + round as i64 * 10;
        write(&table, batch(first..first + 10), false, false).await;
        let report = run(root, wish).await;
        let row = &report.roots[0].tables[0];
        assert_eq!(
            (row.fragments_removed, row.rows_after),
            (1 + round as u64, first as u64 - 690),
            "{row:#?}"
        );
    }
}
