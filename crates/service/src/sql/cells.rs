//! Columns of a query's answer as cells.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, DurationFormat, FormatOptions};
use arrow_schema::{ArrowError, DataType};

use super::answer::Cell;

/// The rows of a batch.
pub(super) fn rows(batch: &RecordBatch) -> Result<Vec<Vec<Cell>>, ArrowError> {
    let columns: Vec<Vec<Cell>> = batch.columns().iter().map(column).collect::<Result<_, _>>()?;
    let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
    let row = |_| columns.iter_mut().map(|cells| cells.next().unwrap_or(Cell::Null)).collect();
    Ok((0..batch.num_rows()).map(row).collect())
}

fn column(values: &ArrayRef) -> Result<Vec<Cell>, ArrowError> {
    macro_rules! integers {
        ($kind:ty) => {
            values
                .as_primitive::<$kind>()
                .iter()
                .map(|v| Cell::maybe(v, |v| Cell::Integer(v.into())))
                .collect()
        };
    }
    macro_rules! reals {
        ($kind:ty) => {
            values
                .as_primitive::<$kind>()
                .iter()
                .map(|v| Cell::maybe(v, |v| real(v.into())))
                .collect()
        };
    }
    Ok(match values.data_type() {
        DataType::Boolean => {
            values.as_boolean().iter().map(|v| Cell::maybe(v, Cell::Flag)).collect()
        }
        DataType::Int8 => integers!(Int8Type),
        DataType::Int16 => integers!(Int16Type),
        DataType::Int32 => integers!(Int32Type),
        DataType::Int64 => integers!(Int64Type),
        DataType::UInt8 => integers!(UInt8Type),
        DataType::UInt16 => integers!(UInt16Type),
        DataType::UInt32 => integers!(UInt32Type),
        DataType::UInt64 => integers!(UInt64Type),
        DataType::Float32 => reals!(Float32Type),
        DataType::Float64 => reals!(Float64Type),
        _ => texts(values)?,
    })
}

/// JSON has no infinity, and nothing that is no number.
fn real(value: f64) -> Cell {
    if value.is_finite() { Cell::Real(value) } else { Cell::text(value.to_string()) }
}

fn texts(values: &ArrayRef) -> Result<Vec<Cell>, ArrowError> {
    let options =
        FormatOptions::default().with_null("null").with_duration_format(DurationFormat::ISO8601);
    let formatter = ArrayFormatter::try_new(values.as_ref(), &options)?;
    let cell = |row| match values.is_null(row) {
        true => Ok(Cell::Null),
        false => formatter.value(row).try_to_string().map(Cell::Text),
    };
    (0..values.len()).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int32Type;
    use arrow_array::{
        BooleanArray, Float64Array, Int64Array, ListArray, StringArray, UInt64Array,
    };
    use arrow_schema::{Field, Schema};

    use super::*;

    #[test]
    fn every_value_has_a_cell_and_what_json_lacks_is_text() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(BooleanArray::from(vec![Some(true), None])),
            Arc::new(Int64Array::from(vec![Some(i64::MIN), None])),
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])),
            Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(1.5)])),
            Arc::new(StringArray::from(vec![Some("x"), None])),
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
                Some(vec![Some(1), None]),
                None,
            ])),
        ];
        let fields = columns.iter().enumerate();
        let fields: Vec<Field> =
            fields.map(|(at, c)| Field::new(at.to_string(), c.data_type().clone(), true)).collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let rows = rows(&batch).unwrap();
        assert_eq!(
            rows[0],
            [
                Cell::Flag(true),
                Cell::Integer(i64::MIN.into()),
                Cell::Integer(u64::MAX.into()),
                Cell::text("NaN"),
                Cell::text("x"),
                Cell::text("[1, null]"),
            ]
        );
        let nulls = rows[1].iter().filter(|cell| **cell == Cell::Null).count();
        assert_eq!((nulls, &rows[1][3]), (5, &Cell::Real(1.5)));
    }
}
