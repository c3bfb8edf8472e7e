//! What `status` says of the room that a cleanup would make, and of the tables that a graph
//! keeps for itself. The fields are those of `--json`.

use serde::Serialize;

use crate::{BranchSelection, OptimizeOptions, TableKey, Version};

/// What `status` is to look at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StatusOptions {
    /// Only these tables; empty means all.
    pub tables: Vec<String>,
    /// A fragment below this many bytes counts as small; `None` for the usual size.
    pub small_bytes: Option<u64>,
    /// The branches whose tables are shown, of graphs or of tables.
    pub branches: BranchSelection,
    /// Leaves out what a cleanup would free: for that every version is read, and what else is shown
    /// costs the same however many there are.
    pub quick: bool,
    /// Leaves out how many versions and which branches each table has: to learn that its directories are listed.
    pub brief: bool,
    /// The columns over which clustering depth is measured, of every table that is shown; none for no
    /// measuring. Those columns are read as a whole.
    pub depth: Vec<String>,
    /// Shows the statistics of values that were kept of each table.
    pub statistics: bool,
    /// Draws the fragments of each table that is measured.
    pub draw: bool,
    /// The sizes that the plan which is shown goes by; which tables and branches an optimize is for
    /// says nothing here.
    pub optimize: OptimizeOptions,
}

/// A table that a graph keeps for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InternalStatus {
    /// Its directory.
    pub table_key: TableKey,
    /// Its newest version on main.
    pub version: Version,
    /// Versions that exist.
    pub versions: u64,
    /// Live rows.
    pub rows: u64,
    /// Fragments.
    pub fragments: u64,
    /// Bytes of data files.
    pub bytes: u64,
}

/// What a cleanup by the default rules would free now: the figures of its own preview.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reclaimable {
    /// The rule: so many of the newest versions stay.
    pub keep_versions: u32,
    /// Versions that would go.
    pub versions: u64,
    /// Files that would go.
    pub files: u64,
    /// Bytes that would be free.
    pub bytes: u64,
    /// Forks that nothing reads, each as `TABLE@BRANCH`.
    pub orphaned_forks: Vec<String>,
    /// Files that nothing refers to and that stay for now, because they are young or too many.
    pub unverified_left: u64,
    /// Their bytes.
    pub unverified_left_bytes: u64,
    /// Tables and branches of which it is not known, each with the reason.
    pub unknown: Vec<String>,
}
