//! A foreign writer of a graph: what a real client does to tables and pins, past every queue
//! and lock of ours.

use std::path::Path;

use arrow_array::RecordBatchIterator;
use arrow_array::cast::AsArray;
use chrono::Utc;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::transaction::Operation;
use lancekeeper::{Branch, TableKey, Version};
use lancekeeper_manifest::{Graph, PinMove};
use lancekeeper_model::{OperationId, Snapshot};
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_store::tables::version_of;
use lancekeeper_testkit::graphs;
use lancekeeper_testkit::invariants::names;

/// Rows that [`Client::append`] adds.
pub(crate) const APPENDED: usize = 3;

/// A writer on main. Cheap to clone, holds nothing open.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    uri: String,
}

impl Client {
    pub(crate) fn of(uri: &str) -> Self {
        Self { uri: uri.to_owned() }
    }

    pub(crate) async fn graph(&self) -> Graph {
        Graph::open(&Tables::new(), &recognise(&self.uri).unwrap()).await.unwrap()
    }

    pub(crate) async fn snapshot(&self) -> Snapshot {
        self.graph().await.snapshot(&Branch::main()).await.unwrap()
    }

    pub(crate) async fn pin(&self, key: &str) -> Version {
        self.snapshot().await.pin(&TableKey::new(key)).unwrap().version
    }

    /// A table at its HEAD.
    pub(crate) async fn table(&self, key: &str) -> Dataset {
        let location = self.snapshot().await.pin(&TableKey::new(key)).unwrap().location.clone();
        DatasetBuilder::from_uri(format!("{}/{location}", self.uri)).load().await.unwrap()
    }

    pub(crate) async fn head(&self, key: &str) -> Version {
        version_of(&self.table(key).await)
    }

    /// Names below `__recovery/` that a client would look at.
    pub(crate) fn sidecars(&self) -> Vec<String> {
        self.documents("__recovery")
    }

    /// Deletes all sidecars.
    pub(crate) fn discard_sidecars(&self) {
        for name in self.sidecars() {
            std::fs::remove_file(Path::new(&self.uri).join("__recovery").join(name)).unwrap();
        }
    }

    /// The finished documents of a directory.
    pub(crate) fn documents(&self, directory: &str) -> Vec<String> {
        let all = names(&Path::new(&self.uri).join(directory)).unwrap();
        all.into_iter().filter(|name| name.ends_with(".json")).collect()
    }

    /// Writes the sidecar of a load of one table that is about to commit.
    pub(crate) async fn arm(&self, key: &str) {
        let table = self.table(key).await;
        let version = table.manifest().version;
        let operation = format!("01ARZ3NDEKTSV4RRFFQ69G5F{:02}", self.sidecars().len());
        let sidecar = serde_json::json!({
            "schema_version": 1,
            "operation_id": operation,
            "started_at": Utc::now().timestamp_micros().to_string(),
            "branch": null,
            "actor_id": null,
            "writer_kind": "Load",
            "tables": [{
                "table_key": key,
                "table_path": table.uri(),
                "expected_version": version,
                "post_commit_pin": version + 1,
            }],
        });
        let directory = Path::new(&self.uri).join("__recovery");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("{operation}.json")), sidecar.to_string()).unwrap();
    }

    /// Appends copies of a few rows, without publishing them.
    pub(crate) async fn append(&self, key: &str) -> Dataset {
        let mut table = self.table(key).await;
        let mut scan = table.scan();
        let batch = scan.limit(Some(APPENDED as i64), None).unwrap();
        let batch = batch.try_into_batch().await.unwrap();
        let schema = batch.schema();
        table.append(RecordBatchIterator::new([Ok(batch)], schema), None).await.unwrap();
        table
    }

    /// Deletes the newest row, without publishing that.
    pub(crate) async fn delete_newest(&self, key: &str) -> Dataset {
        let mut table = self.table(key).await;
        let ids = table.scan().project(&["id"]).unwrap().try_into_batch().await.unwrap();
        let id = ids.column(0).as_string::<i32>().iter().flatten().last().unwrap().to_owned();
        table.delete(&format!("id = '{id}'")).await.unwrap();
        table
    }

    /// Deletes every old version and every file that no version refers to, whatever its age, as
    /// a client does that believes itself alone. Returns how many data files went.
    pub(crate) async fn delete_unverified(&self, key: &str) -> u64 {
        let table = self.table(key).await;
        let removed = table
            .cleanup_old_versions(chrono::TimeDelta::zero(), Some(true), Some(false))
            .await
            .unwrap();
        removed.data_files_removed
    }

    /// Forks a table and dies before it publishes anything there.
    pub(crate) async fn fork(&self, key: &str, branch: &str) {
        let mut table = self.table(key).await;
        let version = table.manifest().version;
        let mut fork = table.create_branch(branch, version, None).await.unwrap();
        fork.update_config([("left", "over")]).await.unwrap();
    }

    /// Finds an orphaned fork in its way, deletes it, forks anew under its name and publishes that,
    /// as clients do at the first write to a branch.
    pub(crate) async fn fork_anew_and_publish(&self, key: &str, branch: &str) {
        let mut table = self.table(key).await;
        table.force_delete_branch(branch).await.unwrap();
        self.fork(key, branch).await;
        self.publish_fork(key, branch).await;
    }

    /// The HEAD of a fork.
    pub(crate) async fn fork_of(&self, key: &str, branch: &str) -> Dataset {
        let location = self.snapshot().await.pin(&TableKey::new(key)).unwrap().location.clone();
        let builder = DatasetBuilder::from_uri(format!("{}/{location}", self.uri));
        builder.with_branch(branch, None).load().await.unwrap()
    }

    /// Makes a branch of the graph on which a fork is read.
    pub(crate) async fn publish_fork(&self, key: &str, branch: &str) {
        let snapshot = self.snapshot().await;
        let pin = snapshot.pin(&TableKey::new(key)).unwrap();
        let uri = format!("{}/{}", self.uri, pin.location);
        let fork = DatasetBuilder::from_uri(uri).with_branch(branch, None).load().await.unwrap();
        self.branch(branch).await;
        let pin_move =
            PinMove::to_version_of(TableKey::new(key), pin.version, &fork).await.unwrap();
        let operation = OperationId::new("a-client");
        let (graph, branch) = (self.graph().await, Branch::named(branch));
        graph
            .publish(&branch, &[pin_move], &operation, "load", Some("client"), Utc::now())
            .await
            .unwrap();
    }

    /// Begins a schema apply, and never ends it.
    pub(crate) async fn begin_schema_apply(&self) {
        self.branch("__schema_apply_lock__").await;
    }

    async fn branch(&self, name: &str) {
        let uri = format!("{}/__manifest", self.uri);
        let mut manifest = DatasetBuilder::from_uri(uri).load().await.unwrap();
        let version = manifest.manifest().version;
        manifest.create_branch(name, version, None).await.unwrap();
    }

    /// Publishes a table at the version the handle stands at.
    pub(crate) async fn publish(&self, key: &str, table: &Dataset) {
        let (key, expected) = (TableKey::new(key), self.pin(key).await);
        let pin_move = PinMove::to_version_of(key, expected, table).await.unwrap();
        let operation = OperationId::new("a-client");
        let graph = self.graph().await;
        graph
            .publish(&Branch::main(), &[pin_move], &operation, "load", Some("client"), Utc::now())
            .await
            .unwrap();
    }

    /// Gives a table the configuration old clients create tables with, published.
    pub(crate) async fn configure_auto_cleanup(&self, key: &str) {
        let mut table = self.table(key).await;
        table.update_config([("lance.auto_cleanup.interval", "1000")]).await.unwrap();
        self.publish(key, &table).await;
    }

    /// Commits to the first table that a branch owns, without publishing it.
    pub(crate) async fn commit_to_fork(&self, branch: &Branch) {
        let snapshot = self.graph().await.snapshot(branch).await.unwrap();
        let pin = snapshot.pins.iter().find(|pin| pin.table_branch == *branch).unwrap();
        let root = recognise(&self.uri).unwrap();
        let mut fork = Tables::new().open(&root.address_of(&pin.location), branch).await.unwrap();
        fork.update_config([("somebody", "was here")]).await.unwrap();
    }

    /// Drops a table from the graph: a tombstone above its pin.
    pub(crate) async fn drop_table(&self, key: &str) {
        graphs::drop_table(&self.uri, key, self.pin(key).await.0).await.unwrap();
    }

    /// The versions of `__manifest` that are publishes: compacting it is no commit of the
    /// graph.
    pub(crate) async fn publishes_since(&self, version: Version) -> Vec<u64> {
        let uri = format!("{}/__manifest", self.uri);
        let manifest = DatasetBuilder::from_uri(uri).load().await.unwrap();
        let mut publishes = Vec::new();
        for version in version.0 + 1..=manifest.manifest().version {
            let found = manifest.read_version_transaction(version).await.unwrap();
            let operation = found.transaction.unwrap().operation;
            if !matches!(operation, Operation::Rewrite { .. }) {
                publishes.push(version);
            }
        }
        publishes
    }

    /// The versions of `__manifest` that a v3 graph's commit rows name.
    pub(crate) async fn v3_history(&self) -> Vec<u64> {
        let uri = format!("{}/_graph_commits.lance", self.uri);
        let commits = DatasetBuilder::from_uri(uri).load().await.unwrap();
        let mut scan = commits.scan();
        let rows = scan.project(&["manifest_version"]).unwrap().try_into_batch().await.unwrap();
        let versions = rows.column(0).as_primitive::<arrow_array::types::UInt64Type>();
        let mut versions: Vec<u64> = (0..versions.len()).map(|at| versions.value(at)).collect();
        versions.sort_unstable();
        versions
    }
}
