//! Every file below a directory, and the deletion of exactly named ones.
//!
//! Symbolic links are neither followed nor reported: what lies behind one is outside of the
//! directory, and somebody else's. Names that are no UTF-8 are not reported either, so nobody
//! can decide to delete them.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use chrono::{DateTime, Utc};
use thiserror::Error;

/// Directories below each other that are followed before it is taken for a mistake.
const DEPTH_MAX: usize = 32;

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

/// A directory could not be listed, or a file not be deleted.
#[derive(Debug, Error)]
pub enum ListingError {
    /// The file system failed.
    #[error("failed to {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// More directories below each other than any table has.
    #[error("{} lies more than {DEPTH_MAX} directories deep", path.display())]
    TooDeep {
        /// Where.
        path: PathBuf,
    },
    /// Somebody wrote it since it was listed.
    #[error("{} is not the file that was looked at: somebody wrote meanwhile; run again", path.display())]
    Changed {
        /// Where.
        path: PathBuf,
    },
    /// A path that leads out of its directory.
    #[error("{path:?} is no path below a table")]
    Outside {
        /// The path.
        path: String,
    },
}

impl ListingError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> lancekeeper_model::ErrorKind {
        match self {
            Self::Io { .. } => lancekeeper_model::ErrorKind::Unavailable,
            Self::Changed { .. } => lancekeeper_model::ErrorKind::Conflict,
            Self::TooDeep { .. } => lancekeeper_model::ErrorKind::Refused,
            Self::Outside { .. } => lancekeeper_model::ErrorKind::Internal,
        }
    }
}

/// Lists every file below a directory, sorted by path. A directory that is not there has no
/// files. Blocks on the file system; writes nothing.
///
/// # Errors
///
/// When any directory below it cannot be read: a listing with holes proves nothing.
pub fn list_below(directory: &Path) -> Result<Vec<Listed>, ListingError> {
    let mut listed = Vec::new();
    let mut open = vec![(directory.to_owned(), String::new(), 0)];
    while let Some((place, prefix, depth)) = open.pop() {
        if depth > DEPTH_MAX {
            return Err(ListingError::TooDeep { path: place });
        }
        for name in read_directory(&place, &prefix, &mut listed)? {
            let below = format!("{prefix}{name}/");
            open.push((place.join(name), below, depth + 1));
        }
    }
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listed)
}

/// Lists the files that lie directly in a directory, sorted by name. Blocks; writes nothing.
///
/// # Errors
///
/// As [`list_below`].
pub fn list_directly(directory: &Path) -> Result<Vec<Listed>, ListingError> {
    let mut listed = Vec::new();
    read_directory(directory, "", &mut listed)?;
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listed)
}

/// Adds the files of one directory, and returns the names of those in it.
fn read_directory(
    place: &Path,
    prefix: &str,
    listed: &mut Vec<Listed>,
) -> Result<Vec<String>, ListingError> {
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        // Gone since its parent was read, or never there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ListingError::io("list", place)(error)),
    };
    let mut directories = Vec::new();
    for entry in entries {
        let entry = entry.map_err(ListingError::io("list", place))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type().map_err(ListingError::io("look at", &entry.path()))?;
        if kind.is_dir() {
            directories.push(name);
        } else if kind.is_file() {
            match entry.metadata() {
                Ok(metadata) => listed.push(Listed {
                    path: format!("{prefix}{name}"),
                    bytes: metadata.len(),
                    modified: metadata
                        .modified()
                        .map_err(ListingError::io("look at", &entry.path()))?
                        .into(),
                }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ListingError::io("look at", &entry.path())(error)),
            }
        }
    }
    Ok(directories)
}

/// Deletes one file below a directory. Returns whether it was there: one that is gone already is
/// no error. Blocks.
///
/// # Errors
///
/// When it is still there afterwards, or the path leads out of the directory.
pub fn delete_below(directory: &Path, path: &str) -> Result<bool, ListingError> {
    let place = below(directory, path)?;
    match fs::remove_file(&place) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(ListingError::io("delete", &place)(error)),
    }
}

/// Deletes one file below a directory if it is still the one that was listed. Returns whether it
/// was there. Between the look and the deletion there is no step that waits for anything. Blocks.
///
/// # Errors
///
/// When it was written since, is still there afterwards, or the path leads out of the directory.
pub fn delete_listed_below(directory: &Path, listed: &Listed) -> Result<bool, ListingError> {
    let place = below(directory, &listed.path)?;
    let metadata = match fs::symlink_metadata(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        metadata => metadata.map_err(ListingError::io("look at", &place))?,
    };
    let modified = metadata.modified().map_err(ListingError::io("look at", &place))?;
    if metadata.len() != listed.bytes || DateTime::<Utc>::from(modified) != listed.modified {
        return Err(ListingError::Changed { path: place });
    }
    delete_below(directory, &listed.path)
}

/// Deletes directories that hold nothing any more, with those above them up to `directory`.
/// One that is not empty stays. Blocks.
///
/// # Errors
///
/// When the file system fails otherwise, or the path leads out of the directory.
pub fn delete_empty_below(directory: &Path, path: &str) -> Result<(), ListingError> {
    let mut place = below(directory, path)?;
    while place != directory {
        match fs::remove_dir(&place) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(ListingError::io("delete", &place)(error)),
        }
        if !place.pop() {
            return Ok(());
        }
    }
    Ok(())
}

/// Makes the deletions in a directory so far durable. Blocks.
///
/// # Errors
///
/// When the file system cannot promise it.
pub fn sync_below(directory: &Path, path: &str) -> Result<(), ListingError> {
    let place = below(directory, path)?;
    match fs::File::open(&place) {
        Ok(opened) => opened.sync_all().map_err(ListingError::io("sync", &place)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(ListingError::io("sync", &place)(error)),
    }
}

fn below(directory: &Path, path: &str) -> Result<PathBuf, ListingError> {
    let relative = Path::new(path);
    let is_plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !is_plain {
        return Err(ListingError::Outside { path: path.to_owned() });
    }
    Ok(directory.join(relative))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_once_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("precious"), "x").unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/two"), "22").unwrap();
        fs::write(dir.path().join("one"), "1").unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("precious"), dir.path().join("file"))
            .unwrap();
        let listed: Vec<_> = list_below(dir.path())
            .unwrap()
            .into_iter()
            .map(|listed| (listed.path, listed.bytes))
            .collect();
        assert_eq!(listed, [("a/b/two".to_owned(), 2), ("one".to_owned(), 1)]);
        assert_eq!(list_below(&dir.path().join("nowhere")).unwrap(), []);
    }

    #[test]
    fn a_file_that_was_written_since_it_was_listed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("one");
        fs::write(&place, "1").unwrap();
        let listed = list_below(dir.path()).unwrap().remove(0);
        // Of the same size: only its time tells.
        fs::write(&place, "2").unwrap();
        let later = listed.modified + chrono::TimeDelta::seconds(1);
        fs::File::options().write(true).open(&place).unwrap().set_modified(later.into()).unwrap();
        let deleted = delete_listed_below(dir.path(), &listed);
        assert!(matches!(deleted, Err(ListingError::Changed { .. })), "{deleted:?}");
        assert!(place.exists());
        let listed = list_below(dir.path()).unwrap().remove(0);
        assert!(delete_listed_below(dir.path(), &listed).unwrap());
        assert!(!delete_listed_below(dir.path(), &listed).unwrap(), "it was gone");
    }

    #[test]
    fn only_paths_below_the_directory_can_be_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("table");
        fs::create_dir_all(table.join("data")).unwrap();
        for name in ["sibling", "table/data/x"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        for path in ["../sibling", "data/../../sibling", "/etc/hostname", "", "."] {
            let deleted = delete_below(&table, path);
            assert!(matches!(deleted, Err(ListingError::Outside { .. })), "{path}: {deleted:?}");
        }
        assert!(dir.path().join("sibling").exists());
        assert!(delete_below(&table, "data/x").unwrap());
        assert!(!delete_below(&table, "data/x").unwrap(), "it was gone");
        assert!(!table.join("data/x").exists());
    }

    #[test]
    fn a_directory_goes_only_when_it_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("tree/a/b/data")).unwrap();
        fs::write(dir.path().join("tree/a/keep"), "x").unwrap();
        delete_empty_below(dir.path(), "tree/a/b/data").unwrap();
        assert!(!dir.path().join("tree/a/b").exists());
        assert!(dir.path().join("tree/a/keep").exists());
    }
}
