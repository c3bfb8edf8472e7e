//! Computes the statistics of a table: one scan over all its columns. Blobs are left out, because they are not
//! read by a scan.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use chrono::{DateTime, Utc};
use futures::{FutureExt, TryStreamExt};
use lance::Dataset;
use lance::datatypes::{Field, Schema};
use lancekeeper_model::{ColumnStatistics, STATISTICS_FORMAT, TableRef, TableStatistics};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failure::guarded;
use lancekeeper_store::tables::version_of;

use super::leaf::LeafStatistics;
use super::leaves::{leaves_of, visit};

/// Columns that are scanned together. An estimate of different values takes 16 KiB for each leaf, and a page
/// of each column is in memory.
const COLUMNS_AT_ONCE: usize = 128;

/// Bytes of one batch, and of what is read ahead: rows may be a megabyte wide.
const BATCH_BYTES: u64 = 8 << 20;
const READ_AHEAD_BYTES: u64 = 64 << 20;

/// The statistics of a table at the version that the handle stands at.
///
/// # Errors
///
/// When the table cannot be read.
pub(crate) async fn compute(
    table: &Dataset,
    name: &TableRef,
    now: DateTime<Utc>,
) -> Result<TableStatistics, LanceFailure> {
    let failed =
        |source| LanceFailure::new(format!("failed to compute statistics of {name}"), source);
    let rows = table.count_rows(None).await.map_err(failed)?;
    let fields = &table.schema().fields;
    let readable: Vec<Field> = fields.iter().filter(|field| !is_blob(field)).cloned().collect();
    let mut known = Vec::new();
    for columns in readable.chunks(COLUMNS_AT_ONCE) {
        known.extend(scan(table, columns).await.map_err(failed)?);
    }
    let mut known = known.into_iter();
    // In the order of the schema again.
    let mut entries = Vec::new();
    for field in fields {
        if is_blob(field) {
            entries.push(blob(&field.name, &field.data_type().to_string(), rows as u64));
        } else {
            entries.extend(known.next().into_iter().flatten());
        }
    }
    Ok(TableStatistics {
        format: STATISTICS_FORMAT,
        table: name.key.as_str().to_owned(),
        branch: name.branch.name().map(ToOwned::to_owned),
        version: version_of(table).0,
        computed_at: now,
        rows: rows as u64,
        columns: entries,
    })
}

/// Whether a blob is in a column, at whatever depth.
fn is_blob(field: &Field) -> bool {
    field.is_blob() || field.children.iter().any(is_blob)
}

fn blob(path: &str, data_type: &str, values: u64) -> ColumnStatistics {
    ColumnStatistics {
        path: path.to_owned(),
        data_type: data_type.to_owned(),
        values,
        left_out: Some("blobs are not read".to_owned()),
        ..ColumnStatistics::default()
    }
}

/// The entries of some columns, those of the leaves of each together.
async fn scan(table: &Dataset, columns: &[Field]) -> lance::Result<Vec<Vec<ColumnStatistics>>> {
    let mut scan = table.scan();
    // By fields, not by names: a dot in a name would be taken for one between a struct and its field.
    let wanted = Schema { fields: columns.to_vec(), metadata: table.schema().metadata.clone() };
    scan.project_with_schema(&wanted)?.scan_in_order(false);
    scan.batch_size_bytes(BATCH_BYTES).io_buffer_size(READ_AHEAD_BYTES);
    let mut stream = guarded(table.uri(), scan.try_into_stream().boxed()).await?;
    let mut known = begin(columns)?;
    while let Some(batch) = stream.try_next().await? {
        add(&mut known, columns, &batch)?;
    }
    let finish = |leaves: Vec<LeafStatistics>| -> Result<Vec<_>, ArrowError> {
        leaves.into_iter().map(LeafStatistics::finish).collect()
    };
    Ok(known.into_iter().map(finish).collect::<Result<_, _>>()?)
}

fn begin(columns: &[Field]) -> Result<Vec<Vec<LeafStatistics>>, ArrowError> {
    let leaves = |field: &Field| {
        leaves_of(&arrow_schema::Field::from(field)).into_iter().map(LeafStatistics::new).collect()
    };
    columns.iter().map(leaves).collect()
}

fn add(
    known: &mut [Vec<LeafStatistics>],
    columns: &[Field],
    batch: &RecordBatch,
) -> Result<(), ArrowError> {
    for (leaves, Field { name, .. }) in known.iter_mut().zip(columns) {
        let values = batch
            .column_by_name(name)
            .ok_or_else(|| ArrowError::SchemaError(format!("the scan has no column {name}")))?;
        let mut leaves = leaves.iter_mut();
        visit(values, None, &mut |values, nulls| match leaves.next() {
            Some(leaf) => leaf.add(values, nulls),
            None => {
                Err(ArrowError::SchemaError(format!("column {name} has more leaves than its type")))
            }
        })?;
    }
    Ok(())
}
