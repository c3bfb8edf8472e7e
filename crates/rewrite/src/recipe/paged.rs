//! Encoding anew with pages of so many rows in every column. Lance's writer ends a page once it has collected more
//! of a column than it may; here it may collect nothing, so that every batch becomes a page, and batches have
//! exactly as many rows as a page is to have.
//!
//! Not here: how many rows that are (`planner`).

use lance::Dataset;
use lance_file::version::ConcreteFileVersion;
use lance_file::writer::FileWriterOptions;
use lance_table::format::Fragment;
use lancekeeper_planner::optimize::Group;

use super::Rewritten;
use super::bounded::{params_with, written_anew};
use crate::sources::ReadSource;

/// Whether the pages of a table can be made anew. Blobs are not read by a scan, and the oldest format has no
/// pages in this sense.
pub(crate) fn can_be_paged(table: &Dataset) -> bool {
    let version = table.manifest().data_storage_format.lance_file_format();
    let has_blobs = table.schema().fields_pre_order().any(lance::datatypes::Field::is_blob);
    version != ConcreteFileVersion::V1 && !has_blobs
}

/// The live rows of a group, in pages of so many rows; the last page of a file may have fewer. `None` where that
/// cannot be done, and nothing was written then.
///
/// # Errors
///
/// When a source cannot be read or a file cannot be written.
///
/// # Cancel safety
///
/// Nothing becomes visible. Files written so far stay.
pub(super) async fn paged(
    table: &Dataset,
    source: &[Fragment],
    read: &[ReadSource],
    group: &Group,
    page_rows: u32,
    keeps_addresses: bool,
) -> lance::Result<Option<Rewritten>> {
    if !can_be_paged(table) {
        return Ok(None);
    }
    let mut scanner = table.scan();
    // Strict: else a batch ends where a page of the source does.
    scanner.batch_size(page_rows as usize).strict_batch_size(true);
    let options = FileWriterOptions { data_cache_bytes: Some(0), ..FileWriterOptions::default() };
    let how = (scanner, params_with(table, group, options));
    written_anew(table, source, read, group, how, keeps_addresses).await
}
