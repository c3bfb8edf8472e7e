//! Rows of `count-rows`.

use lancekeeper_model::{TableCount, TableRef, Version};

/// A table that was counted.
pub(super) fn counted(table: &TableRef, version: Version, rows: u64) -> TableCount {
    let mut row = TableCount::of(table);
    (row.version, row.rows) = (Some(version), Some(rows));
    row
}

/// A table that could not be counted, and the version readers would see as far as that is known.
pub(super) fn failed(table: &TableRef, version: Option<Version>, error: String) -> TableCount {
    let mut row = TableCount::of(table);
    (row.version, row.error) = (version, Some(error));
    row
}
