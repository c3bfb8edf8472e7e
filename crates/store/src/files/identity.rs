//! Where places are. The same place has several spellings, so places are compared as directories
//! and not as text.

use std::io;
use std::path::{Path, PathBuf};

use super::{FilesError, blocking, local};

/// A place, told from every other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity(PathBuf);

impl Identity {
    pub(super) fn of(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// What names of files here begin with, seen from `outer`: nothing, or a path with a slash at
    /// its end. `None` when this place is not within `outer`.
    #[must_use]
    pub fn prefix_in(&self, outer: &Self) -> Option<String> {
        let below = self.0.strip_prefix(&outer.0).ok()?;
        let text = below.to_string_lossy();
        Some(if text.is_empty() { String::new() } else { format!("{text}/") })
    }
}

/// Where an absolute path of this machine leads; `None` when there is nothing.
///
/// # Errors
///
/// When it cannot be told.
pub async fn identity_at(path: &str) -> Result<Option<Identity>, FilesError> {
    let asked = PathBuf::from(path);
    match blocking(move || local::resolve(&asked)).await {
        Ok(resolved) => Ok(Some(Identity(resolved))),
        Err(FilesError::Io { source, .. })
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
