//! Layouts of tables as they are kept: which one a table has, in its own settings; and what belongs to it, in
//! documents under `__maintenance/layouts/`, one for each table and branch. A table of a database has its own in its
//! directory, so that a run over the database and one over the table alone find the same, and whoever drops or moves
//! the table takes it along; those of a graph lie at its root.
//!
//! A document is never needed to read a table, and never believed against it: fragments that are not as it
//! says are taken for new ones. So one that is lost costs a rewrite, and a copied or restored table
//! without it is what it was. The layout itself is a setting of the table, so it goes where the table goes.
//!
//! Tables of graphs have no setting of ours: it would be a commit to a table that its clients version, for something
//! that none of them reads. There the document says which layout it is, and one that is lost ends it.
//!
//! Not here: which layout is wanted (`optimize::arranged`), and the form of the documents (`layout`).

mod columns;
mod expansions;

use lance::Dataset;
use lance_table::format::Fragment;
use lancekeeper_layout::{DocumentError, LayoutState, layout_from_json, layout_to_json};
use lancekeeper_model::{Branch, ErrorKind, Layout, file_name_of};
use lancekeeper_store::{Files, FilesError};
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3Default;

use crate::root::Target;

pub(crate) use columns::{ColumnError, extents, measured, sample};
pub(crate) use expansions::expansions;

/// The setting of a table that names its layout.
pub(crate) const LAYOUT_KEY: &str = "lancekeeper.layout";
/// Where the documents lie, relative to the root of the graph or to the table.
const DIRECTORY: &str = "__maintenance/layouts";

/// What is kept of a table's layout cannot be read or written.
#[derive(Debug, Error)]
pub(crate) enum LayoutsError {
    /// The store failed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A document cannot be used.
    #[error("{place}: {source}")]
    Document {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        source: DocumentError,
    },
}

impl LayoutsError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Files(error) => error.kind(),
            Self::Document { source, .. } => source.kind(),
        }
    }
}

/// The document of a table on a branch.
#[derive(Debug, Clone)]
pub(crate) struct KeptLayout {
    files: Files,
    name: String,
}

impl KeptLayout {
    /// That of a table at this place below a root.
    pub(crate) fn of(root: &Files, target: &Target) -> Self {
        let (home, location) = match target.pin {
            Some(_) => (root.clone(), target.location.as_str()),
            None => (root.below(&target.location), ""),
        };
        Self { files: home.below(DIRECTORY), name: name_of(location, &target.table.branch) }
    }

    /// What is kept of a table's layout; `None` if nothing is, or if it is damaged: then the table is laid out as
    /// if it never had been.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or was written by a later program.
    pub(crate) async fn read(&self) -> Result<Option<LayoutState>, LayoutsError> {
        let name = self.name.as_str();
        let Some(bytes) = self.files.read(name).await? else { return Ok(None) };
        match LayoutState::from_json(&String::from_utf8_lossy(&bytes)) {
            Ok(state) => Ok(Some(state)),
            Err(source @ DocumentError::Version(_)) => {
                Err(LayoutsError::Document { place: self.files.place_of(name), source })
            }
            Err(error) => {
                tracing::warn!(target: "lancekeeper::optimize", place = self.files.place_of(name), %error,
                    "what is kept of a layout is damaged: everything counts as new");
                Ok(None)
            }
        }
    }

    /// Keeps this of a table's layout.
    ///
    /// # Errors
    ///
    /// When it cannot be written; what was kept before is then untouched.
    ///
    /// # Cancel safety
    ///
    /// It is kept as a whole or not at all.
    pub(crate) async fn write(&self, state: &LayoutState) -> Result<(), FilesError> {
        self.files.put(&self.name, state.to_json()).await
    }

    /// Keeps nothing of a table's layout any more.
    ///
    /// # Errors
    ///
    /// When it is still there afterwards.
    ///
    /// # Cancel safety
    ///
    /// It is there or not.
    pub(crate) async fn forget(&self) -> Result<(), FilesError> {
        self.files.delete(&self.name).await
    }
}

fn name_of(location: &str, branch: &Branch) -> String {
    format!("{}@{}.json", file_name_of(location), file_name_of(&branch.to_string()))
}

/// The layout that a table is to be kept in; `None` if nobody said so.
///
/// # Errors
///
/// When its setting is damaged, or was written by a later program.
pub(crate) fn remembered(table: &Dataset) -> Result<Option<Layout>, LayoutsError> {
    let Some(text) = table.config().get(LAYOUT_KEY) else { return Ok(None) };
    let place = || format!("the setting {LAYOUT_KEY} of {}", table.uri());
    let layout = layout_from_json(text);
    layout.map(Some).map_err(|source| LayoutsError::Document { place: place(), source })
}

/// What the setting of a table says when it is to be kept in this layout.
pub(crate) fn setting_of(layout: &Layout) -> String {
    layout_to_json(layout)
}

/// The ids of the fields of these columns, which are top-level ones.
pub(crate) fn fields_of(table: &Dataset, columns: &[&str]) -> Vec<i32> {
    let field = |name: &&str| table.schema().fields.iter().find(|field| field.name == **name);
    columns.iter().filter_map(field).map(|field| field.id).collect()
}

/// Tells the files in which a fragment has these fields from any others.
pub(crate) fn witness(fragment: &Fragment, fields: &[i32]) -> u64 {
    let mut hasher = Xxh3Default::new();
    for field in fields {
        let file = fragment.files.iter().find(|file| file.fields.contains(field));
        hasher.update(file.map_or(&[], |file| file.path.as_bytes()));
        hasher.update(&[0]);
    }
    hasher.digest()
}
