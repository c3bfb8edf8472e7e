//! What a plan for one table is made from, besides the facts about its fragments.

use lancekeeper_model::{TableFacts, Version};

/// Where the authority of a table says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// In a graph: readers see the pin, commits go on top of HEAD.
    Pinned {
        /// The version `__manifest` makes visible.
        pin: Version,
        /// The newest version of the table.
        head: Version,
    },
    /// In a database, or a table by itself: readers see HEAD.
    Head {
        /// The newest version of the table.
        head: Version,
    },
}

/// A sidecar of another writer that names a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SidecarClaim {
    /// Its file, relative to the root.
    pub file: String,
    /// The kind of its writer: `Load`, `Mutation`, …
    pub writer_kind: String,
}

/// Everything [`plan_table`](super::plan_table) reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInventory {
    /// The fragments, read at HEAD.
    pub facts: TableFacts,
    /// Where the table is.
    pub authority: Authority,
    /// A foreign sidecar that names the table, if there is one.
    pub sidecar: Option<SidecarClaim>,
    /// Whether *every* version after the pin, up to HEAD, carries an operation id of ours.
    /// Of no meaning while HEAD is at the pin.
    pub ahead_is_ours: bool,
}
