//! What the local store lacks: a walk that follows no links, deletion of what was listed and is
//! still the same, empty directories, durability, and where a path leads; and reading in one step,
//! where it takes three. All of it blocks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use prost::bytes::Bytes;

use super::error::DEPTH_MAX;
use super::{Condition, Deleted, Doomed, FilesError, Listed, check_is_below};

/// The path without links.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, FilesError> {
    fs::canonicalize(path).map_err(FilesError::io("look at", path))
}

/// Every file below a directory of `outer`, itself for an empty name, sorted by path.
pub(super) fn list(outer: &Path, directory: &str) -> Result<Vec<Listed>, FilesError> {
    let start = match directory {
        "" => (outer.to_owned(), String::new(), 0),
        _ => (below(outer, directory)?, format!("{directory}/"), 0),
    };
    let mut listed = Vec::new();
    let mut open = vec![start];
    while let Some((place, prefix, depth)) = open.pop() {
        if depth > DEPTH_MAX {
            return Err(FilesError::TooDeep { place: place.display().to_string() });
        }
        for name in read_directory(&place, &prefix, &mut listed)? {
            let below = format!("{prefix}{name}/");
            open.push((place.join(name), below, depth + 1));
        }
    }
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listed)
}

/// The files that lie directly in a directory, sorted by name.
pub(super) fn list_directly(directory: &Path) -> Result<Vec<Listed>, FilesError> {
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
) -> Result<Vec<String>, FilesError> {
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        // Gone since its parent was read, or never there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FilesError::io("list", place)(error)),
    };
    let mut directories = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FilesError::io("list", place))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type().map_err(FilesError::io("look at", &entry.path()))?;
        if kind.is_dir() {
            directories.push(name);
        } else if kind.is_file() {
            match entry.metadata() {
                Ok(metadata) => listed.push(Listed {
                    path: format!("{prefix}{name}"),
                    bytes: metadata.len(),
                    modified: metadata
                        .modified()
                        .map_err(FilesError::io("look at", &entry.path()))?
                        .into(),
                }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(FilesError::io("look at", &entry.path())(error)),
            }
        }
    }
    Ok(directories)
}

/// When a file or directory was last changed, behind links; `None` when it is not there.
pub(super) fn changed(place: &Path) -> Result<Option<DateTime<Utc>>, FilesError> {
    let metadata = match fs::metadata(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(FilesError::io("look at", place))?,
    };
    Ok(Some(metadata.modified().map_err(FilesError::io("look at", place))?.into()))
}

/// The content of a file; `None` when it is gone.
pub(super) fn read(place: &Path) -> Result<Option<Bytes>, FilesError> {
    match fs::read(place) {
        Ok(content) => Ok(Some(content.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FilesError::io("read", place)(error)),
    }
}

/// Deletes files in their order, each if its condition holds.
pub(super) fn delete_batch(directory: &Path, batch: &[Doomed]) -> Deleted {
    let mut deleted = Deleted::default();
    for doomed in batch {
        deleted.add(doomed, delete(directory, doomed));
    }
    deleted
}

/// Whether it went: somebody else may have deleted it. Between the look and the deletion there is
/// no step that waits for anything.
fn delete(directory: &Path, Doomed { file, condition }: &Doomed) -> Result<bool, FilesError> {
    let place = below(directory, &file.path)?;
    let changed = || FilesError::Changed { place: place.display().to_string() };
    let is_there = match condition {
        Condition::None => true,
        Condition::Unchanged | Condition::Present => match look(&place)? {
            Some(found) if found == (file.bytes, file.modified) => true,
            Some(_) => return Err(changed()),
            None => false,
        },
    };
    let went = is_there && remove_file(&place)?;
    if went || *condition != Condition::Present { Ok(went) } else { Err(changed()) }
}

/// Size and time of a file, or of a link itself; `None` when it is gone.
fn look(place: &Path) -> Result<Option<(u64, DateTime<Utc>)>, FilesError> {
    let metadata = match fs::symlink_metadata(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(FilesError::io("look at", place))?,
    };
    let modified = metadata.modified().map_err(FilesError::io("look at", place))?;
    Ok(Some((metadata.len(), modified.into())))
}

fn remove_file(place: &Path) -> Result<bool, FilesError> {
    match fs::remove_file(place) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(FilesError::io("delete", place)(error)),
    }
}

/// Deletes a directory that holds nothing any more, with those above it up to `directory`.
pub(super) fn delete_empty(directory: &Path, path: &str) -> Result<(), FilesError> {
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
            Err(error) => return Err(FilesError::io("delete", &place)(error)),
        }
        if !place.pop() {
            return Ok(());
        }
    }
    Ok(())
}

/// Makes durable what was done to a file or in a directory so far.
pub(super) fn sync(directory: &Path, path: &str) -> Result<(), FilesError> {
    let place = below(directory, path)?;
    match fs::File::open(&place) {
        Ok(opened) => opened.sync_all().map_err(FilesError::io("sync", &place)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FilesError::io("sync", &place)(error)),
    }
}

fn below(directory: &Path, path: &str) -> Result<PathBuf, FilesError> {
    check_is_below(path)?;
    Ok(directory.join(path))
}
