//! The live rows of fragments, sorted: table columns first, then the address of each row, then its key if
//! the layout is a curve. The same input gives the same output under the same limit of memory. Rows that are equal in
//! the layout come in any order: how many of them are sorted at once depends on what fits.
//!
//! Not here: where one new fragment ends and the next begins (`outputs`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, SortOptions};
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion_physical_plan::sorts::sort::SortExec;
use datafusion_physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::union::UnionExec;
use datafusion_physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::{FutureExt, StreamExt};
use lance::Dataset;
use lance_core::ROW_ADDR;
use lance_datafusion::exec::{LanceExecutionOptions, OneShotExec, execute_plan};
use lance_table::format::Fragment;
use lancekeeper_layout::{Curve, RankBox, curve_keys};
use lancekeeper_store::failure::guarded;

use super::Sorting;
use crate::arrangement::{Arrangement, Order};
use crate::recipe::IO_BUFFER_BYTES;

/// The column that curves are sorted by. No column of a table is named like this: it is refused.
pub(super) const KEY: &str = "__lancekeeper_key";
/// Streams that are read and sorted at the same time, and merged then. Each takes a core while it sorts.
const STREAMS_MAX: usize = 4;
/// What a stream may hold at least. Lance sets up to 40 MiB of it aside for merges, and what is left has to hold some
/// batches.
const STREAM_BYTES: u64 = 80 << 20;
/// Batches have so many times fewer rows each time a sort turned out not to fit.
const SLOWER: u32 = 16;
/// Rows of a sorted batch, at most.
const SORTED_ROWS_MAX: u32 = 8192;

/// How many rows a sort takes in at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Of a batch.
    batch_rows: u32,
    streams: usize,
}

impl Pace {
    /// As fast as there are cores and memory.
    pub(super) fn new(batch_rows: u32, sort_bytes: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let fit = usize::try_from(sort_bytes / STREAM_BYTES).unwrap_or(usize::MAX);
        Self { batch_rows, streams: cores.min(fit).clamp(1, STREAMS_MAX) }
    }

    /// For rows of which the widest are much wider than the mean, by which batches are planned: where those come
    /// together, a batch may not fit. `None` if it is a single row that does not.
    pub(super) fn slower(self) -> Option<Self> {
        let slowest = Self { batch_rows: 1, streams: 1 };
        let slower = Self { batch_rows: (self.batch_rows / SLOWER).max(1), ..slowest };
        (self != slowest).then_some(slower)
    }
}

/// Where the rows of each fragment lie, as far as they were read.
#[derive(Debug, Clone, Default)]
pub(super) struct SourceBoxes(Arc<Mutex<BTreeMap<u64, RankBox>>>);

impl SourceBoxes {
    fn widen(&self, fragment: u64, ranks: RankBox) {
        let mut boxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        boxes.entry(fragment).and_modify(|known| *known = known.union(&ranks)).or_insert(ranks);
    }

    pub(super) fn into_boxes(self) -> BTreeMap<u64, RankBox> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The live rows of these fragments in the order of a layout, and where those of each fragment lie.
///
/// # Errors
///
/// When the fragments cannot be read, or the layout's columns are not there.
pub(super) async fn sorted(
    table: &Dataset,
    source: &[Fragment],
    sorting: &Sorting,
    pace: Pace,
) -> lance::Result<(SendableRecordBatchStream, SourceBoxes)> {
    if table.schema().field(KEY).is_some() {
        return Err(lance::Error::not_supported(format!("a column of the table is named {KEY}")));
    }
    let boxes = SourceBoxes::default();
    let parts = parts(source, pace.streams);
    let mut streams: Vec<Arc<dyn ExecutionPlan>> = Vec::with_capacity(parts.len());
    for part in &parts {
        let mut scanner = table.scan();
        scanner
            .with_fragments(part.to_vec())
            .with_row_address()
            .scan_in_order(true)
            .batch_size(pace.batch_rows as usize)
            .io_buffer_size(IO_BUFFER_BYTES / parts.len() as u64);
        let stream = guarded(table.uri(), scanner.try_into_stream().boxed()).await?;
        let stream = with_keys(stream.into(), &sorting.arrangement, &boxes);
        streams.push(Arc::new(OneShotExec::new(stream)));
    }
    let input = match streams.len() {
        1 => streams.remove(0),
        _ => UnionExec::try_new(streams)?,
    };
    let order = ordering(&input.schema(), &sorting.arrangement)?;
    let sort = SortExec::new(order.clone(), input).with_preserve_partitioning(true);
    let merge = SortPreservingMergeExec::new(order, Arc::new(sort));
    // Of equal rows those of the first stream come first, not those of whoever is ready first.
    let merge = merge.with_round_robin_repartition(false);
    let options = LanceExecutionOptions {
        use_spilling: true,
        mem_pool_size: Some(sorting.sort_bytes),
        batch_size: Some(pace.batch_rows.min(SORTED_ROWS_MAX) as usize),
        // Lance's own limit of 100 GB would be one of tables, too; the disk has its own.
        max_temp_directory_size: Some(u64::MAX),
        ..LanceExecutionOptions::default()
    };
    Ok((execute_plan(Arc::new(merge), options)?, boxes))
}

/// The fragments in stretches of about the same number of rows, one for each stream.
fn parts(source: &[Fragment], streams: usize) -> Vec<&[Fragment]> {
    let count = streams.min(source.len()).max(1);
    let rows = |fragment: &Fragment| fragment.physical_rows.unwrap_or(1).max(1);
    let all: usize = source.iter().map(rows).sum();
    let mut parts = Vec::with_capacity(count);
    let (mut start, mut seen) = (0, 0);
    for (at, fragment) in source.iter().enumerate() {
        seen += rows(fragment);
        let is_last = at + 1 == source.len();
        if is_last || (parts.len() + 1 < count && seen * count >= all * (parts.len() + 1)) {
            parts.push(&source[start..=at]);
            start = at + 1;
        }
    }
    parts
}

/// The rows with the column that they are sorted by, if that is not one of theirs; each fragment's box grows with
/// them.
fn with_keys(
    rows: SendableRecordBatchStream,
    arrangement: &Arc<Arrangement>,
    boxes: &SourceBoxes,
) -> SendableRecordBatchStream {
    let schema = schema_with_key(&rows.schema(), arrangement);
    let (shape, arrangement, boxes) = (Arc::clone(&schema), Arc::clone(arrangement), boxes.clone());
    let keyed = rows.map(move |batch| Ok(keyed(&batch?, &shape, &arrangement, &boxes)?));
    Box::pin(RecordBatchStreamAdapter::new(schema, keyed))
}

fn schema_with_key(schema: &SchemaRef, arrangement: &Arrangement) -> SchemaRef {
    let Order::Curve(_) = arrangement.order else { return Arc::clone(schema) };
    let columns = arrangement.space.column_names().count();
    let data_type = match columns {
        0..=2 => DataType::UInt64,
        more => DataType::FixedSizeBinary(i32::try_from(4 * more).unwrap_or(i32::MAX)),
    };
    let key = Arc::new(Field::new(KEY, data_type, false));
    let fields: Vec<_> = schema.fields().iter().cloned().chain([key]).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn keyed(
    batch: &RecordBatch,
    schema: &SchemaRef,
    arrangement: &Arrangement,
    boxes: &SourceBoxes,
) -> lance::Result<RecordBatch> {
    let columns = arrangement.columns_of(batch)?;
    let wrong = |error: &dyn std::fmt::Display| lance::Error::invalid_input(error.to_string());
    let addresses = addresses_of(batch)?;
    let mut start = 0;
    for stretch in addresses.values().chunk_by(|one, other| one >> 32 == other >> 32) {
        let slices: Vec<ArrayRef> =
            columns.iter().map(|column| column.slice(start, stretch.len())).collect();
        start += stretch.len();
        if let Some(ranks) = arrangement.space.box_around(&slices).map_err(|e| wrong(&e))? {
            boxes.widen(stretch[0] >> 32, ranks);
        }
    }
    let Order::Curve(curve) = arrangement.order else { return Ok(batch.clone()) };
    let key = key_of(curve, arrangement, &columns).map_err(|error| wrong(&error))?;
    let all = batch.columns().iter().cloned().chain([key]).collect();
    Ok(RecordBatch::try_new(Arc::clone(schema), all)?)
}

fn key_of(
    curve: Curve,
    arrangement: &Arrangement,
    columns: &[ArrayRef],
) -> Result<ArrayRef, Box<dyn std::error::Error>> {
    Ok(curve_keys(curve, &arrangement.space.ranks(columns)?)?.into_array())
}

/// The addresses of the rows of a batch.
pub(super) fn addresses_of(
    batch: &RecordBatch,
) -> lance::Result<&arrow_array::PrimitiveArray<UInt64Type>> {
    let column = batch.column_by_name(ROW_ADDR).and_then(|c| c.as_primitive_opt::<UInt64Type>());
    column.ok_or_else(|| lance::Error::internal("rows were read without their addresses"))
}

/// By the layout alone: with a second column, batches of one number would be compared as bytes, which takes three
/// times as long.
fn ordering(schema: &SchemaRef, arrangement: &Arrangement) -> lance::Result<LexOrdering> {
    let by = |name: &str, options: SortOptions| {
        let at = schema.index_of(name)?;
        Ok::<_, lance::Error>(PhysicalSortExpr::new(Arc::new(Column::new(name, at)), options))
    };
    let order = match &arrangement.order {
        Order::Curve(_) => vec![by(KEY, SortOptions::default())?],
        Order::Columns(columns) => {
            columns.iter().map(|(name, options)| by(name, *options)).collect::<Result<_, _>>()?
        }
    };
    LexOrdering::new(order).ok_or_else(|| lance::Error::internal("rows are sorted by nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fragment_is_in_one_stream() {
        for rows in [vec![1], vec![5, 5], vec![1, 100, 1, 1], vec![3; 17], vec![100, 1, 1]] {
            let numbered = rows.iter().enumerate();
            let source: Vec<Fragment> = numbered
                .map(|(id, rows)| Fragment::new(id as u64).with_physical_rows(*rows))
                .collect();
            for streams in 1..=STREAMS_MAX {
                let parts = parts(&source, streams);
                assert!(parts.iter().all(|part| !part.is_empty()), "{rows:?}");
                assert!(parts.len() <= streams);
                let ids: Vec<u64> = parts.concat().iter().map(|fragment| fragment.id).collect();
                assert_eq!(ids, Vec::from_iter(0..rows.len() as u64));
            }
        }
    }

    #[test]
    fn a_sort_has_no_more_streams_than_fit_and_gets_slower_until_it_takes_row_by_row() {
        assert_eq!(Pace::new(7, 96 << 20), Pace { batch_rows: 7, streams: 1 });
        assert!(Pace::new(7, 384 << 20).streams <= STREAMS_MAX);
        let pace = Pace { batch_rows: 1_000, streams: 3 };
        let paces = std::iter::successors(Some(pace), |pace| pace.slower());
        let paces: Vec<_> = paces.map(|pace| (pace.batch_rows, pace.streams)).collect();
        assert_eq!(paces, [(1_000, 3), (62, 1), (3, 1), (1, 1)]);
    }
}
