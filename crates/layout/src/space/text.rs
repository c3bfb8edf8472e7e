//! Boundaries that are bytes: strings, binary and wide decimals. Between two of them ranks rise by the bytes
//! that follow what the two have in common.
//!
//! What all of the sample begins with is kept once. Of each boundary only so much is kept as tells it
//! from the one before, and a little more, so that long strings take little room.

use super::marks::{Marks, quantiles};

/// How much of the common beginning is used. Strings that are equal for longer than this have one rank.
pub(crate) const COMMON_BYTES_MAX: usize = 4096;

/// How much is kept of a boundary after the common beginning.
pub(crate) const BOUNDARY_BYTES_MAX: usize = 256;

/// How many bytes are kept of a boundary after the first by which it differs from the one before.
const TELLING_BYTES: usize = 16;

/// The boundaries of a column of bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Text {
    /// What all boundaries begin with.
    pub(crate) common: Vec<u8>,
    /// The rest of each boundary, or its beginning; each is greater than the one before.
    pub(crate) rests: Vec<Vec<u8>>,
    pub(crate) marks: Marks,
    /// The first eight bytes of each rest: comparing words finds the place of most values.
    heads: Vec<u64>,
    /// From each boundary to the next.
    slopes: Vec<Slope>,
}

/// How ranks rise between two boundaries.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slope {
    /// How many bytes the two have in common.
    shared: usize,
    /// The next eight bytes of the lower one.
    from: u64,
    /// Ranks per unit of such eight bytes.
    rise: f64,
}

impl Text {
    /// From the values of a sample, of which so many rows besides were null.
    pub(super) fn from_sample(mut values: Vec<&[u8]>, nulls: usize, most: usize) -> Self {
        values.sort_unstable();
        let ends = values.first().zip(values.last());
        let common = ends.map_or(0, |(low, high)| shared(low, high).min(COMMON_BYTES_MAX));
        let picks = quantiles(&values, most);
        let (mut rests, mut firsts, mut lasts): (Vec<Vec<u8>>, Vec<_>, Vec<_>) = Default::default();
        let mut before: &[u8] = &[];
        for (index, pick) in picks.iter().enumerate() {
            let rest = &pick.value[common..];
            let telling = shared(before, rest) + TELLING_BYTES;
            // Of a value that fills a step between two boundaries, and of the greatest, everything counts: what
            // equals them would else stand above them.
            let frequent = (pick.last - pick.first) * most >= values.len();
            let whole = frequent || index + 1 == picks.len();
            let keep = if whole { BOUNDARY_BYTES_MAX } else { telling.min(BOUNDARY_BYTES_MAX) };
            let kept = &rest[..rest.len().min(keep)];
            before = rest;
            if rests.last().is_some_and(|last| last.as_slice() >= kept) {
                continue;
            }
            // A beginning stands below the value itself, so none of the rows has it.
            let last = if kept.len() == rest.len() { pick.last } else { pick.first };
            rests.push(kept.to_vec());
            firsts.push((nulls + pick.first) as u64);
            lasts.push((nulls + last) as u64);
        }
        let sampled = (nulls + values.len()) as u64;
        let common = values.first().map_or_else(Vec::new, |value| value[..common].to_vec());
        Self::new(common, rests, Marks::new(sampled, nulls as u64, firsts, lasts))
    }

    pub(crate) fn new(common: Vec<u8>, rests: Vec<Vec<u8>>, marks: Marks) -> Self {
        let slope = |(at, pair): (usize, &[Vec<u8>])| {
            let shared = shared(&pair[0], &pair[1]);
            let (from, to) = (word(&pair[0], shared), word(&pair[1], shared));
            // The two may differ by trailing zeros alone; then nothing between them is told apart.
            let rise = if to > from { marks.width(at) / (to - from) as f64 } else { 0.0 };
            Slope { shared, from, rise }
        };
        let slopes = rests.windows(2).enumerate().map(slope).collect();
        let heads = rests.iter().map(|rest| word(rest, 0)).collect();
        Self { common, rests, marks, heads, slopes }
    }

    pub(super) fn rank(&self, value: &[u8]) -> u32 {
        let Some(rest) = value.strip_prefix(self.common.as_slice()) else {
            return self.rank_elsewhere(value);
        };
        let head = word(rest, 0);
        let (Some(lowest), Some(highest)) = (self.heads.first(), self.heads.last()) else {
            return self.marks.above(0.0);
        };
        let Some(at) = self.not_above(rest, head).checked_sub(1) else {
            return self.marks.below(far(0, part(lowest - head, *lowest)));
        };
        if self.rests[at] == rest {
            return self.marks.at(at);
        }
        let Some(slope) = self.slopes.get(at) else {
            return self.marks.above(far(0, part(head - highest, u64::MAX - highest)));
        };
        let units = word(rest, slope.shared).saturating_sub(slope.from);
        self.marks.between(at, units as f64 * slope.rise)
    }

    /// The rank of a value that begins otherwise: the earlier it differs, the farther it is.
    fn rank_elsewhere(&self, value: &[u8]) -> u32 {
        let same = shared(value, &self.common);
        let (here, there) = (word(&self.common, same), word(value, same));
        let before_end = self.common.len() - same;
        if value < self.common.as_slice() {
            self.marks.below(far(before_end, part(here - there, here)))
        } else {
            self.marks.above(far(before_end, part(there - here, u64::MAX - here)))
        }
    }

    /// How many boundaries are not greater than a value.
    fn not_above(&self, rest: &[u8], head: u64) -> usize {
        let lower = self.heads.partition_point(|other| *other < head);
        let alike = self.heads[lower..].partition_point(|other| *other == head);
        let same = &self.rests[lower..lower + alike];
        lower + same.partition_point(|other| other.as_slice() <= rest)
    }
}

/// How many bytes two values have in common at their beginning.
fn shared(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// The eight bytes from a place on, with zeros behind the end.
#[inline]
fn word(bytes: &[u8], from: usize) -> u64 {
    let rest = bytes.get(from..).unwrap_or_default();
    match rest.first_chunk() {
        Some(eight) => u64::from_be_bytes(*eight),
        None => {
            let mut eight = [0; 8];
            eight[..rest.len()].copy_from_slice(rest);
            u64::from_be_bytes(eight)
        }
    }
}

/// How far out of the boundaries a value is, from 0 to 1: what begins as all of them do is nearer than a half, what
/// differs in the last byte of that nearer than three quarters, and so on.
fn far(bytes_before_end: usize, part: f64) -> f64 {
    let rest = 0.5_f64.powi(i32::try_from(bytes_before_end).unwrap_or(i32::MAX));
    1.0 - rest + 0.5 * rest * part
}

fn part(of: u64, whole: u64) -> f64 {
    of as f64 / whole.max(1) as f64
}
