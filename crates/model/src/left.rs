//! What a run's budget left for the next one. The fields are those of `--json`.

use serde::Serialize;

/// The limit of a run that left something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetLimit {
    /// The bytes it may read.
    MaxBytes,
    /// The time in which it may begin work.
    MaxTime,
    /// Somebody asked for the end of the table's job.
    Cancelled,
}

/// Planned work that was not begun, of one table or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WorkLeft {
    /// The limit that left it; in sums the one that left something last.
    pub left_by: Option<BudgetLimit>,
    /// Groups of fragments that would each become one.
    pub groups_left: u64,
    /// Fragments in those groups.
    pub fragments_left: u64,
    /// Bytes to read for them, and for the indexes.
    pub bytes_left: u64,
    /// Indexes to build or refresh.
    pub indexes_left: u64,
}

impl WorkLeft {
    /// Whether everything that was planned was begun.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.left_by.is_none()
    }

    /// Adds what was left elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.left_by = other.left_by.or(self.left_by);
        self.groups_left += other.groups_left;
        self.fragments_left += other.fragments_left;
        self.bytes_left = self.bytes_left.saturating_add(other.bytes_left);
        self.indexes_left += other.indexes_left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_the_limit_of_whoever_left_something() {
        let mut sum = WorkLeft::default();
        assert!(sum.is_nothing());
        let left = WorkLeft {
            left_by: Some(BudgetLimit::MaxBytes),
            groups_left: 1,
            fragments_left: 4,
            bytes_left: u64::MAX,
            indexes_left: 2,
        };
        sum.add(&left);
        sum.add(&WorkLeft::default());
        assert_eq!(sum, left);
        sum.add(&left);
        assert_eq!((sum.fragments_left, sum.bytes_left), (8, u64::MAX));
    }
}
