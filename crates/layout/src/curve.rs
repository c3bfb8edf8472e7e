//! Curves through the ranks of up to eight columns: rows that are near each other on the curve are
//! near each other in every column.
//!
//! # Overview
//!
//! A key is the place of a row on the curve: as many bits as all its ranks together, so nothing
//! of a column is cut off. **Z-order** takes one bit of each column in turn. **Hilbert** turns the
//! axes first (`hilbert`), so that neighbours on the curve differ by one in one column; Z-order jumps, and
//! a fragment that lies across a jump has a wide box. Both then put the bits together in
//! the same way (`interleave`).
//!
//! Ranks come from `space`; this knows no values.

mod hilbert;
mod interleave;

use arrow_array::{ArrayRef, FixedSizeBinaryArray, UInt64Array};
use lancekeeper_model::CURVE_COLUMNS_MAX;
use std::sync::Arc;

use crate::ranks::Ranks;
use interleave::Interleave;

/// Rows whose axes are turned at once: their ranks stay in the first cache.
const CHUNK: usize = 1024;

/// Which curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// One bit of each column in turn.
    ZOrder,
    /// Z-order over turned axes: without jumps.
    Hilbert,
}

/// The places of rows on a curve. Both forms compare as the places do.
#[derive(Debug, Clone, PartialEq)]
pub enum CurveKeys {
    /// Of one or two columns: as one word, which sorts several times as fast as bytes.
    Words(UInt64Array),
    /// Of more: 4 bytes per column, the highest first.
    Bytes(FixedSizeBinaryArray),
}

/// A curve over no columns, or over too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a curve takes 1 to {CURVE_COLUMNS_MAX} columns, not {0}")]
pub struct TooManyColumns(pub usize);

/// The place of each row on the curve, in the form that sorts fastest.
///
/// # Errors
///
/// If there are more than [`CURVE_COLUMNS_MAX`] columns.
pub fn curve_keys(curve: Curve, ranks: &Ranks) -> Result<CurveKeys, TooManyColumns> {
    if ranks.columns().len() > 2 {
        return byte_keys(curve, ranks).map(CurveKeys::Bytes);
    }
    let mut words = Vec::with_capacity(ranks.rows());
    let interleave = Interleave::new(ranks.columns().len());
    each_chunk(curve, ranks, |axes| interleave.words(axes, &mut words));
    Ok(CurveKeys::Words(words.into()))
}

/// The place of each row on the curve as 4 bytes per column, the highest first.
///
/// # Errors
///
/// If there are more than [`CURVE_COLUMNS_MAX`] columns.
pub fn byte_keys(curve: Curve, ranks: &Ranks) -> Result<FixedSizeBinaryArray, TooManyColumns> {
    let dims = ranks.columns().len();
    if !(1..=CURVE_COLUMNS_MAX).contains(&dims) {
        return Err(TooManyColumns(dims));
    }
    let mut bytes = Vec::with_capacity(ranks.rows() * dims * 4);
    let interleave = Interleave::new(dims);
    each_chunk(curve, ranks, |axes| interleave.bytes(axes, &mut bytes));
    let width = i32::try_from(dims * 4).expect("at most eight columns of four bytes");
    Ok(FixedSizeBinaryArray::new(width, bytes.into(), None))
}

/// Shows the axes of the curve, some rows at a time.
fn each_chunk(curve: Curve, ranks: &Ranks, mut see: impl FnMut(&[Vec<u32>])) {
    let mut axes: Vec<Vec<u32>> = vec![Vec::with_capacity(CHUNK); ranks.columns().len()];
    for start in (0..ranks.rows()).step_by(CHUNK) {
        let end = ranks.rows().min(start + CHUNK);
        for (axis, column) in axes.iter_mut().zip(ranks.columns()) {
            axis.clear();
            axis.extend_from_slice(&column[start..end]);
        }
        if curve == Curve::Hilbert {
            hilbert::turn(&mut axes, u32::BITS);
        }
        see(&axes);
    }
}

impl CurveKeys {
    /// As a column to sort by, ascending.
    #[must_use]
    pub fn into_array(self) -> ArrayRef {
        match self {
            Self::Words(words) => Arc::new(words),
            Self::Bytes(bytes) => Arc::new(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
