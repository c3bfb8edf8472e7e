//! The re-check at Enter: whether a staged group still replaces what is at HEAD.
//!
//! The Rewrite is committed with HEAD as its read version, so Lance sees nothing in between
//! to check against: this is the only thing that keeps a delete that hit a source fragment
//! from being undone. Rows that were deleted since are carried over (`carry`); with any other
//! change the group is stale.

use std::collections::{BTreeSet, HashMap};

use lance::Dataset;
use lance::index::DatasetIndexExt;
use lance_table::format::Fragment;
use lancekeeper_model::{ErrorKind, TableRef, Version};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::tables::version_of;
use thiserror::Error;

use crate::carry::{follow, has_only_more_deletions, is_same_but_for_deletions};
use crate::journal::StagedFile;
use crate::stage::StagedGroup;
use crate::stale::Stale;

/// What staged work is compared with: HEAD, looked at once for all groups of a table.
#[derive(Debug)]
pub struct HeadCheck<'a> {
    head: &'a Dataset,
    fragments: HashMap<u64, &'a Fragment>,
    /// Whether the indexes are those that the work was staged against.
    indexes_agree: bool,
}

impl<'a> HeadCheck<'a> {
    /// Looks at HEAD. `staged_against` are the index segments that were there when the work
    /// was planned, or that we have committed since.
    ///
    /// # Errors
    ///
    /// When the indexes cannot be read.
    pub async fn new(
        head: &'a Dataset,
        staged_against: &BTreeSet<String>,
    ) -> Result<Self, LanceFailure> {
        let fragments = head.fragments().iter().map(|fragment| (fragment.id, fragment)).collect();
        let indexes_agree = index_ids(head).await? == *staged_against;
        Ok(Self { head, fragments, indexes_agree })
    }

    /// Why a staged group can no longer be committed; `None` when it can. Then it replaces its
    /// sources as they are at HEAD, and knows which of its rows are deleted there.
    ///
    /// # Errors
    ///
    /// When the store cannot answer.
    pub async fn group(&self, group: &mut StagedGroup) -> Result<Option<Stale>, LanceFailure> {
        if let Some(id) = self.first_changed(&group.source) {
            return Ok(Some(Stale::Fragment(id)));
        }
        if let Some(why) = follow(self.head, &self.fragments, group).await? {
            return Ok(Some(why));
        }
        // An index built meanwhile may cover part of the group: Lance would refuse the
        // Rewrite, after the reservation.
        if !self.indexes_agree {
            return Ok(Some(Stale::Indexes));
        }
        self.missing_file(&group.files).await
    }

    /// Why index segments built at `staged_at` can no longer be committed: a fragment they
    /// cover has other data at HEAD, or the table's indexes are others now. Rows that were deleted
    /// since are no obstacle: every search leaves deleted rows out.
    ///
    /// # Errors
    ///
    /// When deletions cannot be read.
    pub async fn segments(&self, staged_at: &Dataset) -> Result<Option<Stale>, LanceFailure> {
        if let Some(id) = self.first_changed(staged_at.fragments()) {
            return Ok(Some(Stale::Fragment(id)));
        }
        for then in staged_at.fragments().iter() {
            let Some(now) = self.fragments.get(&then.id) else { continue };
            if !has_only_more_deletions((staged_at, then), (self.head, now)).await? {
                return Ok(Some(Stale::Fragment(then.id)));
            }
        }
        Ok((!self.indexes_agree).then_some(Stale::Indexes))
    }

    /// Equal by value but for the deletion file: id, files, overlays, row ids. A column added to a
    /// fragment makes it another.
    fn first_changed(&self, wanted: &[Fragment]) -> Option<u64> {
        let is_same = |source: &Fragment| {
            self.fragments.get(&source.id).is_some_and(|now| is_same_but_for_deletions(now, source))
        };
        wanted.iter().find(|source| !is_same(source)).map(|source| source.id)
    }

    async fn missing_file(&self, files: &[StagedFile]) -> Result<Option<Stale>, LanceFailure> {
        Ok(missing_file(self.head, files).await?.map(Stale::File))
    }
}

/// The first staged file that is not there any more, or not whole; `None` when all are.
///
/// # Errors
///
/// When the store cannot answer.
pub async fn missing_file(
    table: &Dataset,
    files: &[StagedFile],
) -> Result<Option<String>, LanceFailure> {
    let failed = |source| LanceFailure::new("failed to look at the staged files", source);
    let store = table.object_store(None).await.map_err(failed)?;
    for file in files {
        let base = table.branch_location().path;
        let path = file.path.split('/').fold(base, |path, part| path.join(part));
        let there = if file.is_segment() {
            // A directory that is gone cannot be listed, or lists as empty.
            store.read_dir(path).await.is_ok_and(|names| !names.is_empty())
        } else {
            match store.size(&path).await {
                Ok(size) => file.bytes.is_none_or(|bytes| bytes == size),
                Err(_) if !store.exists(&path).await.map_err(failed)? => false,
                Err(error) => return Err(failed(error)),
            }
        };
        if !there {
            return Ok(Some(file.path.clone()));
        }
    }
    Ok(None)
}

/// Versions that were to have the same rows have not, or could not be counted.
#[derive(Debug, Error)]
pub enum RowsError {
    /// Rows are gone, or more than there were.
    #[error(
        "{table}: version {after} has {rows_after} rows and version {before} has {rows_before}: maintenance must not change them"
    )]
    Changed {
        /// The table.
        table: TableRef,
        /// The version before.
        before: Version,
        /// Its rows.
        rows_before: u64,
        /// The version after.
        after: Version,
        /// Its rows.
        rows_after: u64,
    },
    /// They could not be counted.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
}

impl RowsError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Changed { .. } => ErrorKind::Corrupt,
            Self::Lance(error) => error.kind(),
        }
    }
}

/// Checks that two versions of a table, between which only maintenance happened, have the same
/// number of rows. Manifests tell; data is not read.
///
/// # Errors
///
/// [`RowsError`] when they differ.
pub async fn same_rows(
    table: &TableRef,
    before: &Dataset,
    after: &Dataset,
) -> Result<(), RowsError> {
    let (rows_before, rows_after) = (rows(table, before).await?, rows(table, after).await?);
    if rows_before == rows_after {
        return Ok(());
    }
    Err(RowsError::Changed {
        table: table.clone(),
        before: version_of(before),
        rows_before,
        after: version_of(after),
        rows_after,
    })
}

async fn rows(table: &TableRef, version: &Dataset) -> Result<u64, LanceFailure> {
    let failed = |source| LanceFailure::new(format!("failed to count the rows of {table}"), source);
    Ok(version.count_rows(None).await.map_err(failed)? as u64)
}

/// The ids of a table's index segments.
///
/// # Errors
///
/// When the manifest cannot be read.
pub async fn index_ids(table: &Dataset) -> Result<BTreeSet<String>, LanceFailure> {
    let indexes = table
        .load_indices()
        .await
        .map_err(|source| LanceFailure::new("failed to read the indexes", source))?;
    Ok(indexes.iter().map(|index| index.uuid.to_string()).collect())
}
