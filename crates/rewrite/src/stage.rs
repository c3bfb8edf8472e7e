//! Staging: one group of fragments rewritten into new ones, in files that nothing refers to
//! yet. Not here: how the rows get from the old files into the new ones (`recipe`).

use std::collections::HashSet;
use std::sync::Arc;

use lance::Dataset;
use lance::index::DatasetIndexExt;
use lance_table::format::{Fragment, RowIdMeta};
use lance_table::rowids::read_row_ids;
use lancekeeper_model::{CarryOver, ErrorKind, TableRef, Version};
use lancekeeper_planner::optimize::{Group, Recipe};
use lancekeeper_store::failure::full_text;
use lancekeeper_store::kind_of;
use lancekeeper_store::tables::version_of;
use thiserror::Error;

use crate::damage::blame;
use crate::index::carry_over;
use crate::journal::{GroupNote, StagedFile, discard};
pub use crate::recipe::RowOrder;
pub use crate::recipe::permuted::{Permuted, Sorting, why_not_permuted};
use crate::recipe::{How, Rewritten, carry_out};
use crate::sources::{ReadSource, read_sources};

/// A group that was rewritten and not yet committed.
#[derive(Debug, Clone)]
pub struct StagedGroup {
    /// The fragments it replaces, as they were when they were last compared with HEAD
    /// ([`crate::check::HeadCheck::group`]); before that, as they were at `version`.
    pub source: Vec<Fragment>,
    /// What was read of them at `version`, in the order in which the rows were written.
    pub(crate) read: Vec<ReadSource>,
    /// Per new fragment, the offsets of the rows that writers have deleted since.
    pub(crate) deleted_since: Vec<Vec<u32>>,
    /// What replaces them; ids are not assigned yet.
    pub new_fragments: Vec<Fragment>,
    /// Where an index needs them, the old addresses of the rows that remain: a set, of which the
    /// n-th is that of the n-th new row.
    pub kept_addrs: Option<Vec<u8>>,
    /// Where its rows went, if they have another order now.
    pub permuted: Option<Arc<Permuted>>,
    /// The version it was staged at.
    pub version: Version,
    /// The files it wrote.
    pub files: Vec<StagedFile>,
}

impl StagedGroup {
    /// How many of its rows lie in another order than before.
    #[must_use]
    pub fn sorted_rows(&self) -> u64 {
        let rows = |fragment: &Fragment| fragment.physical_rows.unwrap_or_default() as u64;
        let is_sorted = self.permuted.is_some();
        if is_sorted { self.new_fragments.iter().map(rows).sum() } else { 0 }
    }

    /// What a later run has to know to commit it in place of this one; `None` if it must not: nothing in the
    /// journal says by which layout rows were sorted, and where each of them went.
    #[must_use]
    pub fn to_note(&self, planned: &Group, order: RowOrder) -> Option<GroupNote> {
        let is_in_order = self.permuted.is_none();
        is_in_order.then(|| GroupNote {
            fragments: planned.fragments.clone(),
            order,
            new_fragments: self.new_fragments.clone(),
            kept_addrs: self.kept_addrs.clone(),
        })
    }
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
    /// The rewrite has other numbers of rows than were planned.
    #[error(
        "{table}: rewriting fragments {fragments:?} gave new ones of {found:?} rows instead of {expected:?}"
    )]
    Rows {
        /// The table.
        table: TableRef,
        /// The fragments.
        fragments: Vec<u64>,
        /// The rows of each new fragment, as planned.
        expected: Vec<u64>,
        /// The rows of each, as written.
        found: Vec<u64>,
        /// The files that were written all the same.
        files: Vec<StagedFile>,
    },
    /// The rewrite has other rows than its sources.
    #[error(
        "{table}: rewriting fragments {fragments:?} did not keep their rows: {}",
        other_rows(*expected, *found)
    )]
    Content {
        /// The table.
        table: TableRef,
        /// The fragments.
        fragments: Vec<u64>,
        /// Live rows of the fragments.
        expected: u64,
        /// Rows of the new ones.
        found: u64,
        /// The files that were written.
        files: Vec<StagedFile>,
    },
}

fn other_rows(expected: u64, found: u64) -> String {
    if expected == found {
        format!("of {found} rows not all have the values that they had")
    } else {
        format!("{expected} rows became {found}")
    }
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
            Self::Rows { .. } | Self::Content { .. } => ErrorKind::Corrupt,
        }
    }
}

/// Rewrites one group. `table` stands at the version the group was planned at. `sorting`: how the rows of a group
/// that is to get another order are sorted.
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
    sorting: Option<&Sorting>,
) -> Result<StagedGroup, StageError> {
    let mut source = sources(table, table_ref, group)?;
    if order == RowOrder::RowIds {
        in_order_of_row_ids(&mut source);
    }
    let mut done = Vec::new();
    let outcome = async {
        // Before anything is written: what fails here leaves no file behind.
        let read = read_sources(table, &source).await?;
        let keeps_addresses = match group.recipe {
            Recipe::Permute { .. } => is_remapped(table).await?,
            _ => needs_addresses(table, order).await?,
        };
        let how = How { order, sorting, keeps_addresses };
        let rewritten = carry_out(table, &source, &read, group, how, &mut done).await?;
        Ok((read, rewritten))
    };
    let (read, rewritten) = match outcome.await {
        Ok(done) => done,
        Err(error) => {
            discard_but(&[], &done, table, table_ref).await;
            return Err(StageError::Lance {
                table: table_ref.clone(),
                fragments: group.fragments.clone(),
                source: blame(table, &source, error).await,
            });
        }
    };
    discard_but(&rewritten.fragments, &done, table, table_ref).await;
    judged(table_ref, version_of(table), group, source, rewritten)
        .map(|staged| StagedGroup { read, ..staged })
}

/// Deletes the files of fragments that were written, but for those of some that are needed.
async fn discard_but(needed: &[Fragment], written: &[Fragment], table: &Dataset, named: &TableRef) {
    let needed: HashSet<String> =
        needed.iter().flat_map(staged_files).map(|file| file.path).collect();
    let files = written.iter().flat_map(staged_files);
    let files: Vec<StagedFile> = files.filter(|file| !needed.contains(&file.path)).collect();
    if let Err(error) = discard(table, &files).await {
        tracing::warn!(target: "lancekeeper::optimize", table = %named, %error,
            "files of a rewrite that failed stay until they are collected");
    }
}

/// Whether an index will ask for the old addresses of the rows. With stable row ids most store those
/// instead, and Lance must not be offered addresses for them.
async fn needs_addresses(table: &Dataset, order: RowOrder) -> lance::Result<bool> {
    if !table.manifest().uses_stable_row_ids() {
        return Ok(true);
    }
    match order {
        RowOrder::RowIds => Ok(false),
        RowOrder::AsListed { capture_addresses: true } => Ok(true),
        RowOrder::AsListed { capture_addresses: false } => is_remapped(table).await,
    }
}

/// Whether the table has an index that follows a Rewrite by the old addresses of rows.
async fn is_remapped(table: &Dataset) -> lance::Result<bool> {
    let is_stable = table.manifest().uses_stable_row_ids();
    let indexes = table.load_indices().await?;
    Ok(indexes.iter().any(|index| carry_over(index, is_stable) == CarryOver::ByRemap))
}

/// A rewritten group, if it is what was planned. A row too few is a row lost at the commit.
///
/// # Errors
///
/// [`StageError::Rows`].
fn judged(
    table: &TableRef,
    version: Version,
    group: &Group,
    source: Vec<Fragment>,
    rewritten: Rewritten,
) -> Result<StagedGroup, StageError> {
    let Rewritten { fragments, kept_addrs, permuted } = rewritten;
    let files = fragments.iter().flat_map(staged_files).collect();
    let found: Vec<u64> =
        fragments.iter().map(|f| f.physical_rows.unwrap_or_default() as u64).collect();
    if !is_as_planned(group, &found) {
        return Err(StageError::Rows {
            table: table.clone(),
            fragments: group.fragments.clone(),
            expected: group.outputs.clone(),
            found,
            files,
        });
    }
    Ok(StagedGroup {
        source,
        read: Vec::new(),
        deleted_since: Vec::new(),
        new_fragments: fragments,
        kept_addrs,
        permuted: permuted.map(Arc::new),
        version,
        files,
    })
}

/// Whether outputs have the rows that were planned. Of rows that are sorted it is planned how many there are, and how
/// many an output has at most.
fn is_as_planned(group: &Group, found: &[u64]) -> bool {
    match group.recipe {
        Recipe::Permute { full_rows, .. } => {
            let fits = |rows: &u64| (1..=full_rows).contains(rows);
            found.iter().sum::<u64>() == group.rows() && found.iter().all(fits)
        }
        _ => found == group.outputs,
    }
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

/// Puts fragments that were appended before an earlier output back behind it: outputs go to
/// the end of a table, so a later merge would make a fragment whose row ids run backwards.
/// Lance 14 reads those; the Lance of the clients loses rows of text searches over them.
/// Without stable row ids, order says nothing, and stays.
pub(crate) fn in_order_of_row_ids(source: &mut Vec<Fragment>) {
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

#[cfg(test)]
mod tests;
