//! Files that get another name: in the place of what is there, or only where nothing is.

use object_store::{Error as StoreError, ObjectStoreExt};

use super::{Files, FilesError};

impl Files {
    /// Gives a file another name below this directory, replacing a file of that name.
    ///
    /// # Errors
    ///
    /// When it is not there, or cannot be renamed.
    ///
    /// # Cancel safety
    ///
    /// It has the one name or the other. In a store that cannot rename it may have both.
    pub async fn rename(&self, name: &str, to: &str) -> Result<(), FilesError> {
        let renamed = self.store.rename(&self.path(name)?, &self.path(to)?).await;
        renamed.map_err(|error| self.failure("rename", name, error))
    }

    /// Gives a file another name below this directory, unless there is a file of that name. Returns whether it did.
    ///
    /// # Errors
    ///
    /// When it is not there, or cannot be renamed.
    ///
    /// # Cancel safety
    ///
    /// It has the one name, the other, or for a moment both.
    pub async fn rename_if_absent(&self, name: &str, to: &str) -> Result<bool, FilesError> {
        match self.store.rename_if_not_exists(&self.path(name)?, &self.path(to)?).await {
            Ok(()) => Ok(true),
            Err(StoreError::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failure("rename", name, error)),
        }
    }
}
