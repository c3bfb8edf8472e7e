//! What a merge of B-trees takes and leaves, what a sort holds in memory, and which rows a
//! fragment lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::TryStreamExt;
use lance::Dataset;
use lance::dataset::UpdateBuilder;
use lance::dataset::index::LanceIndexStoreExt;
use lance::dataset::rowids::load_row_id_sequence;
use lance::dataset::scanner::ColumnOrdering;
use lance_core::cache::LanceCache;
use lance_datafusion::exec::{LanceExecutionOptions, execute_plan};
use lance_index::scalar::btree::{BTreeIndex, BTreeIndexPlugin, train_btree_index};
use lance_index::scalar::lance_format::LanceIndexStore;
use lance_index::scalar::registry::ScalarIndexPlugin;
use lance_index::scalar::{CreatedIndex, IndexStore, OldIndexDataFilter};
use lance_select::RowAddrTreeMap;
use lancekeeper_testkit::tables;
use uuid::Uuid;

use crate::table::Table;

/// Rows of a page.
const PAGE: u64 = 4;

fn stream(entries: &[(i64, u64)]) -> SendableRecordBatchStream {
    let schema = Arc::new(Schema::new(vec![
        Field::new("value", DataType::Int64, true),
        Field::new("_rowaddr", DataType::UInt64, false),
    ]));
    let values = Int64Array::from_iter_values(entries.iter().map(|(value, _)| *value));
    let ids = UInt64Array::from_iter_values(entries.iter().map(|(_, id)| *id));
    let columns: Vec<ArrayRef> = vec![Arc::new(values), Arc::new(ids)];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(batch)])))
}

fn store(table: &Dataset) -> LanceIndexStore {
    LanceIndexStore::from_dataset_for_new(table, &Uuid::new_v4()).unwrap()
}

/// Value and row id of every entry, in order of the pages.
async fn entries(store: &LanceIndexStore) -> Vec<(i64, u64)> {
    let file = store.open_index_file("page_data.lance").await.unwrap();
    let rows = file.read_range(0..file.num_rows(), None).await.unwrap();
    let values = rows["values"].as_primitive::<Int64Type>().values();
    let ids = rows["ids"].as_primitive::<UInt64Type>().values();
    values.iter().copied().zip(ids.iter().copied()).collect()
}

/// A B-tree of these entries, merged with new ones where its own are kept that a filter names.
async fn merged(
    old: &[(i64, u64)],
    new: &[(i64, u64)],
    kept: &[u64],
) -> (CreatedIndex, Vec<(i64, u64)>) {
    let table = Table::of(1, true).await;
    let head = table.head().await;
    let (source, target) = (store(&head), store(&head));
    train_btree_index(stream(old), &source, PAGE, None, None).await.unwrap();
    let details = crate::indexes::over_row_ids(&head).await.index_details.unwrap();
    let cache = LanceCache::no_cache();
    let source = Arc::new(source);
    let opened = BTreeIndexPlugin.load_index(source, &details, 0, None, &cache).await.unwrap();
    let opened = Arc::new(opened.as_any().downcast_ref::<BTreeIndex>().unwrap().clone());
    let kept = OldIndexDataFilter::RowIds(RowAddrTreeMap::from_iter(kept));
    let (sources, filters) = ([opened], [Some(kept)]);
    let created = BTreeIndex::merge_segments(&sources, stream(new), &target, &filters).await;
    (created.unwrap(), entries(&target).await)
}

#[tokio::test]
async fn a_merge_takes_pages_that_a_filter_keeps_and_new_rows_and_stays_of_version_0() {
    let old: Vec<(i64, u64)> = (0..20).map(|n| (10 * n as i64, n)).collect();
    let kept: Vec<u64> = (0..20).filter(|id| *id != 3).collect();
    let (created, found) = merged(&old, &[(25, 3), (1000, 20)], &kept).await;
    let mut expected: Vec<(i64, u64)> = old.into_iter().filter(|(_, id)| *id != 3).collect();
    expected.extend([(25, 3), (1000, 20)]);
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(created.index_version, 0);
    let files: BTreeSet<&str> = created.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(files, BTreeSet::from(["page_data.lance", "page_lookup.lance"]));
}

/// Why what is written is looked at.
#[tokio::test]
async fn a_merge_does_not_look_at_the_order_of_pages_nor_for_rows_that_are_named_twice() {
    let (_, found) = merged(&[(5, 0), (1, 1), (9, 2)], &[(3, 1)], &[0, 1, 2]).await;
    let values: Vec<i64> = found.iter().map(|(value, _)| *value).collect();
    assert!(!values.is_sorted(), "Lance sorts them: nothing to look at any more");
    assert_eq!(found.iter().filter(|(_, id)| *id == 1).count(), 2);
}

/// Files that sorts in a plan have spilled to.
fn spills(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let here = plan.metrics().and_then(|metrics| metrics.spill_count()).unwrap_or_default();
    here + plan.children().into_iter().map(spills).sum::<usize>()
}

/// The sorted texts of a table, and how often that spilled, within a bound of memory and with
/// batches of so many rows.
async fn sorted_texts(
    table: &Dataset,
    bound: u64,
    batch_rows: usize,
) -> Option<(Vec<String>, usize)> {
    let mut scan = table.scan();
    scan.project(&["text"]).unwrap().with_row_id().batch_size_bytes(64 << 10);
    scan.order_by(Some(vec![ColumnOrdering::asc_nulls_first("text".to_owned())])).unwrap();
    let plan = scan.create_plan().await.unwrap();
    assert_eq!(plan.schema().field(1).name(), "_rowid");
    let options = LanceExecutionOptions {
        use_spilling: true,
        mem_pool_size: Some(bound),
        batch_size: Some(batch_rows),
        ..LanceExecutionOptions::default()
    };
    let batches: Vec<RecordBatch> =
        execute_plan(Arc::clone(&plan), options).unwrap().try_collect().await.ok()?;
    let mut texts = Vec::new();
    for batch in &batches {
        texts.extend(batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Some((texts, spills(&plan)))
}

#[tokio::test]
async fn a_sort_with_a_bound_spills_what_is_over_it_and_comes_out_in_order() {
    const ROWS: usize = 200_000;
    let table = Table::empty();
    let head = tables::create(&table.uri(), 1, ROWS, true).await.unwrap();
    for (bound, is_spilling) in [(2 << 20, true), (512 << 20, false)] {
        let (texts, spills) = sorted_texts(&head, bound, 1024).await.unwrap();
        assert!(texts.is_sorted() && texts.len() == ROWS);
        assert_eq!(spills > 0, is_spilling, "{bound}");
    }
}

/// Why batches of wide values have few rows.
#[tokio::test]
async fn a_sort_fails_where_batches_of_two_files_do_not_fit_its_bound() {
    const ROWS: usize = 1_600;
    let table = Table::empty();
    tables::create(&table.uri(), 1, ROWS, true).await.unwrap();
    let update = UpdateBuilder::new(Arc::new(table.head().await));
    let update = update.set("text", "repeat(text, 1000)").unwrap().build().unwrap();
    update.execute().await.unwrap();
    let head = table.head().await;
    let (texts, spills) = sorted_texts(&head, 4 << 20, 8).await.unwrap();
    assert!(texts.is_sorted() && texts.len() == ROWS && spills > 0);
    assert!(sorted_texts(&head, 4 << 20, 4096).await.is_none(), "batches may have any size now");
}

/// Why the ids that stay are those of rows that are alive where an index covers them.
#[tokio::test]
async fn an_updated_row_keeps_its_id_and_is_still_listed_where_it_was() {
    let table = Table::of(2, true).await;
    let update = UpdateBuilder::new(Arc::new(table.head().await)).update_where("id = 3").unwrap();
    update.set("text", "'new'").unwrap().build().unwrap().execute().await.unwrap();
    let head = table.head().await;
    let mut listing = Vec::new();
    for fragment in head.fragments().iter() {
        let ids = load_row_id_sequence(&head, fragment).await.unwrap();
        if ids.iter().any(|id| id == 3) {
            listing.push(fragment.id);
        }
    }
    assert_eq!(listing, [0, 2]);
    let deleted = head.get_fragment(0).unwrap().get_deletion_vector().await.unwrap().unwrap();
    assert_eq!(deleted.to_sorted_iter().collect::<Vec<_>>(), [3]);
}
