//! A table of a graph with B-trees as its clients make them, and what clients do to it. What is
//! in an index is read from its files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchIterator, StringArray,
};
use arrow_schema::{DataType, Field, Schema};
use lance::Dataset;
use lance::dataset::index::LanceIndexStoreExt;
use lance::dataset::optimize::{CompactionOptions, compact_files};
use lance::dataset::scanner::ColumnOrdering;
use lance::dataset::transaction::{Operation, Transaction};
use lance::dataset::{
    CommitBuilder, MergeInsertBuilder, UpdateBuilder, WhenMatched, WhenNotMatched, WriteParams,
};
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::lance_format::LanceIndexStore;
use lance_index::scalar::{BuiltinIndexType, IndexStore, ScalarIndexParams};
use lance_table::format::IndexMetadata;
use lancekeeper_model::{IndexKind, TableKey, TableRef};
use lancekeeper_planner::index::{IndexAction, IndexWork};
use lancekeeper_rewrite::index::{BTreeForm, SegmentNames, StagedIndexes, stage_indexes};
use lancekeeper_testkit::rows::batch_rows;
use tempfile::TempDir;

/// The columns with an index.
pub(super) const COLUMNS: [&str; 4] = ["id", "number", "real", "word"];
/// Rows of a page: few, so that small tables have many pages.
pub(super) const PAGE: u64 = 8;
/// Rows of a page where nothing is said about it.
pub(super) const DEFAULT_PAGE: u64 = 4096;

/// A table with stable row ids.
pub(super) struct Table {
    directory: TempDir,
}

impl Table {
    /// Without an index.
    pub(super) async fn of(ids: &[i64]) -> Self {
        let table = Self { directory: tempfile::tempdir().unwrap() };
        let params = WriteParams { enable_stable_row_ids: true, ..WriteParams::default() };
        let batch = rows(ids, 0);
        let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
        Dataset::write(reader, &table.uri(), Some(params)).await.unwrap();
        table
    }

    /// With an index on every column.
    pub(super) async fn indexed(ids: &[i64]) -> Self {
        let table = Self::of(ids).await;
        for column in COLUMNS {
            let segment = as_a_client(&table.head().await, column, PAGE, |rows| rows).await;
            table.commit(vec![segment], Vec::new()).await;
        }
        table
    }

    pub(super) fn uri(&self) -> String {
        self.directory.path().join("t.lance").to_string_lossy().into_owned()
    }

    pub(super) async fn head(&self) -> Dataset {
        Dataset::open(&self.uri()).await.unwrap()
    }

    pub(super) async fn commit(&self, new: Vec<IndexMetadata>, removed: Vec<IndexMetadata>) {
        let operation = Operation::CreateIndex { new_indices: new, removed_indices: removed };
        commit(&self.head().await, operation).await;
    }

    pub(super) async fn append(&self, ids: &[i64], salt: i64) {
        append(&mut self.head().await, ids, salt).await;
    }

    pub(super) async fn delete(&self, filter: &str) {
        self.head().await.delete(filter).await.unwrap();
    }

    pub(super) async fn update(&self, filter: &str, column: &str, value: &str) {
        let update = UpdateBuilder::new(Arc::new(self.head().await)).update_where(filter).unwrap();
        update.set(column, value).unwrap().build().unwrap().execute().await.unwrap();
    }

    /// Whole rows: those that are there get new values.
    pub(super) async fn upsert(&self, ids: &[i64], salt: i64) {
        let insert = WhenNotMatched::InsertAll;
        self.merge(rows(ids, salt), insert).await;
    }

    /// One column of rows that are there.
    pub(super) async fn set_numbers(&self, ids: &[i64], salt: i64) {
        let part = rows(ids, salt).project(&[0, 1]).unwrap();
        self.merge(part, WhenNotMatched::DoNothing).await;
    }

    async fn merge(&self, batch: RecordBatch, not_matched: WhenNotMatched) {
        let head = Arc::new(self.head().await);
        let mut merge = MergeInsertBuilder::try_new(head, vec!["id".to_owned()]).unwrap();
        merge.when_matched(WhenMatched::UpdateAll).when_not_matched(not_matched);
        let job = merge.try_build().unwrap();
        Box::pin(job.execute_batches(vec![batch])).await.unwrap();
    }

    /// As a client does it, without a thought for indexes.
    pub(super) async fn compact(&self) {
        let options = CompactionOptions::default();
        compact_files(&mut self.head().await, options, None).await.unwrap();
    }

    /// Upkeep of the indexes that do not cover everything, while the data that all of those cover
    /// cannot be read. What they hold and answer then is looked at, and what the others answer.
    pub(super) async fn refresh(&self) {
        let head = self.head().await;
        let mut columns = Vec::new();
        let mut segments = Vec::new();
        for column in COLUMNS {
            let found = segments_of(&head, column).await;
            let covers = |id: u64| found.iter().any(|segment| is_covered(segment, id));
            if !found.is_empty() && !head.fragments().iter().all(|f| covers(f.id)) {
                columns.push(column);
                segments.extend(found);
            }
        }
        let work = work(&head, &columns, IndexAction::Refresh { merge: 1 }).await;
        let hidden = Hidden::of_segments(Path::new(&self.uri()), &head, &segments);
        let staged = stage(&head, &work).await;
        drop(hidden);
        let head = match work.is_empty() {
            true => head,
            false => commit(&head, staged.operation()).await,
        };
        check(&head, &columns, PAGE).await;
        for column in COLUMNS {
            answers_as_a_scan(&head, column).await;
        }
    }
}

/// Rows whose values are a function of id and salt: doubles and nulls among them, and of the
/// floating-point numbers all that sort in a way of their own.
pub(super) fn rows(ids: &[i64], salt: i64) -> RecordBatch {
    let number = |id: i64| (id % 5 != 4).then_some((id * 7 + salt) % 13);
    let real = |id: i64| match (id + salt) % 9 {
        0 => None,
        1 => Some(f64::NAN),
        2 => Some(-0.0),
        3 => Some(0.0),
        4 => Some(f64::INFINITY),
        5 => Some(f64::NEG_INFINITY),
        6 => Some(-f64::NAN),
        _ => Some(id as f64 / 2.0),
    };
    let word = |id: i64| match id % 6 {
        5 => None,
        4 => Some(String::new()),
        _ => Some(format!("w{}", (id + salt) % 7).repeat(1 + (id % 3) as usize)),
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ids.iter().copied().collect::<Int64Array>()),
        Arc::new(ids.iter().map(|id| number(*id)).collect::<Int64Array>()),
        Arc::new(ids.iter().map(|id| real(*id)).collect::<Float64Array>()),
        Arc::new(ids.iter().map(|id| word(*id)).collect::<StringArray>()),
    ];
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("number", DataType::Int64, true),
        Field::new("real", DataType::Float64, true),
        Field::new("word", DataType::Utf8, true),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

pub(super) async fn append(table: &mut Dataset, ids: &[i64], salt: i64) {
    let batch = rows(ids, salt);
    let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
    table.append(reader, None).await.unwrap();
}

pub(super) async fn commit(head: &Dataset, operation: Operation) -> Dataset {
    let transaction = Transaction::new(head.manifest().version, operation, None);
    CommitBuilder::new(Arc::new(head.clone())).execute(transaction).await.unwrap()
}

/// A B-tree as older clients train it: the column sorted in memory. `spoil` is what a client may
/// have done wrong.
pub(super) async fn as_a_client(
    table: &Dataset,
    column: &str,
    page: u64,
    spoil: impl Fn(RecordBatch) -> RecordBatch,
) -> IndexMetadata {
    let mut scan = table.scan();
    scan.project(&[column]).unwrap().with_row_id();
    scan.order_by(Some(vec![ColumnOrdering::asc_nulls_first(column.to_owned())])).unwrap();
    let sorted = spoil(scan.try_into_batch().await.unwrap());
    let schema = Arc::new(Schema::new(vec![
        Field::new("value", sorted.column(0).data_type().clone(), true),
        Field::new("_rowaddr", DataType::UInt64, false),
    ]));
    let sorted = RecordBatch::try_new(Arc::clone(&schema), sorted.columns().to_vec()).unwrap();
    let params = ScalarIndexParams::for_builtin(BuiltinIndexType::BTree)
        .with_params(&serde_json::json!({"zone_size": page}));
    let mut handle = table.clone();
    let mut segment = handle
        .create_index_builder(&[column], IndexType::BTree, &params)
        .name(name_of(column))
        .replace(true)
        .preprocessed_data(Box::new(RecordBatchIterator::new([Ok(sorted)], schema)))
        .execute_uncommitted()
        .await
        .unwrap();
    segment.index_version = 0;
    segment
}

pub(super) fn name_of(column: &str) -> String {
    format!("{column}_idx")
}

pub(super) async fn segments_of(table: &Dataset, column: &str) -> Vec<IndexMetadata> {
    table.load_indices_by_name(&name_of(column)).await.unwrap()
}

pub(super) async fn work(table: &Dataset, columns: &[&str], action: IndexAction) -> Vec<IndexWork> {
    let mut work = Vec::new();
    for column in columns {
        let segments = segments_of(table, column).await;
        work.push(IndexWork {
            name: name_of(column),
            column: (*column).to_owned(),
            kind: IndexKind::BTree,
            action,
            segments: segments.iter().map(|segment| segment.uuid.to_string()).collect(),
        });
    }
    work
}

/// What `optimize` stages for a table of a graph.
pub(super) async fn stage(table: &Dataset, work: &[IndexWork]) -> StagedIndexes {
    let table_ref = TableRef::on_main(TableKey::new("node:Thing"));
    let names = SegmentNames::choose(work);
    let (mut built, mut failures) = (Vec::new(), Vec::new());
    let form = BTreeForm::RowIds;
    let staging = stage_indexes(table, &table_ref, work, form, &names, &mut built, &mut failures);
    let staged = staging.await.unwrap();
    assert_eq!(failures, []);
    staged
}

fn is_covered(segment: &IndexMetadata, fragment: u64) -> bool {
    let bitmap = segment.fragment_bitmap.as_ref().unwrap();
    bitmap.contains(u32::try_from(fragment).unwrap())
}

/// Data files that cannot be read until this is dropped.
pub(super) struct Hidden {
    files: Vec<PathBuf>,
}

impl Hidden {
    /// Those of the fragments, below a directory, of which each of these indexes has a segment
    /// that covers them.
    pub(super) fn of_segments(
        directory: &Path,
        table: &Dataset,
        segments: &[IndexMetadata],
    ) -> Self {
        let names: BTreeSet<&str> = segments.iter().map(|segment| segment.name.as_str()).collect();
        let is_hidden = |id: u64| {
            let covering = segments.iter().filter(|segment| is_covered(segment, id));
            covering.map(|s| s.name.as_str()).collect::<BTreeSet<_>>() == names
        };
        let fragments = table.fragments().iter().filter(|fragment| is_hidden(fragment.id));
        let files = fragments.flat_map(|fragment| &fragment.files);
        let files: Vec<PathBuf> = files.map(|f| directory.join("data").join(&f.path)).collect();
        for file in &files {
            fs::rename(file, file.with_extension("hidden")).unwrap();
        }
        Self { files }
    }

    pub(super) fn count(&self) -> usize {
        self.files.len()
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        for file in &self.files {
            fs::rename(file.with_extension("hidden"), file).unwrap();
        }
    }
}

/// What is in an index.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contents {
    /// Every value with its row id, sorted as text.
    pub(super) entries: Vec<String>,
    /// First and last value of each page, and its nulls, in order of the pages.
    pub(super) pages: Vec<String>,
}

pub(super) async fn contents(table: &Dataset, segment: &IndexMetadata) -> Contents {
    let store = LanceIndexStore::from_dataset_for_existing(table, segment).await.unwrap();
    let mut read = Vec::new();
    for file in ["page_data.lance", "page_lookup.lance"] {
        let file = store.open_index_file(file).await.unwrap();
        let rows = file.read_range(0..file.num_rows(), None).await.unwrap();
        read.push(batch_rows(&rows).unwrap());
    }
    let (pages, mut entries) = (read.remove(1), read.remove(0));
    entries.sort();
    Contents { entries, pages }
}

/// The only segment of every index holds what one that is trained now would hold, and answers as
/// a scan does.
pub(super) async fn check(table: &Dataset, columns: &[&str], page: u64) {
    for column in columns {
        let segments = segments_of(table, column).await;
        let [segment] = segments.as_slice() else { panic!("{column}: {segments:#?}") };
        assert_eq!(segment.index_version, 0, "{column}: the form older clients know");
        let trained = as_a_client(table, column, page, |rows| rows).await;
        let expected = contents(table, &trained).await;
        assert_eq!(contents(table, segment).await, expected, "{column}");
        assert_eq!(segment.fragment_bitmap, trained.fragment_bitmap, "{column}");
        assert_eq!(segment.fields, trained.fields, "{column}");
        assert_eq!(segment.index_details, trained.index_details, "{column}");
        answers_as_a_scan(table, column).await;
    }
}

/// Equality, order, nulls and sets.
async fn answers_as_a_scan(table: &Dataset, column: &str) {
    let (one, low, high, some) = match column {
        "real" => ("2.0", "0.0", "1.5", "0.0, 3.5, 1000.25"),
        "word" => ("'w3w3'", "'w2'", "'w4'", "'', 'w1', 'w5w5w5', 'none'"),
        _ => ("3", "5", "7", "0, 4, 9, 12, 1000"),
    };
    for question in [
        format!("= {one}"),
        format!("< {low}"),
        format!("> {high}"),
        format!(">= {low} AND {column} <= {high}"),
        format!("IN ({some})"),
        "IS NULL".to_owned(),
        "IS NOT NULL".to_owned(),
    ] {
        let filter = format!("{column} {question}");
        let by_scan = found(table, &filter, false).await;
        assert_eq!(found(table, &filter, true).await, by_scan, "{filter}");
    }
}

/// The ids that a filter finds, with indexes or without, sorted.
pub(super) async fn found(table: &Dataset, filter: &str, use_index: bool) -> Vec<i64> {
    let mut scan = table.scan();
    scan.project(&["id"]).unwrap().filter(filter).unwrap().use_scalar_index(use_index);
    let batch = scan.try_into_batch().await.unwrap();
    let mut ids = batch["id"].as_primitive::<Int64Type>().values().to_vec();
    ids.sort_unstable();
    ids
}
