//! Which names a new branch may have: those that every client can create, list and delete
//! again without harm to another branch.

use lancekeeper_model::Branch;
use thiserror::Error;

/// Directories of a table. Lance keeps branch `a/data` in the directory `data` of branch `a`,
/// and takes that away as a whole when `a/data` is deleted, with the data of `a`.
const DIRECTORIES: [&str; 8] =
    ["_versions", "_transactions", "_deletions", "_indices", "_blobs", "_fri", "_refs", "data"];
/// A branch is a file of that name, written beside it first: file systems end at 255 bytes.
const ENCODED_BYTES_MAX: usize = 200;

/// A name that no new branch may have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing.
    #[error("the name of a branch must not be empty")]
    Empty,
    /// The main branch is always there.
    #[error("main is always there")]
    Main,
    /// Names of operations.
    #[error("{0}: names that begin with __ are for operations of the graph itself")]
    Internal(String),
    /// A part between slashes that is empty, or not a name.
    #[error("{0:?}: between slashes there must be a name, and . and .. are none")]
    Part(String),
    /// A character.
    #[error("{name:?}: {character:?} is not allowed: use letters, digits, . - _ and /")]
    Character {
        /// The name.
        name: String,
        /// The first such character.
        character: char,
    },
    /// Lance keeps names with that ending for itself.
    #[error("{0}: the name must not end with .lock")]
    Lock(String),
    /// More than a file name holds.
    #[error(
        "the name is too long: a file of that name has {bytes} bytes, more than {ENCODED_BYTES_MAX}"
    )]
    TooLong {
        /// Its bytes as a file name.
        bytes: usize,
    },
    /// A part that is the name of a directory of a table.
    #[error(
        "{name}: {part} is a directory of tables; deleting such a branch would delete data of the one above it"
    )]
    Directory {
        /// The name.
        name: String,
        /// The part.
        part: String,
    },
    /// Its directories would be mixed up with those of a branch that exists.
    #[error("{name}: its data would lie in the directory of branch {other}, and go with it")]
    Beside {
        /// The name.
        name: String,
        /// The branch.
        other: Branch,
    },
}

/// Checks a name by itself.
///
/// # Errors
///
/// [`NameError`], the first reason.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let owned = || name.to_owned();
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name == "main" {
        return Err(NameError::Main);
    }
    if Branch::named(name).is_internal() {
        return Err(NameError::Internal(owned()));
    }
    let is_allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    if let Some(character) = name.chars().find(|c| !is_allowed(*c)) {
        return Err(NameError::Character { name: owned(), character });
    }
    let is_part = |part: &str| !part.is_empty() && part != "." && !part.contains("..");
    if !name.split('/').all(is_part) {
        return Err(NameError::Part(owned()));
    }
    if name.ends_with(".lock") {
        return Err(NameError::Lock(owned()));
    }
    let bytes: usize = name.bytes().map(|b| if b.is_ascii() && b != b'/' { 1 } else { 3 }).sum();
    if bytes > ENCODED_BYTES_MAX {
        return Err(NameError::TooLong { bytes });
    }
    if let Some(part) = name.split('/').skip(1).find(|part| DIRECTORIES.contains(part)) {
        return Err(NameError::Directory { name: owned(), part: part.to_owned() });
    }
    Ok(())
}

/// Checks a name beside the branches there are. Nested names are harmless by themselves; only
/// a branch that lies in one of the new one's own directories is not.
///
/// # Errors
///
/// [`NameError::Beside`].
pub fn check_beside<'a>(
    name: &str,
    existing: impl IntoIterator<Item = &'a Branch>,
) -> Result<(), NameError> {
    for other in existing {
        let below = other.name().and_then(|other| other.strip_prefix(name)?.strip_prefix('/'));
        let first = below.and_then(|below| below.split('/').next());
        if first.is_some_and(|part| DIRECTORIES.contains(&part)) {
            return Err(NameError::Beside { name: name.to_owned(), other: other.clone() });
        }
    }
    Ok(())
}
