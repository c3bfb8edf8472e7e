//! Why a table was left alone: as stable tokens that scripts match on, and in words for people.

use std::fmt;

use serde::{Serialize, Serializer};

/// Why a verb left a table alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// This Lance cannot rewrite the table's blob columns.
    BlobColumnsUnsupportedByLance,
    /// The table's HEAD is ahead of its pin and nothing explains it: `repair` decides.
    DriftNeedsRepair,
    /// An unfinished operation of another writer names the table.
    RecoveryPending,
    /// The branch reads the table from where it was cut and owns no version of it.
    Inherited,
    /// Writers changed every fragment that was to be rewritten; the next run tries again.
    ChangedByWriters,
    /// It has fewer fragments than the caller wants a table to have before it is worked on.
    AlreadyCompact,
    /// The run's budget was spent before anything of the table was begun; the next run goes on.
    BudgetSpent,
    /// It is another table of the root under a second name, and is worked on under that one.
    AnotherName,
    /// Its directory lies outside of the root: it is worked on where it lies.
    OutsideOfRoot,
    /// The run ended before it was done: it was interrupted, or failed as a whole.
    RunEnded,
    /// It keeps an index of Lance's own that speaks of fragments and row addresses (write-ahead
    /// state, a deferred remap): only the writer that keeps it can carry it over.
    SystemIndexPresent,
    /// An index of it lies in the table it was cloned from, and would still be looked for there.
    IndexInBase,
    /// An index of it cannot be opened by this build, and a rewrite would empty it.
    IndexUnreadable,
    /// All its data files lie in another table's directory, and rewriting them would undo the
    /// sharing.
    FilesInBase,
    /// The table was declared and has no version yet.
    Declared,
    /// The table was taken off its database's list of tables.
    Deregistered,
    /// The directory has the name of a table, and there is nothing in it.
    NotATable,
    /// The table has no Lance branch of the name that was asked for.
    NoSuchBranch,
    /// It cannot be kept in the layout that it remembers: a column is gone, or has no order.
    LayoutImpossible,
    /// The caller's predicate cannot be asked of the table: it lacks a column, for example.
    PredicateUnfit,
    /// The layout that was asked for of all tables is none for this one of a graph: it is no edge table, lacks a
    /// column, or has an index that the graph's clients cannot use over rows in another order.
    LayoutUnfit,
}

impl SkipReason {
    /// The stable token.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::BlobColumnsUnsupportedByLance => "blob_columns_unsupported_by_lance",
            Self::DriftNeedsRepair => "drift_needs_repair",
            Self::RecoveryPending => "recovery_pending",
            Self::Inherited => "inherited",
            Self::ChangedByWriters => "changed_by_writers",
            Self::AlreadyCompact => "already_compact",
            Self::BudgetSpent => "budget_spent",
            Self::AnotherName => "another_name",
            Self::OutsideOfRoot => "outside_of_root",
            Self::RunEnded => "run_ended",
            Self::SystemIndexPresent => "system_index_present",
            Self::IndexInBase => "index_in_base",
            Self::IndexUnreadable => "index_unreadable",
            Self::FilesInBase => "files_in_base",
            Self::Declared => "declared",
            Self::Deregistered => "deregistered",
            Self::NotATable => "not_a_table",
            Self::NoSuchBranch => "no_such_branch",
            Self::LayoutImpossible => "layout_impossible",
            Self::PredicateUnfit => "predicate_unfit",
            Self::LayoutUnfit => "layout_unfit",
        }
    }

    /// The same in words.
    fn words(self) -> &'static str {
        match self {
            Self::BlobColumnsUnsupportedByLance => "Lance cannot rewrite its blob columns",
            Self::DriftNeedsRepair => "HEAD is not the published version",
            Self::RecoveryPending => "an operation of another writer on it is unfinished",
            Self::Inherited => "read from another branch",
            Self::ChangedByWriters => "writers changed it meanwhile",
            Self::AlreadyCompact => "compact enough",
            Self::BudgetSpent => "budget spent",
            Self::AnotherName => "another name of a table",
            Self::OutsideOfRoot => "lies outside of the root",
            Self::RunEnded => "the run ended before",
            Self::SystemIndexPresent => "has an index that only its writer can carry over",
            Self::IndexInBase => "an index lies in the table it was cloned from",
            Self::IndexUnreadable => "an index cannot be opened",
            Self::FilesInBase => "its files lie in another table's directory",
            Self::Declared => "declared, without a version",
            Self::Deregistered => "taken off the list of tables",
            Self::NotATable => "not a table",
            Self::NoSuchBranch => "has no branch of that name",
            Self::LayoutImpossible => "its layout has become impossible",
            Self::PredicateUnfit => "the predicate cannot be asked of it",
            Self::LayoutUnfit => "not a table for this layout",
        }
    }

    /// Whether the caller's own limits left the table alone, and nothing else stands in the way.
    #[must_use]
    pub fn is_by_choice(&self) -> bool {
        matches!(
            self,
            Self::AlreadyCompact | Self::BudgetSpent | Self::PredicateUnfit | Self::LayoutUnfit
        )
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl Serialize for SkipReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A declared index that does not exist yet, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PendingIndex {
    /// The column it is declared on.
    pub column: String,
    /// Why it cannot be built yet.
    pub reason: String,
}
