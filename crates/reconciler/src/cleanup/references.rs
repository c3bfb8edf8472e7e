//! What versions refer to, read from their manifests.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use lance_table::feature_flags::{can_read_dataset, can_write_dataset};
use lance_table::format::{Fragment, IndexMetadata, pb};
use lance_table::io::deletion::relative_deletion_file_path;
use lancekeeper_planner::cleanup::{unknown_features, unknown_index};
use lancekeeper_store::files::{Identity, identity_at};
use lancekeeper_store::{Files, Root};
use prost::bytes::Bytes;

use crate::cleanup::report::CleanupError;
use crate::cleanup::stored::{self, Stored, StoredError};

/// One manifest, read.
#[derive(Debug)]
pub(crate) struct VersionRead {
    pub(super) committed_at: DateTime<Utc>,
    pub(super) version: u64,
    /// Its fragments, by their places in [`Fragments`].
    pub(crate) fragments: Vec<u32>,
    /// What it refers to besides.
    pub(super) others: Vec<Reference>,
    pub(super) bases: BasePaths,
    /// Its schema, by its number in [`Fragments`], if blob descriptors of it may name files.
    pub(super) schema: Option<u32>,
    /// An index of which it is not known which files it has.
    pub(super) unknown_index: Option<String>,
}

/// The bases a version defines: path, and whether that is a dataset, by number.
pub(crate) type BasePaths = HashMap<u32, (String, bool)>;

/// A file, or an index segment, that a version refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The number of the base it lies in; `None` for the chain's own directory.
    pub(crate) base: Option<u32>,
    /// Below the dataset; empty for what is named below the base itself, dataset or not.
    pub(crate) directory: &'static str,
    /// Below that directory.
    pub(crate) name: String,
    /// Whether the version cannot be read without it.
    pub(crate) is_vital: bool,
}

/// The fragments of versions, each that is stored alike once.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    known: HashMap<Bytes, u32>,
    /// As they are stored, and what they refer to, by place.
    stored: Vec<Bytes>,
    references: Vec<Vec<Reference>>,
    /// The places of the version that was last taken in. The next one mostly has the same fragments in the
    /// same order: a comparison finds them in a tenth of the time that hashing takes.
    last: Vec<u32>,
    /// The schemas of versions with managed blobs, as they are stored.
    schemas: HashMap<Vec<Bytes>, u32>,
    /// Names of data files that are no plain paths, by the place of their fragment.
    unclear: HashMap<u32, String>,
}

impl Fragments {
    /// What a fragment refers to.
    pub(crate) fn references(&self, fragment: u32) -> &[Reference] {
        &self.references[fragment as usize]
    }

    /// The fragment, as Lance knows it.
    pub(crate) fn decoded(&self, fragment: u32) -> Result<Fragment, StoredError> {
        decoded_fragment(&self.stored[fragment as usize])
    }

    fn schema(&mut self, fields: &[Bytes]) -> u32 {
        let next = u32::try_from(self.schemas.len()).unwrap_or(u32::MAX);
        // Copies: slices would keep the whole file in memory.
        let fields = fields.iter().map(|field| Bytes::copy_from_slice(field)).collect();
        *self.schemas.entry(fields).or_insert(next)
    }

    pub(super) fn len(&self) -> usize {
        self.references.len()
    }

    /// Takes in what a manifest says, the file at a place.
    pub(crate) fn add(
        &mut self,
        place: &str,
        location: &str,
        (stored, indexes): (Stored, Vec<IndexMetadata>),
    ) -> Result<VersionRead, CleanupError> {
        // A newer writer may keep files where we would not look for them.
        if let Some(features) = unknown_to_us_or_lance(&stored) {
            let (location, version) = (location.to_owned(), stored.version);
            return Err(CleanupError::UnknownFeatures { location, version, features });
        }
        let committed_at = stored.committed_at();
        let schema = stored.has_managed_blobs().then(|| self.schema(&stored.fields));
        let fragments: Result<Vec<u32>, StoredError> = stored
            .fragments
            .iter()
            .zip(0..)
            .map(|(fragment, at)| self.place(fragment, at))
            .collect();
        let fragments = fragments.map_err(|source| unreadable(place, source))?;
        self.last.clone_from(&fragments);
        if let Some(path) = fragments.iter().find_map(|at| self.unclear.get(at)) {
            let (location, path) = (location.to_owned(), path.clone());
            return Err(CleanupError::PathForm { location, version: stored.version, path });
        }
        let unknown_index = indexes.iter().find_map(|index| {
            let details = index.index_details.as_ref()?;
            let kind = unknown_index(&details.type_url)?;
            Some(format!("index {} of the unknown kind {kind}", index.name))
        });
        let other = |base, directory, name| Reference { base, directory, name, is_vital: false };
        // Indexes of the system may have no files at all, and any index can be made anew.
        let mut others: Vec<Reference> = indexes
            .iter()
            .map(|index| other(index.base_id, "_indices", index.uuid.to_string()))
            .collect();
        if !stored.transaction_file.is_empty() {
            others.push(other(None, "_transactions", stored.transaction_file));
        }
        let bases = stored.base_paths.into_iter();
        let bases = bases.map(|base| (base.id, (base.path, base.is_dataset_root))).collect();
        let version = stored.version;
        Ok(VersionRead { committed_at, version, fragments, others, bases, schema, unknown_index })
    }

    fn place(&mut self, stored: &Bytes, at: usize) -> Result<u32, StoredError> {
        if let Some(guess) = self.last.get(at)
            && self.stored[*guess as usize] == *stored
        {
            return Ok(*guess);
        }
        if let Some(known) = self.known.get(stored) {
            return Ok(*known);
        }
        let fragment = decoded_fragment(stored)?;
        let place = u32::try_from(self.references.len()).unwrap_or(u32::MAX);
        let names = fragment.referenced_lance_files().map(|file| &file.path);
        if let Some(name) = names.into_iter().find(|name| !is_plain(name)) {
            self.unclear.insert(place, name.clone());
        }
        self.references.push(references(&fragment));
        // A copy: the slice would keep the whole file in memory.
        let copy = Bytes::copy_from_slice(stored);
        self.stored.push(copy.clone());
        self.known.insert(copy, place);
        Ok(place)
    }
}

/// Reads the manifest in a file of a dataset: it, and the indexes it names. `None` when the file
/// is gone.
pub(super) async fn read_stored(
    files: &Files,
    name: &str,
) -> Result<Option<(Stored, Vec<IndexMetadata>)>, CleanupError> {
    let read = files.read_as(name, |content| stored::decode(&content)).await?;
    read.transpose().map_err(|source| unreadable(&files.place_of(name), source))
}

fn unreadable(place: &str, source: StoredError) -> CleanupError {
    CleanupError::Manifest { file: place.to_owned(), source: Box::new(source) }
}

fn decoded_fragment(stored: &Bytes) -> Result<Fragment, StoredError> {
    let what = "a fragment";
    let fragment: pb::DataFragment = stored::decoded(stored.clone(), what)?;
    Fragment::try_from(fragment).map_err(|source| StoredError::Understand { what, source })
}

/// The features of a version of which it is not known which files they mean. What Lance does not
/// know is not known to us either, whatever our list says.
fn unknown_to_us_or_lance(stored: &Stored) -> Option<String> {
    let (reader, writer) = (stored.reader_feature_flags, stored.writer_feature_flags);
    unknown_features(reader, writer).or_else(|| {
        let is_known = can_read_dataset(reader) && can_write_dataset(writer);
        (!is_known).then(|| format!("features {reader} and {writer}"))
    })
}

/// Whether a path is spelled as a listing spells the same file. Lance takes others too; where
/// they lead is left to it.
pub(super) fn is_plain(path: &str) -> bool {
    let is_part = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=+".contains(&byte);
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain)
    };
    path.split('/').all(is_part)
}

fn references(fragment: &Fragment) -> Vec<Reference> {
    let vital = |base, directory, name| Reference { base, directory, name, is_vital: true };
    let files = fragment.referenced_lance_files();
    let mut found: Vec<Reference> =
        files.map(|file| vital(file.base_id, "data", file.path.clone())).collect();
    if let Some(deletion) = &fragment.deletion_file {
        let path = relative_deletion_file_path(fragment.id, deletion);
        let name = path.strip_prefix("_deletions/").unwrap_or(&path);
        found.push(vital(deletion.base_id, "_deletions", name.to_owned()));
    }
    found
}

/// Where absolute base paths lead.
#[derive(Debug)]
pub(super) struct Bases {
    root: Identity,
    dataset: Identity,
    /// Those that were looked at; why it cannot be told, of the others.
    known: HashMap<String, Result<Base, CleanupError>>,
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
    /// For a dataset of a root.
    pub(super) fn new(root: &Root, dataset: &Files) -> Self {
        let (root, dataset) = (root.files().identity(), dataset.identity());
        Self { root, dataset, known: HashMap::new() }
    }

    /// Looks where a base leads, if it was not looked at before.
    ///
    /// Compared as directories, not as text: the same place has several spellings.
    pub(super) async fn learn(&mut self, path: &str) {
        if !self.known.contains_key(path) {
            let base = self.look(path).await;
            self.known.insert(path.to_owned(), base);
        }
    }

    async fn look(&self, path: &str) -> Result<Base, CleanupError> {
        let Some(plain) = local(path)? else { return Ok(Base::Elsewhere) };
        let Some(base) = identity_at(plain).await? else { return Ok(Base::Elsewhere) };
        let here = base.prefix_in(&self.dataset).map(Base::Here);
        let beside = || base.prefix_in(&self.root).map(Base::Beside);
        Ok(here.or_else(beside).unwrap_or(Base::Elsewhere))
    }

    /// Where a base leads that was learned of.
    ///
    /// # Errors
    ///
    /// When it cannot be told where it leads: it may be here.
    pub(super) fn resolve(&mut self, path: &str) -> Result<Base, CleanupError> {
        if let Some(Ok(base)) = self.known.get(path) {
            return Ok(base.clone());
        }
        let unknown = || Err(CleanupError::BaseForm { path: path.to_owned() });
        self.known.remove(path).unwrap_or_else(unknown)
    }

    /// The other datasets of the root that bases lead to: prefixes of names below the root.
    ///
    /// # Errors
    ///
    /// As [`Bases::resolve`].
    pub(super) fn beside(&mut self, bases: &BasePaths) -> Result<Vec<String>, CleanupError> {
        let mut beside = Vec::new();
        for (path, _) in bases.values() {
            if let Base::Beside(prefix) = self.resolve(path)? {
                beside.push(prefix);
            }
        }
        Ok(beside)
    }
}

/// The path of a base on this machine; `None` where it is on none. Whatever else may be meant is
/// an error: it may lead here.
fn local(base: &str) -> Result<Option<&str>, CleanupError> {
    const HERE: [&str; 3] = ["file", "file-object-store", "file+uring"];
    const ELSEWHERE: [&str; 14] = [
        "s3",
        "s3a",
        "s3+ddb",
        "gs",
        "az",
        "abfs",
        "abfss",
        "oss",
        "cos",
        "tos",
        "hf",
        "memory",
        "shared-memory",
        "goosefs",
    ];
    let form = || CleanupError::BaseForm { path: base.to_owned() };
    let path = match base.split_once("://") {
        None => base,
        Some((scheme, path)) if HERE.contains(&scheme) => path,
        Some((scheme, _)) if ELSEWHERE.contains(&scheme) => return Ok(None),
        Some(_) => return Err(form()),
    };
    // A relative one depends on who reads it; with a scheme, `%` may be itself or not.
    let is_clear = path.starts_with('/') && (path == base || !path.contains(['%', '?', '#']));
    if is_clear { Ok(Some(path)) } else { Err(form()) }
}
