//! Data that lays traps: long common beginnings, heavy skew, correlated columns, nulls, few values. Which share of the
//! fragments a query touches, for both curves and for sorting by the first column.

use arrow_array::{Int64Array, StringArray};

use super::*;

const ROWS: usize = 30_000;

/// Two columns of such data.
fn shape(name: &str) -> [ArrayRef; 2] {
    let mut random = Numbers::new(4);
    let mut integers = |next: &dyn Fn(&mut Numbers) -> Option<i64>| -> ArrayRef {
        Arc::new(Int64Array::from_iter((0..ROWS).map(|_| next(&mut random))))
    };
    let uniform = |r: &mut Numbers| Some(r.below(1 << 40) as i64);
    match name {
        "common beginnings" => {
            let mut random = Numbers::new(5);
            let url = |n: usize| format!("https://example.com/very/long/path/to/items/{n:09}");
            let urls = (0..ROWS).map(|_| url(random.below(1 << 29)));
            [Arc::new(StringArray::from_iter_values(urls)), integers(&uniform)]
        }
        "skew" => {
            let skewed =
                |r: &mut Numbers| Some(if r.below(10) < 7 { 1 } else { r.below(1 << 30) as i64 });
            let powers = |r: &mut Numbers| Some(((r.uniform() * 40.0).exp2()) as i64);
            [integers(&skewed), integers(&powers)]
        }
        "correlated" => {
            let mut random = Numbers::new(6);
            let one: Vec<i64> = (0..ROWS).map(|_| random.below(1 << 40) as i64).collect();
            let near = one.iter().map(|n| n * 3 + random.below(1 << 34) as i64);
            let other = Int64Array::from_iter_values(near);
            [Arc::new(Int64Array::from(one)), Arc::new(other)]
        }
        "nulls" => {
            let half = |r: &mut Numbers| (r.below(2) == 0).then(|| r.below(1 << 40) as i64);
            [integers(&half), integers(&half)]
        }
        "few values" => {
            let few = |r: &mut Numbers| Some(r.below(12) as i64);
            [integers(&few), integers(&uniform)]
        }
        _ => {
            let mut random = Numbers::new(7);
            let small = (0..ROWS).map(|_| random.uniform());
            [Arc::new(Float64Array::from_iter_values(small)), integers(&uniform)]
        }
    }
}

/// What queries touch of 60 fragments that lie in the order of some keys.
fn laid_out(ranks: &Ranks, order: &[usize], ends: &[u64]) -> Touched {
    let starts = std::iter::once(&0).chain(ends);
    let extent = |(end, start): (&u64, &u64)| {
        let rows = &order[*start as usize..*end as usize];
        let column = |column: &Vec<u32>| rows.iter().map(|row| column[*row]).collect();
        let own = Ranks::new(ranks.columns().iter().map(column).collect());
        Extent { ranks: RankBox::around(&own).unwrap(), rows: rows.len() as u64 }
    };
    touched(&ends.iter().zip(starts).map(extent).collect::<Vec<_>>())
}

fn along(curve: Curve, ranks: &Ranks) -> Touched {
    let CurveKeys::Words(keys) = curve_keys(curve, ranks).unwrap() else { panic!("two columns") };
    let mut order: Vec<_> = (0..ROWS).collect();
    order.sort_by_key(|row| keys.value(*row));
    let sorted = CurveKeys::Words(order.iter().map(|row| keys.value(*row)).collect());
    laid_out(ranks, &order, &Cutter::new(ROWS as u64, 500).see(&sorted))
}

#[test]
fn no_shape_of_data_makes_a_curve_forget_a_column() {
    println!("| data | sorted by a: a / b, boxes | Z-order | Hilbert |");
    println!("|---|---|---|---|");
    let shapes = ["magnitudes", "common beginnings", "skew", "correlated", "nulls", "few values"];
    for name in shapes {
        let columns = shape(name);
        let sample = |(name, values): (&str, &ArrayRef)| Sample {
            column: name.to_owned(),
            values: vec![values.clone()],
        };
        let samples: Vec<_> = NAMES.into_iter().zip(&columns).map(sample).collect();
        let space = Space::from_sample(&samples, BOUNDARIES).unwrap();
        let ranks = space.ranks(&columns).unwrap();
        let mut order: Vec<_> = (0..ROWS).collect();
        order.sort_by_key(|row| (ranks.columns()[0][*row], ranks.columns()[1][*row]));
        let sorted = laid_out(&ranks, &order, &Vec::from_iter((1..=60).map(|n| n * 500)));
        let (zorder, hilbert) = (along(Curve::ZOrder, &ranks), along(Curve::Hilbert, &ranks));
        let told = |one: &Touched| {
            let percent = |share: f64| format!("{:.0}", share * 100.0);
            let [a, b] = [one.ranges[0], one.ranges[1]].map(percent);
            format!("{a} / {b}, {} %", percent(one.boxes.unwrap()))
        };
        println!("| {name} | {} | {} | {} |", told(&sorted), told(&zorder), told(&hilbert));
        for curve in [&zorder, &hilbert] {
            assert!(curve.ranges.iter().all(|share| *share <= 0.35), "{name}: {curve:?}");
            assert!(curve.boxes.unwrap() <= 0.16, "{name}: {curve:?}");
        }
    }
}
