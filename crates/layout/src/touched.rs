//! What clustering saves: which share of its fragments a query has to touch.
//!
//! Asked are ranges of 1 % of a column's rows and boxes of 10 % × 10 % of two columns', at fixed places
//! spread evenly over rank space: the same table always has the same numbers. Where no fragment reaches,
//! nothing lies (a frequent value leaves such a gap beside it), and a query there does not count.

use crate::boxes::RankBox;
use crate::depth::Extent;

/// Queries per column, and per pair of columns.
const QUERIES: u32 = 256;

/// The share of a column's ranks that a range spans.
const RANGE: f64 = 0.01;

/// The share of each column's ranks that a box spans.
const SIDE: f64 = 0.1;

/// Of more fragments than this every n-th is asked: the shares are the same to a hundredth.
const ASKED_MAX: usize = 20_000;

/// The mean shares of fragments that queries touch; 0 of a table without fragments.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Touched {
    /// By a range of 1 % of a column, for each column.
    pub ranges: Vec<f64>,
    /// By a box of 10 % × 10 %, over all pairs of columns; `None` if there is only one column.
    pub boxes: Option<f64>,
}

/// Asks a table's fragments.
#[must_use]
pub fn touched(fragments: &[Extent]) -> Touched {
    let step = fragments.len().div_ceil(ASKED_MAX).max(1);
    let boxes: Vec<_> = fragments.iter().step_by(step).map(|fragment| &fragment.ranks).collect();
    let Some(space) = boxes.iter().map(|one| (*one).clone()).reduce(|a, b| a.union(&b)) else {
        return Touched::default();
    };
    let columns = space.sides().len();
    let range = |column| {
        let query = |n: u32| [(column, window(space.sides()[column], RANGE, share(n, 0)))];
        mean((0..QUERIES).map(|n| hit(&boxes, &query(n))))
    };
    let pair = |(one, other): (usize, usize)| {
        let query = |n: u32| {
            [(one, 0), (other, 1)].map(|(column, sequence)| {
                (column, window(space.sides()[column], SIDE, share(n, sequence)))
            })
        };
        mean((0..QUERIES).map(|n| hit(&boxes, &query(n))))
    };
    let pairs = (0..columns).flat_map(|one| (one + 1..columns).map(move |other| (one, other)));
    let pairs: Vec<_> = pairs.map(pair).collect();
    let of_pairs = (!pairs.is_empty()).then(|| pairs.iter().sum::<f64>() / pairs.len() as f64);
    Touched { ranges: (0..columns).map(range).collect(), boxes: of_pairs }
}

/// The n-th of numbers from 0 to 1 that leave no part out: the steps of one sequence are no multiple of the
/// other's, so that pairs of them cover a square as evenly (the golden ratio's kin by M. Roberts).
fn share(n: u32, sequence: usize) -> f64 {
    const STEPS: [f64; 2] = [0.754_877_666_246_692_7, 0.569_840_290_998_053_2];
    (0.5 + f64::from(n) * STEPS[sequence]).fract()
}

/// A part of a side: so long, and so far towards its end.
fn window(side: (u32, u32), length: f64, at: f64) -> (u32, u32) {
    let span = f64::from(side.1 - side.0);
    let low = side.0 + (span * (1.0 - length) * at) as u32;
    (low, low.saturating_add((span * length) as u32).min(side.1))
}

/// The share of the fragments that a query touches.
fn hit(boxes: &[&RankBox], ranges: &[(usize, (u32, u32))]) -> f64 {
    let hits = boxes.iter().filter(|one| one.reaches(ranges)).count();
    hits as f64 / boxes.len() as f64
}

/// The mean over queries that touch anything.
fn mean(shares: impl Iterator<Item = f64>) -> f64 {
    let hits: Vec<_> = shares.filter(|share| *share > 0.0).collect();
    hits.iter().sum::<f64>() / hits.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(sides: &[(u32, u32)]) -> Extent {
        Extent { ranks: RankBox::new(sides.to_vec()), rows: 1 }
    }

    #[test]
    fn a_grid_is_touched_where_the_query_lies() {
        let cell = |n: u32| (n * 1000, n * 1000 + 999);
        let grid: Vec<_> = (0..100).map(|n| extent(&[cell(n / 10), cell(n % 10)])).collect();
        let Touched { ranges, boxes } = touched(&grid);
        // A hundredth lies in one row of ten, and across a border in one of ten places.
        for range in ranges {
            assert!((range - 0.11).abs() < 0.003, "{range}");
        }
        // A tenth crosses a border nearly everywhere, in both columns.
        let boxes = boxes.unwrap();
        assert!((boxes - 0.04).abs() < 0.003, "{boxes}");
    }

    #[test]
    fn unordered_fragments_are_touched_by_everything() {
        let piled: Vec<_> = (0..9).map(|_| extent(&[(0, 1000), (0, 1000)])).collect();
        assert_eq!(touched(&piled), Touched { ranges: vec![1.0, 1.0], boxes: Some(1.0) });
        assert_eq!(touched(&[]), Touched::default());
        assert_eq!(touched(&[extent(&[(3, 3)])]), Touched { ranges: vec![1.0], boxes: None });
    }

    #[test]
    fn queries_where_nothing_lies_do_not_count() {
        // Half of the rows are null, so the lower half of the ranks is empty but for one.
        let halves = [extent(&[(0, 0)]), extent(&[(500_000, 1_000_000)])];
        let ranges = touched(&halves).ranges;
        assert!((ranges[0] - 0.5).abs() < 1e-9, "{ranges:?}");
    }
}
