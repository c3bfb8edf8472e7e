//! Where one output ends and the next begins, along a curve: at its turns.
//!
//! # Overview
//!
//! A curve fills a half of the space before it goes on to the other, a quarter of it before the next, and so on. A
//! fragment that ends where such a part ends has a small box; one that reaches a few rows into the next
//! part has the box of both. So an output is not cut when it is full, but before, between the two rows
//! that the largest part of the space lies between: among the last eighth of the rows that it may have.
//!
//! [`Cutter`] is shown the keys in their order and says where to cut. Whoever writes holds back the rows of that
//! last eighth until it is said, which is all the memory this takes.

use arrow_array::Array;

use crate::curve::CurveKeys;

/// An output is cut within the last of so many parts of what it may have.
const WINDOW_PART: u64 = 8;

/// The most bytes of a key.
const KEY_BYTES: usize = 32;

/// Finds the ends of outputs.
#[derive(Debug, Clone)]
pub struct Cutter {
    /// Of all outputs together.
    rows: u64,
    /// An output has no more.
    full_rows: u64,
    seen: u64,
    /// Where the output begins that is not cut yet.
    start: u64,
    best: Option<Place>,
    last: [u8; KEY_BYTES],
}

/// A place to cut before this row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    row: u64,
    /// How many bits the keys on both sides have in common: the fewer, the larger the part that ends.
    common_bits: u32,
}

impl Cutter {
    /// For so many rows, of which an output holds at most `full_rows`.
    #[must_use]
    pub fn new(rows: u64, full_rows: u64) -> Self {
        let full_rows = full_rows.max(1);
        Self { rows, full_rows, seen: 0, start: 0, best: None, last: [0; KEY_BYTES] }
    }

    /// Shown the keys of the next rows, says which outputs end by now: each as the number of rows up to its end,
    /// from the first row on. With the last row every output has ended.
    pub fn see(&mut self, keys: &CurveKeys) -> Vec<u64> {
        let mut ends = Vec::new();
        let first = self.seen;
        let rows = keys.len() as u64;
        let (mut from, mut to) = self.window();
        for row in first..first + rows {
            if row < from {
                continue;
            }
            let here = keys.bytes((row - first) as usize);
            let before =
                if row == first { self.last } else { keys.bytes((row - first - 1) as usize) };
            self.consider(row, common_bits(&before, &here));
            if row == to {
                let cut = self.best.take().map_or(row, |best| best.row);
                ends.push(cut);
                self.start = cut;
                (from, to) = self.window();
            }
        }
        self.seen += rows;
        if let Some(last) = keys.len().checked_sub(1) {
            self.last = keys.bytes(last);
        }
        if self.seen == self.rows && self.start < self.rows {
            self.start = self.rows;
            ends.push(self.rows);
        }
        ends
    }

    /// How many rows, from the first on, are of outputs that have ended or of the one that is open. Of the others that
    /// were seen it is not said yet which side of an end they are on.
    #[must_use]
    pub fn settled(&self) -> u64 {
        if self.start == self.rows {
            return self.rows;
        }
        // The row before which it may be cut first, is of the next output then.
        self.seen.min(self.window().0)
    }

    /// The rows before the first of which, and before the last of which, this output may be cut.
    fn window(&self) -> (u64, u64) {
        let left = self.rows.saturating_sub(self.start);
        let (least, most) = if left <= self.full_rows {
            (left, left)
        } else if left < 2 * self.full_rows {
            // Two are left, about equal, so that the last one is not a crumb.
            let slack = left / (2 * WINDOW_PART);
            let half = left / 2;
            ((half - slack).max(left - self.full_rows), (half + slack).min(self.full_rows))
        } else {
            (self.full_rows - self.full_rows / WINDOW_PART, self.full_rows)
        };
        (self.start + least.max(1), self.start + most.max(1))
    }

    fn consider(&mut self, row: u64, common_bits: u32) {
        // Of equal ones the later, because fewer outputs are better.
        if self.best.is_none_or(|best| common_bits <= best.common_bits) {
            self.best = Some(Place { row, common_bits });
        }
    }
}

impl CurveKeys {
    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Words(words) => words.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One key, with zeros behind it.
    fn bytes(&self, row: usize) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        match self {
            Self::Words(words) => key[..8].copy_from_slice(&words.value(row).to_be_bytes()),
            Self::Bytes(bytes) => key[..bytes.value(row).len()].copy_from_slice(bytes.value(row)),
        }
        key
    }
}

fn common_bits(one: &[u8; KEY_BYTES], other: &[u8; KEY_BYTES]) -> u32 {
    let mut bits = 0;
    for (one, other) in one.iter().zip(other) {
        let zeros = (one ^ other).leading_zeros();
        bits += zeros;
        if zeros < u8::BITS {
            break;
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(keys: impl IntoIterator<Item = u64>) -> CurveKeys {
        CurveKeys::Words(keys.into_iter().collect::<Vec<_>>().into())
    }

    #[test]
    fn outputs_end_where_the_largest_part_ends() {
        // 64 parts of 100 rows. An output of at most 107 may end after 94 to 107.
        let keys = (0..6_400).map(|row| ((row / 100) << 58) | (row % 100));
        let ends = Cutter::new(6_400, 107).see(&words(keys));
        assert_eq!(ends, Vec::from_iter((1..=64).map(|n| n * 100)));
    }

    #[test]
    fn equal_keys_are_cut_when_an_output_is_full() {
        let ends = Cutter::new(1_000, 300).see(&words([7; 1_000]));
        assert_eq!(ends, [300, 600, 825, 1_000]);
        assert_eq!(Cutter::new(300, 300).see(&words([7; 300])), [300]);
        assert_eq!(Cutter::new(3, 1).see(&words([7; 3])), [1, 2, 3]);
        assert_eq!(Cutter::new(0, 10).see(&words([])), Vec::<u64>::new());
    }

    proptest! {
        #[test]
        fn outputs_are_whole_however_the_keys_are_cut_into_batches(
            mut keys in proptest::collection::vec(0..5_000_u64, 1..800),
            full_rows in 1..300_u64,
            batch in 1..900_usize,
        ) {
            keys.sort_unstable();
            let rows = keys.len() as u64;
            let ends = Cutter::new(rows, full_rows).see(&words(keys.iter().copied()));
            let mut cutter = Cutter::new(rows, full_rows);
            let apart = keys.chunks(batch).flat_map(|part| cutter.see(&words(part.iter().copied())));
            prop_assert_eq!(&apart.collect::<Vec<_>>(), &ends);
            let mut cutter = Cutter::new(rows, full_rows);
            let mut settled = 0;
            let mut found = Vec::new();
            for part in keys.chunks(batch) {
                let new = cutter.see(&words(part.iter().copied()));
                // What was settled before is of the output that was open then.
                prop_assert!(new.first().is_none_or(|end| *end >= settled), "{:?} {}", new, settled);
                found.extend(new);
                settled = cutter.settled();
                let open = found.last().copied().unwrap_or(0);
                prop_assert!((open..=open + full_rows).contains(&settled));
            }
            prop_assert_eq!(settled, rows);
            prop_assert_eq!(ends.last(), Some(&rows));
            let starts = std::iter::once(&0).chain(&ends);
            let sizes: Vec<_> = ends.iter().zip(starts).map(|(end, start)| end - start).collect();
            prop_assert!(sizes.iter().all(|size| (1..=full_rows).contains(size)), "{:?}", sizes);
            // No crumbs: at most a sixteenth less than half.
            let least = full_rows.min(rows) * 7 / 16;
            prop_assert!(sizes.iter().all(|size| *size >= least), "{:?}", sizes);
        }
    }
}
