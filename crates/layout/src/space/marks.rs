//! Where boundaries stand among the ranks. Which values they are is in `numbers` and `text`.

/// The ranks kept free below the smallest boundary, and as many above the greatest. A thousandth of all: few enough
/// that the halves and quarters of all ranks, at which curves turn, are halves and quarters of the rows.
pub(super) const OUTSIDE: u32 = 1 << 22;

/// The ranks between the smallest and the greatest boundary.
const WITHIN: u64 = u32::MAX as u64 - 2 * OUTSIDE as u64;

/// For each boundary, which rows of the sorted sample have its value. Nulls are the first rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Marks {
    /// Rows of the sample.
    pub(crate) sampled: u64,
    /// Of them null.
    pub(crate) nulls: u64,
    /// For each boundary the first row with its value; never falling.
    pub(crate) firsts: Vec<u64>,
    /// For each boundary the last row with its value, before the next boundary's first.
    pub(crate) lasts: Vec<u64>,
    /// The ranks of the rows in `firsts`.
    pub(super) starts: Vec<u32>,
    /// The ranks of the rows in `lasts`.
    pub(super) ends: Vec<u32>,
}

impl Marks {
    pub(crate) fn new(sampled: u64, nulls: u64, firsts: Vec<u64>, lasts: Vec<u64>) -> Self {
        let rank = |row: &u64| {
            let share = u128::from(*row) * u128::from(WITHIN) / u128::from(sampled.max(2) - 1);
            OUTSIDE + u32::try_from(share).expect("a row of the sample is within")
        };
        let starts = firsts.iter().map(rank).collect();
        let ends = lasts.iter().map(rank).collect();
        Self { sampled, nulls, firsts, lasts, starts, ends }
    }

    pub(super) fn len(&self) -> usize {
        self.firsts.len()
    }

    /// The rank of everything that equals a boundary: the middle of the rows that have its value.
    #[inline]
    pub(super) fn at(&self, boundary: usize) -> u32 {
        let (start, end) = (self.starts[boundary], self.ends[boundary]);
        start + (end - start) / 2
    }

    /// The rank of a value between this boundary and the next, `steps` ranks behind the first.
    #[inline]
    pub(super) fn between(&self, boundary: usize, steps: f64) -> u32 {
        let start = self.ends[boundary];
        // Conversions saturate, and a difference of keys that was rounded up must not pass the next boundary.
        start.saturating_add(steps as u32).min(self.starts[boundary + 1])
    }

    /// How many ranks lie between this boundary and the next.
    pub(super) fn width(&self, boundary: usize) -> f64 {
        f64::from(self.starts[boundary + 1] - self.ends[boundary])
    }

    /// The rank of a value below all boundaries: the farther (0 to 1), the lower.
    pub(super) fn below(&self, far: f64) -> u32 {
        self.starts.first().map_or(OUTSIDE, |first| first - 1 - outside(far))
    }

    /// The rank of a value above all boundaries: the farther (0 to 1), the higher.
    pub(super) fn above(&self, far: f64) -> u32 {
        self.ends.last().map_or(OUTSIDE, |last| last + 1 + outside(far))
    }
}

fn outside(far: f64) -> u32 {
    (far * f64::from(OUTSIDE - 2)) as u32
}

/// A value of a sorted sample, and which rows of the values have it.
pub(super) struct Pick<'a, T> {
    pub(super) value: &'a T,
    pub(super) first: usize,
    pub(super) last: usize,
}

/// At most `most` values at equal distances of a sorted sample, its ends included, none twice.
pub(super) fn quantiles<T: Ord>(sorted: &[T], most: usize) -> Vec<Pick<'_, T>> {
    let picks = sorted.len().min(most);
    let mut chosen: Vec<Pick<'_, T>> = Vec::new();
    for pick in 0..picks {
        let value = &sorted[pick * (sorted.len() - 1) / (picks - 1).max(1)];
        if chosen.last().is_some_and(|last| last.value == value) {
            continue;
        }
        let first = sorted.partition_point(|other| other < value);
        let last = sorted.partition_point(|other| other <= value) - 1;
        chosen.push(Pick { value, first, last });
    }
    chosen
}
