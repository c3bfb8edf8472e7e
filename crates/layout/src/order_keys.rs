//! The values of Arrow arrays as keys that compare like the values: whole words for numbers, bytes
//! for everything else.
//!
//! Nulls have no key here; what stands in their slots is any key. Dictionaries are for the caller,
//! who looks at each of their values once.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, ArrowTimestampType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_schema::{DataType, TimeUnit};

/// The highest bit: flipping it puts the negative numbers below the others.
const SIGN: u64 = 1 << 63;

/// The keys of numbers, or `None` if these are no numbers of at most 64 bits.
pub(crate) fn number_keys(array: &dyn Array) -> Option<Vec<u64>> {
    use DataType as T;
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};

    let keys = match array.data_type() {
        T::Boolean => array.as_boolean().values().iter().map(u64::from).collect(),
        T::Int8 => primitive::<Int8Type>(array),
        T::Int16 => primitive::<Int16Type>(array),
        T::Int32 => primitive::<Int32Type>(array),
        T::Int64 => primitive::<Int64Type>(array),
        T::UInt8 => primitive::<UInt8Type>(array),
        T::UInt16 => primitive::<UInt16Type>(array),
        T::UInt32 => primitive::<UInt32Type>(array),
        T::UInt64 => primitive::<UInt64Type>(array),
        T::Float16 => halves(array),
        T::Float32 => primitive::<Float32Type>(array),
        T::Float64 => primitive::<Float64Type>(array),
        T::Decimal32(..) => primitive::<Decimal32Type>(array),
        T::Decimal64(..) => primitive::<Decimal64Type>(array),
        T::Date32 => primitive::<Date32Type>(array),
        T::Date64 => primitive::<Date64Type>(array),
        T::Time32(Second) => primitive::<Time32SecondType>(array),
        T::Time32(Millisecond) => primitive::<Time32MillisecondType>(array),
        T::Time64(Microsecond) => primitive::<Time64MicrosecondType>(array),
        T::Time64(Nanosecond) => primitive::<Time64NanosecondType>(array),
        T::Timestamp(Second, _) => timestamps::<TimestampSecondType>(array),
        T::Timestamp(Millisecond, _) => timestamps::<TimestampMillisecondType>(array),
        T::Timestamp(Microsecond, _) => timestamps::<TimestampMicrosecondType>(array),
        T::Timestamp(Nanosecond, _) => timestamps::<TimestampNanosecondType>(array),
        T::Duration(Second) => primitive::<DurationSecondType>(array),
        T::Duration(Millisecond) => primitive::<DurationMillisecondType>(array),
        T::Duration(Microsecond) => primitive::<DurationMicrosecondType>(array),
        T::Duration(Nanosecond) => primitive::<DurationNanosecondType>(array),
        _ => return None,
    };
    Some(keys)
}

/// Shows the bytes of every slot, in order; of null slots, whatever stands there. `false` if these
/// are no values that compare as bytes.
pub(crate) fn each_bytes(array: &dyn Array, mut see: impl FnMut(&[u8])) -> bool {
    use DataType as T;

    let rows = 0..array.len();
    match array.data_type() {
        T::Utf8 => rows.for_each(|row| see(array.as_string::<i32>().value(row).as_bytes())),
        T::LargeUtf8 => rows.for_each(|row| see(array.as_string::<i64>().value(row).as_bytes())),
        T::Utf8View => rows.for_each(|row| see(array.as_string_view().value(row).as_bytes())),
        T::Binary => rows.for_each(|row| see(array.as_binary::<i32>().value(row))),
        T::LargeBinary => rows.for_each(|row| see(array.as_binary::<i64>().value(row))),
        T::BinaryView => rows.for_each(|row| see(array.as_binary_view().value(row))),
        T::FixedSizeBinary(_) => rows.for_each(|row| see(array.as_fixed_size_binary().value(row))),
        T::Decimal128(..) => {
            for value in array.as_primitive::<Decimal128Type>().values() {
                see(&signed_bytes(value.to_be_bytes()));
            }
        }
        T::Decimal256(..) => {
            for value in array.as_primitive::<Decimal256Type>().values() {
                see(&signed_bytes(value.to_be_bytes()));
            }
        }
        _ => return false,
    }
    true
}

/// The floating-point number of a key. The inverse of what floats do as [`OrderKey`].
pub(crate) fn float_of(key: u64) -> f64 {
    f64::from_bits(if key & SIGN == 0 { !key } else { key ^ SIGN })
}

fn primitive<T>(array: &dyn Array) -> Vec<u64>
where
    T: ArrowPrimitiveType<Native: OrderKey>,
{
    array.as_primitive::<T>().values().iter().map(|value| value.order_key()).collect()
}

/// As [`primitive`], of a type that cannot be named here.
fn halves(array: &dyn Array) -> Vec<u64> {
    array
        .as_primitive::<Float16Type>()
        .values()
        .iter()
        .map(|value| value.to_f64().order_key())
        .collect()
}

/// As [`primitive`]; the zone in the type changes nothing.
fn timestamps<T: ArrowTimestampType>(array: &dyn Array) -> Vec<u64> {
    primitive::<T>(array)
}

/// Two's complement with the highest byte first, so that it compares as bytes.
fn signed_bytes<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    bytes[0] ^= 0x80;
    bytes
}

/// A number as a word that compares like it.
trait OrderKey: Copy {
    fn order_key(self) -> u64;
}

macro_rules! order_key {
    ($($native:ty),+: $value:ident => $key:expr) => {
        $(impl OrderKey for $native {
            #[inline]
            fn order_key(self) -> u64 {
                let $value = self;
                $key
            }
        })+
    };
}

order_key!(u8, u16, u32: value => u64::from(value));
order_key!(u64: value => value);
order_key!(i8, i16, i32: value => i64::from(value).order_key());
order_key!(i64: value => value as u64 ^ SIGN);
order_key!(f32: value => f64::from(value).order_key());

impl OrderKey for f64 {
    /// By the total order of IEEE 754, so that every NaN has its place: a negative one below, the
    /// others above all numbers. Only the two zeros are one, as every filter takes them.
    #[inline]
    fn order_key(self) -> u64 {
        let bits = (self + 0.0).to_bits();
        if bits & SIGN == 0 { bits | SIGN } else { !bits }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Decimal256Array, Float64Array, Int64Array};
    use proptest::prelude::*;

    use super::*;

    fn key(value: f64) -> u64 {
        value.order_key()
    }

    #[test]
    fn zeros_are_one_and_nans_stand_at_the_ends() {
        assert_eq!(key(-0.0), key(0.0));
        let order =
            [-f64::NAN, f64::NEG_INFINITY, -1.0, -f64::MIN_POSITIVE, 0.0, 5e-324, f64::INFINITY];
        let mut keys: Vec<_> = order.into_iter().chain([f64::NAN]).map(key).collect();
        assert!(keys.is_sorted());
        keys.dedup();
        assert_eq!(keys.len(), 8);
    }

    proptest! {
        #[test]
        fn keys_of_floats_compare_as_the_floats(a: f64, b: f64) {
            prop_assert_eq!(key(a).cmp(&key(b)), (a + 0.0).total_cmp(&(b + 0.0)));
            prop_assert_eq!(float_of(key(a)).to_bits(), (a + 0.0).to_bits());
        }

        #[test]
        fn keys_of_integers_compare_as_the_integers(a: i64, b: i64) {
            let keys = number_keys(&Int64Array::from(vec![a, b])).unwrap();
            prop_assert_eq!(keys[0].cmp(&keys[1]), a.cmp(&b));
        }

        #[test]
        fn bytes_of_decimals_compare_as_the_decimals(a: i128, b: i128) {
            type Native = <Decimal256Type as ArrowPrimitiveType>::Native;
            let array = Decimal256Array::from(vec![Native::from_i128(a), Native::from_i128(b)]);
            let mut bytes = Vec::new();
            prop_assert!(each_bytes(&array, |value| bytes.push(value.to_vec())));
            prop_assert_eq!(bytes[0].cmp(&bytes[1]), a.cmp(&b));
        }
    }

    #[test]
    fn numbers_are_no_bytes_and_bytes_no_numbers() {
        let floats = Float64Array::from(vec![1.0]);
        assert!(!each_bytes(&floats, |_| {}));
        assert!(number_keys(&Decimal256Array::from(Vec::<Option<_>>::new())).is_none());
    }
}
