//! Blob columns, as tables of old and of this format hold them: a rewrite keeps every byte.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, LargeBinaryArray, RecordBatch, RecordBatchIterator};
use arrow_schema::{DataType, Field, Schema};
use lance::Dataset;
use lance::blob::{BlobArrayBuilder, BlobFieldOptions, blob_field_with_options};
use lance::dataset::optimize::CompactionMode;
use lance::dataset::{WriteMode, WriteParams};
use lancekeeper::{Keeper, NoProgress, OptimizeOptions};
use lancekeeper_testkit::invariants::check_files;

use crate::table::{Table, commit, files_in, reserve, rewrite, stage_in_mode};

/// How blobs are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// A struct with an extension type, file format 2.2.
    V2,
    /// Large binary with a metadata entry, file formats before that.
    Legacy,
}

/// Inside the data file, packed with others, alone in a file.
const SIZES: [usize; 3] = [100, 70_000, 1_500_000];
/// From here on a blob has a file to itself; Lance's own default is 4 MiB.
const DEDICATED: NonZeroUsize = NonZeroUsize::new(1 << 20).unwrap();
/// Rows of one append; the last ones are empty and null.
const ROWS: i64 = 6;

/// The blob of a row.
fn value(id: i64) -> Option<Vec<u8>> {
    match usize::try_from(id % 10).unwrap() {
        at if at < SIZES.len() => {
            let seed = u8::try_from(id % 251).unwrap();
            let pattern: Vec<u8> = (0..253).map(|n| seed.wrapping_add(n)).collect();
            let mut bytes = pattern.repeat(SIZES[at] / pattern.len() + 1);
            bytes.truncate(SIZES[at]);
            Some(bytes)
        }
        3 => Some(Vec::new()),
        _ => None,
    }
}

fn batch(encoding: Encoding, first: i64) -> RecordBatch {
    let ids = first..first + ROWS;
    let (field, blobs): (Field, ArrayRef) = match encoding {
        Encoding::V2 => {
            let mut blobs = BlobArrayBuilder::new(usize::try_from(ROWS).unwrap());
            for id in ids.clone() {
                match value(id) {
                    Some(bytes) => blobs.push_bytes(bytes).unwrap(),
                    None => blobs.push_null().unwrap(),
                }
            }
            let options = BlobFieldOptions::default().with_dedicated_size_threshold(DEDICATED);
            (blob_field_with_options("blob", true, options), blobs.finish().unwrap())
        }
        Encoding::Legacy => {
            let metadata = HashMap::from([("lance-encoding:blob".to_owned(), "true".to_owned())]);
            let field = Field::new("blob", DataType::LargeBinary, true).with_metadata(metadata);
            (field, Arc::new(ids.clone().map(value).collect::<LargeBinaryArray>()))
        }
    };
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), field]));
    RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from_iter_values(ids)), blobs]).unwrap()
}

/// Appends a fragment of six rows; makes the table if it is not there.
pub(crate) async fn append(table: &Table, encoding: Encoding, first: i64) {
    let batch = batch(encoding, first);
    let schema = batch.schema();
    let version = match encoding {
        Encoding::V2 => "2.2",
        Encoding::Legacy => "2.1",
    };
    let is_there = table.path().exists();
    let params = WriteParams {
        mode: if is_there { WriteMode::Append } else { WriteMode::Create },
        data_storage_version: Some(version.parse().unwrap()),
        enable_stable_row_ids: true,
        ..WriteParams::default()
    };
    Dataset::write(RecordBatchIterator::new([Ok(batch)], schema), &table.uri(), Some(params))
        .await
        .unwrap();
}

/// Every blob of a table, by id.
async fn read(handle: &Dataset) -> BTreeMap<i64, Option<Vec<u8>>> {
    let handle = Arc::new(handle.clone());
    let batch = handle.scan().project(&["id"]).unwrap().try_into_batch().await.unwrap();
    let ids = batch["id"].as_primitive::<Int64Type>().values().to_vec();
    let all: Vec<u64> = (0..ids.len() as u64).collect();
    let files = handle.take_blobs_by_indices(&all, "blob").await.unwrap();
    assert_eq!(files.len(), ids.len());
    let mut blobs = BTreeMap::new();
    for (id, file) in ids.into_iter().zip(files) {
        let bytes = match file {
            Some(file) => Some(file.read().await.unwrap().to_vec()),
            None => None,
        };
        blobs.insert(id, bytes);
    }
    blobs
}

/// Checks every blob there is against what was written for its id.
pub(crate) async fn are_as_written(handle: &Dataset, _encoding: Encoding) {
    let read = read(handle).await;
    assert!(!read.is_empty());
    for (id, bytes) in read {
        assert!(bytes == value(id), "blob of row {id} differs");
    }
}

async fn three_fragments(encoding: Encoding) -> Table {
    let table = Table::empty();
    for first in [0, 10, 20] {
        append(&table, encoding, first).await;
    }
    table
}

#[tokio::test]
async fn what_is_read_back_is_what_was_written_and_how_is_a_matter_of_size() {
    for encoding in [Encoding::V2, Encoding::Legacy] {
        let table = three_fragments(encoding).await;
        let head = table.head().await;
        are_as_written(&head, encoding).await;
        let is_blob = head.schema().fields_pre_order().any(lance::datatypes::Field::is_blob);
        assert!(is_blob, "{encoding:?}: what the planner asks to leave pages alone");
        let beside: BTreeSet<String> =
            table.files().into_iter().filter(|file| file.ends_with(".blob")).collect();
        if encoding == Encoding::Legacy {
            assert_eq!(beside, BTreeSet::new());
            continue;
        }
        for fragment in head.fragments().iter() {
            let stem = fragment.files[0].path.strip_suffix(".lance").unwrap();
            let files = files_in(&table.path().join("data").join(stem));
            // One pack of the middle sizes, one file of its own for the largest.
            assert_eq!(files.len(), 2, "{files:?}");
            for file in &files {
                let name = file.strip_suffix(".blob").unwrap();
                assert!(name.len() == 32 && name.chars().all(|c| "01".contains(c)), "{file}");
            }
        }
        assert_eq!(beside.len(), 6, "and nowhere else");
    }
}

/// Also where a page copy was asked for: Lance falls back by itself.
#[tokio::test]
async fn a_staged_rewrite_keeps_every_byte_and_names_what_it_wrote_beside_its_file() {
    for encoding in [Encoding::V2, Encoding::Legacy] {
        for mode in [CompactionMode::Reencode, CompactionMode::TryBinaryCopy] {
            let table = three_fragments(encoding).await;
            table.head().await.delete("id = 11").await.unwrap();
            let (head, before) = (table.head().await, table.files());
            let mut staged = stage_in_mode(&head, &[0, 1, 2], mode).await;
            let file = staged.new_fragments[0].files[0].path.clone();
            let stem = file.strip_suffix(".lance").unwrap();
            for added in table.files().difference(&before) {
                let inside = format!("data/{stem}/");
                assert!(*added == format!("data/{file}") || added.starts_with(&inside), "{added}");
            }
            let reserved = reserve(&head, &mut staged).await;
            commit(&reserved, rewrite(&staged)).await.unwrap();
            let rewritten = table.head().await;
            assert_eq!(rewritten.fragments().len(), 1);
            assert_eq!(rewritten.count_rows(None).await.unwrap(), 17);
            are_as_written(&rewritten, encoding).await;
            let written = rewritten.fragments()[0].files[0].file_minor_version;
            assert_eq!(written, head.fragments()[0].files[0].file_minor_version);
            // Older versions read their own files.
            are_as_written(&table.at(3).await, encoding).await;
        }
    }
}

#[tokio::test]
async fn optimizing_a_table_with_blobs_keeps_every_byte_and_leaves_no_litter() {
    for encoding in [Encoding::V2, Encoding::Legacy] {
        let table = three_fragments(encoding).await;
        table.head().await.delete("id = 11 OR id = 23").await.unwrap();
        let options = OptimizeOptions::default();
        let report = Keeper::new().optimize(&[table.uri()], &options, Arc::new(NoProgress)).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        let head = table.head().await;
        assert_eq!(head.fragments().len(), 1, "{encoding:?}: {report:#?}");
        assert_eq!(head.count_rows(None).await.unwrap(), 16);
        are_as_written(&head, encoding).await;
        check_files(&head, &table.path()).await.unwrap();
    }
}
