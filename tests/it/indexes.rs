//! Index upkeep: what is covered afterwards, in which form, and that answers stay those of a
//! scan.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Utc;
use lance::Dataset;
use lance::index::DatasetIndexExt;
use lancekeeper::{IndexMode, Keeper, NoProgress, OptimizeOptions, OptimizeReport};
use lancekeeper_manifest::{Graph, PinMove};
use lancekeeper_model::{Branch, OperationId, TableKey};
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::{Fixture, check_graph, graph_rows};

async fn optimize(uri: &str, index: IndexMode) -> OptimizeReport {
    let options = OptimizeOptions { index, ..OptimizeOptions::default() };
    Keeper::new().optimize(&[uri.to_owned()], &options, Arc::new(NoProgress)).await
}

/// A table of a graph's main branch, at its pin's place.
pub(crate) async fn table(uri: &str, key: &str) -> Dataset {
    let root = recognise(uri).unwrap();
    let graph = Graph::open(&Tables::new(), &root).await.unwrap();
    let snapshot = graph.snapshot(&Branch::main()).await.unwrap();
    let location = &snapshot.pin(&TableKey::new(key)).unwrap().location;
    Dataset::open(&root.address_of(location)).await.unwrap()
}

/// Index name to (segment, version, fragments covered).
async fn indexes(table: &Dataset) -> BTreeMap<String, (String, i32, u64)> {
    let loaded = table.load_indices().await.unwrap();
    let row = |index: &lance::table::format::IndexMetadata| {
        let covered = index.fragment_bitmap.as_ref().map_or(0, |bitmap| bitmap.len());
        (index.name.clone(), (index.uuid.to_string(), index.index_version, covered))
    };
    loaded.iter().map(row).collect()
}

/// Rows that a filter finds, with and without indexes.
async fn answers_as_a_scan(table: &Dataset, filter: &str) -> usize {
    let mut counts = Vec::new();
    for use_index in [true, false] {
        let mut scan = table.scan();
        scan.filter(filter).unwrap().use_scalar_index(use_index);
        counts.push(scan.try_into_batch().await.unwrap().num_rows());
    }
    assert_eq!(counts[0], counts[1], "{filter}: index and scan differ");
    counts[0]
}

#[tokio::test]
async fn refresh_covers_everything_with_b_trees_that_older_clients_read() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let rows = graph_rows(&uri).await.unwrap();
    let report = optimize(&uri, IndexMode::Refresh).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let person = table(&uri, "node:Person").await;
    assert_eq!(person.fragments().len(), 1, "coverage no longer splits groups");
    let found = indexes(&person).await;
    assert_eq!(found.keys().collect::<Vec<_>>(), ["age_idx", "id_idx", "name_idx"]);
    for (name, (_, version, covered)) in &found {
        assert_eq!(*covered, 1, "{name} covers the one fragment");
        if name != "name_idx" {
            assert_eq!(*version, 0, "{name}: the form older clients know");
        }
    }
    assert!(answers_as_a_scan(&person, "age = 30").await > 0);
    assert!(answers_as_a_scan(&person, "age < 20 OR age IS NULL").await > 0);
    let knows = table(&uri, "edge:Knows").await;
    let first = knows.scan().limit(Some(1), None).unwrap().try_into_batch().await.unwrap();
    let id = first.column_by_name("src").unwrap();
    let id = arrow_array::cast::AsArray::as_string::<i32>(id).value(0).to_owned();
    assert!(answers_as_a_scan(&knows, &format!("src = '{id}'")).await > 0);
    assert_eq!(graph_rows(&uri).await.unwrap(), rows);
    check_graph(&uri).await.unwrap();
    // Idle: the same segments, no version more.
    let second = optimize(&uri, IndexMode::Refresh).await;
    assert!(second.roots[0].tables.iter().all(|t| !t.committed), "{second:#?}");
    assert_eq!(indexes(&table(&uri, "node:Person").await).await, found);
}

#[tokio::test]
async fn keep_leaves_segments_alone_and_packs_by_coverage() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let before = indexes(&table(&uri, "node:Person").await).await;
    optimize(&uri, IndexMode::Keep).await;
    let person = table(&uri, "node:Person").await;
    assert_eq!(person.fragments().len(), 2, "covered and uncovered fragments stay apart");
    let segment = |found: &BTreeMap<String, (String, i32, u64)>| {
        found.iter().map(|(name, (uuid, _, _))| (name.clone(), uuid.clone())).collect::<Vec<_>>()
    };
    assert_eq!(segment(&indexes(&person).await), segment(&before));
    assert!(answers_as_a_scan(&person, "age = 30").await > 0);
}

#[tokio::test]
async fn rebuild_replaces_every_segment_and_answers_stay() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    optimize(&uri, IndexMode::Refresh).await;
    let before = indexes(&table(&uri, "node:Person").await).await;
    let report = optimize(&uri, IndexMode::Rebuild).await;
    assert_eq!(report.roots[0].published, 1);
    let person = table(&uri, "node:Person").await;
    let after = indexes(&person).await;
    for (name, (uuid, _, covered)) in &after {
        assert_ne!(*uuid, before[name].0, "{name} was trained anew");
        assert_eq!(*covered, 1);
    }
    assert!(answers_as_a_scan(&person, "age = 30").await > 0);
    check_graph(&uri).await.unwrap();
}

#[tokio::test]
async fn a_declared_index_that_is_missing_is_built_and_listed_until_then() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    optimize(&uri, IndexMode::Refresh).await;
    // As a client would leave it: dropped, and published.
    let mut person = table(&uri, "node:Person").await;
    let pinned = lancekeeper_model::Version(person.manifest().version);
    person.drop_index("age_idx").await.unwrap();
    let graph = Graph::open(&Tables::new(), &recognise(&uri).unwrap()).await.unwrap();
    let key = TableKey::new("node:Person");
    let pin_move = PinMove::to_version_of(key, pinned, &person).await.unwrap();
    let operation = OperationId::new("a-client");
    let main = Branch::main();
    graph.publish(&main, &[pin_move], &operation, "drop", None, Utc::now()).await.unwrap();

    let kept = optimize(&uri, IndexMode::Keep).await;
    let row = |report: &OptimizeReport| {
        let tables = &report.roots[0].tables;
        tables.iter().find(|t| t.table_key.as_str() == "node:Person").unwrap().clone()
    };
    assert!(!row(&kept).committed);
    assert_eq!(row(&kept).pending_indexes.len(), 1, "{kept:#?}");
    assert_eq!(row(&kept).pending_indexes[0].column, "age");

    let refreshed = optimize(&uri, IndexMode::Refresh).await;
    assert!(row(&refreshed).committed, "{refreshed:#?}");
    assert!(row(&refreshed).pending_indexes.is_empty());
    let person = table(&uri, "node:Person").await;
    assert_eq!(indexes(&person).await["age_idx"].2, 1);
    assert!(answers_as_a_scan(&person, "age = 30").await > 0);
    check_graph(&uri).await.unwrap();
}
