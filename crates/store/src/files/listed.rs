//! What was listed, and what of it goes.

use chrono::{DateTime, Utc};

use super::FilesError;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Relative to the directory listed, with `/` between its parts.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last written.
    pub modified: DateTime<Utc>,
}

/// A file that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    /// As it was listed.
    pub file: Listed,
    /// When it goes.
    pub condition: Condition,
}

/// What must hold of a file right before it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing: its name is never used again.
    None,
    /// If it is there, it is the one that was listed.
    Unchanged,
    /// It is there, and the one that was listed.
    Present,
}

/// What a batch of deletions came to.
#[derive(Debug, Default)]
pub struct Deleted {
    /// Files that went; what somebody else deleted first does not count.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Why others did not.
    pub failed: Vec<FilesError>,
}

impl Deleted {
    /// Counts one more: whether it went, or why it did not.
    pub(super) fn add(&mut self, doomed: &Doomed, went: Result<bool, FilesError>) {
        match went {
            Ok(true) => {
                self.files += 1;
                self.bytes += doomed.file.bytes;
            }
            Ok(false) => {}
            Err(error) => self.failed.push(error),
        }
    }
}
