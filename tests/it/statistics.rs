//! `optimize --recompute-statistics`, and what `status --statistics` shows of it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{
    ArrayRef, Int64Array, ListArray, RecordBatch, RecordBatchIterator, StringArray, StructArray,
};
use arrow_schema::{DataType, Field, Fields, Schema};
use lance::Dataset;
use lancekeeper::{
    CleanupOptions, Keeper, NoProgress, OptimizeOptions, StatusOptions, TableStatistics,
    TableStatus,
};
use lancekeeper_testkit::{Fixture, tables};
use tempfile::TempDir;

use crate::binary::{lancekeeper, run};
use crate::fixtures::tree;

/// What is known of `id` and `text`, of which the first row was deleted.
const FLAT: &str = "\
id: 0 null of 399, 1 to 399, distinct Some(400), width None
text: 0 null of 399, row 1 to row 99, distinct Some(400), width Some(6.7293233082706765)";

/// A struct has its fields' names, a list its items; what is null in a list is a value that is null.
const NESTED: &str = "\
a text: 1 null of 4, aaa to b, distinct Some(2), width Some(1.6666666666666667)
s.x: 1 null of 4, -4 to 9, distinct Some(3), width None
tags: 1 null of 4, - to -, distinct None, width Some(1.3333333333333333)
tags.item: 1 null of 4, 1 to 2, distinct Some(2), width None";

fn recomputing() -> OptimizeOptions {
    OptimizeOptions { statistics: true, ..OptimizeOptions::default() }
}

async fn optimize(uri: &str) {
    let report = Keeper::new().optimize([uri], &recomputing(), Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
}

async fn shown(uri: &str) -> Vec<TableStatus> {
    let options = StatusOptions { statistics: true, quick: true, ..StatusOptions::default() };
    let report = Keeper::new().status_of([uri], options).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    report.roots[0].tables.clone()
}

/// A line for each leaf; large numbers of different values as far as an estimate is sure of them.
fn lines(known: &TableStatistics) -> String {
    let bound = |bound: &Option<lancekeeper::BoundValue>| match bound {
        Some(bound) => format!("{}{}", bound.value, if bound.truncated { "..." } else { "" }),
        None => "-".to_owned(),
    };
    let line = |leaf: &lancekeeper::ColumnStatistics| {
        format!(
            "{}: {} null of {}, {} to {}, distinct {:?}, width {:?}",
            leaf.path,
            leaf.nulls.unwrap(),
            leaf.values,
            bound(&leaf.min),
            bound(&leaf.max),
            leaf.distinct.map(|number| if number < 100 { number } else { (number + 10) / 20 * 20 }),
            leaf.mean_width
        )
    };
    known.columns.iter().map(line).collect::<Vec<_>>().join("\n")
}

async fn nested(uri: &str) {
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    let inner = Fields::from(vec![Field::new("x", DataType::Int64, true)]);
    let fields = vec![
        Field::new("a text", DataType::Utf8, true),
        Field::new("s", DataType::Struct(inner.clone()), true),
        Field::new("tags", DataType::List(item), true),
    ];
    let texts = StringArray::from(vec![Some("b"), None, Some("aaa"), Some("b")]);
    let xs = Int64Array::from(vec![Some(4), Some(-4), None, Some(9)]);
    let tags = ListArray::from_iter_primitive::<Int64Type, _, _>([
        Some(vec![Some(1), Some(2), Some(2)]),
        None,
        Some(vec![]),
        Some(vec![None]),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(texts),
        Arc::new(StructArray::new(inner, vec![Arc::new(xs)], None)),
        Arc::new(tags),
    ];
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    Dataset::write(RecordBatchIterator::new([Ok(batch)], schema), uri, None).await.unwrap();
}

#[tokio::test]
async fn what_is_computed_is_read_again_with_the_version_it_is_of() {
    let dir = TempDir::new().unwrap();
    let uri = dir.path().to_string_lossy().into_owned();
    nested(&format!("{uri}/nested.lance")).await;
    let mut flat = tables::create(&format!("{uri}/flat.lance"), 4, 100, false).await.unwrap();
    flat.delete("id = 0").await.unwrap();
    assert_eq!(shown(&uri).await[0].statistics, None);
    optimize(&uri).await;
    let rows = shown(&uri).await;
    let [flat, nested] = &rows[..] else { panic!("{rows:#?}") };
    let known = flat.statistics.as_ref().unwrap();
    // The version that the run itself has made.
    assert_eq!((known.version, known.rows, flat.fragments), (flat.version.0, 399, 1));
    assert_eq!(lines(known), FLAT);
    assert_eq!(lines(nested.statistics.as_ref().unwrap()), NESTED);
    // Once somebody writes, they are of an older version, and say so.
    tables::append(&format!("{uri}/flat.lance"), 1000, 5).await.unwrap();
    let ran = run(lancekeeper(["status", &uri, "--statistics", "--quick"]));
    let now = format!("version {} (now {})", known.version, known.version + 1);
    assert!(ran.stdout.contains(&now) && ran.stdout.contains("399 rows"), "{ran:#?}");
}

#[tokio::test]
async fn a_dry_run_says_where_and_writes_nothing() {
    let dir = TempDir::new().unwrap();
    let uri = dir.path().to_string_lossy().into_owned();
    tables::create(&format!("{uri}/t.lance"), 2, 10, false).await.unwrap();
    let before = tree(dir.path().to_str().unwrap());
    let ran = run(lancekeeper(["optimize", &uri, "--recompute-statistics", "--dry-run"]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let said = "statistics would be written to __maintenance/statistics/t.json";
    assert!(ran.stdout.contains(said), "{ran:#?}");
    assert_eq!(tree(dir.path().to_str().unwrap()), before);
    let ran = run(lancekeeper(["optimize", &uri, "--recompute-statistics", "--json"]));
    let note = &ran.document()["roots"][0]["tables"][0]["statistics"];
    assert_eq!(note["written"], true, "{ran:#?}");
    assert!(dir.path().join(note["file"].as_str().unwrap()).is_file());
}

#[tokio::test]
async fn damaged_and_newer_documents_are_said_and_written_anew() {
    let dir = TempDir::new().unwrap();
    let uri = dir.path().to_string_lossy().into_owned();
    tables::create(&format!("{uri}/t.lance"), 2, 10, false).await.unwrap();
    optimize(&uri).await;
    let file = dir.path().join("__maintenance/statistics/t.json");
    for (content, said) in [
        ("{\"format\": 1, \"ta", "__maintenance/statistics/t.json is damaged"),
        ("{\"format\": 9}", "__maintenance/statistics/t.json has format 9"),
    ] {
        fs::write(&file, content).unwrap();
        let row = &shown(&uri).await[0];
        assert!(row.statistics.is_none() && row.error.is_none());
        assert!(row.statistics_error.as_ref().unwrap().starts_with(said), "{row:#?}");
        let ran = run(lancekeeper(["status", &uri, "--statistics", "--quick"]));
        assert!(ran.code == Some(0) && ran.stdout.contains(said), "{ran:#?}");
        optimize(&uri).await;
        assert_eq!(shown(&uri).await[0].statistics.as_ref().unwrap().rows, 20);
    }
}

async fn cleaned(uri: &str) {
    let mut options = CleanupOptions::default();
    options.policy.keep_versions = Some(1);
    options.min_age = chrono::TimeDelta::zero();
    options.writer_window = chrono::TimeDelta::zero();
    let report = Keeper::new().cleanup([uri], &options).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
}

#[tokio::test]
async fn a_cleanup_leaves_them_alone_and_takes_what_a_dead_writer_left_beside_them() {
    let dir = TempDir::new().unwrap();
    let database = dir.path().join("db");
    let table = dir.path().join("alone.lance");
    tables::create(database.join("t.lance").to_str().unwrap(), 3, 10, false).await.unwrap();
    tables::create(table.to_str().unwrap(), 3, 10, false).await.unwrap();
    for root in [&database, &table] {
        let uri = root.to_string_lossy().into_owned();
        optimize(&uri).await;
        let below = root.join("__maintenance/statistics");
        let names = |place: &Path| lancekeeper_testkit::invariants::names(place).unwrap();
        let documents = names(&below);
        assert_eq!(documents.len(), 1);
        let document = below.join(documents.first().unwrap());
        let content = fs::read(&document).unwrap();
        if root == &database {
            fs::write(below.join("t.json#7"), "half").unwrap();
        }
        cleaned(&uri).await;
        assert_eq!(names(&below), documents, "{uri}");
        assert_eq!(fs::read(&document).unwrap(), content);
        assert_eq!(shown(&uri).await[0].versions, 1, "the cleanup did its work");
    }
}

#[tokio::test]
async fn graphs_have_them_of_what_is_published() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    optimize(&uri).await;
    for row in shown(&uri).await {
        let known = row.statistics.unwrap();
        assert_eq!((known.table.as_str(), known.version), (row.table_key.as_str(), row.version.0));
        assert_eq!(known.rows, row.rows);
    }
}
