//! What repair does not do: what its writer may be about to publish, what is damaged, what somebody else has not
//! finished, and what makes no sense.

use std::fs;
use std::path::Path;

use chrono::{TimeDelta, Utc};
use lancekeeper::{DriftClass, ErrorKind, Keeper, RepairAction, RepairOptions};
use lancekeeper_testkit::{graph_rows, tables};

use super::world::{World, confirmed, forced, of, rows_of};
use crate::fixtures::tree;

/// Takes the manifest of one version of a table away.
fn lose_version(uri: &str, location: &str, version: u64) {
    let name = format!("{:020}.manifest", u64::MAX - version);
    fs::remove_file(Path::new(uri).join(location).join("_versions").join(name)).unwrap();
}

#[tokio::test]
async fn what_its_writer_may_be_about_to_publish_is_left_to_him() {
    let world = World::with(&["Appended", "Compacted"]).await;
    world.append("node:Appended", "main").await;
    world.compact("node:Compacted").await;
    let minutes = |number| Utc::now() + TimeDelta::minutes(number);
    let at = |number| Keeper::builder().clock(move || minutes(number)).build();
    let (force, back) = (
        RepairOptions { force: true, ..confirmed() },
        RepairOptions { restore_pin: true, ..confirmed() },
    );
    let files = |world: &World| tree(&format!("{}/nodes", world.uri()));
    let before = files(&world);
    for options in [&force, &back] {
        let report = at(14).repair([world.uri()], options).await;
        assert_eq!(report.exit_code().number(), 13, "{report:#?}");
        let row = of(&report, "node:Appended");
        assert_eq!(row.action, RepairAction::Refused);
        assert!(row.reason.contains("may be about to publish"), "{row:#?}");
        assert_ne!(of(&report, "node:Compacted").action, RepairAction::Refused);
        assert_eq!(files(&world), before, "no table was written to");
    }
    assert_eq!(rows_of(world.uri(), "main", "node:Appended").await, 6);
    let report = at(16).repair([world.uri()], &force).await;
    assert_eq!(of(&report, "node:Appended").action, RepairAction::Forced, "{report:#?}");
    assert_eq!(rows_of(world.uri(), "main", "node:Appended").await, 8);
    world.is_level().await;
}

#[tokio::test]
async fn damage_is_told_of_its_table_and_the_others_are_done() {
    let world = World::with(&["Behind", "Gone", "Unread", "Well"]).await;
    for key in ["node:Gone", "node:Well"] {
        world.append(key, "main").await;
    }
    for _ in 0..2 {
        world.compact("node:Unread").await;
        world.head("node:Unread", "main").await;
    }
    let entry = world.entry("node:Behind", "main").await;
    lose_version(world.uri(), &entry.location, entry.version);
    let entry = world.entry("node:Gone", "main").await;
    lose_version(world.uri(), &entry.location, entry.version);
    let entry = world.entry("node:Unread", "main").await;
    lose_version(world.uri(), &entry.location, entry.version + 1);

    let back = RepairOptions { restore_pin: true, assume_dead: true, ..confirmed() };
    let report = world.repair(&back).await;
    assert_eq!(report.exit_code().number(), 3, "{report:#?}");
    let behind = of(&report, "node:Behind");
    assert_eq!(behind.error_kind, Some(ErrorKind::Corrupt), "{behind:#?}");
    assert!(behind.error.as_ref().unwrap().contains("is behind manifest version"), "{behind:#?}");
    let gone = of(&report, "node:Gone");
    assert_eq!(
        (gone.classification, gone.action),
        (Some(DriftClass::Suspicious), RepairAction::Refused)
    );
    assert!(
        gone.reason.contains("nothing to go back to") && gone.rows_pinned.is_none(),
        "{gone:#?}"
    );
    assert_eq!(of(&report, "node:Unread").classification, Some(DriftClass::Unverifiable));
    assert_eq!(of(&report, "node:Unread").action, RepairAction::Restored);
    assert_eq!(of(&report, "node:Well").action, RepairAction::Restored);
    assert_eq!(rows_of_well(&world).await, 6);

    // Where the pinned version is gone, publishing what there is helps readers.
    let tables = vec!["node:Gone".to_owned()];
    let report = world.repair(&RepairOptions { tables, ..forced() }).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let (pin, head) = world.pin_and_head("node:Gone", "main").await;
    assert_eq!(pin, head);
}

/// Counted apart: another table of the graph cannot be read.
async fn rows_of_well(world: &World) -> usize {
    let entry = world.entry("node:Well", "main").await;
    let pinned = world.writer.open(&entry.location, "main", Some(entry.version)).await.unwrap();
    pinned.count_rows(None).await.unwrap()
}

#[tokio::test]
async fn what_somebody_has_not_finished_is_not_repaired() {
    let world = World::with(&["Appended"]).await;
    world.append("node:Appended", "main").await;
    let seen = graph_rows(world.uri()).await.unwrap();
    let entry = world.entry("node:Appended", "main").await;
    let sidecar = serde_json::json!({
        "schema_version": 1, "operation_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "started_at": Utc::now().timestamp_micros().to_string(), "branch": null, "actor_id": null,
        "writer_kind": "Load", "tables": [{
            "table_key": "node:Appended", "table_path": format!("{}/{}", world.uri(), entry.location),
            "expected_version": entry.version, "post_commit_pin": entry.version + 1,
        }],
    });
    let directory = Path::new(world.uri()).join("__recovery");
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("01ARZ3NDEKTSV4RRFFQ69G5FAV.json");
    fs::write(&file, sidecar.to_string()).unwrap();
    let before = tree(world.uri());
    for options in [RepairOptions::default(), confirmed(), forced()] {
        let report = world.repair(&options).await;
        assert_eq!(report.exit_code().number(), 12, "{report:#?}");
        assert_eq!(tree(world.uri()), before);
    }
    fs::remove_file(&file).unwrap();

    world.writer.create_branch("__schema_apply_lock__", "main").await.unwrap();
    let before = tree(world.uri());
    let report = world.repair(&forced()).await;
    assert_eq!(report.exit_code().number(), 13, "{report:#?}");
    assert!(
        report.roots[0].error.as_ref().unwrap().starts_with("repair is unavailable while schema")
    );
    assert_eq!(tree(world.uri()), before);
    assert!(graph_rows(world.uri()).await.unwrap() == seen);
}

#[tokio::test]
async fn names_that_are_not_there_and_roots_without_pins_are_mistakes() {
    let world = World::with(&["Level"]).await;
    let named = |tables: &[&str]| RepairOptions {
        tables: tables.iter().map(|name| (*name).to_owned()).collect(),
        ..confirmed()
    };
    let report = world.repair(&named(&["node:Nobody"])).await;
    assert_eq!(report.exit_code().number(), 2, "{report:#?}");
    let branches = lancekeeper::BranchSelection::Named(vec!["nobody".to_owned()]);
    let report = world.repair(&RepairOptions { branches, ..confirmed() }).await;
    assert_eq!(report.exit_code().number(), 2, "{report:#?}");
    let directory = tempfile::tempdir().unwrap();
    let uri = directory.path().join("events.lance").to_string_lossy().into_owned();
    tables::create(&uri, 2, 10, true).await.unwrap();
    let report = Keeper::new().repair([&uri], &confirmed()).await;
    assert_eq!(report.exit_code().number(), 2, "{report:#?}");
    assert!(report.roots[0].error.as_ref().unwrap().contains("there is no drift"), "{report:#?}");
}
