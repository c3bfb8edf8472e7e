//! Following indexes: where an index stores row addresses, its rewritten segments are written
//! before the Rewrite and travel in it. Tables with stable row ids need none of this for
//! indexes that store row ids.

use std::collections::{HashMap, HashSet};
use std::io::Cursor;

use lance::Dataset;
use lance::dataset::index::DatasetIndexRemapperOptions;
use lance::dataset::optimize::IndexRemapperOptions;
use lance::dataset::transaction::RewrittenIndex;
use lance::index::DatasetIndexExt;
use lance_core::utils::row_addr_remap::{GroupInput, RowAddrRemap};
use lance_table::format::{Fragment, IndexMetadata};
use lance_table::system_index::is_system_index;
use lancekeeper_model::CarryOver;
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failure::{full_text, guarded, hint_of};
use roaring::{RoaringBitmap, RoaringTreemap};
use uuid::Uuid;

use crate::index::{IndexFailure, carry_over};
use crate::journal::StagedFile;
use crate::stage::StagedGroup;

/// Index segments that follow a Rewrite, written and not committed.
#[derive(Debug, Default)]
pub struct Remapped {
    /// What travels in the Rewrite.
    pub indexes: Vec<RewrittenIndex>,
    /// What was written for it.
    pub files: Vec<StagedFile>,
    /// Indexes that would cover less after the Rewrite, though they are of a kind that follows:
    /// Lance left them out without a word.
    pub lost: Vec<IndexFailure>,
}

/// Writes the rewritten segments of every index that stores addresses of rewritten rows.
/// The groups' new fragments carry their final ids.
///
/// # Errors
///
/// When an index cannot be read or written. Segments written so far stay until collected.
///
/// # Cancel safety
///
/// As on an error.
pub async fn remap_indexes(
    table: &Dataset,
    groups: &[StagedGroup],
) -> Result<Remapped, LanceFailure> {
    let failed = |source| LanceFailure::new("failed to carry the indexes over", source);
    let is_stable = table.manifest().uses_stable_row_ids();
    let existing = table.load_indices().await.map_err(failed)?;
    let asks = existing.iter().any(|index| carry_over(index, is_stable) == CarryOver::ByRemap);
    let moves = moves(groups, asks).map_err(failed)?;
    let affected: Vec<u64> =
        groups.iter().flat_map(|group| group.source.iter().map(|f| f.id)).collect();
    let mut reason = "Lance does not carry it over to rewritten fragments".to_owned();
    let remapped = match moves {
        None => Vec::new(),
        Some(map) => {
            let options = DatasetIndexRemapperOptions::default();
            match options.create_remapper(table).await.map_err(failed)? {
                // What Lance cannot read of an index makes it panic.
                Some(remapper) => {
                    match guarded(table.uri(), remapper.remap_indices(map, &affected)).await {
                        Ok(remapped) => remapped,
                        Err(error) if hint_of(&error).is_some() => return Err(failed(error)),
                        // Which of them it was is not known: none is carried over.
                        Err(error) => {
                            reason = full_text(&error);
                            Vec::new()
                        }
                    }
                }
                None => Vec::new(),
            }
        }
    };
    let kept: HashSet<Uuid> = remapped.iter().map(|index| index.old_id).collect();
    let lost = left_out(table, &affected, &kept, &reason).await?;
    let files = remapped
        .iter()
        .filter(|index| index.new_id != index.old_id)
        .map(|index| StagedFile { path: format!("_indices/{}", index.new_id), bytes: None })
        .collect();
    let indexes = remapped
        .into_iter()
        .map(|index| RewrittenIndex {
            old_id: index.old_id,
            new_id: index.new_id,
            new_index_details: index.index_details,
            new_index_version: index.index_version,
            new_index_files: index.files,
        })
        .collect();
    Ok(Remapped { indexes, files, lost })
}

/// Where rows went, of the groups of which an index will ask; `None` if it is none. `asks`: whether any will. Of a
/// sorted group each row is an entry of its own, so that is worth knowing.
fn moves(groups: &[StagedGroup], asks: bool) -> lance::Result<Option<RowAddrRemap>> {
    let mut in_order = Vec::new();
    let mut sorted = HashMap::new();
    for group in groups {
        let permuted = group.permuted.as_ref().filter(|_| asks);
        if let Some(from) = permuted.and_then(|permuted| permuted.from.as_ref()) {
            sorted_moves(group, from, &mut sorted);
        }
        let Some(bytes) = &group.kept_addrs else { continue };
        let new_frags = group.new_fragments.iter().map(|f| Ok((id_32(f)?, rows_32(f)?)));
        in_order.push(GroupInput {
            rewritten_old_row_addrs: RoaringTreemap::deserialize_from(Cursor::new(bytes))?,
            old_frag_ids: group.source.iter().map(id_32).collect::<Result<_, _>>()?,
            new_frags: new_frags.collect::<Result<_, lance::Error>>()?,
        });
    }
    let mut moves = Vec::new();
    if !in_order.is_empty() {
        moves.push(RowAddrRemap::compact(in_order)?);
    }
    if !sorted.is_empty() {
        moves.push(RowAddrRemap::direct(sorted));
    }
    Ok((!moves.is_empty()).then(|| RowAddrRemap::chained(moves)))
}

/// Where the rows of a group went that have another order now. Rows that were deleted when it was read went nowhere:
/// Lance takes a row that it is told nothing of for one that stays.
fn sorted_moves(group: &StagedGroup, from: &[Vec<u64>], moves: &mut HashMap<u64, Option<u64>>) {
    for source in &group.read {
        let address = |offset: &u32| (source.id << 32) | u64::from(*offset);
        moves.extend(source.rows.deleted.iter().map(|offset| (address(offset), None)));
    }
    for (fragment, rows) in group.new_fragments.iter().zip(from) {
        let to = (fragment.id << 32..).map(Some);
        moves.extend(rows.iter().copied().zip(to));
    }
}

/// The indexes that store addresses of rewritten rows and were not carried over.
async fn left_out(
    table: &Dataset,
    affected: &[u64],
    kept: &HashSet<Uuid>,
    reason: &str,
) -> Result<Vec<IndexFailure>, LanceFailure> {
    let affected: RoaringBitmap =
        affected.iter().filter_map(|id| u32::try_from(*id).ok()).collect();
    let is_stable = table.manifest().uses_stable_row_ids();
    let indexes = table
        .load_indices()
        .await
        .map_err(|source| LanceFailure::new("failed to read the indexes", source))?;
    let is_lost = |index: &&IndexMetadata| {
        let is_hit =
            index.fragment_bitmap.as_ref().is_some_and(|bitmap| !bitmap.is_disjoint(&affected));
        let follows = carry_over(index, is_stable) == CarryOver::ByRemap;
        is_hit && follows && !kept.contains(&index.uuid) && !is_system_index(index)
    };
    let failure = |index: &IndexMetadata| IndexFailure {
        name: index.name.clone(),
        reason: reason.to_owned(),
    };
    Ok(indexes.iter().filter(is_lost).map(failure).collect())
}

fn id_32(fragment: &Fragment) -> Result<u32, lance::Error> {
    u32::try_from(fragment.id)
        .map_err(|_| lance::Error::internal(format!("fragment id {} is too large", fragment.id)))
}

fn rows_32(fragment: &Fragment) -> Result<u32, lance::Error> {
    fragment.physical_rows.and_then(|rows| u32::try_from(rows).ok()).ok_or_else(|| {
        lance::Error::internal(format!("fragment {} has no usable row count", fragment.id))
    })
}
