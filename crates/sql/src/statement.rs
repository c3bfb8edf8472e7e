//! The statements, as plain values.
//!
//! Not here: how they are read (`parse`), and what is looked up in a query (`query`).

use std::time::Duration;

use lancekeeper_model::{Layout, SortColumn};

use crate::names::Name;
use crate::query::Query;
use crate::span::Span;

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `COMPACT TABLE`.
    Compact(Compact),
    /// `VACUUM TABLE`.
    Vacuum(Vacuum),
    /// `OPTIMIZE TABLE`.
    Optimize(Optimize),
    /// `ALTER TABLE … SET`.
    AlterSet(AlterSet),
    /// `ALTER TABLE … RESET`.
    AlterReset(AlterReset),
    /// `SHOW JOBS`.
    ShowJobs,
    /// `CANCEL JOB`.
    CancelJob(CancelJob),
    /// The plan of a compaction, a vacuum or an optimize; never of anything else.
    Explain(Box<Statement>),
    /// A query, or the plan of one.
    Query(Query),
}

impl Statement {
    /// Its first words, as they are written in capitals.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Compact(_) => "COMPACT",
            Self::Vacuum(_) => "VACUUM",
            Self::Optimize(_) => "OPTIMIZE",
            Self::AlterSet(_) | Self::AlterReset(_) => "ALTER TABLE",
            Self::ShowJobs => "SHOW JOBS",
            Self::CancelJob(_) => "CANCEL JOB",
            Self::Explain(_) => "EXPLAIN",
            Self::Query(_) => "SELECT",
        }
    }
}

/// `COMPACT TABLE table [WHERE filter] [ORDER BY | Z_ORDER BY | HILBERT BY (columns)]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Compact {
    /// Which table.
    pub table: Name,
    /// In which order its rows are to lie from now on; `None` keeps what is remembered.
    pub order: Option<OrderColumns>,
    /// Which fragments: those of which every live row matches.
    pub filter: Option<Filter>,
}

/// The columns behind `ORDER BY`, `Z_ORDER BY` or `HILBERT BY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderColumns {
    /// By the first column, rows that are equal there by the second. The column's own name is in [`SortColumn`], too.
    Sort(Vec<(Name, SortColumn)>),
    /// Along a Z-order curve.
    ZOrder(Vec<Name>),
    /// Along a Hilbert curve.
    Hilbert(Vec<Name>),
}

impl OrderColumns {
    /// The columns as they were written.
    #[must_use]
    pub fn names(&self) -> Vec<&Name> {
        match self {
            Self::Sort(columns) => columns.iter().map(|(name, _)| name).collect(),
            Self::ZOrder(names) | Self::Hilbert(names) => names.iter().collect(),
        }
    }

    /// The layout, with each column called as `spelled` has it, in the order of [`OrderColumns::names`]. Names that
    /// `spelled` lacks stay as they were written.
    #[must_use]
    pub fn layout(&self, spelled: &[String]) -> Layout {
        let name = |at: usize, written: &Name| spelled.get(at).unwrap_or(&written.text).clone();
        let curve = |names: &[Name]| names.iter().enumerate().map(|(at, n)| name(at, n)).collect();
        match self {
            Self::Sort(columns) => {
                let columns = columns.iter().enumerate();
                let columns = columns.map(|(at, (written, column))| SortColumn {
                    name: name(at, written),
                    ..*column
                });
                Layout::Sort(columns.collect())
            }
            Self::ZOrder(names) => Layout::ZOrder(curve(names)),
            Self::Hilbert(names) => Layout::Hilbert(curve(names)),
        }
    }
}

/// The predicate of a `WHERE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// As it was written, comments included, but for names in double quotes: they stand in backticks, because Lance takes
    /// what stands in double quotes for a text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
    /// The columns in it, in their order and as often as they stand there. Of a name in parts this is the first
    /// part: the rest are fields of that column.
    pub columns: Vec<Name>,
}

/// `VACUUM TABLE table [RETAIN n DAYS]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vacuum {
    /// Which table.
    pub table: Name,
    /// For how long versions stay; older ones are deleted. `None` deletes no version: deleted rows are purged.
    pub retain: Option<Duration>,
}

/// `OPTIMIZE TABLE table [RECOMPUTE STATISTICS]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Optimize {
    /// Which table.
    pub table: Name,
    /// Whether statistics of its values are computed as well.
    pub recompute_statistics: bool,
}

/// `ALTER TABLE table SET (name = value, …)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterSet {
    /// Which table.
    pub table: Name,
    /// The options and their values, none twice.
    pub options: Vec<(Name, OptionValue)>,
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionValue {
    /// As it was written, without the quotes if it is a string.
    pub text: String,
    /// Whether it is a string.
    pub quoted: bool,
    /// Where it stands.
    pub span: Span,
}

/// `ALTER TABLE table RESET (name, …)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterReset {
    /// Which table.
    pub table: Name,
    /// The options, none twice.
    pub options: Vec<Name>,
}

/// `CANCEL JOB id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelJob {
    /// The job.
    pub id: Name,
}
