//! A hash over rows that knows no order: the same for the same rows, however they are permuted or
//! cut into batches.
//!
//! A row becomes bytes by Arrow's row format. What decides for it: it keeps every bit of a float
//! (NaNs of other bits, and zeros of other signs, are other rows), it tells null, empty and
//! list-of-null apart at any depth, it looks at no value below a null, and it takes dictionaries for
//! their values, which a rewrite may number anew. Columns cannot run into each other. The bytes of a
//! row are hashed by BLAKE3, and hashes are added up, wrapping, as two halves of 128 bits. Unlike an
//! exclusive-or a sum does not lose rows that are there twice.

use arrow_array::ArrayRef;
use arrow_row::{RowConverter, SortField};
use arrow_schema::ArrowError;

use super::plain::plain;

/// What a number of rows add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContentHash {
    rows: u64,
    sums: [u128; 2],
}

impl ContentHash {
    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn add(&mut self, row: &[u8]) {
        let hash = blake3::hash(row);
        self.rows += 1;
        for (sum, half) in self.sums.iter_mut().zip(hash.as_bytes().chunks_exact(16)) {
            // Always 16 bytes: that is what the chunks are.
            let half = half.try_into().map_or(0, u128::from_le_bytes);
            *sum = sum.wrapping_add(half);
        }
    }
}

/// Adds up rows.
#[derive(Debug, Default)]
pub(super) struct Hasher {
    /// Made for the columns of the first batch; the others have the same.
    converter: Option<RowConverter>,
    hash: ContentHash,
}

impl Hasher {
    /// Adds the rows of a batch.
    ///
    /// # Errors
    ///
    /// When a column is of a type that cannot be compared.
    pub(super) fn add(&mut self, columns: &[ArrayRef], rows: usize) -> Result<(), ArrowError> {
        if columns.is_empty() {
            (0..rows).for_each(|_| self.hash.add(&[]));
            return Ok(());
        }
        let columns = columns.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
        let converter = match self.converter.take() {
            Some(converter) => converter,
            None => {
                let field = |column: &ArrayRef| SortField::new(column.data_type().clone());
                RowConverter::new(columns.iter().map(field).collect())?
            }
        };
        let converted = converter.convert_columns(&columns)?;
        converted.iter().for_each(|row| self.hash.add(row.data()));
        self.converter = Some(converter);
        Ok(())
    }

    /// What all rows add up to.
    pub(super) fn finish(self) -> ContentHash {
        self.hash
    }
}

#[cfg(test)]
mod tests;
