//! Deletion, and its durability.

use object_store::{Error as StoreError, ObjectStoreExt};

use super::{Condition, Deleted, Doomed, Files, FilesError, Place, blocking, local};

impl Files {
    /// Deletes a file; one that is gone already is no error.
    ///
    /// # Errors
    ///
    /// When it is still there afterwards.
    ///
    /// # Cancel safety
    ///
    /// The file is there or not.
    pub async fn delete(&self, name: &str) -> Result<(), FilesError> {
        match self.store.delete(&self.path(name)?).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failure("delete", name, error)),
        }
    }

    /// Deletes files in their order, each if its condition holds. On a local disk nothing waits
    /// between the look at a file and its deletion, and a batch is one task.
    ///
    /// # Errors
    ///
    /// When the deletions could not be begun. Why one of them failed is in the outcome.
    ///
    /// # Cancel safety
    ///
    /// Some are gone; on a local disk the others go, too.
    pub async fn delete_batch(&self, batch: Vec<Doomed>) -> Result<Deleted, FilesError> {
        match &self.place {
            Place::Local(directory) => {
                let directory = directory.clone();
                blocking(move || Ok(local::delete_batch(&directory, &batch))).await
            }
            Place::Prefix(_) => {
                let mut deleted = Deleted::default();
                for doomed in &batch {
                    deleted.add(doomed, self.delete_doomed(doomed).await);
                }
                Ok(deleted)
            }
        }
    }

    /// Whether it went: somebody else may have deleted it.
    async fn delete_doomed(&self, doomed: &Doomed) -> Result<bool, FilesError> {
        let Doomed { file, condition } = doomed;
        let changed = || FilesError::Changed { place: self.place_of(&file.path) };
        let found = match self.store.head(&self.path(&file.path)?).await {
            Ok(found) => found,
            Err(StoreError::NotFound { .. }) if *condition == Condition::Present => {
                return Err(changed());
            }
            Err(StoreError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(self.failure("look at", &file.path, error)),
        };
        let is_same = (found.size, found.last_modified) == (file.bytes, file.modified);
        if *condition != Condition::None && !is_same {
            return Err(changed());
        }
        self.delete(&file.path).await.map(|()| true)
    }

    /// Deletes a directory that holds nothing any more, with those above it up to this one. One
    /// that is not empty stays. Stores without directories have none to delete.
    ///
    /// # Errors
    ///
    /// When the file system fails otherwise.
    ///
    /// # Cancel safety
    ///
    /// Each is there or not.
    pub async fn delete_empty(&self, directory: &str) -> Result<(), FilesError> {
        self.on_disk(directory, local::delete_empty).await
    }

    /// Makes durable what was done to a file, or in a directory, so far. Stores without
    /// directories have promised it already.
    ///
    /// # Errors
    ///
    /// When the file system cannot promise it.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing but what a power cut may leave.
    pub async fn make_durable(&self, name: &str) -> Result<(), FilesError> {
        self.on_disk(name, local::sync).await
    }

    async fn on_disk(
        &self,
        name: &str,
        work: fn(&std::path::Path, &str) -> Result<(), FilesError>,
    ) -> Result<(), FilesError> {
        match &self.place {
            Place::Local(directory) => {
                let (directory, name) = (directory.clone(), name.to_owned());
                blocking(move || work(&directory, &name)).await
            }
            Place::Prefix(_) => super::check_is_below(name),
        }
    }
}
