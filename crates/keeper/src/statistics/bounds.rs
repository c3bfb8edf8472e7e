//! The smallest and the greatest value of a leaf as they go into the document.

use arrow_array::{Array, ArrayRef};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::ArrowError;
use lancekeeper_model::BoundValue;

/// Characters of a value that are kept: enough to tell values apart, and a document stays one that people read.
const KEPT_CHARS: usize = 64;

/// The only value of an array, in words.
pub(super) fn bound(value: &ArrayRef) -> Result<BoundValue, ArrowError> {
    let options = FormatOptions::default();
    let text = ArrayFormatter::try_new(value.as_ref(), &options)?.value(0).try_to_string()?;
    Ok(match text.char_indices().nth(KEPT_CHARS) {
        Some((end, _)) => BoundValue { value: text[..end].to_owned(), truncated: true },
        None => BoundValue { value: text, truncated: false },
    })
}

/// The rows whose value is no number; `None` of what is no float.
pub(super) fn nans(values: &ArrayRef) -> Option<Vec<bool>> {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float16Type, Float32Type, Float64Type};
    use arrow_schema::DataType;

    Some(match values.data_type() {
        DataType::Float16 => {
            values.as_primitive::<Float16Type>().values().iter().map(|v| v.is_nan()).collect()
        }
        DataType::Float32 => {
            values.as_primitive::<Float32Type>().values().iter().map(|v| v.is_nan()).collect()
        }
        DataType::Float64 => {
            values.as_primitive::<Float64Type>().values().iter().map(|v| v.is_nan()).collect()
        }
        _ => return None,
    })
}

/// Bytes of all values together that are not null, where they differ in that; of lists, items.
pub(super) fn widths(values: &ArrayRef, is_valid: impl Fn(usize) -> bool) -> Option<u64> {
    use arrow_array::cast::AsArray;
    use arrow_schema::DataType as T;

    let sum = |width: &dyn Fn(usize) -> usize| -> u64 {
        (0..values.len()).filter(|row| is_valid(*row)).map(|row| width(row) as u64).sum()
    };
    Some(match values.data_type() {
        T::Utf8 => sum(&|row| values.as_string::<i32>().value_length(row) as usize),
        T::LargeUtf8 => sum(&|row| values.as_string::<i64>().value_length(row) as usize),
        T::Utf8View => sum(&|row| values.as_string_view().value(row).len()),
        T::Binary => sum(&|row| values.as_binary::<i32>().value_length(row) as usize),
        T::LargeBinary => sum(&|row| values.as_binary::<i64>().value_length(row) as usize),
        T::BinaryView => sum(&|row| values.as_binary_view().value(row).len()),
        T::List(_) => sum(&|row| values.as_list::<i32>().value_length(row) as usize),
        T::LargeList(_) => sum(&|row| values.as_list::<i64>().value_length(row) as usize),
        T::Map(..) => sum(&|row| values.as_map().value_length(row) as usize),
        _ => return None,
    })
}
