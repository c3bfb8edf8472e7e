//! Whether the files that a version of a table refers to are there, and are what its manifest says:
//! by size, and data files by their last bytes. Files lie under whatever base they were written to.
//!
//! Not here: what is inside of them, and files that no version refers to.

use std::sync::Arc;

use futures::TryStreamExt;
use lance::Dataset;
use lance_io::object_store::ObjectStore;
use lance_table::format::{DataFile, Fragment, IndexMetadata};
use lance_table::io::deletion::relative_deletion_file_path;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt};

use crate::sizes::{Directory, path_of};

/// The last bytes of every data file of Lance.
const MAGIC: &[u8] = b"LANC";

/// A file that a version refers to.
#[derive(Debug, Clone)]
pub struct Referenced {
    store: Arc<ObjectStore>,
    path: Path,
    is_own: bool,
    below: String,
    recorded: Option<u64>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Other,
    /// A segment whose manifest does not name its files.
    Directory,
}

/// What was seen of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// Its size; 0 if it is not there, or is a directory.
    pub bytes: u64,
    /// What is wrong with it, if anything.
    pub fault: Option<Fault>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It has another size than is written down.
    Size {
        /// Its size.
        found: u64,
        /// What is written down.
        recorded: u64,
    },
    /// It does not end as every data file does.
    End,
}

impl Referenced {
    /// Where it lies, in full: the same file has the same place, whichever version names it.
    #[must_use]
    pub fn place(&self) -> &str {
        self.path.as_ref()
    }

    /// What people call it: relative to its table, if it is that table's own.
    #[must_use]
    pub fn name(&self) -> String {
        match (self.is_own, self.store.is_local()) {
            (true, _) => self.below.clone(),
            (false, true) => format!("/{}", self.path),
            (false, false) => self.path.to_string(),
        }
    }

    /// Looks at it.
    ///
    /// # Errors
    ///
    /// When the store cannot tell.
    pub async fn look(&self) -> lance::Result<Looked> {
        let store = self.store.inner.as_ref();
        let seen = |bytes, fault| Ok(Looked { bytes, fault });
        if self.kind == Kind::Directory {
            let first = store.list(Some(&self.path)).try_next().await?;
            return seen(0, first.is_none().then_some(Fault::Missing));
        }
        let found = match store.head(&self.path).await {
            Ok(found) => found.size,
            Err(StoreError::NotFound { .. }) => return seen(0, Some(Fault::Missing)),
            Err(error) => return Err(error.into()),
        };
        if let Some(recorded) = self.recorded.filter(|recorded| *recorded != found) {
            return seen(found, Some(Fault::Size { found, recorded }));
        }
        if self.kind != Kind::Data {
            return seen(found, None);
        }
        let from = found.saturating_sub(MAGIC.len() as u64);
        let end = store.get_range(&self.path, from..found).await?;
        seen(found, (end != MAGIC).then_some(Fault::End))
    }
}

/// The data files of a fragment, and its deletion file.
///
/// # Errors
///
/// When the manifest names a base that it does not have.
pub async fn files_of(table: &Dataset, fragment: &Fragment) -> lance::Result<Vec<Referenced>> {
    let mut files = Vec::new();
    for file in fragment.referenced_lance_files() {
        files.push(data_file(table, file).await?);
    }
    if let Some(file) = &fragment.deletion_file {
        let path = relative_deletion_file_path(fragment.id, file);
        let name = path.rsplit('/').next().unwrap_or(&path);
        let base = (file.base_id, Directory::Deletions);
        files.push(referenced(table, base, name, None, Kind::Other).await?);
    }
    Ok(files)
}

/// The files of an index segment; none of one that is only defined.
///
/// # Errors
///
/// As [`files_of`].
pub async fn files_of_segment(
    table: &Dataset,
    segment: &IndexMetadata,
) -> lance::Result<Vec<Referenced>> {
    let (base, id) = ((segment.base_id, Directory::Indexes), segment.uuid);
    let Some(named) = &segment.files else {
        return Ok(vec![referenced(table, base, &id.to_string(), None, Kind::Directory).await?]);
    };
    let mut files = Vec::new();
    for file in named {
        let name = format!("{id}/{}", file.path);
        files.push(referenced(table, base, &name, Some(file.size_bytes), Kind::Other).await?);
    }
    Ok(files)
}

async fn data_file(table: &Dataset, file: &DataFile) -> lance::Result<Referenced> {
    let recorded = file.file_size_bytes.get().map(std::num::NonZero::get);
    referenced(table, (file.base_id, Directory::Data), &file.path, recorded, Kind::Data).await
}

async fn referenced(
    table: &Dataset,
    (base, directory): (Option<u32>, Directory),
    name: &str,
    recorded: Option<u64>,
    kind: Kind,
) -> lance::Result<Referenced> {
    let path = path_of(table, base, directory)?;
    let parts = name.split('/').filter(|part| !part.is_empty());
    let path = parts.fold(path, |path, part| path.join(part));
    let below = format!("{}/{name}", directory.name());
    let store = table.object_store(base).await?;
    Ok(Referenced { store, path, is_own: base.is_none(), below, recorded, kind })
}
