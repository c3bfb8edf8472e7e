//! The order that a permuted rewrite gives rows: what a layout comes to, once its columns are known and
//! the space of its values.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, SortOptions};
use lancekeeper_layout::{Curve, Space};
use lancekeeper_model::{Direction, Layout, NullPlacement};

/// An order of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrangement {
    /// By what rows are sorted.
    pub(crate) order: Order,
    /// Where their values lie.
    pub(crate) space: Space,
}

/// By what rows are sorted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Order {
    /// By these columns themselves.
    Columns(Vec<(String, SortOptions)>),
    /// By their places on a curve.
    Curve(Curve),
}

impl Arrangement {
    /// That of a layout in the space of its columns; `None` of a layout that gives rows no order.
    #[must_use]
    pub fn new(layout: &Layout, space: Space) -> Option<Self> {
        let order = match layout {
            Layout::Sort(columns) => {
                let options = |column: &lancekeeper_model::SortColumn| SortOptions {
                    descending: column.direction == Direction::Descending,
                    nulls_first: column.nulls == NullPlacement::First,
                };
                Order::Columns(columns.iter().map(|c| (c.name.clone(), options(c))).collect())
            }
            Layout::ZOrder(_) => Order::Curve(Curve::ZOrder),
            Layout::Hilbert(_) | Layout::Graph => Order::Curve(Curve::Hilbert),
            Layout::BinPack | Layout::Auto | Layout::None => return None,
        };
        Some(Self { order, space })
    }

    /// The columns of the space, out of a batch.
    ///
    /// # Errors
    ///
    /// When the batch lacks one of them.
    pub(crate) fn columns_of(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, ArrowError> {
        let column = |name: &str| {
            let missing = || ArrowError::SchemaError(format!("there is no column {name}"));
            batch.column_by_name(name).cloned().ok_or_else(missing)
        };
        self.space.column_names().map(column).collect()
    }
}
