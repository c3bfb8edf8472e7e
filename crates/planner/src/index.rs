//! Index upkeep: which indexes of a table to create, refresh or rebuild, before or after its
//! fragments are rewritten; which ones have to wait and why; and which fragments may be merged
//! with which. Pure.
//!
//! # Overview
//!
//! An index never decides about its table. One that cannot be worked on is listed with its
//! reason, and the fragments are planned around it: what it covers is merged within its
//! coverage if it follows a rewrite, and stays as it is if it would be lost.
//!
//! Work is done before the Rewrite wherever the result follows the Rewrite: then fragments that
//! were covered differently can be merged in the same run. Kinds that Lance drops at a Rewrite
//! are refreshed after it.
//!
//! Not here: how groups are formed ([`crate::optimize`]), and how an index is built.

mod decide;
mod marks;
mod merges;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use lancekeeper_model::{DeclaredIndex, IndexFacts, IndexKind, IndexMode, PendingIndex};

pub use decide::plan_indexes;
pub use marks::mark_fragments;

/// How indexes are kept whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Upkeep {
    /// One segment over everything, in the form that the clients of a graph read.
    #[default]
    OneSegment,
    /// Segments of their own for new rows, merged when they are no longer small beside what
    /// they are merged with: appending costs what was appended.
    Segments,
}

/// What a caller wants of the indexes of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexWish {
    /// What to do with them.
    pub mode: IndexMode,
    /// Only these, by name; empty for all. The others are kept as they are.
    pub names: Vec<String>,
}

impl IndexWish {
    /// What is wanted of one index.
    fn of(&self, name: &str) -> IndexMode {
        let is_named = self.names.is_empty() || self.names.iter().any(|named| named == name);
        if is_named { self.mode } else { IndexMode::Keep }
    }
}

/// What is known about the indexes of one table.
#[derive(Debug, Clone, Default)]
pub struct IndexInventory {
    /// Live rows of the table.
    pub rows: u64,
    /// What exists.
    pub existing: Vec<IndexFacts>,
    /// What the schema declares.
    pub declared: Vec<DeclaredIndex>,
    /// Columns of declared vector indexes that hold no vector yet.
    pub without_vectors: Vec<String>,
    /// How indexes are kept whole here.
    pub upkeep: Upkeep,
    /// Fragments with deleted rows.
    pub with_deletions: BTreeSet<u64>,
    /// What a run has found out by trying.
    pub learned: Learned,
}

/// What a run has found out about indexes by trying.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learned {
    /// Indexes by name that could not be built, and why.
    pub failed: BTreeMap<String, String>,
    /// Those among them that Lance would leave behind at a rewrite.
    pub lost: BTreeSet<String>,
}

/// What to do with one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexAction {
    /// It is declared and does not exist.
    Create,
    /// Fold in what it does not cover.
    Refresh {
        /// How many of its segments, the newest, become one with it.
        merge: usize,
    },
    /// Train it anew from all rows.
    Rebuild,
}

/// One index to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexWork {
    /// Its name.
    pub name: String,
    /// The path of the field.
    pub column: String,
    /// Its kind.
    pub kind: IndexKind,
    /// What to do.
    pub action: IndexAction,
    /// Its segments, the oldest first.
    pub segments: Vec<String>,
}

impl IndexWork {
    /// On an index that exists.
    fn of(index: &IndexFacts, action: IndexAction) -> Self {
        Self {
            name: index.name.clone(),
            column: index.column.clone(),
            kind: index.kind,
            action,
            segments: index.segments.iter().map(|segment| segment.id.clone()).collect(),
        }
    }
}

/// The work on a table's indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexPlan {
    /// What to do before the Rewrite, by index name.
    pub before: Vec<IndexWork>,
    /// What to do after it, by index name: what the Rewrite would undo. Where no fragment is
    /// rewritten, it is done with the rest.
    pub after: Vec<IndexWork>,
    /// Indexes that are not whole and cannot be made so now.
    pub pending: Vec<PendingIndex>,
    /// The most rows that one index takes in.
    pub rows_to_read: u64,
    /// Indexes that still cover some fragments and not others when the Rewrite is committed.
    pub apart: BTreeSet<String>,
    /// Indexes that would be lost by a rewrite of what they cover.
    pub holding: BTreeSet<String>,
    /// What a Rewrite takes from indexes that nothing else is wanted of, to be given back
    /// after it.
    restore: Vec<IndexWork>,
}

impl IndexPlan {
    /// Bytes to read at most for a table of this many rows and bytes: each index reads its own
    /// column, so together they read no more of a row than the row.
    #[must_use]
    pub fn bytes_to_read(&self, rows: u64, bytes: u64) -> u64 {
        let read = u128::from(self.rows_to_read.min(rows)) * u128::from(bytes);
        u64::try_from(read.div_ceil(u128::from(rows.max(1)))).unwrap_or(u64::MAX)
    }

    /// Whether no index is to be worked on.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    /// Says what is to be done, as part of a table's reason; empty when nothing is.
    #[must_use]
    pub fn reason(&self) -> String {
        let work = || self.before.iter().chain(&self.after);
        let count = |is: fn(&IndexAction) -> bool| work().filter(|work| is(&work.action)).count();
        let mut parts = Vec::new();
        for (count, verb) in [
            (count(|action| *action == IndexAction::Create), "build"),
            (count(|action| matches!(action, IndexAction::Refresh { .. })), "refresh"),
            (count(|action| *action == IndexAction::Rebuild), "rebuild"),
        ] {
            match count {
                0 => {}
                1 => parts.push(format!("{verb} 1 index")),
                n => parts.push(format!("{verb} {n} indexes")),
            }
        }
        parts.join(", ")
    }
}
