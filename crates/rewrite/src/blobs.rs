//! How much the blobs of a group take, learned from their descriptors before one of them is
//! read. A rewrite holds all blobs of a batch at once, and rows of one fragment may be of very
//! different widths: a batch that fits by the mean may not fit where the large ones are.
//!
//! Not here: how many rows a batch may then have (`planner`).

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt8Type, UInt64Type};
use arrow_array::{Array, OffsetSizeTrait};
use arrow_schema::DataType;
use futures::TryStreamExt;
use lance::Dataset;
use lance::datatypes::Field;
use lance_core::datatypes::{BlobHandling, BlobKind};
use lance_table::feature_flags::managed_blobs_enabled;
use lance_table::format::Fragment;
use lancekeeper_model::TableRef;
use lancekeeper_planner::optimize::{BlobBatch, Group, blob_batch};

use crate::stage::{StageError, sources};

/// The batches that a group's blobs allow; `None` when the table has no blobs, or none of them
/// passes through memory.
///
/// # Errors
///
/// When the descriptors cannot be read.
pub async fn batches(
    table: &Dataset,
    table_ref: &TableRef,
    group: &Group,
) -> Result<Option<BlobBatch>, StageError> {
    let columns: Vec<Field> =
        table.schema().fields.iter().filter(|field| holds_blobs(field)).cloned().collect();
    let Some(batch_rows) = group.recipe.batch_rows() else { return Ok(None) };
    if columns.is_empty() || group.outputs.is_empty() {
        return Ok(None);
    }
    let source = sources(table, table_ref, group)?;
    let sizes = Box::pin(sizes(table, source, &columns)).await.map_err(|source| {
        let fragments = group.fragments.clone();
        StageError::Lance { table: table_ref.clone(), fragments, source }
    })?;
    Ok(Some(blob_batch(&sizes, batch_rows)))
}

fn holds_blobs(field: &Field) -> bool {
    field.is_blob() || field.children.iter().any(holds_blobs)
}

/// What a rewrite reads for the blobs of each row, in the order of a scan.
async fn sizes(
    table: &Dataset,
    source: Vec<Fragment>,
    columns: &[Field],
) -> lance::Result<Vec<u64>> {
    let is_managed = managed_blobs_enabled(table.schema())?;
    let names: Vec<&str> = columns.iter().map(|field| field.name.as_str()).collect();
    let mut scan = table.scan();
    scan.project(&names)?;
    scan.blob_handling(BlobHandling::BlobsDescriptions);
    scan.with_fragments(source).scan_in_order(true);
    let mut batches = scan.try_into_stream().await?;
    let mut sizes = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        for row in 0..batch.num_rows() {
            let of = |(field, column)| bytes_of(field, column, row, is_managed);
            sizes.push(columns.iter().zip(batch.columns()).map(of).sum());
        }
    }
    Ok(sizes)
}

/// Bytes of the blobs in one row of a column, as far as a rewrite reads them.
fn bytes_of(field: &Field, column: &Arc<dyn Array>, row: usize, is_managed: bool) -> u64 {
    if column.is_null(row) {
        return 0;
    }
    if field.is_blob() {
        return descriptor_bytes(column.as_ref(), row, is_managed);
    }
    let inside = |field: &Field, column: &Arc<dyn Array>, rows: Range<usize>| {
        rows.map(|row| bytes_of(field, column, row, is_managed)).sum()
    };
    match (column.data_type(), field.children.first()) {
        (DataType::Struct(_), _) => field
            .children
            .iter()
            .filter(|child| holds_blobs(child))
            .filter_map(|child| Some((child, column.as_struct().column_by_name(&child.name)?)))
            .map(|(child, values)| bytes_of(child, values, row, is_managed))
            .sum(),
        (DataType::List(_), Some(child)) => {
            let list = column.as_list::<i32>();
            inside(child, list.values(), between(list.value_offsets(), row))
        }
        (DataType::LargeList(_), Some(child)) => {
            let list = column.as_list::<i64>();
            inside(child, list.values(), between(list.value_offsets(), row))
        }
        _ => 0,
    }
}

fn between<O: OffsetSizeTrait>(offsets: &[O], row: usize) -> Range<usize> {
    offsets[row].as_usize()..offsets[row + 1].as_usize()
}

/// The size a descriptor names. What lies elsewhere, and what a rewrite only refers to, is not
/// read.
fn descriptor_bytes(column: &dyn Array, row: usize, is_managed: bool) -> u64 {
    let Some(descriptors) = column.as_struct_opt() else { return 0 };
    let kinds = descriptors.column_by_name("kind").and_then(|c| c.as_primitive_opt::<UInt8Type>());
    let is_read = match kinds.map(|kinds| BlobKind::try_from(kinds.value(row))) {
        // Blobs of the old kind lie in the data file.
        None | Some(Ok(BlobKind::Inline)) => true,
        Some(Ok(BlobKind::External)) | Some(Err(_)) => false,
        Some(Ok(_)) => !is_managed,
    };
    let sizes = descriptors.column_by_name("size").and_then(|c| c.as_primitive_opt::<UInt64Type>());
    match sizes {
        Some(sizes) if is_read && sizes.is_valid(row) => sizes.value(row),
        _ => 0,
    }
}
