//! Tables that no branch has any more, tables that drifted, and litter beside the tables.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use lance::dataset::builder::DatasetBuilder;
use lancekeeper_testkit::graphs::{add_tables, drop_table};
use lancekeeper_testkit::{Fixture, check_graph, graph_rows};

use super::*;

const GRAPH: &str = "omnigraph-0.8.0-main-only";
const EXTRA: &str = "nodes/0000000000000000";
/// Fragments of the added table, and rows of each.
const FRAGMENTS: (usize, usize) = (3, 20);

/// A graph with one table more than its client made.
async fn with_extra() -> (Fixture, String, String) {
    let fixture = Fixture::unpack(GRAPH).unwrap();
    let uri = fixture.uri("graph");
    let added = add_tables(&uri, 1, FRAGMENTS.0, FRAGMENTS.1).await.unwrap();
    (fixture, uri, added[0].clone())
}

async fn extra(uri: &str) -> Dataset {
    DatasetBuilder::from_uri(format!("{uri}/{EXTRA}")).load().await.unwrap()
}

fn data_files(uri: &str) -> usize {
    fs::read_dir(Path::new(uri).join(EXTRA).join("data")).unwrap().count()
}

#[tokio::test]
async fn a_table_that_no_branch_has_any_more_is_emptied_and_its_directory_stays() {
    let (_fixture, uri, key) = with_extra().await;
    let head = extra(&uri).await.manifest().version;
    let schema = extra(&uri).await.schema().clone();
    drop_table(&uri, &key, head).await.unwrap();
    let rows = graph_rows(&uri).await.unwrap();
    let before = files(&uri);

    let previewed = preview(&uri, &keep(1)).await;
    assert!(row_of(&previewed, &key).emptied, "{previewed:#?}");
    assert_eq!(files(&uri), before, "a preview writes nothing");
    let report = clean(&uri, &keep(1)).await;
    let row = row_of(&report, &key);
    assert!(row.emptied, "{row:#?}");
    assert_eq!(row.old_versions_removed, head);
    assert_eq!(previewed.totals.bytes_removed, report.totals.bytes_removed);
    let after = files(&uri);
    let gone: u64 =
        before.iter().filter(|(path, _)| !after.contains_key(*path)).map(|(_, bytes)| bytes).sum();
    assert_eq!(gone, report.totals.bytes_removed);

    let table = extra(&uri).await;
    assert_eq!(versions(&table).await, [head + 1]);
    assert_eq!(table.count_rows(None).await.unwrap(), 0);
    assert_eq!(*table.schema(), schema);
    assert!(table.manifest().uses_stable_row_ids());
    assert_eq!(data_files(&uri), 0);
    assert_eq!(graph_rows(&uri).await.unwrap(), rows);
    check_graph(&uri).await.unwrap();
    let again = clean(&uri, &keep(1)).await;
    assert_eq!(
        (again.totals.files_removed, row_of(&again, &key).emptied),
        (0, false),
        "{again:#?}"
    );
}

#[tokio::test]
async fn a_dropped_table_that_some_branch_still_has_keeps_its_rows() {
    let (_fixture, uri, key) = with_extra().await;
    let mut manifest = DatasetBuilder::from_uri(format!("{uri}/__manifest")).load().await.unwrap();
    let version = manifest.manifest().version;
    manifest.create_branch("lazy", version, None).await.unwrap();
    drop_table(&uri, &key, extra(&uri).await.manifest().version).await.unwrap();
    let rows = graph_rows(&uri).await.unwrap();
    let read = &rows[&("lazy".to_owned(), key.clone())];
    assert_eq!(read.len(), FRAGMENTS.0 * FRAGMENTS.1);

    let report = clean(&uri, &keep(1)).await;
    let row = row_of(&report, &key);
    assert!(!row.emptied, "{row:#?}");
    assert_eq!(row.kept[0].because[0], "branch lazy reads it");
    assert_eq!(graph_rows(&uri).await.unwrap(), rows);
}

#[tokio::test]
async fn a_dropped_table_whose_newest_version_is_young_waits() {
    let (_fixture, uri, key) = with_extra().await;
    drop_table(&uri, &key, extra(&uri).await.manifest().version).await.unwrap();
    let careful = CleanupOptions { writer_window: TimeDelta::minutes(10), ..keep(1) };
    let report = clean(&uri, &careful).await;
    assert!(!row_of(&report, &key).emptied, "{report:#?}");
    assert_eq!(data_files(&uri), FRAGMENTS.0);
}

#[tokio::test]
async fn a_table_that_drifted_is_refused_and_the_others_are_cleaned_up() {
    let (_fixture, uri, key) = with_extra().await;
    tables::append(&format!("{uri}/{EXTRA}"), 1_000, 5).await.unwrap();
    let drifted = versions(&extra(&uri).await).await;
    let report = cleanup(&uri, &keep(1)).await;
    assert_eq!(report.exit_code().number(), 3, "{report:#?}");
    let row = row_of(&report, &key);
    let error = row.error.as_ref().unwrap();
    assert!(error.contains("is the newest, but 3 is what the graph publishes"), "{error}");
    assert_eq!((row.files_removed, row.old_versions_removed), (0, 0));
    assert_eq!(versions(&extra(&uri).await).await, drifted);
    assert!(report.totals.old_versions_removed > 0, "{report:#?}");
    assert_eq!(report.totals.tables_failed, 1);
    let error = row_of(&preview(&uri, &keep(1)).await, &key).error.clone();
    assert!(error.is_some_and(|error| error.contains("repair it first")));
}

fn leave(path: &Path, age: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = fs::File::create(path).unwrap();
    let day = std::time::Duration::from_secs(86_400);
    file.set_modified(SystemTime::now() - day * u32::try_from(age).unwrap()).unwrap();
}

#[tokio::test]
async fn old_temporaries_beside_the_tables_go_and_nothing_else_does() {
    let fixture = Fixture::unpack(GRAPH).unwrap();
    let uri = fixture.uri("graph");
    let root = Path::new(&uri);
    let litter = ["__recovery/01J.json#1", "__recovery/.tmpAb3dEf", "_schema.pg#1"];
    let others =
        ["__recovery/notes#1", "notes#1", "_schema.bak", "mine/x.json#1", "__recovery/01J.txt"];
    for path in litter.iter().chain(&others) {
        leave(&root.join(path), 8);
    }
    leave(&root.join("__recovery/01K.json#1"), 6);
    let report = clean(&uri, &keep(1)).await;
    let row = row_of(&report, "(root)");
    assert_eq!((row.files_removed, row.unverified_left), (3, 1), "{row:#?}");
    for path in litter {
        assert!(!root.join(path).exists(), "{path}");
    }
    for path in others.iter().chain(&["__recovery/01K.json#1", "__recovery", "_schema.pg"]) {
        assert!(root.join(path).exists(), "{path}");
    }
    check_graph_files(&uri).await;
}

/// The client's own files still make a graph.
async fn check_graph_files(uri: &str) {
    for name in ["01K.json#1", "notes#1", "01J.txt"] {
        fs::remove_file(Path::new(uri).join("__recovery").join(name)).unwrap();
    }
    check_graph(uri).await.unwrap();
}
