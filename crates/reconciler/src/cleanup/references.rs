//! What one version refers to, read from its manifest.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use lance_io::object_store::ObjectStore;
use lance_table::feature_flags::{can_read_dataset, can_write_dataset};
use lance_table::format::{IndexMetadata, Manifest};
use lance_table::io::commit::{ManifestLocation, ManifestNamingScheme};
use lance_table::io::deletion::relative_deletion_file_path;
use lance_table::io::manifest::{read_manifest, read_manifest_indexes};
use lancekeeper_store::LanceFailure;

use crate::cleanup::report::CleanupError;

/// One manifest, read.
#[derive(Debug)]
pub(super) struct VersionRead {
    pub(super) committed_at: DateTime<Utc>,
    pub(super) fragments: u64,
    pub(super) references: Vec<Reference>,
}

/// A file, or an index segment, that a version refers to.
#[derive(Debug)]
pub(super) struct Reference {
    /// The directory it lies in, absolute; `None` for the chain's own.
    pub(super) base: Option<String>,
    /// Relative to that.
    pub(super) name: String,
    /// Whether the version cannot be read without it.
    pub(super) is_vital: bool,
}

/// Reads the manifest in a file.
pub(super) async fn read_version(
    store: &ObjectStore,
    file: &Path,
    bytes: u64,
    location: &str,
) -> Result<VersionRead, CleanupError> {
    let failed = |source| LanceFailure::new(format!("failed to read {}", file.display()), source);
    let path = object_store::path::Path::from_absolute_path(file)
        .map_err(|error| failed(object_store::Error::from(error).into()))?;
    let manifest = read_manifest(store, &path, Some(bytes)).await.map_err(failed)?;
    // A newer writer may keep files where we would not look for them.
    if !can_read_dataset(manifest.reader_feature_flags)
        || !can_write_dataset(manifest.writer_feature_flags)
    {
        let location = location.to_owned();
        return Err(CleanupError::UnknownFeatures { location, version: manifest.version });
    }
    let place = ManifestLocation {
        version: manifest.version,
        path,
        size: Some(bytes),
        naming_scheme: ManifestNamingScheme::V2,
        e_tag: None,
        identity: None,
    };
    let indexes = read_manifest_indexes(store, &place, &manifest).await.map_err(failed)?;
    Ok(VersionRead {
        committed_at: manifest.timestamp(),
        fragments: manifest.fragments.len() as u64,
        references: references(&manifest, &indexes, location)?,
    })
}

fn references(
    manifest: &Manifest,
    indexes: &[IndexMetadata],
    location: &str,
) -> Result<Vec<Reference>, CleanupError> {
    let mut found = Vec::new();
    let mut add = |base: Option<u32>, directory: &str, name: &str, is_vital| {
        let Some(number) = base else {
            found.push(Reference { base: None, name: format!("{directory}/{name}"), is_vital });
            return Ok(());
        };
        let Some(base) = manifest.base_paths.get(&number) else {
            let location = location.to_owned();
            return Err(CleanupError::UnknownBase {
                location,
                version: manifest.version,
                base: number,
            });
        };
        // A base that is no dataset is the directory of the files itself.
        let name =
            if base.is_dataset_root { format!("{directory}/{name}") } else { name.to_owned() };
        found.push(Reference { base: Some(base.path.clone()), name, is_vital });
        Ok(())
    };
    for fragment in manifest.fragments.iter() {
        for file in fragment.referenced_lance_files() {
            add(file.base_id, "data", &file.path, true)?;
        }
        if let Some(deletion) = &fragment.deletion_file {
            let path = relative_deletion_file_path(fragment.id, deletion);
            let name = path.strip_prefix("_deletions/").unwrap_or(&path);
            add(deletion.base_id, "_deletions", name, true)?;
        }
    }
    for index in indexes {
        // Indexes of the system may have no files at all, and any index can be made anew.
        add(index.base_id, "_indices", &index.uuid.to_string(), false)?;
    }
    if let Some(transaction) = &manifest.transaction_file {
        add(None, "_transactions", transaction, false)?;
    }
    Ok(found)
}

/// Where absolute base paths lead.
#[derive(Debug)]
pub(super) struct Bases {
    /// The root's directory, resolved.
    root: PathBuf,
    /// The dataset's directory, resolved.
    dataset: PathBuf,
    known: HashMap<String, Base>,
}

/// Where a base path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Base {
    /// Into this dataset: the prefix of names there.
    Here(String),
    /// Into another dataset of the root: the prefix of names below the root.
    Beside(String),
    /// Out of the root, or nowhere.
    Elsewhere,
}

impl Bases {
    pub(super) fn new(root: PathBuf, dataset: PathBuf) -> Self {
        Self { root, dataset, known: HashMap::new() }
    }

    /// Resolves a base path. Blocks on the file system, once per path.
    ///
    /// Compared as directories, not as text: the same place has several spellings.
    pub(super) fn resolve(&mut self, path: &str) -> Base {
        if let Some(base) = self.known.get(path) {
            return base.clone();
        }
        let plain = path.strip_prefix("file://").unwrap_or(path);
        let base = match std::fs::canonicalize(plain) {
            Ok(resolved) => match resolved.strip_prefix(&self.dataset) {
                Ok(below) => Base::Here(as_prefix(below)),
                Err(_) => match resolved.strip_prefix(&self.root) {
                    Ok(below) => Base::Beside(as_prefix(below)),
                    Err(_) => Base::Elsewhere,
                },
            },
            Err(_) => Base::Elsewhere,
        };
        self.known.insert(path.to_owned(), base.clone());
        base
    }
}

fn as_prefix(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.is_empty() { String::new() } else { format!("{text}/") }
}
