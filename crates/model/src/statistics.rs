//! Statistics of a table's values, computed at one version and kept beside the root: the document, as it is
//! written and read. The names of its fields are the format.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::DocumentKind;

/// The version of the format that is written, and the newest that is read.
pub const STATISTICS_FORMAT: u32 = DocumentKind::Statistics.version();

/// What is known of the values in a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableStatistics {
    /// The version of the format.
    pub format: u32,
    /// The table, as its root calls it.
    pub table: String,
    /// The branch; null on main.
    pub branch: Option<String>,
    /// The version of the table that they were computed at.
    pub version: u64,
    /// When.
    pub computed_at: DateTime<Utc>,
    /// Live rows.
    pub rows: u64,
    /// One entry for each leaf of the columns, in the order of the schema.
    pub columns: Vec<ColumnStatistics>,
}

/// What is known of the values of one leaf.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// The path: `a` for a column, `a.b` for a field of a struct, `a.item` for the items of a list.
    pub path: String,
    /// The Arrow type.
    pub data_type: String,
    /// Values, nulls included: the table's rows, or the items of all lists.
    pub values: u64,
    /// Values that are null, or lie in something that is; null if they were not looked at.
    pub nulls: Option<u64>,
    /// Values that are no number, of floats.
    pub nans: Option<u64>,
    /// The smallest value, neither null nor no number; null without one, and of types without an order.
    pub min: Option<BoundValue>,
    /// The greatest.
    pub max: Option<BoundValue>,
    /// How many different values there are, by estimate: within 2 % nearly always.
    pub distinct: Option<u64>,
    /// Bytes of a value on average, nulls not counted, where values differ in that; of lists, items.
    pub mean_width: Option<f64>,
    /// Why nothing is known of it, if so.
    pub left_out: Option<String>,
}

/// The smallest or greatest value of a leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundValue {
    /// The value as text; binary in hexadecimal digits.
    pub value: String,
    /// Whether only its beginning is kept. The greatest value is then greater than what is kept.
    pub truncated: bool,
}

/// What became of the statistics of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatisticsNote {
    /// The document, relative to the root.
    pub file: String,
    /// The version of the table that they are of.
    pub version: crate::Version,
    /// Whether it was written; in a dry run nothing is.
    pub written: bool,
}
