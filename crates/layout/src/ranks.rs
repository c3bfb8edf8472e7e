//! Ranks of rows: per column a number of 32 bits that says how far up in the column's order a value
//! stands. They are made by `space`, and everything else here works on them alone.

/// The rank of a null: below every value.
pub const NULL_RANK: u32 = 0;

/// The ranks of some rows, column by column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranks {
    columns: Vec<Vec<u32>>,
}

impl Ranks {
    /// Ranks that are known already, for example from another run.
    ///
    /// # Panics
    ///
    /// If the columns have different numbers of rows, or if there are none: that is a mistake of the
    /// caller, not of the data.
    #[must_use]
    pub fn new(columns: Vec<Vec<u32>>) -> Self {
        let rows = columns.first().expect("there is at least one column").len();
        let same = columns.iter().all(|column| column.len() == rows);
        assert!(same, "every column has a rank for each row");
        Self { columns }
    }

    /// One slice for each column.
    #[must_use]
    pub fn columns(&self) -> &[Vec<u32>] {
        &self.columns
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.columns[0].len()
    }
}
