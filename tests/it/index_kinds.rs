//! Every kind of index on ordinary tables: covered after one run and idle after that, or pending
//! with its reason while its table is worked on. Answers stay those of a scan.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use lance::Dataset;
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper::{IndexMode, Keeper, NoProgress, OptimizeOptions, TableOptimizeStats};
use lancekeeper_testkit::{table_rows, tables};
use tempfile::TempDir;

/// Scalar kinds, each with a column that it can be on.
const KINDS: &[(&str, &str)] = &[
    ("btree", "id"),
    ("bitmap", "id"),
    ("zonemap", "id"),
    ("bloomfilter", "id"),
    ("ngram", "text"),
    ("fm", "text"),
    ("inverted", "text"),
    ("minhashlsh", "text"),
];
const NAME: &str = "chosen";

/// A table with an index over two of its four fragments.
async fn table_with(kind: &str, column: &str, stable: bool) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let uri = dir.path().join("t.lance").to_string_lossy().into_owned();
    let mut table = tables::create(&uri, 2, 20, stable).await.unwrap();
    let params = ScalarIndexParams::new(kind.to_owned());
    let name = Some(NAME.to_owned());
    table.create_index(&[column], IndexType::Scalar, name, &params, true).await.unwrap();
    for first in [40, 45] {
        tables::append(&uri, first, 5).await.unwrap();
    }
    (dir, uri)
}

async fn optimize(uri: &str, index: IndexMode) -> TableOptimizeStats {
    let options = OptimizeOptions { index, ..OptimizeOptions::default() };
    let report = Keeper::new().optimize(&[uri.to_owned()], &options, Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    report.roots[0].tables[0].clone()
}

/// The fragments of a table, and those of them that its index covers.
async fn coverage(table: &Dataset) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let live: BTreeSet<u64> = table.fragments().iter().map(|fragment| fragment.id).collect();
    let segments = table.load_indices_by_name(NAME).await.unwrap();
    let covered = segments
        .iter()
        .filter_map(|segment| segment.fragment_bitmap.as_ref())
        .flatten()
        .map(u64::from)
        .filter(|id| live.contains(id));
    let covered = covered.collect();
    (live, covered)
}

async fn answers_as_a_scan(table: &Dataset, what: &str) {
    for filter in ["id = 42", "id < 7 OR id > 44", "text = 'row 3'", "contains(text, 'ow 4')"] {
        let mut counts = Vec::new();
        for use_index in [true, false] {
            let mut scan = table.scan();
            scan.filter(filter).unwrap().use_scalar_index(use_index);
            counts.push(scan.try_into_batch().await.unwrap().num_rows());
        }
        assert_eq!(counts[0], counts[1], "{what}: {filter}");
    }
}

#[tokio::test]
async fn every_kind_covers_what_was_appended_after_one_run_and_nothing_is_left_to_do() {
    for stable in [false, true] {
        for (kind, column) in KINDS {
            let what = format!("{kind}, stable row ids: {stable}");
            let (_dir, uri) = table_with(kind, column, stable).await;
            let rows = table_rows(&Dataset::open(&uri).await.unwrap()).await.unwrap();
            let row = optimize(&uri, IndexMode::Refresh).await;
            assert!(row.pending_indexes.is_empty(), "{what}: {row:#?}");
            let head = Dataset::open(&uri).await.unwrap();
            let (live, covered) = coverage(&head).await;
            assert_eq!(live.len(), 1, "{what}: covered and uncovered fragments become one");
            assert_eq!(covered, live, "{what}");
            answers_as_a_scan(&head, &what).await;
            assert_eq!(table_rows(&head).await.unwrap(), rows, "{what}");
            assert!(!optimize(&uri, IndexMode::Refresh).await.committed, "{what}: idle");
            let rebuilt = optimize(&uri, IndexMode::Rebuild).await;
            assert!(
                rebuilt.committed && rebuilt.pending_indexes.is_empty(),
                "{what}: {rebuilt:#?}"
            );
            answers_as_a_scan(&Dataset::open(&uri).await.unwrap(), &what).await;
        }
    }
}

#[tokio::test]
async fn an_index_that_cannot_be_opened_is_pending_and_loses_nothing_of_what_it_covers() {
    for index in [IndexMode::Refresh, IndexMode::Keep, IndexMode::Rebuild] {
        let (dir, uri) = table_with("inverted", "text", false).await;
        let segment = Dataset::open(&uri).await.unwrap().load_indices().await.unwrap()[0].uuid;
        fs::remove_dir_all(dir.path().join(format!("t.lance/_indices/{segment}"))).unwrap();
        let (_, before) = coverage(&Dataset::open(&uri).await.unwrap()).await;
        let row = optimize(&uri, index).await;
        assert_eq!(row.pending_indexes.len(), 1, "{index:?}: {row:#?}");
        let reason = &row.pending_indexes[0].reason;
        assert!(reason.contains("cannot be opened"), "{index:?}: {reason}");
        let head = Dataset::open(&uri).await.unwrap();
        let (live, covered) = coverage(&head).await;
        assert_eq!(covered, before, "{index:?}: not narrowed");
        assert_eq!(live.len(), 3, "{index:?}: what it does not cover is merged");
        assert!(!optimize(&uri, index).await.committed, "{index:?}: idle");
    }
}

#[tokio::test]
async fn a_few_rows_appended_to_many_leave_the_large_segment_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let uri = dir.path().join("t.lance").to_string_lossy().into_owned();
    let mut table = tables::create(&uri, 1, 2000, false).await.unwrap();
    let params = ScalarIndexParams::new("btree".to_owned());
    let name = Some(NAME.to_owned());
    table.create_index(&["id"], IndexType::Scalar, name, &params, true).await.unwrap();
    let large = table.load_indices().await.unwrap()[0].uuid;
    tables::append(&uri, 2000, 3).await.unwrap();
    let options = OptimizeOptions { index_only: true, ..OptimizeOptions::default() };
    let report =
        Keeper::new().optimize(std::slice::from_ref(&uri), &options, Arc::new(NoProgress)).await;
    assert!(report.roots[0].tables[0].committed, "{report:#?}");
    let head = Dataset::open(&uri).await.unwrap();
    assert_eq!(head.fragments().len(), 2, "only indexes are worked on");
    let segments = head.load_indices_by_name(NAME).await.unwrap();
    assert!(segments.iter().any(|segment| segment.uuid == large), "{segments:#?}");
    assert_eq!(segments.len(), 2);
    let (live, covered) = coverage(&head).await;
    assert_eq!(covered, live);
}
