//! The space that a table is laid out in: per column the boundaries of a sample's quantiles, by
//! which any value gets a rank.
//!
//! # Overview
//!
//! A rank says which share of the sample stands below a value, as a number of 32 bits. So columns
//! of different magnitude, skewed columns and strings with a long common beginning all count alike.
//! Between two boundaries ranks are interpolated, so that no column is cut into as many pieces as it has
//! boundaries. Beyond the outermost ones a small part of the ranks is kept free, in which later
//! values still have an order.
//!
//! A space is kept with the layout (`document`), and later runs use the same one, until the data
//! has drifted away from it (`drift`). Then it is renewed from a new sample. Fragments that were written
//! before stay what they are: their boxes are made anew from their smallest and greatest values.
//!
//! # Invariants
//!
//! * A greater value never has a lower rank, and equal values have one rank. -0.0 equals 0.0; NaN
//!   stands where the total order puts it.
//! * A null has the rank 0, and no value has.
//! * The same arrays give the same ranks, however they are cut into batches.

mod column;
mod drift;
mod marks;
mod numbers;
mod text;

#[cfg(test)]
mod tests;

use arrow_array::{Array, ArrayRef};

use crate::boxes::RankBox;
use crate::orderable::Unorderable;
use crate::ranks::Ranks;

pub(crate) use column::{Axis, ColumnSpace};
pub use drift::{DRIFT_MAX, Drift};
pub(crate) use marks::Marks;
pub(crate) use numbers::Numbers;
pub(crate) use text::Text;

/// Boundaries per column, unless told. In `simulation` four times as many move no share of fragments touched by
/// as much as a percent, and 16 lose a tenth. A column takes 10 to 40 KB in the document.
pub const BOUNDARIES: usize = 1024;

/// The most boundaries a column may have.
pub const BOUNDARIES_MAX: usize = 4096;

/// Rows of a sample, for each boundary, from which its quantiles are as good as they have to be.
/// [`BOUNDARIES`] times this is the sample to take: about 65,536 rows.
pub const SAMPLE_PER_BOUNDARY: usize = 64;

/// The ranks of a table's cluster columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    generation: u32,
    columns: Vec<ColumnSpace>,
}

/// A column's name and some of its values, in any number of arrays of one type.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The name, as the layout has it.
    pub column: String,
    /// The values, nulls included.
    pub values: Vec<ArrayRef>,
}

/// Why there are no ranks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// A column has no order.
    #[error("column {column}: {reason}")]
    Unorderable {
        /// The column.
        column: String,
        /// Its type, and what can be ordered.
        reason: Unorderable,
    },
    /// A sample of nothing.
    #[error("no sample of column {0}")]
    NoSample(String),
    /// Not the columns of the space.
    #[error("the space has {expected} columns, not {given}")]
    Columns {
        /// Of the space.
        expected: usize,
        /// What was given.
        given: usize,
    },
    /// The column's values mean something else by now: the space has to be renewed.
    #[error("column {column} was {was} when the space was made and is {is} now")]
    TypeChanged {
        /// The column.
        column: String,
        /// What its values meant.
        was: String,
        /// What they mean now.
        is: String,
    },
}

impl Space {
    /// The space of a table, from a sample of each cluster column. The samples may be of different rows.
    /// At most `boundaries` are kept of each column ([`BOUNDARIES`] unless there is a reason), never more than
    /// [`BOUNDARIES_MAX`].
    ///
    /// # Errors
    ///
    /// If a column's type has no order, or there is no array of it. An array without rows is fine, and so
    /// are nulls alone.
    pub fn from_sample(samples: &[Sample], boundaries: usize) -> Result<Self, SpaceError> {
        let most = boundaries.clamp(2, BOUNDARIES_MAX);
        let columns = samples.iter().map(|sample| ColumnSpace::from_sample(sample, most));
        Ok(Self { generation: 0, columns: columns.collect::<Result<_, _>>()? })
    }

    /// The space that takes the place of this one, because the data has drifted or a type has changed.
    ///
    /// # Errors
    ///
    /// As [`Space::from_sample`].
    pub fn renewed(&self, samples: &[Sample], boundaries: usize) -> Result<Self, SpaceError> {
        let next = Self::from_sample(samples, boundaries)?;
        Ok(Self { generation: self.generation + 1, ..next })
    }

    pub(crate) fn from_columns(generation: u32, columns: Vec<ColumnSpace>) -> Self {
        Self { generation, columns }
    }

    pub(crate) fn columns(&self) -> &[ColumnSpace] {
        &self.columns
    }

    /// How often it was renewed.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The names of its columns, in their order.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// The ranks of rows, given the space's columns in its order.
    ///
    /// For the boxes of fragments the rows are two for each fragment: its smallest and its greatest values.
    ///
    /// # Errors
    ///
    /// If these are other columns, or of types that mean something else.
    ///
    /// # Panics
    ///
    /// If the arrays differ in length.
    pub fn ranks(&self, columns: &[ArrayRef]) -> Result<Ranks, SpaceError> {
        if columns.len() != self.columns.len() || columns.is_empty() {
            let (expected, given) = (self.columns.len(), columns.len());
            return Err(SpaceError::Columns { expected, given });
        }
        let pairs = self.columns.iter().zip(columns);
        let ranks = pairs.map(|(space, array)| space.ranks(array));
        Ok(Ranks::new(ranks.collect::<Result<_, _>>()?))
    }

    /// The smallest box around rows, given the space's columns in its order; `None` without rows.
    ///
    /// # Errors
    ///
    /// As [`Space::ranks`].
    pub fn box_around(&self, columns: &[ArrayRef]) -> Result<Option<RankBox>, SpaceError> {
        if columns.len() != self.columns.len() || columns.is_empty() {
            let (expected, given) = (self.columns.len(), columns.len());
            return Err(SpaceError::Columns { expected, given });
        }
        let sides = self.columns.iter().zip(columns).map(|(space, array)| space.side(array));
        let sides: Option<Vec<_>> = sides.collect::<Result<_, _>>()?;
        Ok(sides.map(RankBox::new))
    }

    /// How far these ranks, a sample of rows, are from the sample that the space was made of.
    ///
    /// # Panics
    ///
    /// If they are ranks of another number of columns.
    #[must_use]
    pub fn drift(&self, ranks: &Ranks) -> Drift {
        assert_eq!(ranks.columns().len(), self.columns.len(), "ranks of this space");
        let pairs = self.columns.iter().zip(ranks.columns());
        Drift(pairs.map(|(space, ranks)| drift::of_column(space, ranks)).collect())
    }
}

/// The rows of an array whose value is null, by its own nulls and those of its dictionary.
fn null_rows(array: &dyn Array) -> Vec<usize> {
    let nulls = array.logical_nulls();
    let is_null = |row: &usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(*row));
    (0..array.len()).filter(is_null).collect()
}
