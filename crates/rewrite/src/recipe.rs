//! How the rows of a group get from its old files into new ones: one arm per recipe. Whoever
//! adds a recipe adds it here and in `planner`. Counts nothing and commits nothing.

pub(crate) mod bounded;
mod copy;
pub(crate) mod lineage;
pub(crate) mod paged;
pub(crate) mod permuted;

use futures::FutureExt;
use lance::Dataset;
use lance::dataset::optimize::{
    CompactionMode, CompactionOptions, CompactionTask, IndexRemapMode, TaskData,
};
use lance_file::version::{ConcreteFileVersion, LanceFileVersion};
use lance_table::feature_flags::FLAG_MIXED_DATA_FILE_VERSIONS;
use lance_table::format::Fragment;
use lancekeeper_model::StorageVersion;
use lancekeeper_planner::migrate::tables::COMPACTION_STORAGE_KEY;
use lancekeeper_planner::optimize::{Group, Recipe};
use lancekeeper_store::failure::guarded;
use lancekeeper_store::tables::version_of;
use serde::{Deserialize, Serialize};

use roaring::RoaringTreemap;

use crate::sources::ReadSource;
use bounded::bounded;
use copy::joined;
use paged::paged;
use permuted::{Permuted, Sorting, permuted};

/// Bytes a scan may read ahead. Lance's default is sized for query servers.
const IO_BUFFER_BYTES: u64 = 64 << 20;
/// Bytes copied at once when pages are copied.
const COPY_BATCH_BYTES: usize = 16 << 20;

/// What the rows of a rewritten group have to bring with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowOrder {
    /// Ascending row ids: the Lance of a graph's clients loses rows of text searches over
    /// fragments whose row ids run backwards. Indexes there store row ids.
    RowIds,
    /// As the fragments stand in the table.
    AsListed {
        /// Whether an index over addresses will be there by the time of the Rewrite, that the
        /// table at this version need not show yet.
        capture_addresses: bool,
    },
}

/// What a recipe made.
pub(crate) struct Rewritten {
    /// New fragments, without ids, in the order of the outputs.
    pub(crate) fragments: Vec<Fragment>,
    /// Where an index needs them, the old addresses of the rows that remain: a set, of which the
    /// n-th is that of the n-th new row.
    pub(crate) kept_addrs: Option<Vec<u8>>,
    /// What a recipe that changes the order of rows says instead.
    pub(crate) permuted: Option<Permuted>,
}

/// What a rewrite has to know besides the group.
#[derive(Clone, Copy)]
pub(crate) struct How<'a> {
    pub(crate) order: RowOrder,
    /// For groups that are to get another order.
    pub(crate) sorting: Option<&'a Sorting>,
    /// Whether an index will ask for [`Rewritten::kept_addrs`]. Lance's own recipes find that out
    /// themselves.
    pub(crate) keeps_addresses: bool,
}

/// Rewrites the fragments of a group as its recipe says. `done`: new fragments that are written when the
/// whole fails, as far as Lance has not deleted them itself.
///
/// # Cancel safety
///
/// Nothing becomes visible. Files written so far stay.
pub(crate) async fn carry_out(
    table: &Dataset,
    source: &[Fragment],
    read: &[ReadSource],
    group: &Group,
    how: How<'_>,
    done: &mut Vec<Fragment>,
) -> lance::Result<Rewritten> {
    let How { order, sorting, keeps_addresses } = how;
    match group.recipe {
        Recipe::Permute { batch_rows, full_rows } => {
            let no_order = || lance::Error::internal("rows are to be sorted by nothing");
            let sorting = sorting.ok_or_else(no_order)?;
            let planned = (group, batch_rows, full_rows);
            permuted(table, source, read, planned, sorting, keeps_addresses, done).await
        }
        Recipe::CopyPages => {
            if let Some(rewritten) = joined(table, source, read, group, keeps_addresses).await? {
                return Ok(rewritten);
            }
            let mode = CompactionMode::TryBinaryCopy;
            by_lance(
                table,
                source,
                CompactionOptions { compaction_mode: Some(mode), ..options(table, group, order) },
            )
            .await
        }
        Recipe::Reencode { batch_rows } | Recipe::Reformat { batch_rows, .. } => {
            if let Some(rewritten) =
                bounded(table, source, read, group, batch_rows, keeps_addresses).await?
            {
                return Ok(rewritten);
            }
            reencoded(table, source, group, order, batch_rows).await
        }
        Recipe::Repage { page_rows } => {
            if let Some(rewritten) =
                paged(table, source, read, group, page_rows, keeps_addresses).await?
            {
                return Ok(rewritten);
            }
            reencoded(table, source, group, order, page_rows).await
        }
    }
}

/// Encodes a group anew by Lance's own task, so many rows at a time.
async fn reencoded(
    table: &Dataset,
    source: &[Fragment],
    group: &Group,
    order: RowOrder,
    batch_rows: u32,
) -> lance::Result<Rewritten> {
    let options = CompactionOptions {
        compaction_mode: Some(CompactionMode::Reencode),
        batch_size: Some(batch_rows as usize),
        ..options(table, group, order)
    };
    by_lance(table, source, options).await
}

/// Rewrites fragments by Lance's own task, all outputs but the last of one size.
async fn by_lance(
    table: &Dataset,
    source: &[Fragment],
    options: CompactionOptions,
) -> lance::Result<Rewritten> {
    let task = CompactionTask {
        task: TaskData { fragments: source.to_vec() },
        read_version: version_of(table).0,
        options,
    };
    let result = guarded(table.uri(), task.execute(table).boxed()).await?;
    Ok(Rewritten { fragments: result.new_fragments, kept_addrs: result.row_addrs, permuted: None })
}

fn options(table: &Dataset, group: &Group, order: RowOrder) -> CompactionOptions {
    // The planner has sized the outputs, and Lance would otherwise split by its own rule.
    let rows = group.outputs.iter().copied().max().unwrap_or(1);
    CompactionOptions {
        // Left to itself, Lance looks at the indexes of the version that is read.
        has_eager_remappable_index: match order {
            RowOrder::RowIds => Some(false),
            RowOrder::AsListed { capture_addresses } => capture_addresses.then_some(true),
        },
        target_rows_per_fragment: usize::try_from(rows).unwrap_or(usize::MAX),
        io_buffer_size: Some(IO_BUFFER_BYTES),
        num_threads: Some(1),
        index_remap_mode: IndexRemapMode::Compact,
        binary_copy_read_batch_bytes: Some(COPY_BATCH_BYTES),
        data_storage_version: Some(written(table, group).to_selector()),
        ..CompactionOptions::default()
    }
}

/// Of which version the files are that a group is written to.
pub(crate) fn written(table: &Dataset, group: &Group) -> ConcreteFileVersion {
    match group.recipe {
        Recipe::Reformat { version, .. } => concrete(version),
        _ => kept_version(table),
    }
}

/// Of which version files are that are written for another reason than their version: as the table says that
/// compaction is to write them, as Lance's does. But only in a table that has files of several versions already:
/// the first file of another version is one that many clients cannot read.
pub(crate) fn kept_version(table: &Dataset) -> ConcreteFileVersion {
    let manifest = table.manifest();
    let default = manifest.data_storage_format.lance_file_format();
    let is_mixed = manifest.reader_feature_flags & FLAG_MIXED_DATA_FILE_VERSIONS != 0;
    let told = manifest.config.get(COMPACTION_STORAGE_KEY).filter(|_| is_mixed);
    let told = told.and_then(|told| told.parse::<StorageVersion>().ok()).map(concrete);
    told.unwrap_or(default)
}

fn concrete(version: StorageVersion) -> ConcreteFileVersion {
    match version {
        StorageVersion::V2_0 => LanceFileVersion::V2_0,
        StorageVersion::V2_1 => LanceFileVersion::V2_1,
        StorageVersion::V2_2 => LanceFileVersion::V2_2,
    }
    .resolve()
}

/// The addresses of all live rows of these fragments, as [`Rewritten::kept_addrs`] has them.
fn addresses(read: &[ReadSource]) -> lance::Result<Vec<u8>> {
    let mut addresses = RoaringTreemap::new();
    for source in read {
        let first = source.id << 32;
        addresses.insert_range(first..first + source.rows.rows);
        for deleted in &source.rows.deleted {
            addresses.remove(first + u64::from(*deleted));
        }
    }
    let mut bytes = Vec::with_capacity(addresses.serialized_size());
    addresses.serialize_into(&mut bytes).map_err(lance::Error::from)?;
    Ok(bytes)
}
