//! From rows to pins: what one version of `__manifest` says readers of a branch see. Pure.

use std::collections::{BTreeMap, HashSet};

use lancekeeper_model::{Branch, Pin, TableKey, Version};
use thiserror::Error;

use crate::row::{
    COLUMNS, CommitMetadata, GRAPH_COMMIT, Row, TABLE, TABLE_TOMBSTONE, TABLE_VERSION,
    VersionMetadata,
};

/// Rows that contradict each other.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FoldError {
    /// A version was published for a table that was never registered.
    #[error("table {0} has versions but no row that says where it lies")]
    NoLocation(String),
    /// A row lacks a value its type requires.
    #[error("row {object_id} lacks {column}")]
    Lacks {
        /// The row.
        object_id: String,
        /// What is missing.
        column: &'static str,
    },
    /// A row's metadata is not what its type requires.
    #[error("row {object_id} has unreadable metadata: {why}")]
    Metadata {
        /// The row.
        object_id: String,
        /// What the parser said.
        why: String,
    },
}

/// Everything a publish needs to know about one version of `__manifest`.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    /// Sorted by key.
    pub(crate) pins: Vec<Pin>,
    /// Ids of all rows: a publish must not touch any but `graph_head`.
    pub(crate) object_ids: HashSet<String>,
    /// The newest commit visible here (v4).
    pub(crate) head_commit: Option<String>,
    /// The Lance manifest each current pin was published with.
    pub(crate) manifest_paths: Vec<(TableKey, String)>,
    /// Where every table lies that was ever registered, relative to the root.
    pub(crate) locations: BTreeMap<TableKey, String>,
}

/// Folds rows: per table the greatest version, unless a tombstone is at or above it.
pub(crate) fn fold<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Result<Folded, FoldError> {
    debug_assert!(COLUMNS.contains(&"object_id"));
    let mut object_ids = HashSet::new();
    let mut locations = BTreeMap::new();
    let mut latest: BTreeMap<&str, (u64, &Row)> = BTreeMap::new();
    let mut tombstones: BTreeMap<&str, u64> = BTreeMap::new();
    let mut head: Option<((u64, i64, &str), &str)> = None;
    for row in rows {
        object_ids.insert(row.object_id.clone());
        match row.object_type.as_str() {
            TABLE => {
                let location = row.location.as_deref().ok_or(lacks(row, "location"))?;
                locations.insert(row.table_key.as_str(), location);
            }
            TABLE_VERSION => {
                let version = row.table_version.ok_or(lacks(row, "table_version"))?;
                let entry = latest.entry(&row.table_key).or_insert((version, row));
                if version > entry.0 {
                    *entry = (version, row);
                }
            }
            TABLE_TOMBSTONE => {
                let version = row.table_version.ok_or(lacks(row, "table_version"))?;
                let entry = tombstones.entry(&row.table_key).or_insert(version);
                *entry = (*entry).max(version);
            }
            GRAPH_COMMIT => {
                let version = row.table_version.ok_or(lacks(row, "table_version"))?;
                let metadata: CommitMetadata = parse(row)?;
                let rank = (version, metadata.created_at, row.object_id.as_str());
                if head.is_none_or(|(best, _)| rank > best) {
                    head = Some((rank, &row.object_id));
                }
            }
            // Unknown types are other people's business, as for the clients.
            _ => {}
        }
    }
    let mut folded =
        Folded { object_ids, head_commit: head.map(|(_, id)| id.to_owned()), ..Folded::default() };
    for (key, (version, row)) in latest {
        if tombstones.get(key).is_some_and(|tombstone| *tombstone >= version) {
            continue;
        }
        let location = locations.get(key).ok_or_else(|| FoldError::NoLocation(key.to_owned()))?;
        if row.metadata.is_some() {
            let metadata: VersionMetadata = parse(row)?;
            folded.manifest_paths.push((TableKey::new(key), metadata.manifest_path));
        }
        folded.pins.push(Pin {
            key: TableKey::new(key),
            location: (*location).to_owned(),
            version: Version(version),
            table_branch: Branch::from(row.table_branch.clone()),
            rows: row.row_count.ok_or(lacks(row, "row_count"))?,
        });
    }
    let owned = |(key, location): (&str, &str)| (TableKey::new(key), location.to_owned());
    folded.locations = locations.into_iter().map(owned).collect();
    Ok(folded)
}

fn lacks(row: &Row, column: &'static str) -> FoldError {
    FoldError::Lacks { object_id: row.object_id.clone(), column }
}

fn parse<T: for<'de> serde::Deserialize<'de>>(row: &Row) -> Result<T, FoldError> {
    let text = row.metadata.as_deref().ok_or(lacks(row, "metadata"))?;
    serde_json::from_str(text).map_err(|error| FoldError::Metadata {
        object_id: row.object_id.clone(),
        why: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
