//! The files of a B-tree while it is merged: read within a bound, and looked at as they are
//! written. Not here: what they are made of.
//!
//! Searches trust the first and last value of a page, so pages that are out of order hide rows,
//! and an entry too many shows rows that do not match.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_ord::ord::make_comparator;
use arrow_schema::{Schema, SortOptions};
use async_trait::async_trait;
use lance_core::deepsize::{Context, DeepSizeOf};
use lance_index::scalar::{IndexFile, IndexReader, IndexStore, IndexWriter};
use lance_select::{RowAddrTreeMap, RowSetOps};

/// What is read ahead of a merge. Lance would take this much for every thread that reads, for
/// one file that is read from its beginning to its end.
const READ_AHEAD_BYTES: u64 = 32 << 20;
/// The column of row ids, which pages have and the table of pages has not.
const IDS: &str = "ids";
/// How Lance sorts the values of a B-tree.
const ORDER: SortOptions = SortOptions { descending: false, nulls_first: true };

/// A directory of index files, of which those with pages are checked.
#[derive(Debug, Clone)]
pub(super) struct PageStore {
    files: Arc<dyn IndexStore>,
    written: Arc<Mutex<Written>>,
}

impl PageStore {
    pub(super) fn over(files: Arc<dyn IndexStore>) -> Self {
        Self { files, written: Arc::default() }
    }

    /// Whether the pages written name as many rows as there are. None is named twice.
    pub(super) fn check_rows(&self, expected: u64) -> lance::Result<()> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = written.rows.len().unwrap_or_default();
        if rows == expected {
            return Ok(());
        }
        Err(lance::Error::index(format!("it would hold {rows} rows of {expected}")))
    }
}

/// What was written so far.
#[derive(Debug, Default)]
struct Written {
    /// The last value, alone in an array.
    last: Option<ArrayRef>,
    rows: RowAddrTreeMap,
}

impl Written {
    /// Takes note of a page, unless it does not belong behind the others.
    fn add(&mut self, page: &RecordBatch) -> lance::Result<()> {
        let (Some(values), Some(ids)) = (page.columns().first(), page.column_by_name(IDS)) else {
            return Err(lance::Error::index("a page has other columns than a B-tree's"));
        };
        let in_page = make_comparator(values, values, ORDER)?;
        let mut is_ordered = (1..values.len()).all(|at| in_page(at - 1, at).is_le());
        if let (Some(last), false) = (&self.last, values.is_empty()) {
            is_ordered &= make_comparator(last, values, ORDER)?(0, 0).is_le();
        }
        if !is_ordered {
            return Err(lance::Error::index("its values are not in order"));
        }
        for id in ids.as_primitive::<UInt64Type>().values() {
            if !self.rows.insert(*id) {
                return Err(lance::Error::index(format!("row id {id} is in it twice")));
            }
        }
        if let Some(at) = values.len().checked_sub(1) {
            self.last = Some(values.slice(at, 1));
        }
        Ok(())
    }
}

/// A file with pages.
struct PageWriter {
    file: Box<dyn IndexWriter>,
    written: Arc<Mutex<Written>>,
}

#[async_trait]
impl IndexWriter for PageWriter {
    async fn write_record_batch(&mut self, batch: RecordBatch) -> lance::Result<u64> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).add(&batch)?;
        self.file.write_record_batch(batch).await
    }

    async fn finish(&mut self) -> lance::Result<IndexFile> {
        self.file.finish().await
    }

    async fn finish_with_metadata(
        &mut self,
        metadata: std::collections::HashMap<String, String>,
    ) -> lance::Result<IndexFile> {
        self.file.finish_with_metadata(metadata).await
    }
}

impl DeepSizeOf for PageStore {
    fn deep_size_of_children(&self, context: &mut Context) -> usize {
        self.files.deep_size_of_children(context)
    }
}

#[async_trait]
impl IndexStore for PageStore {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn clone_arc(&self) -> Arc<dyn IndexStore> {
        Arc::new(self.clone())
    }

    fn io_parallelism(&self) -> usize {
        self.files.io_parallelism()
    }

    async fn new_index_file(
        &self,
        name: &str,
        schema: Arc<Schema>,
    ) -> lance::Result<Box<dyn IndexWriter>> {
        let has_pages = schema.column_with_name(IDS).is_some();
        let file = self.files.new_index_file(name, schema).await?;
        match has_pages {
            true => Ok(Box::new(PageWriter { file, written: Arc::clone(&self.written) })),
            false => Ok(file),
        }
    }

    async fn open_index_file(&self, name: &str) -> lance::Result<Arc<dyn IndexReader>> {
        self.files.open_index_file(name).await
    }

    fn with_io_priority(&self, io_priority: u64) -> Arc<dyn IndexStore> {
        Arc::new(Self { files: self.files.with_io_priority(io_priority), ..self.clone() })
    }

    fn with_io_buffer_size(&self, bytes: u64) -> Arc<dyn IndexStore> {
        let files = self.files.with_io_buffer_size(bytes.min(READ_AHEAD_BYTES));
        Arc::new(Self { files, ..self.clone() })
    }

    async fn copy_index_file(
        &self,
        name: &str,
        dest_store: &dyn IndexStore,
    ) -> lance::Result<IndexFile> {
        self.files.copy_index_file(name, dest_store).await
    }

    async fn rename_index_file(&self, name: &str, new_name: &str) -> lance::Result<IndexFile> {
        self.files.rename_index_file(name, new_name).await
    }

    async fn delete_index_file(&self, name: &str) -> lance::Result<()> {
        self.files.delete_index_file(name).await
    }

    async fn list_files_with_sizes(&self) -> lance::Result<Vec<IndexFile>> {
        self.files.list_files_with_sizes().await
    }
}
