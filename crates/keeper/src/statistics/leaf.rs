//! What is known of the values of one leaf so far.

use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_row::{OwnedRow, RowConverter, SortField};
use arrow_schema::{ArrowError, DataType};
use lancekeeper_model::ColumnStatistics;

use super::bounds::{bound, nans, widths};
use super::distinct::Distinct;
use super::leaves::Leaf;

/// What is known of a leaf.
#[derive(Debug)]
pub(super) struct LeafStatistics {
    leaf: Leaf,
    values: u64,
    nulls: u64,
    nans: Option<u64>,
    width: Option<u64>,
    /// Of values that have an order.
    ordered: Option<Ordered>,
}

/// What is known of values that have an order. They are compared as bytes that stand in the same order.
#[derive(Debug)]
struct Ordered {
    converter: RowConverter,
    /// Of which type the values are compared: that of a dictionary's values.
    data_type: DataType,
    min: Option<OwnedRow>,
    max: Option<OwnedRow>,
    distinct: Distinct,
}

impl LeafStatistics {
    /// Of a leaf of which nothing was seen yet.
    pub(super) fn new(leaf: Leaf) -> Result<Self, ArrowError> {
        let ordered = leaf.has_order.then(|| Ordered::new(&leaf.data_type)).transpose()?;
        Ok(Self { leaf, values: 0, nulls: 0, nans: None, width: None, ordered })
    }

    /// Takes in some values. `nulls`: which of them are null, or lie in something that is.
    pub(super) fn add(
        &mut self,
        values: &ArrayRef,
        nulls: Option<&NullBuffer>,
    ) -> Result<(), ArrowError> {
        let is_valid = |row: usize| nulls.is_none_or(|nulls| nulls.is_valid(row));
        self.values += values.len() as u64;
        self.nulls += nulls.map_or(0, NullBuffer::null_count) as u64;
        let plain = match (values.data_type(), &self.ordered) {
            (DataType::Dictionary(..), Some(ordered)) => cast(values, &ordered.data_type)?,
            _ => values.clone(),
        };
        if let Some(width) = widths(&plain, is_valid) {
            *self.width.get_or_insert(0) += width;
        }
        let nans = nans(&plain);
        if let Some(nans) = &nans {
            let count = (0..nans.len()).filter(|row| nans[*row] && is_valid(*row)).count();
            *self.nans.get_or_insert(0) += count as u64;
        }
        let Some(ordered) = &mut self.ordered else { return Ok(()) };
        let is_nan = |row: usize| nans.as_ref().is_some_and(|nans| nans[row]);
        ordered.add(plain, is_valid, is_nan)
    }

    /// The entry of the document.
    pub(super) fn finish(self) -> Result<ColumnStatistics, ArrowError> {
        let present = self.values - self.nulls;
        let mean = |width: u64| (present > 0).then(|| width as f64 / present as f64);
        let mut entry = ColumnStatistics {
            path: self.leaf.path,
            data_type: self.leaf.data_type.to_string(),
            values: self.values,
            nulls: Some(self.nulls),
            nans: self.nans,
            mean_width: self.width.and_then(mean),
            ..ColumnStatistics::default()
        };
        if let Some(ordered) = self.ordered {
            entry.distinct = Some(ordered.distinct.estimate());
            let said = |row: Option<&OwnedRow>| {
                let Some(row) = row else { return Ok(None) };
                let values = ordered.converter.convert_rows([row.row()])?;
                values.first().map(bound).transpose()
            };
            (entry.min, entry.max) = (said(ordered.min.as_ref())?, said(ordered.max.as_ref())?);
        }
        Ok(entry)
    }
}

impl Ordered {
    fn new(data_type: &DataType) -> Result<Self, ArrowError> {
        let data_type = match data_type {
            DataType::Dictionary(_, values) => (**values).clone(),
            other => other.clone(),
        };
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())])?;
        Ok(Self { converter, data_type, min: None, max: None, distinct: Distinct::new() })
    }

    fn add(
        &mut self,
        values: ArrayRef,
        is_valid: impl Fn(usize) -> bool,
        is_nan: impl Fn(usize) -> bool,
    ) -> Result<(), ArrowError> {
        let rows = self.converter.convert_columns(&[values])?;
        let (mut low, mut high) = (None, None);
        for (number, row) in rows.iter().enumerate().filter(|(number, _)| is_valid(*number)) {
            self.distinct.add(row.as_ref());
            if is_nan(number) {
                continue;
            }
            low = Some(low.map_or(row, |low| row.min(low)));
            high = Some(high.map_or(row, |high| row.max(high)));
        }
        if let Some(low) = low.filter(|low| self.min.as_ref().is_none_or(|min| *low < min.row())) {
            self.min = Some(low.owned());
        }
        if let Some(high) =
            high.filter(|high| self.max.as_ref().is_none_or(|max| *high > max.row()))
        {
            self.max = Some(high.owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int32Type;
    use arrow_array::{
        BinaryArray, Date32Array, DictionaryArray, FixedSizeListArray, Float64Array, Int64Array,
        StringArray,
    };
    use arrow_schema::Field;

    use super::super::leaves::leaves_of;
    use super::*;

    fn statistics(batches: &[ArrayRef]) -> ColumnStatistics {
        let field = Field::new("x", batches[0].data_type().clone(), true);
        let leaf = leaves_of(&field).remove(0);
        let mut known = LeafStatistics::new(leaf).unwrap();
        for values in batches {
            known.add(values, values.logical_nulls().as_ref()).unwrap();
        }
        known.finish().unwrap()
    }

    fn line(batches: &[ArrayRef]) -> String {
        let known = statistics(batches);
        let said = |bound: &Option<lancekeeper_model::BoundValue>| match bound {
            Some(bound) if bound.truncated => format!("{} and more", bound.value),
            Some(bound) => bound.value.clone(),
            None => "-".to_owned(),
        };
        format!(
            "{} of {} null, {} to {}, distinct {:?}, nans {:?}, width {:?}",
            known.nulls.unwrap(),
            known.values,
            said(&known.min),
            said(&known.max),
            known.distinct,
            known.nans,
            known.mean_width
        )
    }

    #[test]
    fn each_type_has_what_makes_sense_of_it() {
        let ints = |values: &[Option<i64>]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
        let two = [ints(&[Some(5), None, Some(-7)]), ints(&[Some(9), Some(5)])];
        insta::assert_snapshot!(line(&two), @"1 of 5 null, -7 to 9, distinct Some(3), nans None, width None");
        let floats = Float64Array::from(vec![f64::NAN, 2.5, -f64::NAN, f64::INFINITY]);
        insta::assert_snapshot!(line(&[Arc::new(floats)]), @"0 of 4 null, 2.5 to inf, distinct Some(4), nans Some(2), width None");
        let texts = StringArray::from(vec![Some("b"), None, Some("aaa"), Some("b")]);
        insta::assert_snapshot!(line(&[Arc::new(texts)]), @"1 of 4 null, aaa to b, distinct Some(2), nans None, width Some(1.6666666666666667)");
        let words: DictionaryArray<Int32Type> = [Some("b"), Some("a"), None].into_iter().collect();
        insta::assert_snapshot!(line(&[Arc::new(words)]), @"1 of 3 null, a to b, distinct Some(2), nans None, width Some(1.0)");
        let bytes = BinaryArray::from(vec![&b"\x01\xff"[..], &b""[..]]);
        insta::assert_snapshot!(line(&[Arc::new(bytes)]), @"0 of 2 null,  to 01ff, distinct Some(2), nans None, width Some(1.0)");
        let days = Date32Array::from(vec![19_723, 0]);
        insta::assert_snapshot!(line(&[Arc::new(days)]), @"0 of 2 null, 1970-01-01 to 2024-01-01, distinct Some(2), nans None, width None");
        insta::assert_snapshot!(line(&[ints(&[None, None])]), @"2 of 2 null, - to -, distinct Some(0), nans None, width None");
        insta::assert_snapshot!(line(&[ints(&[])]), @"0 of 0 null, - to -, distinct Some(0), nans None, width None");
    }

    #[test]
    fn what_has_no_order_has_no_bounds_and_long_values_are_cut() {
        let vectors = FixedSizeListArray::from_iter_primitive::<
            arrow_array::types::Float32Type,
            _,
            _,
        >([Some(vec![Some(1.0), Some(2.0)]), None], 2);
        insta::assert_snapshot!(line(&[Arc::new(vectors)]), @"1 of 2 null, - to -, distinct None, nans None, width None");
        let long = format!("{}tail", "ä".repeat(64));
        let known = statistics(&[Arc::new(StringArray::from(vec![long]))]);
        let max = known.max.unwrap();
        assert_eq!((max.value.chars().count(), max.truncated), (64, true));
    }

    #[test]
    fn json_of_another_library_has_no_order() {
        let metadata = [("ARROW:extension:name".to_owned(), "lance.json".to_owned())];
        let field = Field::new("j", DataType::LargeBinary, true).with_metadata(metadata.into());
        assert!(!leaves_of(&field)[0].has_order);
    }
}
