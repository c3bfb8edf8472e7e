//! The curves against slow ones that follow their definitions bit by bit.

use std::collections::HashSet;

use arrow_array::Array;
use proptest::prelude::*;

use super::*;

/// One bit of each column in turn, as a big number.
fn naive_interleave(axes: &[u32], bits: u32) -> Vec<bool> {
    (0..bits).rev().flat_map(|bit| axes.iter().map(move |axis| axis >> bit & 1 == 1)).collect()
}

/// Skilling's program as he wrote it, one point at a time.
fn naive_hilbert(point: &[u32], bits: u32) -> Vec<u32> {
    let mut x = point.to_vec();
    let n = x.len();
    let mut q = 1_u32 << (bits - 1);
    while q > 1 {
        let p = q - 1;
        for i in 0..n {
            if x[i] & q != 0 {
                x[0] ^= p;
            } else {
                let t = (x[0] ^ x[i]) & p;
                x[0] ^= t;
                x[i] ^= t;
            }
        }
        q >>= 1;
    }
    for i in 1..n {
        x[i] ^= x[i - 1];
    }
    let mut t = 0;
    let mut q = 1_u32 << (bits - 1);
    while q > 1 {
        if x[n - 1] & q != 0 {
            t ^= q - 1;
        }
        q >>= 1;
    }
    x.iter().map(|axis| axis ^ t).collect()
}

fn packed(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8)
        .map(|eight| eight.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit)))
        .collect()
}

fn place(point: &[u32], bits: u32) -> u64 {
    let mut axes: Vec<_> = point.iter().map(|axis| vec![*axis]).collect();
    hilbert::turn(&mut axes, bits);
    let turned: Vec<_> = axes.iter().map(|axis| axis[0]).collect();
    naive_interleave(&turned, bits).iter().fold(0, |place, bit| place << 1 | u64::from(*bit))
}

/// Every point of a small space, in the order of the curve.
fn walk(dims: usize, bits: u32) -> Vec<Vec<u32>> {
    let side = 1_u32 << bits;
    let points = u64::from(side).pow(dims as u32);
    let point = |n: u64| -> Vec<u32> {
        (0..dims)
            .map(|dim| (n / u64::from(side).pow(dim as u32) % u64::from(side)) as u32)
            .collect()
    };
    let mut order: Vec<_> = (0..points).map(|n| (place(&point(n), bits), point(n))).collect();
    order.sort();
    let places: HashSet<_> = order.iter().map(|(place, _)| *place).collect();
    assert_eq!(places.len() as u64, points, "{dims} columns of {bits} bits: no place twice");
    assert_eq!(order.last().unwrap().0, points - 1, "and none is left out");
    order.into_iter().map(|(_, point)| point).collect()
}

#[test]
fn hilbert_neighbours_differ_by_one_step_in_one_column() {
    for (dims, bits) in [(1, 6), (2, 1), (2, 2), (2, 6), (3, 1), (3, 4), (4, 3), (5, 2), (8, 1)] {
        for pair in walk(dims, bits).windows(2) {
            let steps: u32 = pair[0].iter().zip(&pair[1]).map(|(a, b)| a.abs_diff(*b)).sum();
            assert_eq!(steps, 1, "{dims} columns of {bits} bits: {pair:?}");
        }
    }
}

#[test]
fn identical_rows_have_identical_keys_wherever_they_stand() {
    let rows = 3 * CHUNK + 7;
    let ranks = Ranks::new(vec![vec![77; rows], vec![u32::MAX; rows], vec![5; rows]]);
    let keys = byte_keys(Curve::Hilbert, &ranks).unwrap();
    assert_eq!(keys.len(), rows);
    assert!((0..rows).all(|row| keys.value(row) == keys.value(0)));
}

#[test]
fn a_curve_takes_one_to_eight_columns() {
    let nine = Ranks::new(vec![vec![1]; 9]);
    assert_eq!(curve_keys(Curve::ZOrder, &nine), Err(TooManyColumns(9)));
    assert!(curve_keys(Curve::ZOrder, &Ranks::new(vec![vec![1]; 8])).is_ok());
    let told = TooManyColumns(9).to_string();
    assert_eq!(told, "a curve takes 1 to 8 columns, not 9");
}

fn any_ranks() -> impl Strategy<Value = Vec<Vec<u32>>> {
    (1..=CURVE_COLUMNS_MAX, 1..40_usize).prop_flat_map(|(dims, rows)| {
        let column = proptest::collection::vec(any::<u32>(), rows);
        proptest::collection::vec(column, dims)
    })
}

proptest! {
    #[test]
    fn keys_are_those_of_the_slow_curves(columns in any_ranks()) {
        let ranks = Ranks::new(columns.clone());
        let zorder = byte_keys(Curve::ZOrder, &ranks).unwrap();
        let hilbert = byte_keys(Curve::Hilbert, &ranks).unwrap();
        for row in 0..ranks.rows() {
            let point: Vec<_> = columns.iter().map(|column| column[row]).collect();
            let expected = packed(&naive_interleave(&point, 32));
            prop_assert_eq!(zorder.value(row), expected);
            let expected = packed(&naive_interleave(&naive_hilbert(&point, 32), 32));
            prop_assert_eq!(hilbert.value(row), expected);
        }
        prop_assert_eq!(byte_keys(Curve::Hilbert, &ranks).unwrap(), hilbert);
    }

    #[test]
    fn words_compare_as_the_bytes_do(
        columns in proptest::collection::vec(proptest::collection::vec(any::<u32>(), 9), 1..=2),
    ) {
        let ranks = Ranks::new(columns.clone());
        for curve in [Curve::ZOrder, Curve::Hilbert] {
            let CurveKeys::Words(words) = curve_keys(curve, &ranks).unwrap() else {
                panic!("two columns fit into a word");
            };
            let bytes = byte_keys(curve, &ranks).unwrap();
            for row in 0..ranks.rows() {
                let word = words.value(row) << (64 - 32 * columns.len());
                prop_assert_eq!(&word.to_be_bytes()[..4 * columns.len()], bytes.value(row));
            }
        }
    }
}
