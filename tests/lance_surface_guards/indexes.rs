//! Indexes under a Rewrite: which order of commits works, what follows by itself, what has to
//! be carried over, and what Lance would get wrong.

use std::io::Cursor;
use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef, FixedSizeListArray, RecordBatch, RecordBatchIterator};
use arrow_schema::{Field, Schema};
use lance::dataset::index::DatasetIndexRemapperOptions;
use lance::dataset::optimize::{IndexRemapperOptions, RewriteResult};
use lance::dataset::scanner::ColumnOrdering;
use lance::dataset::transaction::{Operation, RewrittenIndex};
use lance::index::DatasetIndexExt;
use lance::index::optimize::plan_optimize_indices;
use lance::index::vector::VectorIndexParams;
use lance::{Dataset, Error};
use lance_core::utils::row_addr_remap::{GroupInput, RowAddrRemap};
use lance_index::IndexType;
use lance_index::optimize::OptimizeOptions;
use lance_index::scalar::{BuiltinIndexType, InvertedIndexParams, ScalarIndexParams};
use lance_linalg::distance::MetricType;
use lance_table::format::IndexMetadata;
use lance_table::io::manifest::read_manifest_indexes;
use lancekeeper_testkit::tables;
use roaring::RoaringTreemap;

use crate::table::{
    Table, commit, commit_at, found, reserve, rewrite, rewrite_with, sorted_ids, stage,
};

const NAME: &str = "id_idx";

fn params() -> ScalarIndexParams {
    ScalarIndexParams::for_builtin(BuiltinIndexType::BTree)
}

/// A B-tree as this Lance builds it, over some fragments or all; not committed.
async fn native(head: &Dataset, fragments: Option<Vec<u32>>) -> IndexMetadata {
    let (mut handle, params) = (head.clone(), params());
    let builder = handle.create_index_builder(&["id"], IndexType::BTree, &params);
    let mut builder = builder.name(NAME.to_owned()).replace(true);
    if let Some(fragments) = fragments {
        builder = builder.fragments(fragments);
    }
    builder.execute_uncommitted().await.unwrap()
}

/// A B-tree over row ids, version 0, as older Lance built them; not committed.
pub(crate) async fn over_row_ids(head: &Dataset) -> IndexMetadata {
    let mut scan = head.scan();
    scan.project(&["id"]).unwrap().with_row_id();
    scan.order_by(Some(vec![ColumnOrdering::asc_nulls_first("id".to_owned())])).unwrap();
    let batch = scan.try_into_batch().await.unwrap();
    let columns: Vec<ArrayRef> = batch.columns().to_vec();
    let schema = Arc::new(Schema::new(vec![
        Field::new("value", columns[0].data_type().clone(), true),
        Field::new("_rowaddr", columns[1].data_type().clone(), false),
    ]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let reader = RecordBatchIterator::new([Ok(batch)], schema);
    let (mut handle, params) = (head.clone(), params());
    let mut segment = handle
        .create_index_builder(&["id"], IndexType::BTree, &params)
        .name(NAME.to_owned())
        .replace(true)
        .preprocessed_data(Box::new(reader))
        .execute_uncommitted()
        .await
        .unwrap();
    segment.index_version = 0;
    segment
}

fn create(new: &IndexMetadata, removed: &[IndexMetadata]) -> Operation {
    Operation::CreateIndex { new_indices: vec![new.clone()], removed_indices: removed.to_vec() }
}

async fn indexes(head: &Dataset) -> Vec<IndexMetadata> {
    head.load_indices().await.unwrap().as_ref().clone()
}

/// The fragments that the one index covers, as its bitmap says.
async fn covered(head: &Dataset) -> Vec<u32> {
    let indexes = indexes(head).await;
    assert_eq!(indexes.len(), 1);
    indexes[0].fragment_bitmap.as_ref().unwrap().iter().collect()
}

async fn uses_the_index(head: &Dataset) -> bool {
    let mut scan = head.scan();
    scan.filter("id = 5").unwrap();
    scan.explain_plan(true).await.unwrap().contains("ScalarIndexQuery")
}

/// All values at once, some alone, and one that is not there.
async fn answers_as_a_scan(head: &Dataset) {
    assert!(uses_the_index(head).await);
    same_by_index_and_by_scan(head).await;
}

async fn same_by_index_and_by_scan(head: &Dataset) {
    let some = [-1, 5, 12, 17, 25, 33, 45].map(|id| format!("id = {id}"));
    for filter in some.into_iter().chain(["id >= -1 AND id < 100".to_owned()]) {
        let by_scan = found(head, &filter, false).await;
        assert_eq!(found(head, &filter, true).await, by_scan, "{filter}");
    }
}

/// The order of our commits. Everything is staged at one version; then comes a foreign append.
#[tokio::test]
async fn index_then_reservation_then_rewrite_at_head_covers_and_answers_as_a_scan() {
    let table = Table::of(4, true).await;
    let old = native(&table.head().await, Some(vec![0, 1])).await;
    commit(&table.head().await, create(&old, &[])).await.unwrap();
    table.head().await.delete("id = 17").await.unwrap();
    let head = table.head().await;
    assert_eq!(covered(&head).await, [0, 1]);

    let new = over_row_ids(&head).await;
    let mut staged = stage(&head, &[0, 1, 2, 3]).await;
    let appended = tables::append(&table.uri(), 40, 10).await.unwrap();

    let indexed = commit(&appended, create(&new, &[old])).await.unwrap();
    let reserved = reserve(&indexed, &mut staged).await;
    let rewritten = commit(&reserved, rewrite(&staged)).await.unwrap();
    let fragment = u32::try_from(staged.new_fragments[0].id).unwrap();
    assert_eq!(covered(&rewritten).await, [fragment], "the appended one is not covered");
    assert_eq!(indexes(&rewritten).await[0].uuid, new.uuid);
    assert_eq!(indexes(&rewritten).await[0].index_version, 0);
    answers_as_a_scan(&table.head().await).await;
    assert_eq!(found(&table.head().await, "id = 17", true).await, Vec::<i64>::new());
    assert_eq!(found(&table.head().await, "id = 45", true).await, [45]);
}

#[tokio::test]
async fn a_rewrite_and_an_index_over_its_sources_from_one_version_conflict_in_both_orders() {
    for rewrite_first in [true, false] {
        let table = Table::of(3, true).await;
        let head = table.head().await;
        let index = create(&over_row_ids(&head).await, &[]);
        let mut staged = stage(&head, &[0, 1]).await;
        reserve(&head, &mut staged).await;
        let version = head.manifest().version;
        let (first, second) = match rewrite_first {
            true => (rewrite(&staged), index),
            false => (index, rewrite(&staged)),
        };
        commit_at(&head, version, first).await.unwrap();
        let error = commit_at(&head, version, second).await.unwrap_err();
        let is_conflict = matches!(error.find_root(), Error::RetryableCommitConflict { .. });
        assert!(is_conflict, "rewrite first: {rewrite_first}: {error:?}");
    }
}

/// A B-tree over row ids, version 0, is read by this Lance and follows a Rewrite by itself.
#[tokio::test]
async fn a_b_tree_of_version_0_over_row_ids_follows_a_rewrite_by_itself() {
    let table = Table::of(3, true).await;
    let segment = over_row_ids(&table.head().await).await;
    let indexed = commit(&table.head().await, create(&segment, &[])).await.unwrap();
    answers_as_a_scan(&indexed).await;
    let mut staged = stage(&indexed, &[0, 1, 2]).await;
    assert!(staged.row_addrs.is_none(), "no addresses are needed to carry it over");
    let reserved = reserve(&indexed, &mut staged).await;
    let rewritten = commit(&reserved, rewrite(&staged)).await.unwrap();
    assert_eq!(covered(&rewritten).await, [3]);
    assert_eq!(indexes(&rewritten).await[0].uuid, segment.uuid);
    answers_as_a_scan(&table.head().await).await;
}

/// Why fragment ids are reserved: the bitmap takes the id that the transaction says, not the
/// one that the commit gives out, and so names a fragment that is not in the index.
#[tokio::test]
async fn a_rewrite_with_ids_left_to_the_commit_makes_the_bitmap_name_fragment_0() {
    let table = Table::of(3, true).await;
    let segment = over_row_ids(&table.at(3).await).await;
    let mut partial = segment.clone();
    // Fragment 0 is not covered; fragments 1 and 2 are.
    let only: Vec<u32> = vec![1, 2];
    partial.fragment_bitmap = Some(only.iter().copied().collect());
    let head = commit(&table.head().await, create(&partial, &[])).await.unwrap();
    let staged = stage(&head, &[1, 2]).await;
    assert_eq!(staged.new_fragments[0].id, 0);
    let rewritten = commit(&head, rewrite(&staged)).await.unwrap();
    assert_eq!(covered(&rewritten).await, [0], "the bitmap is right now: reserve no longer");
    assert_eq!(rewritten.fragments()[1].id, 3);
}

/// The same seen by a reader: the rows of fragment 0 vanish from answers.
#[tokio::test]
async fn rows_of_a_fragment_that_a_bitmap_names_wrongly_vanish_from_answers() {
    let table = Table::of(3, true).await;
    let head = table.head().await;
    // Trained on fragments 1 and 2 alone.
    let mut scan = head.scan();
    scan.with_fragments(head.fragments()[1..].to_vec());
    scan.project(&["id"]).unwrap().with_row_id();
    let batch = scan.try_into_batch().await.unwrap();
    let schema = Arc::new(Schema::new(vec![
        Field::new("value", batch.column(0).data_type().clone(), true),
        Field::new("_rowaddr", batch.column(1).data_type().clone(), false),
    ]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()).unwrap();
    let (mut handle, params) = (head.clone(), params());
    let mut segment = handle
        .create_index_builder(&["id"], IndexType::BTree, &params)
        .name(NAME.to_owned())
        .preprocessed_data(Box::new(RecordBatchIterator::new([Ok(batch)], schema)))
        .execute_uncommitted()
        .await
        .unwrap();
    segment.index_version = 0;
    segment.fragment_bitmap = Some([1, 2].into_iter().collect());
    let indexed = commit(&head, create(&segment, &[])).await.unwrap();
    answers_as_a_scan(&indexed).await;

    let mut reserved = stage(&indexed, &[1, 2]).await;
    let unreserved = reserved.clone();
    let right = reserve(&indexed, &mut reserved).await;
    let rewritten = commit(&right, rewrite(&reserved)).await.unwrap();
    answers_as_a_scan(&rewritten).await;

    let mut restored = table.at(indexed.manifest().version).await;
    restored.restore().await.unwrap();
    let wrong = commit(&table.head().await, rewrite(&unreserved)).await.unwrap();
    assert_eq!(found(&wrong, "id = 5", false).await, [5]);
    let by_index = found(&wrong, "id = 5", true).await;
    assert_eq!(by_index, Vec::<i64>::new(), "the answer is right now: reserve no longer");
}

fn addresses(staged: &RewriteResult) -> GroupInput {
    let bytes = staged.row_addrs.as_ref().unwrap();
    let id = |fragment: &lance_table::format::Fragment| u32::try_from(fragment.id).unwrap();
    let rows = |fragment: &lance_table::format::Fragment| {
        u32::try_from(fragment.physical_rows.unwrap()).unwrap()
    };
    GroupInput {
        rewritten_old_row_addrs: RoaringTreemap::deserialize_from(Cursor::new(bytes)).unwrap(),
        old_frag_ids: staged.original_fragments.iter().map(id).collect(),
        new_frags: staged.new_fragments.iter().map(|f| (id(f), rows(f))).collect(),
    }
}

/// Written beside the table, not committed.
async fn remapped(head: &Dataset, staged: &RewriteResult) -> Vec<RewrittenIndex> {
    let options = DatasetIndexRemapperOptions::default();
    let remapper = options.create_remapper(head).await.unwrap().unwrap();
    let map = RowAddrRemap::compact(vec![addresses(staged)]).unwrap();
    let affected: Vec<u64> = staged.original_fragments.iter().map(|f| f.id).collect();
    let remapped = remapper.remap_indices(map, &affected).await.unwrap();
    remapped
        .into_iter()
        .map(|index| RewrittenIndex {
            old_id: index.old_id,
            new_id: index.new_id,
            new_index_details: index.index_details,
            new_index_version: index.index_version,
            new_index_files: index.files,
        })
        .collect()
}

/// Tables without stable row ids, and B-trees over addresses on tables with them.
#[tokio::test]
async fn an_index_over_addresses_stays_covering_only_if_its_remapped_segments_travel_along() {
    for (stable, carried_over) in [(false, true), (false, false), (true, true)] {
        let table = Table::of(3, stable).await;
        let segment = native(&table.head().await, None).await;
        // 1 says: over addresses, where row ids are something else.
        assert_eq!(segment.index_version, i32::from(stable));
        let indexed = commit(&table.head().await, create(&segment, &[])).await.unwrap();
        table.head().await.delete("id = 17").await.unwrap();
        let mut head = indexed;
        head.checkout_latest().await.unwrap();
        let mut staged = stage(&head, &[0, 1, 2]).await;
        assert!(staged.row_addrs.is_some(), "stable: {stable}");
        let reserved = reserve(&head, &mut staged).await;
        let travelling = match carried_over {
            true => remapped(&reserved, &staged).await,
            false => Vec::new(),
        };
        assert_eq!(travelling.len(), usize::from(carried_over));
        let rewritten = commit(&reserved, rewrite_with(&staged, travelling)).await.unwrap();
        let index = &indexes(&rewritten).await[0];
        let fragments = index.fragment_bitmap.as_ref().unwrap();
        let new = u32::try_from(staged.new_fragments[0].id).unwrap();
        assert_eq!(fragments.contains(new), carried_over);
        assert_eq!(index.uuid == segment.uuid, !carried_over);
        same_by_index_and_by_scan(&rewritten).await;
    }
}

/// The planner keeps covered and uncovered fragments apart for this.
#[tokio::test]
async fn a_group_that_an_index_covers_in_part_is_refused() {
    let table = Table::of(3, true).await;
    let mut segment = over_row_ids(&table.head().await).await;
    segment.fragment_bitmap = Some([0, 1].into_iter().collect());
    let head = commit(&table.head().await, create(&segment, &[])).await.unwrap();
    let mut staged = stage(&head, &[1, 2]).await;
    let reserved = reserve(&head, &mut staged).await;
    let error = commit(&reserved, rewrite(&staged)).await.unwrap_err();
    assert!(error.to_string().contains("split of indexed and non-indexed"), "{error}");
    assert_eq!(sorted_ids(&table.head().await).await, Vec::from_iter(0..30));
}

#[tokio::test]
async fn an_index_this_lance_cannot_read_is_hidden_by_load_indices_and_kept_by_every_commit() {
    let table = Table::of(2, true).await;
    let mut segment = native(&table.head().await, None).await;
    segment.index_version = 999;
    commit(&table.head().await, create(&segment, &[])).await.unwrap();
    let head = tables::append(&table.uri(), 20, 10).await.unwrap();
    assert_eq!(indexes(&head).await, []);
    let store = head.object_store(None).await.unwrap();
    let all = read_manifest_indexes(&store, head.manifest_location(), head.manifest());
    let all: Vec<_> = all.await.unwrap().iter().map(|index| index.uuid).collect();
    assert_eq!(all, [segment.uuid]);
}

/// Lance's plan folds uncovered fragments in and names what the new segment replaces.
#[tokio::test]
async fn a_merging_plan_gives_one_segment_over_everything_and_names_the_ones_it_replaces() {
    let table = Table::of(2, false).await;
    let old = native(&table.head().await, None).await;
    commit(&table.head().await, create(&old, &[])).await.unwrap();
    let head = tables::append(&table.uri(), 20, 10).await.unwrap();
    let options = OptimizeOptions::merge(1).index_names(vec![NAME.to_owned()]);
    let plan = plan_optimize_indices(&head, &options).await.unwrap();
    let mut built = Vec::new();
    for task in &plan.tasks {
        built.extend(task.execute(&head).await.unwrap());
    }
    let mut merged = Vec::new();
    for merge in &plan.merges {
        merged.extend(merge.execute(&head, &built).await.unwrap());
    }
    assert_eq!(table.head().await.manifest().version, head.manifest().version);
    assert_eq!(merged.len(), 1);
    let covered: Vec<u32> = merged[0].segment.fragment_bitmap.as_ref().unwrap().iter().collect();
    assert_eq!(covered, [0, 1, 2]);
    assert_eq!(merged[0].replaces, [old.uuid]);
    let refreshed = commit(&head, create(&merged[0].segment, &[old])).await.unwrap();
    answers_as_a_scan(&refreshed).await;
}

/// Why a rebuild of a scalar index is made by creating it anew.
#[tokio::test]
async fn retraining_leaves_a_b_tree_that_covers_everything_as_it_is() {
    let table = Table::of(2, true).await;
    let segment = native(&table.head().await, None).await;
    let head = commit(&table.head().await, create(&segment, &[])).await.unwrap();
    let options = OptimizeOptions::retrain().index_names(vec![NAME.to_owned()]);
    let plan = plan_optimize_indices(&head, &options).await.unwrap();
    assert!(plan.tasks.is_empty() && plan.merges.is_empty());
}

/// Kinds of indexes are told apart by the type of their details.
#[tokio::test]
async fn the_details_of_an_index_say_its_kind() {
    let table = Table::of(1, true).await;
    let values = (0..10).map(|row| Some([Some(row as f32), Some(1.0)]));
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(values, 2);
    let ids = table.head().await.scan().project(&["id"]).unwrap().try_into_batch().await.unwrap();
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", ids.column(0).data_type().clone(), false),
        Field::new("vector", vectors.data_type().clone(), true),
    ]));
    let columns: Vec<ArrayRef> = vec![Arc::clone(ids.column(0)), Arc::new(vectors)];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let mut head = table.head().await;
    head.merge(RecordBatchIterator::new([Ok(batch)], schema), "id", "id").await.unwrap();

    let text = InvertedIndexParams::default();
    let vector = VectorIndexParams::ivf_flat(1, MetricType::L2);
    let name = |name: &str| Some(name.to_owned());
    head.create_index(&["id"], IndexType::BTree, name("a"), &params(), true).await.unwrap();
    head.create_index(&["text"], IndexType::Inverted, name("b"), &text, true).await.unwrap();
    head.create_index(&["vector"], IndexType::Vector, name("c"), &vector, true).await.unwrap();
    let mut kinds: Vec<(String, String)> = Vec::new();
    for index in indexes(&head).await {
        let details = index.index_details.unwrap();
        kinds.push((index.name, details.type_url.rsplit('.').next().unwrap().to_owned()));
    }
    kinds.sort();
    let expected =
        [("a", "BTreeIndexDetails"), ("b", "InvertedIndexDetails"), ("c", "VectorIndexDetails")];
    assert_eq!(kinds, expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
}
