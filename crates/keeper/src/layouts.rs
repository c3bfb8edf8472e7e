//! Layouts of tables as they are kept: which one a table has, in its own settings; and what belongs to it, in
//! documents under `__maintenance/layouts/` of the root, one for each table and branch.
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

pub(crate) use columns::{ColumnError, extents, measured, sample};
pub(crate) use expansions::expansions;

/// The setting of a table that names its layout.
pub(crate) const LAYOUT_KEY: &str = "lancekeeper.layout";
/// Where the documents lie, relative to the root.
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

/// The documents of a root.
#[derive(Debug, Clone)]
pub(crate) struct Layouts {
    files: Files,
}

impl Layouts {
    pub(crate) fn of(root: &Files) -> Self {
        Self { files: root.below(DIRECTORY) }
    }

    /// What is kept of a table's layout; `None` if nothing is, or if it is damaged: then the table is laid out as
    /// if it never had been.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or was written by a later program.
    pub(crate) async fn read(
        &self,
        location: &str,
        branch: &Branch,
    ) -> Result<Option<LayoutState>, LayoutsError> {
        let name = name_of(location, branch);
        let Some(bytes) = self.files.read(&name).await? else { return Ok(None) };
        match LayoutState::from_json(&String::from_utf8_lossy(&bytes)) {
            Ok(state) => Ok(Some(state)),
            Err(source @ DocumentError::Version(_)) => {
                Err(LayoutsError::Document { place: self.files.place_of(&name), source })
            }
            Err(error) => {
                tracing::warn!(target: "lancekeeper::optimize", place = self.files.place_of(&name), %error,
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
    pub(crate) async fn write(
        &self,
        location: &str,
        branch: &Branch,
        state: &LayoutState,
    ) -> Result<(), FilesError> {
        self.files.put(&name_of(location, branch), state.to_json()).await
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
    pub(crate) async fn forget(&self, location: &str, branch: &Branch) -> Result<(), FilesError> {
        self.files.delete(&name_of(location, branch)).await
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
