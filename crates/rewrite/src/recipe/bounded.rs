//! Encoding anew with a bound on what the writer holds. Lance's writer collects up to 8 MiB of each
//! column before it writes a page: a table of 500 columns would be in memory as a whole, whatever
//! the ceiling.
//!
//! Not here: tables of few columns, and those with blobs, which Lance's own task knows how to read.

use std::sync::Arc;

use datafusion_physical_plan::SendableRecordBatchStream;
use futures::FutureExt;
use lance::Dataset;
use lance::dataset::scanner::Scanner;
use lance::dataset::transaction::Operation;
use lance::dataset::{InsertBuilder, WriteMode, WriteParams};
use lance_file::version::ConcreteFileVersion;
use lance_file::writer::FileWriterOptions;
use lance_table::format::Fragment;
use lancekeeper_planner::optimize::Group;
use lancekeeper_store::failure::guarded;

use super::lineage::Lineages;
use super::{IO_BUFFER_BYTES, Rewritten, addresses, kept_version, written};
use crate::sources::ReadSource;

/// What Lance's writer collects of a column before it writes a page.
const COLUMN_BUFFER_BYTES: u64 = 8 << 20;
/// What all columns together may collect. With 500 of them that is some 200 KiB each, a little less
/// than the pages that the planner takes for worth keeping.
const BUFFERS_MAX: u64 = 96 << 20;

/// The bytes that a writer of this table would collect of all columns, as Lance does it.
pub(super) fn buffers(table: &Dataset) -> u64 {
    let leaves = table.schema().fields_pre_order().filter(|field| field.children.is_empty());
    COLUMN_BUFFER_BYTES.saturating_mul(leaves.count() as u64)
}

/// What a writer holds at most that re-encodes a group of this table.
#[must_use]
pub fn held_by_writer(table: &Dataset, group: &Group) -> u64 {
    let all = buffers(table).min(group.bytes);
    if is_for_us(table) { all.min(BUFFERS_MAX) } else { all }
}

/// Whether tables like this one are written with a bound.
fn is_for_us(table: &Dataset) -> bool {
    let is_known =
        table.manifest().data_storage_format.lance_file_format() != ConcreteFileVersion::V1;
    let has_blobs = table.schema().fields_pre_order().any(lance::datatypes::Field::is_blob);
    is_known && !has_blobs && buffers(table) > BUFFERS_MAX
}

/// The live rows of a group, written with a bound on what is held; `None` for tables that need
/// none, and nothing was written then.
///
/// # Errors
///
/// When a source cannot be read or a file cannot be written.
///
/// # Cancel safety
///
/// Nothing becomes visible. Files written so far stay.
pub(super) async fn bounded(
    table: &Dataset,
    source: &[Fragment],
    read: &[ReadSource],
    group: &Group,
    batch_rows: u32,
    keeps_addresses: bool,
) -> lance::Result<Option<Rewritten>> {
    if !is_for_us(table) {
        return Ok(None);
    }
    let mut scanner = table.scan();
    scanner.batch_size(batch_rows as usize);
    written_anew(table, source, read, group, (scanner, params(table, group)), keeps_addresses).await
}

/// The live rows of a group as this scanner reads them, written in their order by a writer with these parameters; `None`
/// where what rows are known by is Lance's to carry along, and nothing was written then.
///
/// # Errors
///
/// When a source cannot be read or a file cannot be written.
///
/// # Cancel safety
///
/// Nothing becomes visible. Files written so far stay.
pub(super) async fn written_anew(
    table: &Dataset,
    source: &[Fragment],
    read: &[ReadSource],
    group: &Group,
    (mut scanner, params): (Scanner, WriteParams),
    keeps_addresses: bool,
) -> lance::Result<Option<Rewritten>> {
    let Some(lineages) = Lineages::of(table, source, read, &group.outputs)? else {
        return Ok(None);
    };
    let kept_addrs = keeps_addresses.then(|| addresses(read)).transpose()?;
    scanner.with_fragments(source.to_vec()).scan_in_order(true).io_buffer_size(IO_BUFFER_BYTES);
    let rows = scanner.try_into_stream().await?;
    let writer = InsertBuilder::new(Arc::new(table.clone())).with_params(&params);
    let writing = writer.execute_uncommitted_stream(SendableRecordBatchStream::from(rows));
    let written = guarded(table.uri(), writing.boxed()).await?;
    let Operation::Append { mut fragments } = written.operation else {
        return Err(lance::Error::internal("rows that were to be appended became something else"));
    };
    lineages.apply(&mut fragments)?;
    Ok(Some(Rewritten { fragments, kept_addrs, permuted: None }))
}

fn params(table: &Dataset, group: &Group) -> WriteParams {
    let rows = group.outputs.iter().copied().max().unwrap_or(1);
    WriteParams {
        max_rows_per_file: usize::try_from(rows).unwrap_or(usize::MAX),
        data_storage_version: Some(written(table, group).to_selector()),
        ..one_file(table)
    }
}

/// How one file of a table like this one is written, whatever goes into it.
pub(super) fn one_file(table: &Dataset) -> WriteParams {
    // Lance divides the whole among top-level columns, and each leaf of one gets its share in full.
    let columns = table.schema().fields.len() as u64;
    let leaves = (buffers(table) / COLUMN_BUFFER_BYTES).max(1);
    let options = FileWriterOptions {
        data_cache_bytes: Some((BUFFERS_MAX / leaves).min(COLUMN_BUFFER_BYTES) * columns),
        ..FileWriterOptions::default()
    };
    one_file_with(table, options, kept_version(table))
}

/// How the outputs of a group are written, by a writer with these options.
pub(super) fn params_with(
    table: &Dataset,
    group: &Group,
    options: FileWriterOptions,
) -> WriteParams {
    let rows = group.outputs.iter().copied().max().unwrap_or(1);
    WriteParams {
        max_rows_per_file: usize::try_from(rows).unwrap_or(usize::MAX),
        ..one_file_with(table, options, written(table, group))
    }
}

fn one_file_with(
    table: &Dataset,
    options: FileWriterOptions,
    version: ConcreteFileVersion,
) -> WriteParams {
    WriteParams {
        mode: WriteMode::Append,
        max_rows_per_file: usize::MAX,
        // The planner has sized the outputs.
        max_bytes_per_file: usize::MAX,
        enable_stable_row_ids: table.manifest().uses_stable_row_ids(),
        data_storage_version: Some(version.to_selector()),
        file_writer_options: Some(options),
        skip_auto_cleanup: true,
        ..WriteParams::default()
    }
}
