//! What a decision is made by. Decides nothing.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lancekeeper_model::{EffectivePolicy, TableKey, Version};

use super::memory::Memory;

/// A table among all that are watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The root, as it was named.
    pub root: String,
    /// The table in it.
    pub table: TableKey,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.table, self.root)
    }
}

/// What a look at a table found.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Shape {
    /// The version that was looked at.
    pub version: Version,
    /// Live rows.
    pub rows: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Fragments.
    pub fragments: u64,
    /// Fragments below the size that the policy calls small.
    pub small: u64,
    /// Bytes of those.
    pub small_bytes: u64,
    /// Share of rows that are deleted and still stored, 0 to 1.
    pub deleted_share: f64,
    /// Rows that some index does not cover; `None` without an index.
    pub unindexed_rows: Option<u64>,
    /// Versions that exist.
    pub versions: u64,
    /// Into how many fragments the place of a row falls, where the table has a layout and that was measured.
    pub depth: Option<f64>,
    /// What an optimize would rewrite now, if that is known.
    pub planned: Option<Planned>,
}

/// What a plan would rewrite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Planned {
    /// Fragments that would go; none if nothing pays.
    pub fragments: u64,
    /// Fragments that would take their place.
    pub leaves: u64,
    /// Bytes that would be read.
    pub bytes: u64,
}

/// A table with all that its turn depends on.
#[derive(Debug, Clone, Copy)]
pub struct TableState<'a> {
    /// Which it is.
    pub place: &'a Place,
    /// What was found.
    pub shape: &'a Shape,
    /// What is wanted.
    pub policy: &'a EffectivePolicy,
    /// What was.
    pub memory: &'a Memory,
}

/// The time, twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since the watcher began, by a clock that only runs forward.
    pub at: Duration,
    /// The time of the day, which may jump.
    pub wall: DateTime<Utc>,
}
