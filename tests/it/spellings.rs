//! One root under two spellings, the path itself and a symlink to it, in one process.

#![cfg(unix)]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::poll;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{
    Keeper, NoProgress, OptimizeOptions, OptimizeReport, Queues, RootIdentity, RootQueue,
};
use lancekeeper_model::{TableKey, TableRef};
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::invariants::check_files;
use lancekeeper_testkit::{Fixture, check_graph, graph_rows, table_rows, tables};

/// How long a run that must wait is watched waiting. A run that does not wait is done with
/// these tables in less.
const WATCHED: Duration = Duration::from_secs(2);

async fn open(uri: &str) -> Dataset {
    DatasetBuilder::from_uri(uri).load().await.unwrap()
}

async fn optimize(uri: &str) -> OptimizeReport {
    let options = OptimizeOptions::default();
    Keeper::new().optimize(&[uri.to_owned()], &options, Arc::new(NoProgress)).await
}

/// The queue an embedder finds under a spelling.
fn queue_of(uri: &str) -> RootQueue {
    Queues::process().root(&RootIdentity::new(recognise(uri).unwrap().identity()))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[tokio::test]
async fn two_spellings_of_one_root_share_one_queue() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    tables::create(&text(&real.join("t.lance")), 5, 10, false).await.unwrap();
    symlink(&real, &link).unwrap();
    let table = TableRef::on_main(TableKey::new("t"));
    for (held, asked) in [(&real, &link), (&link, &real)] {
        let holder = queue_of(&text(held)).acquire_one(table.clone()).await.unwrap();
        let queue = queue_of(&text(asked));
        let mut waiting = Box::pin(queue.acquire_one(table.clone()));
        assert!(poll!(&mut waiting).is_pending(), "{asked:?} did not wait for {held:?}");
        drop(holder);
        drop(waiting.await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_through_one_spelling_waits_for_a_writer_that_came_through_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    let uri = text(&real.join("t.lance"));
    tables::create(&uri, 5, 10, false).await.unwrap();
    symlink(&real, &link).unwrap();
    let table = TableRef::on_main(TableKey::new("t"));
    let writer = queue_of(&text(&real)).acquire_one(table).await.unwrap();
    let run = tokio::spawn({
        let link = text(&link);
        async move { optimize(&link).await }
    });
    tokio::time::sleep(WATCHED).await;
    assert!(!run.is_finished(), "it did not wait for the writer");
    assert_eq!(open(&uri).await.fragments().len(), 5, "it committed past the writer");
    drop(writer);
    let report = run.await.unwrap();
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(open(&uri).await.fragments().len(), 1);
}

#[tokio::test]
async fn databases_tables_and_graphs_behind_a_symlink_are_optimized_and_read_right() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::unpack("lancedb-python-0.40").unwrap();
    let link = dir.path().join("database");
    symlink(fixture.path("lancedb"), &link).unwrap();
    for (through, table) in
        [(text(&link), "articles"), (text(&link.join("images.lance")), "images")]
    {
        let uri = fixture.uri(&format!("lancedb/{table}.lance"));
        let before = table_rows(&open(&uri).await).await.unwrap();
        let report = optimize(&through).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert_eq!(report.roots[0].uri, through);
        let rows: Vec<_> =
            report.roots[0].tables.iter().map(|row| row.table_key.as_str()).collect();
        assert!(rows.contains(&table), "{rows:?}");
        // Through both spellings, and with nothing left behind.
        let through = text(&link.join(format!("{table}.lance")));
        for spelling in [&uri, &through] {
            let head = open(spelling).await;
            assert!(head.fragments().len() <= 2, "{spelling}");
            assert!(table_rows(&head).await.unwrap() == before, "{spelling}");
        }
        check_files(&open(&uri).await, &fixture.path(&format!("lancedb/{table}.lance")))
            .await
            .unwrap();
    }

    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let (uri, link) = (fixture.uri("graph"), dir.path().join("graph"));
    symlink(&uri, &link).unwrap();
    let before = graph_rows(&uri).await.unwrap();
    let report = optimize(&text(&link)).await;
    assert_eq!((report.exit_code().number(), report.roots[0].published), (0, 1), "{report:#?}");
    for spelling in [&uri, &text(&link)] {
        assert!(graph_rows(spelling).await.unwrap() == before, "{spelling}");
        check_graph(spelling).await.unwrap();
    }
}
