//! What compares a rewrite with its sources: it lets every order of the same rows pass, and no other
//! value, on tables and blobs of both encodings. Here the rewrite itself is done by hand.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Int64Array, LargeBinaryArray, RecordBatch, RecordBatchIterator, StringArray,
};
use arrow_schema::{DataType, Field, Schema};
use lance::Dataset;
use lance::blob::{BlobArrayBuilder, BlobFieldOptions, blob_field_with_options};
use lance::dataset::transaction::Operation;
use lance::dataset::{InsertBuilder, WriteMode, WriteParams};
use lance_table::format::Fragment;
use lancekeeper::{
    ErrorKind, Keeper, NoProgress, OptimizeOptions, RewriteCheck, TableKey, TableRef,
};
use lancekeeper_planner::optimize::{Group, GroupReason, Recipe};
use lancekeeper_rewrite::content::{Reading, check};
use lancekeeper_rewrite::stage::{RowOrder, StageError, StagedGroup, stage_group};
use lancekeeper_testkit::{Fixture, check_graph, graph_rows};
use tempfile::TempDir;

/// How blobs are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blobs {
    None,
    Old,
    New,
}

/// A row: a number, and a text or blob.
type Row = (i64, Option<Vec<u8>>);

/// Inside the data file, packed with others, alone in a file, empty, and null.
fn rows(first: i64) -> Vec<Row> {
    let content = |n: i64, length: usize| Some(vec![b'a' + u8::try_from(n % 20).unwrap(); length]);
    vec![
        (first, content(first, 100)),
        (first + 1, content(first + 1, 70_000)),
        (first + 2, content(first + 2, 1_500_000)),
        (first + 3, Some(Vec::new())),
        (first + 4, None),
    ]
}

fn batch(blobs: Blobs, rows: &[Row]) -> RecordBatch {
    let (field, values): (Field, ArrayRef) = match blobs {
        Blobs::None => {
            let text =
                |(_, value): &Row| value.clone().map(|text| String::from_utf8(text).unwrap());
            let texts: StringArray = rows.iter().map(text).collect();
            (Field::new("value", DataType::Utf8, true), Arc::new(texts))
        }
        Blobs::Old => {
            let metadata = HashMap::from([("lance-encoding:blob".to_owned(), "true".to_owned())]);
            let field = Field::new("value", DataType::LargeBinary, true).with_metadata(metadata);
            let blobs: LargeBinaryArray = rows.iter().map(|(_, value)| value.clone()).collect();
            (field, Arc::new(blobs))
        }
        Blobs::New => {
            let mut builder = BlobArrayBuilder::new(rows.len());
            for (_, value) in rows {
                match value {
                    Some(bytes) => builder.push_bytes(bytes).unwrap(),
                    None => builder.push_null().unwrap(),
                }
            }
            let alone = NonZeroUsize::new(1 << 20).unwrap();
            let options = BlobFieldOptions::default().with_dedicated_size_threshold(alone);
            (blob_field_with_options("value", true, options), builder.finish().unwrap())
        }
    };
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), field]));
    let ids = Int64Array::from_iter_values(rows.iter().map(|(id, _)| *id));
    RecordBatch::try_new(schema, vec![Arc::new(ids), values]).unwrap()
}

fn params(blobs: Blobs, mode: WriteMode, stable: bool) -> WriteParams {
    let version = if blobs == Blobs::New { "2.2" } else { "2.1" };
    WriteParams {
        mode,
        enable_stable_row_ids: stable,
        data_storage_version: Some(version.parse().unwrap()),
        ..WriteParams::default()
    }
}

/// A table of two fragments, one row of which is deleted.
async fn table(blobs: Blobs, stable: bool) -> (TempDir, Dataset, Vec<Row>) {
    let directory = tempfile::tempdir().unwrap();
    let uri = directory.path().join("t.lance").to_string_lossy().into_owned();
    let mut all = Vec::new();
    for (first, mode) in [(0, WriteMode::Create), (10, WriteMode::Append)] {
        let batch = batch(blobs, &rows(first));
        let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
        Dataset::write(reader, &uri, Some(params(blobs, mode, stable))).await.unwrap();
        all.extend(rows(first));
    }
    let mut table = Dataset::open(&uri).await.unwrap();
    table.delete("id = 11").await.unwrap();
    all.retain(|(id, _)| *id != 11);
    (directory, table, all)
}

fn group(rows: usize) -> Group {
    Group {
        fragments: vec![0, 1],
        outputs: vec![rows as u64],
        bytes: 4 << 20,
        recipe: Recipe::Reencode { batch_rows: 2 },
        why: GroupReason::Merge,
    }
}

fn name() -> TableRef {
    TableRef::on_main(TableKey::new("t"))
}

async fn compare(table: &Dataset, staged: &StagedGroup) -> Result<(), StageError> {
    let reading = Reading::of(table, &name(), &group(9)).await.unwrap();
    check(table, &name(), &reading, staged).await
}

/// Fragments of these rows, written by hand and not committed, a file for so many rows each.
async fn written(table: &Dataset, blobs: Blobs, rows: &[Row], each: usize) -> Vec<Fragment> {
    let params = WriteParams { max_rows_per_file: each, ..params(blobs, WriteMode::Append, false) };
    let writer = InsertBuilder::new(Arc::new(table.clone())).with_params(&params);
    let written = writer.execute_uncommitted(vec![batch(blobs, rows)]).await.unwrap();
    let Operation::Append { fragments } = written.operation else { panic!("no append") };
    fragments
}

#[tokio::test]
async fn content_of_a_rewrite_is_the_same_in_any_order_and_nothing_else_is() {
    for blobs in [Blobs::None, Blobs::Old, Blobs::New] {
        let (_directory, table, all) = table(blobs, false).await;
        let order = RowOrder::AsListed { capture_addresses: false };
        let staged = stage_group(&table, &name(), &group(all.len()), order, None).await.unwrap();
        compare(&table, &staged).await.unwrap_or_else(|error| panic!("{blobs:?}: {error}"));

        let by_hand = async |rows: Vec<Row>| {
            let new_fragments = written(&table, blobs, &rows, 4).await;
            assert!(new_fragments.len() > 1);
            let mut doctored = staged.clone();
            doctored.new_fragments = new_fragments;
            compare(&table, &doctored).await
        };
        let mut permuted = all.clone();
        permuted.rotate_left(4);
        permuted.reverse();
        by_hand(permuted).await.unwrap_or_else(|error| panic!("{blobs:?}: {error}"));

        let changed = |at: usize, value: Option<Vec<u8>>| {
            let mut rows = all.clone();
            rows[at].1 = value;
            rows
        };
        let other_byte = |at: usize| {
            let mut value = all[at].1.clone().unwrap();
            *value.last_mut().unwrap() = b'z';
            changed(at, Some(value))
        };
        let mut swapped = all.clone();
        (swapped[0].1, swapped[1].1) = (all[1].1.clone(), all[0].1.clone());
        let mut doubled = all.clone();
        doubled[6] = all[5].clone();
        for (what, rows) in [
            ("a byte inside", other_byte(0)),
            ("a packed byte", other_byte(1)),
            ("a byte alone", other_byte(2)),
            ("null for empty", changed(3, None)),
            ("empty for null", changed(4, Some(Vec::new()))),
            ("two values changed places", swapped),
            ("a row twice in place of another", doubled),
            ("a row less", all[1..].to_vec()),
            ("a row more", all.iter().chain(&all[..1]).cloned().collect()),
        ] {
            let error = by_hand(rows).await.err();
            let error = error.unwrap_or_else(|| panic!("{blobs:?}: {what} passed"));
            assert!(matches!(error, StageError::Content { .. }), "{blobs:?}: {what}: {error}");
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().starts_with("t: rewriting fragments [0, 1]"), "{error}");
        }
    }
}

#[tokio::test]
async fn content_has_the_ids_of_rows_where_they_stay() {
    let (_directory, table, all) = table(Blobs::None, true).await;
    let order = RowOrder::AsListed { capture_addresses: false };
    let staged = stage_group(&table, &name(), &group(all.len()), order, None).await.unwrap();
    compare(&table, &staged).await.unwrap();
    let mut doctored = staged.clone();
    // The same rows with the ids of as many others.
    let ids = lance_table::rowids::RowIdSequence::from(100..100 + all.len() as u64);
    let inline = lance_table::rowids::write_row_ids(&ids);
    doctored.new_fragments[0].row_id_meta =
        Some(lance_table::format::RowIdMeta::Inline(inline.into()));
    let error = compare(&table, &doctored).await.unwrap_err();
    assert!(matches!(error, StageError::Content { .. }), "{error}");
}

#[tokio::test]
async fn content_that_is_compared_keeps_no_honest_run_from_its_work() {
    let options = OptimizeOptions { verify: RewriteCheck::Content, ..OptimizeOptions::default() };
    let keeper = Keeper::new();
    let database = Fixture::unpack("lancedb-python-0.40").unwrap();
    let report = keeper.optimize([database.uri("lancedb")], &options, Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(report.totals.tables_committed > 1, "{report:#?}");
    let graph = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = graph.uri("graph");
    let rows = graph_rows(&uri).await.unwrap();
    let report = keeper.optimize([&uri], &options, Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(report.totals.tables_committed > 1, "{report:#?}");
    assert!(graph_rows(&uri).await.unwrap() == rows);
    check_graph(&uri).await.unwrap();
    for blobs in [Blobs::Old, Blobs::New] {
        for stable in [false, true] {
            let (_directory, table, _) = table(blobs, stable).await;
            let report = keeper.optimize([table.uri()], &options, Arc::new(NoProgress)).await;
            assert_eq!(report.exit_code().number(), 0, "{blobs:?}: {report:#?}");
            assert_eq!(report.totals.tables_committed, 1, "{blobs:?}: {report:#?}");
        }
    }
}
