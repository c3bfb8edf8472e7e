//! What an embedding database hears: which pins moved, and whether its topology has to be
//! rebuilt.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use lancekeeper::{
    Keeper, OptimizeOptions, Progress, ProgressEvent, SkipReason, Version, optimize_all_tables,
};
use lancekeeper_testkit::Fixture;

/// A toy embedder: caches by table, and a topology built from edge tables.
#[derive(Default)]
struct Embedder {
    cached: Mutex<BTreeMap<String, Version>>,
    topology_builds: Mutex<u32>,
}

impl Progress for Embedder {
    fn on_event(&self, event: ProgressEvent) {
        let ProgressEvent::TablePublished { table, to, .. } = event else { return };
        if table.key.is_edge() {
            *self.topology_builds.lock().unwrap() += 1;
        }
        self.cached.lock().unwrap().insert(table.key.to_string(), to);
    }
}

async fn run(uri: &str, tables: &[&str]) -> Embedder {
    let embedder = Arc::new(Embedder::default());
    let options = OptimizeOptions {
        tables: tables.iter().map(|&name| name.to_owned()).collect(),
        ..OptimizeOptions::default()
    };
    let observer = Arc::clone(&embedder) as Arc<dyn Progress>;
    let rows = optimize_all_tables(&Keeper::new(), uri, &options, observer).await.unwrap();
    let cached = embedder.cached.lock().unwrap().clone();
    for row in rows.iter().filter(|row| !row.table_key.as_str().starts_with('_')) {
        assert_eq!(row.committed, cached.contains_key(row.table_key.as_str()), "{row:#?}");
        assert_ne!(row.skipped, Some(SkipReason::DriftNeedsRepair));
    }
    Arc::into_inner(embedder).unwrap()
}

#[tokio::test]
async fn topology_is_rebuilt_only_when_an_edge_table_moved() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let nodes = run(&fixture.uri("graph"), &["node:Person"]).await;
    assert_eq!(nodes.cached.lock().unwrap().len(), 1);
    assert_eq!(*nodes.topology_builds.lock().unwrap(), 0, "only a node table moved");
    let rest = run(&fixture.uri("graph"), &[]).await;
    assert_eq!(rest.cached.lock().unwrap().len(), 2);
    assert_eq!(*rest.topology_builds.lock().unwrap(), 2);
    let idle = run(&fixture.uri("graph"), &[]).await;
    assert!(idle.cached.lock().unwrap().is_empty(), "nothing moved, nothing is dropped");
}

#[tokio::test]
async fn a_root_that_fails_as_a_whole_is_an_error_with_a_hint() {
    let observer = Arc::new(lancekeeper::NoProgress);
    let options = OptimizeOptions::default();
    let error = optimize_all_tables(&Keeper::new(), "/nowhere/at/all", &options, observer)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    assert!(error.hint.is_some());
    assert_eq!(lancekeeper::INTERNAL_MANIFEST_SCHEMA_VERSION, 4);
}
