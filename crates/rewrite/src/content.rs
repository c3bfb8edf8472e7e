//! Whether a rewrite kept every value: the live rows of the sources against those of the new
//! fragments, compared by a hash that knows no order.
//!
//! # What is compared
//!
//! Every column, blobs by their bytes, and with stable row ids the id that each row has. Sources
//! are read at the version they were staged at, as any reader would read them, and the new
//! fragments likewise, through a handle that has nothing else (`view`). So the check knows
//! neither recipe nor order: it holds for rewrites that permute rows.
//!
//! Not here: what becomes of a group that fails (`keeper`), and rows that writers delete between
//! staging and commit (`carry`), which are counted there.
//!
//! # Memory
//!
//! Batches are as long as those of a rewrite that encodes anew: 8 MiB by the mean of the group, and
//! fewer rows where blobs are larger ([`crate::blobs`]). Of all batches before only sums are kept.

mod hash;
mod plain;
mod read;
mod view;

use futures::FutureExt;
use lance::Dataset;
use lance_table::format::Fragment;
use lancekeeper_model::TableRef;
use lancekeeper_planner::optimize::{BATCH_BYTES, BATCH_ROWS_MAX, Group, Recipe};
use lancekeeper_store::failure::guarded;

use crate::blobs;
use crate::damage::blame;
use crate::stage::{StageError, StagedGroup};
pub use hash::ContentHash;
use hash::Hasher;
use read::{Wanted, read};

/// How the rows of a group are read for a check.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The group, by the recipe that reads in such batches: what the check takes of memory is what
    /// that rewrite would.
    pub group: Group,
    /// Bytes of the blobs in the largest batch of the sources.
    pub largest_batch: u64,
}

impl Reading {
    /// Finds out in which batches the sources of a group can be read.
    ///
    /// # Errors
    ///
    /// When the descriptors of its blobs cannot be read.
    pub async fn of(
        table: &Dataset,
        table_ref: &TableRef,
        group: &Group,
    ) -> Result<Self, StageError> {
        let mean = group.bytes.div_ceil(group.rows().max(1));
        let rows = u32::try_from(BATCH_BYTES / mean.max(1)).unwrap_or(u32::MAX);
        let recipe = Recipe::Reencode { batch_rows: rows.clamp(1, BATCH_ROWS_MAX) };
        let group = Group { recipe, ..group.clone() };
        let blobs = blobs::batches(table, table_ref, &group).await?;
        let recipe = blobs.map_or(recipe, |batch| recipe.in_batches(batch.rows));
        let largest_batch = blobs.map_or(0, |batch| batch.bytes);
        Ok(Self { group: Group { recipe, ..group }, largest_batch })
    }

    fn batch_rows(&self) -> usize {
        self.group.recipe.batch_rows().unwrap_or(BATCH_ROWS_MAX) as usize
    }
}

/// Compares the live rows of a staged group's sources with those of what is to replace them.
/// `table` stands at the version the group was staged at.
///
/// # Errors
///
/// [`StageError::Content`] when they are not the same rows, [`StageError::Lance`] when that cannot
/// be told. Either way the group must not be committed; its files are the caller's to delete.
///
/// # Cancel safety
///
/// Reads only.
pub async fn check(
    table: &Dataset,
    table_ref: &TableRef,
    reading: &Reading,
    staged: &StagedGroup,
) -> Result<(), StageError> {
    let failed = |source| StageError::Lance {
        table: table_ref.clone(),
        fragments: reading.group.fragments.clone(),
        source,
    };
    let carries_ids =
        has_row_ids(table, &staged.source) && has_row_ids(table, &staged.new_fragments);
    let sources = staged.source.clone();
    let expected = hash_of(table, sources, reading.batch_rows(), carries_ids).await;
    let expected = match expected {
        Ok(expected) => expected,
        Err(error) => return Err(failed(blame(table, &staged.source, error).await)),
    };
    let view = view::of(table, &staged.new_fragments).await.map_err(failed)?;
    let new: Vec<Fragment> = view.fragments().to_vec();
    // Other rows lie beside each other there, so a batch of equal length may be larger.
    let ids = new.iter().map(|fragment| fragment.id).collect();
    let there = Group { fragments: ids, ..reading.group.clone() };
    let there = Reading::of(&view, table_ref, &there).await?;
    let rows = there.batch_rows().min(reading.batch_rows());
    let found = hash_of(&view, new, rows, carries_ids).await.map_err(failed)?;
    if found == expected {
        return Ok(());
    }
    Err(StageError::Content {
        table: table_ref.clone(),
        fragments: reading.group.fragments.clone(),
        expected: expected.rows(),
        found: found.rows(),
        files: staged.files.clone(),
    })
}

/// Reads every value of the live rows of some fragments, and counts the rows.
///
/// # Errors
///
/// When a value cannot be read.
///
/// # Cancel safety
///
/// Reads only.
pub async fn count(
    table: &Dataset,
    fragments: Vec<Fragment>,
    reading: &Reading,
) -> lance::Result<u64> {
    let mut rows = 0;
    let wanted = Wanted { fragments, batch_rows: reading.batch_rows(), with_ids: false };
    let counting = read(table, wanted, |_, more| {
        rows += more as u64;
        Ok(())
    });
    guarded(table.uri(), counting.boxed()).await?;
    Ok(rows)
}

/// The hash of the live rows of these fragments.
async fn hash_of(
    table: &Dataset,
    fragments: Vec<Fragment>,
    batch_rows: usize,
    with_ids: bool,
) -> lance::Result<ContentHash> {
    // Lance takes an empty list for no limit.
    if fragments.is_empty() {
        return Ok(ContentHash::default());
    }
    let mut hasher = Hasher::default();
    let wanted = Wanted { fragments, batch_rows, with_ids };
    let adding = read(table, wanted, |columns, rows| hasher.add(columns, rows));
    guarded(table.uri(), adding.boxed()).await?;
    Ok(hasher.finish())
}

/// Whether every row of these fragments has an id that stays. Fragments that were not given any
/// are refused at the commit.
fn has_row_ids(table: &Dataset, fragments: &[Fragment]) -> bool {
    table.manifest().uses_stable_row_ids()
        && fragments.iter().all(|fragment| fragment.row_id_meta.is_some())
}
