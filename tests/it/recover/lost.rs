//! What was damaged or lost, and must neither be written over nor be taken for what a crash left.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use lancekeeper::{
    AssumedDead, BranchSelection, CleanupOptions, Keeper, LeftBehind, MigrateGoal, MigrateOptions,
    NoProgress, OptimizeOptions, RecoverAction, RecoverOptions,
};
use lancekeeper_manifest::Graph;
use lancekeeper_model::Branch;
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::{FixturePath, Wreck, graph_rows};
use serde_json::json;

use super::{dead, only, preview, recover};
use crate::fixtures::tree;

fn to_v4(rebuild: bool) -> MigrateOptions {
    MigrateOptions { goal: MigrateGoal::Newest { rebuild }, ..MigrateOptions::default() }
}

#[tokio::test]
async fn a_history_that_cannot_be_read_stops_everybody_before_anything_is_written_at_fixture_path()
{
    let path = FixturePath::unpack("omnigraph-0.7.0-branches").unwrap();
    let uri = path.uri();
    let rows = graph_rows(&uri).await.unwrap();
    let history = Path::new(&uri).join("_graph_commits.lance");
    for manifest in names(&history.join("_versions")).unwrap() {
        fs::write(history.join("_versions").join(manifest), "garbage").unwrap();
    }
    let before = tree(&uri);
    let keeper = Keeper::new();
    let optimized =
        keeper.optimize([&uri], &OptimizeOptions::default(), Arc::new(NoProgress)).await;
    assert_ne!(optimized.exit_code().number(), 0, "{optimized:#?}");
    assert!(optimized.roots[0].error.as_deref().unwrap().contains("commit history"));
    assert!(optimized.roots[0].hint.as_deref().unwrap().contains("--rebuild-history"));
    let migrated = keeper.migrate([&uri], &to_v4(false)).await;
    assert_ne!(migrated.exit_code().number(), 0, "{migrated:#?}");
    assert!(migrated.roots[0].steps.is_empty(), "it began: {migrated:#?}");
    let ours = format!("{uri}/__maintenance");
    let others = |tree: Vec<(String, u64)>| -> Vec<(String, u64)> {
        tree.into_iter().filter(|(path, _)| !path.starts_with(&ours) && *path != uri).collect()
    };
    assert_eq!(others(tree(&uri)), others(before), "something was written");

    // As the hint says.
    fs::remove_dir_all(&history).unwrap();
    let rebuilt = keeper.migrate([&uri], &to_v4(true)).await;
    assert_eq!(rebuilt.exit_code().number(), 0, "{rebuilt:#?}");
    assert!(graph_rows(&uri).await.unwrap() == rows);
}

#[tokio::test]
async fn a_branch_whose_reference_was_lost_is_left_alone_until_somebody_names_it() {
    let wreck = Wreck::new().await.unwrap();
    wreck.writer.create_branch("feat", "main").await.unwrap();
    let table = wreck.commit("node:A", "feat", &["four"]).await.unwrap();
    wreck.publish("node:A", "feat", &table).await.unwrap();
    let rows = graph_rows(wreck.uri()).await.unwrap();
    let reference = wreck.path("__manifest/_refs/branches/feat.json");
    let content = fs::read(&reference).unwrap();
    fs::remove_file(&reference).unwrap();

    let later = Keeper::builder().clock(|| Utc::now() + TimeDelta::hours(1)).build();
    let left = later.recover([wreck.uri()], &RecoverOptions::default()).await;
    assert_eq!(left.exit_code().number(), 12, "{left:#?}");
    assert_eq!((only(&left).action, only(&left).done), (RecoverAction::Refuse, false));
    let hint = only(&left).hint.as_deref().unwrap();
    assert!(hint.contains("_refs/branches") && hint.contains("--assume-dead feat"), "{hint}");
    // So it is where a cleanup had left the newest version alone.
    let versions = wreck.path("__manifest/tree/feat/_versions");
    let mut older: Vec<_> =
        names(&versions).unwrap().into_iter().filter(|name| name.ends_with(".manifest")).collect();
    older.sort_unstable();
    let aside = |name: &str| wreck.path("..").join(name);
    // Their numbers count down.
    for name in older.iter().skip(1) {
        fs::rename(versions.join(name), aside(name)).unwrap();
    }
    let left = later.recover([wreck.uri()], &RecoverOptions::default()).await;
    assert_eq!((only(&left).action, only(&left).done), (RecoverAction::Refuse, false));
    for name in older.iter().skip(1) {
        fs::rename(aside(name), versions.join(name)).unwrap();
    }
    // Nor does any other verb take what it would need, however old it is and whatever the rule.
    let cleaner = Keeper::builder().clock(|| Utc::now() + TimeDelta::days(30)).build();
    let mut strict = CleanupOptions::default();
    strict.policy.keep_versions = Some(1);
    strict.writer_window = TimeDelta::zero();
    for cleaned in [
        cleaner.plan_cleanup([wreck.uri()], &strict).await,
        cleaner.cleanup([wreck.uri()], &strict).await,
    ] {
        assert_eq!(cleaned.exit_code().number(), 0, "{cleaned:#?}");
        let said = cleaned.roots[0].warnings.join("\n");
        assert!(said.contains("no branch feat") && said.contains("--assume-dead feat"), "{said}");
        assert_eq!(cleaned.roots[0].reconciled.reclaimed, [], "{cleaned:#?}");
    }
    let again = Keeper::new().create_branch(wreck.uri(), "feat", "main").await;
    assert_eq!(again.exit_code().number(), 13, "{again:#?}");
    fs::write(&reference, content).unwrap();
    assert_eq!(graph_rows(wreck.uri()).await.unwrap(), rows, "the branch is as it was");

    fs::remove_file(&reference).unwrap();
    let mut named = RecoverOptions::default();
    named.assumed_dead = AssumedDead::These(vec!["feat".to_owned(), "faet".to_owned()]);
    let gone = later.recover([wreck.uri()], &named).await;
    assert_eq!((only(&gone).action, only(&gone).done), (RecoverAction::Remove, true), "{gone:#?}");
    assert!(gone.roots[0].warnings.iter().any(|said| said.contains("faet")), "{gone:#?}");
    assert!(!wreck.path("__manifest/tree/feat").exists());
    let cleaned = cleaner.cleanup([wreck.uri()], &strict).await;
    assert_eq!(cleaned.roots[0].reconciled.reclaimed.len(), 1, "{cleaned:#?}");
}

/// A cleanup leaves one version of a branch that was published to often.
#[tokio::test]
async fn a_branch_of_which_one_version_is_left_was_published_to_all_the_same() {
    let wreck = Wreck::new().await.unwrap();
    wreck.writer.create_branch("feat", "main").await.unwrap();
    wreck.writer.create_branch("fresh", "main").await.unwrap();
    for id in ["four", "five"] {
        let table = wreck.commit("node:A", "feat", &[id]).await.unwrap();
        wreck.publish("node:A", "feat", &table).await.unwrap();
    }
    let versions = wreck.path("__manifest/tree/feat/_versions");
    let mut manifests = names(&versions).unwrap().into_iter().collect::<Vec<_>>();
    manifests.retain(|name| name.ends_with(".manifest"));
    // Names count backwards.
    manifests.sort_unstable();
    for old in &manifests[1..] {
        fs::remove_file(versions.join(old)).unwrap();
    }
    let rows = graph_rows(wreck.uri()).await.unwrap();
    let reference = wreck.path("__manifest/_refs/branches/feat.json");
    let content = fs::read(&reference).unwrap();
    fs::remove_file(&reference).unwrap();
    fs::remove_file(wreck.path("__manifest/_refs/branches/fresh.json")).unwrap();

    let later = Keeper::builder().clock(|| Utc::now() + TimeDelta::hours(1)).build();
    let report = later.recover([wreck.uri()], &RecoverOptions::default()).await;
    let left: Vec<_> =
        report.roots[0].left.iter().map(|row| (row.name.as_str(), row.action, row.done)).collect();
    assert_eq!(
        left,
        [("feat", RecoverAction::Refuse, false), ("fresh", RecoverAction::Remove, true)],
        "{report:#?}"
    );
    fs::write(&reference, content).unwrap();
    let mut expected = rows;
    expected.retain(|(branch, _), _| branch != "fresh");
    assert_eq!(graph_rows(wreck.uri()).await.unwrap(), expected, "the branch is as it was");
}

/// Every file but those of our own.
fn others(uri: &str) -> Vec<(String, u64)> {
    let ours = format!("{uri}/__maintenance");
    let all = tree(uri).into_iter();
    all.filter(|(path, _)| !path.starts_with(&ours) && path != uri).collect()
}

#[tokio::test]
async fn the_lost_history_of_a_branch_is_made_anew_only_when_that_is_said_at_fixture_path() {
    let path = FixturePath::unpack("omnigraph-0.7.0-branches").unwrap();
    let uri = path.uri();
    let rows = graph_rows(&uri).await.unwrap();
    let lose = |branch: &str| {
        let history = Path::new(&uri).join("_graph_commits.lance");
        fs::remove_file(history.join(format!("_refs/branches/{branch}.json"))).unwrap();
        fs::remove_dir_all(history.join("tree").join(branch)).unwrap();
    };
    // To this one nothing was published: its client may have died before it made one.
    lose("lazy");
    let keeper = Keeper::new();
    let plan = keeper.plan_migrate([&uri], &to_v4(false)).await;
    assert_eq!((plan.exit_code().number(), &plan.roots[0].warnings[..]), (0, &[][..]), "{plan:#?}");
    let nothing = keeper.recover([&uri], &RecoverOptions::default()).await;
    assert_eq!(nothing.exit_code().number(), 0, "{nothing:#?}");

    lose("work");
    fs::remove_dir_all(Path::new(&uri).join("_graph_commit_actors.lance")).unwrap();
    let before = others(&uri);
    let all = OptimizeOptions { branches: BranchSelection::All, ..OptimizeOptions::default() };
    let optimized = keeper.optimize([&uri], &all, Arc::new(NoProgress)).await;
    let root = &optimized.roots[0];
    assert!(root.error.as_deref().unwrap().contains("branch work"), "{optimized:#?}");
    assert!(root.hint.as_deref().unwrap().contains("--rebuild-history"), "{optimized:#?}");
    for report in [
        keeper.plan_migrate([&uri], &to_v4(false)).await,
        keeper.migrate([&uri], &to_v4(false)).await,
    ] {
        assert_eq!(report.exit_code().number(), 1, "{report:#?}");
        let root = &report.roots[0];
        assert!(root.error.as_deref().unwrap().contains("branch work is lost"), "{report:#?}");
        assert!(root.hint.as_deref().unwrap().contains("--rebuild-history"), "{report:#?}");
    }
    assert_eq!(others(&uri), before, "something was written");
    let plan = keeper.plan_migrate([&uri], &to_v4(true)).await;
    let rebuilt = keeper.migrate([&uri], &to_v4(true)).await;
    for report in [&plan, &rebuilt] {
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        let said = report.roots[0].warnings.join("\n");
        assert!(said.contains("_graph_commit_actors.lance"), "{report:#?}");
        let work = report.roots[0].branches.iter().find(|of| of.name.label() == "work").unwrap();
        assert!(work.rebuilt > 0, "{report:#?}");
    }
    assert!(graph_rows(&uri).await.unwrap() == rows);
}

/// Makes every version of a dataset, or of a branch of one, unreadable.
fn spoil(dataset: &Path) {
    for name in names(&dataset.join("_versions")).unwrap() {
        fs::write(dataset.join("_versions").join(name), "garbage").unwrap();
    }
}

/// Tables would be restored, and each run would add a row to the history, for nothing.
#[tokio::test]
async fn nothing_is_recovered_that_the_history_could_not_take_in_at_fixture_path() {
    for dataset in ["_graph_commits.lance", "_graph_commit_actors.lance"] {
        for fixture in
            ["omnigraph-0.7.0-killed-load-complete", "omnigraph-0.7.0-killed-load-partial"]
        {
            let path = FixturePath::unpack(fixture).unwrap();
            let uri = path.uri();
            spoil(&Path::new(&uri).join(dataset));
            let before = others(&uri);
            for report in [preview(&uri, &dead()).await, recover(&uri, &dead()).await] {
                assert_eq!(report.exit_code().number(), 12, "{report:#?}");
                let left = &report.roots[0].left;
                assert_eq!(
                    (left[0].what, left[0].action),
                    (LeftBehind::CommitRows, RecoverAction::Refuse)
                );
                assert!(left[0].hint.as_deref().unwrap().contains(dataset), "{report:#?}");
                assert_eq!((left[1].action, left[1].done), (RecoverAction::Wait, false));
            }
            assert_eq!(others(&uri), before, "something was written");
        }
    }
}

#[tokio::test]
async fn a_damaged_history_of_a_branch_stops_nobody_on_others_at_fixture_path() {
    let path = FixturePath::unpack("omnigraph-0.7.0-branches").unwrap();
    let uri = path.uri();
    let rows = graph_rows(&uri).await.unwrap();
    spoil(&Path::new(&uri).join("_graph_commits.lance/tree/work"));
    let keeper = Keeper::new();
    let status = keeper.status([&uri]).await;
    let said = |of: &lancekeeper::Obstacle| {
        of.message.contains("branch work") && of.message.contains("commit history")
    };
    assert!(status.roots[0].obstacles.iter().any(said), "{status:#?}");
    let before = others(&uri);
    let all = OptimizeOptions { branches: BranchSelection::All, ..OptimizeOptions::default() };
    let optimized = keeper.optimize([&uri], &all, Arc::new(NoProgress)).await;
    assert_ne!(optimized.exit_code().number(), 0, "{optimized:#?}");
    let root = &optimized.roots[0];
    assert!(root.error.as_deref().unwrap().contains("commit history of branch work"), "{root:#?}");
    assert_eq!(others(&uri), before, "something was written");

    let optimized =
        keeper.optimize([&uri], &OptimizeOptions::default(), Arc::new(NoProgress)).await;
    assert_eq!(optimized.exit_code().number(), 0, "{optimized:#?}");
    assert!(graph_rows(&uri).await.unwrap() == rows);
    let deleted = keeper.delete_branch(&uri, "work").await;
    assert_eq!(deleted.exit_code().number(), 0, "{deleted:#?}");
    let mut expected = rows;
    expected.retain(|(branch, _), _| branch != "work");
    assert!(graph_rows(&uri).await.unwrap() == expected);
}

/// Nobody can delete or merge a branch that is none.
#[tokio::test]
async fn who_deletes_a_branch_that_a_lost_one_may_read_is_told_what_helps() {
    let wreck = Wreck::new().await.unwrap();
    for branch in ["feat", "other"] {
        wreck.writer.create_branch(branch, "main").await.unwrap();
        let table = wreck.commit("node:A", branch, &["four"]).await.unwrap();
        wreck.publish("node:A", branch, &table).await.unwrap();
    }
    fs::remove_dir_all(wreck.path("__manifest/tree/feat/data")).unwrap();
    fs::remove_file(wreck.path("__manifest/_refs/branches/feat.json")).unwrap();
    let keeper = Keeper::new();
    for report in [
        keeper.plan_delete_branch(wreck.uri(), "other").await,
        keeper.delete_branch(wreck.uri(), "other").await,
    ] {
        assert_eq!(report.exit_code().number(), 13, "{report:#?}");
        let (error, hint) = (report.roots[0].error.as_deref(), report.roots[0].hint.as_deref());
        let (error, hint) = (error.unwrap(), hint.unwrap());
        assert!(error.contains("recover ROOT --assume-dead feat --confirm"), "{error}");
        assert!(hint.contains("--assume-dead") && !hint.contains("merge"), "{hint}");
    }
    let later = Keeper::builder().clock(|| Utc::now() + TimeDelta::hours(1)).build();
    let mut named = RecoverOptions::default();
    named.assumed_dead = AssumedDead::These(vec!["feat".to_owned()]);
    let gone = later.recover([wreck.uri()], &named).await;
    assert_eq!(gone.exit_code().number(), 0, "{gone:#?}");
    let deleted = keeper.delete_branch(wreck.uri(), "other").await;
    assert_eq!(deleted.exit_code().number(), 0, "{deleted:#?}");
}

/// A restore on a branch would be published and not written down.
#[tokio::test]
async fn nothing_is_restored_on_a_branch_whose_history_could_not_take_it_in_at_fixture_path() {
    let path = FixturePath::unpack("omnigraph-0.7.0-branches").unwrap();
    let uri = path.uri();
    let graph = Graph::open(&Tables::new(), &recognise(&uri).unwrap()).await.unwrap();
    let work = Branch::named("work");
    let snapshot = graph.snapshot(&work).await.unwrap();
    let own: Vec<_> = snapshot.pins.iter().filter(|pin| pin.table_branch == work).collect();
    let named: Vec<_> = own[..2]
        .iter()
        .map(|pin| {
            json!({
                "table_key": pin.key.as_str(),
                "table_path": format!("{uri}/{}", pin.location),
                "table_branch": "work",
                "expected_version": pin.version.0,
                "post_commit_pin": pin.version.0 + 1,
            })
        })
        .collect();
    let sidecar = json!({
        "schema_version": 2,
        "operation_id": "01A",
        "started_at": Utc::now().timestamp_micros().to_string(),
        "branch": "work",
        "actor_id": "a-client",
        "writer_kind": "Mutation",
        "tables": named,
    });
    let recovery = Path::new(&uri).join("__recovery");
    fs::create_dir_all(&recovery).unwrap();
    fs::write(recovery.join("01A.json"), sidecar.to_string()).unwrap();
    let at = format!("{uri}/{}", own[0].location);
    let mut table = Tables::new().open(&at, &work).await.unwrap();
    table.delete("true").await.unwrap();
    let ahead = table.manifest().version;
    assert_eq!(ahead, own[0].version.0 + 1);
    let planned = preview(&uri, &dead()).await;
    assert_eq!(only(&planned).action, RecoverAction::RollBack, "{planned:#?}");

    spoil(&Path::new(&uri).join("_graph_commits.lance/tree/work"));
    let planned = preview(&uri, &dead()).await;
    let row = planned.roots[0].left.iter().find(|row| row.name.ends_with("01A.json")).unwrap();
    assert_eq!(row.action, RecoverAction::Refuse, "{planned:#?}");
    assert!(row.why.contains("commit history of branch work"), "{row:#?}");
    let run = recover(&uri, &dead()).await;
    // The sidecar waits for its history, and keeps nobody else's from being ended.
    assert_eq!((run.exit_code().number(), &run.roots[0].error), (12, &None), "{run:#?}");
    let newest = Tables::new().open(&at, &work).await.unwrap().manifest().version;
    assert_eq!(newest, ahead, "it was restored: {run:#?}");
    assert!(recovery.join("01A.json").exists());
}
