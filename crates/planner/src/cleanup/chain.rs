//! The name of a chain of versions, which the authorities and the inventory share. What is on a chain is in
//! `inventory`.

use lancekeeper_model::Branch;

/// One chain of versions: a dataset's main, or one of its Lance branches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainKey {
    /// Where the dataset lies, relative to the root; empty for a root that is a table.
    pub location: String,
    /// The Lance branch.
    pub branch: Branch,
}
