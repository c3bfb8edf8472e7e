//! Facts an inventory gathers about tables, and plans decide on.

use crate::{TableRef, Version};

/// What planning needs to know of one fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentFacts {
    /// The fragment's id.
    pub id: u64,
    /// Rows in its files, deleted ones included.
    pub physical_rows: u64,
    /// Rows its deletion file hides.
    pub deleted_rows: u64,
    /// Bytes that a rewrite of it reads: its data files, and the blob files beside them unless
    /// the new fragment would refer to those as they are.
    pub bytes: u64,
    /// Number of its data files.
    pub files: u64,
    /// Which index segments cover it: fragments of equal coverage carry equal numbers.
    /// Lance refuses a rewrite that merges fragments an index covers with others it does not.
    pub coverage: u32,
}

impl FragmentFacts {
    /// Rows that a reader sees.
    #[must_use]
    pub fn live_rows(&self) -> u64 {
        self.physical_rows.saturating_sub(self.deleted_rows)
    }

    /// The bytes its live rows would take, assuming rows of equal width.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        if self.physical_rows == 0 {
            return 0;
        }
        let share = u128::from(self.bytes) * u128::from(self.live_rows());
        u64::try_from(share / u128::from(self.physical_rows)).unwrap_or(u64::MAX)
    }
}

/// What planning needs to know of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFacts {
    /// The table and branch.
    pub table: TableRef,
    /// The version these facts were read at.
    pub version: Version,
    /// Top-level columns: with the bytes, they tell how large pages are.
    pub columns: u32,
    /// Whether Lance can copy pages of this table (no blob columns).
    pub can_copy_pages: bool,
    /// Fragments in manifest order.
    pub fragments: Vec<FragmentFacts>,
}

/// The kinds of index that matter to upkeep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexKind {
    /// Sorted scalar values.
    BTree,
    /// Full text.
    FullText,
    /// Vectors, of any sub-kind.
    Vector,
    /// Everything else: kept up by its own kind's means, never created here.
    Other,
}

/// What planning needs to know of one index of a table, all its segments together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFacts {
    /// Its name.
    pub name: String,
    /// The column it is on.
    pub column: String,
    /// Its kind.
    pub kind: IndexKind,
    /// The ids of its segments.
    pub segments: Vec<String>,
    /// Live rows it does not cover.
    pub uncovered_rows: u64,
}

/// An index that a graph's schema asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredIndex {
    /// The column.
    pub column: String,
    /// The kind that fits the column's type.
    pub kind: IndexKind,
}
