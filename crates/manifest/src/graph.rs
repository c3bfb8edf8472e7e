//! A graph: its `__manifest` opened, its schema version known, its branches folded.
//!
//! Reading only. Moving pins is in `publish`.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use lance::Dataset;
use lancekeeper_model::{
    Branch, ErrorKind, InternalSchema, Snapshot, Stamp, TableKey, TableRef, Version,
};
use lancekeeper_planner::cleanup::chain_dir;
use lancekeeper_store::root::MANIFEST_DIR;
use lancekeeper_store::spelling::{Spellings, note_branches};
use lancekeeper_store::tables::version_of;
use lancekeeper_store::{FilesError, LanceFailure, OpenError, Root, Tables};
use thiserror::Error;

use crate::fold::{FoldError, Folded, fold};
use crate::row::{COLUMNS, Row, decode};

/// Key of the stamp in the schema metadata of `__manifest`.
pub(crate) const STAMP: &str = "omnigraph:internal_schema_version";
/// The Lance branch of `__manifest` that exists while a schema apply runs.
pub(crate) const SCHEMA_APPLY_LOCK: &str = "__schema_apply_lock__";
/// Prefix of the run branches of graphs before v3.
pub(crate) const RUN_PREFIX: &str = "__run__";
/// Where v3 keeps the commit history; without it a graph is none of v3.
const COMMITS_OF_V3: &str = "_graph_commits.lance/_versions";
/// A column that rows have besides those that are read; clients leave it empty.
const UNUSED_COLUMN: &str = "base_objects";

/// A graph opened for reading.
#[derive(Debug, Clone)]
pub struct Graph {
    pub(crate) tables: Tables,
    pub(crate) root: Root,
    /// By which it is read: that of main's stamp, or where that is none we know, that of its files.
    pub(crate) schema: InternalSchema,
    stamp: Stamp,
}

/// A graph could not be read.
#[derive(Debug, Error)]
pub enum GraphError {
    /// `__manifest` or a branch of it could not be opened.
    #[error("failed to open the graph's table of pins: {0}")]
    Open(#[source] OpenError),
    /// A read of `__manifest` failed.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    /// Its directories could not be listed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The graph is laid out in a way we do not know.
    #[error(
        "upgrade lancekeeper first: {uri} is at internal schema {found} and has the column {column}, which this version of lancekeeper does not know; the newest it knows is v{}",
        InternalSchema::NEWEST.number()
    )]
    Newer {
        /// The root.
        uri: String,
        /// Its stamp.
        found: Stamp,
        /// A column that we do not know.
        column: String,
    },
    /// The branch that keeps everybody out while a schema is applied is another one by now, or gone.
    #[error("{SCHEMA_APPLY_LOCK} was made anew or taken away meanwhile: it was left alone")]
    LockRenewed,
    /// The rows of `__manifest` contradict each other.
    #[error("{uri}: {MANIFEST_DIR} of branch {branch}: {source}")]
    Fold {
        /// The root.
        uri: String,
        /// The branch.
        branch: Branch,
        /// What is wrong.
        #[source]
        source: FoldError,
    },
}

impl GraphError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            // The directory is there: what is missing in it, or is no Lance file, is damage.
            Self::Open(error) => as_damage(error.kind()),
            Self::Lance(error) => as_damage(error.kind()),
            Self::Files(error) => error.kind(),
            Self::Fold { .. } => ErrorKind::Corrupt,
            Self::Newer { .. } => ErrorKind::Refused,
            Self::LockRenewed => ErrorKind::Conflict,
        }
    }
}

fn as_damage(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::NotFound | ErrorKind::Invalid => ErrorKind::Corrupt,
        kind => kind,
    }
}

impl Graph {
    /// Opens the graph of a root. Writes nothing.
    ///
    /// A stamp that is none we know does not keep anybody from reading, as long as the layout is one
    /// we know. Whoever writes looks at the stamps first ([`Graph::migration_facts`]).
    ///
    /// # Errors
    ///
    /// When `__manifest` cannot be read, or is laid out in a way we do not know.
    pub async fn open(tables: &Tables, root: &Root) -> Result<Self, GraphError> {
        let main = tables
            .open(&root.address_of(MANIFEST_DIR), &Branch::main())
            .await
            .map_err(GraphError::Open)?;
        let stamp = stamp_of(&main);
        let schema = match stamp {
            Stamp::Known(schema) => schema,
            // Until main is at v4 the history of v3 is the whole one.
            Stamp::Migrating => InternalSchema::V3,
            Stamp::Newer(_) | Stamp::Unreadable(_) => {
                check_columns(&main, root, &stamp)?;
                match root.files().has_directory(COMMITS_OF_V3).await {
                    true => InternalSchema::V3,
                    false => InternalSchema::V4,
                }
            }
        };
        Ok(Self { tables: tables.clone(), root: root.clone(), schema, stamp })
    }

    /// The root, under the address tables are opened by.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The internal schema version by which main is read.
    #[must_use]
    pub fn schema(&self) -> InternalSchema {
        self.schema
    }

    /// What main is stamped with.
    #[must_use]
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    pub(crate) async fn open_manifest(&self, branch: &Branch) -> Result<Dataset, GraphError> {
        self.tables
            .open(&self.root.address_of(MANIFEST_DIR), branch)
            .await
            .map_err(GraphError::Open)
    }

    /// The file of main's newest version of `__manifest`, relative to the root: what every client opens first. Once it
    /// is told, the caches have what is in it.
    ///
    /// # Errors
    ///
    /// When main cannot be opened.
    pub async fn newest_version_file(&self) -> Result<String, GraphError> {
        let main = self.open_manifest(&Branch::main()).await?;
        let file = main.manifest_location().path.filename().unwrap_or_default();
        Ok(format!("{MANIFEST_DIR}/_versions/{file}"))
    }

    /// What readers of a branch see now.
    ///
    /// # Errors
    ///
    /// When the branch does not exist or cannot be read.
    pub async fn snapshot(&self, branch: &Branch) -> Result<Snapshot, GraphError> {
        let manifest = self.open_manifest(branch).await?;
        self.snapshot_of(&manifest, branch).await
    }

    /// What readers of a branch would see if its `__manifest` had this manifest, the message alone, in place of the one
    /// that is there for the same version.
    ///
    /// # Errors
    ///
    /// When the branch cannot be read so.
    pub async fn snapshot_as(
        &self,
        branch: &Branch,
        manifest: &[u8],
    ) -> Result<Snapshot, GraphError> {
        let place = match chain_dir(branch) {
            main if main.is_empty() => MANIFEST_DIR.to_owned(),
            chain => format!("{MANIFEST_DIR}/{chain}"),
        };
        let uri = self.root.address_of(&place);
        let manifest = self.tables.open_as(&uri, manifest).await.map_err(GraphError::Open)?;
        self.snapshot_of(&manifest, branch).await
    }

    /// What readers of a branch saw at a version of `__manifest`.
    ///
    /// # Errors
    ///
    /// When that version does not exist or cannot be read.
    pub async fn snapshot_at(
        &self,
        branch: &Branch,
        version: Version,
    ) -> Result<Snapshot, GraphError> {
        let manifest = self.open_manifest_at(branch, version).await?;
        self.snapshot_of(&manifest, branch).await
    }

    pub(crate) async fn open_manifest_at(
        &self,
        branch: &Branch,
        version: Version,
    ) -> Result<Dataset, GraphError> {
        let uri = self.root.address_of(MANIFEST_DIR);
        self.tables.open_at(&uri, branch, version).await.map_err(GraphError::Open)
    }

    async fn snapshot_of(
        &self,
        manifest: &Dataset,
        branch: &Branch,
    ) -> Result<Snapshot, GraphError> {
        let rows = self.rows(manifest).await?;
        self.snapshot_by(&rows, manifest, branch)
    }

    /// What readers see of a version, by its rows.
    pub(crate) fn snapshot_by<'r>(
        &self,
        rows: impl IntoIterator<Item = &'r Row>,
        manifest: &Dataset,
        branch: &Branch,
    ) -> Result<Snapshot, GraphError> {
        let folded = self.fold_rows(rows, branch)?;
        Ok(Snapshot {
            branch: branch.clone(),
            manifest_version: version_of(manifest),
            pins: folded.pins,
        })
    }

    /// Where every table lies that a branch ever had, relative to the root.
    ///
    /// # Errors
    ///
    /// When the branch cannot be read.
    pub async fn places(&self, branch: &Branch) -> Result<BTreeMap<TableKey, String>, GraphError> {
        let manifest = self.open_manifest(branch).await?;
        Ok(self.fold(&manifest, branch).await?.locations)
    }

    pub(crate) async fn fold(
        &self,
        manifest: &Dataset,
        branch: &Branch,
    ) -> Result<Folded, GraphError> {
        self.fold_rows(&self.rows(manifest).await?, branch)
    }

    fn fold_rows<'r>(
        &self,
        rows: impl IntoIterator<Item = &'r Row>,
        branch: &Branch,
    ) -> Result<Folded, GraphError> {
        fold(rows).map_err(|source| GraphError::Fold {
            uri: self.root.given.clone(),
            branch: branch.clone(),
            source,
        })
    }

    pub(crate) async fn rows(&self, manifest: &Dataset) -> Result<Vec<Row>, GraphError> {
        let failed =
            |source| LanceFailure::new(format!("failed to read {}", manifest.uri()), source);
        let mut scan = manifest.scan();
        scan.project(COLUMNS).map_err(failed)?;
        let batches: Vec<_> = Box::pin(scan.try_into_stream())
            .await
            .map_err(failed)?
            .try_collect()
            .await
            .map_err(failed)?;
        let mut rows = Vec::new();
        for batch in &batches {
            rows.extend(decode(batch).map_err(|error| failed(error.into()))?);
        }
        Ok(rows)
    }

    /// The public branches besides main, sorted: no internal and no run branches.
    ///
    /// # Errors
    ///
    /// When the branches cannot be listed.
    pub async fn branches(&self) -> Result<Vec<Branch>, GraphError> {
        Ok(self
            .lance_branches()
            .await?
            .into_iter()
            .filter(|name| !name.starts_with("__"))
            .map(Branch::named)
            .collect())
    }

    /// Whether a schema apply is in progress (or died): every verb refuses then.
    ///
    /// # Errors
    ///
    /// When the branches cannot be listed.
    pub async fn schema_apply_in_progress(&self) -> Result<bool, GraphError> {
        Ok(self.lance_branches().await?.contains(SCHEMA_APPLY_LOCK))
    }

    async fn lance_branches(&self) -> Result<BTreeSet<String>, GraphError> {
        let main = self.open_manifest(&Branch::main()).await?;
        let branches = main
            .list_branches()
            .await
            .map_err(|source| LanceFailure::new("failed to list the graph's branches", source))?;
        Ok(branches.into_keys().filter(|name| !name.starts_with(RUN_PREFIX)).collect())
    }

    /// Where the branches of `__manifest` and of the pinned tables say the root lies.
    ///
    /// On v3 the pins' absolute `manifest_path` counts too: the clients of v3 open tables by
    /// it.
    ///
    /// # Errors
    ///
    /// When `__manifest` cannot be read. A table that cannot be opened says nothing here.
    pub async fn spellings(&self, snapshot: &Snapshot) -> Result<Spellings, GraphError> {
        let mut spellings = Spellings::default();
        let manifest = self.open_manifest(&Branch::main()).await?;
        self.note(MANIFEST_DIR, &manifest, &mut spellings).await?;
        for pin in &snapshot.pins {
            let uri = self.root.address_of(&pin.location);
            if let Ok(table) = self.tables.open(&uri, &Branch::main()).await {
                self.note(&pin.location, &table, &mut spellings).await?;
            }
        }
        if self.schema <= InternalSchema::V3 {
            let folded = self.fold(&manifest, &Branch::main()).await?;
            for (key, path) in folded.manifest_paths {
                if let Some(pin) = snapshot.pin(&key) {
                    let table = path.split_once("/_versions/").map_or("", |(table, _)| table);
                    spellings.note(&self.root, &pin.location, &format!("/{table}"));
                }
            }
        }
        Ok(spellings)
    }

    async fn note(
        &self,
        location: &str,
        table: &Dataset,
        into: &mut Spellings,
    ) -> Result<(), GraphError> {
        note_branches(&self.tables, &self.root, location, table, into).await.map_err(|error| {
            match error {
                lancekeeper_store::spelling::SpellingError::Open(error) => GraphError::Open(error),
                lancekeeper_store::spelling::SpellingError::Lance(error) => error.into(),
            }
        })
    }

    /// `__manifest` itself as a table, for signatures and messages.
    pub(crate) fn manifest_ref(branch: &Branch) -> TableRef {
        TableRef { key: TableKey::new(MANIFEST_DIR), branch: branch.clone() }
    }
}

/// What a branch of `__manifest` is stamped with.
pub(crate) fn stamp_of(manifest: &Dataset) -> Stamp {
    Stamp::parse(manifest.schema().metadata.get(STAMP).map(String::as_str))
}

fn check_columns(manifest: &Dataset, root: &Root, stamp: &Stamp) -> Result<(), GraphError> {
    let is_known = |name: &str| COLUMNS.contains(&name) || name == UNUSED_COLUMN;
    let fields = &manifest.schema().fields;
    match fields.iter().find(|field| !is_known(&field.name)) {
        None => Ok(()),
        Some(field) => Err(GraphError::Newer {
            uri: root.given.clone(),
            found: stamp.clone(),
            column: field.name.clone(),
        }),
    }
}
