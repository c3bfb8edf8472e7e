//! Following indexes: where an index stores row addresses, its rewritten segments are written
//! before the Rewrite and travel in it. Tables with stable row ids need none of this for
//! indexes that store row ids.

use std::io::Cursor;

use lance::Dataset;
use lance::dataset::index::DatasetIndexRemapperOptions;
use lance::dataset::optimize::IndexRemapperOptions;
use lance::dataset::transaction::RewrittenIndex;
use lance_core::utils::row_addr_remap::{GroupInput, RowAddrRemap};
use lance_table::format::Fragment;
use lancekeeper_store::LanceFailure;
use roaring::RoaringTreemap;

use crate::journal::StagedFile;
use crate::stage::StagedGroup;

/// Writes the rewritten segments of every index that stores addresses of rewritten rows.
/// The groups' new fragments carry their final ids. Returns the segments and their files.
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
) -> Result<(Vec<RewrittenIndex>, Vec<StagedFile>), LanceFailure> {
    let failed = |source| LanceFailure::new("failed to carry the indexes over", source);
    let mut inputs = Vec::new();
    for group in groups {
        let Some(bytes) = &group.row_addrs else { continue };
        let addresses = RoaringTreemap::deserialize_from(Cursor::new(bytes))
            .map_err(|error| failed(lance::Error::internal(error.to_string())))?;
        inputs.push(GroupInput {
            rewritten_old_row_addrs: addresses,
            old_frag_ids: group
                .source
                .iter()
                .map(id_32)
                .collect::<Result<_, _>>()
                .map_err(failed)?,
            new_frags: group
                .new_fragments
                .iter()
                .map(|f| Ok((id_32(f)?, rows_32(f)?)))
                .collect::<Result<_, lance::Error>>()
                .map_err(failed)?,
        });
    }
    if inputs.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let Some(remapper) =
        DatasetIndexRemapperOptions::default().create_remapper(table).await.map_err(failed)?
    else {
        return Ok((Vec::new(), Vec::new()));
    };
    let affected: Vec<u64> =
        groups.iter().flat_map(|group| group.source.iter().map(|f| f.id)).collect();
    let map = RowAddrRemap::compact(inputs).map_err(failed)?;
    let remapped = Box::pin(remapper.remap_indices(map, &affected)).await.map_err(failed)?;
    let files = remapped
        .iter()
        .filter(|index| index.new_id != index.old_id)
        .map(|index| StagedFile { path: format!("_indices/{}", index.new_id), bytes: None })
        .collect();
    let rewritten = remapped
        .into_iter()
        .map(|index| RewrittenIndex {
            old_id: index.old_id,
            new_id: index.new_id,
            new_index_details: index.index_details,
            new_index_version: index.index_version,
            new_index_files: index.files,
        })
        .collect();
    Ok((rewritten, files))
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
