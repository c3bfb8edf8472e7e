//! What a crash leaves beside sidecars: locks, staging files, history without a row, graphs that were
//! never finished.

use std::fs;
use std::path::Path;

use chrono::{TimeDelta, Utc};
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{Keeper, LeftBehind, RecoverAction, RecoverOptions};
use lancekeeper_manifest::Graph;
use lancekeeper_model::Branch;
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::wreck::uncommit;
use lancekeeper_testkit::{FixturePath, Wreck, graph_rows};

use super::{dead, is_at_rest, only, preview, recover};

const LOCK: &str = "__schema_apply_lock__";

/// `status` shows it, and how it is mended.
async fn is_an_obstacle(uri: &str, words: &[&str]) {
    let status = Keeper::new().status([uri]).await;
    let found = status.roots[0].obstacles.iter().any(|obstacle| {
        let hint = obstacle.hint.as_deref().unwrap_or_default();
        words.iter().all(|word| obstacle.message.contains(word))
            && hint.contains("lancekeeper recover")
    });
    assert!(found, "{words:?}: {status:#?}");
    assert_ne!(status.attention_code().number(), 0, "{status:#?}");
}

#[tokio::test]
async fn a_lock_that_a_dead_schema_apply_left_is_removed_once_it_is_old_at_fixture_path() {
    for fixture in ["omnigraph-0.7.0-main-only", "omnigraph-0.8.0-main-only"] {
        let path = FixturePath::unpack(fixture).unwrap();
        let uri = path.uri();
        let before = graph_rows(&uri).await.unwrap();
        let datasets = ["__manifest", "_graph_commits.lance"];
        let datasets: Vec<_> =
            datasets.into_iter().filter(|name| Path::new(&uri).join(name).exists()).collect();
        // As a client makes it.
        for dataset in &datasets {
            let mut table =
                DatasetBuilder::from_uri(format!("{uri}/{dataset}")).load().await.unwrap();
            let version = table.manifest().version;
            table.create_branch(LOCK, version, None).await.unwrap();
        }
        is_an_obstacle(&uri, &["schema apply"]).await;
        let young = recover(&uri, &RecoverOptions::default()).await;
        assert_eq!(young.exit_code().number(), 12, "{young:#?}");
        assert_eq!(only(&young).action, RecoverAction::Wait);
        let plan = preview(&uri, &dead()).await;
        assert_eq!(
            (only(&plan).what, only(&plan).action),
            (LeftBehind::SchemaApplyLock, RecoverAction::Remove)
        );
        assert_eq!(plan.exit_code().number(), 12);
        let done = recover(&uri, &dead()).await;
        assert_eq!(done.exit_code().number(), 0, "{done:#?}");
        is_at_rest(&uri).await;
        assert_eq!(graph_rows(&uri).await.unwrap(), before);
        for dataset in &datasets {
            let left = Path::new(&uri).join(dataset).join("tree").join(LOCK);
            assert!(!left.exists(), "{dataset} still has its directory");
        }
    }
}

#[tokio::test]
async fn rows_that_a_v3_history_lacks_are_added_in_order_at_fixture_path() {
    let path = FixturePath::unpack("omnigraph-0.7.0-branches").unwrap();
    let uri = path.uri();
    // Two clients died right before they wrote their rows: on main and on a branch.
    let commits = Path::new(&uri).join("_graph_commits.lance");
    let root = recognise(&uri).unwrap();
    let graph = Graph::open(&Tables::new(), &root).await.unwrap();
    let work = Branch::named("work");
    let ids = async |branch: &Branch| {
        let graph = Graph::open(&Tables::new(), &root).await.unwrap();
        let history = graph.history(branch).await.unwrap();
        history
            .commits
            .into_iter()
            .map(|commit| (commit.manifest_version, commit.id))
            .collect::<Vec<_>>()
    };
    let before = [ids(&Branch::main()).await, ids(&work).await];
    uncommit(&commits).unwrap();
    uncommit(&commits.join("tree/work")).unwrap();
    let snapshot = graph.snapshot(&Branch::main()).await.unwrap().manifest_version;
    is_an_obstacle(&uri, &["commit history"]).await;
    // However long somebody wants to wait, it is no time that there is not.
    let mut never = RecoverOptions::default();
    never.dead_after = TimeDelta::MAX;
    let waits = preview(&uri, &never).await;
    assert_eq!(waits.exit_code().number(), 12, "{waits:#?}");
    assert!(waits.roots[0].left.iter().all(|row| row.action == RecoverAction::Wait), "{waits:#?}");
    let plan = preview(&uri, &RecoverOptions::default()).await;
    let branches: Vec<_> = plan.roots[0].left.iter().map(|row| row.branch.label()).collect();
    assert_eq!(branches, ["main", "work"], "{plan:#?}");
    let done = recover(&uri, &RecoverOptions::default()).await;
    assert_eq!(done.exit_code().number(), 0, "{done:#?}");
    is_at_rest(&uri).await;
    let graph = Graph::open(&Tables::new(), &root).await.unwrap();
    assert_eq!(graph.snapshot(&Branch::main()).await.unwrap().manifest_version, snapshot);
    for (branch, before) in [Branch::main(), work].iter().zip(before) {
        let history = graph.history(branch).await.unwrap().commits;
        let versions: Vec<_> = history.iter().map(|commit| commit.manifest_version).collect();
        let expected: Vec<_> = before.iter().map(|(version, _)| *version).collect();
        assert_eq!(versions, expected, "{branch}");
        assert_eq!(history[0].parents, [before[1].1.clone()], "the newest but one is its parent");
    }
}

#[tokio::test]
async fn staging_files_that_no_sidecar_explains_are_told_apart_by_the_tables() {
    let same: &[(&str, &[&str])] = &[("A", &["note"]), ("B", &["note"])];
    let other: &[(&str, &[&str])] = &[("A", &["note"]), ("B", &["note"]), ("C", &["note"])];
    for (types, live_types, expected) in [
        // Nothing but annotations would have changed.
        (same, same, RecoverAction::Remove),
        (other, same, RecoverAction::Remove),
        (same, other, RecoverAction::Promote),
    ] {
        let wreck = Wreck::new().await.unwrap();
        wreck.write_schema(types, ".staging", "sct").unwrap();
        wreck.write_schema(live_types, "", "sct").unwrap();
        is_an_obstacle(wreck.uri(), &["left over from a schema apply"]).await;
        let young = recover(wreck.uri(), &RecoverOptions::default()).await;
        assert_eq!(only(&young).action, RecoverAction::Wait, "{young:#?}");
        let done = recover(wreck.uri(), &dead()).await;
        assert_eq!(done.exit_code().number(), 0, "{done:#?}");
        assert_eq!(only(&done).action, expected);
        is_at_rest(wreck.uri()).await;
        let source = fs::read_to_string(wreck.path("_schema.pg")).unwrap();
        assert!(!source.contains("node C"), "{source}");
    }
}

#[tokio::test]
async fn the_schema_of_a_client_is_known_as_that_of_its_tables_at_fixture_path() {
    for fixture in ["omnigraph-0.7.0-branches", "omnigraph-0.8.0-branches"] {
        let path = FixturePath::unpack(fixture).unwrap();
        let uri = path.uri();
        for name in ["_schema.pg", "_schema.ir.json", "__schema_state.json"] {
            let file = Path::new(&uri).join(name);
            fs::copy(&file, file.with_file_name(format!("{name}.staging"))).unwrap();
        }
        let plan = preview(&uri, &dead()).await;
        assert_eq!(only(&plan).action, RecoverAction::Remove, "{fixture}: {plan:#?}");
        // As if its last schema apply had made a number of a column's values.
        let compiled = Path::new(&uri).join("_schema.ir.json");
        let text = fs::read_to_string(&compiled).unwrap();
        let typed = "\"scalar\": \"String\"";
        assert!(text.contains(typed), "{text}");
        fs::write(&compiled, text.replacen(typed, "\"scalar\": \"I64\"", 1)).unwrap();
        let plan = preview(&uri, &dead()).await;
        assert_eq!(only(&plan).action, RecoverAction::Promote, "{fixture}: {plan:#?}");
    }
}

/// Takes a branch's file away, and leaves everything else of it.
fn forget_branch(dataset: &Path, branch: &str) {
    fs::remove_file(dataset.join("_refs/branches").join(format!("{branch}.json"))).unwrap();
}

#[tokio::test]
async fn what_is_left_of_branches_that_are_none_is_taken_away_once_it_is_old() {
    let wreck = Wreck::new().await.unwrap();
    for branch in ["feat", LOCK, "kept"] {
        wreck.writer.create_branch(branch, "main").await.unwrap();
    }
    for branch in ["feat", LOCK] {
        forget_branch(&wreck.path("__manifest"), branch);
    }
    let rows = graph_rows(wreck.uri()).await.unwrap();
    is_an_obstacle(wreck.uri(), &["no branch feat"]).await;
    let young = recover(wreck.uri(), &RecoverOptions::default()).await;
    assert_eq!(young.exit_code().number(), 12, "{young:#?}");
    assert!(young.roots[0].left.iter().all(|row| row.action == RecoverAction::Wait), "{young:#?}");
    let later = Keeper::builder().clock(|| Utc::now() + TimeDelta::hours(1)).build();
    let done = later.recover([wreck.uri()], &RecoverOptions::default()).await;
    assert_eq!(done.exit_code().number(), 0, "{done:#?}");
    let names: Vec<&str> = done.roots[0].left.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, [LOCK, "feat"]);
    is_at_rest(wreck.uri()).await;
    assert_eq!(graph_rows(wreck.uri()).await.unwrap(), rows);
    // A client can make one of that name again.
    for branch in ["feat", LOCK] {
        wreck.writer.create_branch(branch, "main").await.unwrap();
    }
}

#[tokio::test]
async fn a_v3_graph_that_was_made_without_its_history_gets_it_at_fixture_path() {
    let path = FixturePath::unpack("omnigraph-0.7.0-main-only").unwrap();
    let (uri, root) = (path.uri(), Path::new(&path.uri()).to_owned());
    // With commits in its tables it is no new graph.
    fs::rename(root.join("_graph_commits.lance"), root.join("aside")).unwrap();
    let refused = recover(&uri, &dead()).await;
    assert_eq!(refused.exit_code().number(), 12, "{refused:#?}");
    assert_eq!(
        (only(&refused).what, only(&refused).action),
        (LeftBehind::HalfMade, RecoverAction::Refuse)
    );
    fs::rename(root.join("aside"), root.join("_graph_commits.lance")).unwrap();

    // As the client had it before its first load, and before its history.
    let graph = Graph::open(&Tables::new(), &recognise(&uri).unwrap()).await.unwrap();
    for pin in graph.snapshot(&Branch::main()).await.unwrap().pins {
        while uncommit_above(&root.join(&pin.location), 1).await {}
    }
    while uncommit_above(&root.join("__manifest"), 3).await {}
    for made_last in ["_graph_commits.lance", "_graph_commit_actors.lance"] {
        fs::remove_dir_all(root.join(made_last)).unwrap();
    }
    // Then as a recovery leaves it that died before the first commit, and before the first version.
    let history = root.join("_graph_commits.lance");
    for died in ["", "before its first commit", "before its first version"] {
        match died {
            "" => {}
            "before its first commit" => while uncommit_above(&history, 1).await {},
            _ => fs::remove_dir_all(history.join("_versions")).unwrap(),
        }
        is_an_obstacle(&uri, &["_graph_commits.lance is missing"]).await;
        let done = recover(&uri, &RecoverOptions::default()).await;
        assert_eq!(done.exit_code().number(), 0, "{died}: {done:#?}");
        assert_eq!(only(&done).action, RecoverAction::Add);
        is_at_rest(&uri).await;
        let graph = Graph::open(&Tables::new(), &recognise(&uri).unwrap()).await.unwrap();
        let commits = graph.history(&Branch::main()).await.unwrap().commits;
        assert_eq!(commits.len(), 1, "{died}");
        assert_eq!((commits[0].manifest_version.0, commits[0].parents.len()), (3, 0));
    }
}

/// Takes the newest version of a dataset away, if it is above one.
async fn uncommit_above(dataset: &Path, version: u64) -> bool {
    let table = DatasetBuilder::from_uri(dataset.to_string_lossy()).load().await.unwrap();
    let is_above = table.manifest().version > version;
    if is_above {
        uncommit(dataset).unwrap();
    }
    is_above
}

#[tokio::test]
async fn a_directory_in_which_no_graph_was_made_yet_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["_schema.pg", "_schema.ir.json", "__schema_state.json"] {
        fs::write(directory.path().join(name), "{}").unwrap();
    }
    let uri = directory.path().to_string_lossy().into_owned();
    for report in [preview(&uri, &dead()).await, recover(&uri, &dead()).await] {
        assert_eq!(report.exit_code().number(), 12, "{report:#?}");
        assert!(only(&report).why.contains("but not __manifest"), "{report:#?}");
        assert!(only(&report).hint.as_deref().unwrap().contains("no row was ever in it"));
    }
    let status = Keeper::new().status([&uri]).await;
    assert_eq!(status.exit_code().number(), 10, "{status:#?}");
    let error = status.roots[0].error.as_deref().unwrap();
    assert!(error.contains("_schema.pg") && error.contains("but not __manifest"), "{error}");
    // With tables it goes on being one; with rows in them it is one no more.
    fs::create_dir_all(directory.path().join("nodes/1f/data")).unwrap();
    let report = preview(&uri, &dead()).await;
    assert!(only(&report).why.contains("1 tables, all without rows"), "{report:#?}");
    fs::write(directory.path().join("nodes/1f/data/a.lance"), "").unwrap();
    let report = preview(&uri, &dead()).await;
    assert!(only(&report).hint.as_deref().unwrap().contains("nothing here may be deleted"));
}

#[tokio::test]
async fn while_somebody_may_be_applying_a_schema_nothing_is_written() {
    let wreck = Wreck::new().await.unwrap();
    let table = wreck.named("node:A", "main").await.unwrap();
    let began = Utc::now() - TimeDelta::hours(1);
    let file = wreck.arm("01A", "Load", began, vec![table], &serde_json::json!({})).unwrap();
    wreck.writer.create_branch(LOCK, "main").await.unwrap();
    let before = wreck.writer.view("main", None).await.unwrap();
    for report in [
        preview(wreck.uri(), &RecoverOptions::default()).await,
        recover(wreck.uri(), &RecoverOptions::default()).await,
    ] {
        assert_eq!(report.exit_code().number(), 12, "{report:#?}");
        let rows = &report.roots[0].left;
        let waits = rows.iter().filter(|row| row.action == RecoverAction::Wait && !row.done);
        assert_eq!((rows.len(), waits.count()), (2, 2), "{report:#?}");
    }
    assert!(file.exists());
    assert_eq!(wreck.writer.view("main", None).await.unwrap(), before);
    let done = recover(wreck.uri(), &dead()).await;
    assert_eq!(done.exit_code().number(), 0, "{done:#?}");
    is_at_rest(wreck.uri()).await;
}
