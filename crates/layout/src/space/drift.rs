//! How far data has moved away from the sample that its space was made of.

use super::column::ColumnSpace;
use crate::ranks::NULL_RANK;

/// A space is renewed when the rows of the whole table are farther from its sample than this.
///
/// Up to here a table in the old space is at most a tenth worse than in a new one, at twice of it by a half: see the test
/// `drift_costs_little_up_to_the_threshold`. A sample of 10,000 rows of unchanged data is at 0.014 nineteen times
/// of twenty, so chance alone does not come near.
pub const DRIFT_MAX: f64 = 0.25;

/// For each column the greatest difference between the share of rows up to a boundary and what that
/// share was in the sample (the statistic of Kolmogorov and Smirnov): 0 is none, 1 everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift(pub Vec<f64>);

impl Drift {
    /// That of the column that has moved most.
    #[must_use]
    pub fn worst(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    /// The drift of a table of which this is only a part, and the rest is as the sample was. 1 % of new rows
    /// moves a table by at most 1 %, wherever they lie.
    #[must_use]
    pub fn of_part(&self, part_rows: u64, table_rows: u64) -> Self {
        let share = part_rows as f64 / table_rows.max(part_rows).max(1) as f64;
        Self(self.0.iter().map(|drift| drift * share).collect())
    }

    /// Whether the space has to be renewed, if this is the drift of a whole table.
    #[must_use]
    pub fn calls_for_renewal(&self) -> bool {
        self.worst() > DRIFT_MAX
    }
}

pub(super) fn of_column(space: &ColumnSpace, ranks: &[u32]) -> f64 {
    if ranks.is_empty() {
        return 0.0;
    }
    let mut sorted = ranks.to_vec();
    sorted.sort_unstable();
    let marks = space.axis.marks();
    let was = |rows: u64| rows as f64 / marks.sampled.max(1) as f64;
    let is = |rows: usize| rows as f64 / sorted.len() as f64;
    let nulls = sorted.partition_point(|rank| *rank == NULL_RANK);
    let mut drift = (is(nulls) - was(marks.nulls)).abs();
    for boundary in 0..marks.len() {
        let rank = marks.at(boundary);
        let below = sorted.partition_point(|other| *other < rank);
        let up_to = sorted.partition_point(|other| *other <= rank);
        drift = drift.max((is(below) - was(marks.firsts[boundary])).abs());
        drift = drift.max((is(up_to) - was(marks.lasts[boundary] + 1)).abs());
    }
    // A sample without a value says nothing about where values are; any of them is new.
    if marks.len() == 0 { drift.max(1.0 - is(nulls)) } else { drift }
}
