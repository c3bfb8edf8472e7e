//! What becomes of an index of each kind when fragments that it covers are rewritten: what
//! `rewrite::index::carry_over` says, held against Lance.

use std::io::Cursor;

use lance::Dataset;
use lance::dataset::index::DatasetIndexRemapperOptions;
use lance::dataset::optimize::{IndexRemapperOptions, RewriteResult};
use lance::dataset::transaction::RewrittenIndex;
use lance::index::DatasetIndexExt;
use lance_core::utils::row_addr_remap::{GroupInput, RowAddrRemap};
use lance_index::IndexType;
use lance_index::scalar::{BuiltinIndexType, ScalarIndexParams};
use lancekeeper_model::CarryOver;
use lancekeeper_rewrite::index::carry_over;
use roaring::RoaringTreemap;

use crate::table::{Table, commit, reserve, rewrite_with, stage};

const KINDS: [(&str, IndexType, BuiltinIndexType); 6] = [
    ("id", IndexType::BTree, BuiltinIndexType::BTree),
    ("id", IndexType::Bitmap, BuiltinIndexType::Bitmap),
    ("text", IndexType::NGram, BuiltinIndexType::NGram),
    ("id", IndexType::ZoneMap, BuiltinIndexType::ZoneMap),
    ("id", IndexType::BloomFilter, BuiltinIndexType::BloomFilter),
    ("text", IndexType::Fm, BuiltinIndexType::Fm),
];

/// The segments that Lance writes anew for a rewrite.
async fn carried(head: &Dataset, staged: &RewriteResult) -> Vec<RewrittenIndex> {
    let Some(bytes) = &staged.row_addrs else { return Vec::new() };
    let id = |fragment: &lance_table::format::Fragment| u32::try_from(fragment.id).unwrap();
    let input = GroupInput {
        rewritten_old_row_addrs: RoaringTreemap::deserialize_from(Cursor::new(bytes)).unwrap(),
        old_frag_ids: staged.original_fragments.iter().map(id).collect(),
        new_frags: staged
            .new_fragments
            .iter()
            .map(|fragment| (id(fragment), u32::try_from(fragment.physical_rows.unwrap()).unwrap()))
            .collect(),
    };
    let map = RowAddrRemap::compact(vec![input]).unwrap();
    let options = DatasetIndexRemapperOptions::default();
    let Some(remapper) = options.create_remapper(head).await.unwrap() else { return Vec::new() };
    let affected: Vec<u64> = staged.original_fragments.iter().map(|f| f.id).collect();
    let remapped = remapper.remap_indices(map, &affected).await.unwrap().into_iter();
    remapped
        .map(|index| RewrittenIndex {
            old_id: index.old_id,
            new_id: index.new_id,
            new_index_details: index.index_details,
            new_index_version: index.index_version,
            new_index_files: index.files,
        })
        .collect()
}

/// Whether the index covers the new fragment once the rewrite is committed as Lance prepares it.
async fn covers_after(
    stable: bool,
    column: &str,
    kind: IndexType,
    of: BuiltinIndexType,
) -> (CarryOver, bool) {
    let table = Table::of(3, stable).await;
    let mut head = table.head().await;
    let params = ScalarIndexParams::for_builtin(of);
    head.create_index(&[column], kind, Some("i".to_owned()), &params, true).await.unwrap();
    let says = carry_over(&head.load_indices().await.unwrap()[0], stable);
    let mut staged = stage(&head, &[0, 1, 2]).await;
    let reserved = reserve(&head, &mut staged).await;
    let travelling = carried(&reserved, &staged).await;
    let rewritten = commit(&reserved, rewrite_with(&staged, travelling)).await.unwrap();
    let new = u32::try_from(staged.new_fragments[0].id).unwrap();
    let indexes = rewritten.load_indices().await.unwrap();
    let covers = indexes.iter().any(|index| {
        index.fragment_bitmap.as_ref().is_some_and(|fragments| fragments.contains(new))
    });
    (says, covers)
}

/// That it says nothing of the others is why every remap of ours is held against what was there.
#[tokio::test]
async fn a_rewrite_ends_the_coverage_of_just_those_kinds_that_are_said_to_need_a_refresh() {
    for stable in [false, true] {
        for (column, kind, of) in KINDS {
            let (says, covers) = covers_after(stable, column, kind, of).await;
            let follows = says != CarryOver::ByRefresh;
            assert_eq!(covers, follows, "{kind:?}, stable row ids: {stable}, {says:?}");
            assert_ne!(says, CarryOver::Not, "{kind:?}, stable row ids: {stable}");
        }
    }
}
