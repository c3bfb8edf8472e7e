//! The journal: which staged files are whose, in `__maintenance/journal/`.
//!
//! A run that fails, or drops a group, deletes its own files at once by it. After a kill the
//! next run finds the entries and deletes what no version refers to. An entry is written when
//! a rewrite returns: what a killed rewrite had not yet named waits for the age floor of
//! `cleanup`. The entry of a group also says what was made of which fragments, so that the next run
//! need not do it again (`resume`). Not here: which entries are settled, and how (`settle`).

mod settle;

use lance_table::format::Fragment;

use lancekeeper_model::{
    Branch, DocumentError, DocumentKind, ErrorKind, OperationId, TableRef, Version,
};
use lancekeeper_store::{Files, FilesError, LanceFailure, OpenError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::recipe::RowOrder;
pub use settle::{Settled, discard};

/// Where the journal lies, relative to the root.
const JOURNAL_DIR: &str = "__maintenance/journal";

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

/// What was made of the fragments of a group, so far as the table at the version it was staged at does
/// not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupNote {
    /// The fragments it replaces, as they were planned.
    pub(crate) fragments: Vec<u64>,
    /// In which order they were read, and what for.
    pub(crate) order: RowOrder,
    /// What replaces them, without ids.
    pub(crate) new_fragments: Vec<Fragment>,
    /// As in [`crate::StagedGroup`].
    pub(crate) kept_addrs: Option<Vec<u8>>,
}

/// What is noted in one entry.
#[derive(Debug, Clone, Default)]
pub struct ToNote {
    /// Files, relative to the table's branch directory.
    pub files: Vec<StagedFile>,
    /// The group that they are of, if it is finished.
    pub group: Option<GroupNote>,
}

/// A group that a run finished and did not live to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The name of its entry.
    pub entry: String,
    /// Where the table lies, relative to the root.
    pub location: String,
    /// The branch.
    pub branch: Branch,
    pub(crate) staged_at: Version,
    pub(crate) files: Vec<StagedFile>,
    pub(crate) group: GroupNote,
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
    /// A [`GroupNote`], if it is of a group that is finished. Kept as it is until somebody asks: one that
    /// cannot be understood is only not resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<serde_json::Value>,
}

impl JournalEntry {
    /// The group that it is of, if that is finished and known how it was made.
    fn finished(&self, name: &str) -> Option<Finished> {
        let group = serde_json::from_value(self.group.clone()?).ok()?;
        Some(Finished {
            entry: name.to_owned(),
            location: self.location.clone(),
            branch: Branch::from(self.branch.clone()),
            staged_at: Version(self.staged_at),
            files: self.files.clone(),
            group,
        })
    }
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
        "journal entry {JOURNAL_DIR}/{file} has schema {found}; this version of lancekeeper knows {}: upgrade lancekeeper first",
        DocumentKind::Journal.version()
    )]
    Newer {
        /// The file.
        file: String,
        /// Its version.
        found: u64,
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

    /// Notes what was staged; returns the entry's name.
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
        noted: ToNote,
    ) -> Result<String, JournalError> {
        let group = noted.group.map(serde_json::to_value).transpose()?;
        let entry = JournalEntry {
            schema: DocumentKind::Journal.version(),
            operation: operation.to_string(),
            table_key: table.key.as_str().to_owned(),
            location: location.to_owned(),
            branch: table.branch.name().map(ToOwned::to_owned),
            staged_at: staged_at.0,
            files: noted.files,
            group,
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
        let file = name.to_owned();
        DocumentKind::Journal.read(&bytes).map(Some).map_err(|error| match error {
            DocumentError::Newer { found, .. } => JournalError::Newer { file, found },
            DocumentError::Damaged(error) => {
                JournalError::Unreadable { file, why: error.to_string() }
            }
        })
    }

    /// What the entries name that can be read.
    ///
    /// # Errors
    ///
    /// When the journal cannot be listed, or an entry is of a newer version.
    pub async fn noted(&self) -> Result<Vec<Noted>, JournalError> {
        let mut noted = Vec::new();
        for name in self.entries().await? {
            match self.read(&name).await {
                Ok(Some(entry)) => noted.push(Noted {
                    location: entry.location,
                    branch: Branch::from(entry.branch),
                    files: entry.files,
                }),
                Err(error @ JournalError::Newer { .. }) => return Err(error),
                // What it named is not known: whoever opens the root says that there is one.
                Ok(None) | Err(_) => {}
            }
        }
        Ok(noted)
    }
}

/// What one entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Where the table lies, relative to the root.
    pub location: String,
    /// The branch.
    pub branch: Branch,
    /// Its files, relative to the table's branch directory.
    pub files: Vec<StagedFile>,
}

#[cfg(test)]
mod tests;
