//! Sorted rows, cut into new fragments and written. Not here: how they are sorted (`rows`).

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{RecordBatch, UInt64Array};
use arrow_schema::SchemaRef;
use datafusion_physical_plan::SendableRecordBatchStream;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use futures::{FutureExt, StreamExt};
use lance::Dataset;
use lance::dataset::InsertBuilder;
use lance::dataset::transaction::Operation;
use lance_table::format::Fragment;
use lancekeeper_layout::{CurveKeys, Cutter, RankBox};
use lancekeeper_store::failure::guarded;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::rows::{KEY, addresses_of};
use crate::arrangement::{Arrangement, Order};
use crate::recipe::bounded::one_file;

/// Batches between the sort and the cut, and between the cut and each writer.
const BATCHES_AHEAD: usize = 2;
/// Writers that are not done while the next one begins.
const WRITERS_AHEAD: usize = 1;

/// Rows in their order, and what is to be made of them.
pub(super) struct Sorted {
    pub(super) stream: SendableRecordBatchStream,
    pub(super) arrangement: Arc<Arrangement>,
    /// The rows of each output, as planned. Along a curve outputs end where the curve turns instead.
    pub(super) outputs: Vec<u64>,
    /// The most rows of an output.
    pub(super) full_rows: u64,
    /// Whether the old addresses of rows are wanted.
    pub(super) keeps_addresses: bool,
}

/// A fragment that was written.
pub(super) struct Written {
    pub(super) fragment: Fragment,
    /// The address that each of its rows had, if that was wanted.
    pub(super) from: Vec<u64>,
    pub(super) ranks: RankBox,
}

/// Writes sorted rows. `files`: the fragments written so far, also when it fails.
///
/// # Errors
///
/// When rows cannot be read, sorted or written.
///
/// # Cancel safety
///
/// The sort and the writers end. Files written so far stay.
pub(super) async fn write(
    table: &Dataset,
    sorted: Sorted,
    files: &mut Vec<Fragment>,
) -> lance::Result<Vec<Written>> {
    let rows = sorted.outputs.iter().sum();
    let ends = match sorted.arrangement.order {
        Order::Columns(_) => Ends::Planned(rows),
        Order::Curve(_) => Ends::AtTurns(Cutter::new(rows, sorted.full_rows)),
    };
    let planned = sorted.outputs.iter().scan(0, |end, rows| {
        *end += rows;
        Some(*end)
    });
    let known = match ends {
        Ends::Planned(_) => planned.collect(),
        Ends::AtTurns(_) => VecDeque::new(),
    };
    let mut writing = Writing {
        table: Arc::new(table.clone()),
        arrangement: sorted.arrangement,
        keeps_addresses: sorted.keeps_addresses,
        ends,
        known,
        held: VecDeque::new(),
        passed: 0,
        open: None,
        tasks: JoinSet::new(),
        done: Vec::new(),
    };
    let outcome = writing.all(sorted.stream).await;
    if outcome.is_err() {
        writing.tasks.abort_all();
    }
    // Those that are done are waited for in any case: their files have to be known.
    let joined = writing.join_all().await;
    files.extend(writing.done.iter().filter_map(|done| done.fragment.clone()));
    // A writer that failed says more than the channel to it that was closed.
    joined.and(outcome)?;
    let written: Option<Vec<Written>> =
        writing.done.into_iter().map(Output::into_written).collect();
    let written = written.ok_or_else(|| lance::Error::internal("an output was not written"))?;
    let found: u64 =
        written.iter().map(|w| w.fragment.physical_rows.unwrap_or_default() as u64).sum();
    if found != rows {
        let message = format!("{rows} rows were to be sorted, and {found} were written");
        return Err(lance::Error::internal(message));
    }
    Ok(written)
}

/// Where outputs end.
enum Ends {
    /// As planned; so many rows in all.
    Planned(u64),
    /// Where the curve turns.
    AtTurns(Cutter),
}

/// An output, from its first row on.
struct Output {
    from: Vec<u64>,
    ranks: Option<RankBox>,
    fragment: Option<Fragment>,
}

impl Output {
    fn into_written(self) -> Option<Written> {
        Some(Written { fragment: self.fragment?, from: self.from, ranks: self.ranks? })
    }
}

/// A batch of sorted rows.
struct Piece {
    rows: RecordBatch,
    addresses: UInt64Array,
}

struct Writing {
    table: Arc<Dataset>,
    arrangement: Arc<Arrangement>,
    keeps_addresses: bool,
    ends: Ends,
    /// Ends that are known and not reached, in rows from the first one on.
    known: VecDeque<u64>,
    /// Rows of which the output is not known.
    held: VecDeque<Piece>,
    /// Rows that went to a writer.
    passed: u64,
    /// To the writer of the last output of `done`, while that is open.
    open: Option<mpsc::Sender<RecordBatch>>,
    tasks: JoinSet<(usize, lance::Result<Fragment>)>,
    done: Vec<Output>,
}

impl Writing {
    async fn all(&mut self, sorted: SendableRecordBatchStream) -> lance::Result<()> {
        // On a task of its own, so that rows are sorted while others are written.
        let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD);
        let mut sorting = JoinSet::new();
        sorting.spawn(forward(sorted, sender));
        while let Some(batch) = batches.recv().await {
            let settled = self.take(batch?)?;
            self.pass(settled).await?;
        }
        while let Some(ended) = sorting.join_next().await {
            ended.map_err(|error| lance::Error::internal(error.to_string()))?;
        }
        self.open = None;
        match self.held.is_empty() {
            true => Ok(()),
            false => Err(lance::Error::internal("the last rows are of no output")),
        }
    }

    /// Takes a batch in, and says of how many rows, from the first one on, the output is known.
    fn take(&mut self, batch: RecordBatch) -> lance::Result<u64> {
        let addresses = addresses_of(&batch)?.clone();
        let columns = batch.schema().index_of(lance_core::ROW_ADDR)?;
        let settled = match &mut self.ends {
            Ends::Planned(rows) => *rows,
            Ends::AtTurns(cutter) => {
                self.known.extend(cutter.see(&keys_of(&batch)?));
                cutter.settled()
            }
        };
        let rows = batch.project(&(0..columns).collect::<Vec<_>>())?;
        self.held.push_back(Piece { rows, addresses });
        Ok(settled)
    }

    /// Gives rows to their writers, up to here.
    async fn pass(&mut self, settled: u64) -> lance::Result<()> {
        loop {
            // It may be learned of an end once all rows before it went to their writer.
            let end = self.known.front().copied();
            if end == Some(self.passed) {
                self.known.pop_front();
                self.open = None;
                continue;
            }
            let Some(piece) = self.held.pop_front() else { return Ok(()) };
            let room = end.unwrap_or(settled).saturating_sub(self.passed);
            let rows = (piece.rows.num_rows() as u64).min(room);
            if rows == 0 {
                self.held.push_front(piece);
                return Ok(());
            }
            let (now, later) = piece.cut(rows as usize);
            self.write_piece(now).await?;
            if let Some(later) = later {
                self.held.push_front(later);
            }
            self.passed += rows;
        }
    }

    async fn write_piece(&mut self, piece: Piece) -> lance::Result<()> {
        if self.open.is_none() {
            self.begin(piece.rows.schema()).await?;
        }
        let columns = self.arrangement.columns_of(&piece.rows)?;
        let ranks = self.arrangement.space.box_around(&columns);
        let ranks = ranks.map_err(|error| lance::Error::invalid_input(error.to_string()))?;
        if let Some(output) = self.done.last_mut() {
            output.ranks = match (output.ranks.take(), ranks) {
                (Some(known), Some(ranks)) => Some(known.union(&ranks)),
                (known, ranks) => known.or(ranks),
            };
            if self.keeps_addresses {
                output.from.extend_from_slice(piece.addresses.values());
            }
        }
        let Some(open) = &self.open else { return Ok(()) };
        // The writer has failed if it takes no more: what it says is found when it is joined.
        let closed = |_| lance::Error::internal("the writer of an output has ended");
        open.send(piece.rows).await.map_err(closed)
    }

    /// Begins the next output, once there are not too many that are not done.
    async fn begin(&mut self, schema: SchemaRef) -> lance::Result<()> {
        while self.tasks.len() > WRITERS_AHEAD {
            self.join_one().await?;
        }
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        self.tasks.spawn(write_one(self.done.len(), Arc::clone(&self.table), schema, batches));
        self.done.push(Output { from: Vec::new(), ranks: None, fragment: None });
        self.open = Some(sender);
        Ok(())
    }

    async fn join_one(&mut self) -> lance::Result<()> {
        match self.tasks.join_next().await {
            None => Ok(()),
            Some(Ok((at, fragment))) => {
                self.done[at].fragment = Some(fragment?);
                Ok(())
            }
            Some(Err(error)) if error.is_cancelled() => Ok(()),
            Some(Err(error)) => Err(lance::Error::internal(error.to_string())),
        }
    }

    /// Waits for all writers; the first error is that of the whole.
    async fn join_all(&mut self) -> lance::Result<()> {
        self.open = None;
        let mut outcome = Ok(());
        while !self.tasks.is_empty() {
            outcome = outcome.and(self.join_one().await);
        }
        outcome
    }
}

impl Piece {
    /// The first rows, and the others if there are any.
    fn cut(self, rows: usize) -> (Self, Option<Self>) {
        let all = self.rows.num_rows();
        if rows == all {
            return (self, None);
        }
        let part = |from: usize, rows: usize| Self {
            rows: self.rows.slice(from, rows),
            addresses: self.addresses.slice(from, rows),
        };
        (part(0, rows), Some(part(rows, all - rows)))
    }
}

async fn forward(
    mut sorted: SendableRecordBatchStream,
    sender: mpsc::Sender<lance::Result<RecordBatch>>,
) {
    while let Some(batch) = sorted.next().await {
        let is_error = batch.is_err();
        // Nobody listens any more once writing has failed.
        if sender.send(batch.map_err(lance::Error::from)).await.is_err() || is_error {
            return;
        }
    }
}

async fn write_one(
    at: usize,
    table: Arc<Dataset>,
    schema: SchemaRef,
    batches: mpsc::Receiver<RecordBatch>,
) -> (usize, lance::Result<Fragment>) {
    let batches = futures::stream::unfold(batches, |mut batches| async move {
        batches.recv().await.map(|batch| (Ok(batch), batches))
    });
    let stream: SendableRecordBatchStream =
        Box::pin(RecordBatchStreamAdapter::new(schema, batches));
    let params = one_file(&table);
    let uri = table.uri().to_owned();
    let writer = InsertBuilder::new(table).with_params(&params);
    let writing = writer.execute_uncommitted_stream(stream);
    let written = guarded(&uri, writing.boxed()).await;
    let fragment = written.and_then(|written| match written.operation {
        Operation::Append { fragments } => match <[Fragment; 1]>::try_from(fragments) {
            Ok([fragment]) => Ok(fragment),
            Err(_) => Err(lance::Error::internal("an output became more than one file")),
        },
        _ => Err(lance::Error::internal("rows that were to be appended became something else")),
    });
    (at, fragment)
}

fn keys_of(batch: &RecordBatch) -> lance::Result<CurveKeys> {
    let missing = || lance::Error::internal("rows were sorted without their keys");
    let key = batch.column_by_name(KEY).ok_or_else(missing)?;
    if let Some(words) = key.as_primitive_opt::<UInt64Type>() {
        return Ok(CurveKeys::Words(words.clone()));
    }
    let bytes = key.as_fixed_size_binary_opt().ok_or_else(missing)?;
    Ok(CurveKeys::Bytes(bytes.clone()))
}
