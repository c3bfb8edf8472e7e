//! The rows of a table as a B-tree takes them: sorted by value, and the ids of those that are
//! alive. Not here: what an index says of them.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion_physical_plan::SendableRecordBatchStream;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use lance::Dataset;
use lance::dataset::rowids::load_row_id_sequence;
use lance::dataset::scanner::ColumnOrdering;
use lance_datafusion::exec::{LanceExecutionOptions, execute_plan};
use lance_select::RowAddrTreeMap;
use lance_table::format::Fragment;

use crate::sources::deleted_rows;

/// The column names by which a B-tree is trained.
const VALUE: &str = "value";
const ROW_ADDRESS: &str = "_rowaddr";
/// What a sort holds in memory before it spills to the directory for temporary files.
const SORT_BYTES: u64 = 128 << 20;
/// What is read ahead of the sort.
const READ_AHEAD_BYTES: u64 = 32 << 20;
/// A batch is the least that a sort takes in.
const BATCH_BYTES: u64 = 4 << 20;
/// Rows of a sorted batch. A sort that has spilled holds two batches of each file that it merges,
/// and fails where those of two files do not fit.
const SORTED_ROWS: usize = 4096;
/// The same for values of any width: with these, values of 100 KB can be sorted.
const SORTED_ROWS_OF_ANY_WIDTH: usize = 128;

/// The rows of some fragments, or all, as (value, row id), sorted by value.
pub(super) async fn sorted(
    table: &Dataset,
    column: &str,
    fragments: Option<Vec<Fragment>>,
) -> lance::Result<SendableRecordBatchStream> {
    let mut scan = table.scan();
    scan.project(&[column])?.with_row_id();
    scan.order_by(Some(vec![ColumnOrdering::asc_nulls_first(column.to_owned())]))?;
    scan.io_buffer_size(READ_AHEAD_BYTES).batch_size_bytes(BATCH_BYTES);
    if let Some(fragments) = fragments {
        scan.with_fragments(fragments);
    }
    let plan = scan.create_plan().await?;
    let value_type = plan.schema().field(0).data_type().clone();
    let is_of_one_width = value_type.primitive_width().is_some();
    let options = LanceExecutionOptions {
        use_spilling: true,
        mem_pool_size: Some(SORT_BYTES),
        batch_size: Some(if is_of_one_width { SORTED_ROWS } else { SORTED_ROWS_OF_ANY_WIDTH }),
        ..LanceExecutionOptions::default()
    };
    let rows = execute_plan(plan, options)?;
    let schema = training_schema(value_type);
    let shape = Arc::clone(&schema);
    let shaped = rows.and_then(move |batch| {
        let named = RecordBatch::try_new(Arc::clone(&shape), batch.columns().to_vec());
        std::future::ready(named.map_err(Into::into))
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, shaped)))
}

/// No rows, for a column of this type.
pub(super) fn none(value_type: DataType) -> SendableRecordBatchStream {
    let nothing = futures::stream::empty();
    Box::pin(RecordBatchStreamAdapter::new(training_schema(value_type), nothing))
}

fn training_schema(value_type: DataType) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(VALUE, value_type, true),
        Field::new(ROW_ADDRESS, DataType::UInt64, false),
    ]))
}

/// The ids of the live rows of these fragments. A row that was updated lives on elsewhere under
/// the id that it had here: it is not among them.
pub(super) async fn live_ids(
    table: &Dataset,
    fragments: &[Fragment],
) -> lance::Result<RowAddrTreeMap> {
    let mut live = RowAddrTreeMap::new();
    for fragment in fragments {
        let ids = load_row_id_sequence(table, fragment).await?;
        let deleted = deleted_rows(table, fragment).await?;
        live |= match deleted.is_empty() {
            true => RowAddrTreeMap::from(ids.as_ref()),
            false => {
                let mut deleted = deleted.into_iter().map(u64::from).peekable();
                let is_live = |offset: u64| deleted.next_if_eq(&offset).is_none();
                living(ids.iter(), is_live)
            }
        };
    }
    Ok(live)
}

fn living(ids: impl Iterator<Item = u64>, mut is_live: impl FnMut(u64) -> bool) -> RowAddrTreeMap {
    (0..).zip(ids).filter(|(offset, _)| is_live(*offset)).map(|(_, id)| id).collect()
}
