//! Files of blobs: descriptors say who reads them, not their names.

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchIterator, StructArray};
use arrow_schema::{DataType, Field, Schema};
use lance::blob::{BlobArrayBuilder, BlobFieldOptions, blob_field_with_options};
use lance::dataset::optimize::{CompactionOptions, compact_files};
use lance::dataset::{WriteMode, WriteParams};
use lancekeeper::{NoProgress, OptimizeOptions};

use super::*;

/// In the data file, packed with others, alone in a file.
const SIZES: [usize; 3] = [100, 70_000, 300_000];
const DEDICATED: NonZeroUsize = NonZeroUsize::new(200_000).unwrap();

fn value(id: i64) -> Vec<u8> {
    let size = SIZES[usize::try_from(id).unwrap() % SIZES.len()];
    vec![u8::try_from(id % 251).unwrap(); size]
}

fn blobs(name: &str, ids: std::ops::Range<i64>) -> (Field, ArrayRef) {
    let mut builder = BlobArrayBuilder::new(ids.clone().count());
    ids.for_each(|id| builder.push_bytes(value(id)).unwrap());
    let options = BlobFieldOptions::default().with_dedicated_size_threshold(DEDICATED);
    (blob_field_with_options(name, true, options), builder.finish().unwrap())
}

/// Rows with a blob, and another one inside a struct.
async fn append(uri: &str, ids: std::ops::Range<i64>) {
    let (field, plain) = blobs("b", ids.clone());
    let (inner, inside) = blobs("inner", ids.clone());
    let below: ArrayRef = Arc::new(StructArray::from(vec![(Arc::new(inner), inside)]));
    let of_struct = Field::new("s", below.data_type().clone(), true);
    let id = Field::new("id", DataType::Int64, false);
    let schema = Arc::new(Schema::new(vec![id, field, of_struct]));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![numbers, plain, below]).unwrap();
    let is_there = std::path::Path::new(uri).exists();
    let params = WriteParams {
        mode: if is_there { WriteMode::Append } else { WriteMode::Create },
        data_storage_version: Some("2.2".parse().unwrap()),
        ..WriteParams::default()
    };
    Dataset::write(RecordBatchIterator::new([Ok(batch)], schema), uri, Some(params)).await.unwrap();
}

/// The ids of the rows of a version, each of whose blobs is read and compared.
async fn read(handle: &Dataset) -> Vec<i64> {
    let handle = Arc::new(handle.clone());
    let batch = handle.scan().project(&["id"]).unwrap().try_into_batch().await.unwrap();
    let ids = batch["id"].as_primitive::<Int64Type>().values().to_vec();
    let all: Vec<u64> = (0..ids.len() as u64).collect();
    for column in ["b", "s.inner"] {
        let files = handle.take_blobs_by_indices(&all, column).await.unwrap();
        for (id, file) in ids.iter().zip(files) {
            let bytes = file.unwrap().read().await.unwrap();
            assert!(bytes.as_ref() == value(*id), "{column} of row {id}");
        }
    }
    ids
}

async fn head(uri: &str) -> Dataset {
    DatasetBuilder::from_uri(uri).load().await.unwrap()
}

async fn opt_in(uri: &str) {
    let managed = [("lance.blob.managed", "true")];
    head(uri).await.update_schema_metadata(managed).await.unwrap();
}

async fn optimize(uri: &str) {
    let options = OptimizeOptions::default();
    let report = Keeper::new().optimize(&[uri.to_owned()], &options, Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
}

/// Two fragments whose blobs lie beside their data files, and one whose blobs lie by themselves,
/// merged into one that adopted them all.
async fn adopted(uri: &str) {
    append(uri, 0..6).await;
    append(uri, 6..12).await;
    opt_in(uri).await;
    append(uri, 12..18).await;
    optimize(uri).await;
    let fragments = head(uri).await.fragments().len();
    assert_eq!(fragments, 1, "they were merged");
}

fn blob_files(uri: &str) -> BTreeMap<String, u64> {
    files(uri).into_iter().filter(|(path, _)| path.ends_with(".blob")).collect()
}

fn at_once() -> CleanupOptions {
    CleanupOptions { min_age: TimeDelta::zero(), max_delete_percent: 100, ..keep(1) }
}

#[tokio::test]
async fn blobs_that_a_rewrite_adopted_stay_and_those_no_descriptor_names_go_when_they_are_old() {
    let table = tempfile::tempdir().unwrap();
    let uri = table.path().join("t.lance").to_string_lossy().into_owned();
    adopted(&uri).await;
    let before = blob_files(&uri);
    clean(&uri, &at_once()).await;
    assert_eq!(blob_files(&uri), before, "one version is left, and it reads them all");
    assert_eq!(read(&head(&uri).await).await, (0..18).collect::<Vec<_>>());

    // A branch and a tag read on what main deletes.
    let mut main = head(&uri).await;
    main.tags().create("kept", main.manifest().version).await.unwrap();
    main.delete("id < 6").await.unwrap();
    let at = main.manifest().version;
    let mut side = main.create_branch("side", at, None).await.unwrap();
    main.delete("id >= 12").await.unwrap();
    side.delete("id >= 15").await.unwrap();
    optimize(&uri).await;
    for _ in 0..2 {
        clean(&uri, &at_once()).await;
        assert_eq!(blob_files(&uri), before, "the tag reads them all");
        let main = head(&uri).await;
        assert_eq!(read(&main).await, (6..12).collect::<Vec<_>>());
        let side = main.checkout_branch("side").await.unwrap();
        assert_eq!(read(&side).await, (6..15).collect::<Vec<_>>());
    }
    head(&uri).await.tags().delete("kept").await.unwrap();
    let report = clean(&uri, &keep(1)).await;
    assert_eq!(blob_files(&uri), before, "they are young");
    assert!(row_of(&report, "t").unverified_left > 0);
    clean(&uri, &at_once()).await;
    let side = head(&uri).await.checkout_branch("side").await.unwrap();
    assert_eq!(read(&side).await, (6..15).collect::<Vec<_>>(), "main deleted 12 to 15");

    head(&uri).await.delete_branch("side").await.unwrap();
    clean(&uri, &at_once()).await;
    assert_eq!(read(&head(&uri).await).await, (6..12).collect::<Vec<_>>());
    let left = blob_files(&uri);
    // One packed, two alone, per column; those of 12 to 18 lay by themselves.
    assert!(left.len() < before.len() / 2, "{left:#?}");
    assert!(left.keys().all(|path| !path.contains("_blobs/")), "{left:#?}");
    assert!(preview(&uri, &at_once()).await.roots[0].tables[0].files_removed == 0);
}

#[tokio::test]
async fn blobs_that_a_clone_adopted_stay_in_the_table_they_lie_in() {
    let database = tempfile::tempdir().unwrap();
    let root = database.path().to_string_lossy().into_owned();
    let uri = |name: &str| format!("{root}/{name}.lance");
    append(&uri("origin"), 0..6).await;
    append(&uri("origin"), 6..12).await;
    let mut origin = head(&uri("origin")).await;
    let version = origin.manifest().version;
    origin.shallow_clone(&uri("clone"), version, None).await.unwrap();
    opt_in(&uri("clone")).await;
    // Ours leaves to the origin what lies there; Lance writes it into the clone, but for the blobs.
    let mut clone = head(&uri("clone")).await;
    compact_files(&mut clone, CompactionOptions::default(), None).await.unwrap();
    assert!(clone.fragments().iter().all(|f| f.files.iter().all(|file| file.base_id.is_none())));
    origin.delete("id >= 0").await.unwrap();
    for _ in 0..2 {
        clean(&root, &at_once()).await;
        assert_eq!(read(&head(&uri("clone")).await).await, (0..12).collect::<Vec<_>>());
    }
    std::fs::remove_dir_all(uri("clone")).unwrap();
    clean(&root, &at_once()).await;
    assert!(blob_files(&root).is_empty());
}

#[tokio::test]
async fn no_blob_goes_if_descriptors_cannot_be_read_and_the_report_says_so() {
    let table = tempfile::tempdir().unwrap();
    let uri = table.path().join("t.lance").to_string_lossy().into_owned();
    adopted(&uri).await;
    let before = blob_files(&uri);
    // Of the two that are there, version 2 cannot be read any more.
    let main = head(&uri).await;
    let old = main.checkout_version(1).await.unwrap();
    let file = old.fragments()[0].files[0].path.clone();
    let path = std::path::Path::new(&uri).join("data").join(file);
    std::fs::write(&path, vec![0; std::fs::metadata(&path).unwrap().len() as usize]).unwrap();
    // Versions without managed blobs are not asked; this one is.
    let mut main = head(&uri).await;
    main.delete("id >= 0").await.unwrap();
    let mut old = main.checkout_version(1).await.unwrap();
    old.restore().await.unwrap();
    let report = clean(&uri, &at_once()).await;
    assert_eq!(blob_files(&uri), before);
    let warnings = &row_of(&report, "t").warnings;
    assert!(warnings.iter().any(|w| w.starts_with("no file of blobs is deleted")), "{warnings:?}");
}
