//! Ranks of every type, of every shape of data, and how far data may move.

use std::sync::Arc;

use arrow_array::types::{Decimal256Type, Int8Type};
use arrow_array::*;
use proptest::prelude::*;

use super::*;
use crate::ranks::NULL_RANK;
use crate::simulation::Numbers as Random;

fn array(values: impl Array + 'static) -> ArrayRef {
    Arc::new(values)
}

fn sample(values: &ArrayRef) -> [Sample; 1] {
    [Sample { column: "c".to_owned(), values: vec![values.clone()] }]
}

fn space(values: &ArrayRef, boundaries: usize) -> Space {
    Space::from_sample(&sample(values), boundaries).unwrap()
}

fn ranks(space: &Space, values: &ArrayRef) -> Vec<u32> {
    space.ranks(std::slice::from_ref(values)).unwrap().columns()[0].clone()
}

/// How many different ranks these values have.
fn different(mut ranks: Vec<u32>) -> usize {
    ranks.sort_unstable();
    ranks.dedup();
    ranks.len()
}

/// The box around values is that of all their ranks, however it was found.
fn check_box(space: &Space, values: &ArrayRef) -> Result<(), TestCaseError> {
    for rows in [0..values.len(), 0..values.len().min(2), 0..0] {
        let part = [values.slice(rows.start, rows.len())];
        let of_ranks = RankBox::around(&space.ranks(&part).unwrap());
        prop_assert_eq!(space.box_around(&part).unwrap(), of_ranks);
    }
    Ok(())
}

/// What must hold of any space and any values, given in their order with nulls first.
fn check_order<T: Clone>(
    sampled: &ArrayRef,
    ordered: &[Option<T>],
    equal: impl Fn(&T, &T) -> bool,
    build: impl Fn(Vec<Option<T>>) -> ArrayRef,
) -> Result<(), TestCaseError> {
    for boundaries in [2, 5, 100] {
        let space = space(sampled, boundaries);
        let found = ranks(&space, &build(ordered.to_vec()));
        check_box(&space, &build(ordered.to_vec()))?;
        let valid = ordered.iter().filter(|value| value.is_some()).cloned();
        check_box(&space, &build(valid.collect()))?;
        for (pair, values) in found.windows(2).zip(ordered.windows(2)) {
            prop_assert!(pair[0] <= pair[1], "{:?}", found);
            if let [Some(one), Some(next)] = values
                && equal(one, next)
            {
                prop_assert_eq!(pair[0], pair[1]);
            }
        }
        for (rank, value) in found.iter().zip(ordered) {
            prop_assert_eq!(*rank == NULL_RANK, value.is_none());
        }
        let halves = ordered.split_at(ordered.len() / 2);
        let apart =
            [ranks(&space, &build(halves.0.to_vec())), ranks(&space, &build(halves.1.to_vec()))];
        prop_assert_eq!(apart.concat(), found, "in two batches");
    }
    Ok(())
}

fn any_float() -> impl Strategy<Value = Option<f64>> {
    proptest::option::weighted(
        0.9,
        prop_oneof![
            any::<f64>(),
            (-5..5_i32).prop_map(f64::from),
            Just(-0.0),
            Just(f64::NAN),
            Just(-f64::NAN),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(f64::MAX),
            Just(f64::MIN),
        ],
    )
}

fn any_integer() -> impl Strategy<Value = Option<i64>> {
    let value = prop_oneof![any::<i64>(), -9..9_i64, Just(i64::MIN), Just(i64::MAX)];
    proptest::option::weighted(0.9, value)
}

fn any_bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    let some = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..4),
        proptest::collection::vec(0..3_u8, 0..12),
        "(https://example.com/)?[ab]{0,20}".prop_map(String::into_bytes),
    ];
    proptest::option::weighted(0.9, some)
}

fn many<T: std::fmt::Debug>(
    value: impl Strategy<Value = Option<T>>,
) -> impl Strategy<Value = Vec<Option<T>>> {
    proptest::collection::vec(value, 0..60)
}

proptest! {
    #[test]
    fn ranks_of_floats_rise_with_them(sampled in many(any_float()), mut values in many(any_float())) {
        let key = |value: &Option<f64>| value.map(|value| value + 0.0);
        let order = |a: &f64, b: &f64| (a + 0.0).total_cmp(&(b + 0.0));
        values.extend(&sampled);
        values.sort_by(|a, b| match (key(a), key(b)) {
            (Some(a), Some(b)) => order(&a, &b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        });
        let build = |values| array(Float64Array::from(values));
        check_order(&build(sampled), &values, |a, b| order(a, b).is_eq(), build)?;
    }

    #[test]
    fn ranks_of_integers_rise_with_them(
        sampled in many(any_integer()), mut values in many(any_integer()),
    ) {
        values.extend(&sampled);
        values.sort_unstable();
        let build = |values| array(Int64Array::from(values));
        check_order(&build(sampled), &values, i64::eq, build)?;
    }

    #[test]
    fn ranks_of_bytes_rise_with_them(
        sampled in many(any_bytes()), mut values in many(any_bytes()),
    ) {
        values.extend(sampled.clone());
        values.sort_unstable();
        let build = |values: Vec<Option<Vec<u8>>>| {
            array(values.iter().map(Option::as_deref).collect::<BinaryArray>())
        };
        check_order(&build(sampled), &values, Vec::eq, build)?;
    }

    #[test]
    fn ranks_of_wide_decimals_rise_with_them(
        sampled in many(any_integer()), mut values in many(any_integer()),
    ) {
        type Native = <Decimal256Type as ArrowPrimitiveType>::Native;
        values.extend(&sampled);
        values.sort_unstable();
        let build = |values: Vec<Option<i64>>| {
            let wide = |value: i64| Native::from_i128(i128::from(value) << 20);
            let wide: Vec<_> = values.into_iter().map(|value| value.map(wide)).collect();
            array(Decimal256Array::from(wide))
        };
        check_order(&build(sampled), &values, i64::eq, build)?;
    }
}

/// Arrays of the same numbers 0 to 99 in every type that holds them, with null in the place of 50.
fn hundred() -> Vec<ArrayRef> {
    let some = |n: i64| (n != 50).then_some(n);
    let small: Vec<_> = (0..100).map(some).collect();
    macro_rules! arrays {
        ($($array:ident: $native:ty),+ $(,)?) => {
            vec![$(array(small.iter().map(|n| n.map(|n| n as $native)).collect::<$array>())),+]
        };
    }
    let mut all = arrays![
        Int8Array: i8, Int16Array: i16, Int32Array: i32, Int64Array: i64, UInt8Array: u8,
        UInt16Array: u16, UInt32Array: u32, UInt64Array: u64, Float32Array: f32, Float64Array: f64,
        Date32Array: i32, Date64Array: i64, Time32SecondArray: i32, Time32MillisecondArray: i32,
        Time64MicrosecondArray: i64, Time64NanosecondArray: i64, TimestampSecondArray: i64,
        TimestampMillisecondArray: i64, TimestampMicrosecondArray: i64,
        TimestampNanosecondArray: i64, DurationSecondArray: i64, DurationMillisecondArray: i64,
        DurationMicrosecondArray: i64, DurationNanosecondArray: i64, Decimal32Array: i32,
        Decimal64Array: i64, Decimal128Array: i128,
    ];
    let zoned: TimestampSecondArray = small.iter().copied().collect();
    all.push(array(zoned.with_timezone("+02:00")));
    let text: Vec<_> = small.iter().map(|n| n.map(|n| format!("row {n:03}"))).collect();
    all.push(array(StringArray::from(text.clone())));
    all.push(array(LargeStringArray::from(text.clone())));
    all.push(array(StringViewArray::from_iter(text.clone())));
    let bytes = || text.iter().map(|n| n.as_ref().map(String::as_bytes));
    all.push(array(BinaryArray::from_iter(bytes())));
    all.push(array(LargeBinaryArray::from_iter(bytes())));
    all.push(array(BinaryViewArray::from_iter(bytes())));
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes(), 7).unwrap();
    all.push(array(fixed));
    let words = text.iter().map(Option::as_deref);
    all.push(array(words.collect::<DictionaryArray<Int8Type>>()));
    all
}

#[test]
fn every_orderable_type_has_ranks_in_its_order() {
    for values in hundred() {
        let space = space(&values, 1000);
        let found = ranks(&space, &values);
        let valid: Vec<_> = (0..100).filter(|n| *n != 50).map(|n| found[n]).collect();
        let kind = values.data_type();
        assert!(valid.is_sorted_by(|one, next| one < next), "{kind}: {found:?}");
        assert_eq!(found[50], NULL_RANK, "{kind}");
        // Each has its share, whatever the type.
        let middle = f64::from(valid[49]) / f64::from(u32::MAX);
        assert!((middle - 0.505).abs() < 0.01, "{kind}: {middle}");
    }
    let truth = array(BooleanArray::from(vec![Some(false), None, Some(true), Some(true)]));
    let found = ranks(&space(&truth, 1000), &truth);
    assert!(found[1] == NULL_RANK && found[0] < found[2] && found[2] == found[3], "{found:?}");
}

#[test]
fn half_floats_have_ranks_too() {
    type Native = <types::Float16Type as ArrowPrimitiveType>::Native;
    let halves: Vec<_> = [-1.5, -0.0, 0.0, 2.5].into_iter().map(Native::from_f64).collect();
    let values = array(Float16Array::from(halves));
    let found = ranks(&space(&values, 1000), &values);
    assert!(found[0] < found[1] && found[1] == found[2] && found[2] < found[3], "{found:?}");
}

#[test]
fn a_dictionary_without_values_is_all_null_and_nulls_among_values_count() {
    let plain = array(StringArray::from(vec!["a", "b", "c"]));
    let space = space(&plain, 10);
    let keys = Int8Array::from(vec![None, None]);
    let none = DictionaryArray::new(keys, array(StringArray::from(Vec::<&str>::new())));
    assert_eq!(ranks(&space, &array(none.clone())), [NULL_RANK; 2]);
    let within = array(StringArray::from(vec![Some("c"), None]));
    let keys = Int8Array::from(vec![Some(1), Some(0), None]);
    let found = ranks(&space, &array(DictionaryArray::new(keys, within)));
    assert_eq!([found[0], found[2]], [NULL_RANK; 2]);
    assert_eq!(found[1], ranks(&space, &plain)[2]);
    let nothing = self::space(&array(none), 10);
    assert_eq!(nothing.columns()[0].axis.marks().nulls, 2);
}

#[test]
fn numbers_between_two_boundaries_are_spread() {
    let values = array(Int64Array::from_iter_values(0..100_000));
    let found = ranks(&space(&values, 4), &values);
    assert_eq!(different(found), 100_000);
    let values =
        array(Float64Array::from_iter_values((0..100_000).map(|n| f64::from(n).exp2() / 3.0)));
    let found = ranks(&space(&values, 1000), &values);
    assert!(found.is_sorted());
}

#[test]
fn text_between_two_boundaries_is_spread_after_what_all_begin_with() {
    let name = |n: u32| format!("https://example.com/a/very/long/path/of/items/{n:08}");
    let values = array(StringArray::from_iter_values((0..100_000).map(name)));
    let found = ranks(&space(&values, 1024), &values);
    let count = different(found);
    assert!(count > 90_000, "{count}");
}

#[test]
fn values_beyond_the_sample_keep_their_order() {
    let values = array(Int64Array::from_iter_values(0..1000));
    let later = array(Int64Array::from_iter_values((1..1000).map(|n| 1000 + n * 10)));
    let found = ranks(&space(&values, 100), &later);
    assert_eq!(different(found), 999);
    let text = |from: u32, to: u32| {
        array(StringArray::from_iter_values((from..to).map(|n| format!("2026-{n:05}"))))
    };
    // Only the first bytes that differ are told apart out there.
    let found = ranks(&space(&text(100, 200), 100), &text(200, 1000));
    assert!(found.is_sorted() && different(found) >= 80);
    let found = ranks(&space(&text(300, 400), 100), &text(0, 300));
    assert!(found.is_sorted() && different(found) >= 30);
}

#[test]
fn a_frequent_value_has_one_rank_and_leaves_the_others_theirs() {
    let skewed = (0..10_000).map(|n| if n % 10 < 9 { 7 } else { n });
    let values = array(Int64Array::from_iter_values(skewed));
    let space = space(&values, 1024);
    let found = ranks(&space, &values);
    // In the middle of its nine tenths; what is less frequent shares the rest.
    let share =
        f64::from(ranks(&space, &array(Int64Array::from(vec![7])))[0]) / f64::from(u32::MAX);
    assert!((share - 0.45).abs() < 0.01, "{share}");
    assert!(different(found) > 950);
}

#[test]
fn columns_without_two_values_have_a_space() {
    let nulls = array(Int64Array::from(vec![None, None]));
    let one = array(Int64Array::from(vec![5]));
    let none = array(Int64Array::from(Vec::<i64>::new()));
    let some = array(Int64Array::from(vec![Some(4), Some(5), Some(6), None]));
    for sampled in [&nulls, &one, &none, &array(Int64Array::from(vec![5; 9]))] {
        let found = ranks(&space(sampled, 10), &some);
        assert!(found[..3].is_sorted() && found[0] > NULL_RANK && found[3] == NULL_RANK);
    }
    let found = ranks(&space(&one, 10), &some);
    assert!(found[0] < found[1] && found[1] < found[2], "{found:?}");
    let words = array(StringArray::from(vec!["b", "b"]));
    let others = array(StringArray::from(vec!["a", "b", "ba", "c"]));
    let found = ranks(&space(&words, 10), &others);
    assert!(found.is_sorted_by(|one, next| one < next), "{found:?}");
}

#[test]
fn what_is_no_column_of_the_space_is_refused() {
    let values = array(Int64Array::from(vec![1, 2]));
    let space = space(&values, 10);
    let told = |result: Result<Ranks, SpaceError>| result.unwrap_err().to_string();
    assert_eq!(told(space.ranks(&[])), "the space has 1 columns, not 0");
    let text = array(StringArray::from(vec!["1"]));
    assert_eq!(
        told(space.ranks(&[text])),
        "column c was integer when the space was made and is text now"
    );
    let smaller = array(Int8Array::from(vec![1, 2]));
    assert_eq!(ranks(&space, &smaller), ranks(&space, &values), "a wider integer is the same one");
    let nothing = array(NullArray::new(1));
    let told = Space::from_sample(&sample(&nothing), 10).unwrap_err().to_string();
    assert!(told.starts_with("column c: Null has no order to lay rows out by;"), "{told}");
    let none = [Sample { column: "c".to_owned(), values: vec![] }];
    assert_eq!(Space::from_sample(&none, 10), Err(SpaceError::NoSample("c".to_owned())));
}

fn normal(rows: usize, shift: f64, seed: u64) -> ArrayRef {
    let mut random = Random::new(seed);
    array(Float64Array::from_iter_values((0..rows).map(|_| random.normal() + shift)))
}

#[test]
fn drift_is_what_the_data_has_moved() {
    let space = space(&normal(60_000, 0.0, 1), BOUNDARIES);
    let drift =
        |values: &ArrayRef| space.drift(&space.ranks(std::slice::from_ref(values)).unwrap());
    let unchanged = drift(&normal(10_000, 0.0, 2));
    assert!(unchanged.worst() < 0.03 && !unchanged.calls_for_renewal(), "{unchanged:?}");
    // By theory the normal distribution at half of the shift, less that at minus half.
    let shifted = drift(&normal(10_000, 1.0, 3));
    assert!((shifted.worst() - 0.383).abs() < 0.03, "{shifted:?}");
    assert!(shifted.calls_for_renewal());
    assert!(!shifted.of_part(1, 2).calls_for_renewal());
    let beyond = drift(&normal(1_000, 100.0, 4));
    assert!((beyond.worst() - 1.0).abs() < 0.001, "{beyond:?}");
    let nulls = drift(&array(Float64Array::from(vec![None, None, Some(0.0), Some(0.1)])));
    assert!(nulls.worst() >= 0.49, "{nulls:?}");
    assert!(drift(&array(Float64Array::from(Vec::<f64>::new()))).worst() < 1e-9);
    // What was null is below all values now, so up to the first boundary there is as much as there was.
    let half = self::space(&array(Int64Array::from(vec![None, Some(5)])), BOUNDARIES);
    let filled = half.ranks(&[array(Int64Array::from(vec![1, 5]))]).unwrap();
    assert!((half.drift(&filled).worst() - 0.5).abs() < 0.001);
    let renewed = space.renewed(&sample(&normal(60_000, 1.0, 3)), BOUNDARIES).unwrap();
    assert_eq!(renewed.generation(), space.generation() + 1);
}

#[test]
fn few_values_alone_are_no_drift() {
    let of = |values: &[i64]| {
        array(Int64Array::from_iter_values((0..9_000).map(|n| values[n % values.len()])))
    };
    let space = space(&of(&[1, 2, 2, 3]), BOUNDARIES);
    let drift = |values| space.drift(&space.ranks(&[values]).unwrap()).worst();
    assert!(drift(of(&[1, 2, 2, 3])) < 0.001);
    assert!((drift(of(&[1, 2, 3, 3])) - 0.25).abs() < 0.001);
    // A quarter of the rows has moved from 20 to right below it: only what is below 20 tells.
    let tens = self::space(&of(&[10, 20, 20, 20]), BOUNDARIES);
    let moved = tens.ranks(&[of(&[10, 19, 20, 20])]).unwrap();
    assert!((tens.drift(&moved).worst() - 0.25).abs() < 0.001);
    let nothing = self::space(&array(Int64Array::from(vec![None, None])), BOUNDARIES);
    let any = nothing.ranks(&[of(&[1])]).unwrap();
    assert!((nothing.drift(&any).worst() - 1.0).abs() < 1e-9);
}
