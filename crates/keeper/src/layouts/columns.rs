//! The values of some columns of a table: a sample of them, and where those of each fragment lie. Reads
//! these columns alone.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, RecordBatch};
use futures::{FutureExt, TryStreamExt};
use lance::Dataset;
use lance_core::ROW_ADDR;
use lance_table::format::Fragment;
use lancekeeper_layout::{
    BOUNDARIES, Extent, SAMPLE_PER_BOUNDARY, Sample, Space, SpaceError, depth, touched,
};
use lancekeeper_model::{Clustering, ErrorKind};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failure::guarded;
use thiserror::Error;

/// Rows that are looked at to learn how the values of a column are spread.
const SAMPLE_ROWS: u64 = (BOUNDARIES * SAMPLE_PER_BOUNDARY) as u64;
/// Stretches of rows beside each other. In a table that is written in the order of a column there are no more
/// different places than these; and 128 rows are about what one chunk of a page holds.
const STRETCHES: u64 = SAMPLE_ROWS / 128;
/// What a sample may take: of columns with long values fewer are looked at.
const SAMPLE_BYTES: u64 = 64 << 20;
/// Rows that are looked at first, to learn how long the values are.
const PROBE_ROWS: u64 = 32;
/// The size of a batch that is measured: values may be a megabyte long.
pub(super) const BATCH_BYTES: u64 = 8 << 20;

/// Columns cannot be measured.
#[derive(Debug, Error)]
pub(crate) enum ColumnError {
    #[error("there is no column {0}")]
    NoColumn(String),
    #[error(transparent)]
    Space(#[from] SpaceError),
    #[error(transparent)]
    Lance(#[from] LanceFailure),
}

impl ColumnError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::NoColumn(_) | Self::Space(_) => ErrorKind::Invalid,
            Self::Lance(error) => error.kind(),
        }
    }
}

/// Rows from all over the table, in stretches at equal distances: the same table always has the same figures, and
/// a few pages of each column are read instead of all. Of a table without rows, columns without values.
///
/// # Errors
///
/// When a column is not there, or cannot be read.
pub(crate) async fn sample<T: AsRef<str>>(
    table: &Dataset,
    columns: &[T],
    rows: u64,
) -> Result<Vec<Sample>, ColumnError> {
    check(table, columns)?;
    let probe = take(table, columns, &places(rows, PROBE_ROWS)).await?;
    let width = (probe.get_array_memory_size() as u64).div_ceil(probe.num_rows().max(1) as u64);
    let most = (SAMPLE_BYTES / width.max(1)).clamp(PROBE_ROWS, SAMPLE_ROWS);
    let taken = take(table, columns, &places(rows, most)).await?;
    let sample = |name: &T| {
        let column = name.as_ref();
        Ok(Sample { column: column.to_owned(), values: vec![self::column(&taken, column)?] })
    };
    columns.iter().map(sample).collect()
}

/// Which of so many rows are looked at, and not many more than `most`.
fn places(rows: u64, most: u64) -> Vec<u64> {
    let together = (most / STRETCHES).max(1);
    let step = rows.div_ceil(most.div_ceil(together)).max(together);
    let stretches = (0..rows).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    stretches.flat_map(|first| first..rows.min(first + together)).collect()
}

async fn take<T: AsRef<str>>(
    table: &Dataset,
    columns: &[T],
    places: &[u64],
) -> Result<RecordBatch, ColumnError> {
    let projection = table.schema().project(columns).map_err(failed)?;
    let taking = table.take(places, projection).boxed();
    Ok(guarded(table.uri(), taking).await.map_err(failed)?)
}

/// Where the live rows of each fragment lie in a space, by id. Fragments without any are left out. `fragments`: only
/// these. `see` is shown the values, some rows of one fragment at a time.
///
/// # Errors
///
/// When a column is not there, or cannot be read.
pub(crate) async fn extents(
    table: &Dataset,
    space: &Space,
    fragments: Option<Vec<Fragment>>,
    mut see: impl FnMut(u64, &[ArrayRef]) -> Result<(), ColumnError>,
) -> Result<BTreeMap<u64, Extent>, ColumnError> {
    let columns: Vec<String> = space.column_names().map(ToOwned::to_owned).collect();
    check(table, &columns)?;
    let mut scan = table.scan();
    scan.project(&columns).map_err(failed)?.with_row_address().batch_size_bytes(BATCH_BYTES);
    if let Some(fragments) = fragments {
        scan.with_fragments(fragments);
    }
    let stream = guarded(table.uri(), scan.try_into_stream().boxed()).await.map_err(failed)?;
    let stream = stream.map_err(|error| ColumnError::from(failed(error)));
    let extents = stream.try_fold(BTreeMap::<u64, Extent>::new(), |mut extents, batch| {
        let seen = extend(&mut extents, space, &columns, &batch, &mut see);
        async { seen.map(|()| extents) }
    });
    extents.await
}

/// Takes in a batch: each stretch of rows of one fragment widens that fragment's box.
fn extend(
    extents: &mut BTreeMap<u64, Extent>,
    space: &Space,
    columns: &[String],
    batch: &RecordBatch,
    see: &mut impl FnMut(u64, &[ArrayRef]) -> Result<(), ColumnError>,
) -> Result<(), ColumnError> {
    let addresses = column(batch, ROW_ADDR)?;
    let addresses = addresses.as_primitive::<UInt64Type>().values();
    let values: Vec<ArrayRef> =
        columns.iter().map(|name| column(batch, name)).collect::<Result<_, _>>()?;
    let mut start = 0;
    for stretch in addresses.chunk_by(|one, other| one >> 32 == other >> 32) {
        let slices: Vec<_> = values.iter().map(|v| v.slice(start, stretch.len())).collect();
        start += stretch.len();
        let Some(ranks) = space.box_around(&slices)? else { continue };
        see(stretch[0] >> 32, &slices)?;
        let rows = stretch.len() as u64;
        extents
            .entry(stretch[0] >> 32)
            .and_modify(|extent| {
                extent.ranks = extent.ranks.union(&ranks);
                extent.rows += rows;
            })
            .or_insert(Extent { ranks, rows });
    }
    Ok(())
}

/// How well fragments are told apart that lie like this.
pub(crate) fn measured(columns: &[String], extents: &[Extent]) -> Clustering {
    let mut measured = Clustering::of(columns);
    measured.fragments = extents.len() as u64;
    measured.depth = depth(extents);
    let touched = touched(extents);
    (measured.ranges, measured.boxes) = (touched.ranges, touched.boxes);
    measured
}

fn check<T: AsRef<str>>(table: &Dataset, columns: &[T]) -> Result<(), ColumnError> {
    let is_there =
        |name: &&T| table.schema().fields.iter().any(|field| field.name == name.as_ref());
    match columns.iter().find(|name| !is_there(name)) {
        Some(missing) => Err(ColumnError::NoColumn(missing.as_ref().to_owned())),
        None => Ok(()),
    }
}

pub(super) fn column(batch: &RecordBatch, name: &str) -> Result<ArrayRef, ColumnError> {
    let missing = || ColumnError::NoColumn(name.to_owned());
    batch.column_by_name(name).cloned().ok_or_else(missing)
}

pub(super) fn failed(source: lance::Error) -> LanceFailure {
    LanceFailure::new("failed to read the columns", source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_reaches_over_the_whole_table_and_is_never_too_large() {
        assert_eq!(places(0, SAMPLE_ROWS), Vec::<u64>::new());
        assert_eq!(places(3, SAMPLE_ROWS), [0, 1, 2]);
        assert_eq!(places(SAMPLE_ROWS, SAMPLE_ROWS), Vec::from_iter(0..SAMPLE_ROWS));
        assert_eq!(places(320, PROBE_ROWS), Vec::from_iter((0..32).map(|at| at * 10)));
        for most in [PROBE_ROWS, 1_000, 5_000, SAMPLE_ROWS] {
            for rows in [SAMPLE_ROWS + 1, 1_000_000, 123_456_789] {
                let places = places(rows, most);
                let count = places.len() as u64;
                assert!(count <= most + STRETCHES && count >= most / 2 - 1, "{count} of {most}");
                assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
                let last = places[places.len() - 1];
                assert!(last < rows && rows - last <= rows / most.min(STRETCHES) + 1, "{last}");
            }
        }
    }
}
