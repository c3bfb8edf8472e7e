//! How well a table's fragments are told apart by some of its columns: measured on the rows
//! themselves, so it holds for any table and any columns, whoever wrote them. Reads those columns as
//! a whole; the measures themselves are in `layout`.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, RecordBatch};
use futures::{FutureExt, TryStreamExt};
use lance::Dataset;
use lance_core::ROW_ADDR;
use lancekeeper_layout::{
    BOUNDARIES, Extent, RankBox, SAMPLE_PER_BOUNDARY, Sample, Space, SpaceError, depth, touched,
};
use lancekeeper_model::Clustering;
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failure::{guarded, text_with_hint};
use thiserror::Error;

/// Rows that are looked at to learn how the values of a column are spread.
const SAMPLE_ROWS: u64 = (BOUNDARIES * SAMPLE_PER_BOUNDARY) as u64;

/// Why a table could not be measured.
#[derive(Debug, Error)]
enum DepthError {
    #[error("there is no column {0}")]
    NoColumn(String),
    #[error(transparent)]
    Space(#[from] SpaceError),
    #[error(transparent)]
    Lance(#[from] LanceFailure),
}

/// Measures a table over these columns. What cannot be measured says why.
pub(super) async fn clustering(table: &Dataset, columns: &[String]) -> Clustering {
    let mut measured = Clustering::of(columns);
    match extents(table, columns).await {
        Ok(extents) => {
            measured.fragments = extents.len() as u64;
            measured.depth = depth(&extents);
            let touched = touched(&extents);
            (measured.ranges, measured.boxes) = (touched.ranges, touched.boxes);
        }
        Err(error @ DepthError::Lance(_)) => measured.error = Some(text_with_hint(&error)),
        Err(error) => measured.error = Some(error.to_string()),
    }
    measured
}

/// Where the live rows of each fragment lie in the space of the table's own values. Fragments
/// without any are left out.
async fn extents(table: &Dataset, columns: &[String]) -> Result<Vec<Extent>, DepthError> {
    if let Some(missing) = columns.iter().find(|name| !is_column(table, name)) {
        return Err(DepthError::NoColumn(missing.clone()));
    }
    let rows = table.count_rows(None).await.map_err(failed)?;
    if rows == 0 {
        return Ok(Vec::new());
    }
    let space = Space::from_sample(&sample(table, columns, rows as u64).await?, BOUNDARIES)?;
    let mut scan = table.scan();
    scan.project(columns).map_err(failed)?.with_row_address();
    let stream = guarded(table.uri(), scan.try_into_stream().boxed()).await.map_err(failed)?;
    let extents = stream.map_err(|error| DepthError::from(failed(error))).try_fold(
        BTreeMap::<u64, Extent>::new(),
        |mut extents, batch| {
            let seen = extend(&mut extents, &space, columns, &batch);
            async { seen.map(|()| extents) }
        },
    );
    Ok(extents.await?.into_values().collect())
}

/// Takes in a batch: each stretch of rows of one fragment widens that fragment's box.
fn extend(
    extents: &mut BTreeMap<u64, Extent>,
    space: &Space,
    columns: &[String],
    batch: &RecordBatch,
) -> Result<(), DepthError> {
    let addresses = column(batch, ROW_ADDR)?;
    let addresses = addresses.as_primitive::<UInt64Type>().values();
    let values: Vec<ArrayRef> =
        columns.iter().map(|name| column(batch, name)).collect::<Result<_, _>>()?;
    let mut start = 0;
    for stretch in addresses.chunk_by(|one, other| one >> 32 == other >> 32) {
        let slices: Vec<_> = values.iter().map(|v| v.slice(start, stretch.len())).collect();
        start += stretch.len();
        let Some(ranks) = RankBox::around(&space.ranks(&slices)?) else { continue };
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

/// Rows from all over the table, at equal distances: the same table always has the same figures.
async fn sample(table: &Dataset, columns: &[String], rows: u64) -> Result<Vec<Sample>, DepthError> {
    let step = rows.div_ceil(SAMPLE_ROWS).max(1);
    let places: Vec<u64> = (0..rows).step_by(usize::try_from(step).unwrap_or(usize::MAX)).collect();
    let projection = table.schema().project(columns).map_err(failed)?;
    let taken =
        guarded(table.uri(), table.take(&places, projection).boxed()).await.map_err(failed)?;
    let sample =
        |name: &String| Ok(Sample { column: name.clone(), values: vec![column(&taken, name)?] });
    columns.iter().map(sample).collect()
}

fn is_column(table: &Dataset, name: &str) -> bool {
    table.schema().fields.iter().any(|field| field.name == name)
}

fn column(batch: &RecordBatch, name: &str) -> Result<ArrayRef, DepthError> {
    batch.column_by_name(name).cloned().ok_or_else(|| DepthError::NoColumn(name.to_owned()))
}

fn failed(source: lance::Error) -> LanceFailure {
    LanceFailure::new("failed to read the columns", source)
}
