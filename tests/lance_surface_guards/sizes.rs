//! Where the bytes of a table lie, and what a rewrite reads of them.

use std::fs;
use std::sync::Arc;

use lance::Dataset;
use lance::dataset::optimize::CompactionMode;
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lance_table::io::manifest::read_manifest_indexes;
use lancekeeper::{Keeper, NoProgress, OptimizeOptions};
use lancekeeper_store::sizes::{TableSizes, table_sizes};

use crate::blobs::{Encoding, append, are_as_written};
use crate::table::{Table, stage_in_mode};

/// Blobs of one fragment that lie beside its data file: 70 kB in a pack, 1.5 MB alone.
const BESIDE: u64 = 1_570_000;

async fn measured(table: &Dataset) -> TableSizes {
    let store = table.object_store(None).await.unwrap();
    let indexes =
        read_manifest_indexes(&store, table.manifest_location(), table.manifest()).await.unwrap();
    table_sizes(table, &indexes).await.unwrap()
}

/// Bytes of the files below a part of the table whose names end so.
fn on_disk(table: &Table, part: &str, suffix: &str) -> u64 {
    let files = table.files_under(part).into_iter().filter(|file| file.ends_with(suffix));
    files.map(|file| fs::metadata(table.path().join(file)).unwrap().len()).sum()
}

async fn three_fragments() -> Table {
    let table = Table::empty();
    for first in [0, 10, 20] {
        append(&table, Encoding::V2, first).await;
    }
    table
}

async fn index(table: &Table) {
    let params = ScalarIndexParams::default();
    table.head().await.create_index(&["id"], IndexType::BTree, None, &params, true).await.unwrap();
}

#[tokio::test]
async fn a_table_is_as_large_as_the_files_it_refers_to_also_under_the_base_of_a_clone() {
    let table = three_fragments().await;
    table.head().await.delete("id = 11").await.unwrap();
    index(&table).await;
    let mut head = table.head().await;
    let sizes = measured(&head).await;
    assert_eq!(sizes.total.data_bytes, on_disk(&table, "data/", ".lance"));
    assert_eq!(sizes.total.blob_bytes, on_disk(&table, "data/", ".blob"));
    assert_eq!(sizes.total.blob_bytes, 3 * BESIDE);
    assert_eq!(sizes.total.index_bytes, on_disk(&table, "_indices/", ""));
    assert_eq!(sizes.total.deletion_bytes, on_disk(&table, "_deletions/", ""));
    let total = sizes.total;
    assert!(total.data_bytes > 0 && total.index_bytes > 0 && total.deletion_bytes > 0, "{total:?}");

    let clone = Table::empty();
    let version = head.manifest().version;
    head.shallow_clone(&clone.uri(), version, None).await.unwrap();
    assert_eq!(measured(&clone.head().await).await, sizes, "a clone reads all of it elsewhere");

    let report = Keeper::new().status(&[table.uri()]).await;
    let row = &report.roots[0].tables[0];
    assert_eq!((row.bytes, row.sizes), (sizes.total.total(), sizes.total), "{report:#?}");
}

/// What a manifest does not record is looked for once per directory, and found.
#[tokio::test]
async fn sizes_that_old_writers_did_not_record_are_found_by_listing() {
    let table = three_fragments().await;
    index(&table).await;
    let head = table.head().await;
    let recorded = measured(&head).await;
    let store = head.object_store(None).await.unwrap();
    let mut indexes =
        read_manifest_indexes(&store, head.manifest_location(), head.manifest()).await.unwrap();
    for index in &mut indexes {
        assert!(index.files.is_some(), "Lance records what an index takes");
        index.files = None;
    }
    assert_eq!(table_sizes(&head, &indexes).await.unwrap(), recorded);
}

#[tokio::test]
async fn a_rewrite_writes_blobs_again_unless_they_are_managed_and_is_planned_by_what_it_reads() {
    for is_managed in [false, true] {
        let table = three_fragments().await;
        if is_managed {
            let managed = [("lance.blob.managed", "true")];
            table.head().await.update_schema_metadata(managed).await.unwrap();
        }
        let (head, before) = (table.head().await, on_disk(&table, "", ".blob"));
        let sizes = measured(&head).await;
        assert_eq!(sizes.total.blob_bytes, 3 * BESIDE);
        let to_read = if is_managed { 0 } else { BESIDE };
        assert!(sizes.fragments.iter().all(|size| size.blobs == to_read), "{sizes:?}");

        stage_in_mode(&head, &[0, 1, 2], CompactionMode::Reencode).await;
        let written = on_disk(&table, "", ".blob") - before;
        assert_eq!(written, if is_managed { 0 } else { 3 * BESIDE });

        // Two of them would be larger than this, if their blobs counted.
        let options = OptimizeOptions { target_bytes: 2 << 20, ..OptimizeOptions::default() };
        let report = Keeper::new().optimize(&[table.uri()], &options, Arc::new(NoProgress)).await;
        let row = &report.roots[0].tables[0];
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert_eq!(row.fragments_after, if is_managed { 1 } else { 3 }, "{row:#?}");
        are_as_written(&table.head().await, Encoding::V2).await;
    }
}
