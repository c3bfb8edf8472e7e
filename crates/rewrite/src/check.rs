//! The re-check at Enter: whether a staged group still replaces exactly what is at HEAD.
//!
//! The Rewrite is committed with HEAD as its read version, so Lance sees nothing in between
//! to check against: this is the only thing that keeps a delete that hit a source fragment
//! from being undone.

use lance::Dataset;
use lance::index::DatasetIndexExt;
use lancekeeper_store::LanceFailure;

use crate::stage::StagedGroup;

/// Why a staged group can no longer be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stale {
    /// A source fragment is not at HEAD as it was when it was read.
    Fragment(u64),
    /// The indexes that its row addresses were captured for are others now.
    Indexes,
    /// A staged file is gone or has another size.
    File(String),
}

impl std::fmt::Display for Stale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fragment(id) => write!(f, "a writer changed fragment {id}"),
            Self::Indexes => f.write_str("the table's indexes were replaced"),
            Self::File(path) => write!(f, "staged file {path} is gone or has another size"),
        }
    }
}

/// Compares a staged group with HEAD. `staged_at` is the handle the group was staged with.
///
/// # Errors
///
/// When the store cannot answer.
pub async fn stale(
    head: &Dataset,
    staged_at: &Dataset,
    group: &StagedGroup,
) -> Result<Option<Stale>, LanceFailure> {
    for source in &group.source {
        // Equal by value: id, files, deletion file, row ids. A column added to the fragment
        // or a row deleted from it makes it another.
        if !head.fragments().iter().any(|fragment| fragment == source) {
            return Ok(Some(Stale::Fragment(source.id)));
        }
    }
    if group.row_addrs.is_some() && index_ids(head).await? != index_ids(staged_at).await? {
        return Ok(Some(Stale::Indexes));
    }
    let failed = |source| LanceFailure::new("failed to look at the staged files", source);
    let store = head.object_store(None).await.map_err(failed)?;
    for file in &group.files {
        let path =
            file.path.split('/').fold(head.branch_location().path, |path, part| path.join(part));
        let there = match store.size(&path).await {
            Ok(size) => file.bytes.is_none_or(|bytes| bytes == size),
            Err(_) if !store.exists(&path).await.map_err(failed)? => false,
            Err(error) => return Err(failed(error)),
        };
        if !there {
            return Ok(Some(Stale::File(file.path.clone())));
        }
    }
    Ok(None)
}

async fn index_ids(table: &Dataset) -> Result<Vec<String>, LanceFailure> {
    let indexes = table
        .load_indices()
        .await
        .map_err(|source| LanceFailure::new("failed to read the indexes", source))?;
    let mut ids: Vec<_> = indexes.iter().map(|index| index.uuid.to_string()).collect();
    ids.sort();
    Ok(ids)
}
