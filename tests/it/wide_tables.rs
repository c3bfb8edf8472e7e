//! Tables of so many columns that what a writer collects of each has to be bounded: they are written
//! by another way, and read the same.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchIterator, StringArray, StructArray,
};
use arrow_schema::{DataType, Field, Fields, Schema};
use lance::Dataset;
use lance::dataset::{WriteMode, WriteParams};
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper::{Keeper, NoProgress, OptimizeOptions};
use lancekeeper_testkit::invariants::check_files;

const FRAGMENTS: i64 = 4;
const ROWS: i64 = 50;

/// 30 columns of numbers and texts with nulls, and a structure of two.
fn batch(first: i64) -> RecordBatch {
    let ids = || first..first + ROWS;
    let mut fields = vec![Field::new("id", DataType::Int64, false)];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(ids()))];
    for column in 0..30_i64 {
        let (kind, values): (DataType, ArrayRef) = if column % 2 == 0 {
            let values = ids().map(|id| (id % 5 != 0).then_some(id * column));
            (DataType::Int64, Arc::new(Int64Array::from_iter(values)))
        } else {
            let values = ids().map(|id| (id % 7 != 0).then(|| format!("{column} of {id}")));
            (DataType::Utf8, Arc::new(StringArray::from_iter(values)))
        };
        fields.push(Field::new(format!("c{column}"), kind, true));
        columns.push(values);
    }
    let inner: Fields = vec![Field::new("a", DataType::Int64, true)].into();
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(ids().map(|id| id / 3)));
    fields.push(Field::new("s", DataType::Struct(inner.clone()), true));
    columns.push(Arc::new(StructArray::new(inner, vec![values], None)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Fragments under a B-tree but for the last, with deleted rows in two of them.
async fn table(uri: &str, enable_stable_row_ids: bool) -> Dataset {
    for n in 0..FRAGMENTS {
        let mode = if n == 0 { WriteMode::Create } else { WriteMode::Append };
        let params = WriteParams { mode, enable_stable_row_ids, ..WriteParams::default() };
        let batch = batch(n * ROWS);
        let schema = batch.schema();
        let reader = RecordBatchIterator::new([Ok(batch)], schema);
        let mut table = Dataset::write(reader, uri, Some(params)).await.unwrap();
        if n == FRAGMENTS - 2 {
            let params = ScalarIndexParams::default();
            table.create_index(&["id"], IndexType::BTree, None, &params, true).await.unwrap();
        }
    }
    let mut table = Dataset::open(uri).await.unwrap();
    table.delete("id IN (0, 7, 99, 100)").await.unwrap();
    table
}

async fn rows(table: &Dataset) -> RecordBatch {
    table.scan().try_into_batch().await.unwrap()
}

/// What a table with stable row ids says of its rows: their ids and versions.
async fn lineage(table: &Dataset) -> RecordBatch {
    let columns = ["id", "_rowid", "_row_created_at_version", "_row_last_updated_at_version"];
    table.scan().project(&columns).unwrap().try_into_batch().await.unwrap()
}

#[tokio::test]
async fn a_table_of_many_columns_reads_the_same_afterwards_and_its_index_follows() {
    for stable_row_ids in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let uri = directory.path().join("wide.lance").to_string_lossy().into_owned();
        let before = table(&uri, stable_row_ids).await;
        let options = OptimizeOptions { deletion_threshold: 0.0, ..OptimizeOptions::default() };
        let report = Keeper::new()
            .optimize(std::slice::from_ref(&uri), &options, Arc::new(NoProgress))
            .await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        let after = Dataset::open(&uri).await.unwrap();
        let [fragment] = after.fragments().as_slice() else { panic!("{:#?}", after.fragments()) };
        assert_eq!(fragment.physical_rows, Some(196));
        assert!(fragment.deletion_file.is_none());
        after.validate().await.unwrap();
        assert_eq!(rows(&after).await, rows(&before).await);
        if stable_row_ids {
            assert_eq!(lineage(&after).await, lineage(&before).await);
        }
        for (id, found) in [(0, 0), (1, 1), (98, 1), (99, 0), (101, 1), (150, 1), (199, 1)] {
            let mut scan = after.scan();
            scan.filter(&format!("id = {id}")).unwrap();
            assert!(scan.explain_plan(false).await.unwrap().contains("ScalarIndexQuery"));
            assert_eq!(scan.try_into_batch().await.unwrap().num_rows(), found, "row {id}");
        }
        check_files(&after, directory.path().join("wide.lance").as_path()).await.unwrap();
        let options = OptimizeOptions { deletion_threshold: 0.0, ..OptimizeOptions::default() };
        let again = Keeper::new().optimize(&[uri], &options, Arc::new(NoProgress)).await;
        assert!(!again.roots[0].tables[0].committed, "{again:#?}");
    }
}
