//! Files: the one door to everything that is not read through Lance. Sidecars, journals, lists,
//! schema files, branch files, and the listing and deletion of a table's own files.
//!
//! Behind it are the stores of the `object_store` crate. What they lack on local disks is added
//! here, and only that: a walk that follows no links, deletion only of what was listed,
//! durability, empty directories, the identity of a place, and reading in one step. Its operations
//! are async; file systems are asked on threads of their own.
//!
//! Not here: what is in the files, and how roots are found (`root`, `spelling`, `members`), which
//! must look at disks before anything is known of them.
//!
//! Names are relative to the directory, with `/` between their parts, and as they are on disk:
//! those of branches are encoded already. One that leads out of the directory is refused.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use lance_io::object_store::ObjectStore as LanceStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::{Path as StorePath, PathPart};
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt};
use object_store::{PutMode, UpdateVersion};
use prost::bytes::Bytes;

mod delete;
mod error;
mod gate;
mod hint;
mod identity;
mod join;
mod listed;
mod local;
mod notices;
mod odd;
mod opens;
mod rename;
mod times;

pub use error::FilesError;
pub use gate::{Closing, Gate};
pub use identity::{Identity, identity_at};
pub use join::{Part, places};
use listed::as_listed;
pub use listed::{Condition, Deleted, Doomed, Listed};
pub use notices::Notices;
pub use opens::{Opened, Opens};

/// A directory, and all that lies below it.
#[derive(Debug, Clone)]
pub struct Files {
    store: Arc<dyn ObjectStore>,
    place: Place,
}

/// Where a directory lies.
#[derive(Debug, Clone)]
enum Place {
    /// On a disk of this machine.
    Local(PathBuf),
    /// In a store that has no directories: what its names begin with.
    Prefix(StorePath),
}

impl Files {
    /// The directory at this path. Nothing is looked at or created.
    #[must_use]
    pub fn local(directory: impl Into<PathBuf>) -> Self {
        Self { store: Arc::new(LocalFileSystem::new()), place: Place::Local(directory.into()) }
    }

    /// An empty store in memory, for tests.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { store: Arc::new(InMemory::new()), place: Place::Prefix(StorePath::default()) }
    }

    /// What lies at a path of a store that Lance opened.
    #[must_use]
    pub fn of_lance(store: &LanceStore, path: &StorePath) -> Self {
        let place = match store.is_local() {
            true => Place::Local(PathBuf::from(format!("/{path}"))),
            false => Place::Prefix(path.clone()),
        };
        Self { store: Arc::clone(&store.inner), place }
    }

    /// The files of a directory below. Nothing is looked at or created.
    #[must_use]
    pub fn below(&self, directory: &str) -> Self {
        let place = match &self.place {
            here if directory.is_empty() => here.clone(),
            Place::Local(outer) => Place::Local(outer.join(directory)),
            Place::Prefix(outer) => {
                // Without encoding what is encoded already.
                let part = |part| PathPart::parse(part).unwrap_or_else(|_| PathPart::from(part));
                let parts = directory.split('/').filter(|part| !part.is_empty()).map(part);
                Place::Prefix(outer.parts().chain(parts).collect())
            }
        };
        Self { store: Arc::clone(&self.store), place }
    }

    /// The same for a directory that may be a link: where it leads, which need not be below.
    ///
    /// # Errors
    ///
    /// When nothing is there, or it cannot be told where it leads.
    pub async fn resolved(&self, directory: &str) -> Result<Self, FilesError> {
        let below = self.below(directory);
        let Place::Local(asked) = below.place else { return Ok(below) };
        let resolved = blocking(move || local::resolve(&asked)).await?;
        Ok(Self { store: below.store, place: Place::Local(resolved) })
    }

    /// What tells this place from others. Of links it knows nothing: whoever compares places
    /// has resolved them ([`Files::resolved`], `Root::files`).
    #[must_use]
    pub fn identity(&self) -> Identity {
        match &self.place {
            Place::Local(directory) => Identity::of(directory),
            Place::Prefix(prefix) => Identity::of(Path::new(prefix.as_ref())),
        }
    }

    /// A file, or for an empty name the directory, as messages call it.
    #[must_use]
    pub fn place_of(&self, name: &str) -> String {
        match &self.place {
            Place::Local(directory) if name.is_empty() => directory.display().to_string(),
            Place::Local(directory) => directory.join(name).display().to_string(),
            Place::Prefix(prefix) if name.is_empty() => prefix.to_string(),
            Place::Prefix(prefix) => format!("{prefix}/{name}"),
        }
    }

    /// Every file below a directory of it, or below it for an empty name, sorted by path. A
    /// directory that is not there has no files.
    ///
    /// Links are neither followed nor reported: what lies behind one is outside of the directory,
    /// and somebody else's. Names that are no UTF-8 are not reported either, so nobody can decide
    /// to delete them.
    ///
    /// # Errors
    ///
    /// When any directory below it cannot be read: a listing with holes proves nothing.
    pub async fn list(&self, directory: &str) -> Result<Vec<Listed>, FilesError> {
        match &self.place {
            Place::Local(outer) => {
                let (outer, directory) = (outer.clone(), directory.to_owned());
                blocking(move || local::list(&outer, &directory)).await
            }
            Place::Prefix(prefix) => {
                let path = self.directory_path(directory)?;
                let found = self.store.list(Some(&path)).try_collect::<Vec<_>>().await;
                let found = found.map_err(|error| self.failure("list", directory, error))?;
                Ok(as_listed(prefix, found))
            }
        }
    }

    /// The files that lie directly in it, sorted by name.
    ///
    /// # Errors
    ///
    /// As [`Files::list`].
    pub async fn list_directly(&self) -> Result<Vec<Listed>, FilesError> {
        match &self.place {
            Place::Local(directory) => {
                let directory = directory.clone();
                blocking(move || local::list_directly(&directory)).await
            }
            Place::Prefix(prefix) => {
                let found = self.store.list_with_delimiter(Some(prefix)).await;
                let found = found.map_err(|error| self.failure("list", "", error))?;
                Ok(as_listed(prefix, found.objects))
            }
        }
    }

    /// The names directly in it that end in `suffix`, sorted; a link to a file counts as one. No
    /// directory is no names. Those that a store has no word for are left out: [`Files::odd_names`]
    /// has them.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed.
    pub async fn names(&self, suffix: &str) -> Result<Vec<String>, FilesError> {
        // The store of a local disk fails over a single name that it has no word for.
        if let Place::Local(directory) = &self.place {
            let names = odd::names(directory.clone()).await?.plain;
            return Ok(names.into_iter().filter(|name| name.ends_with(suffix)).collect());
        }
        let prefix = self.directory_path("")?;
        let found = match self.store.list_with_delimiter(Some(&prefix)).await {
            Ok(found) => found.objects,
            Err(StoreError::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(self.failure("list", "", error)),
        };
        let names = as_listed(&prefix, found).into_iter().map(|listed| listed.path);
        Ok(names.filter(|name| name.ends_with(suffix)).collect())
    }

    /// Whether there is a directory of that name; in a store without directories, whether any
    /// file lies below. One that cannot be looked at is none.
    pub async fn has_directory(&self, name: &str) -> bool {
        let below = self.below(name);
        match below.place {
            Place::Local(place) => blocking(move || Ok(place.is_dir())).await.unwrap_or(false),
            Place::Prefix(prefix) => {
                matches!(self.store.list(Some(&prefix)).try_next().await, Ok(Some(_)))
            }
        }
    }

    /// The content of a file; `None` when it is gone, which a listing cannot exclude.
    ///
    /// # Errors
    ///
    /// When it is there but cannot be read.
    pub async fn read(&self, name: &str) -> Result<Option<Bytes>, FilesError> {
        self.read_as(name, |content| content).await
    }

    /// What `understand` makes of a file's content. It runs where nobody waits for it; on a local
    /// disk right after the file was read, because for thousands of small files every change of
    /// threads counts.
    ///
    /// # Errors
    ///
    /// As [`Files::read`].
    pub async fn read_as<T: Send + 'static>(
        &self,
        name: &str,
        understand: impl FnOnce(Bytes) -> T + Send + 'static,
    ) -> Result<Option<T>, FilesError> {
        let content = match &self.place {
            Place::Local(directory) => {
                check_is_below(name)?;
                let place = directory.join(name);
                return blocking(move || Ok(local::read(&place)?.map(understand))).await;
            }
            Place::Prefix(_) => self.get(name).await?,
        };
        blocking(move || Ok(content.map(|(content, _)| understand(content)))).await
    }

    /// A file's content, and what the store knows it by.
    async fn get(&self, name: &str) -> Result<Option<(Bytes, UpdateVersion)>, FilesError> {
        let found = match self.store.get(&self.path(name)?).await {
            Ok(found) => found,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failure("read", name, error)),
        };
        let (e_tag, version) = (found.meta.e_tag.clone(), found.meta.version.clone());
        let content = found.bytes().await.map_err(|error| self.failure("read", name, error))?;
        Ok(Some((content, UpdateVersion { e_tag, version })))
    }

    /// The size of a file in bytes; `None` when it is not there.
    ///
    /// # Errors
    ///
    /// When the store cannot tell.
    pub async fn size(&self, name: &str) -> Result<Option<u64>, FilesError> {
        match self.store.head(&self.path(name)?).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failure("look at", name, error)),
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
    pub async fn put(&self, name: &str, content: impl Into<Bytes>) -> Result<(), FilesError> {
        let put = self.store.put(&self.path(name)?, content.into().into()).await;
        put.map(drop).map_err(|error| self.failure("write", name, error))
    }

    /// Writes a whole file, unless there is one of that name. Returns whether it was written.
    ///
    /// # Errors
    ///
    /// When it cannot be written, for another reason than that it is there.
    ///
    /// # Cancel safety
    ///
    /// As [`Files::put`].
    pub async fn put_if_absent(
        &self,
        name: &str,
        content: impl Into<Bytes>,
    ) -> Result<bool, FilesError> {
        let (path, mode) = (self.path(name)?, PutMode::Create.into());
        match self.store.put_opts(&path, content.into().into(), mode).await {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failure("write", name, error)),
        }
    }

    /// Replaces a file if what is in it is still what was read. Returns whether it was written.
    ///
    /// A local disk cannot do both at once. There nothing waits between the look and the write,
    /// and whoever must exclude even that moment holds the root's lock.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written.
    ///
    /// # Cancel safety
    ///
    /// As [`Files::put`].
    pub async fn put_if_unchanged(
        &self,
        name: &str,
        before: &[u8],
        content: impl Into<Bytes>,
    ) -> Result<bool, FilesError> {
        let Some((found, version)) = self.get(name).await? else { return Ok(false) };
        if found == before { self.replace(name, version, content.into()).await } else { Ok(false) }
    }

    /// Replaces what the store knows by that version, if it is still there.
    async fn replace(
        &self,
        name: &str,
        version: UpdateVersion,
        content: Bytes,
    ) -> Result<bool, FilesError> {
        let mode = match &self.place {
            Place::Local(_) => PutMode::Overwrite,
            Place::Prefix(_) => PutMode::Update(version),
        };
        match self.store.put_opts(&self.path(name)?, content.into(), mode.into()).await {
            Ok(_) => Ok(true),
            Err(StoreError::Precondition { .. } | StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failure("write", name, error)),
        }
    }

    fn failure(&self, action: &'static str, name: &str, source: StoreError) -> FilesError {
        FilesError::of_store(action, self.place_of(name), source)
    }

    /// What the store calls a file.
    fn path(&self, name: &str) -> Result<StorePath, FilesError> {
        check_is_below(name)?;
        self.directory_path(name)
    }

    /// What the store calls a directory: this one for an empty name.
    fn directory_path(&self, name: &str) -> Result<StorePath, FilesError> {
        if !name.is_empty() {
            check_is_below(name)?;
        }
        let path = match &self.place {
            Place::Local(directory) => StorePath::from_absolute_path(directory.join(name)),
            Place::Prefix(prefix) => StorePath::parse(format!("{prefix}/{name}")),
        };
        path.map_err(|error| self.failure("name", name, error.into()))
    }
}

fn check_is_below(name: &str) -> Result<(), FilesError> {
    let mut parts = Path::new(name).components();
    if name.is_empty() || !parts.all(|part| matches!(part, Component::Normal(_))) {
        return Err(FilesError::Outside { path: name.to_owned() });
    }
    Ok(())
}

/// Runs what waits for a file system where nobody else waits for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    tokio::task::spawn_blocking(work).await?
}

#[cfg(test)]
mod tests;
