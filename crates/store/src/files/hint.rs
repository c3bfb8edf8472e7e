//! Lance's version hint: a small file that Lance reads and writes by itself, written here when
//! Lance would not.

use lance_io::object_store::ObjectStore as LanceStore;
use lance_table::io::commit::write_version_hint;
use lancekeeper_model::Version;

use super::{Files, FilesError, Place};

impl Files {
    /// Lets the hint of a table's branch, whose directory is given, name a version. Where listings
    /// are in the order of names Lance asks for no hint, and gets none.
    ///
    /// # Errors
    ///
    /// When the directory cannot be named. A hint that could not be written is none: Lance does
    /// without.
    ///
    /// # Cancel safety
    ///
    /// The hint is written or not.
    pub async fn hint_at(&self, directory: &str, version: Version) -> Result<(), FilesError> {
        let path = self.directory_path(directory)?;
        if let Place::Local(_) = &self.place {
            write_version_hint(&LanceStore::local(), &path, version.0).await;
        }
        Ok(())
    }
}
