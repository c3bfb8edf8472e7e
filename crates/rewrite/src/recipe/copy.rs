//! Pages copied file by file: the data of each source goes into the new file as one piece, and a
//! footer is written that says where every page lies now. The kernel copies on a local disk, so
//! that no page passes through this process.
//!
//! Lance's own page copy reads and writes page by page through one thread. Lance still copies
//! every group that is not as plain as what [`joined`] asks for.
//!
//! Not here: whether copying pages is worth it (`planner`).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use lance::Dataset;
use lance_encoding::decoder::{ColumnInfo, PageInfo};
use lance_file::reader::{CachedFileMetadata, FileReader};
use lance_file::version::ConcreteFileVersion;
use lance_file::versions::{create_lazy_writer, data_file_columns};
use lance_file::writer::FileWriterOptions;
use lance_io::object_writer::WriteResult;
use lance_io::scheduler::{ScanScheduler, SchedulerConfig};
use lance_io::traits::Writer;
use lance_table::format::{DataFile, Fragment};
use lancekeeper_planner::optimize::Group;
use lancekeeper_store::Files;
use lancekeeper_store::files::{Part, places};
use prost::Message;
use tokio::io::AsyncWrite;
use uuid::Uuid;

use super::lineage::Lineages;
use super::{Rewritten, addresses, kept_version};
use crate::sources::ReadSource;

/// Where Lance puts data files, below a table's branch directory.
const DATA: &str = "data";
/// Every buffer of a file begins at a multiple of this many bytes.
const ALIGNMENT: u64 = 64;
/// A source is copied as one piece if at least this share of it is pages that are read, of 100.
/// What earlier writers left between them would otherwise be carried along for good.
const USED_MIN: u64 = 90;

/// The fragments of a group joined into one file; `None` where they are not plain enough, and
/// nothing was written then. Plain are: files of this table alone, each with all columns and
/// nothing besides, without deletions, overlays, blobs or row ids of their own, of format 2.1 or
/// newer, on a local disk.
///
/// # Errors
///
/// When a source cannot be read or the new file cannot be written; it is deleted then.
///
/// # Cancel safety
///
/// As [`Files::join`]: a file may stay that nothing refers to.
pub(super) async fn joined(
    table: &Dataset,
    source: &[Fragment],
    sources: &[ReadSource],
    group: &Group,
    keeps_addresses: bool,
) -> lance::Result<Option<Rewritten>> {
    let Some(version) = plain_version(table, source) else { return Ok(None) };
    let [rows] = group.outputs.as_slice() else { return Ok(None) };
    let Some(lineages) = Lineages::of(table, source, sources, &group.outputs)? else {
        return Ok(None);
    };
    let store = table.object_store(None).await?;
    let directory = table.branch_location().path.join(DATA);
    let files = Files::of_lance(&store, &directory);
    if !files.can_join() {
        return Ok(None);
    }
    let scheduler = ScanScheduler::new(Arc::clone(&store), SchedulerConfig::max_bandwidth(&store));
    let mut read = Vec::with_capacity(source.len());
    for fragment in source {
        let file = &fragment.files[0];
        let path = directory.clone().join(file.path.as_str());
        let opened = scheduler.open_file(&path, &file.file_size_bytes).await?;
        let metadata = FileReader::read_all_metadata(&opened).await?;
        let Some(bytes) = data_bytes(&metadata, fragment, version) else { return Ok(None) };
        read.push((Part { name: file.path.clone(), bytes }, metadata));
    }
    let Some((columns, written)) = joined_columns(&read) else { return Ok(None) };
    if written != *rows {
        return Ok(None);
    }
    let kept_addrs = keeps_addresses.then(|| addresses(sources)).transpose()?;
    let (parts, _): (Vec<Part>, Vec<CachedFileMetadata>) = read.into_iter().unzip();
    let (_, end) = places(&parts, ALIGNMENT);
    let footer = footer(table, version, &columns, written, end).await?;
    let name = format!("{}.lance", Uuid::new_v4().simple());
    let size = files
        .join(&name, parts, ALIGNMENT, footer)
        .await
        .map_err(|error| lance::Error::io_source(Box::new(error)))?;
    let mut fragments = vec![fragment_of(table, version, name, size, written)];
    lineages.apply(&mut fragments)?;
    Ok(Some(Rewritten { fragments, kept_addrs, permuted: None }))
}

/// The format of the files, if all of them are plain.
fn plain_version(table: &Dataset, source: &[Fragment]) -> Option<ConcreteFileVersion> {
    let version = kept_version(table);
    // Before 2.1 the pages of a struct say how many rows the file has.
    let is_known = !matches!(version, ConcreteFileVersion::V1 | ConcreteFileVersion::V2_0);
    let has_blobs = table.schema().fields_pre_order().any(|field| field.is_blob());
    let (fields, columns) = data_file_columns(version, table.schema());
    let is_plain = |fragment: &Fragment| {
        let [file] = fragment.files.as_slice() else { return false };
        fragment.overlays.is_empty()
            && fragment.deletion_file.is_none()
            && file.base_id.is_none()
            && *file.fields == *fields
            && *file.column_indices == *columns
            && file.file_version().is_ok_and(|found| found == version)
    };
    (is_known && !has_blobs && source.iter().all(is_plain)).then_some(version)
}

/// How much of a file holds pages, if it holds nothing else that has to be carried over.
fn data_bytes(
    metadata: &CachedFileMetadata,
    fragment: &Fragment,
    version: ConcreteFileVersion,
) -> Option<u64> {
    // The first global buffer is the schema, which is written anew.
    let has_more = metadata.file_buffers.len() > 1
        || metadata.column_infos.iter().any(|column| !column.buffer_offsets_and_sizes.is_empty());
    let is_whole = fragment.physical_rows.is_some_and(|rows| rows as u64 == metadata.num_rows);
    if has_more || !is_whole || metadata.version != version {
        return None;
    }
    let pages = metadata.column_infos.iter().flat_map(|column| column.page_infos.iter());
    let (mut end, mut used) = (0, 0_u64);
    for (offset, size) in pages.flat_map(|page| page.buffer_offsets_and_sizes.iter()) {
        if offset % ALIGNMENT != 0 {
            return None;
        }
        end = end.max(offset.saturating_add(*size));
        used = used.saturating_add(*size);
    }
    let is_full = u128::from(used) * 100 >= u128::from(end) * u128::from(USED_MIN);
    is_full.then_some(end)
}

/// The columns of the new file, and its rows; `None` if the sources differ in how a column as a
/// whole is encoded.
fn joined_columns(read: &[(Part, CachedFileMetadata)]) -> Option<(Vec<Arc<ColumnInfo>>, u64)> {
    let (starts, _) =
        places(&read.iter().map(|(part, _)| part.clone()).collect::<Vec<_>>(), ALIGNMENT);
    let first = &read.first()?.1.column_infos;
    let mut pages: Vec<Vec<PageInfo>> = first.iter().map(|_| Vec::new()).collect();
    let mut rows = 0;
    for ((_, metadata), start) in read.iter().zip(starts) {
        if metadata.column_infos.len() != first.len() {
            return None;
        }
        for ((column, like), pages) in metadata.column_infos.iter().zip(first).zip(&mut pages) {
            if column.encoding.encode_to_vec() != like.encoding.encode_to_vec() {
                return None;
            }
            pages.extend(column.page_infos.iter().map(|page| moved(page, start, rows)));
        }
        rows += metadata.num_rows;
    }
    let columns = first.iter().zip(pages).map(|(like, pages)| {
        let encoding = like.encoding.clone();
        Arc::new(ColumnInfo::new(like.index, Arc::from(pages), Vec::new(), encoding))
    });
    Some((columns.collect(), rows))
}

/// A page that lies so many bytes further, behind so many more rows.
fn moved(page: &PageInfo, bytes: u64, rows: u64) -> PageInfo {
    let buffers = page.buffer_offsets_and_sizes.iter();
    PageInfo {
        num_rows: page.num_rows,
        priority: page.priority + rows,
        encoding: page.encoding.clone(),
        buffer_offsets_and_sizes: buffers.map(|(offset, size)| (offset + bytes, *size)).collect(),
    }
}

/// What follows the data: written by Lance's own writer, as if it had written the data, too.
async fn footer(
    table: &Dataset,
    version: ConcreteFileVersion,
    columns: &[Arc<ColumnInfo>],
    rows: u64,
    start: u64,
) -> lance::Result<Vec<u8>> {
    let (tail, written) = Tail::beginning_at(start);
    let mut writer = create_lazy_writer(version, Box::new(tail), FileWriterOptions::default())?;
    writer.initialize_with_external_columns(table.schema().clone(), columns, rows)?;
    writer.finish().await?;
    let mut written = written.lock().map_err(|_| lance::Error::internal("a writer panicked"))?;
    Ok(std::mem::take(&mut *written))
}

fn fragment_of(
    table: &Dataset,
    version: ConcreteFileVersion,
    name: String,
    size: u64,
    rows: u64,
) -> Fragment {
    let (fields, columns) = data_file_columns(version, table.schema());
    let mut file = DataFile::new_unstarted(name, version);
    file.fields = fields.into();
    file.column_indices = columns.into();
    if let Some(size) = std::num::NonZero::new(size) {
        file.file_size_bytes.set(size);
    }
    let mut fragment = Fragment::new(0);
    fragment.files.push(file);
    fragment.physical_rows = usize::try_from(rows).ok();
    fragment
}

/// The end of a file, kept in memory: whoever writes to it believes that so much is there already.
struct Tail {
    start: u64,
    written: Arc<std::sync::Mutex<Vec<u8>>>,
}

impl Tail {
    fn beginning_at(start: u64) -> (Self, Arc<std::sync::Mutex<Vec<u8>>>) {
        let written = Arc::default();
        (Self { start, written: Arc::clone(&written) }, written)
    }

    fn end(&self) -> lance::Result<usize> {
        let written =
            self.written.lock().map_err(|_| lance::Error::internal("a writer panicked"))?;
        Ok(usize::try_from(self.start).unwrap_or(usize::MAX).saturating_add(written.len()))
    }
}

impl AsyncWrite for Tail {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let mut written =
            self.written.lock().map_err(|_| std::io::Error::other("a writer panicked"))?;
        written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Writer for Tail {
    async fn tell(&mut self) -> lance::Result<usize> {
        self.end()
    }

    async fn shutdown(&mut self) -> lance::Result<WriteResult> {
        Ok(WriteResult { size: self.end()?, e_tag: None })
    }
}
