//! What the files of one version of a table take: data, blobs, indexes, deletions, under
//! whatever base they lie. No file is opened.
//!
//! Manifests record most sizes. What they do not record is learned from one listing of the
//! directory it lies in, and only where there is such a file: blobs beside data files,
//! deletion files, index segments and data files of old writers.
//!
//! Not here: what lies in a table's directories and that version does not refer to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use futures::TryStreamExt;
use lance::Dataset;
use lance_table::feature_flags::managed_blobs_enabled;
use lance_table::format::{DataFile, Fragment, IndexMetadata};
use lance_table::io::deletion::relative_deletion_file_path;
use lancekeeper_model::TableBytes;
use object_store::path::Path;

/// Where Lance keeps blobs that no data file owns.
const MANAGED_DIR: &str = "_blobs";
/// What files that hold blobs end in.
const BLOB_SUFFIX: &str = ".blob";

/// The sizes of one version of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableSizes {
    /// Of each fragment, in manifest order.
    pub fragments: Vec<FragmentSize>,
    /// Of everything.
    pub total: TableBytes,
}

/// The sizes of one fragment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FragmentSize {
    /// Its data files.
    pub data: u64,
    /// The blob files beside them that a rewrite reads and writes again. Where blobs are
    /// managed, a rewrite refers to them as they are, and this is 0.
    pub blobs: u64,
}

impl FragmentSize {
    /// Bytes that a rewrite of the fragment reads.
    #[must_use]
    pub fn to_read(&self) -> u64 {
        self.data.saturating_add(self.blobs)
    }
}

/// Measures a version of a table; `indexes` are all of its segments.
///
/// # Errors
///
/// When a directory cannot be listed, or the manifest names a base that it does not have. A
/// file that is not there counts as nothing: whoever reads it says so.
pub async fn table_sizes(table: &Dataset, indexes: &[IndexMetadata]) -> lance::Result<TableSizes> {
    let mut listings = Listings { table, known: HashMap::new() };
    let mut sizes = TableSizes::default();
    let has_blob_files = table.schema().fields_pre_order().any(|field| field.is_blob_v2());
    let is_managed = has_blob_files && managed_blobs_enabled(table.schema())?;
    for fragment in table.fragments().iter() {
        let mut size = FragmentSize::default();
        // Overlays, too: a rewrite folds them in.
        for file in fragment.referenced_lance_files() {
            size.data += listings.data_file(file).await?;
            if has_blob_files && !is_managed {
                size.blobs += listings.beside(file).await?;
            }
        }
        sizes.total.data_bytes += size.data;
        sizes.total.blob_bytes += size.blobs;
        sizes.total.deletion_bytes += listings.deletion_file(fragment).await?;
        sizes.fragments.push(size);
    }
    for index in indexes {
        sizes.total.index_bytes += listings.index(index).await?;
    }
    if is_managed {
        sizes.total.blob_bytes = listings.managed().await?;
    }
    Ok(sizes)
}

/// A directory of a table or of one of its bases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Directory {
    Data,
    Deletions,
    Indexes,
    Managed,
}

impl Directory {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Deletions => "_deletions",
            Self::Indexes => "_indices",
            Self::Managed => MANAGED_DIR,
        }
    }
}

/// What lies below a directory.
#[derive(Default)]
struct Listing {
    /// Each file by its path below the directory.
    files: HashMap<String, u64>,
    /// The files of each directory directly in it, added up.
    directories: HashMap<String, u64>,
}

/// Directories that were listed, each once.
struct Listings<'t> {
    table: &'t Dataset,
    known: HashMap<(Option<u32>, Directory), Listing>,
}

impl Listings<'_> {
    async fn data_file(&mut self, file: &DataFile) -> lance::Result<u64> {
        match file.file_size_bytes.get() {
            Some(size) => Ok(size.get()),
            // Old writers did not record sizes.
            None => self.file(file.base_id, Directory::Data, &file.path).await,
        }
    }

    /// The blob files of a data file: a directory of its name, without what comes after a dot.
    async fn beside(&mut self, file: &DataFile) -> lance::Result<u64> {
        let name = file.path.rsplit('/').next().unwrap_or(&file.path);
        let stem = name.strip_suffix(".lance").unwrap_or(name);
        let listing = self.listing(file.base_id, Directory::Data).await?;
        Ok(listing.directories.get(stem).copied().unwrap_or_default())
    }

    async fn deletion_file(&mut self, fragment: &Fragment) -> lance::Result<u64> {
        let Some(file) = &fragment.deletion_file else { return Ok(0) };
        let path = relative_deletion_file_path(fragment.id, file);
        let name = path.rsplit('/').next().unwrap_or(&path);
        self.file(file.base_id, Directory::Deletions, name).await
    }

    async fn index(&mut self, index: &IndexMetadata) -> lance::Result<u64> {
        if let Some(files) = &index.files {
            return Ok(files.iter().map(|file| file.size_bytes).sum());
        }
        let listing = self.listing(index.base_id, Directory::Indexes).await?;
        Ok(listing.directories.get(&index.uuid.to_string()).copied().unwrap_or_default())
    }

    /// All blob files of the table itself, whoever refers to them: a rewrite leaves those
    /// beside the data file that it replaced.
    async fn managed(&mut self) -> lance::Result<u64> {
        let mut bytes = 0;
        for directory in [Directory::Data, Directory::Managed] {
            let listing = self.listing(None, directory).await?;
            let blobs = listing.files.iter().filter(|(path, _)| path.ends_with(BLOB_SUFFIX));
            bytes += blobs.map(|(_, bytes)| bytes).sum::<u64>();
        }
        Ok(bytes)
    }

    async fn file(
        &mut self,
        base: Option<u32>,
        directory: Directory,
        path: &str,
    ) -> lance::Result<u64> {
        let listing = self.listing(base, directory).await?;
        Ok(listing.files.get(path).copied().unwrap_or_default())
    }

    async fn listing(
        &mut self,
        base: Option<u32>,
        directory: Directory,
    ) -> lance::Result<&Listing> {
        match self.known.entry((base, directory)) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(list(self.table, base, directory).await?)),
        }
    }
}

/// The path of a directory under a base of a table; `None` is the table itself.
pub(crate) fn path_of(
    table: &Dataset,
    base: Option<u32>,
    directory: Directory,
) -> lance::Result<Path> {
    let Some(id) = base else { return Ok(table.branch_location().path.join(directory.name())) };
    let place = table.manifest().base_paths.get(&id).ok_or_else(|| {
        lance::Error::invalid_input(format!("its manifest names base {id}, and does not have it"))
    })?;
    let path = place.extract_path(table.session().store_registry())?;
    // A base that is no table has its files directly in it.
    Ok(if place.is_dataset_root { path.join(directory.name()) } else { path })
}

async fn list(table: &Dataset, base: Option<u32>, directory: Directory) -> lance::Result<Listing> {
    let path = path_of(table, base, directory)?;
    let store = table.object_store(base).await?;
    let mut listing = Listing::default();
    let mut found = store.list(Some(path.clone()));
    while let Some(file) = found.try_next().await? {
        let Some(below) = file.location.prefix_match(&path) else { continue };
        let parts: Vec<String> = below.map(|part| part.as_ref().to_owned()).collect();
        if let [directory, _, ..] = parts.as_slice() {
            *listing.directories.entry(directory.clone()).or_default() += file.size;
        }
        listing.files.insert(parts.join("/"), file.size);
    }
    Ok(listing)
}
