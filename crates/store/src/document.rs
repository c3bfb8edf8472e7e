//! Small files beside the tables: sidecars and journals. Written whole, by the object
//! store's atomic put, so that a reader sees all of a file or none.

use std::sync::Arc;

use futures::TryStreamExt;
use lance_io::object_store::ObjectStore;
use lancekeeper_model::ErrorKind;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode};
use thiserror::Error;

use crate::failure::{full_text, kind_of};

/// A directory of small files.
#[derive(Debug, Clone)]
pub struct Documents {
    store: Arc<ObjectStore>,
    directory: Path,
    /// For messages.
    uri: String,
}

/// A small file could not be read or written.
#[derive(Debug, Error)]
#[error("failed to {action} {uri}: {}", full_text(source))]
pub struct DocumentError {
    /// What was tried.
    pub action: &'static str,
    /// The file or directory.
    pub uri: String,
    /// What the store said.
    #[source]
    pub source: lance::Error,
}

impl DocumentError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        kind_of(&self.source)
    }
}

impl Documents {
    /// The directory at this address. Nothing is created.
    ///
    /// # Errors
    ///
    /// When the address cannot be understood.
    pub async fn at(uri: &str) -> Result<Self, DocumentError> {
        let (store, directory) = ObjectStore::from_uri(uri)
            .await
            .map_err(|source| DocumentError { action: "reach", uri: uri.to_owned(), source })?;
        Ok(Self { store, directory, uri: uri.to_owned() })
    }

    /// Names as they are on disk: those of branches are encoded already.
    fn place(&self, name: &str) -> Path {
        Path::parse(format!("{}/{name}", self.directory))
            .unwrap_or_else(|_| self.directory.clone().join(name))
    }

    fn failure(
        &self,
        action: &'static str,
        name: &str,
        source: impl Into<lance::Error>,
    ) -> DocumentError {
        let uri = if name.is_empty() { self.uri.clone() } else { format!("{}/{name}", self.uri) };
        DocumentError { action, uri, source: source.into() }
    }

    /// The names directly in the directory that end in `suffix`, sorted. No directory is no
    /// names.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed.
    pub async fn list(&self, suffix: &str) -> Result<Vec<String>, DocumentError> {
        let listing: Result<Vec<_>, _> =
            self.store.inner.list(Some(&self.directory)).try_collect().await;
        let found = match listing {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(source) => return Err(self.failure("list", "", source)),
        };
        let mut names: Vec<String> = found
            .into_iter()
            .filter_map(|meta| {
                let rest = meta.location.prefix_match(&self.directory)?;
                let parts: Vec<_> = rest.map(|part| part.as_ref().to_owned()).collect();
                match parts.as_slice() {
                    [name] if name.ends_with(suffix) => Some(name.clone()),
                    _ => None,
                }
            })
            .collect();
        names.sort();
        Ok(names)
    }

    /// The content of a file; `None` when it is gone, which a listing cannot exclude.
    ///
    /// # Errors
    ///
    /// When it is there but cannot be read.
    pub async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DocumentError> {
        match self.store.inner.get(&self.place(name)).await {
            Ok(found) => match found.bytes().await {
                Ok(bytes) => Ok(Some(bytes.to_vec())),
                Err(source) => Err(self.failure("read", name, source)),
            },
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failure("read", name, source)),
        }
    }

    /// Writes a whole file, replacing one of that name.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the old file, if any, is then untouched.
    ///
    /// # Cancel safety
    ///
    /// The file is there as a whole or not at all; a temporary may stay beside it.
    pub async fn write(&self, name: &str, content: Vec<u8>) -> Result<(), DocumentError> {
        self.store
            .inner
            .put(&self.place(name), content.into())
            .await
            .map(drop)
            .map_err(|source| self.failure("write", name, source))
    }

    /// Writes a whole file, unless there is one of that name. Returns whether it was written.
    ///
    /// # Errors
    ///
    /// When it cannot be written, for another reason than that it is there.
    ///
    /// # Cancel safety
    ///
    /// The file is there as a whole or not at all; a temporary may stay beside it.
    pub async fn write_new(&self, name: &str, content: Vec<u8>) -> Result<bool, DocumentError> {
        let place = self.place(name);
        match self.store.inner.put_opts(&place, content.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(source) => Err(self.failure("write", name, source)),
        }
    }

    /// Deletes a file; one that is gone already is no error.
    ///
    /// # Errors
    ///
    /// When it is still there afterwards.
    ///
    /// # Cancel safety
    ///
    /// The file is there or not.
    pub async fn delete(&self, name: &str) -> Result<(), DocumentError> {
        match self.store.inner.delete(&self.place(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.failure("delete", name, source)),
        }
    }

    /// The size of a file in bytes; `None` when it is not there.
    ///
    /// # Errors
    ///
    /// When the store cannot tell.
    pub async fn size(&self, name: &str) -> Result<Option<u64>, DocumentError> {
        match self.store.inner.head(&self.place(name)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failure("look at", name, source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_written_once_under_its_name_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let documents = Documents::at(&dir.path().to_string_lossy()).await.unwrap();
        for name in ["a%2Fb.json", "%C3%BC.json", "plain.json"] {
            assert_eq!(documents.read(name).await.unwrap(), None);
            assert!(documents.write_new(name, b"one".to_vec()).await.unwrap());
            assert!(!documents.write_new(name, b"two".to_vec()).await.unwrap());
            assert_eq!(std::fs::read(dir.path().join(name)).unwrap(), b"one");
            assert_eq!(documents.read(name).await.unwrap().unwrap(), b"one");
        }
        assert_eq!(documents.list(".json").await.unwrap().len(), 3);
    }
}
