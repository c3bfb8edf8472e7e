//! The journal: which staged files are whose, in `__maintenance/journal/`.
//!
//! A run that fails, or drops a group, deletes its own files at once by it. After a kill the
//! next run finds the entries and deletes what no version refers to. An entry is written when
//! a rewrite returns: what a killed rewrite had not yet named waits for the age floor of
//! `cleanup`.
//!
//! # Invariants
//!
//! * A file is deleted only if an entry of ours names it, every version from the one it was
//!   staged at up to HEAD is there to be read, and none refers to it.

use std::collections::{BTreeMap, HashSet};

use futures::TryStreamExt;
use lance::Dataset;
use lance_table::format::Fragment;
use lance_table::io::manifest::read_manifest_indexes;
use lancekeeper_model::{Branch, ErrorKind, OperationId, TableRef, Version};
use lancekeeper_store::{Files, FilesError, LanceFailure, OpenError, Root, Tables};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where the journal lies, relative to the root.
const JOURNAL_DIR: &str = "__maintenance/journal";
/// The version of the format we write, and the newest we read.
const SCHEMA: u32 = 1;

/// A file that was staged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Relative to the table's branch directory: `data/….lance`, `_deletions/….arrow` or `.bin`,
    /// or `_indices/UUID` for a whole index segment.
    pub path: String,
    /// Its size in bytes, where the rewrite reported it.
    pub bytes: Option<u64>,
}

impl StagedFile {
    /// Whether it stands for a whole index segment, which is a directory.
    pub(crate) fn is_segment(&self) -> bool {
        self.path.strip_prefix("_indices/").is_some_and(|rest| !rest.contains('/'))
    }
}

/// One entry: the files of one staged group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    schema: u32,
    operation: String,
    table_key: String,
    /// Relative to the root.
    location: String,
    branch: Option<String>,
    /// The version the group was staged at.
    staged_at: u64,
    files: Vec<StagedFile>,
}

/// The journal could not be read or written.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The store failed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// An entry could not be encoded.
    #[error("failed to encode a journal entry: {0}")]
    Encode(#[from] serde_json::Error),
    /// An entry is not readable.
    #[error("journal entry {JOURNAL_DIR}/{file} is not readable: {why}")]
    Unreadable {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// An entry is of a version we do not know.
    #[error(
        "journal entry {JOURNAL_DIR}/{file} has schema {found}; this version of lancekeeper knows {SCHEMA}"
    )]
    Newer {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
    },
    /// A table could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A staged file could not be deleted.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
}

impl JournalError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Files(error) => error.kind(),
            Self::Encode(_) => ErrorKind::Internal,
            Self::Unreadable { .. } => ErrorKind::Corrupt,
            Self::Newer { .. } => ErrorKind::Refused,
            Self::Open(error) => error.kind(),
            Self::Lance(error) => error.kind(),
        }
    }
}

/// The journal of one root.
#[derive(Debug, Clone)]
pub struct Journal {
    files: Files,
}

impl Journal {
    /// The journal among the files of a root. Nothing is created.
    #[must_use]
    pub fn of(root: &Files) -> Self {
        Self { files: root.below(JOURNAL_DIR) }
    }

    /// Notes the files of one staged group; returns the entry's name.
    ///
    /// # Errors
    ///
    /// When the entry is not durably there.
    ///
    /// # Cancel safety
    ///
    /// The entry is there or not.
    pub async fn note(
        &self,
        operation: &OperationId,
        table: &TableRef,
        location: &str,
        staged_at: Version,
        number: u64,
        files: Vec<StagedFile>,
    ) -> Result<String, JournalError> {
        let entry = JournalEntry {
            schema: SCHEMA,
            operation: operation.to_string(),
            table_key: table.key.as_str().to_owned(),
            location: location.to_owned(),
            branch: table.branch.name().map(ToOwned::to_owned),
            staged_at: staged_at.0,
            files,
        };
        let name = format!("{operation}-{number:06}.json");
        self.files.put(&name, serde_json::to_vec(&entry)?).await?;
        Ok(name)
    }

    /// Removes entries whose files are committed or deleted.
    ///
    /// # Errors
    ///
    /// When one is still there; the next run looks at it again.
    ///
    /// # Cancel safety
    ///
    /// Each entry is there or not.
    pub async fn forget(&self, names: &[String]) -> Result<(), JournalError> {
        for name in names {
            self.files.delete(name).await?;
        }
        Ok(())
    }

    /// The names of all entries.
    ///
    /// # Errors
    ///
    /// When the journal cannot be listed.
    pub async fn entries(&self) -> Result<Vec<String>, JournalError> {
        Ok(self.files.names(".json").await?)
    }

    /// Reads an entry; `None` when it is gone.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be understood.
    pub async fn read(&self, name: &str) -> Result<Option<JournalEntry>, JournalError> {
        let Some(bytes) = self.files.read(name).await? else { return Ok(None) };
        let entry: JournalEntry = serde_json::from_slice(&bytes).map_err(|error| {
            JournalError::Unreadable { file: name.to_owned(), why: error.to_string() }
        })?;
        if entry.schema > SCHEMA {
            return Err(JournalError::Newer { file: name.to_owned(), found: entry.schema });
        }
        Ok(Some(entry))
    }

    /// Settles every entry there is: deletes the files that no version refers to, then the
    /// entry. The caller holds the root's lock, so every entry is a dead run's.
    ///
    /// A table that cannot be read keeps its entries, and says why in the outcome: litter is
    /// no reason to refuse work.
    ///
    /// # Errors
    ///
    /// When the journal cannot be listed, or an entry is of a newer version.
    ///
    /// # Cancel safety
    ///
    /// Some files are deleted, their entries are still there, the next run goes on.
    pub async fn settle_all(&self, tables: &Tables, root: &Root) -> Result<Settled, JournalError> {
        let mut settled = Settled::default();
        let mut by_table: BTreeMap<_, Vec<(String, JournalEntry)>> = BTreeMap::new();
        for name in self.entries().await? {
            match self.read(&name).await {
                Ok(Some(entry)) => {
                    let table = (entry.location.clone(), entry.branch.clone());
                    by_table.entry(table).or_default().push((name, entry));
                }
                Ok(None) => {}
                Err(error @ JournalError::Newer { .. }) => return Err(error),
                Err(error) => settled.kept.push(error.to_string()),
            }
        }
        for entries in by_table.into_values() {
            match self.settle_table(tables, root, entries).await {
                Ok(deleted) => settled.deleted += deleted,
                Err(error) => settled.kept.push(error.to_string()),
            }
        }
        Ok(settled)
    }

    /// Settles one entry, as [`Journal::settle_all`] does.
    ///
    /// # Errors
    ///
    /// When the table's versions cannot be read (nothing is deleted then) or a file cannot be
    /// deleted.
    ///
    /// # Cancel safety
    ///
    /// As [`Journal::settle_all`].
    pub async fn settle(
        &self,
        tables: &Tables,
        root: &Root,
        name: &str,
    ) -> Result<u64, JournalError> {
        let Some(entry) = self.read(name).await? else { return Ok(0) };
        self.settle_table(tables, root, vec![(name.to_owned(), entry)]).await
    }

    /// Settles entries of one table and branch; at least one.
    async fn settle_table(
        &self,
        tables: &Tables,
        root: &Root,
        entries: Vec<(String, JournalEntry)>,
    ) -> Result<u64, JournalError> {
        let Some((_, first)) = entries.first() else { return Ok(0) };
        let branch = Branch::from(first.branch.clone());
        let oldest = entries.iter().map(|(_, entry)| entry.staged_at).min().unwrap_or_default();
        let head = match tables.open(&root.address_of(&first.location), &branch).await {
            Ok(head) => Some(head),
            // The table is gone, and its staged files with it.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let referenced = match &head {
            Some(head) => referenced_since(head, Version(oldest)).await?,
            None => None,
        };
        let mut deleted = 0;
        for (name, entry) in &entries {
            if let (Some(head), Some(referenced)) = (&head, &referenced) {
                for file in entry.files.iter().filter(|file| !referenced.contains(&file.path)) {
                    deleted += delete_staged(head, file).await?;
                }
            }
            self.files.delete(name).await?;
        }
        Ok(deleted)
    }
}

/// What settling the journal came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Files that were deleted.
    pub deleted: u64,
    /// Why entries were kept.
    pub kept: Vec<String>,
}

/// Deletes staged files right away, in the run that staged them and knows that it did not
/// commit them. Returns the number of files deleted.
///
/// # Errors
///
/// When a file cannot be deleted; its journal entry must then stay.
///
/// # Cancel safety
///
/// Some files are deleted; the journal entry still names the rest.
pub async fn discard(table: &Dataset, files: &[StagedFile]) -> Result<u64, LanceFailure> {
    let mut deleted = 0;
    for file in files {
        deleted += delete_staged(table, file).await?;
    }
    Ok(deleted)
}

/// The files that any version from `from` to HEAD refers to, relative to the table. `None`
/// when versions in between are gone: a fork may have been cut from one of them and read
/// files that no version here names any more, so nothing can be proven unreferenced.
async fn referenced_since(
    head: &Dataset,
    from: Version,
) -> Result<Option<HashSet<String>>, JournalError> {
    let failed =
        |source| LanceFailure::new(format!("failed to read versions of {}", head.uri()), source);
    let wanted = from.0..=head.manifest().version;
    let there: HashSet<u64> =
        head.version_refs().await.map_err(failed)?.iter().map(|found| found.version).collect();
    if wanted.clone().any(|version| !there.contains(&version)) {
        return Ok(None);
    }
    let store = head.object_store(None).await.map_err(failed)?;
    let mut paths = HashSet::new();
    for version in wanted {
        let at = head.checkout_version(version).await.map_err(failed)?;
        paths.extend(at.fragments().iter().flat_map(data_paths));
        // Also indexes this build cannot read.
        let indexes = read_manifest_indexes(&store, at.manifest_location(), at.manifest());
        for index in indexes.await.map_err(failed)? {
            paths.insert(format!("_indices/{}", index.uuid));
        }
    }
    Ok(Some(paths))
}

fn data_paths(fragment: &Fragment) -> Vec<String> {
    fragment.files.iter().map(|file| format!("data/{}", file.path)).collect()
}

/// Deletes one staged file and what belongs to it: a data file's blob sidecars, an index
/// segment's files.
async fn delete_staged(table: &Dataset, file: &StagedFile) -> Result<u64, LanceFailure> {
    let path = file.path.as_str();
    let failed =
        |source: lance::Error| LanceFailure::new(format!("failed to delete {path}"), source);
    let store = table.object_store(None).await.map_err(failed)?;
    let base = table.branch_location().path;
    let join =
        |relative: &str| relative.split('/').fold(base.clone(), |path, part| path.join(part));
    let mut deleted = 0;
    let directory = join(path.strip_suffix(".lance").unwrap_or(path));
    let inside: Vec<_> = match store.inner.list(Some(&directory)).try_collect::<Vec<_>>().await {
        Ok(inside) => inside,
        Err(object_store::Error::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(failed(error.into())),
    };
    for meta in inside {
        store.delete(&meta.location).await.map_err(failed)?;
        deleted += 1;
    }
    if !file.is_segment() {
        match store.delete(&join(path)).await {
            Ok(()) => deleted += 1,
            Err(error) if lancekeeper_store::kind_of(&error) == ErrorKind::NotFound => {}
            // Lance wraps the store's "not found" as an I/O error on some stores.
            Err(error) => match store.exists(&join(path)).await {
                Ok(false) => {}
                _ => return Err(failed(error)),
            },
        }
    } else if let Some((parent, name)) = path.rsplit_once('/') {
        // On a local disk the empty directory would stay as litter, which is harmless.
        let _ = Files::of_lance(&store, &join(parent)).delete_empty(name).await;
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests;
