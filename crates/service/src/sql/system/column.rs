//! Columns of system tables, and cells as Arrow arrays.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};

use crate::sql::answer::Cell;

/// A column of a system table.
#[derive(Debug)]
pub struct SystemColumn {
    /// Its name.
    pub name: &'static str,
    /// What its values are. Every column may be null.
    pub kind: ColumnKind,
    /// What they mean.
    pub about: &'static str,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// Whole numbers.
    Count,
    /// Numbers.
    Real,
    /// Yes or no.
    Flag,
    /// Moments, in UTC.
    Time,
}

impl ColumnKind {
    /// As SQL calls the type.
    #[must_use]
    pub fn sql_name(self) -> &'static str {
        match self {
            Self::Text => "varchar",
            Self::Count => "bigint",
            Self::Real => "double",
            Self::Flag => "boolean",
            Self::Time => "timestamp",
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            // Signed: the difference of two counts may be below 0.
            Self::Count => DataType::Int64,
            Self::Real => DataType::Float64,
            Self::Flag => DataType::Boolean,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

pub(super) const fn text(name: &'static str, about: &'static str) -> SystemColumn {
    SystemColumn { name, kind: ColumnKind::Text, about }
}

pub(super) const fn count(name: &'static str, about: &'static str) -> SystemColumn {
    SystemColumn { name, kind: ColumnKind::Count, about }
}

pub(super) const fn real(name: &'static str, about: &'static str) -> SystemColumn {
    SystemColumn { name, kind: ColumnKind::Real, about }
}

pub(super) const fn flag(name: &'static str, about: &'static str) -> SystemColumn {
    SystemColumn { name, kind: ColumnKind::Flag, about }
}

pub(super) const fn time(name: &'static str, about: &'static str) -> SystemColumn {
    SystemColumn { name, kind: ColumnKind::Time, about }
}

/// Rows as a batch. A cell of another kind than its column is null, as is one that is missing.
pub(super) fn batch(
    columns: &[SystemColumn],
    rows: &[Vec<Cell>],
) -> Result<RecordBatch, ArrowError> {
    let fields =
        columns.iter().map(|column| Field::new(column.name, column.kind.data_type(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let arrays = columns.iter().enumerate().map(|(at, column)| array(column.kind, at, rows));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema, arrays.collect(), &options)
}

fn array(kind: ColumnKind, at: usize, rows: &[Vec<Cell>]) -> ArrayRef {
    let cells = rows.iter().map(|row| row.get(at));
    match kind {
        ColumnKind::Text => Arc::new(StringArray::from_iter(cells.map(|cell| match cell {
            Some(Cell::Text(text)) => Some(text.as_str()),
            _ => None,
        }))),
        ColumnKind::Count => Arc::new(Int64Array::from_iter(cells.map(|cell| match cell {
            Some(Cell::Integer(number)) => Some(i64::try_from(*number).unwrap_or(i64::MAX)),
            _ => None,
        }))),
        ColumnKind::Real => Arc::new(Float64Array::from_iter(cells.map(|cell| match cell {
            Some(Cell::Real(number)) => Some(*number),
            _ => None,
        }))),
        ColumnKind::Flag => Arc::new(BooleanArray::from_iter(cells.map(|cell| match cell {
            Some(Cell::Flag(flag)) => Some(*flag),
            _ => None,
        }))),
        ColumnKind::Time => {
            let times = cells.map(|cell| match cell {
                Some(Cell::Time(time)) => Some(time.timestamp_micros()),
                _ => None,
            });
            Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"))
        }
    }
}
