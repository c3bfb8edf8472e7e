//! Opening datasets: one session with bounded caches for the whole process, which counts what it asks
//! of stores.

use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::session::Session;
use lance_io::object_store::ObjectStore;
use lancekeeper_model::{
    Branch, CacheStats, CacheUse, ErrorKind, INDEX_CACHE_BYTES, METADATA_CACHE_BYTES,
    StoreRequests, Version,
};
use thiserror::Error;

use crate::failure::{full_text, guarded, kind_of};

/// Opens datasets. Clones share one session.
#[derive(Clone, Debug)]
pub struct Tables {
    session: Arc<Mutex<Arc<Session>>>,
    caches: Caches,
    stores: Arc<Mutex<Stores>>,
}

/// The stores that tables were opened in. Lance drops one with its last table, and what it counted.
#[derive(Debug, Default)]
struct Stores {
    open: Vec<Arc<ObjectStore>>,
    /// What was asked of those that are forgotten.
    before: StoreRequests,
}

impl Stores {
    fn note(&mut self, store: Arc<ObjectStore>) {
        if !self.open.iter().any(|known| Arc::ptr_eq(known, &store)) {
            self.open.push(store);
        }
    }

    fn requests(&self) -> StoreRequests {
        self.open.iter().fold(self.before, |sum, store| {
            let asked = store.io_stats_snapshot();
            StoreRequests {
                reads: sum.reads + asked.read_iops,
                bytes_read: sum.bytes_read + asked.read_bytes,
                writes: sum.writes + asked.write_iops,
                bytes_written: sum.bytes_written + asked.written_bytes,
            }
        })
    }

    fn forget(&mut self) {
        *self = Self { before: self.requests(), open: Vec::new() };
    }
}

/// How much of what was read is kept, in bytes. Nobody can see what is cached but by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caches {
    /// Parts of indexes.
    pub index_bytes: usize,
    /// Manifests and footers of files.
    pub metadata_bytes: usize,
}

impl Default for Caches {
    fn default() -> Self {
        Self {
            index_bytes: INDEX_CACHE_BYTES as usize,
            metadata_bytes: METADATA_CACHE_BYTES as usize,
        }
    }
}

impl Caches {
    fn session(self) -> Arc<Session> {
        Arc::new(Session::new(self.index_bytes, self.metadata_bytes, Arc::default()))
    }
}

/// A dataset could not be opened.
#[derive(Debug, Error)]
#[error("failed to open table {uri} (branch {branch}{}): {}", version.map(|v| format!(", version {v}")).unwrap_or_default(), full_text(source))]
pub struct OpenError {
    /// Where it was looked for.
    pub uri: String,
    /// On which branch.
    pub branch: Branch,
    /// At which version; `None` means HEAD.
    pub version: Option<Version>,
    /// What Lance said.
    #[source]
    pub source: lance::Error,
}

impl OpenError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        kind_of(&self.source)
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self::new()
    }
}

impl Tables {
    /// With caches of the default sizes.
    #[must_use]
    pub fn new() -> Self {
        Self::with_caches(Caches::default())
    }

    /// With caches of these sizes.
    #[must_use]
    pub fn with_caches(caches: Caches) -> Self {
        Self { session: Arc::new(Mutex::new(caches.session())), caches, stores: Arc::default() }
    }

    /// Forgets everything that was read. A branch that is deleted and made again has versions
    /// of the same numbers at the same places: what is cached under those would answer for it.
    pub fn forget(&self) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = self.caches.session();
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).forget();
    }

    /// What the caches did since they were made, or since everything was forgotten.
    pub async fn cache_stats(&self) -> CacheStats {
        let session = self.session();
        CacheStats {
            index: cache_use(&session.index_cache_stats().await),
            metadata: cache_use(&session.metadata_cache_stats().await),
        }
    }

    /// What was asked of stores since this was made.
    #[must_use]
    pub fn requests(&self) -> StoreRequests {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).requests()
    }

    fn session(&self) -> Arc<Session> {
        Arc::clone(&self.session.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens the HEAD of a branch of a table.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when there is no such table or branch, or it cannot be read.
    pub async fn open(&self, uri: &str, branch: &Branch) -> Result<Dataset, OpenError> {
        self.load(uri, branch, None).await
    }

    /// Opens one version of a branch of a table.
    ///
    /// # Errors
    ///
    /// As [`Tables::open`], and when that version does not exist.
    pub async fn open_at(
        &self,
        uri: &str,
        branch: &Branch,
        version: Version,
    ) -> Result<Dataset, OpenError> {
        self.load(uri, branch, Some(version)).await
    }

    /// Opens the chain of a dataset that lies at `uri` as it would be with this manifest, the message alone, in place of
    /// the one that is there for the same version.
    ///
    /// # Errors
    ///
    /// As [`Tables::open`], and when it is no manifest.
    pub async fn open_as(&self, uri: &str, manifest: &[u8]) -> Result<Dataset, OpenError> {
        // Nothing that was read by the manifest that is there may answer for this one, nor the other way round.
        let session = self.caches.session();
        let opened = async {
            let builder = DatasetBuilder::from_uri(uri).with_session(session);
            builder.with_serialized_manifest(manifest)?.load().await
        };
        guarded(uri, opened.boxed()).await.map_err(|source| OpenError {
            uri: uri.to_owned(),
            branch: Branch::main(),
            version: None,
            source,
        })
    }

    async fn load(
        &self,
        uri: &str,
        branch: &Branch,
        version: Option<Version>,
    ) -> Result<Dataset, OpenError> {
        let builder = DatasetBuilder::from_uri(uri).with_session(self.session());
        let builder = match (branch.name(), version) {
            (Some(name), version) => builder.with_branch(name, version.map(|v| v.0)),
            (None, Some(version)) => builder.with_version(version.0),
            (None, None) => builder,
        };
        // Boxed: Lance's futures are large, and callers hold several.
        let opened = async {
            let dataset = builder.load().await?;
            let store = dataset.object_store(None).await?;
            self.stores.lock().unwrap_or_else(PoisonError::into_inner).note(store);
            Ok(dataset)
        };
        guarded(uri, opened.boxed()).await.map_err(|source| OpenError {
            uri: uri.to_owned(),
            branch: branch.clone(),
            version,
            source,
        })
    }
}

fn cache_use(stats: &lance_core::cache::CacheStats) -> CacheUse {
    CacheUse {
        hits: stats.hits,
        misses: stats.misses,
        entries: stats.num_entries as u64,
        bytes: stats.size_bytes as u64,
    }
}

/// The version a handle stands at.
#[must_use]
pub fn version_of(dataset: &Dataset) -> Version {
    Version(dataset.manifest().version)
}
