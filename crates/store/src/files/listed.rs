//! What was listed, and what of it goes.

use chrono::{DateTime, Utc};
use object_store::ObjectMeta;
use object_store::path::Path as StorePath;

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

/// What a store listed below a prefix, sorted by path.
pub(super) fn as_listed(prefix: &StorePath, found: Vec<ObjectMeta>) -> Vec<Listed> {
    let relative = |meta: ObjectMeta| {
        let parts: Vec<_> = meta.location.prefix_match(prefix)?.collect();
        let path = parts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("/");
        Some(Listed { path, bytes: meta.size, modified: meta.last_modified })
    };
    let mut listed: Vec<Listed> = found.into_iter().filter_map(relative).collect();
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    listed
}
