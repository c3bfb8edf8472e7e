//! Boundaries that are numbers: between two of them ranks rise in a straight line.

use super::marks::{Marks, quantiles};
use crate::order_keys::float_of;

/// The boundaries of a column of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Numbers {
    /// The keys of the boundaries; each is greater than the one before.
    pub(crate) keys: Vec<u64>,
    pub(crate) marks: Marks,
    float: bool,
    /// From each boundary to the next.
    slopes: Vec<Slope>,
    /// From the smallest to the greatest boundary; 1 if that is no number.
    range: f64,
}

/// How ranks rise between two boundaries.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slope {
    /// Ranks per unit.
    rise: f64,
    /// Whether the unit is one of the keys, because the numbers have no finite distance.
    by_key: bool,
}

impl Numbers {
    /// From the keys of a sample, of which so many rows besides were null.
    pub(super) fn from_sample(mut keys: Vec<u64>, nulls: usize, float: bool, most: usize) -> Self {
        keys.sort_unstable();
        let picks = quantiles(&keys, most);
        let row = |index: usize| (nulls + index) as u64;
        let marks = Marks::new(
            row(keys.len()),
            nulls as u64,
            picks.iter().map(|pick| row(pick.first)).collect(),
            picks.iter().map(|pick| row(pick.last)).collect(),
        );
        Self::new(picks.iter().map(|pick| *pick.value).collect(), marks, float)
    }

    pub(crate) fn new(keys: Vec<u64>, marks: Marks, float: bool) -> Self {
        let slope = |(at, pair): (usize, &[u64])| {
            let distance = distance(float, pair[0], pair[1]);
            let by_key = !distance.is_finite();
            let units = if by_key { (pair[1] - pair[0]) as f64 } else { distance };
            Slope { rise: marks.width(at) / units, by_key }
        };
        let slopes = keys.windows(2).enumerate().map(slope).collect();
        let ends = keys.first().zip(keys.last());
        let range = ends.map(|(low, high)| distance(float, *low, *high));
        let range = range.filter(|range| range.is_finite() && *range > 0.0).unwrap_or(1.0);
        Self { keys, marks, float, slopes, range }
    }

    /// Whether the keys are those of floating-point numbers.
    pub(crate) fn is_float(&self) -> bool {
        self.float
    }

    /// The ranks of keys.
    pub(super) fn ranks(&self, keys: &[u64]) -> Vec<u32> {
        keys.iter().map(|key| self.rank(*key)).collect()
    }

    #[inline]
    fn rank(&self, key: u64) -> u32 {
        let above = self.keys.partition_point(|boundary| *boundary <= key);
        let Some(at) = above.checked_sub(1) else {
            let first = self.keys.first().copied().unwrap_or_default();
            return self.marks.below(self.far(key, first));
        };
        let boundary = self.keys[at];
        if boundary == key {
            return self.marks.at(at);
        }
        let Some(slope) = self.slopes.get(at) else {
            return self.marks.above(self.far(boundary, key));
        };
        let units = if slope.by_key {
            (key - boundary) as f64
        } else {
            distance(self.float, boundary, key)
        };
        self.marks.between(at, units * slope.rise)
    }

    /// How far a value beyond the boundaries is, as a share that never falls with the distance.
    fn far(&self, low: u64, high: u64) -> f64 {
        let ranges = distance(self.float, low, high) / self.range;
        if ranges.is_finite() { 1.0 - 1.0 / (1.0 + ranges) } else { 1.0 }
    }
}

/// From one key up to another; no finite number if one of them is none.
#[inline]
fn distance(float: bool, low: u64, high: u64) -> f64 {
    if float { float_of(high) - float_of(low) } else { high.saturating_sub(low) as f64 }
}
