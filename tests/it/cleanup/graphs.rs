//! Cleanup of graphs that real clients wrote.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use lancekeeper::{
    Branch, NoProgress, OptimizeOptions, Version, cleanup_all_tables, reconcile_orphaned_branches,
};
use lancekeeper_manifest::Graph;
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::rows::branch_rows;
use lancekeeper_testkit::{Fixture, FixturePath, check_graph, graph_rows};

use super::*;

async fn graph(uri: &str) -> Graph {
    Graph::open(&Tables::new(), &recognise(uri).unwrap()).await.unwrap()
}

async fn optimize(uri: &str) {
    let options = OptimizeOptions::default();
    let report = Keeper::new().optimize(&[uri.to_owned()], &options, Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
}

async fn rows_at(uri: &str, version: Version) -> lancekeeper_testkit::GraphRows {
    branch_rows(&graph(uri).await, &Branch::main(), Some(version)).await.unwrap()
}

fn size(uri: &str) -> u64 {
    files(uri).values().sum()
}

#[tokio::test]
async fn the_strictest_cleanup_leaves_every_branch_its_rows_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.7.0-branches").unwrap();
    for name in ["omnigraph-0.7.0-branches", "omnigraph-0.8.0-branches"] {
        fixture.reset(name).unwrap();
        let uri = fixture.uri();
        let before = graph_rows(&uri).await.unwrap();
        optimize(&uri).await;
        let (full, previewed) = (size(&uri), preview(&uri, &keep(1)).await);
        let report = clean(&uri, &keep(1)).await;
        assert_eq!(previewed.totals.bytes_removed, report.totals.bytes_removed, "{name}");
        assert_eq!(full - size(&uri), report.totals.bytes_removed, "{name}");
        assert!(size(&uri) * 3 < full * 2, "{name}: {full} → {}", size(&uri));
        assert_eq!(graph_rows(&uri).await.unwrap(), before, "{name}");
        check_graph(&uri).await.unwrap();
        assert!(report.roots[0].reconciled.reclaimed.is_empty(), "{report:#?}");

        // Where `work` and `lazy` were cut, and could be merged from, is still there.
        let graph = graph(&uri).await;
        let kept = row_of(&report, "__manifest");
        let bases = kept.kept.iter().filter(|version| {
            version.because.iter().any(|because| because.starts_with("merge base"))
        });
        let mut count = 0;
        for base in bases {
            branch_rows(&graph, &base.branch, Some(base.version)).await.unwrap();
            count += 1;
        }
        assert!(count >= 2, "{kept:#?}");
        let again = clean(&uri, &keep(1)).await;
        assert_eq!(again.totals.files_removed, 0, "{again:#?}");
    }
}

#[tokio::test]
async fn keep_n_leaves_the_newest_n_or_what_the_floors_hold() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let before = graph_rows(&uri).await.unwrap();
    // More than there are: nothing goes.
    let untouched = files(&uri);
    let none = clean(&uri, &keep(100)).await;
    assert_eq!((none.totals.files_removed, none.totals.old_versions_removed), (0, 0), "{none:#?}");
    assert_eq!(files(&uri), untouched);
    let report = clean(&uri, &keep(4)).await;
    for table in report.roots[0].tables.iter().filter(|t| t.table_key.as_str() != "__manifest") {
        assert_eq!(table.versions_kept, 4, "{table:#?}");
    }
    // Every commit whose versions all stay can still be read.
    let graph = graph(&uri).await;
    let manifest = row_of(&report, "__manifest");
    let retained: Vec<Version> = manifest
        .kept
        .iter()
        .filter(|kept| kept.because.iter().any(|because| because.contains("stays readable")))
        .map(|kept| kept.version)
        .collect();
    assert!(!retained.is_empty(), "{manifest:#?}");
    for version in retained {
        branch_rows(&graph, &Branch::main(), Some(version)).await.unwrap();
    }
    assert_eq!(graph_rows(&uri).await.unwrap(), before);
    let before = files(&uri);
    let more = clean(&uri, &keep(100)).await;
    assert_eq!(more.totals.files_removed, 0, "{more:#?}");
    assert_eq!(files(&uri), before);
}

#[tokio::test]
async fn the_newest_commits_stay_readable_when_asked_for_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.8.0-main-only").unwrap();
    for name in ["omnigraph-0.8.0-main-only", "omnigraph-0.7.0-main-only"] {
        fixture.reset(name).unwrap();
        let uri = fixture.uri();
        let commits = graph(&uri).await.history(&Branch::main()).await.unwrap().commits;
        let mut rows = Vec::new();
        for commit in &commits[..5] {
            let read = rows_at(&uri, commit.manifest_version).await;
            rows.push(read);
        }
        let policy = CleanupPolicyOptions::default();
        let options = CleanupOptions { policy, keep_last: Some(5), ..keep(1) };
        let report = clean(&uri, &options).await;
        assert_eq!(report.roots[0].lost_commits.len(), commits.len() - 5, "{name}: {report:#?}");
        for (commit, rows) in commits.iter().zip(rows) {
            let read = rows_at(&uri, commit.manifest_version).await;
            assert_eq!(read, rows, "{name}: {commit:?}");
        }
        // The history has a row for every commit all the same, and its own old versions are gone.
        assert_eq!(graph(&uri).await.history(&Branch::main()).await.unwrap().commits, commits);
        if name.contains("0.7.0") {
            let row = row_of(&report, "_graph_commits.lance");
            assert!(row.old_versions_removed > 5 && row.versions_kept == 1, "{row:#?}");
        }
    }
}

/// Deletes a branch as a client does that is killed before it tidies up the forks.
async fn delete_branch_only(uri: &str, name: &str) {
    let mut manifest = DatasetBuilder::from_uri(format!("{uri}/__manifest")).load().await.unwrap();
    manifest.delete_branch(name).await.unwrap();
}

#[tokio::test]
async fn forks_of_a_deleted_branch_go_and_others_stay_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.8.0-branches").unwrap();
    for name in ["omnigraph-0.8.0-branches", "omnigraph-0.7.0-branches"] {
        fixture.reset(name).unwrap();
        let uri = fixture.uri();
        let forks = |report: &CleanupReport| report.roots[0].reconciled.reclaimed.len();
        assert_eq!(forks(&preview(&uri, &keep(1)).await), 0);
        delete_branch_only(&uri, "work").await;
        let mut before = graph_rows(&uri).await.unwrap();
        before.retain(|(branch, _), _| branch != "work");

        // Unpacked just now: a writer may be about to publish them.
        let ages = |min_fork_age| CleanupOptions { min_fork_age, ..keep(1) };
        let young = preview(&uri, &ages(TimeDelta::days(36_500))).await;
        assert_eq!(forks(&young), 0, "{young:#?}");
        let left = row_of(&young, "node:Person").warnings.join("; ");
        assert!(left.contains("work is left alone: it is young"), "{left}");

        let report = clean(&uri, &ages(TimeDelta::zero())).await;
        let expected = if name.contains("0.7.0") { 4 } else { 3 };
        assert_eq!(forks(&report), expected, "{name}: {report:#?}");
        for (path, _) in files(&uri) {
            assert!(!path.contains("/tree/work"), "{path}");
            assert!(!path.ends_with("work.json"), "{path}");
        }
        assert_eq!(graph_rows(&uri).await.unwrap(), before);
        check_graph(&uri).await.unwrap();
        let again = clean(&uri, &ages(TimeDelta::zero())).await;
        assert_eq!((again.totals.files_removed, forks(&again)), (0, 0), "{again:#?}");
    }
}

#[tokio::test]
async fn a_fork_that_another_branch_reads_stays_when_its_own_branch_is_gone_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.8.0-branches").unwrap();
    let uri = fixture.uri();
    let report = Keeper::new().create_branch(&uri, "child", "work").await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    // As a client that is killed on the way does, or one that does not look at what depends on it.
    fs::remove_file(Path::new(&uri).join("__manifest/_refs/branches/work.json")).unwrap();
    let before = graph_rows(&uri).await.unwrap();
    assert!(before.keys().any(|(branch, _)| branch == "child"));
    assert!(before.keys().all(|(branch, _)| branch != "work"));
    let ages = CleanupOptions {
        min_fork_age: TimeDelta::zero(),
        min_age: TimeDelta::zero(),
        max_delete_percent: 100,
        ..keep(1)
    };
    let report = clean(&uri, &ages).await;
    assert!(report.roots[0].reconciled.reclaimed.is_empty(), "{report:#?}");
    assert_eq!(graph_rows(&uri).await.unwrap(), before);
}

#[tokio::test]
async fn a_list_of_branches_that_cannot_be_read_stops_everything_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.8.0-branches").unwrap();
    let uri = fixture.uri();
    fs::write(Path::new(&uri).join("__manifest/_refs/branches/lazy.json"), "{").unwrap();
    let before = files(&uri);
    for report in [preview(&uri, &keep(1)).await, cleanup(&uri, &keep(1)).await] {
        assert_eq!(report.exit_code().number(), 1, "{report:#?}");
        assert!(report.roots[0].error.is_some() && report.roots[0].tables.is_empty());
    }
    assert_eq!(files(&uri), before);
}

#[tokio::test]
async fn the_binary_names_forks_that_went_and_what_failed_as_scripts_expect_it_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.7.0-branches").unwrap();
    let uri = fixture.uri();
    delete_branch_only(&uri, "work").await;
    let versions = Path::new(&uri).join("__manifest/tree/lazy/_versions");
    fs::rename(&versions, versions.with_file_name("aside")).unwrap();
    let line = ["cleanup", "--older-than", "1d", "--writer-window", "0s", "--min-fork-age", "0s"];
    let said = run(lancekeeper(line.into_iter().chain(["--json", "--confirm", &uri])));
    assert_eq!(said.code, Some(3), "{said:#?}");
    let root = &said.document()["roots"][0];
    assert_eq!(root["older_than_secs"], 86_400);
    assert_eq!(root["keep_versions"], serde_json::Value::Null);
    let reconciled = &root["reconciled"];
    let expected = serde_json::json!([
        ["_graph_commits", "work"],
        ["edge:Knows", "work"],
        ["edge:WorksAt", "work"],
        ["node:Person", "work"],
    ]);
    assert_eq!(reconciled["reclaimed"], expected);
    let failures = reconciled["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1, "{reconciled}");
    assert_eq!(failures[0][0], "__manifest");
    assert!(failures[0][1].as_str().unwrap().starts_with("branch lazy: "), "{reconciled}");
}

#[tokio::test]
async fn an_unreadable_branch_is_one_failure_and_loses_nothing_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.8.0-branches").unwrap();
    let uri = fixture.uri();
    delete_branch_only(&uri, "work").await;
    let versions = Path::new(&uri).join("__manifest/tree/lazy/_versions");
    let aside = Path::new(&uri).parent().unwrap().join("aside");
    let _ = fs::remove_dir_all(&aside);
    fs::rename(&versions, &aside).unwrap();
    let ages = CleanupOptions { min_fork_age: TimeDelta::zero(), ..keep(1) };
    let report = cleanup(&uri, &ages).await;
    assert_eq!(report.exit_code().number(), 3, "{report:#?}");
    let reconciled = &report.roots[0].reconciled;
    assert_eq!(reconciled.failures.len(), 1, "{reconciled:#?}");
    assert!(reconciled.failures[0].1.contains("lazy"), "{reconciled:#?}");
    // The rest is done: what is certainly none of its own.
    assert_eq!(reconciled.reclaimed.len(), 3, "{reconciled:#?}");
    fs::rename(&aside, &versions).unwrap();
    // What lazy reads of main was kept, although nobody could say what that is.
    let rows = graph_rows(&uri).await.unwrap();
    fixture.reset("omnigraph-0.8.0-branches").unwrap();
    let mut before = graph_rows(&uri).await.unwrap();
    before.retain(|(branch, _), _| branch != "work");
    assert_eq!(rows, before);
}

#[tokio::test]
async fn cleanup_refuses_while_anything_is_unfinished() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let recovery = fixture.path("graph/__recovery");
    fs::create_dir_all(&recovery).unwrap();
    let sidecar = serde_json::json!({
        "schema_version": 2, "operation_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "started_at": chrono::Utc::now().timestamp_micros().to_string(), "branch": null,
        "actor_id": null, "writer_kind": "Load", "tables": [], "confirmed": false,
    });
    let file = recovery.join("01ARZ3NDEKTSV4RRFFQ69G5FAV.json");
    fs::write(&file, sidecar.to_string()).unwrap();
    let before = files(&uri);
    for report in [preview(&uri, &keep(1)).await, cleanup(&uri, &keep(1)).await] {
        assert_eq!(report.exit_code().number(), 12, "{report:#?}");
    }
    assert_eq!(files(&uri), before);
    fs::remove_file(file).unwrap();

    let mut manifest = DatasetBuilder::from_uri(format!("{uri}/__manifest")).load().await.unwrap();
    manifest
        .create_branch("__schema_apply_lock__", manifest.manifest().version, None)
        .await
        .unwrap();
    let before = files(&uri);
    for report in [preview(&uri, &keep(1)).await, cleanup(&uri, &keep(1)).await] {
        assert_eq!(report.exit_code().number(), 13, "{report:#?}");
        let error = report.roots[0].error.as_deref().unwrap();
        assert_eq!(error, "cleanup is unavailable while schema apply is in progress");
    }
    assert_eq!(files(&uri), before);
}

#[tokio::test]
async fn a_graph_that_was_copied_is_not_cleaned_up() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-branches").unwrap();
    let before = files(&fixture.uri("graph"));
    let report = cleanup(&fixture.uri("graph"), &keep(1)).await;
    assert_eq!(report.exit_code().number(), 13, "{report:#?}");
    assert_eq!(files(&fixture.uri("graph")), before);
}

#[tokio::test]
async fn embedders_reconcile_forks_alone_and_clean_up_by_the_established_names_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.8.0-branches").unwrap();
    let uri = fixture.uri();
    delete_branch_only(&uri, "work").await;
    age_everything(Path::new(&uri));
    let keeper = Keeper::new();
    let before = files(&uri);
    let stats = reconcile_orphaned_branches(&keeper, &uri).await.unwrap();
    assert_eq!(stats.reclaimed.len(), 3, "{stats:#?}");
    assert!(stats.failures.is_empty(), "{stats:#?}");
    let after = files(&uri);
    let gone: Vec<&String> = before.keys().filter(|path| !after.contains_key(*path)).collect();
    assert!(!gone.is_empty());
    for path in gone {
        let is_of_fork = path.split('/').any(|part| part == "work" || part == "work.json");
        assert!(is_of_fork, "{path} went");
    }
    let none = CleanupPolicyOptions::default();
    let error = cleanup_all_tables(&keeper, &uri, none).await.unwrap_err();
    assert_eq!(error.kind, lancekeeper::ErrorKind::Invalid);
    let policy = CleanupPolicyOptions { keep_versions: Some(2), older_than: None };
    let rows = graph_rows(&uri).await.unwrap();
    let tables = cleanup_all_tables(&keeper, &uri, policy).await.unwrap();
    assert!(tables.iter().all(|table| table.error.is_none()), "{tables:#?}");
    assert!(tables.iter().any(|table| table.old_versions_removed > 0), "{tables:#?}");
    assert_eq!(graph_rows(&uri).await.unwrap(), rows);
}

/// Makes every file look a day old.
fn age_everything(root: &Path) {
    let a_day_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400);
    for (path, _) in files(&root.to_string_lossy()) {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(a_day_ago).unwrap();
    }
}
