//! An old graph in which a client died: its sidecar can be ended only at v3, so it must not hold what takes the
//! graph there, and nothing else may write before it is ended.

use std::fs;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{Keeper, MigrateOptions, RecoverAction, RecoverOptions};
use lancekeeper_model::Branch;
use lancekeeper_testkit::{FixturePath, graph_rows};
use serde_json::json;

use super::bad_stamps::set_stamp;
use super::{V1, all_are_stamped, graph, migrate, optimize, stamp};
use crate::recover::{actions, dead, is_at_rest, recover};

#[tokio::test]
async fn an_old_graph_in_which_a_client_died_is_migrated_and_then_recovered_at_fixture_path() {
    let fixture = FixturePath::unpack(V1).unwrap();
    let uri = fixture.uri();
    let snapshot = graph(&uri).await.snapshot(&Branch::main()).await.unwrap();
    let pin = snapshot
        .pins
        .iter()
        .find(|pin| pin.table_branch == Branch::main() && pin.rows > 1)
        .unwrap();
    let path = format!("{uri}/{}", pin.location);
    let sidecar = |started_at: DateTime<Utc>| {
        json!({
        "schema_version": 1,
        "operation_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "started_at": started_at.timestamp_micros().to_string(),
        "branch": null,
        "actor_id": null,
        "writer_kind": "Mutation",
        "tables": [{
            "table_key": pin.key.to_string(),
            "table_path": path,
            "expected_version": pin.version.0,
            "post_commit_pin": pin.version.0 + 1,
        }],
        })
    };
    let directory = Path::new(&uri).join("__recovery");
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("01ARZ3NDEKTSV4RRFFQ69G5FAV.json");
    fs::write(&file, sidecar(Utc::now()).to_string()).unwrap();
    let mut table = DatasetBuilder::from_uri(&path).load().await.unwrap();
    table.delete("true").await.unwrap();
    let before = graph_rows(&uri).await.unwrap();

    let refused = optimize(&uri).await;
    assert_eq!(refused.exit_code().number(), 12, "{refused:#?}");
    let first = recover(&uri, &dead()).await;
    assert_ne!(first.exit_code().number(), 0, "recovered at v1: {first:#?}");
    let hint = first.roots[0].hint.as_deref().unwrap_or_default();
    assert!(hint.contains("lancekeeper migrate"), "{first:#?}");
    assert!(graph_rows(&uri).await.unwrap() == before, "a refused verb moved rows");

    // Whoever may be alive could not publish any more.
    let young = migrate(&uri, &MigrateOptions::default()).await;
    assert_eq!(young.exit_code().number(), 12, "{young:#?}");
    assert!(young.roots[0].error.as_deref().unwrap().contains("may be alive"), "{young:#?}");
    assert_eq!(stamp(&uri, "main").await.0, None, "a refused migration stamped main");
    // Commits of deletions come before their sidecar.
    fs::write(&file, sidecar(Utc::now() - TimeDelta::minutes(20)).to_string()).unwrap();
    let migrated = migrate(&uri, &MigrateOptions::default()).await;
    assert_eq!(migrated.exit_code().number(), 0, "{migrated:#?}");
    all_are_stamped(&uri, "3").await;
    assert!(graph_rows(&uri).await.unwrap() == before, "the migration moved rows");
    let done = recover(&uri, &dead()).await;
    assert_eq!(done.exit_code().number(), 0, "{done:#?}");
    assert_eq!(actions(&done), [RecoverAction::RollForward], "{done:#?}");
    is_at_rest(&uri).await;
    let now = graph(&uri).await.snapshot(&Branch::main()).await.unwrap();
    assert_eq!(now.pin(&pin.key).unwrap().rows, 0, "what the client committed is published");
    assert_eq!(optimize(&uri).await.exit_code().number(), 0);
}

/// Clients of v3 bring main along when they open, and a branch when they publish to it.
#[tokio::test]
async fn a_branch_that_is_behind_main_is_brought_along_by_its_recovery_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.7.0-branches").unwrap();
    let uri = fixture.uri();
    set_stamp(&uri, "work", "2").await;
    let work = Branch::named("work");
    let snapshot = graph(&uri).await.snapshot(&work).await.unwrap();
    let pin = snapshot.pins.iter().find(|pin| pin.table_branch == work && pin.rows > 1).unwrap();
    let path = format!("{uri}/{}", pin.location);
    let directory = Path::new(&uri).join("__recovery");
    fs::create_dir_all(&directory).unwrap();
    let arm = |id: &str, key: &str, path: &str, started_at: DateTime<Utc>| {
        let sidecar = json!({
            "schema_version": 1,
            "operation_id": id,
            "started_at": started_at.timestamp_micros().to_string(),
            "branch": "work",
            "actor_id": null,
            "writer_kind": "Mutation",
            "tables": [{
                "table_key": key,
                "table_path": path,
                "expected_version": pin.version.0,
                "post_commit_pin": pin.version.0 + 1,
                "table_branch": "work",
            }],
        });
        let file = directory.join(format!("{id}.json"));
        fs::write(&file, sidecar.to_string()).unwrap();
        file
    };
    arm("01ARZ3NDEKTSV4RRFFQ69G5FAV", pin.key.as_str(), &path, Utc::now());
    let mut table = DatasetBuilder::from_uri(&path).with_branch("work", None).load().await.unwrap();
    table.delete("true").await.unwrap();
    // Somebody else began a minute ago.
    let later = || Utc::now() + TimeDelta::hours(1);
    let other = snapshot.pins.iter().find(|other| other.key != pin.key).unwrap();
    let place = format!("{uri}/{}", other.location);
    let began = later() - TimeDelta::minutes(1);
    let young = arm("01BRZ3NDEKTSV4RRFFQ69G5FAV", other.key.as_str(), &place, began);
    let keeper = Keeper::builder().clock(later).build();
    let options = RecoverOptions::default();
    let held = keeper.recover([&uri], &options).await;
    assert_eq!(actions(&held), [RecoverAction::Wait, RecoverAction::Wait], "{held:#?}");
    assert!(held.roots[0].left[0].why.contains("01BRZ3NDEKTSV4RRFFQ69G5FAV"), "{held:#?}");
    assert_eq!(stamp(&uri, "work").await.0.as_deref(), Some("2"), "he could not publish any more");

    fs::remove_file(young).unwrap();
    let plan = keeper.plan_recover([&uri], &options).await;
    assert!(plan.roots[0].warnings.iter().any(|said| said.contains("work")), "{plan:#?}");
    let done = keeper.recover([&uri], &options).await;
    assert_eq!(done.exit_code().number(), 0, "{done:#?}");
    assert_eq!(
        (actions(&plan), actions(&done)),
        (vec![RecoverAction::RollForward], actions(&plan))
    );
    assert_eq!(
        done.roots[0].recovery.migrated.as_ref().unwrap().branches,
        ["work"].map(Branch::named)
    );
    all_are_stamped(&uri, "3").await;
    let now = graph(&uri).await.snapshot(&work).await.unwrap();
    assert_eq!(now.pin(&pin.key).unwrap().rows, 0, "what the client committed is published");
    is_at_rest(&uri).await;
}
