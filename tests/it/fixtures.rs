//! Optimize on graphs and databases that real clients wrote.

use std::sync::Arc;

use lancekeeper::{Keeper, NoProgress, OptimizeOptions, OptimizeReport, SkipReason};
use lancekeeper_manifest::Graph;
use lancekeeper_model::{Branch, BranchSelection, StatusOptions, Version};
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::rows::{branch_rows, count};
use lancekeeper_testkit::{Fixture, FixturePath, check_graph, graph_rows};

async fn optimize(uri: &str) -> OptimizeReport {
    let options = OptimizeOptions::default();
    Keeper::new().optimize(&[uri.to_owned()], &options, Arc::new(NoProgress)).await
}

/// What is expected of a v3 or v4 graph without sidecars.
async fn compacts_without_a_trace(uri: &str, main_rows: usize) {
    let before = graph_rows(uri).await.unwrap();
    assert_eq!(count(&before, "main"), main_rows);
    let root = recognise(uri).unwrap();
    let graph = Graph::open(&Tables::new(), &root).await.unwrap();
    let head = graph.snapshot(&Branch::main()).await.unwrap().manifest_version;
    let mut history = Vec::new();
    for version in 3..=head.0 {
        let rows = branch_rows(&graph, &Branch::main(), Some(Version(version))).await.unwrap();
        history.push((version, rows));
    }

    let report = optimize(uri).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(report.roots[0].published, 1);
    for table in &report.roots[0].tables {
        assert!(table.fragments_after <= 2, "{table:#?}");
        assert_eq!(table.committed, table.fragments_removed > 0);
        assert_eq!(table.rows_before, table.rows_after);
    }
    assert_eq!(graph_rows(uri).await.unwrap(), before);
    check_graph(uri).await.unwrap();
    let graph = Graph::open(&Tables::new(), &root).await.unwrap();
    for (version, rows) in history {
        let now = branch_rows(&graph, &Branch::main(), Some(Version(version))).await.unwrap();
        assert_eq!(now, rows, "main at version {version} of __manifest");
    }

    let second = optimize(uri).await;
    assert_eq!(second.roots[0].published, 0);
    assert!(second.roots[0].tables.iter().all(|table| !table.committed));
    let after = Graph::open(&Tables::new(), &root).await.unwrap();
    let after = after.snapshot(&Branch::main()).await.unwrap().manifest_version;
    assert_eq!(after, Version(head.0 + 2), "one publish, one compaction of __manifest, no more");
}

#[tokio::test]
async fn a_v4_graph_is_compacted_anywhere() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    compacts_without_a_trace(&fixture.uri("graph"), 6010).await;
}

#[tokio::test]
async fn graphs_with_branches_and_v3_graphs_are_compacted_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.7.0-main-only").unwrap();
    compacts_without_a_trace(&fixture.uri(), 6010).await;
    for name in ["omnigraph-0.7.0-branches", "omnigraph-0.8.0-branches"] {
        fixture.reset(name).unwrap();
        let rows = graph_rows(&fixture.uri()).await.unwrap();
        assert_eq!((count(&rows, "lazy"), count(&rows, "work")), (3619, 6619), "{name}");
        compacts_without_a_trace(&fixture.uri(), 7193).await;
    }
}

#[tokio::test]
async fn graphs_with_foreign_sidecars_are_refused_untouched_at_fixture_path() {
    let cases = [
        ("omnigraph-0.7.0-killed-load-complete", 12),
        ("omnigraph-0.7.0-killed-load-partial", 12),
        ("omnigraph-0.8.0-killed-load-partial", 12),
        ("omnigraph-0.8.0-killed-mutation", 12),
        ("omnigraph-0.8.0-killed-optimize", 12),
    ];
    let fixture = FixturePath::unpack(cases[0].0).unwrap();
    for (name, exit_code) in cases {
        fixture.reset(name).unwrap();
        let before = tree(&fixture.uri());
        let report = optimize(&fixture.uri()).await;
        assert_eq!(report.exit_code().number(), exit_code, "{name}: {report:#?}");
        let error = report.roots[0].error.as_deref().unwrap();
        // Who looks before knows it already.
        let status = Keeper::new().status(&[fixture.uri()]).await;
        assert_eq!(status.attention_code().number(), exit_code, "{name}: {status:#?}");
        let obstacle = &status.roots[0].obstacles[0];
        assert_eq!((obstacle.message.as_str(), &obstacle.hint), (error, &report.roots[0].hint));
        assert_eq!(status.exit_code().number(), 0, "{name}: it can be read");
        assert_eq!(tree(&fixture.uri()), before, "{name}: something was written");
        let rows = graph_rows(&fixture.uri()).await.unwrap();
        assert!(count(&rows, "main") > 0, "{name} is still readable");
    }
}

#[tokio::test]
async fn tables_a_foreign_sidecar_does_not_name_can_be_asked_for_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.8.0-killed-optimize").unwrap();
    let mut options =
        OptimizeOptions { tables: vec!["node:Person".to_owned()], ..Default::default() };
    let keeper = Keeper::new();
    let report = keeper.optimize(&[fixture.uri()], &options, Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(report.roots[0].tables[0].committed);
    options.tables.push("edge:Knows".to_owned());
    let report = keeper.optimize(&[fixture.uri()], &options, Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 12, "{report:#?}");
}

#[tokio::test]
async fn a_moved_graph_is_refused_and_says_where_it_was_at_fixture_path() {
    // Holds the path, so that nothing lies there while the copy is looked at.
    let original = FixturePath::unpack("omnigraph-0.8.0-branches").unwrap();
    let copy = Fixture::unpack("omnigraph-0.8.0-branches").unwrap();
    let before = tree(&copy.uri("graph"));
    let report = optimize(&copy.uri("graph")).await;
    assert_eq!(report.exit_code().number(), 13, "{report:#?}");
    let error = report.roots[0].error.as_deref().unwrap();
    assert!(error.contains(&original.uri()), "{error}");
    assert_eq!(tree(&copy.uri("graph")), before);
    let status = Keeper::new().status(&[copy.uri("graph")]).await;
    assert_eq!(status.roots[0].moved_from.as_deref(), Some(original.uri().as_str()));
    assert_eq!(status.roots[0].obstacles.len(), 1, "{status:#?}");
    // A second obstacle is shown beside it.
    let recovery = std::path::Path::new(&copy.uri("graph")).join("__recovery");
    std::fs::create_dir_all(&recovery).unwrap();
    std::fs::write(recovery.join("01ARZ3NDEKTSV4RRFFQ69G5FAV.json"), "no JSON").unwrap();
    let status = Keeper::new().status(&[copy.uri("graph")]).await;
    assert_eq!(status.roots[0].obstacles.len(), 2, "{status:#?}");
    assert_eq!(status.attention_code().number(), 13);
}

#[tokio::test]
async fn status_and_dry_run_write_nothing_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.7.0-branches").unwrap();
    let before = tree(&fixture.uri());
    let keeper = Keeper::new();
    let status = keeper.status(&[fixture.uri()]).await;
    assert_eq!(status.roots[0].branches, ["lazy", "work"]);
    assert_eq!(status.roots[0].tables.iter().map(|t| t.rows).sum::<u64>(), 7193);
    let all = StatusOptions { branches: BranchSelection::All, ..StatusOptions::default() };
    let status = keeper.status_of(&[fixture.uri()], all).await;
    let rows = graph_rows(&fixture.uri()).await.unwrap();
    assert_eq!(status.roots[0].tables.len(), rows.len());
    for table in &status.roots[0].tables {
        let key = (table.branch.label().to_owned(), table.table_key.to_string());
        assert_eq!(table.rows, rows[&key].len() as u64, "{key:?}");
    }
    let plan = keeper.plan_optimize(&[fixture.uri()], &OptimizeOptions::default()).await;
    assert!(plan.dry_run);
    assert!(plan.totals.fragments_after < plan.totals.fragments_before);
    assert!(
        plan.roots[0]
            .tables
            .iter()
            .all(|t| !t.committed && t.skipped != Some(SkipReason::ChangedByWriters))
    );
    assert_eq!(tree(&fixture.uri()), before);
}

/// Every file with its length: what "nothing was written" means.
pub(crate) fn tree(root: &str) -> Vec<(String, u64)> {
    fn walk(directory: &std::path::Path, into: &mut Vec<(String, u64)>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            if path.is_dir() {
                walk(&path, into);
            }
            into.push((path.to_string_lossy().into_owned(), entry.metadata().unwrap().len()));
        }
    }
    let mut files = Vec::new();
    walk(std::path::Path::new(root), &mut files);
    files.sort();
    files
}
