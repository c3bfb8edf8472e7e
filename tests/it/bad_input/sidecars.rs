//! Sidecars that cannot be read, that are too new, or that a living writer has armed.

use std::fs;

use chrono::Utc;
use lancekeeper::SkipReason;
use lancekeeper_testkit::invariants::names;
use serde_json::json;

use super::{KNOWS, World, optimize, pins, rows_of_tables};

const FILE: &str = "__recovery/01JZZZZZZZZZZZZZZZZZZZZZZZ.json";

#[tokio::test]
async fn a_sidecar_that_cannot_be_understood_stops_every_write_and_is_named() {
    let world = World::new().await;
    let file = world.root().join(FILE);
    let newer = sidecar(&world, 9, &[KNOWS]).await;
    for (content, word) in [
        ("{\"schema_version\":1,".to_owned(), "cannot be read"),
        (String::new(), "cannot be read"),
        ("[]".to_owned(), "cannot be read"),
        (newer, "schema version 9"),
    ] {
        fs::write(&file, content).unwrap();
        world.is_refused(12, &[FILE, word], &["the client that wrote the file"]).await;
    }
    fs::remove_file(file).unwrap();
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn the_tables_of_a_living_writer_are_left_to_it() {
    let world = World::new().await;
    let file = world.root().join(FILE);
    let content = sidecar(&world, 1, &[KNOWS]).await;
    fs::write(&file, &content).unwrap();
    let versions = names(&world.directory(KNOWS).await.join("_versions")).unwrap();

    let report = optimize(&world.uri()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    for table in rows_of_tables(&report.roots[0]) {
        let is_theirs = table.table_key.as_str() == KNOWS;
        assert_eq!(table.skipped, is_theirs.then_some(SkipReason::RecoveryPending), "{table:#?}");
        assert_eq!(table.error, None);
        assert_eq!(table.fragments_after > 2, is_theirs, "{table:#?}");
    }
    assert_eq!(names(&world.directory(KNOWS).await.join("_versions")).unwrap(), versions);
    assert_eq!(fs::read_to_string(&file).unwrap(), content);
    assert_eq!(names(&world.root().join("__recovery")).unwrap().len(), 1);
    fs::remove_file(file).unwrap();
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn a_graph_that_a_living_writer_holds_whole_needs_recovery_first() {
    let world = World::new().await;
    let file = world.root().join(FILE);
    let all = pins(&world.root()).await;
    let keys: Vec<_> = all.iter().map(|pin| pin.key.as_str()).collect();
    fs::write(&file, sidecar(&world, 1, &keys).await).unwrap();
    let report = optimize(&world.uri()).await;
    assert_eq!(report.exit_code().number(), 12, "{report:#?}");
    assert_eq!(report.roots[0].published, 0);
    for table in rows_of_tables(&report.roots[0]) {
        assert_eq!(table.skipped, Some(SkipReason::RecoveryPending));
        super::assert_says(Some(&table.reason), &[FILE, "Load"]);
    }
    fs::remove_file(file).unwrap();
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn a_sidecar_of_ours_over_a_missing_table_is_refused_and_the_table_is_named() {
    let world = World::new().await;
    let directory = world.directory(KNOWS).await;
    let file = world.root().join(FILE);
    let mut ours: serde_json::Value =
        serde_json::from_str(&sidecar(&world, 1, &[KNOWS]).await).unwrap();
    ours["keeper"] = json!({"schema": 1, "operation": "01JZZZZZZZZZZZZZZZZZZZZZZZ"});
    fs::write(&file, ours.to_string()).unwrap();
    let aside = world.root().join("aside");
    fs::rename(&directory, &aside).unwrap();
    let place = directory.file_name().unwrap().to_string_lossy().into_owned();
    world.is_refused(12, &["cannot be recovered", FILE, &place], &["`lancekeeper recover"]).await;
    fs::rename(&aside, &directory).unwrap();
    world.nothing_is_lost().await;
}

/// A client's sidecar over tables it is about to write, armed just now.
async fn sidecar(world: &World, schema_version: u32, keys: &[&str]) -> String {
    let mut tables = Vec::new();
    for key in keys {
        let pin = world.pin(key).await;
        tables.push(json!({
            "table_key": key,
            "table_path": world.root().join(&pin.location).to_string_lossy(),
            "expected_version": pin.version,
            "post_commit_pin": pin.version.next(),
        }));
    }
    json!({
        "schema_version": schema_version,
        "operation_id": "01JZZZZZZZZZZZZZZZZZZZZZZZ",
        "started_at": Utc::now().timestamp_micros().to_string(),
        "branch": null,
        "actor_id": null,
        "writer_kind": "Load",
        "tables": tables,
    })
    .to_string()
}
