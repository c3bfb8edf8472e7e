//! Many tables in one graph, and many fragments in one table.

use std::sync::{Arc, Mutex};

use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{Keeper, OptimizeOptions, Progress, ProgressEvent};
use lancekeeper_manifest::Graph;
use lancekeeper_model::{Branch, Version};
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::graphs::add_tables;
use lancekeeper_testkit::invariants::{check_files, names};
use lancekeeper_testkit::{Fixture, check_graph, graph_rows, table_rows, tables};

use crate::binary::{path, run};

/// Remembers in which order tables were published.
#[derive(Default)]
struct Published(Mutex<Vec<String>>);

impl Progress for Published {
    fn on_event(&self, event: ProgressEvent) {
        if let ProgressEvent::TablePublished { table, .. } = event {
            self.0.lock().unwrap().push(table.key.to_string());
        }
    }
}

/// Which version of a graph's tables main pins, at a version of `__manifest`.
async fn pins_at(graph: &Graph, version: Version) -> Vec<(String, Version)> {
    let snapshot = graph.snapshot_at(&Branch::main(), version).await.unwrap();
    snapshot.pins.iter().map(|pin| (pin.key.to_string(), pin.version)).collect()
}

#[tokio::test]
async fn a_graph_of_40_tables_with_work_is_published_in_three_windows() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    // Three of the fixture's four tables have work, and one has none.
    let extra = add_tables(&uri, 37, 2, 5).await.unwrap();
    let rows = graph_rows(&uri).await.unwrap();
    assert_eq!(rows.len(), 41);
    let root = recognise(&uri).unwrap();
    let graph = Graph::open(&Tables::new(), &root).await.unwrap();
    let before = graph.snapshot(&Branch::main()).await.unwrap().manifest_version;

    let told = Arc::new(Published::default());
    let report = Keeper::new()
        .optimize(std::slice::from_ref(&uri), &OptimizeOptions::default(), told.clone())
        .await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(report.roots[0].published, 3);
    let committed: Vec<_> = report.roots[0]
        .tables
        .iter()
        .filter(|table| table.committed && table.table_key.as_str() != "__manifest")
        .collect();
    assert_eq!(committed.len(), 40);
    assert!(committed.iter().all(|table| table.fragments_after == 1), "{committed:#?}");

    // Each publish moved the pins of its window, all in one version; the last is smaller.
    let graph = Graph::open(&Tables::new(), &root).await.unwrap();
    let mut moved = Vec::new();
    for version in before.0..before.0 + 3 {
        let (old, new) =
            (pins_at(&graph, Version(version)).await, pins_at(&graph, Version(version + 1)).await);
        assert_eq!(old.len(), 41);
        moved.push(old.iter().zip(&new).filter(|(old, new)| old != new).count());
    }
    assert_eq!(moved, [16, 16, 8]);
    let mut told = told.0.lock().unwrap().clone();
    assert_eq!(told.len(), 40);
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 40, "a table was published twice");
    assert!(extra.iter().all(|key| told.contains(key)));

    assert!(graph_rows(&uri).await.unwrap() == rows);
    check_graph(&uri).await.unwrap();
    let second = Keeper::new()
        .optimize(&[uri], &OptimizeOptions::default(), Arc::new(lancekeeper::NoProgress))
        .await;
    assert_eq!((second.roots[0].published, second.totals.tables_committed), (0, 0));
}

#[cfg(unix)]
#[tokio::test]
async fn a_table_of_2000_fragments_is_compacted_with_256_open_files() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("many.lance");
    let uri = at.to_string_lossy().into_owned();
    let table = tables::create_at_once(&uri, 2000, 3).await.unwrap();
    assert_eq!(table.fragments().len(), 2000);
    let rows = table_rows(&table).await.unwrap();
    assert_eq!(rows.len(), 6000);

    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 256; exec \"$@\"", "sh"]).arg(path());
    let ran = run(command.args(["optimize", "--json", &uri]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let document = ran.document();
    let row = &document["roots"][0]["tables"][0];
    assert_eq!((&row["fragments_before"], &row["fragments_after"]), (&2000.into(), &1.into()));

    let table = DatasetBuilder::from_uri(&uri).load().await.unwrap();
    assert_eq!(table.fragments().len(), 1);
    assert!(table_rows(&table).await.unwrap() == rows);
    check_files(&table, &at).await.unwrap();
    assert!(names(&at.join("__maintenance/journal")).unwrap().is_empty());
}
