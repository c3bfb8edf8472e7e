//! Live rows of fragments, read from first to last.
//!
//! Blobs are read by their bytes in both encodings of Lance. Those of the newer one that lie at an
//! address outside of the table are compared by that address, as a rewrite leaves them where they
//! are: the place may be slow, or gone, and neither is the rewrite's doing. Below structs and lists
//! Lance reads even those itself.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::builder::LargeBinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt8Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, StructArray, UInt64Array};
use arrow_schema::ArrowError;
use futures::TryStreamExt;
use lance::Dataset;
use lance::datatypes::Field;
use lance_core::datatypes::{BlobHandling, BlobKind, escape_field_path_for_project};
use lance_core::{ROW_ADDR, ROW_ID};
use lance_table::format::Fragment;

/// Bytes a scan may read ahead. Lance's default is sized for query servers.
const IO_BUFFER_BYTES: u64 = 64 << 20;
/// Batches that are decoded ahead of the one that is added up.
const BATCHES_AHEAD: usize = 2;

/// What is read, and in which batches.
pub(super) struct Wanted {
    pub(super) fragments: Vec<Fragment>,
    pub(super) batch_rows: usize,
    /// Whether the ids of the rows are among the columns: they must have some that stay.
    pub(super) with_ids: bool,
}

/// Reads the live rows of fragments from first to last, and shows each batch by its columns, in the
/// order of the schema, and its number of rows.
///
/// # Errors
///
/// When something cannot be read, or is not what `show` can do with.
pub(super) async fn read(
    table: &Dataset,
    wanted: Wanted,
    mut show: impl FnMut(&[ArrayRef], usize) -> Result<(), ArrowError> + Send,
) -> lance::Result<()> {
    let table = &Arc::new(table.clone());
    let by_rows = |field: &&Field| field.is_blob_v2();
    let blobs: Vec<Field> = table.schema().fields.iter().filter(by_rows).cloned().collect();
    let mut scan = table.scan();
    scan.with_fragments(wanted.fragments)
        .blob_handling(handling(table, &blobs))
        .batch_size(wanted.batch_rows)
        .batch_readahead(BATCHES_AHEAD)
        .fragment_readahead(1)
        .io_buffer_size(IO_BUFFER_BYTES)
        .scan_in_order(true);
    if !blobs.is_empty() {
        scan.with_row_address();
    }
    if wanted.with_ids {
        scan.with_row_id();
    }
    let mut batches = scan.try_into_stream().await?;
    while let Some(batch) = batches.try_next().await? {
        let columns = columns(table, &blobs, &batch, wanted.with_ids).await?;
        show(&columns, batch.num_rows())?;
    }
    Ok(())
}

/// All blobs as their bytes, but for these columns.
fn handling(table: &Dataset, described: &[Field]) -> BlobHandling {
    if described.is_empty() {
        return BlobHandling::AllBinary;
    }
    let described: HashSet<i32> = described.iter().map(|field| field.id).collect();
    let others = table.schema().fields_pre_order().filter(|field| field.is_blob());
    let others = others.filter(|field| !described.contains(&field.id));
    BlobHandling::SomeBlobsBinary(others.filter_map(|field| u32::try_from(field.id).ok()).collect())
}

/// What is to be compared of a batch, in the order of the schema.
async fn columns(
    table: &Arc<Dataset>,
    blobs: &[Field],
    batch: &RecordBatch,
    with_ids: bool,
) -> lance::Result<Vec<ArrayRef>> {
    let mut columns = Vec::with_capacity(batch.num_columns());
    for field in &table.schema().fields {
        let column = column(batch, &field.name)?;
        if blobs.iter().any(|blob| blob.id == field.id) {
            let addresses = self::column(batch, ROW_ADDR)?;
            columns.extend(contents(table, field, column, addresses).await?);
        } else {
            columns.push(Arc::clone(column));
        }
    }
    if with_ids {
        columns.push(Arc::clone(column(batch, ROW_ID)?));
    }
    Ok(columns)
}

/// The bytes of a column of blobs, and of those outside of the table the address.
async fn contents(
    table: &Arc<Dataset>,
    field: &Field,
    column: &ArrayRef,
    addresses: &ArrayRef,
) -> lance::Result<[ArrayRef; 4]> {
    let described = Described::of(field, column)?;
    let addresses = addresses.as_primitive::<UInt64Type>();
    let mut wanted = Vec::new();
    for row in 0..column.len() {
        if described.kind(row)?.is_some_and(|kind| kind != BlobKind::External) {
            wanted.push(addresses.value(row));
        }
    }
    let mut read = Vec::new();
    if !wanted.is_empty() {
        let path = escape_field_path_for_project(&field.name);
        let blobs = table.read_blobs(path)?.with_row_addresses(wanted).preserve_order(true);
        read = blobs.execute().await?;
    }
    let mut read = read.into_iter();
    let mut bytes = LargeBinaryBuilder::new();
    let mut places: Vec<Option<String>> = Vec::with_capacity(column.len());
    let (mut starts, mut lengths) = (Vec::new(), Vec::new());
    for row in 0..column.len() {
        let kind = described.kind(row)?;
        let outside = kind == Some(BlobKind::External);
        match kind {
            Some(BlobKind::External) | None => bytes.append_null(),
            Some(_) => {
                let blob = read.next().filter(|blob| blob.row_address == addresses.value(row));
                bytes.append_value(blob.and_then(|blob| blob.data).ok_or_else(|| {
                    lance::Error::internal(format!("a blob of column {} was not read", field.name))
                })?);
            }
        }
        places.push(outside.then(|| described.place(table, row)).transpose()?);
        starts.push(outside.then(|| described.start(row)));
        lengths.push(outside.then(|| described.length(row)));
    }
    Ok([
        Arc::new(bytes.finish()),
        Arc::new(StringArray::from(places)),
        Arc::new(UInt64Array::from(starts)),
        Arc::new(UInt64Array::from(lengths)),
    ])
}

/// Descriptors of the newer encoding.
struct Described<'a> {
    all: &'a StructArray,
    kinds: &'a arrow_array::PrimitiveArray<UInt8Type>,
    starts: &'a UInt64Array,
    lengths: &'a UInt64Array,
    bases: &'a arrow_array::PrimitiveArray<UInt32Type>,
    places: &'a StringArray,
}

impl<'a> Described<'a> {
    fn of(field: &Field, column: &'a ArrayRef) -> lance::Result<Self> {
        let form = || {
            let said = "holds no blob descriptors of a known form";
            lance::Error::not_supported(format!("column {} {said}", field.name))
        };
        let all = column.as_struct_opt().ok_or_else(form)?;
        let named = |name: &str| all.column_by_name(name).ok_or_else(form);
        Ok(Self {
            all,
            kinds: named("kind")?.as_primitive_opt().ok_or_else(form)?,
            starts: named("position")?.as_primitive_opt().ok_or_else(form)?,
            lengths: named("size")?.as_primitive_opt().ok_or_else(form)?,
            bases: named("blob_id")?.as_primitive_opt().ok_or_else(form)?,
            places: named("blob_uri")?.as_string_opt().ok_or_else(form)?,
        })
    }

    /// Where the bytes lie; `None` for a null.
    fn kind(&self, row: usize) -> lance::Result<Option<BlobKind>> {
        if self.all.is_null(row) || self.kinds.is_null(row) {
            return Ok(None);
        }
        BlobKind::try_from(self.kinds.value(row)).map(Some)
    }

    /// The address of a blob outside of the table, whichever base it is written below.
    fn place(&self, table: &Dataset, row: usize) -> lance::Result<String> {
        let place = self.places.value(row);
        match self.bases.value(row) {
            0 => Ok(place.to_owned()),
            base => {
                let base = table.manifest().base_paths.get(&base).ok_or_else(|| {
                    lance::Error::invalid_input(format!(
                        "a blob names base {base}, which is not there"
                    ))
                })?;
                Ok(format!("{}/{place}", base.path.trim_end_matches('/')))
            }
        }
    }

    fn start(&self, row: usize) -> u64 {
        if self.starts.is_null(row) { 0 } else { self.starts.value(row) }
    }

    fn length(&self, row: usize) -> u64 {
        if self.lengths.is_null(row) { 0 } else { self.lengths.value(row) }
    }
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> lance::Result<&'b ArrayRef> {
    batch
        .column_by_name(name)
        .ok_or_else(|| lance::Error::internal(format!("column {name} was not read")))
}
