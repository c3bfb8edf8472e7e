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
    Axis, BOUNDARIES, Extent, RankBox, SAMPLE_PER_BOUNDARY, Sample, Space, SpaceError, depth,
    touched,
};
use lancekeeper_model::{Clustering, TableRef};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failure::{guarded, text_with_hint};
use lancekeeper_store::tables::version_of;
use thiserror::Error;

use crate::status::picture::{self, Reach};

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

/// A fragment as it is measured.
struct Seen {
    extent: Extent,
    /// Which values it reaches from and to, if that is to be drawn.
    reaches: Vec<Reach>,
}

/// What was seen of a table.
#[derive(Default)]
struct Look {
    fragments: BTreeMap<u64, Seen>,
    /// The axes of a drawing, if there is to be one.
    axes: Vec<Axis>,
}

/// Measures a table over these columns, and draws it if that is wanted. What cannot be measured says why.
pub(super) async fn clustering(
    table: &Dataset,
    name: &TableRef,
    columns: &[String],
    draws: bool,
) -> Clustering {
    let mut measured = Clustering::of(columns);
    match look(table, columns, draws).await {
        Ok(Look { fragments, axes }) => {
            let extents: Vec<Extent> = fragments.values().map(|seen| seen.extent.clone()).collect();
            measured.fragments = extents.len() as u64;
            measured.depth = depth(&extents);
            let touched = touched(&extents);
            if draws {
                let title =
                    format!("{name} by {}, version {}", columns.join(", "), version_of(table));
                let drawn = fragments
                    .iter()
                    .map(|(id, seen)| picture::fragment(*id, &seen.extent, columns, &seen.reaches));
                let measures = (measured.depth, &touched);
                measured.drawing = Some(picture::draw(title, axes, drawn.collect(), measures));
            }
            (measured.ranges, measured.boxes) = (touched.ranges, touched.boxes);
        }
        Err(error @ DepthError::Lance(_)) => measured.error = Some(text_with_hint(&error)),
        Err(error) => measured.error = Some(error.to_string()),
    }
    measured
}

/// Where the live rows of each fragment lie in the space of the table's own values. Fragments
/// without any are left out.
async fn look(table: &Dataset, columns: &[String], draws: bool) -> Result<Look, DepthError> {
    if let Some(missing) = columns.iter().find(|name| !is_column(table, name)) {
        return Err(DepthError::NoColumn(missing.clone()));
    }
    let rows = table.count_rows(None).await.map_err(failed)?;
    if rows == 0 {
        return Ok(Look::default());
    }
    let sample = sample(table, columns, rows as u64).await?;
    let space = Space::from_sample(&sample, BOUNDARIES)?;
    let axes = if draws { picture::axes(&space, &sample)? } else { Vec::new() };
    let mut scan = table.scan();
    scan.project(columns).map_err(failed)?.with_row_address();
    let stream = guarded(table.uri(), scan.try_into_stream().boxed()).await.map_err(failed)?;
    let fragments = stream.map_err(|error| DepthError::from(failed(error))).try_fold(
        BTreeMap::<u64, Seen>::new(),
        |mut fragments, batch| {
            let seen = extend(&mut fragments, &space, columns, &batch, draws);
            async { seen.map(|()| fragments) }
        },
    );
    Ok(Look { fragments: fragments.await?, axes })
}

/// Takes in a batch: each stretch of rows of one fragment widens that fragment's box.
fn extend(
    fragments: &mut BTreeMap<u64, Seen>,
    space: &Space,
    columns: &[String],
    batch: &RecordBatch,
    draws: bool,
) -> Result<(), DepthError> {
    let addresses = column(batch, ROW_ADDR)?;
    let addresses = addresses.as_primitive::<UInt64Type>().values();
    let values: Vec<ArrayRef> =
        columns.iter().map(|name| column(batch, name)).collect::<Result<_, _>>()?;
    let mut start = 0;
    for stretch in addresses.chunk_by(|one, other| one >> 32 == other >> 32) {
        let slices: Vec<_> = values.iter().map(|v| v.slice(start, stretch.len())).collect();
        start += stretch.len();
        let ranks = space.ranks(&slices)?;
        let Some(sides) = RankBox::around(&ranks) else { continue };
        let rows = stretch.len() as u64;
        let seen = fragments
            .entry(stretch[0] >> 32)
            .and_modify(|seen| {
                seen.extent.ranks = seen.extent.ranks.union(&sides);
                seen.extent.rows += rows;
            })
            .or_insert_with(|| Seen { extent: Extent { ranks: sides, rows }, reaches: Vec::new() });
        if draws {
            picture::widen(&mut seen.reaches, ranks.columns(), &slices);
        }
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
