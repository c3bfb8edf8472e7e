//! Feature bits, and everything in a version that could name a file.

use std::collections::BTreeSet;

use lance::dataset::optimize::{CompactionOptions, compact_files};
use lance_table::feature_flags::{self as flags, can_read_dataset, can_write_dataset};
use lance_table::format::{Fragment, IndexMetadata, Manifest, RowDatasetVersionMeta, RowIdMeta};
use lance_table::io::manifest::read_manifest_indexes;
use lancekeeper_planner::cleanup::{KNOWN_FEATURES, unknown_index};
use lancekeeper_testkit::table_rows;

use crate::table::Table;

/// A bit that is new here is not on our list, and stops every deletion in its table until somebody
/// has looked where the files are that it means.
#[test]
fn the_feature_bits_that_lance_can_work_with_are_those_whose_files_we_know() {
    assert_eq!(flags::FLAG_UNKNOWN, 1 << 18);
    let by_name = [
        (0, flags::FLAG_DELETION_FILES),
        (1, flags::FLAG_STABLE_ROW_IDS),
        (2, flags::FLAG_USE_V2_FORMAT_DEPRECATED),
        (3, flags::FLAG_TABLE_CONFIG),
        (4, flags::FLAG_BASE_PATHS),
        (5, flags::FLAG_DISABLE_TRANSACTION_FILE),
        (6, flags::FLAG_UNSTABLE_DATA_OVERLAY_FILES),
        (7, flags::FLAG_COVERED_INDEX_METADATA),
        (8, flags::FLAG_MIXED_DATA_FILE_VERSIONS),
        (9, flags::FLAG_FRAG_REUSE_WITH_STABLE_ROW_IDS),
        (10, flags::FLAG_FRAGMENT_REUSE_INDEX),
        (11, flags::FLAG_SPILLED_ROW_LINEAGE),
        (12, flags::FLAG_FRAGMENT_TREE),
        (13, flags::FLAG_INDEPENDENT_COVERING_FIELDS),
        (14, flags::FLAG_MANAGED_BLOBS),
        (15, flags::FLAG_NON_REUSABLE_FIELD_IDS),
        (16, flags::FLAG_ZONE_WRITE_SEEDS),
        (17, flags::FLAG_OBJECT_METADATA),
    ];
    let ours: BTreeSet<u32> = KNOWN_FEATURES.iter().map(|(bit, _)| *bit).collect();
    for (bit, flag) in by_name {
        assert_eq!(flag, 1 << bit);
        // Of a released build it knows two less, 6 and 9.
        assert_eq!(can_read_dataset(flag), ours.contains(&bit), "{bit}");
        assert_eq!(can_write_dataset(flag), ours.contains(&bit), "{bit}");
    }
    assert!((18..64).all(|bit| !can_read_dataset(1 << bit) && !can_write_dataset(1 << bit)));
}

/// Every field is named here: one that is added does not compile, and somebody must say whether it
/// names files.
#[test]
fn versions_fragments_and_indexes_name_files_in_no_fields_but_those_we_read() {
    let _: fn(Manifest) = |version| {
        let Manifest {
            // Ours to read.
            fragments: _,
            index_section: _,
            transaction_file: _,
            base_paths: _,
            // Sections of the manifest's own file.
            version_aux_data: _,
            transaction_section: _,
            // Nothing about files.
            schema: _,
            version: _,
            branch: _,
            writer_version: _,
            timestamp_nanos: _,
            tag: _,
            reader_feature_flags: _,
            writer_feature_flags: _,
            max_fragment_id: _,
            max_allocated_field_id: _,
            next_row_id: _,
            data_storage_format: _,
            config: _,
            table_metadata: _,
            ..
        } = version;
    };
    let _: fn(Fragment) = |fragment| {
        let Fragment {
            // Data files, by `referenced_lance_files`.
            files: _,
            overlays: _,
            deletion_file: _,
            // In the manifest, or in a column of a data file.
            row_id_meta,
            last_updated_at_version_meta,
            created_at_version_meta,
            id: _,
            physical_rows: _,
        } = fragment;
        match row_id_meta {
            Some(RowIdMeta::Inline(_) | RowIdMeta::Column) | None => {}
        }
        for lineage in [last_updated_at_version_meta, created_at_version_meta] {
            match lineage {
                Some(RowDatasetVersionMeta::Inline(_) | RowDatasetVersionMeta::Column) | None => {}
            }
        }
    };
    let _: fn(IndexMetadata) = |index| {
        let IndexMetadata {
            // `_indices/{uuid}`, below a base.
            uuid: _,
            base_id: _,
            // Below that.
            files: _,
            // The kind; those with files elsewhere are fragment reuse (`_fri`) and MemWAL.
            index_details: _,
            fields: _,
            covering_fields: _,
            name: _,
            dataset_version: _,
            fragment_bitmap: _,
            index_version: _,
            created_at: _,
        } = index;
    };
}

#[tokio::test]
async fn a_remap_that_was_deferred_is_an_index_whose_files_lie_where_those_of_indexes_do() {
    let table = Table::of(3, false).await;
    let rows = table_rows(&table.head().await).await.unwrap();
    let mut head = table.head().await;
    let options = CompactionOptions { defer_index_remap: true, ..CompactionOptions::default() };
    compact_files(&mut head, options, None).await.unwrap();
    let head = table.head().await;
    let store = head.object_store(None).await.unwrap();
    let indexes = read_manifest_indexes(&store, head.manifest_location(), head.manifest());
    let indexes = indexes.await.unwrap();
    for index in &indexes {
        let details = index.index_details.as_ref().unwrap();
        assert_eq!(unknown_index(&details.type_url), None, "{}", index.name);
    }
    let directories: BTreeSet<String> =
        table.files().iter().map(|file| file.split('/').next().unwrap().to_owned()).collect();
    let known = ["_indices", "_transactions", "_versions", "data"].map(ToOwned::to_owned);
    assert!(directories.is_subset(&known.into()), "{directories:?}");
    assert_eq!(table_rows(&head).await.unwrap(), rows);
}
