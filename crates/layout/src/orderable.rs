//! Which Arrow types have an order that rows can be laid out by, and by name which have none.
//!
//! How the values of a type become keys is in `order_keys`.

use arrow_schema::{DataType, TimeUnit};

/// How the values of a type are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As whole numbers of at most 64 bits; distances are differences.
    Whole,
    /// As floating-point numbers in their total order; distances are differences.
    Float,
    /// As bytes, the first one first; distances are read from what follows a common beginning.
    Bytes,
}

/// A type that has an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ordered {
    pub(crate) encoding: Encoding,
    /// What a value means, as text: columns whose types say the same can share boundaries, and a column
    /// whose type says something else since has changed its meaning.
    pub(crate) meaning: String,
}

/// A type without an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} has no order to lay rows out by; what has one are integers, floats, decimals, dates, times, \
     timestamps, durations, strings, binary, booleans, and dictionaries of those"
)]
pub struct Unorderable(pub DataType);

/// Whether rows can be laid out by a column of this type.
///
/// # Errors
///
/// Names the type, and what can be ordered.
pub fn check_orderable(data_type: &DataType) -> Result<(), Unorderable> {
    ordered(data_type).map(|_| ())
}

pub(crate) fn ordered(data_type: &DataType) -> Result<Ordered, Unorderable> {
    use DataType as T;
    use Encoding::{Bytes, Float, Whole};

    let (encoding, meaning) = match data_type {
        T::Boolean => (Whole, "boolean".to_owned()),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 => (Whole, "integer".to_owned()),
        T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => (Whole, "unsigned integer".to_owned()),
        T::Float16 | T::Float32 | T::Float64 => (Float, "float".to_owned()),
        T::Decimal32(_, scale) | T::Decimal64(_, scale) => {
            (Whole, format!("decimal scale {scale}"))
        }
        T::Decimal128(_, scale) => (Bytes, format!("decimal of 128 bits scale {scale}")),
        T::Decimal256(_, scale) => (Bytes, format!("decimal of 256 bits scale {scale}")),
        T::Date32 => (Whole, "date in days".to_owned()),
        T::Date64 => (Whole, "date in ms".to_owned()),
        T::Time32(TimeUnit::Second | TimeUnit::Millisecond)
        | T::Time64(TimeUnit::Microsecond | TimeUnit::Nanosecond)
        | T::Duration(_) => (Whole, data_type.to_string()),
        // The zone says how it is shown, not which moment it is.
        T::Timestamp(unit, _) => (Whole, T::Timestamp(*unit, None).to_string()),
        T::Utf8 | T::LargeUtf8 | T::Utf8View => (Bytes, "text".to_owned()),
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => {
            (Bytes, "binary".to_owned())
        }
        // One of another dictionary says nothing new, and Arrow's kernels do not know it.
        T::Dictionary(_, values) if !matches!(**values, T::Dictionary(..)) => {
            return ordered(values).map_err(|_| Unorderable(data_type.clone()));
        }
        other => return Err(Unorderable(other.clone())),
    };
    Ok(Ordered { encoding, meaning })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{Field, IntervalUnit};

    use super::*;

    fn dictionary(values: DataType) -> DataType {
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(values))
    }

    #[test]
    fn what_has_no_order_is_named_with_what_has_one() {
        let list = DataType::List(Arc::new(Field::new("item", DataType::Int32, true)));
        let told = check_orderable(&list).unwrap_err().to_string();
        assert!(told.starts_with("List(Int32) has no order"), "{told}");
        assert!(told.contains("timestamps, durations, strings, binary, booleans"), "{told}");
        for none in [
            DataType::Null,
            DataType::Interval(IntervalUnit::MonthDayNano),
            DataType::FixedSizeList(Arc::new(Field::new("item", DataType::Float32, true)), 8),
            DataType::Struct(vec![Field::new("x", DataType::Int8, true)].into()),
            DataType::Time32(TimeUnit::Nanosecond),
            dictionary(DataType::Null),
            dictionary(dictionary(DataType::Utf8)),
        ] {
            assert_eq!(check_orderable(&none), Err(Unorderable(none)));
        }
    }

    #[test]
    fn types_that_mean_the_same_share_boundaries_and_others_do_not() {
        let meaning = |data_type| ordered(&data_type).unwrap().meaning;
        assert_eq!(meaning(DataType::Int8), meaning(DataType::Int64));
        assert_eq!(meaning(DataType::Utf8View), meaning(dictionary(DataType::LargeUtf8)));
        let zone = Some("Europe/Berlin".into());
        let unit = TimeUnit::Microsecond;
        assert_eq!(
            meaning(DataType::Timestamp(unit, zone)),
            meaning(DataType::Timestamp(unit, None))
        );
        assert_ne!(
            meaning(DataType::Timestamp(unit, None)),
            meaning(DataType::Timestamp(TimeUnit::Second, None))
        );
        assert_ne!(meaning(DataType::Decimal128(10, 2)), meaning(DataType::Decimal128(10, 3)));
        assert_ne!(meaning(DataType::Int64), meaning(DataType::UInt64));
    }
}
