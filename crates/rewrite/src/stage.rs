//! Staging: one group of fragments rewritten into one new fragment, in files that nothing
//! refers to yet.

use futures::FutureExt;
use lance::Dataset;
use lance::dataset::optimize::{
    CompactionMode, CompactionOptions, CompactionTask, IndexRemapMode, TaskData,
};
use lance_table::format::{Fragment, RowIdMeta};
use lance_table::rowids::read_row_ids;
use lancekeeper_model::{ErrorKind, TableRef, Version};
use lancekeeper_planner::optimize::{Group, RewriteMode};
use lancekeeper_store::failure::{full_text, guarded};
use lancekeeper_store::kind_of;
use lancekeeper_store::tables::version_of;
use thiserror::Error;

use crate::damage::blame;
use crate::journal::StagedFile;

/// Bytes a scan may read ahead. Lance's default is sized for query servers.
const IO_BUFFER_BYTES: u64 = 64 << 20;
/// Bytes copied at once when pages are copied.
const COPY_BATCH_BYTES: usize = 16 << 20;

/// A group that was rewritten and not yet committed.
#[derive(Debug, Clone)]
pub struct StagedGroup {
    /// The fragments it replaces, exactly as they were at `version`.
    pub source: Vec<Fragment>,
    /// What replaces them; ids are not assigned yet.
    pub new_fragments: Vec<Fragment>,
    /// The old addresses of the rows in new order, where an index needs them.
    pub row_addrs: Option<Vec<u8>>,
    /// The version it was staged at.
    pub version: Version,
    /// The files it wrote.
    pub files: Vec<StagedFile>,
    /// Bytes that were read.
    pub bytes_read: u64,
}

/// A group could not be rewritten.
#[derive(Debug, Error)]
pub enum StageError {
    /// A fragment of the group is not in the table at the planned version.
    #[error("{table}: fragment {fragment} is not in version {version}")]
    NoFragment {
        /// The table.
        table: TableRef,
        /// The fragment.
        fragment: u64,
        /// The version.
        version: Version,
    },
    /// Lance failed.
    #[error("{table}: failed to rewrite fragments {fragments:?}{}: {}",
        lancekeeper_store::failure::hint_of(source).map(|hint| format!(" ({hint})")).unwrap_or_default(),
        full_text(source))]
    Lance {
        /// The table.
        table: TableRef,
        /// The fragments.
        fragments: Vec<u64>,
        /// What Lance said.
        #[source]
        source: lance::Error,
    },
    /// The rewrite has another number of rows than its input.
    #[error("{table}: rewriting fragments {fragments:?} gave {found} rows instead of {expected}")]
    Rows {
        /// The table.
        table: TableRef,
        /// The fragments.
        fragments: Vec<u64>,
        /// Rows that went in.
        expected: u64,
        /// Rows that came out.
        found: u64,
        /// The files that were written all the same.
        files: Vec<StagedFile>,
    },
}

impl StageError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoFragment { .. } => ErrorKind::Internal,
            // A data file that is missing or unreadable is damage, whatever Lance calls it.
            Self::Lance { source, .. } => match kind_of(source) {
                ErrorKind::NotFound | ErrorKind::Invalid => ErrorKind::Corrupt,
                kind => kind,
            },
            Self::Rows { .. } => ErrorKind::Corrupt,
        }
    }
}

/// What the rows of a rewritten group have to bring with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Rewrites one group. `table` stands at the version the group was planned at.
///
/// # Errors
///
/// [`StageError`]; what was written is then named by the error or, when Lance failed,
/// removed by Lance as far as it knows it.
///
/// # Cancel safety
///
/// Nothing becomes visible. Files written so far stay until they are old enough to be
/// collected as unreferenced.
pub async fn stage_group(
    table: &Dataset,
    table_ref: &TableRef,
    group: &Group,
    order: RowOrder,
) -> Result<StagedGroup, StageError> {
    let mut source = sources(table, table_ref, group)?;
    if order == RowOrder::RowIds {
        in_order_of_row_ids(&mut source);
    }
    let task = CompactionTask {
        task: TaskData { fragments: source.clone() },
        read_version: version_of(table).0,
        options: options_for(group, order),
    };
    let result = match guarded(table.uri(), task.execute(table).boxed()).await {
        Ok(result) => result,
        Err(error) => {
            return Err(StageError::Lance {
                table: table_ref.clone(),
                fragments: group.fragments.clone(),
                source: blame(table, &source, error).await,
            });
        }
    };
    let files = result.new_fragments.iter().flat_map(staged_files).collect();
    let found: u64 =
        result.new_fragments.iter().map(|f| f.physical_rows.unwrap_or_default() as u64).sum();
    if found != group.rows {
        return Err(StageError::Rows {
            table: table_ref.clone(),
            fragments: group.fragments.clone(),
            expected: group.rows,
            found,
            files,
        });
    }
    Ok(StagedGroup {
        source,
        new_fragments: result.new_fragments,
        row_addrs: result.row_addrs,
        version: version_of(table),
        files,
        bytes_read: group.bytes,
    })
}

/// The fragments of a group as they are in the table.
///
/// # Errors
///
/// When one of them is not there.
pub(crate) fn sources(
    table: &Dataset,
    table_ref: &TableRef,
    group: &Group,
) -> Result<Vec<Fragment>, StageError> {
    let fragments = table.fragments();
    let source = group.fragments.iter().map(|id| {
        // Lance keeps fragments sorted by id.
        let at = fragments.binary_search_by_key(id, |fragment| fragment.id);
        at.ok().map(|at| fragments[at].clone()).ok_or_else(|| StageError::NoFragment {
            table: table_ref.clone(),
            fragment: *id,
            version: version_of(table),
        })
    });
    source.collect()
}

fn options_for(group: &Group, order: RowOrder) -> CompactionOptions {
    CompactionOptions {
        // Left to itself, Lance looks at the indexes of the version that is read.
        has_eager_remappable_index: match order {
            RowOrder::RowIds => Some(false),
            RowOrder::AsListed { capture_addresses } => capture_addresses.then_some(true),
        },
        // One output per group: the planner has sized the group, and Lance would otherwise
        // split by its own rule.
        target_rows_per_fragment: usize::try_from(group.rows.max(1)).unwrap_or(usize::MAX),
        batch_size: Some(group.batch_rows as usize),
        io_buffer_size: Some(IO_BUFFER_BYTES),
        num_threads: Some(1),
        index_remap_mode: IndexRemapMode::Compact,
        binary_copy_read_batch_bytes: Some(COPY_BATCH_BYTES),
        compaction_mode: Some(match group.mode {
            RewriteMode::CopyPages => CompactionMode::TryBinaryCopy,
            RewriteMode::Reencode => CompactionMode::Reencode,
        }),
        ..CompactionOptions::default()
    }
}

/// Puts fragments that were appended before an earlier output back behind it: outputs go to
/// the end of a table, so a later merge would make a fragment whose row ids run backwards.
/// Lance 14 reads those; the Lance of the clients loses rows of text searches over them.
/// Without stable row ids, order says nothing, and stays.
fn in_order_of_row_ids(source: &mut Vec<Fragment>) {
    let firsts: Option<Vec<u64>> = source.iter().map(first_row_id).collect();
    if let Some(firsts) = firsts {
        let mut ordered: Vec<(u64, Fragment)> = firsts.into_iter().zip(source.drain(..)).collect();
        ordered.sort_by_key(|(first, _)| *first);
        source.extend(ordered.into_iter().map(|(_, fragment)| fragment));
    }
}

fn first_row_id(fragment: &Fragment) -> Option<u64> {
    match &fragment.row_id_meta {
        Some(RowIdMeta::Inline(inline)) => read_row_ids(inline.bytes()).ok()?.iter().next(),
        _ => None,
    }
}

fn staged_files(fragment: &Fragment) -> Vec<StagedFile> {
    fragment
        .files
        .iter()
        .map(|file| StagedFile {
            path: format!("data/{}", file.path),
            bytes: file.file_size_bytes.get().map(std::num::NonZero::get),
        })
        .collect()
}
