//! Fragments whose pages are copied as they are: the new file reads like the old ones, indexes
//! over addresses follow, and what writers delete meanwhile stays deleted.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchIterator, StringArray};
use arrow_schema::{DataType, Field, Schema};
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::{WriteMode, WriteParams};
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper::{Keeper, OptimizeOptions, Progress, ProgressEvent, TableOptimizeStats};
use lancekeeper_testkit::invariants::check_files;
use tempfile::TempDir;

const FRAGMENTS: i64 = 3;
/// Enough for pages that are worth keeping.
const ROWS: i64 = 200;

/// Text that no encoding makes smaller: with that, the pages are worth keeping.
fn noise(id: i64) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ (id as u64);
    let words = (0..600).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:016x}")
    });
    words.collect()
}

fn batch(first: i64) -> RecordBatch {
    let ids = first..first + ROWS;
    // A null now and then: then a page has more buffers than one.
    let texts = ids.clone().map(|id| (id % 7 != 0).then(|| noise(id)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(ids.clone())),
        Arc::new(StringArray::from_iter(texts)),
    ];
    let fields =
        vec![Field::new("id", DataType::Int64, false), Field::new("text", DataType::Utf8, true)];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Two fragments under a B-tree, and one more.
async fn table(enable_stable_row_ids: bool) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let uri = directory.path().join("t.lance").to_string_lossy().into_owned();
    for n in 0..FRAGMENTS {
        let mode = if n == 0 { WriteMode::Create } else { WriteMode::Append };
        let batch = batch(n * ROWS);
        let schema = batch.schema();
        let reader = RecordBatchIterator::new([Ok(batch)], schema);
        let params = WriteParams { mode, enable_stable_row_ids, ..WriteParams::default() };
        let mut table = Dataset::write(reader, &uri, Some(params)).await.unwrap();
        if n == 1 {
            let params = ScalarIndexParams::default();
            let built = table.create_index(&["id"], IndexType::BTree, None, &params, true);
            built.await.unwrap();
        }
    }
    (directory, uri)
}

async fn open(uri: &str) -> Dataset {
    DatasetBuilder::from_uri(uri).load().await.unwrap()
}

async fn optimize(uri: &str, progress: Arc<dyn Progress>) -> TableOptimizeStats {
    let report =
        Keeper::new().optimize(&[uri.to_owned()], &OptimizeOptions::default(), progress).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    report.roots[0].tables[0].clone()
}

/// Every row is there once with its text, by scan and by index, but for those `gone`.
async fn check(uri: &str, gone: &[i64]) {
    let table = open(uri).await;
    table.validate().await.unwrap();
    let rows = table.scan().try_into_batch().await.unwrap();
    let ids = rows["id"].as_primitive::<Int64Type>();
    let texts = rows["text"].as_string::<i32>();
    let expected: Vec<i64> = (0..FRAGMENTS * ROWS).filter(|id| !gone.contains(id)).collect();
    assert_eq!(ids.values().to_vec(), expected);
    for (id, text) in ids.values().iter().zip(texts) {
        assert_eq!(text.map(ToOwned::to_owned), (id % 7 != 0).then(|| noise(*id)), "row {id}");
    }
    for id in [0, 79, 199, 200, 250, 399, 400, 599] {
        let mut scan = table.scan();
        scan.filter(&format!("id = {id}")).unwrap().use_scalar_index(true);
        let found = scan.try_into_batch().await.unwrap().num_rows();
        assert_eq!(found, usize::from(!gone.contains(&id)), "row {id} by index");
    }
    check_files(&table, std::path::Path::new(uri)).await.unwrap();
}

/// Whether the only data file is one that we wrote: Lance gives longer names.
async fn is_joined(uri: &str) -> bool {
    let table = open(uri).await;
    let [fragment] = table.fragments().as_slice() else { return false };
    fragment.files[0].path.len() == "0123456789abcdef0123456789abcdef.lance".len()
}

/// What a table with stable row ids says of its rows: their ids and versions.
async fn lineage(uri: &str) -> RecordBatch {
    let columns = ["id", "_rowid", "_row_created_at_version", "_row_last_updated_at_version"];
    open(uri).await.scan().project(&columns).unwrap().try_into_batch().await.unwrap()
}

async fn joined_as_they_are(stable_row_ids: bool) {
    let (_directory, uri) = table(stable_row_ids).await;
    let before = if stable_row_ids { Some(lineage(&uri).await) } else { None };
    let row = optimize(&uri, Arc::new(lancekeeper::NoProgress)).await;
    assert_eq!((row.fragments_before, row.fragments_after), (3, 1), "{row:#?}");
    assert!(is_joined(&uri).await);
    check(&uri, &[]).await;
    if let Some(before) = before {
        assert_eq!(lineage(&uri).await, before);
    }
    let again = optimize(&uri, Arc::new(lancekeeper::NoProgress)).await;
    assert!(!again.committed, "{again:#?}");
}

#[tokio::test]
async fn pages_of_plain_files_are_joined_as_they_are() {
    joined_as_they_are(false).await;
    joined_as_they_are(true).await;
}

/// Deletes rows once a group was staged.
struct Deletes(String);

impl Progress for Deletes {
    fn on_event(&self, event: ProgressEvent) {
        if let ProgressEvent::GroupStaged { .. } = event {
            let delete = || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    open(&self.0).await.delete("id IN (0, 250, 399, 599)").await.unwrap();
                });
            };
            std::thread::scope(|scope| scope.spawn(delete).join().unwrap());
        }
    }
}

#[tokio::test]
async fn deletions_are_carried_over_to_joined_pages() {
    for stable_row_ids in [false, true] {
        carried_to_joined_pages(stable_row_ids).await;
    }
}

async fn carried_to_joined_pages(stable_row_ids: bool) {
    let (_directory, uri) = table(stable_row_ids).await;
    let row = optimize(&uri, Arc::new(Deletes(uri.clone()))).await;
    assert!(row.committed && row.groups_dropped == 0, "{row:#?}");
    assert!(is_joined(&uri).await);
    check(&uri, &[0, 250, 399, 599]).await;
}

#[tokio::test]
async fn files_with_deletions_are_encoded_anew() {
    let (_directory, uri) = table(false).await;
    open(&uri).await.delete("id = 100").await.unwrap();
    optimize(&uri, Arc::new(lancekeeper::NoProgress)).await;
    assert!(!is_joined(&uri).await);
    check(&uri, &[100]).await;
}
