//! The same races on graphs, where a writer commits to a table and then publishes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchIterator, StringArray};
use chrono::Utc;
use lance::Dataset;
use lancekeeper::{Keeper, OptimizeOptions, RootQueue, SkipReason, TableOptimizeStats};
use lancekeeper_manifest::{Graph, PinMove};
use lancekeeper_model::{Branch, IndexMode, OperationId, TableKey, TableRef};
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_store::tables::version_of;
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::{Fixture, FixturePath, check_graph, graph_rows};
use tokio::sync::oneshot;

use super::{OnStaged, block_on, done, open, optimize, queue_of};

/// One row of a table as a client would load it: like one that is there, with another id.
fn row_like(batch: &RecordBatch, id: &str) -> RecordBatch {
    let columns =
        batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, column)| match field
            .name()
            .as_str()
        {
            "id" | "name" => Arc::new(StringArray::from(vec![id])) as ArrayRef,
            _ => column.slice(0, 1),
        });
    RecordBatch::try_new(batch.schema(), columns.collect()).unwrap()
}

/// The newest row: in a fragment that no index covers, and that is to be merged.
async fn last_row(table: &Dataset) -> RecordBatch {
    row_at(table, table.count_rows(None).await.unwrap() - 1).await
}

async fn row_at(table: &Dataset, at: usize) -> RecordBatch {
    let mut scan = table.scan();
    scan.limit(Some(1), Some(at as i64)).unwrap();
    scan.try_into_batch().await.unwrap()
}

fn id_of(row: &RecordBatch) -> String {
    row.column_by_name("id").unwrap().as_string::<i32>().value(0).to_owned()
}

/// What an embedder does for one write: the key, a commit to the table, a publish.
struct Embedder {
    graph: Graph,
    queue: RootQueue,
}

impl Embedder {
    async fn new(path: &Path) -> Self {
        let root = recognise(&path.to_string_lossy()).unwrap();
        let graph = Graph::open(&Tables::new(), &root).await.unwrap();
        Self { graph, queue: queue_of(path) }
    }

    fn uri_of(&self, location: &str) -> String {
        self.graph.root().address_of(location)
    }

    async fn table(&self, key: &TableKey) -> Dataset {
        let snapshot = self.graph.snapshot(&Branch::main()).await.unwrap();
        open(&self.uri_of(&snapshot.pin(key).unwrap().location)).await
    }

    async fn write(
        &self,
        key: &TableKey,
        step: &str,
        change: impl AsyncFnOnce(&str, Dataset) -> Dataset,
    ) {
        let keys = self.queue.acquire_one(TableRef::on_main(key.clone())).await.unwrap();
        let snapshot = self.graph.snapshot(&Branch::main()).await.unwrap();
        let pin = snapshot.pin(key).unwrap();
        let uri = self.uri_of(&pin.location);
        let head = open(&uri).await;
        // Whoever holds the key sees a table at rest.
        assert_eq!(version_of(&head), pin.version, "{key}: drift under the key");
        let head = change(&uri, head).await;
        let to = PinMove::to_version_of(key.clone(), pin.version, &head).await.unwrap();
        let operation = OperationId::new("embedder");
        let main = Branch::main();
        self.graph.publish(&main, &[to], &operation, step, None, Utc::now()).await.unwrap();
        drop(keys);
    }

    async fn append(&self, key: &TableKey, id: &str) {
        let change = async |uri: &str, mut head: Dataset| {
            let row = row_like(&last_row(&head).await, id);
            let rows = RecordBatchIterator::new([Ok(row.clone())], row.schema());
            head.append(rows, None).await.unwrap();
            open(uri).await
        };
        self.write(key, id, change).await;
    }

    /// The id in the newest row of `node:Person`.
    async fn some_person(&self) -> String {
        id_of(&last_row(&self.table(&person()).await).await)
    }

    /// Ids in the oldest fragment of `node:Person` with more than one row, or in its newest.
    async fn persons(&self, which: Persons) -> Vec<String> {
        let table = self.table(&person()).await;
        let rows: Vec<usize> = table.fragments().iter().map(|f| f.num_rows().unwrap()).collect();
        let range = match which {
            Persons::OneOfSeveral => {
                let at = rows.iter().position(|rows| *rows > 1).unwrap();
                let first: usize = rows[..at].iter().sum();
                first..first + 1
            }
            Persons::OfAFragment => {
                let all: usize = rows.iter().sum();
                all - rows.last().unwrap()..all
            }
        };
        let mut ids = Vec::new();
        for at in range {
            ids.push(id_of(&row_at(&table, at).await));
        }
        ids
    }

    async fn delete(&self, key: &TableKey, filter: &str) {
        let change = async |uri: &str, mut head: Dataset| {
            head.delete(filter).await.unwrap();
            open(uri).await
        };
        self.write(key, filter, change).await;
    }
}

/// Two tables are written, each by its own task, all through a run.
async fn an_embedder_writes_all_through_a_run(uri: &str) {
    let before = graph_rows(uri).await.unwrap();
    let finished = Arc::new(AtomicBool::new(false));
    let mut started = Vec::new();
    let mut writers = Vec::new();
    for key in [person(), TableKey::new("node:Company")] {
        let (path, finished) = (PathBuf::from(uri), Arc::clone(&finished));
        let (first_write, wrote) = oneshot::channel();
        started.push(wrote);
        writers.push(tokio::spawn(async move {
            let embedder = Embedder::new(&path).await;
            let mut ids = Vec::new();
            let mut first_write = Some(first_write);
            while !finished.load(Ordering::SeqCst) {
                let id = format!("{key}-{}", ids.len());
                embedder.append(&key, &id).await;
                ids.push(id);
                if let Some(first_write) = first_write.take() {
                    first_write.send(()).unwrap();
                }
            }
            (key, ids)
        }));
    }
    for first_write in started {
        // An error is a writer that died: joining it says why.
        let _ = first_write.await;
    }
    let report = optimize(uri, &OptimizeOptions::default()).await;
    finished.store(true, Ordering::SeqCst);
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.await.unwrap());
    }
    done(&report);
    let root = &report.roots[0];
    assert!(root.published >= 1, "{root:#?}");
    for table in &root.tables {
        assert!(
            table.committed
                || table.groups_dropped > 0
                || table.fragments_before <= 1
                || table.skipped.is_some(),
            "{table:#?}"
        );
        assert!(matches!(table.skipped, None | Some(SkipReason::ChangedByWriters)), "{table:#?}");
    }
    check_graph(uri).await.unwrap();
    let after = graph_rows(uri).await.unwrap();
    for ((branch, table), rows) in &before {
        let now = &after[&(branch.clone(), table.clone())];
        let ids = written.iter().find(|(key, _)| key.as_str() == table);
        let ids = ids.map_or(&[][..], |(_, ids)| ids.as_slice());
        assert_eq!(now.len(), rows.len() + ids.len(), "{table}");
        let known: BTreeSet<&String> = now.iter().collect();
        assert!(rows.iter().all(|row| known.contains(row)), "{table} lost rows");
        for id in ids {
            let here = now.iter().filter(|row| row.contains(&format!("|id={id}|")));
            assert_eq!(here.count(), 1, "{table}: {id}");
        }
    }
    let embedder = Embedder::new(Path::new(uri)).await;
    for (key, ids) in &written {
        let table = embedder.table(key).await;
        for id in [ids.first(), ids.last()].into_iter().flatten() {
            for use_index in [true, false] {
                let mut scan = table.scan();
                scan.filter(&format!("id = '{id}'")).unwrap().use_scalar_index(use_index);
                let found = scan.try_into_batch().await.unwrap();
                assert_eq!(found.num_rows(), 1, "{key}: {id}, by index: {use_index}");
            }
        }
    }
    let calm = optimize(uri, &OptimizeOptions::default()).await;
    done(&calm);
    check_graph(uri).await.unwrap();
    assert_eq!(graph_rows(uri).await.unwrap(), after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_embedder_that_writes_all_through_a_run_on_v4_loses_nothing() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    an_embedder_writes_all_through_a_run(&fixture.uri("graph")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_embedder_that_writes_all_through_a_run_on_v3_loses_nothing_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.7.0-main-only").unwrap();
    an_embedder_writes_all_through_a_run(&fixture.uri()).await;
}

fn person() -> TableKey {
    TableKey::new("node:Person")
}

/// Which rows of `node:Person` are deleted at a time.
#[derive(Debug, Clone, Copy)]
enum Persons {
    /// One, of a fragment that stays.
    OneOfSeveral,
    /// All of a fragment, which leaves the table with that.
    OfAFragment,
}

/// Deletes rows of `node:Person` each time one of its groups was staged, as long as `again`
/// says so. Returns the row of the report, and how many rows are gone.
async fn persons_deleted_while_staged(
    uri: &str,
    index: IndexMode,
    which: Persons,
    again: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> (TableOptimizeStats, usize) {
    let before = graph_rows(uri).await.unwrap();
    let at = PathBuf::from(uri);
    let gone = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&gone);
    let deletes = OnStaged::new(move |_, table| {
        let mut noted = noted.lock().unwrap();
        if table.key == person() && again(noted.len()) {
            noted.extend(block_on(async {
                let embedder = Embedder::new(&at).await;
                let ids = embedder.persons(which).await;
                let filter = format!("id IN ('{}')", ids.join("', '"));
                embedder.delete(&person(), &filter).await;
                ids
            }));
        }
    });
    let options = OptimizeOptions { index, ..OptimizeOptions::default() };
    let report = Keeper::new().optimize(&[uri.to_owned()], &options, deletes).await;
    let gone = gone.lock().unwrap().clone();
    for (key, rows) in graph_rows(uri).await.unwrap() {
        let mut expected = before[&key].clone();
        if key.1 == person().as_str() {
            expected.retain(|row| !gone.iter().any(|id| row.contains(&format!("|id={id}|"))));
            assert_eq!(before[&key].len() - expected.len(), gone.len());
        }
        assert_eq!(rows, expected, "{key:?}");
    }
    check_graph(uri).await.unwrap();
    done(&report);
    let rows = &report.roots[0].tables;
    let row = rows.iter().find(|row| row.table_key == person()).unwrap();
    (row.clone(), gone.len())
}

#[tokio::test]
async fn a_published_delete_between_stage_and_enter_is_carried_over() {
    for index in [IndexMode::Keep, IndexMode::Refresh] {
        let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
        let uri = fixture.uri("graph");
        let which = Persons::OneOfSeveral;
        let (row, gone) = persons_deleted_while_staged(&uri, index, which, |gone| gone == 0).await;
        assert_eq!(gone, 1);
        assert!(row.committed && row.groups_dropped == 0 && row.groups_redone == 0, "{row:#?}");
        assert!(row.skipped.is_none() && row.fragments_after <= 2, "{row:#?}");
    }
}

#[tokio::test]
async fn a_graph_table_whose_writers_delete_in_every_round_is_left_to_them() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let (row, gone) =
        persons_deleted_while_staged(&uri, IndexMode::Refresh, Persons::OfAFragment, |_| true)
            .await;
    assert!(gone >= 3, "{gone} rounds");
    assert_eq!(row.fragments_removed, 0, "{row:#?}");
    assert_eq!(row.skipped, Some(SkipReason::ChangedByWriters), "{row:#?}");
}

#[tokio::test]
async fn a_commit_that_nobody_publishes_is_neither_built_on_nor_published() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let before = graph_rows(&uri).await.unwrap();
    let embedder = Embedder::new(&fixture.path("graph")).await;
    let snapshot = embedder.graph.snapshot(&Branch::main()).await.unwrap();
    let pin = snapshot.pin(&person()).unwrap().clone();
    let table_uri = embedder.uri_of(&pin.location);
    let id = embedder.some_person().await;
    let drifts = OnStaged::new({
        let table_uri = table_uri.clone();
        move |call, _| {
            if call == 0 {
                let filter = format!("id = '{id}'");
                block_on(async { open(&table_uri).await.delete(&filter).await.unwrap() });
            }
        }
    });
    let options = OptimizeOptions::default();
    let report = Keeper::new().optimize(std::slice::from_ref(&uri), &options, drifts).await;
    done(&report);
    let root = &report.roots[0];
    let row = root.tables.iter().find(|row| row.table_key == person()).unwrap();
    assert_eq!(row.skipped, Some(SkipReason::DriftNeedsRepair), "{row:#?}");
    assert!(!row.committed);
    let seen = (row.manifest_version.unwrap(), row.lance_head_version.unwrap());
    assert_eq!(seen, (pin.version, pin.version.next()));
    assert_eq!(version_of(&open(&table_uri).await), pin.version.next(), "we committed on top");
    assert!(root.tables.iter().any(|row| row.committed), "the other tables go on");
    assert_eq!(graph_rows(&uri).await.unwrap(), before, "readers see nothing of it");
    assert_eq!(names(&fixture.path("graph/__recovery")).unwrap(), BTreeSet::new());
}
