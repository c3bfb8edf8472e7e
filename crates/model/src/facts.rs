//! Facts an inventory gathers about tables, and plans decide on.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Indexes that cover everything by the time of the rewrite do not count.
    pub coverage: u32,
    /// Whether an index covers it that would be lost by a rewrite: it must stay as it is.
    pub held: bool,
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
    /// Whether Lance can copy pages of this table: no blob columns, and all data files of one version.
    pub can_copy_pages: bool,
    /// Fragments in manifest order, without those that it shares.
    pub fragments: Vec<FragmentFacts>,
    /// How many fragments are files of the table that this one was cloned or cut from.
    pub shared_fragments: u64,
    /// Fragments that the caller's predicate does not choose; none without a predicate.
    pub unchosen: BTreeSet<u64>,
    /// The pages of fragments whose pages can be made anew, by id; none unless that was asked for.
    pub pages: BTreeMap<u64, PageFacts>,
    /// Fragments with data files of another version than was asked for; none unless one was.
    pub of_other_versions: BTreeSet<u64>,
}

/// What is known of the pages of a fragment: those of its widest column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageFacts {
    /// How many there are.
    pub pages: u64,
    /// Bytes of all of them.
    pub bytes: u64,
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
    /// The smallest and the greatest value of each few thousand rows: what a filter on a column skips rows by.
    ZoneMap,
    /// Everything else: kept up by its own kind's means, never created here.
    Other,
}

/// What becomes of the entries of an index when the fragments they lie in are rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CarryOver {
    /// It stores row ids, and those stay: it covers the new fragments by itself.
    ByRowIds,
    /// It stores row addresses, and Lance can write them anew: the new segments travel in the
    /// Rewrite.
    ByRemap,
    /// It stores row addresses or places in fragments, and Lance cannot write them anew: it
    /// covers the new fragments only once it was refreshed after the Rewrite.
    ByRefresh,
    /// Nothing here can carry it over. What it covers must not be rewritten.
    Not,
}

/// One segment of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Its id.
    pub id: String,
    /// The fragments of the table that it covers, ascending.
    pub fragments: Vec<u64>,
    /// Live rows in them.
    pub rows: u64,
}

/// What planning needs to know of one index of a table, all its segments together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFacts {
    /// Its name.
    pub name: String,
    /// The path of the field it is on, quoted as Lance quotes it.
    pub column: String,
    /// Its kind.
    pub kind: IndexKind,
    /// Its segments, the oldest first.
    pub segments: Vec<SegmentFacts>,
    /// Live rows it does not cover.
    pub uncovered_rows: u64,
    /// What a rewrite does to it.
    pub carry_over: CarryOver,
    /// Whether it can take in new rows as a segment of its own, at the cost of those rows.
    pub can_append: bool,
    /// Whether it has to be made anew before it can be kept up: it is not in the form that the
    /// clients of a graph read, or an earlier compaction left it behind its rows.
    pub must_be_rebuilt: bool,
    /// Why it can be neither refreshed nor rebuilt, if that is known.
    pub unusable: Option<String>,
}

/// An index that a graph's schema asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredIndex {
    /// The column.
    pub column: String,
    /// The kind that fits the column's type.
    pub kind: IndexKind,
}
