//! A tiny client of the v4 graph layout: makes a graph from nothing, and does to it what clients
//! do, each step on its own, so that a test can stop between any two.
//!
//! It takes no lock and arms no sidecar; what it does not finish, it leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow_array::{RecordBatch, RecordBatchIterator, StringArray};
use arrow_schema::{DataType, Field, Schema};
use chrono::{DateTime, Utc};
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::refs::Ref;
use lance::dataset::{
    InsertBuilder, MergeInsertBuilder, MergeInsertJob, WhenMatched, WhenNotMatched, WriteMode,
    WriteParams,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::manifest_rows::{self, ManifestRow, encode, table_row, tombstone_row, version_row};

/// Where `__manifest` lies.
pub const MANIFEST: &str = "__manifest";
const MAIN: &str = "main";

/// A client of one graph. Holds nothing open.
#[derive(Debug, Clone)]
pub struct GraphWriter {
    uri: String,
}

/// What a branch reads of one table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Where the table lies, relative to the graph.
    pub location: String,
    /// The Lance branch; `main` for none.
    pub branch: String,
    /// The version.
    pub version: u64,
}

/// One commit of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: String,
    /// The branch it was made on.
    pub branch: String,
    /// Its version of `__manifest`.
    pub manifest_version: u64,
    /// Its parents, the merged one last.
    pub parents: Vec<String>,
    /// When, by the client's clock.
    pub created_at: DateTime<Utc>,
}

/// What `__manifest` says on one branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// By table.
    pub entries: BTreeMap<String, Entry>,
    /// Newest first.
    pub commits: Vec<Commit>,
}

#[derive(Serialize, Deserialize)]
struct CommitText {
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_commit_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merged_parent_commit_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_id: Option<String>,
    created_at: i64,
}

#[derive(Serialize)]
struct HeadText {
    head_commit_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_commit_id: Option<String>,
}

/// A publish: the rows that go into `__manifest` in one merge, with the commit they make.
pub struct Publish {
    manifest: Dataset,
    rows: Vec<ManifestRow>,
    /// The commit.
    pub commit: Commit,
}

impl GraphWriter {
    /// A client of a graph that is there.
    #[must_use]
    pub fn at(uri: &str) -> Self {
        Self { uri: uri.to_owned() }
    }

    /// Makes a graph of empty node types.
    ///
    /// # Errors
    ///
    /// When Lance fails.
    pub async fn init(uri: &str, types: &[&str], now: DateTime<Utc>) -> Result<Self> {
        let writer = Self { uri: uri.to_owned() };
        write_schema_files(Path::new(uri), types)?;
        let mut rows = Vec::new();
        for name in types {
            let location = node_location(name);
            let table = create(&format!("{uri}/{location}"), node_batch(&[])?).await?;
            let key = format!("node:{name}");
            rows.push(table_row(&key, &location));
            rows.push(version_row(&key, &table, None).await?);
        }
        let commit = Commit {
            id: ulid::Ulid::generate().to_string(),
            branch: MAIN.to_owned(),
            manifest_version: 1,
            parents: Vec::new(),
            created_at: now,
        };
        rows.extend(lineage(&commit)?);
        let batch = encode(&rows, &Arc::new(manifest_rows::schema()))?;
        let mut manifest = create(&writer.uri_of(MANIFEST), batch).await?;
        manifest.update_config([("table_version_management", "true")]).await?;
        manifest.update_schema_metadata([("omnigraph:internal_schema_version", "4")]).await?;
        Ok(writer)
    }

    /// The graph.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    fn uri_of(&self, location: &str) -> String {
        format!("{}/{location}", self.uri)
    }

    /// A dataset of the graph, at a version of a Lance branch; at its newest, for `None`.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub async fn open(
        &self,
        location: &str,
        branch: &str,
        version: Option<u64>,
    ) -> Result<Dataset> {
        let builder = DatasetBuilder::from_uri(self.uri_of(location));
        let builder = match (branch, version) {
            (MAIN, None) => builder,
            (MAIN, Some(version)) => builder.with_version(version),
            (branch, version) => builder.with_branch(branch, version),
        };
        builder.load().await.with_context(|| format!("{location} on {branch} at {version:?}"))
    }

    /// What `__manifest` says on a branch: now, or at one of its versions.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn view(&self, branch: &str, version: Option<u64>) -> Result<View> {
        view(&manifest_rows::read(&self.open(MANIFEST, branch, version).await?).await?)
    }

    /// A table as a writer on a branch opens it: at its HEAD there, and if the branch does not
    /// own it yet, as a new fork cut from what it reads.
    ///
    /// # Errors
    ///
    /// When Lance fails.
    pub async fn open_to_write(&self, entry: &Entry, branch: &str) -> Result<Dataset> {
        if entry.branch == branch {
            return self.open(&entry.location, branch, None).await;
        }
        self.fork(entry, branch).await
    }

    /// Cuts a fork from what an entry reads. What a dead writer left under its name goes first.
    ///
    /// # Errors
    ///
    /// When Lance fails.
    pub async fn fork(&self, entry: &Entry, branch: &str) -> Result<Dataset> {
        let mut main = self.open(&entry.location, MAIN, None).await?;
        let directory = Path::new(main.uri()).join("tree").join(branch);
        if directory.exists() || main.list_branches().await?.contains_key(branch) {
            main.force_delete_branch(branch).await?;
        }
        let from = some_branch(&entry.branch);
        Ok(main.create_branch(branch, Ref::Version(from, Some(entry.version)), None).await?)
    }

    /// Begins a publish on a branch: pins tables at the versions the handles stand at.
    ///
    /// # Errors
    ///
    /// When `__manifest` or a table cannot be read.
    pub async fn begin_publish(
        &self,
        branch: &str,
        pinned: &[(&str, &Dataset)],
        merged: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Publish> {
        let mut rows = Vec::new();
        for (key, table) in pinned {
            rows.push(version_row(key, table, table.manifest().branch.as_deref()).await?);
        }
        self.publish_of(branch, rows, merged, now).await
    }

    /// Begins a publish that drops a table from a branch.
    ///
    /// # Errors
    ///
    /// When `__manifest` cannot be read.
    pub async fn begin_drop(
        &self,
        branch: &str,
        key: &str,
        pinned: u64,
        now: DateTime<Utc>,
    ) -> Result<Publish> {
        let row = tombstone_row(key, pinned + 1);
        self.publish_of(branch, vec![row], None, now).await
    }

    async fn publish_of(
        &self,
        branch: &str,
        mut rows: Vec<ManifestRow>,
        merged: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Publish> {
        let manifest = self.open(MANIFEST, branch, None).await?;
        let known = view(&manifest_rows::read(&manifest).await?)?;
        let parent = known.commits.first().map(|commit| commit.id.as_str());
        let commit = Commit {
            id: ulid::Ulid::generate().to_string(),
            branch: branch.to_owned(),
            manifest_version: manifest.manifest().version + 1,
            parents: parent.into_iter().chain(merged).map(ToOwned::to_owned).collect(),
            created_at: now,
        };
        rows.extend(lineage(&commit)?);
        Ok(Publish { manifest, rows, commit })
    }

    /// Cuts a branch of the graph. No table is touched.
    ///
    /// # Errors
    ///
    /// When Lance fails.
    pub async fn create_branch(&self, name: &str, from: &str) -> Result<Dataset> {
        let mut manifest = self.open(MANIFEST, MAIN, None).await?;
        Ok(manifest.create_branch(name, Ref::Version(some_branch(from), None), None).await?)
    }

    /// Deletes a branch of the graph, and dies before it tidies up the forks.
    ///
    /// # Errors
    ///
    /// When Lance refuses.
    pub async fn delete_branch(&self, name: &str) -> Result<()> {
        let mut manifest = self.open(MANIFEST, MAIN, None).await?;
        Ok(manifest.delete_branch(name).await?)
    }
}

impl Publish {
    fn merge(&self) -> Result<(MergeInsertJob, RecordBatch)> {
        let manifest = Arc::new(self.manifest.clone());
        let batch = encode(&self.rows, &Arc::new(manifest.schema().into()))?;
        let mut builder = MergeInsertBuilder::try_new(manifest, vec!["object_id".to_owned()])?;
        let job = builder
            .when_matched(WhenMatched::UpdateAll)
            .when_not_matched(WhenNotMatched::InsertAll)
            .conflict_retries(0)
            .use_index(false)
            .skip_auto_cleanup(true)
            .try_build()?;
        Ok((job, batch))
    }

    /// Makes it visible. Returns `__manifest` as it is then.
    ///
    /// # Errors
    ///
    /// When Lance fails, or when it did not land where its commit row says.
    pub async fn commit(self) -> Result<(Arc<Dataset>, Commit)> {
        let (job, batch) = self.merge()?;
        let (manifest, _) = Box::pin(job.execute_batches(vec![batch])).await?;
        let landed = manifest.manifest().version;
        ensure!(landed == self.commit.manifest_version, "the publish landed at {landed}");
        Ok((manifest, self.commit))
    }

    /// Dies with the rows written and not committed.
    ///
    /// # Errors
    ///
    /// When Lance fails.
    pub async fn die(self) -> Result<()> {
        let (job, batch) = self.merge()?;
        Box::pin(job.execute_uncommitted_batches(vec![batch])).await?;
        Ok(())
    }
}

/// Rows of a node table, by id.
///
/// # Errors
///
/// Never with columns as they are.
pub fn node_batch(rows: &[(String, String)]) -> Result<RecordBatch> {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let schema = Arc::new(Schema::new(vec![text("id", false), text("note", true)]));
    let ids = StringArray::from_iter_values(rows.iter().map(|(id, _)| id));
    let notes = StringArray::from_iter_values(rows.iter().map(|(_, note)| note));
    Ok(RecordBatch::try_new(schema, vec![Arc::new(ids), Arc::new(notes)])?)
}

/// Appends rows to a table: one fragment, one version.
///
/// # Errors
///
/// When Lance fails.
pub async fn append(table: &mut Dataset, rows: &[(String, String)]) -> Result<()> {
    let batch = node_batch(rows)?;
    let schema = batch.schema();
    let params = WriteParams { skip_auto_cleanup: true, ..WriteParams::default() };
    Ok(table.append(RecordBatchIterator::new([Ok(batch)], schema), Some(params)).await?)
}

/// Writes the files of an append, and dies.
///
/// # Errors
///
/// When Lance fails.
pub async fn stage(table: &Dataset, rows: &[(String, String)]) -> Result<()> {
    let params = WriteParams { mode: WriteMode::Append, ..WriteParams::default() };
    let insert = InsertBuilder::new(Arc::new(table.clone())).with_params(&params);
    insert.execute_uncommitted(vec![node_batch(rows)?]).await?;
    Ok(())
}

/// The fold: of each table the greatest version, unless a tombstone is as great.
fn view(rows: &[ManifestRow]) -> Result<View> {
    let of = |kind: &'static str| rows.iter().filter(move |row| row.object_type == kind);
    let mut entries = BTreeMap::new();
    let keys: BTreeSet<&str> = of("table").map(|row| row.table_key.as_str()).collect();
    for key in keys {
        let newest = |kind| {
            let own = of(kind).filter(|row| row.table_key == key);
            own.max_by_key(|row| row.table_version)
        };
        let table = newest("table").context("it is there")?;
        let Some(pinned) = newest("table_version") else { continue };
        if newest("table_tombstone").is_some_and(|tomb| tomb.table_version >= pinned.table_version)
        {
            continue;
        }
        let entry = Entry {
            location: table.location.clone().context("a table has a place")?,
            branch: pinned.table_branch.clone().unwrap_or_else(|| MAIN.to_owned()),
            version: pinned.table_version.context("a version has a number")?,
        };
        entries.insert(key.to_owned(), entry);
    }
    let mut commits = of("graph_commit").map(commit_of).collect::<Result<Vec<_>>>()?;
    commits.sort_by(|one, other| {
        let rank = |commit: &Commit| (commit.manifest_version, commit.created_at);
        (rank(other), &other.id).cmp(&(rank(one), &one.id))
    });
    Ok(View { entries, commits })
}

fn commit_of(row: &ManifestRow) -> Result<Commit> {
    let text: CommitText =
        serde_json::from_str(row.metadata.as_deref().context("a commit has metadata")?)?;
    Ok(Commit {
        id: row.object_id.clone(),
        branch: row.table_branch.clone().unwrap_or_else(|| MAIN.to_owned()),
        manifest_version: row.table_version.context("a commit has a version")?,
        parents: text.parent_commit_id.into_iter().chain(text.merged_parent_commit_id).collect(),
        created_at: DateTime::from_timestamp_micros(text.created_at).context("a time")?,
    })
}

/// The two rows of a commit: itself, and the head of its branch.
fn lineage(commit: &Commit) -> Result<[ManifestRow; 2]> {
    let mut parents = commit.parents.iter().cloned();
    let parent = parents.next();
    let text = CommitText {
        parent_commit_id: parent.clone(),
        merged_parent_commit_id: parents.next(),
        actor_id: Some("a-client".to_owned()),
        created_at: commit.created_at.timestamp_micros(),
    };
    let head = HeadText { head_commit_id: commit.id.clone(), parent_commit_id: parent };
    Ok([
        ManifestRow {
            object_id: commit.id.clone(),
            object_type: "graph_commit".to_owned(),
            metadata: Some(serde_json::to_string(&text)?),
            table_version: Some(commit.manifest_version),
            table_branch: some_branch(&commit.branch),
            ..ManifestRow::default()
        },
        ManifestRow {
            object_id: format!("graph_head:{}", commit.branch),
            object_type: "graph_head".to_owned(),
            metadata: Some(serde_json::to_string(&head)?),
            ..ManifestRow::default()
        },
    ])
}

async fn create(uri: &str, batch: RecordBatch) -> Result<Dataset> {
    let params = WriteParams {
        enable_stable_row_ids: true,
        auto_cleanup: None,
        skip_auto_cleanup: true,
        ..WriteParams::default()
    };
    let schema = batch.schema();
    let batches = RecordBatchIterator::new([Ok(batch)], schema);
    Ok(Dataset::write(batches, uri, Some(params)).await?)
}

fn some_branch(branch: &str) -> Option<String> {
    (branch != MAIN).then(|| branch.to_owned())
}

fn write_schema_files(directory: &Path, types: &[&str]) -> Result<()> {
    fs::create_dir_all(directory)?;
    let types: Vec<(&str, &[&str])> = types.iter().map(|name| (*name, &["note"][..])).collect();
    for (name, text) in SCHEMA_FILES.iter().zip(schema_files(&types)) {
        fs::write(directory.join(name), text)?;
    }
    Ok(())
}

/// The files of a schema, in the order in which clients write them.
pub const SCHEMA_FILES: [&str; 3] = ["_schema.pg", "_schema.ir.json", "__schema_state.json"];

/// What is in the files of a schema of node types, each with its properties.
#[must_use]
pub fn schema_files(types: &[(&str, &[&str])]) -> [String; 3] {
    let property_line = |name: &&str| format!("    {name}: String?\n");
    let source: String = types
        .iter()
        .map(|(name, properties)| {
            let lines: String = properties.iter().map(property_line).collect();
            format!("node {name} {{\n{lines}}}\n")
        })
        .collect();
    let node = |(name, properties): &(&str, &[&str])| {
        let kind = serde_json::json!(
            {"scalar": "String", "nullable": true, "list": false, "enum_values": null}
        );
        let property = |property: &&str| {
            serde_json::json!({
                "name": property, "prop_id": fnv32(&format!("node:{name}:{property}")),
                "prop_type": kind, "annotations": [],
            })
        };
        serde_json::json!({
            "name": name, "type_id": fnv32(&format!("node:{name}")), "annotations": [],
            "implements": [], "constraints": [],
            "properties": properties.iter().map(property).collect::<Vec<_>>(),
        })
    };
    let compiled = serde_json::json!({
        "ir_version": 1, "interfaces": [], "edges": [],
        "nodes": types.iter().map(node).collect::<Vec<_>>(),
    })
    .to_string();
    let digest = Sha256::digest(compiled.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let state = serde_json::json!({
        "format_version": 1, "schema_ir_hash": format!("sha256:{digest}"),
        "schema_identity_version": 1,
    });
    [source, compiled, state.to_string()]
}

/// Where a node type lies, relative to the graph.
#[must_use]
pub fn node_location(name: &str) -> String {
    format!("nodes/{:016x}", fnv64(name))
}

/// FNV-1a, as paths of types are made.
fn fnv64(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn fnv32(text: &str) -> u32 {
    text.bytes()
        .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
