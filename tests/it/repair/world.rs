//! A graph of a tiny client, with tables to which somebody committed past it.

use chrono::Utc;
use lance::Dataset;
use lance::dataset::UpdateBuilder;
use lance::dataset::optimize::{CompactionOptions, compact_files};
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper::{Keeper, RepairOptions, RepairReport, TableRepairStats};
use lancekeeper_testkit::writer::{Entry, GraphWriter, MANIFEST, append};
use lancekeeper_testkit::{check_graph, graph_rows, manifest_rows};
use tempfile::TempDir;

/// Rows that every table is published with: two fragments of three.
pub(super) const ROWS: usize = 6;

pub(super) struct World {
    _directory: TempDir,
    pub(super) writer: GraphWriter,
}

/// A repair of what is proven.
pub(super) fn confirmed() -> RepairOptions {
    RepairOptions { confirm: true, ..RepairOptions::default() }
}

/// A repair of everything, by somebody who knows that no writer is there.
pub(super) fn forced() -> RepairOptions {
    RepairOptions { force: true, assume_dead: true, ..confirmed() }
}

pub(super) fn of<'r>(report: &'r RepairReport, key: &str) -> &'r TableRepairStats {
    let mut rows = report.roots[0].tables.iter();
    rows.find(|row| row.table_key.as_str() == key && row.branch.is_main()).unwrap()
}

/// How many rows readers of a branch see.
pub(super) async fn rows_of(uri: &str, branch: &str, key: &str) -> usize {
    graph_rows(uri).await.unwrap()[&(branch.to_owned(), key.to_owned())].len()
}

fn rows(prefix: &str, count: usize) -> Vec<(String, String)> {
    (0..count).map(|n| (format!("{prefix}{n}"), format!("note {n}"))).collect()
}

impl World {
    /// A graph with these node types, each published with [`ROWS`] rows.
    pub(super) async fn with(types: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let uri = directory.path().join("graph").to_string_lossy().into_owned();
        let writer = GraphWriter::init(&uri, types, Utc::now()).await.unwrap();
        let world = Self { _directory: directory, writer };
        let mut written = Vec::new();
        for name in types {
            let key = format!("node:{name}");
            let mut table = world.head(&key, "main").await;
            if *name == "Unset" {
                // As clients of Lance 6 and before make their tables.
                table.update_config([("lance.auto_cleanup.interval", "1000")]).await.unwrap();
            }
            append(&mut table, &rows("a", ROWS / 2)).await.unwrap();
            append(&mut table, &rows("b", ROWS / 2)).await.unwrap();
            written.push((key, table));
        }
        world.publish("main", &written).await;
        world
    }

    /// The same with a table for everything that may be committed past a graph.
    pub(super) async fn with_every_drift() -> Self {
        let types = [
            "Level",
            "Compacted",
            "Indexed",
            "Unset",
            "Configured",
            "Appended",
            "Deleted",
            "Updated",
            "Mixed",
            "Back",
        ];
        let world = Self::with(&types).await;
        world.compact("node:Compacted").await;
        let mut table = world.head("node:Indexed", "main").await;
        let params = ScalarIndexParams::default();
        table.create_index(&["note"], IndexType::BTree, None, &params, true).await.unwrap();
        let mut table = world.head("node:Unset", "main").await;
        table.update_config([("lance.auto_cleanup.interval", None::<&str>)]).await.unwrap();
        let mut table = world.head("node:Configured", "main").await;
        table.update_config([("owner", "somebody")]).await.unwrap();
        world.append("node:Appended", "main").await;
        world.delete("node:Deleted").await;
        let table = world.head("node:Updated", "main").await;
        let update = UpdateBuilder::new(table.into()).update_where("id = 'a0'").unwrap();
        let update = update.set("note", "'other'").unwrap().build().unwrap();
        update.execute().await.unwrap();
        world.compact("node:Mixed").await;
        world.append("node:Mixed", "main").await;
        let mut table = world.append("node:Back", "main").await;
        table = table.checkout_version(world.pin("node:Back", "main").await).await.unwrap();
        table.restore().await.unwrap();
        world
    }

    pub(super) fn uri(&self) -> &str {
        self.writer.uri()
    }

    pub(super) async fn repair(&self, options: &RepairOptions) -> RepairReport {
        Keeper::new().repair([self.uri()], options).await
    }

    pub(super) async fn entry(&self, key: &str, branch: &str) -> Entry {
        self.writer.view(branch, None).await.unwrap().entries[key].clone()
    }

    /// The version that readers of a branch see.
    pub(super) async fn pin(&self, key: &str, branch: &str) -> u64 {
        self.entry(key, branch).await.version
    }

    /// A table at the HEAD of the chain that a branch reads.
    pub(super) async fn head(&self, key: &str, branch: &str) -> Dataset {
        let entry = self.entry(key, branch).await;
        self.writer.open(&entry.location, &entry.branch, None).await.unwrap()
    }

    pub(super) async fn pin_and_head(&self, key: &str, branch: &str) -> (u64, u64) {
        (self.pin(key, branch).await, self.head(key, branch).await.manifest().version)
    }

    pub(super) async fn publish(&self, branch: &str, written: &[(String, Dataset)]) {
        let pinned: Vec<(&str, &Dataset)> =
            written.iter().map(|(key, table)| (key.as_str(), table)).collect();
        let publish = self.writer.begin_publish(branch, &pinned, None, Utc::now()).await.unwrap();
        publish.commit().await.unwrap();
    }

    /// Appends two rows, past the graph.
    pub(super) async fn append(&self, key: &str, branch: &str) -> Dataset {
        let mut table = self.head(key, branch).await;
        append(&mut table, &rows("past", 2)).await.unwrap();
        table
    }

    /// Deletes a row, past the graph.
    pub(super) async fn delete(&self, key: &str) {
        let mut table = self.head(key, "main").await;
        table.delete("id = 'a0'").await.unwrap();
    }

    /// Compacts a table, past the graph.
    pub(super) async fn compact(&self, key: &str) {
        let mut table = self.head(key, "main").await;
        compact_files(&mut table, CompactionOptions::default(), None).await.unwrap();
    }

    /// Makes a branch with a fork of a table, and appends to that past the graph.
    pub(super) async fn drift_on_a_branch(&self, branch: &str, key: &str) {
        self.writer.create_branch(branch, "main").await.unwrap();
        let entry = self.entry(key, branch).await;
        let fork = self.writer.open_to_write(&entry, branch).await.unwrap();
        self.publish(branch, &[(key.to_owned(), fork)]).await;
        self.append(key, branch).await;
    }

    pub(super) async fn manifest_version(&self, branch: &str) -> u64 {
        self.writer.open(MANIFEST, branch, None).await.unwrap().manifest().version
    }

    /// Who made the newest commit of a branch.
    pub(super) async fn newest_actor(&self, branch: &str) -> Option<String> {
        let manifest = self.writer.open(MANIFEST, branch, None).await.unwrap();
        let rows = manifest_rows::read(&manifest).await.unwrap();
        let newest = rows.into_iter().filter(|row| row.object_type == "graph_commit");
        let newest = newest.max_by_key(|row| row.table_version).unwrap();
        let text: serde_json::Value = serde_json::from_str(&newest.metadata.unwrap()).unwrap();
        text["actor_id"].as_str().map(ToOwned::to_owned)
    }

    /// What a tag of a table names.
    pub(super) async fn tagged(&self, key: &str, tag: &str) -> Dataset {
        let location = self.entry(key, "main").await.location;
        let table = self.writer.open(&location, "main", None).await.unwrap();
        table.checkout_version(tag).await.unwrap()
    }

    /// Every table of every branch stands where the branch says.
    pub(super) async fn is_level(&self) {
        check_graph(self.uri()).await.unwrap();
        let manifest = self.writer.open(MANIFEST, "main", None).await.unwrap();
        for branch in manifest.list_branches().await.unwrap().keys() {
            for (key, entry) in self.writer.view(branch, None).await.unwrap().entries {
                if entry.branch == *branch {
                    let (pin, head) = self.pin_and_head(&key, branch).await;
                    assert_eq!(pin, head, "{key} of {branch}");
                }
            }
        }
    }
}
