//! The space of one column: from a sample, and ranks of arrays.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};

use super::numbers::Numbers;
use super::text::Text;
use super::{Marks, Sample, SpaceError, null_rows};
use crate::order_keys::{each_bytes, number_keys};
use crate::orderable::{Encoding, Ordered, ordered};
use crate::ranks::NULL_RANK;

/// The ranks of one column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnSpace {
    pub(crate) name: String,
    /// What the values meant when the sample was taken.
    pub(crate) meaning: String,
    pub(crate) axis: Axis,
}

/// The boundaries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Axis {
    Numbers(Numbers),
    Text(Text),
}

impl Axis {
    pub(super) fn marks(&self) -> &Marks {
        match self {
            Self::Numbers(numbers) => &numbers.marks,
            Self::Text(text) => &text.marks,
        }
    }
}

impl ColumnSpace {
    pub(super) fn from_sample(sample: &Sample, most: usize) -> Result<Self, SpaceError> {
        let name = &sample.column;
        let Some(first) = sample.values.first() else {
            return Err(SpaceError::NoSample(name.clone()));
        };
        let kind = kind(name, first)?;
        for array in &sample.values {
            let other = self::kind(name, array)?;
            if other != kind {
                return Err(type_changed(name, kind.meaning, other.meaning));
            }
        }
        let float = match kind.encoding {
            Encoding::Bytes => {
                let axis = Axis::Text(sampled_text(&sample.values, most));
                return Ok(Self { name: name.clone(), meaning: kind.meaning, axis });
            }
            Encoding::Float => true,
            Encoding::Whole => false,
        };
        let (keys, nulls) = sampled_numbers(&sample.values);
        let axis = Axis::Numbers(Numbers::from_sample(keys, nulls, float, most));
        Ok(Self { name: name.clone(), meaning: kind.meaning, axis })
    }

    pub(super) fn ranks(&self, array: &ArrayRef) -> Result<Vec<u32>, SpaceError> {
        let is = kind(&self.name, array)?.meaning;
        if is != self.meaning {
            return Err(type_changed(&self.name, self.meaning.clone(), is));
        }
        Ok(self.ranks_of(array.as_ref()))
    }

    /// The lowest and the highest rank of an array; `None` of one without rows. The same as that of
    /// all its ranks, in a fraction of the time: only the smallest and the greatest value are looked up.
    pub(super) fn side(&self, array: &ArrayRef) -> Result<Option<(u32, u32)>, SpaceError> {
        let ends = match (array.as_any_dictionary_opt(), &self.axis) {
            (None, Axis::Numbers(_)) if array.null_count() == 0 => number_keys(array.as_ref())
                .and_then(|keys| {
                    let ends = keys.iter().min().zip(keys.iter().max());
                    ends.map(|(low, high)| vec![*low, *high])
                }),
            _ => None,
        };
        match (ends, &self.axis) {
            (Some(ends), Axis::Numbers(numbers))
                if kind(&self.name, array)?.meaning == self.meaning =>
            {
                let ranks = numbers.ranks(&ends);
                Ok(Some((ranks[0], ranks[1])))
            }
            _ => {
                let ranks = self.ranks(array)?;
                Ok(ranks.iter().copied().min().zip(ranks.iter().copied().max()))
            }
        }
    }

    fn ranks_of(&self, array: &dyn Array) -> Vec<u32> {
        let mut ranks = match array.as_any_dictionary_opt() {
            // Without values there are only nulls, and asking for keys would panic.
            Some(dictionary) if dictionary.values().is_empty() => vec![NULL_RANK; array.len()],
            Some(dictionary) => {
                let values = self.ranks_of(dictionary.values().as_ref());
                dictionary.normalized_keys().into_iter().map(|key| values[key]).collect()
            }
            None => self.ranks_of_slots(array),
        };
        for row in null_rows(array) {
            ranks[row] = NULL_RANK;
        }
        ranks
    }

    /// The ranks of what stands in the slots, of nulls too.
    fn ranks_of_slots(&self, array: &dyn Array) -> Vec<u32> {
        match &self.axis {
            Axis::Numbers(numbers) => {
                let keys = number_keys(array).expect("a meaning has one encoding");
                numbers.ranks(&keys)
            }
            Axis::Text(text) => {
                let mut ranks = Vec::with_capacity(array.len());
                let seen = each_bytes(array, |value| ranks.push(text.rank(value)));
                assert!(seen, "a meaning has one encoding");
                ranks
            }
        }
    }
}

fn kind(name: &str, array: &ArrayRef) -> Result<Ordered, SpaceError> {
    ordered(array.data_type())
        .map_err(|reason| SpaceError::Unorderable { column: name.to_owned(), reason })
}

fn type_changed(name: &str, was: String, is: String) -> SpaceError {
    SpaceError::TypeChanged { column: name.to_owned(), was, is }
}

/// The keys of all values that are not null, and how many are.
fn sampled_numbers(arrays: &[ArrayRef]) -> (Vec<u64>, usize) {
    let mut keys = Vec::new();
    let mut nulls = 0;
    for array in arrays {
        let slots = slots(array.as_ref());
        nulls += array.len() - slots.rows.len();
        let values = number_keys(slots.values).expect("the encoding is that of numbers");
        keys.extend(slots.rows.into_iter().map(|slot| values[slot]));
    }
    (keys, nulls)
}

fn sampled_text(arrays: &[ArrayRef], most: usize) -> Text {
    let mut bytes = Vec::new();
    let mut ranges = Vec::new();
    let mut nulls = 0;
    for array in arrays {
        let slots = slots(array.as_ref());
        nulls += array.len() - slots.rows.len();
        let mut values = Vec::with_capacity(slots.values.len());
        let seen = each_bytes(slots.values, |value| {
            let start = bytes.len();
            bytes.extend_from_slice(value);
            values.push(start..bytes.len());
        });
        assert!(seen, "the encoding is that of bytes");
        ranges.extend(slots.rows.into_iter().map(|slot| values[slot].clone()));
    }
    Text::from_sample(ranges.into_iter().map(|range| &bytes[range]).collect(), nulls, most)
}

/// The values that an array's rows refer to, and the slot of each row that is not null.
struct Slots<'a> {
    values: &'a dyn Array,
    rows: Vec<usize>,
}

fn slots(array: &dyn Array) -> Slots<'_> {
    let nulls = array.logical_nulls();
    let is_valid = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
    let rows = (0..array.len()).filter(is_valid);
    match array.as_any_dictionary_opt() {
        None => Slots { values: array, rows: rows.collect() },
        Some(dictionary) if dictionary.values().is_empty() => {
            Slots { values: dictionary.values().as_ref(), rows: Vec::new() }
        }
        Some(dictionary) => {
            let keys = dictionary.normalized_keys();
            let values = dictionary.values().as_ref();
            Slots { values, rows: rows.map(|row| keys[row]).collect() }
        }
    }
}
