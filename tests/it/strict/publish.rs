//! Publishes of several pins: strict as a whole, and true to the graph's history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMicrosecondType, UInt64Type};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchIterator, StringArray, UInt64Array};
use chrono::Utc;
use futures::TryStreamExt;
use lance::Dataset;
use lance::dataset::transaction::Operation;
use lancekeeper_manifest::{Graph, PinMove, PublishError};
use lancekeeper_model::{
    Branch, ErrorKind, OperationId, Pin, Snapshot, TableKey, TableRef, Version,
};
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_store::strict::{Signature, commit};
use lancekeeper_testkit::{Fixture, FixturePath};

use super::open;

/// A pin whose table a commit of ours has moved, as `optimize` does before it publishes.
async fn moved(graph: &Graph, pin: &Pin, step: &str) -> PinMove {
    let uri = graph.root().address_of(&pin.location);
    let head = open(&uri).await;
    let signature = Signature {
        operation: OperationId::new("01PUBLISH"),
        table: TableRef::on_main(pin.key.clone()),
        step: step.to_owned(),
    };
    let reserve = Operation::ReserveFragments { num_fragments: 1 };
    let head = commit(&head, reserve, &signature).await.unwrap();
    PinMove::to_version_of(pin.key.clone(), pin.version, &head).await.unwrap()
}

async fn publish(graph: &Graph, moves: &[PinMove], step: &str) -> Result<u64, PublishError> {
    let operation = OperationId::new("01PUBLISH");
    let published =
        graph.publish(&Branch::main(), moves, &operation, step, None, Utc::now()).await?;
    Ok(published.manifest_version.0)
}

async fn graph_at(uri: &str) -> Graph {
    Graph::open(&Tables::new(), &recognise(uri).unwrap()).await.unwrap()
}

async fn snapshot(graph: &Graph) -> Snapshot {
    graph.snapshot(&Branch::main()).await.unwrap()
}

#[tokio::test]
async fn a_publish_from_a_stale_view_is_refused_as_a_whole() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let graph = graph_at(&fixture.uri("graph")).await;
    let before = snapshot(&graph).await;
    let good = moved(&graph, &before.pins[0], "good").await;
    let mut stale = moved(&graph, &before.pins[1], "stale").await;
    stale.expected = Version(stale.expected.0 - 1);

    let error = publish(&graph, &[good.clone(), stale.clone()], "stale").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let PublishError::Stale { pins } = &error else { panic!("{error:?}") };
    assert_eq!(pins.len(), 1);
    assert_eq!(pins[0].key, stale.key);
    assert_eq!((pins[0].expected, pins[0].current), (stale.expected, Some(before.pins[1].version)));
    assert!(error.to_string().contains(stale.key.as_str()), "{error}");
    assert_eq!(snapshot(&graph).await, before, "nothing was published, the good pin included");

    // A table the branch does not have is stale, too.
    let mut gone = good.clone();
    gone.key = TableKey::new("node:Nobody");
    let error = publish(&graph, &[gone], "gone").await.unwrap_err();
    assert!(matches!(&error, PublishError::Stale { pins } if pins[0].current.is_none()));

    publish(&graph, std::slice::from_ref(&good), "good").await.unwrap();
    let error = publish(&graph, &[good], "good-again").await.unwrap_err();
    assert!(matches!(error, PublishError::Stale { .. }), "a pin moves once: {error:?}");
}

/// Two publishers, each with a table of its own, at the same time. Returns the versions of
/// `__manifest` they made.
async fn publish_in_parallel(uri: &str) -> BTreeSet<u64> {
    let graph = graph_at(uri).await;
    let before = snapshot(&graph).await;
    let rounds = 4;
    let publishers = before.pins[..2].iter().enumerate().map(|(who, pin)| {
        let (graph, mut pin) = (graph.clone(), pin.clone());
        tokio::spawn(async move {
            let mut versions = Vec::new();
            for round in 0..rounds {
                let step = format!("{who}-{round}");
                let to = moved(&graph, &pin, &step).await;
                versions.push(publish(&graph, std::slice::from_ref(&to), &step).await.unwrap());
                pin.version = to.to;
            }
            (pin, versions)
        })
    });
    let mut made = BTreeSet::new();
    let mut pins = Vec::new();
    for done in futures::future::join_all(publishers).await {
        let (pin, versions) = done.unwrap();
        assert!(versions.is_sorted());
        made.extend(versions);
        pins.push(pin);
    }
    let after = snapshot(&graph).await;
    for pin in pins {
        assert_eq!(after.pin(&pin.key).unwrap().version, pin.version);
    }
    assert_eq!(made.len(), 2 * rounds, "each publish is a version of its own");
    assert_eq!(after.manifest_version.0, before.manifest_version.0 + 2 * rounds as u64);
    made
}

/// A graph commit: its id, the version of `__manifest` it names, and its parent's id.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GraphCommit {
    id: String,
    version: u64,
    parent: Option<String>,
}

async fn batches(table: &Dataset) -> Vec<RecordBatch> {
    table.scan().try_into_stream().await.unwrap().try_collect().await.unwrap()
}

/// The commits in one version of a v4 `__manifest`, and its `graph_head`.
async fn v4_history(manifest: &Dataset) -> (Vec<GraphCommit>, Option<String>) {
    let (mut commits, mut head) = (Vec::new(), None);
    for batch in batches(manifest).await {
        let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let (ids, types, metadata) = (text("object_id"), text("object_type"), text("metadata"));
        let versions = batch.column_by_name("table_version").unwrap();
        let versions = versions.as_primitive::<UInt64Type>();
        for at in 0..batch.num_rows() {
            let parsed =
                || -> serde_json::Value { serde_json::from_str(metadata.value(at)).unwrap() };
            let value = |key: &str| parsed()[key].as_str().map(ToOwned::to_owned);
            match types.value(at) {
                "graph_commit" => commits.push(GraphCommit {
                    id: ids.value(at).to_owned(),
                    version: versions.value(at),
                    parent: value("parent_commit_id"),
                }),
                "graph_head" => {
                    assert_eq!(ids.value(at), "graph_head:main");
                    assert!(head.replace(value("head_commit_id").unwrap()).is_none());
                }
                _ => {}
            }
        }
    }
    commits.sort_by_key(|commit| commit.version);
    (commits, head)
}

/// Every commit but the first names the one before it.
fn is_a_chain(commits: &[GraphCommit]) {
    assert_eq!(commits[0].parent, None);
    for pair in commits.windows(2) {
        assert!(pair[0].version < pair[1].version, "{pair:#?}");
        assert_eq!(pair[1].parent.as_ref(), Some(&pair[0].id), "{pair:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_publishes_keep_v4_history_true() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let made = publish_in_parallel(&fixture.uri("graph")).await;

    let manifest = open(&fixture.uri("graph/__manifest")).await;
    let mut known = BTreeSet::new();
    for version in manifest.version_refs().await.unwrap() {
        let at = manifest.checkout_version(version.version).await.unwrap();
        let (commits, head) = v4_history(&at).await;
        for commit in commits.iter().filter(|commit| !known.contains(&commit.id)) {
            assert_eq!(commit.version, version.version, "{commit:?} came in another version");
        }
        is_a_chain(&commits);
        assert_eq!(head.as_ref(), commits.last().map(|commit| &commit.id));
        known = commits.into_iter().map(|commit| commit.id).collect();
    }
    let (commits, _) = v4_history(&manifest).await;
    let versions: BTreeSet<u64> = commits.iter().map(|commit| commit.version).collect();
    assert!(versions.is_superset(&made), "every publish has its commit row");
}

/// The rows of a v3 graph's `_graph_commits.lance`, oldest first.
async fn v3_history(uri: &str) -> Vec<GraphCommit> {
    let mut rows = Vec::new();
    for batch in batches(&open(&format!("{uri}/_graph_commits.lance")).await).await {
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let ids = column("graph_commit_id").as_string::<i32>();
        let parents = column("parent_commit_id").as_string::<i32>();
        let versions = column("manifest_version").as_primitive::<UInt64Type>();
        let times = column("created_at").as_primitive::<TimestampMicrosecondType>();
        for at in 0..batch.num_rows() {
            let parent = parents.iter().nth(at).flatten().map(ToOwned::to_owned);
            let (id, version) = (ids.value(at).to_owned(), versions.value(at));
            rows.push((version, times.value(at), GraphCommit { id, version, parent }));
        }
    }
    rows.sort_by_key(|(version, time, _)| (*version, *time));
    rows.into_iter().map(|(_, _, commit)| commit).collect()
}

/// Every commit but the first names an older one. On v3 the row follows the publish, so two
/// publishers may append in the other order than they published in: then both name the commit
/// before the two.
fn is_ordered(commits: &[GraphCommit]) {
    let mut known: BTreeMap<&str, u64> = BTreeMap::new();
    for commit in commits {
        let parent = commit.parent.as_deref().map(|parent| known.get(parent));
        assert_eq!(parent.is_none(), known.is_empty(), "{commit:?}");
        assert!(
            parent.is_none_or(|version| version.is_some_and(|v| *v < commit.version)),
            "{commit:?} has a parent that is not older"
        );
        known.insert(&commit.id, commit.version);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_publishes_keep_v3_history_true_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.7.0-main-only").unwrap();
    let before = v3_history(&fixture.uri()).await;
    let mut made = publish_in_parallel(&fixture.uri()).await;
    let parallel = v3_history(&fixture.uri()).await;
    is_ordered(&parallel);

    let graph = graph_at(&fixture.uri()).await;
    for round in 0..2 {
        let pin = snapshot(&graph).await.pins[0].clone();
        let to = moved(&graph, &pin, &format!("alone-{round}")).await;
        made.insert(publish(&graph, &[to], &format!("alone-{round}")).await.unwrap());
    }
    let after = v3_history(&fixture.uri()).await;
    assert_eq!(after[..before.len()], before, "rows of others stay");
    let versions: Vec<u64> = after[before.len()..].iter().map(|commit| commit.version).collect();
    assert_eq!(versions, Vec::from_iter(made), "each row names the version it published");
    for pair in after[parallel.len() - 1..].windows(2) {
        assert_eq!(pair[1].parent.as_ref(), Some(&pair[0].id), "alone, history is a chain");
    }
}

#[tokio::test]
async fn a_v3_commit_row_never_names_a_newer_parent_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.7.0-main-only").unwrap();
    let graph = graph_at(&fixture.uri()).await;
    let view = snapshot(&graph).await;
    let before = v3_history(&fixture.uri()).await;
    // Somebody published right after us and was faster with the row.
    let uri = format!("{}/_graph_commits.lance", fixture.uri());
    let row = batches(&open(&uri).await).await.remove(0).slice(0, 1);
    let columns = row.schema_ref().fields().iter().zip(row.columns()).map(|(field, column)| {
        match field.name().as_str() {
            "graph_commit_id" => Arc::new(StringArray::from(vec!["faster"])) as ArrayRef,
            "manifest_version" => Arc::new(UInt64Array::from(vec![view.manifest_version.0 + 2])),
            _ => Arc::clone(column),
        }
    });
    let row = RecordBatch::try_new(row.schema(), columns.collect()).unwrap();
    let rows = RecordBatchIterator::new([Ok(row.clone())], row.schema());
    open(&uri).await.append(rows, None).await.unwrap();

    let to = moved(&graph, &view.pins[0], "slower").await;
    let version = publish(&graph, &[to], "slower").await.unwrap();
    let after = v3_history(&fixture.uri()).await;
    let ours = after.iter().find(|commit| commit.version == version).unwrap();
    assert_eq!(ours.parent.as_ref(), before.last().map(|commit| &commit.id));
}
