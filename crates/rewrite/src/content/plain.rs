//! The same values in types that Arrow's row format has. It lacks maps, and dictionaries whose values
//! are nested; everything else stays as it is.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, ListArray, OffsetSizeTrait, StructArray,
};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{ArrowError, DataType, Field};
use arrow_select::take::take;

/// The values of a column, maps as lists of their entries and dictionaries by their values where
/// that is needed.
///
/// # Errors
///
/// When a type is left that the row format does not have.
pub(super) fn plain(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if RowConverter::supports_fields(&[SortField::new(column.data_type().clone())]) {
        return Ok(Arc::clone(column));
    }
    match column.data_type() {
        DataType::Map(..) => {
            let map = column.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            let entries = plain(&entries)?;
            let (field, nulls) = (item(&entries), map.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(field, map.offsets().clone(), entries, nulls)?))
        }
        DataType::Struct(fields) => {
            let values = column.as_struct();
            let columns = values.columns().iter().map(plain).collect::<Result<Vec<_>, _>>()?;
            let fields: Vec<Field> = fields
                .iter()
                .zip(&columns)
                .map(|(field, column)| {
                    Field::new(field.name(), column.data_type().clone(), field.is_nullable())
                })
                .collect();
            Ok(Arc::new(StructArray::try_new(fields.into(), columns, values.nulls().cloned())?))
        }
        DataType::List(_) => list::<i32>(column),
        DataType::LargeList(_) => list::<i64>(column),
        DataType::FixedSizeList(_, width) => {
            let list = column.as_fixed_size_list();
            let values = plain(list.values())?;
            let (field, nulls) = (item(&values), list.nulls().cloned());
            let length = list.len();
            Ok(Arc::new(FixedSizeListArray::try_new_with_length(
                field, *width, values, nulls, length,
            )?))
        }
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            plain(&take(dictionary.values().as_ref(), dictionary.keys(), None)?)
        }
        other => Err(ArrowError::NotYetImplemented(format!(
            "values of type {other} cannot be compared with each other"
        ))),
    }
}

fn list<O: OffsetSizeTrait>(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let list = column.as_list::<O>();
    let values = plain(list.values())?;
    let (field, nulls) = (item(&values), list.nulls().cloned());
    Ok(Arc::new(GenericListArray::<O>::try_new(field, list.offsets().clone(), values, nulls)?))
}

fn item(values: &ArrayRef) -> Arc<Field> {
    Arc::new(Field::new("item", values.data_type().clone(), true))
}
