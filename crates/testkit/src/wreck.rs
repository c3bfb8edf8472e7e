//! What a client leaves that dies: a small v4 graph, and each step of a writer's protocol on its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::{RecordBatch, RecordBatchIterator, new_null_array};
use arrow_schema::{DataType, Field, Schema};
use chrono::{DateTime, Utc};
use lance::Dataset;
use lance::dataset::{WriteMode, WriteParams};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::writer::{
    Entry, GraphWriter, SCHEMA_FILES, append, node_batch, node_location, schema_files,
};

/// The types of the graph, each with the one property `note`.
pub const TYPES: [&str; 2] = ["A", "B"];

/// A graph of the node types [`TYPES`] with three rows each, and a client that dies over it.
#[derive(Debug)]
pub struct Wreck {
    /// The client.
    pub writer: GraphWriter,
    directory: TempDir,
}

impl Wreck {
    /// Makes the graph.
    ///
    /// # Errors
    ///
    /// When Lance fails.
    pub async fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let uri = directory.path().join("graph").to_string_lossy().into_owned();
        let writer = GraphWriter::init(&uri, &TYPES, Utc::now()).await?;
        let wreck = Self { writer, directory };
        for key in ["node:A", "node:B"] {
            let table = wreck.commit(key, "main", &["one", "two", "three"]).await?;
            wreck.publish(key, "main", &table).await?;
        }
        Ok(wreck)
    }

    /// The graph.
    #[must_use]
    pub fn uri(&self) -> &str {
        self.writer.uri()
    }

    /// A file or directory of the graph.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        self.directory.path().join("graph").join(inside)
    }

    /// What a branch reads of a table.
    ///
    /// # Errors
    ///
    /// When there is no such table.
    pub async fn entry(&self, key: &str, branch: &str) -> Result<Entry> {
        let view = self.writer.view(branch, None).await?;
        view.entries.get(key).cloned().with_context(|| format!("{key} on {branch}"))
    }

    /// The version that a branch reads of a table.
    ///
    /// # Errors
    ///
    /// When there is no such table.
    pub async fn pin(&self, key: &str, branch: &str) -> Result<u64> {
        Ok(self.entry(key, branch).await?.version)
    }

    /// The newest version of a table on a branch of it.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn head(&self, key: &str, branch: &str) -> Result<u64> {
        let entry = self.entry(key, branch).await?;
        Ok(self.writer.open(&entry.location, branch, None).await?.manifest().version)
    }

    /// Commits rows with these ids to a table, without publishing them.
    ///
    /// # Errors
    ///
    /// When Lance fails.
    pub async fn commit(&self, key: &str, branch: &str, ids: &[&str]) -> Result<Dataset> {
        let entry = self.entry(key, branch).await?;
        let mut table = self.writer.open_to_write(&entry, branch).await?;
        let rows: Vec<_> = ids.iter().map(|id| ((*id).to_owned(), "note".to_owned())).collect();
        append(&mut table, &rows).await?;
        Ok(table)
    }

    /// Publishes a table at the version a handle stands at.
    ///
    /// # Errors
    ///
    /// When Lance fails.
    pub async fn publish(&self, key: &str, branch: &str, table: &Dataset) -> Result<()> {
        let publish = self.writer.begin_publish(branch, &[(key, table)], None, Utc::now()).await?;
        publish.commit().await?;
        Ok(())
    }

    /// Writes a table anew with one more property, as a schema apply does, without publishing it.
    ///
    /// # Errors
    ///
    /// When Lance fails.
    pub async fn add_property(&self, key: &str, property: &str) -> Result<()> {
        let entry = self.entry(key, "main").await?;
        let table = self.writer.open(&entry.location, "main", None).await?;
        let batch = table.scan().try_into_batch().await?;
        let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
        let mut columns = batch.columns().to_vec();
        fields.push(Arc::new(Field::new(property, DataType::Utf8, true)));
        columns.push(new_null_array(&DataType::Utf8, batch.num_rows()));
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(schema.clone(), columns)?;
        let params = WriteParams {
            mode: WriteMode::Overwrite,
            skip_auto_cleanup: true,
            ..WriteParams::default()
        };
        let batches = RecordBatchIterator::new([Ok(batch)], schema);
        Dataset::write(batches, Arc::new(table), Some(params)).await?;
        Ok(())
    }

    /// Makes the empty dataset of a new node type, which no branch knows yet.
    ///
    /// # Errors
    ///
    /// When Lance fails.
    pub async fn make_type(&self, name: &str) -> Result<()> {
        let batch = node_batch(&[])?;
        let schema = batch.schema();
        let params = WriteParams {
            enable_stable_row_ids: true,
            auto_cleanup: None,
            skip_auto_cleanup: true,
            ..WriteParams::default()
        };
        let uri = format!("{}/{}", self.uri(), node_location(name));
        Dataset::write(RecordBatchIterator::new([Ok(batch)], schema), &*uri, Some(params)).await?;
        Ok(())
    }

    /// Writes the schema of node types, each with its properties: `s`, `c` and `t` are source, compiled
    /// form and state, `suffix` is empty or `.staging`.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write_schema(
        &self,
        types: &[(&str, &[&str])],
        suffix: &str,
        letters: &str,
    ) -> Result<()> {
        let files = SCHEMA_FILES.iter().zip(schema_files(types)).zip("sct".chars());
        for ((name, text), _) in files.filter(|(_, letter)| letters.contains(*letter)) {
            fs::write(self.path(&format!("{name}{suffix}")), text)?;
        }
        Ok(())
    }

    /// What a sidecar says of a table that is about to be committed to once.
    ///
    /// # Errors
    ///
    /// When there is no such table.
    pub async fn named(&self, key: &str, branch: &str) -> Result<Value> {
        let entry = self.entry(key, branch).await?;
        let mut named = json!({
            "table_key": key,
            "table_path": format!("{}/{}", self.uri(), entry.location),
            "expected_version": entry.version,
            "post_commit_pin": entry.version + 1,
        });
        if branch != "main" {
            named["table_branch"] = branch.into();
        }
        Ok(named)
    }

    /// Writes a sidecar that names these tables, with whatever else is to be said.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn arm(
        &self,
        id: &str,
        kind: &str,
        started_at: DateTime<Utc>,
        tables: Vec<Value>,
        more: &Value,
    ) -> Result<PathBuf> {
        let mut sidecar = json!({
            "schema_version": 2,
            "operation_id": id,
            "started_at": started_at.timestamp_micros().to_string(),
            "branch": null,
            "actor_id": "a-client",
            "writer_kind": kind,
            "tables": tables,
        });
        if let (Some(sidecar), Some(more)) = (sidecar.as_object_mut(), more.as_object()) {
            sidecar.extend(more.clone());
        }
        let file = self.path("__recovery").join(format!("{id}.json"));
        fs::create_dir_all(self.path("__recovery"))?;
        fs::write(&file, sidecar.to_string())?;
        Ok(file)
    }
}

/// Takes away the newest version of a dataset, as if it had never been committed.
///
/// # Errors
///
/// When there is none.
pub fn uncommit(dataset: &Path) -> Result<()> {
    let versions = dataset.join("_versions");
    let mut names: Vec<String> = fs::read_dir(&versions)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.retain(|name| name.ends_with(".manifest"));
    // Names count backwards.
    let newest = names.into_iter().min().context("there is a version")?;
    fs::remove_file(versions.join(newest))?;
    let hint = versions.join("latest_version_hint.json");
    if hint.exists() {
        fs::remove_file(hint)?;
    }
    Ok(())
}
