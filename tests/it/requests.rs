//! What looking costs: the calls to stores of an opening, a `status` and an `optimize` that finds
//! nothing to do. On an object store each is a round trip, so each number is written down here.

use std::sync::Arc;

use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper::{Keeper, NoProgress, OptimizeOptions, StatusOptions, StoreRequests};
use lancekeeper_testkit::graphs::add_tables;
use lancekeeper_testkit::{Fixture, tables};

/// Calls that read, of a keeper that knows nothing yet. None may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    status: u64,
    optimize: u64,
}

async fn cost(uri: &str) -> Cost {
    let looks = Keeper::new();
    let quick = StatusOptions { quick: true, ..StatusOptions::default() };
    let status = looks.status_of([uri], quick).await;
    assert_eq!(status.exit_code().number(), 0, "{status:#?}");
    let idle = Keeper::new();
    let options = OptimizeOptions::default();
    let report = idle.optimize(&[uri.to_owned()], &options, Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let tables = report.roots.iter().flat_map(|root| &root.tables);
    assert_eq!(tables.filter(|table| table.committed).count(), 0, "{report:#?}");
    let reads = |StoreRequests { reads, writes, .. }| {
        assert_eq!(writes, 0);
        reads
    };
    Cost { status: reads(looks.store_requests()), optimize: reads(idle.store_requests()) }
}

/// A table at rest with an index, and so many versions more.
async fn table_at_rest(uri: &str, versions: usize) {
    tables::create(uri, 3, 100, false).await.unwrap();
    let mut table = lance::Dataset::open(uri).await.unwrap();
    let kind = IndexType::BTree;
    let params = ScalarIndexParams::default();
    table.create_index(&["id"], kind, None, &params, true).await.unwrap();
    let report = Keeper::new()
        .optimize(&[uri.to_owned()], &OptimizeOptions::default(), Arc::new(NoProgress))
        .await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let mut table = lance::Dataset::open(uri).await.unwrap();
    for version in 0..versions {
        table.update_config([("version", version.to_string().as_str())]).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_look_at_a_table_costs_does_not_grow_with_its_versions() {
    let dir = tempfile::tempdir().unwrap();
    let mut costs = Vec::new();
    for (name, versions) in [("young", 2), ("old", 150)] {
        let uri = dir.path().join(format!("{name}.lance"));
        let uri = uri.to_str().unwrap();
        table_at_rest(uri, versions).await;
        costs.push(cost(uri).await);
    }
    assert_eq!(costs, [Cost { status: 6, optimize: 3 }; 2]);
}

#[tokio::test]
async fn what_a_look_at_a_database_costs_grows_by_the_same_with_each_table() {
    let dir = tempfile::tempdir().unwrap();
    let mut costs = Vec::new();
    for (count, name) in [(1, "one"), (2, "two"), (8, "eight")] {
        let root = dir.path().join(name);
        for table in 0..count {
            table_at_rest(root.join(format!("t{table}.lance")).to_str().unwrap(), 2).await;
        }
        costs.push(cost(root.to_str().unwrap()).await);
    }
    let each = Cost { status: 6, optimize: 3 };
    let of = |tables: u64| Cost { status: tables * each.status, optimize: tables * each.optimize };
    assert_eq!(costs, [of(1), of(2), of(8)]);
}

#[tokio::test]
async fn what_a_look_at_a_graph_costs_grows_by_the_same_with_each_table() {
    let options = OptimizeOptions::default();
    let mut costs = Vec::new();
    for (extra, versions) in [(1, 0), (2, 0), (8, 0), (1, 60)] {
        let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
        let uri = fixture.uri("graph");
        add_tables(&uri, extra, 2, 5).await.unwrap();
        Keeper::new().optimize(std::slice::from_ref(&uri), &options, Arc::new(NoProgress)).await;
        let mut manifest = lance::Dataset::open(&fixture.uri("graph/__manifest")).await.unwrap();
        for version in 0..versions {
            manifest.update_config([("version", version.to_string().as_str())]).await.unwrap();
        }
        costs.push(cost(&uri).await);
    }
    let (base, each) = (Cost { status: 34, optimize: 24 }, Cost { status: 4, optimize: 2 });
    let of = |tables: u64| Cost {
        status: base.status + tables * each.status,
        optimize: base.optimize + tables * each.optimize,
    };
    assert_eq!(costs, [of(1), of(2), of(8), of(1)]);
}
