//! What readers of a graph branch see: one pin per table, folded from `__manifest`.

use crate::{Branch, TableKey, Version};

/// The version of one table that a graph branch makes visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The table.
    pub key: TableKey,
    /// Where the table lies, relative to the root.
    pub location: String,
    /// The visible version.
    pub version: Version,
    /// The Lance branch that version is on. On a lazy graph branch this is main, or the
    /// branch it was cut from.
    pub table_branch: Branch,
    /// Rows at that version, as its writer recorded them.
    pub rows: u64,
}

/// All pins of one graph branch at one version of `__manifest`, sorted by table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The graph branch.
    pub branch: Branch,
    /// The version of `__manifest` this was folded from.
    pub manifest_version: Version,
    /// The pins, sorted by key.
    pub pins: Vec<Pin>,
}

impl Snapshot {
    /// The pin of a table, if the branch has that table.
    #[must_use]
    pub fn pin(&self, key: &TableKey) -> Option<&Pin> {
        self.pins.binary_search_by(|pin| pin.key.cmp(key)).ok().map(|at| &self.pins[at])
    }
}
