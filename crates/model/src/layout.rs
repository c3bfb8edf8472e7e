//! In which order the rows of a table lie, as people ask for it: `hilbert:lat,lon`.
//!
//! A layout is plain data with one written form, which [`Layout`] is parsed from and which it
//! displays as. What a column's type has to be, and how rows get their order, is in the crate
//! `layout`.
//!
//! # The written form
//!
//! ```text
//! binpack | none | auto | graph
//! sort:ts,-id            by ts, then by id from the greatest to the smallest
//! sort:-ts:nullslast     where the nulls go, if it is not the usual place
//! zorder:a,b             1 to 8 columns
//! hilbert:a,b            1 to 8 columns
//! ```
//!
//! A null counts as the smallest value, as in Iceberg and Spark: ascending columns have their nulls
//! first, descending ones last. `:nullsfirst` and `:nullslast` say otherwise. A column whose name
//! holds `,`, `:`, a backtick or white space, or begins with `-`, stands between backticks; a backtick within is
//! doubled.

mod parse;
mod words;

#[cfg(test)]
mod tests;

pub use parse::LayoutError;

/// The most columns of a curve. Each halving of the rows then still halves every column once in
/// eight steps; with more columns none would be cut often enough for a range to skip anything.
pub const CURVE_COLUMNS_MAX: usize = 8;

/// The columns of a graph's edges that say from which node they go and to which: those of the layout `graph`.
pub const EDGE_COLUMNS: [&str; 2] = ["src", "dst"];

/// The order of a table's rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Small fragments become larger ones, and rows stay in their order.
    BinPack,
    /// By the first column, rows that are equal there by the second, and so on.
    Sort(Vec<SortColumn>),
    /// Along a Z-order curve over the ranks of these columns.
    ZOrder(Vec<String>),
    /// Along a Hilbert curve over the ranks of these columns.
    Hilbert(Vec<String>),
    /// For edges of a graph: along a Hilbert curve over the ranks of source and destination, so that both the
    /// edges that go out of a node and those that come in lie in few places.
    Graph,
    /// Whatever the declared keys, the indexes and the queries suggest.
    Auto,
    /// None is kept up, and a remembered one is forgotten.
    None,
}

/// The first word of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayoutKind {
    /// [`Layout::BinPack`].
    BinPack,
    /// [`Layout::Sort`].
    Sort,
    /// [`Layout::ZOrder`].
    ZOrder,
    /// [`Layout::Hilbert`].
    Hilbert,
    /// [`Layout::Graph`].
    Graph,
    /// [`Layout::Auto`].
    Auto,
    /// [`Layout::None`].
    None,
}

/// A column that rows are sorted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SortColumn {
    /// Its name.
    pub name: String,
    /// Which way.
    pub direction: Direction,
    /// Where its nulls go.
    pub nulls: NullPlacement,
}

/// Which way a column is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the smallest to the greatest.
    Ascending,
    /// From the greatest to the smallest.
    Descending,
}

/// Where nulls go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NullPlacement {
    /// Before every value.
    First,
    /// After every value.
    Last,
}

impl Direction {
    /// Where the nulls go unless told: where the smallest values are.
    #[must_use]
    pub fn usual_nulls(self) -> NullPlacement {
        match self {
            Self::Ascending => NullPlacement::First,
            Self::Descending => NullPlacement::Last,
        }
    }
}

impl SortColumn {
    /// This column, with nulls in the usual place.
    #[must_use]
    pub fn new(name: impl Into<String>, direction: Direction) -> Self {
        Self { name: name.into(), direction, nulls: direction.usual_nulls() }
    }
}

impl Layout {
    /// Its first word.
    #[must_use]
    pub fn kind(&self) -> LayoutKind {
        match self {
            Self::BinPack => LayoutKind::BinPack,
            Self::Sort(_) => LayoutKind::Sort,
            Self::ZOrder(_) => LayoutKind::ZOrder,
            Self::Hilbert(_) => LayoutKind::Hilbert,
            Self::Graph => LayoutKind::Graph,
            Self::Auto => LayoutKind::Auto,
            Self::None => LayoutKind::None,
        }
    }

    /// The columns it is about, in their order. What `auto` comes to is not known here.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::Sort(columns) => columns.iter().map(|column| column.name.as_str()).collect(),
            Self::ZOrder(columns) | Self::Hilbert(columns) => {
                columns.iter().map(String::as_str).collect()
            }
            Self::Graph => EDGE_COLUMNS.to_vec(),
            Self::BinPack | Self::Auto | Self::None => Vec::new(),
        }
    }
}
