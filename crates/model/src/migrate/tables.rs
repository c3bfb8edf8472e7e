//! Steps that take tables of databases to another form of Lance's own, and what is said of each table.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

use crate::{Branch, ErrorKind, TableKey, TableRef};

/// A step that is taken with tables of a database, or with a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableStep {
    /// Data files of that version, written anew where they have another one.
    StorageVersion(StorageVersion),
    /// Manifests that are named so that the newest is listed first.
    ManifestPaths {
        /// Nobody else has one of the tables open to write: who has goes on writing under the old names.
        assume_alone: bool,
    },
    /// Row ids that stay when rows are moved.
    StableRowIds,
}

/// A version of Lance's data files that is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StorageVersion {
    /// 2.0.
    V2_0,
    /// 2.1.
    V2_1,
    /// 2.2.
    V2_2,
}

impl StorageVersion {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::V2_0, Self::V2_1, Self::V2_2];

    /// As Lance writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2_0 => "2.0",
            Self::V2_1 => "2.1",
            Self::V2_2 => "2.2",
        }
    }
}

impl fmt::Display for StorageVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A version of data files that is not written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StorageVersionError {
    /// The first format.
    #[error(
        "{0} is Lance's first format: its files cannot stand in one table with newer ones, and nobody should write it any more"
    )]
    Legacy(String),
    /// A format that may still change.
    #[error("{0} is not stable yet: what is written in it today may not be readable tomorrow")]
    Unstable(String),
    /// No format.
    #[error("there is no version {0:?} of data files; there are 2.0, 2.1 and 2.2")]
    Unknown(String),
}

impl FromStr for StorageVersion {
    type Err = StorageVersionError;

    fn from_str(text: &str) -> Result<Self, StorageVersionError> {
        let known = Self::ALL.into_iter().find(|version| version.as_str() == text);
        known.ok_or_else(|| match text {
            "0.1" | "1" | "1.0" | "legacy" => StorageVersionError::Legacy(text.to_owned()),
            "2.3" | "next" => StorageVersionError::Unstable(text.to_owned()),
            _ => StorageVersionError::Unknown(text.to_owned()),
        })
    }
}

/// How the manifests of a table are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ManifestPaths {
    /// `3.manifest`.
    V1,
    /// Counted down from the top, so that the newest is listed first.
    V2,
    /// Both: renaming them was cut off, or somebody went on under the old names. Lance does not open it.
    #[serde(rename = "mixed")]
    Mixed,
}

impl fmt::Display for ManifestPaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "V1",
            Self::V2 => "V2",
            Self::Mixed => "mixed",
        })
    }
}

/// One table of a database on one of its branches, as it is and as a step makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MigratedTable {
    /// The table.
    pub table_key: TableKey,
    /// The branch.
    pub branch: Branch,
    /// The version of new data files; null if it cannot be read.
    pub storage_version: Option<String>,
    /// The versions of the data files that are there, oldest first.
    pub file_versions: Vec<String>,
    /// How its manifests are named; null without any.
    pub manifest_paths: Option<ManifestPaths>,
    /// Whether row ids stay when rows are moved; null if it cannot be read.
    pub stable_row_ids: Option<bool>,
    /// How many versions there are.
    pub versions: u64,
    /// Whether it was changed, or would be.
    pub changed: bool,
    /// What was done with it, or would be, or why not.
    pub reason: String,
    /// Bytes of data files that were read to write them anew, or would be.
    pub bytes: u64,
    /// Why it failed or was refused, if so.
    pub error: Option<String>,
    /// The kind of `error`.
    #[serde(skip)]
    pub error_kind: Option<ErrorKind>,
}

impl MigratedTable {
    /// A table about which nothing is known yet.
    #[must_use]
    pub fn of(table: &TableRef) -> Self {
        Self {
            table_key: table.key.clone(),
            branch: table.branch.clone(),
            storage_version: None,
            file_versions: Vec::new(),
            manifest_paths: None,
            stable_row_ids: None,
            versions: 0,
            changed: false,
            reason: String::new(),
            bytes: 0,
            error: None,
            error_kind: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_data_files_that_are_not_written_are_refused_by_name() {
        for version in StorageVersion::ALL {
            assert_eq!(version.to_string().parse::<StorageVersion>(), Ok(version));
        }
        let refused = |text: &str| text.parse::<StorageVersion>().unwrap_err().to_string();
        assert!(refused("0.1").starts_with("0.1 is Lance's first format"));
        assert!(refused("2.3").starts_with("2.3 is not stable yet"));
        assert!(refused("2").ends_with("there are 2.0, 2.1 and 2.2"));
    }
}
