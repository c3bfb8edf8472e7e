//! `optimize --where`: only fragments of which every live row matches are rewritten.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchIterator};
use arrow_schema::{DataType, Field, Schema};
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::{WriteMode, WriteParams};
use lancekeeper::{
    ChosenFragments, Keeper, NoProgress, OptimizeOptions, OptimizeReport, SkipReason,
};
use lancekeeper_testkit::{Fixture, check_graph, graph_rows, table_rows, tables};
use tempfile::TempDir;

use crate::binary::{lancekeeper, run};
use crate::fixtures::tree;

async fn open(uri: &str) -> Dataset {
    DatasetBuilder::from_uri(uri).load().await.unwrap()
}

fn asking(predicate: &str) -> OptimizeOptions {
    OptimizeOptions { predicate: Some(predicate.to_owned()), ..OptimizeOptions::default() }
}

async fn optimize(uri: &str, options: &OptimizeOptions) -> OptimizeReport {
    let report = Keeper::new().optimize([uri], options, Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    report
}

fn chosen(report: &OptimizeReport) -> ChosenFragments {
    report.roots[0].tables[0].chosen.clone().unwrap()
}

fn ids(table: &Dataset) -> Vec<u64> {
    table.fragments().iter().map(|fragment| fragment.id).collect()
}

#[tokio::test]
async fn only_fragments_that_match_as_a_whole_are_rewritten() {
    let dir = TempDir::new().unwrap();
    let uri = dir.path().join("t.lance").to_string_lossy().into_owned();
    // Ten rows each: the fifth has rows below 45 and above, of the others all or none.
    let table = tables::create(&uri, 8, 10, false).await.unwrap();
    let rows = table_rows(&table).await.unwrap();
    let report = optimize(&uri, &asking("id < 45")).await;
    let expected = ChosenFragments { whole: 4, partial: vec![4], none: 3 };
    assert_eq!(chosen(&report), expected);
    let table = open(&uri).await;
    assert_eq!(ids(&table), [4, 5, 6, 7, 8]);
    assert_eq!(table_rows(&table).await.unwrap(), rows);
    let again = optimize(&uri, &asking("id < 45")).await;
    assert!(!again.roots[0].tables[0].committed, "{again:#?}");
    assert_eq!(chosen(&again), ChosenFragments { whole: 1, ..expected });
    // Without it the rest is merged as ever.
    optimize(&uri, &OptimizeOptions::default()).await;
    assert_eq!(open(&uri).await.fragments().len(), 1);
}

#[tokio::test]
async fn rows_that_are_deleted_do_not_count_and_neither_is_a_purge_of_what_is_not_chosen() {
    let dir = TempDir::new().unwrap();
    let uri = dir.path().join("t.lance").to_string_lossy().into_owned();
    let mut table = tables::create(&uri, 4, 10, true).await.unwrap();
    // What is left of the second fragment matches; half of the last is gone, and the rest does not match.
    table.delete("(id >= 15 AND id < 20) OR id >= 35").await.unwrap();
    let rows = table_rows(&open(&uri).await).await.unwrap();
    let report = optimize(&uri, &asking("id < 15")).await;
    assert_eq!(chosen(&report), ChosenFragments { whole: 2, partial: vec![], none: 2 });
    let table = open(&uri).await;
    assert_eq!(ids(&table), [2, 3, 4]);
    assert_eq!(table_rows(&table).await.unwrap(), rows);
}

#[tokio::test]
async fn what_is_null_does_not_match() {
    let dir = TempDir::new().unwrap();
    let uri = dir.path().join("t.lance").to_string_lossy().into_owned();
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    for values in [[Some(1), Some(2)], [Some(3), None], [None, None], [Some(4), Some(5)]] {
        let values: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![values]).unwrap();
        let exists = dir.path().join("t.lance").exists();
        let mode = if exists { WriteMode::Append } else { WriteMode::Create };
        let params = WriteParams { mode, ..WriteParams::default() };
        let reader = RecordBatchIterator::new([Ok(batch)], Arc::clone(&schema));
        Dataset::write(reader, &uri, Some(params)).await.unwrap();
    }
    let report = Keeper::new().plan_optimize([&uri], &asking("n > 0")).await;
    assert_eq!(chosen(&report), ChosenFragments { whole: 2, partial: vec![1], none: 1 });
    // And neither does what cannot be told: NOT of null is null.
    let report = Keeper::new().plan_optimize([&uri], &asking("NOT (n > 100)")).await;
    assert_eq!(chosen(&report), ChosenFragments { whole: 2, partial: vec![1], none: 1 });
    let report = Keeper::new().plan_optimize([&uri], &asking("n IS NULL")).await;
    assert_eq!(chosen(&report), ChosenFragments { whole: 1, partial: vec![1], none: 2 });
}

#[tokio::test]
async fn a_predicate_that_cannot_be_asked_is_refused_before_anything_is_written() {
    let dir = TempDir::new().unwrap();
    let uri = dir.path().join("t.lance").to_string_lossy().into_owned();
    tables::create(&uri, 3, 10, false).await.unwrap();
    let before = tree(dir.path().to_str().unwrap());
    for (predicate, said) in [
        ("zebra > 1", "No field named zebra"),
        ("zebra IS NULL", "No field named zebra"),
        ("id >", "sql parser error"),
        ("id + 1", "boolean"),
        ("text", "boolean"),
    ] {
        for more in [&[][..], &["--dry-run"]] {
            let arguments = [&["optimize", &uri, "--where", predicate], more].concat();
            let ran = run(lancekeeper(arguments));
            assert_eq!(ran.code, Some(2), "{predicate}: {ran:#?}");
            let named = ran.stderr.contains(said) && ran.stderr.contains("the predicate");
            let named = named && !ran.stderr.contains(".rs:");
            assert!(named, "{predicate}: {ran:#?}");
        }
    }
    assert_eq!(tree(dir.path().to_str().unwrap()), before);
}

#[tokio::test]
async fn tables_of_which_it_cannot_be_asked_are_skipped_unless_they_are_named() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    tables::create(&at("a.lance"), 3, 10, false).await.unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("other", DataType::Int64, true)]));
    for n in 0..3 {
        let batch =
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from(vec![n]))]);
        let mode = if n == 0 { WriteMode::Create } else { WriteMode::Append };
        let params = WriteParams { mode, ..WriteParams::default() };
        let reader = RecordBatchIterator::new([Ok(batch.unwrap())], Arc::clone(&schema));
        Dataset::write(reader, &at("b.lance"), Some(params)).await.unwrap();
    }
    let uri = dir.path().to_string_lossy().into_owned();
    let before = tree(dir.path().to_str().unwrap());
    let named =
        run(lancekeeper(["optimize", &uri, "--table", "a", "--table", "b", "--where", "id >= 0"]));
    assert_eq!(named.code, Some(2), "{named:#?}");
    assert!(named.stderr.contains("table b"), "{named:#?}");
    assert_eq!(tree(dir.path().to_str().unwrap()), before);
    let report = optimize(&uri, &asking("id >= 0")).await;
    let rows = &report.roots[0].tables;
    assert!(rows[0].committed && rows[0].fragments_after == 1, "{rows:#?}");
    assert_eq!(rows[1].skipped, Some(SkipReason::PredicateUnfit));
    assert!(rows[1].reason.contains("No field named id. Valid fields are other"), "{rows:#?}");
    assert_eq!(open(&at("b.lance")).await.fragments().len(), 3);
}

#[tokio::test]
async fn the_report_says_which_fragments_match_in_part() {
    let dir = TempDir::new().unwrap();
    let uri = dir.path().join("t.lance").to_string_lossy().into_owned();
    tables::create(&uri, 5, 10, false).await.unwrap();
    let before = tree(dir.path().to_str().unwrap());
    let dry =
        run(lancekeeper(["optimize", &uri, "--where", "id % 20 < 15", "--dry-run", "--json"]));
    assert_eq!(dry.code, Some(0), "{dry:#?}");
    let table = &dry.document()["roots"][0]["tables"][0];
    assert_eq!(table["where"], serde_json::json!({"whole": 3, "partial": [1, 3], "none": 0}));
    assert_eq!((&table["fragments_after"], &table["would_commit"]), (&3.into(), &true.into()));
    assert_eq!(tree(dir.path().to_str().unwrap()), before);
    let ran = run(lancekeeper(["optimize", &uri, "--where", "id % 20 < 15"]));
    assert!(ran.stdout.contains("2 fragments match --where in part and stay: 1, 3"), "{ran:#?}");
}

#[tokio::test]
async fn graphs_publish_what_was_chosen_and_keep_their_own_tables_as_they_are() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let rows = graph_rows(&uri).await.unwrap();
    let options =
        OptimizeOptions { tables: vec!["node:Person".to_owned()], ..asking("id IS NOT NULL") };
    let report = optimize(&uri, &options).await;
    let person = &report.roots[0].tables[0];
    assert!(person.committed && person.chosen.as_ref().unwrap().whole > 1, "{person:#?}");
    assert!(graph_rows(&uri).await.unwrap() == rows, "rows were lost");
    check_graph(&uri).await.unwrap();
    // Everything else is looked at by the predicate, too, and what no predicate knows of stays.
    let report = optimize(&uri, &asking("id IS NOT NULL")).await;
    let internal = report.roots[0].tables.iter().filter(|t| t.table_key.as_str().starts_with("__"));
    assert_eq!(internal.count(), 0);
    assert!(graph_rows(&uri).await.unwrap() == rows, "rows were lost");
}
