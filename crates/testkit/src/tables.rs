//! Small tables built as a client would build them.

use std::sync::Arc;

use anyhow::Result;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchIterator, StringArray};
use arrow_schema::{DataType, Field, Schema};
use lance::Dataset;
use lance::dataset::{WriteMode, WriteParams};

/// A batch of `id` (from `first`, consecutive) and `text`.
#[must_use]
pub fn batch(first: i64, rows: usize) -> RecordBatch {
    let ids = Int64Array::from_iter_values(first..first + rows as i64);
    let texts =
        StringArray::from_iter_values((0..rows).map(|n| format!("row {}", first + n as i64)));
    let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(texts)];
    let fields =
        vec![Field::new("id", DataType::Int64, false), Field::new("text", DataType::Utf8, true)];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns fit the schema")
}

/// Creates a table of `fragments` fragments with `rows` rows each.
///
/// # Errors
///
/// When Lance fails.
pub async fn create(
    uri: &str,
    fragments: usize,
    rows: usize,
    stable_row_ids: bool,
) -> Result<Dataset> {
    let params = WriteParams { enable_stable_row_ids: stable_row_ids, ..WriteParams::default() };
    let mut table = write(uri, batch(0, rows), params).await?;
    for n in 1..fragments {
        table = append(uri, (n * rows) as i64, rows).await?;
    }
    Ok(table)
}

/// Creates a table of many small fragments in one commit.
///
/// # Errors
///
/// When Lance fails.
pub async fn create_at_once(uri: &str, fragments: usize, rows: usize) -> Result<Dataset> {
    let params = WriteParams { max_rows_per_file: rows, ..WriteParams::default() };
    write(uri, batch(0, fragments * rows), params).await
}

/// Appends one fragment, as a foreign client does: past every queue of ours.
///
/// # Errors
///
/// When Lance fails.
pub async fn append(uri: &str, first: i64, rows: usize) -> Result<Dataset> {
    let params = WriteParams { mode: WriteMode::Append, ..WriteParams::default() };
    write(uri, batch(first, rows), params).await
}

async fn write(uri: &str, batch: RecordBatch, params: WriteParams) -> Result<Dataset> {
    let schema = batch.schema();
    let reader = RecordBatchIterator::new([Ok(batch)], schema);
    Ok(Dataset::write(reader, uri, Some(params)).await?)
}
