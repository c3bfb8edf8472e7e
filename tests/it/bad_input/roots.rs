//! Roots that are none, roots with unusual names, roots in another place, and options that
//! make no sense.

use std::fs;
use std::path::Path;

use lancekeeper::{Keeper, OptimizeOptions};
use lancekeeper_manifest::Graph;
use lancekeeper_model::Branch;
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::fixture::FIXTURE_PATH;
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::{Fixture, FixturePath, check_graph, graph_rows, tables};

use super::{World, files, is_refused, optimize, optimize_with};

#[tokio::test]
async fn what_is_no_root_is_refused_with_what_would_be_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    fs::create_dir_all(dir.path().join("other/inner")).unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::write(dir.path().join("file"), "x").unwrap();

    let kinds = ["__manifest", ".lance", "_versions"];
    for name in ["other", "empty", "file"] {
        is_refused(&at(name), 10, &["graph", "database", "table", &at(name)], &kinds, None).await;
    }
    for missing in [at("absent"), at("file/below"), format!("file://{}", at("absent"))] {
        is_refused(&missing, 10, &["nothing at", &missing], &["check the path"], None).await;
    }
    assert_eq!(files(dir.path()).len(), 1);
    assert_eq!(names(dir.path()).unwrap().len(), 3);
}

#[tokio::test]
async fn schemes_that_cannot_be_worked_on_are_refused_by_name() {
    is_refused("foo://x", 13, &["foo://x", "unknown scheme"], &["local path"], None).await;
    let words = ["s3://bucket/graph", "cannot be worked on yet"];
    is_refused("s3://bucket/graph", 13, &words, &["local path"], None).await;
}

#[tokio::test]
async fn file_uris_and_trailing_slashes_mean_the_same_root() {
    let world = World::new().await;
    for uri in [
        format!("file://{}", world.uri()),
        format!("{}///", world.uri()),
        format!("file://{}/", world.uri()),
        format!("{}/./../graph", world.uri()),
    ] {
        let report = optimize(&uri).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert_eq!(report.roots[0].uri, uri);
    }
    assert_eq!(names(world.root().parent().unwrap()).unwrap().len(), 1);
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn any_name_a_file_system_takes_is_a_good_name() {
    let world = World::new().await;
    let before = files(&world.root());
    let parent = world.root().parent().unwrap().to_owned();
    for name in ["a b", "100% a%20b", "c#d who?", "ü–日本 [x]*", "back\\slash a:b+c&d=e"] {
        let place = parent.join(name);
        write_files(&place, &before);
        let uri = place.to_string_lossy().into_owned();
        let report = optimize(&uri).await;
        assert_eq!(report.exit_code().number(), 0, "{name}: {report:#?}");
        assert_eq!(report.roots[0].published, 1, "{name}");
        assert!(graph_rows(&uri).await.unwrap() == world.rows, "{name}");
        check_graph(&uri).await.unwrap();
        fs::remove_dir_all(&place).unwrap();
        // Nothing was written under another reading of the name.
        assert_eq!(names(&parent).unwrap().into_iter().collect::<Vec<_>>(), ["graph"], "{name}");
    }
}

fn write_files(to: &Path, content: &std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>) {
    for (path, bytes) in content {
        let path = to.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_v3_graph_in_another_place_is_refused_because_its_pins_name_the_old_one() {
    let fixture = Fixture::unpack("omnigraph-0.7.0-main-only").unwrap();
    let (uri, path) = (fixture.uri("graph"), fixture.path("graph"));
    let words = ["moved or copied", &uri, FIXTURE_PATH];
    is_refused(&uri, 13, &words, &["move it back"], Some(&path)).await;
    let status = Keeper::new().status(std::slice::from_ref(&uri)).await;
    assert_eq!(status.roots[0].moved_from.as_deref(), Some(FIXTURE_PATH));
    assert_eq!(status.roots[0].tables.len(), 4, "it is still readable");
}

#[cfg(unix)]
#[tokio::test]
async fn a_symlinked_root_is_addressed_as_its_branches_spell_it_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.8.0-branches").unwrap();
    let rows = graph_rows(&fixture.uri()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(fixture.uri(), &link).unwrap();
    let link = link.to_string_lossy().into_owned();

    let root = recognise(&link).unwrap();
    assert_eq!(root.address, link);
    let graph = Graph::open(&Tables::new(), &root).await.unwrap();
    let snapshot = graph.snapshot(&Branch::main()).await.unwrap();
    let spellings = graph.spellings(&snapshot).await.unwrap();
    assert_eq!(spellings.address(root).address, fixture.uri());

    let report = optimize(&link).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(report.roots[0].published, 1);
    assert!(graph_rows(&fixture.uri()).await.unwrap() == rows);
    check_graph(&fixture.uri()).await.unwrap();
}

#[tokio::test]
async fn options_that_make_no_sense_are_usage_errors_that_name_the_option() {
    let world = World::new().await;
    let before = files(&world.root());
    let ok = OptimizeOptions::default;
    let cases = [
        (OptimizeOptions { target_rows: 0, ..ok() }, "target_rows"),
        (OptimizeOptions { target_bytes: 0, ..ok() }, "target_bytes"),
        (OptimizeOptions { deletion_threshold: 1.5, ..ok() }, "deletion_threshold"),
        (OptimizeOptions { deletion_threshold: -0.1, ..ok() }, "deletion_threshold"),
        (OptimizeOptions { deletion_threshold: f64::NAN, ..ok() }, "deletion_threshold"),
        (OptimizeOptions { min_fragments: Some(0), ..ok() }, "min_fragments"),
        (OptimizeOptions { max_bytes: Some(0), ..ok() }, "max_bytes"),
        (OptimizeOptions { max_time: Some(std::time::Duration::ZERO), ..ok() }, "max_time"),
        (OptimizeOptions { tables: vec!["node:Persn".to_owned()], ..ok() }, "node:Persn"),
    ];
    for (options, name) in cases {
        let uris = [world.uri()];
        let planned = Keeper::new().plan_optimize(&uris, &options).await;
        for report in [planned, optimize_with(&world.uri(), &options).await] {
            assert_eq!(report.exit_code().number(), 2, "{report:#?}");
            super::assert_says(report.roots[0].error.as_deref(), &[name]);
            assert!(report.roots[0].tables.is_empty());
        }
    }
    let mut after = files(&world.root());
    after.retain(|path, _| !path.starts_with("__maintenance"));
    assert!(after == before, "something was written");
}

#[tokio::test]
async fn a_database_with_odd_table_names_and_an_empty_table_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    for name in ["plain.lance", "50% off #1.lance", "日本.lance"] {
        tables::create(&at(name), 4, 10, false).await.unwrap();
    }
    tables::create(&at("none.lance"), 1, 0, false).await.unwrap();
    // Not a table, and not taken for one.
    fs::write(dir.path().join("notes.lance"), "x").unwrap();

    let report = optimize(&dir.path().to_string_lossy()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let rows: Vec<_> = report.roots[0]
        .tables
        .iter()
        .map(|table| (table.table_key.as_str(), table.rows_after, table.fragments_after))
        .collect();
    assert_eq!(rows, [("50% off #1", 40, 1), ("none", 0, 0), ("plain", 40, 1), ("日本", 40, 1)]);
    super::assert_clean(dir.path());
}
