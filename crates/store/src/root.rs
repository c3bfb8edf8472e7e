//! Roots: recognising what a URI points at, and the two names every root has.
//!
//! The *identity* is the resolved path: handles that reach one directory through different
//! spellings share one queue and one lock. The *address* is what Lance is given: Lance
//! compares base paths as strings, so it must be the spelling that the root's own branch
//! manifests use ([`crate::spelling`] finds that).
//!
//! Only local roots can be reached so far. Schemes on which Lance cannot commit atomically,
//! and schemes nobody knows, are refused for good.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lancekeeper_model::{ErrorKind, RootKind};
use thiserror::Error;

use crate::failure::{LanceFailure, hint_of};
use crate::files::Files;

mod catalog;
mod discover;

use catalog::Catalog;
pub use discover::{FoundRoots, SEARCH_DEPTH_MAX, find_roots};

/// The directory of a graph's table of pins. LanceDB calls its list of tables the same.
pub const MANIFEST_DIR: &str = "__manifest";

/// A root that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// As the caller spelled it.
    pub given: String,
    /// What it is.
    pub kind: RootKind,
    /// The resolved directory.
    pub directory: PathBuf,
    /// What Lance is given, without a trailing slash.
    pub address: String,
    /// Of a database: whether it has a namespace manifest, a list of tables and namespaces.
    pub has_namespaces: bool,
}

/// A root was not recognised, or cannot be worked on.
#[derive(Debug, Error)]
pub enum RootError {
    /// Nothing is there.
    #[error("there is nothing at {uri}")]
    Missing {
        /// The root as given.
        uri: String,
    },
    /// Something is there, but it is none of the three kinds.
    #[error(
        "{uri} is not a graph (no {MANIFEST_DIR}/), not a database (no NAME.lance/ inside) and not a table (no _versions/)"
    )]
    Unrecognised {
        /// The root as given.
        uri: String,
    },
    /// It is a part of another root: working on it alone would go past that root's authority.
    #[error("{uri} is a part of {outer}, which has to be worked on as a whole")]
    Part {
        /// The root as given.
        uri: String,
        /// What it is a part of.
        outer: String,
    },
    /// A table has the name of a graph's table of pins and is none.
    #[error(
        "{uri}: {MANIFEST_DIR} is neither a graph's table of pins nor a LanceDB namespace manifest: {why}"
    )]
    Catalog {
        /// The root as given.
        uri: String,
        /// What it is.
        why: String,
    },
    /// The list of tables cannot be read.
    #[error("{uri}: the namespace manifest cannot be read: {source}")]
    Namespaces {
        /// The root as given.
        uri: String,
        /// What Lance said.
        #[source]
        source: LanceFailure,
    },
    /// A background task failed.
    #[error("a background task failed: {why}")]
    Task {
        /// How.
        why: String,
    },
    /// The scheme is known, but this build cannot work on it safely.
    #[error("{uri}: roots on {scheme}:// cannot be worked on yet")]
    UnsupportedScheme {
        /// The root as given.
        uri: String,
        /// Its scheme.
        scheme: String,
    },
    /// The scheme is unknown, or Lance cannot commit atomically there.
    #[error("{uri}: unknown scheme {scheme}://")]
    UnknownScheme {
        /// The root as given.
        uri: String,
        /// Its scheme.
        scheme: String,
    },
    /// A search found no root.
    #[error("there is no graph, database or table below {uri}")]
    NothingBelow {
        /// Where the search began.
        uri: String,
    },
    /// The name of a directory cannot be written down as a URI.
    #[error("{uri}: its name is not UTF-8")]
    NotUtf8 {
        /// The name, as far as it can be shown.
        uri: String,
    },
    /// The place could not be looked at.
    #[error("failed to look at {uri}: {source}")]
    Io {
        /// The root as given.
        uri: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl RootError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing { .. } | Self::Unrecognised { .. } | Self::NothingBelow { .. } => {
                ErrorKind::NotFound
            }
            Self::Part { .. }
            | Self::Catalog { .. }
            | Self::UnsupportedScheme { .. }
            | Self::UnknownScheme { .. } => ErrorKind::Refused,
            // The directory is there: what is missing in it, or is no Lance file, is damage.
            Self::Namespaces { source, .. } => match source.kind() {
                ErrorKind::NotFound | ErrorKind::Invalid => ErrorKind::Corrupt,
                kind => kind,
            },
            Self::Task { .. } => ErrorKind::Internal,
            Self::NotUtf8 { .. } | Self::Io { .. } => ErrorKind::Unavailable,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "check the path",
            Self::Unrecognised { .. } => {
                "give the directory that holds __manifest/, or the *.lance directories, or _versions/"
            }
            Self::Part { .. } => "give the whole root, and name the table with --table",
            Self::Catalog { .. } => {
                "name the tables beside it as roots of their own; nothing was changed"
            }
            Self::Namespaces { .. } => {
                "its tables can be named as roots of their own; nothing was changed"
            }
            Self::Task { .. } => "try again",
            Self::UnsupportedScheme { .. } => "give a local path or a file:// URI",
            Self::UnknownScheme { .. } => {
                "give a local path or a file:// URI; other schemes are refused because commits there may not be atomic"
            }
            Self::NothingBelow { .. } => {
                "roots hold __manifest/, *.lance directories, or _versions/"
            }
            Self::NotUtf8 { .. } => "rename it; nothing below it was looked at",
            Self::Io { source, .. } => {
                hint_of(source).unwrap_or("check the permissions of the directory")
            }
        }
    }

    /// The place it is about.
    #[must_use]
    pub fn uri(&self) -> &str {
        match self {
            Self::Missing { uri }
            | Self::Unrecognised { uri }
            | Self::Part { uri, .. }
            | Self::Catalog { uri, .. }
            | Self::Namespaces { uri, .. }
            | Self::UnsupportedScheme { uri, .. }
            | Self::UnknownScheme { uri, .. }
            | Self::NothingBelow { uri }
            | Self::NotUtf8 { uri }
            | Self::Io { uri, .. } => uri,
            Self::Task { .. } => "",
        }
    }
}

/// How far up a table's own root can be: `nodes/ID` in a graph, `tree/A/B/…` in a table, whose
/// branch names have few segments.
const ENCLOSING_LEVELS: usize = 8;

/// Schemes Lance commits on atomically, besides local files.
const ATOMIC_SCHEMES: &[&str] = &["s3", "gs", "az", "abfss", "shared-memory", "memory"];

/// Looks at a URI and says what it is. Blocks on the file system; writes nothing.
///
/// # Errors
///
/// [`RootError`] when nothing recognisable is there.
pub fn recognise(uri: &str) -> Result<Root, RootError> {
    let given = uri.to_owned();
    let path = local_path(uri)?;
    let directory = fs::canonicalize(path).map_err(io_error(uri))?;
    // The spelling as given, made absolute but with its symlinks: the client that made the
    // root may have used it too.
    let absolute = std::path::absolute(path).map_err(io_error(uri))?;
    let address = absolute.to_string_lossy().trim_end_matches('/').to_owned();
    let kind = kind_of_directory(&directory).map_err(io_error(uri))?;
    let Some(mut kind) = kind else { return Err(RootError::Unrecognised { uri: given }) };
    let mut has_namespaces = false;
    if kind == RootKind::Graph {
        match catalog::look(&directory.join(MANIFEST_DIR)) {
            Catalog::Graph => {}
            Catalog::Namespace => (kind, has_namespaces) = (RootKind::Database, true),
            Catalog::Other(columns) => {
                let why = format!("its columns are {}", columns.join(", "));
                return Err(RootError::Catalog { uri: given, why });
            }
        }
    }
    if kind == RootKind::Table
        && let Some(outer) = enclosing(&directory)
    {
        return Err(RootError::Part { uri: given, outer });
    }
    Ok(Root { given, kind, directory, address, has_namespaces })
}

/// The key by which two spellings of one place are told to be one: the resolved path, or the
/// spelling itself where there is none.
#[must_use]
pub fn identity_of(uri: &str) -> String {
    let resolved = local_path(uri).ok().and_then(|path| fs::canonicalize(path).ok());
    resolved.map_or_else(|| uri.to_owned(), |path| path.to_string_lossy().into_owned())
}

/// The path of a URI on a local file system.
fn local_path(uri: &str) -> Result<&str, RootError> {
    match uri.split_once("://") {
        None => Ok(uri),
        Some(("file", path)) => Ok(path),
        Some((scheme, _)) => {
            let (uri, scheme) = (uri.to_owned(), scheme.to_owned());
            if ATOMIC_SCHEMES.contains(&scheme.as_str()) {
                Err(RootError::UnsupportedScheme { uri, scheme })
            } else {
                Err(RootError::UnknownScheme { uri, scheme })
            }
        }
    }
}

fn io_error(uri: &str) -> impl Fn(io::Error) -> RootError {
    move |source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            RootError::Missing { uri: uri.to_owned() }
        }
        _ => RootError::Io { uri: uri.to_owned(), source },
    }
}

fn kind_of_directory(directory: &Path) -> io::Result<Option<RootKind>> {
    if !directory.is_dir() {
        return Ok(None);
    }
    let entries = child_directories(directory)?;
    if entries.iter().any(|name| name == MANIFEST_DIR) {
        return Ok(Some(RootKind::Graph));
    }
    if entries.iter().any(|name| name == "_versions") {
        return Ok(Some(RootKind::Table));
    }
    // `_graph_commits.lance` without `__manifest` is a graph whose initialisation failed, not
    // a database.
    if entries.iter().any(|name| name.ends_with(".lance") && !name.starts_with("_graph_")) {
        return Ok(Some(RootKind::Database));
    }
    Ok(None)
}

/// The graph whose table, or the table whose branch, a directory is. A commit to a graph's
/// table past its `__manifest` would be drift; a branch is reached through its table. A table
/// that somebody put into another one's directory is a part of nothing.
fn enclosing(directory: &Path) -> Option<String> {
    let is_graph = |outer: &Path| {
        let manifest = outer.join(MANIFEST_DIR);
        manifest.is_dir() && catalog::look(&manifest) == Catalog::Graph
    };
    let has_branch = |outer: &Path| {
        let below = directory.strip_prefix(outer).ok();
        let is_branch = below.is_some_and(|below| below.starts_with("tree"));
        is_branch && outer.join("_versions").is_dir()
    };
    directory
        .ancestors()
        .skip(1)
        .take(ENCLOSING_LEVELS)
        .find(|outer| is_graph(outer) || has_branch(outer))
        .map(|outer| outer.to_string_lossy().into_owned())
}

fn child_directories(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // Through symlinks: databases are often assembled from them.
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

impl Root {
    /// The key of queue and lock.
    #[must_use]
    pub fn identity(&self) -> String {
        self.directory.to_string_lossy().into_owned()
    }

    /// What lies in the root and is not read through Lance, at its resolved directory.
    #[must_use]
    pub fn files(&self) -> Files {
        Files::local(&self.directory)
    }

    /// The address of something inside the root; of the root itself for an empty location.
    #[must_use]
    pub fn address_of(&self, location: &str) -> String {
        if location.is_empty() {
            self.address.clone()
        } else {
            format!("{}/{location}", self.address)
        }
    }
}

#[cfg(test)]
mod tests;
