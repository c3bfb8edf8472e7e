//! `status --depth`: how well fragments are told apart by columns, measured on the rows themselves.

use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, ListArray, RecordBatch, RecordBatchIterator};
use arrow_schema::{DataType, Field, Schema};
use lance::Dataset;
use lance::dataset::{WriteMode, WriteParams};
use lancekeeper::{Clustering, Keeper, StatusOptions};

use crate::binary::{lancekeeper, run};

const FRAGMENTS: i64 = 10;
const ROWS: i64 = 200;

/// Fragments that follow each other by `id`, all reach over the whole of `mixed`, and hold nothing but
/// nulls in `nothing`.
async fn table(uri: &str) -> Dataset {
    let mut table = None;
    for n in 0..FRAGMENTS {
        let ids = n * ROWS..(n + 1) * ROWS;
        let mixed = ids.clone().map(|id| (id * 7919) % (FRAGMENTS * ROWS));
        let lists = ids.clone().map(|id| Some(vec![Some(id)]));
        let columns: Vec<(&str, DataType, ArrayRef)> = vec![
            ("id", DataType::Int64, Arc::new(Int64Array::from_iter_values(ids.clone()))),
            ("mixed", DataType::Int64, Arc::new(Int64Array::from_iter_values(mixed))),
            ("nothing", DataType::Int64, Arc::new(Int64Array::from_iter(ids.map(|_| None)))),
            (
                "list",
                DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true))),
                Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists)),
            ),
        ];
        let fields: Vec<Field> =
            columns.iter().map(|(name, kind, _)| Field::new(*name, kind.clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let columns = columns.into_iter().map(|(_, _, values)| values).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let mode = if n == 0 { WriteMode::Create } else { WriteMode::Append };
        let params = WriteParams { mode, ..WriteParams::default() };
        let reader = RecordBatchIterator::new([Ok(batch)], schema);
        table = Some(Dataset::write(reader, uri, Some(params)).await.unwrap());
    }
    table.unwrap()
}

async fn measured(uri: &str, columns: &[&str]) -> Clustering {
    let depth = columns.iter().map(|name| (*name).to_owned()).collect();
    let options = StatusOptions { depth, quick: true, ..StatusOptions::default() };
    let report = Keeper::new().status_of([uri], options).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    report.roots[0].tables[0].clustering.clone().unwrap()
}

#[tokio::test]
async fn fragments_that_a_column_tells_apart_have_the_depth_of_one_and_others_that_of_all() {
    let dir = tempfile::tempdir().unwrap();
    let uri = dir.path().join("t.lance").to_string_lossy().into_owned();
    table(&uri).await;
    let by_id = measured(&uri, &["id"]).await;
    assert_eq!((by_id.fragments, by_id.boxes, by_id.error.as_ref()), (10, None, None));
    assert!((1.0..1.1).contains(&by_id.depth) && by_id.ranges[0] < 0.15, "{by_id:?}");
    let by_mixed = measured(&uri, &["mixed"]).await;
    assert!(by_mixed.depth > 9.0 && by_mixed.ranges[0] > 0.9, "{by_mixed:?}");
    let by_both = measured(&uri, &["mixed", "id"]).await;
    assert!(by_both.depth < 1.1 && by_both.boxes.is_some_and(|share| share < 0.25), "{by_both:?}");
    assert_eq!(measured(&uri, &["mixed", "id"]).await, by_both, "it is the same every time");
    assert_eq!(measured(&uri, &["nothing"]).await.depth, 10.0);
}

#[tokio::test]
async fn only_live_rows_count_and_what_cannot_be_measured_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let uri = dir.path().join("t.lance").to_string_lossy().into_owned();
    let mut table = table(&uri).await;
    // Of each fragment a few rows remain, of the first none.
    table.delete("mixed > 400 OR id < 200").await.unwrap();
    let left = measured(&uri, &["mixed"]).await;
    assert_eq!((left.fragments, left.error.as_ref()), (9, None));
    assert!(left.depth > 7.0, "{left:?}");
    let error = measured(&uri, &["id", "zebra"]).await.error.unwrap();
    assert_eq!(error, "there is no column zebra");
    let error = measured(&uri, &["list"]).await.error.unwrap();
    assert!(error.starts_with("column list: ") && error.contains("List"), "{error}");
    table.delete("true").await.unwrap();
    let empty = measured(&uri, &["id"]).await;
    assert_eq!((empty.fragments, empty.depth, empty.error), (0, 0.0, None));
    let ran = run(lancekeeper(["status", &uri, "--depth", "id,mixed"]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stdout.contains("by id, mixed: depth 0.0 of 0 fragments"), "{ran:#?}");
}

#[tokio::test]
async fn a_drawing_has_every_fragment_with_its_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let uri = dir.path().join("db/t.lance").to_string_lossy().into_owned();
    table(&uri).await;
    let file = dir.path().join("map.svg");
    let place = file.to_string_lossy().into_owned();
    let ran = run(lancekeeper(["status", &uri, "--depth", "id,mixed", "--svg", &place, "--quick"]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stdout.contains(&format!("drawn to {place}")), "{ran:#?}");
    let svg = std::fs::read_to_string(&file).unwrap();
    assert_eq!(svg.matches("<title>").count(), 10, "{svg}");
    assert!(svg.contains("<title>fragment 3, 200 rows\nid: 600 to 799\nmixed: "), "{svg}");
    assert!(svg.contains("depth 1.") && svg.contains("boxes of 10 % x 10 % touch"), "{svg}");
    // Of one column, and of all tables of a database.
    table(&dir.path().join("db/u.lance").to_string_lossy()).await;
    let database = dir.path().join("db").to_string_lossy().into_owned();
    let ran = run(lancekeeper(["status", &database, "--depth", "id", "--svg", &place, "--quick"]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    for name in ["map-t.svg", "map-u.svg"] {
        let svg = std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(svg.matches("<title>").count(), 10, "{svg}");
    }
    let nowhere = dir.path().join("none/map.svg").to_string_lossy().into_owned();
    let ran = run(lancekeeper(["status", &uri, "--depth", "id", "--svg", &nowhere, "--quick"]));
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.stderr.contains("cannot write the drawing"), "{ran:#?}");
    let ran = run(lancekeeper(["status", &uri, "--svg", &place]));
    assert_eq!(ran.code, Some(2), "{ran:#?}");
}
