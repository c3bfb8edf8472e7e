//! Boxes of fragments in rank space: per column the lowest and the highest rank of its rows.
//!
//! The measures of `depth` and `touched`, and the plan, know fragments by their boxes alone.

use crate::ranks::Ranks;

/// From which rank to which the rows of a fragment reach, both included, column by column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RankBox {
    sides: Vec<(u32, u32)>,
}

impl RankBox {
    /// A box of which the sides are known, each from its lower to its higher rank.
    ///
    /// # Panics
    ///
    /// If a side's ends are the wrong way round.
    #[must_use]
    pub fn new(sides: Vec<(u32, u32)>) -> Self {
        assert!(sides.iter().all(|(low, high)| low <= high), "a side begins at its lower rank");
        Self { sides }
    }

    /// The smallest box around rows; `None` without rows.
    #[must_use]
    pub fn around(ranks: &Ranks) -> Option<Self> {
        let side = |column: &Vec<u32>| {
            let low = column.iter().min()?;
            let high = column.iter().max()?;
            Some((*low, *high))
        };
        Some(Self { sides: ranks.columns().iter().map(side).collect::<Option<_>>()? })
    }

    /// The boxes of fragments whose smallest values have the ranks `lowest` and whose greatest have `highest`, one row
    /// for each fragment. Statistics that leave nulls out need the caller to give a null as the smallest value
    /// of a fragment that has one.
    ///
    /// # Panics
    ///
    /// If these are not as many rows of as many columns.
    #[must_use]
    pub fn between(lowest: &Ranks, highest: &Ranks) -> Vec<Self> {
        assert_eq!(lowest.columns().len(), highest.columns().len(), "the same columns");
        assert_eq!(lowest.rows(), highest.rows(), "the same fragments");
        let side = |row: usize| {
            let ends = lowest.columns().iter().zip(highest.columns());
            // Statistics of long strings are cut off, and may cross where all values are alike.
            ends.map(move |(low, high)| (low[row].min(high[row]), low[row].max(high[row])))
        };
        (0..lowest.rows()).map(|row| Self { sides: side(row).collect() }).collect()
    }

    /// From which rank to which, column by column.
    #[must_use]
    pub fn sides(&self) -> &[(u32, u32)] {
        &self.sides
    }

    /// The smallest box around both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let both = self.sides.iter().zip(&other.sides);
        Self { sides: both.map(|(a, b)| (a.0.min(b.0), a.1.max(b.1))).collect() }
    }

    /// Which share of this box lies in the other: 0 to 1.
    #[must_use]
    pub fn share_within(&self, other: &Self) -> f64 {
        let both = self.sides.iter().zip(&other.sides);
        both.map(|(own, other)| {
            let (low, high) = (own.0.max(other.0), own.1.min(other.1));
            if low > high { 0.0 } else { length((low, high)) / length(*own) }
        })
        .product()
    }

    /// Whether a row of this box may have ranks within these, each given with its column.
    pub(crate) fn reaches(&self, ranges: &[(usize, (u32, u32))]) -> bool {
        ranges.iter().all(|(column, (low, high))| {
            let side = self.sides[*column];
            side.0 <= *high && side.1 >= *low
        })
    }
}

/// How many ranks a side holds.
pub(crate) fn length(side: (u32, u32)) -> f64 {
    f64::from(side.1 - side.0) + 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_around_rows_holds_the_lowest_and_the_highest_of_each_column() {
        let ranks = Ranks::new(vec![vec![5, 1, 9], vec![7, 7, 7]]);
        assert_eq!(RankBox::around(&ranks), Some(RankBox::new(vec![(1, 9), (7, 7)])));
        assert_eq!(RankBox::around(&Ranks::new(vec![vec![], vec![]])), None);
    }

    #[test]
    fn shares_are_of_the_own_box_and_never_of_nothing() {
        let wide = RankBox::new(vec![(0, 9), (0, 9)]);
        let narrow = RankBox::new(vec![(5, 5), (0, 4)]);
        assert!((narrow.share_within(&wide) - 1.0).abs() < 1e-12);
        assert!((wide.share_within(&narrow) - 0.05).abs() < 1e-12);
        let beside = RankBox::new(vec![(10, 12), (0, 9)]);
        assert!(wide.share_within(&beside) < 1e-12);
        assert_eq!(wide.union(&beside), RankBox::new(vec![(0, 12), (0, 9)]));
    }

    #[test]
    fn boxes_of_statistics_have_one_row_each() {
        let lowest = Ranks::new(vec![vec![1, 8], vec![2, 3]]);
        let highest = Ranks::new(vec![vec![4, 7], vec![2, 9]]);
        let expected = [RankBox::new(vec![(1, 4), (2, 2)]), RankBox::new(vec![(7, 8), (3, 9)])];
        assert_eq!(RankBox::between(&lowest, &highest), expected);
    }
}
