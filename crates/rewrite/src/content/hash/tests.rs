//! The same rows add up to the same, however they are permuted and cut; any other rows do not.

use std::sync::Arc;

use arrow_array::builder::{
    FixedSizeListBuilder, Float32Builder, Int32Builder, ListBuilder, MapBuilder, StringBuilder,
    StringDictionaryBuilder, StructBuilder,
};
use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, Float64Array, LargeBinaryArray, StringArray};
use arrow_schema::{DataType, Field, Fields};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{ContentHash, Hasher};

type Pair = (Option<i32>, Option<Vec<Option<String>>>);

/// A row with a column of each kind that is stored in a way of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    /// By its bits, so that NaNs are told apart.
    float: Option<u64>,
    text: Option<String>,
    word: Option<String>,
    list: Option<Vec<Option<i32>>>,
    pair: Option<Pair>,
    map: Option<Vec<(String, Option<i32>)>>,
    fixed: Option<[Option<u32>; 2]>,
    blob: Option<Vec<u8>>,
}

const COLUMNS: usize = 8;

impl Row {
    /// The same row with one value of another.
    fn with(&self, column: usize, other: &Self) -> Self {
        let (mut row, other) = (self.clone(), other.clone());
        match column {
            0 => row.float = other.float,
            1 => row.text = other.text,
            2 => row.word = other.word,
            3 => row.list = other.list,
            4 => row.pair = other.pair,
            5 => row.map = other.map,
            6 => row.fixed = other.fixed,
            _ => row.blob = other.blob,
        }
        row
    }
}

fn rows_of_a_table() -> impl Strategy<Value = Vec<Row>> {
    vec(row(), 1..12)
}

fn row() -> impl Strategy<Value = Row> {
    let floats = prop_oneof![
        Just(f64::NAN.to_bits()),
        Just(f64::NAN.to_bits() | 1),
        Just(0.0f64.to_bits()),
        Just((-0.0f64).to_bits()),
        any::<u64>(),
    ];
    let few = || option::of(0..3i32);
    let text = || option::of("[ab]{0,2}");
    let pair = (few(), option::of(vec(text(), 0..3)));
    (
        option::of(floats),
        text(),
        text(),
        option::of(vec(few(), 0..3)),
        option::of(pair),
        option::of(vec(("[ab]{1}", few()), 0..3)),
        option::of([option::of(any::<u32>()), option::of(any::<u32>())]),
        option::of(vec(0..2u8, 0..40)),
    )
        .prop_map(|(float, text, word, list, pair, map, fixed, blob)| Row {
            float,
            text,
            word,
            list,
            pair,
            map,
            fixed,
            blob,
        })
}

fn columns(rows: &[Row]) -> Vec<ArrayRef> {
    let floats: Float64Array = rows.iter().map(|row| row.float.map(f64::from_bits)).collect();
    let texts: StringArray = rows.iter().map(|row| row.text.clone()).collect();
    let blobs: LargeBinaryArray = rows.iter().map(|row| row.blob.clone()).collect();
    let mut words = StringDictionaryBuilder::<Int8Type>::new();
    let mut lists = ListBuilder::new(Int32Builder::new());
    let item = Field::new("item", DataType::Utf8, true);
    let fields = Fields::from(vec![
        Field::new("number", DataType::Int32, true),
        Field::new("words", DataType::List(Arc::new(item)), true),
    ]);
    let mut pairs = StructBuilder::new(
        fields,
        vec![Box::new(Int32Builder::new()), Box::new(ListBuilder::new(StringBuilder::new()))],
    );
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    let mut fixed = FixedSizeListBuilder::new(Float32Builder::new(), 2);
    for row in rows {
        words.append_option(row.word.as_ref());
        lists.append_option(row.list.clone());
        let (number, strings) = row.pair.clone().unwrap_or_default();
        pairs.field_builder::<Int32Builder>(0).unwrap().append_option(number);
        pairs.field_builder::<ListBuilder<StringBuilder>>(1).unwrap().append_option(strings);
        pairs.append(row.pair.is_some());
        for (key, value) in row.map.iter().flatten() {
            maps.keys().append_value(key);
            maps.values().append_option(*value);
        }
        maps.append(row.map.is_some()).unwrap();
        for value in row.fixed.unwrap_or_default() {
            fixed.values().append_option(value.map(f32::from_bits));
        }
        fixed.append(row.fixed.is_some());
    }
    vec![
        Arc::new(floats),
        Arc::new(texts),
        Arc::new(words.finish()),
        Arc::new(lists.finish()),
        Arc::new(pairs.finish()),
        Arc::new(maps.finish()),
        Arc::new(fixed.finish()),
        Arc::new(blobs),
    ]
}

/// What rows add up to when they come in batches of so many.
fn hash(rows: &[Row], batch: usize) -> ContentHash {
    let mut hasher = Hasher::default();
    for batch in rows.chunks(batch) {
        hasher.add(&columns(batch), batch.len()).unwrap();
    }
    hasher.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_add_up_to_the_same_in_any_order_and_any_batches(
        (rows, permuted) in rows_of_a_table().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        one in 1..5usize,
        other in 1..13usize,
    ) {
        prop_assert_eq!(hash(&rows, one), hash(&permuted, other));
    }

    #[test]
    fn one_other_value_adds_up_to_something_else(
        rows in rows_of_a_table(),
        other in row(),
        at in any::<prop::sample::Index>(),
        column in 0..COLUMNS,
    ) {
        let mut changed = rows.clone();
        let at = at.index(rows.len());
        changed[at] = rows[at].with(column, &other);
        prop_assert_eq!(changed == rows, hash(&changed, 4) == hash(&rows, 4));
    }

    #[test]
    fn a_lost_row_a_doubled_one_and_values_that_changed_places_add_up_to_something_else(
        rows in rows_of_a_table(),
        at in any::<prop::sample::Index>(),
        column in 0..COLUMNS,
    ) {
        let at = at.index(rows.len());
        let whole = hash(&rows, 4);
        let mut lost = rows.clone();
        lost.remove(at);
        prop_assert_ne!(hash(&lost, 4), whole);
        let mut doubled = rows.clone();
        doubled.push(rows[at].clone());
        prop_assert_ne!(hash(&doubled, 4), whole);
        // One row twice in place of another: the number of rows is the same.
        let next = (at + 1) % rows.len();
        let mut instead = rows.clone();
        instead[next] = rows[at].clone();
        prop_assert_eq!(instead == rows, hash(&instead, 4) == whole);
        let mut swapped = rows.clone();
        swapped[at] = rows[at].with(column, &rows[next]);
        swapped[next] = rows[next].with(column, &rows[at]);
        let sorted = |rows: &[Row]| {
            let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
            rows.sort();
            rows
        };
        prop_assert_eq!(sorted(&swapped) == sorted(&rows), hash(&swapped, 4) == whole);
    }
}

#[test]
fn what_looks_alike_adds_up_to_something_else() {
    let none = Row {
        float: None,
        text: None,
        word: None,
        list: None,
        pair: None,
        map: None,
        fixed: None,
        blob: None,
    };
    let alike = [
        none.clone(),
        Row { float: Some(f64::NAN.to_bits()), ..none.clone() },
        Row { float: Some(f64::NAN.to_bits() | 1), ..none.clone() },
        Row { float: Some((-f64::NAN).to_bits()), ..none.clone() },
        Row { float: Some(0.0f64.to_bits()), ..none.clone() },
        Row { float: Some((-0.0f64).to_bits()), ..none.clone() },
        Row { text: Some(String::new()), ..none.clone() },
        Row { word: Some(String::new()), ..none.clone() },
        Row { list: Some(vec![]), ..none.clone() },
        Row { list: Some(vec![None]), ..none.clone() },
        Row { list: Some(vec![None, None]), ..none.clone() },
        Row { pair: Some((None, None)), ..none.clone() },
        Row { pair: Some((None, Some(vec![]))), ..none.clone() },
        Row { pair: Some((None, Some(vec![None]))), ..none.clone() },
        Row { pair: Some((None, Some(vec![Some(String::new())]))), ..none.clone() },
        Row { map: Some(vec![]), ..none.clone() },
        Row { map: Some(vec![("a".to_owned(), None)]), ..none.clone() },
        Row { fixed: Some([None, None]), ..none.clone() },
        Row { fixed: Some([Some(f32::NAN.to_bits()), None]), ..none.clone() },
        Row { blob: Some(vec![]), ..none.clone() },
        Row { blob: Some(vec![0]), ..none.clone() },
        Row { blob: Some(vec![0, 0]), ..none },
    ];
    for (at, one) in alike.iter().enumerate() {
        for other in &alike[at + 1..] {
            let (one, other) = (std::slice::from_ref(one), std::slice::from_ref(other));
            assert_ne!(hash(one, 1), hash(other, 1), "{one:?} and {other:?}");
        }
    }
}
