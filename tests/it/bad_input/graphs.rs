//! Graphs that cannot be trusted: `__manifest` damaged or of a newer version, schema files
//! not in order, a schema apply in progress; and graphs that only look strange.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, RecordBatch, RecordBatchIterator, StringArray, UInt64Array, new_null_array,
};
use arrow_schema::Schema;
use chrono::Utc;
use lance::Dataset;
use lance::dataset::transaction::Operation;
use lance::dataset::{WriteMode, WriteParams};
use lancekeeper::{ErrorKind, Keeper, SkipReason};
use lancekeeper_manifest::{Graph, PinMove};
use lancekeeper_model::{Branch, OperationId, Pin, TableKey, TableRef, Version};
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_store::strict::{Signature, commit};
use lancekeeper_testkit::{check_graph, graph_rows};

use crate::binary::{lancekeeper, run};

use super::{COMPANY, DAMAGES, MANIFEST_DAMAGES, PERSON, World, optimize, pins, rows_of_tables};

const STAMP: &str = "omnigraph:internal_schema_version";

#[tokio::test]
async fn a_damaged_table_of_pins_stops_everything_and_is_named() {
    let world = World::new().await;
    let manifest = world.root().join("__manifest");
    let newest = world.newest_manifest(&manifest).await;
    let data = data_files(&world.manifest().await, &manifest);
    let hint = ["nothing was changed", "restore the whole graph from one backup"];

    let newest = (newest, &MANIFEST_DAMAGES[..]);
    for (damaged, damages) in data.into_iter().map(|file| (file, &DAMAGES[..])).chain([newest]) {
        let good = fs::read(&damaged).unwrap();
        for damage in damages {
            damage.inflict(&damaged, &good);
            world.is_refused(1, &["__manifest"], &hint).await;
        }
        fs::write(damaged, good).unwrap();
    }
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn a_table_of_pins_that_lost_its_newest_version_shows_as_drift_and_nothing_is_committed() {
    let world = World::new().await;
    let before = super::files(&world.root());
    let newest = world.newest_manifest(&world.root().join("__manifest")).await;
    fs::remove_file(newest).unwrap();
    let report = optimize(&world.uri()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(report.roots[0].published, 0);
    for table in rows_of_tables(&report.roots[0]) {
        let is_ahead = table.table_key.as_str() != COMPANY;
        assert_eq!(table.skipped, is_ahead.then_some(SkipReason::DriftNeedsRepair), "{table:#?}");
        assert!(table.lance_head_version > table.manifest_version || !is_ahead, "{table:#?}");
    }
    let of_tables = |path: &PathBuf| path.starts_with("nodes") || path.starts_with("edges");
    let tables = |files| -> BTreeMap<PathBuf, Vec<u8>> {
        BTreeMap::into_iter(files).filter(|(path, _)| of_tables(path)).collect()
    };
    assert!(tables(super::files(&world.root())) == tables(before), "a table was written");
}

/// Maintenance never changes rows: versions of ours that did are damage, whoever made it.
#[tokio::test]
async fn versions_of_ours_that_lost_rows_are_an_error_of_their_table_and_are_not_published() {
    let world = World::new().await;
    let head = world.table(PERSON).await;
    let lost = head.fragments()[0].id;
    let operation = Operation::Delete {
        updated_fragments: Vec::new(),
        deleted_fragment_ids: vec![lost],
        predicate: "id = id".to_owned(),
    };
    let signature = Signature {
        operation: OperationId::new("01JZZZZZZZZZZZZZZZZZZZZZZZ"),
        table: TableRef::on_main(TableKey::new(PERSON)),
        step: "rewrite-0".to_owned(),
    };
    commit(&head, operation, &signature).await.unwrap();
    let pin = world.pin(PERSON).await.version;

    let report = optimize(&world.uri()).await;
    assert_eq!(report.exit_code().number(), 3, "{report:#?}");
    let rows = rows_of_tables(&report.roots[0]);
    let table = rows.iter().find(|table| table.table_key.as_str() == PERSON).unwrap();
    super::assert_says(table.error.as_deref(), &["rows", "must not change"]);
    assert_eq!(table.error_kind, Some(ErrorKind::Corrupt));
    assert_eq!(world.pin(PERSON).await.version, pin, "readers see what they saw");
    assert!(graph_rows(&world.uri()).await.unwrap() == world.rows, "rows were lost");
}

#[tokio::test]
async fn an_empty_table_of_pins_stops_everything() {
    let world = World::new().await;
    let manifest = world.root().join("__manifest");
    let aside = world.root().join("aside");
    fs::rename(&manifest, &aside).unwrap();
    fs::create_dir(&manifest).unwrap();
    world.is_refused(1, &["__manifest"], &["restore the whole graph"]).await;
    fs::remove_dir(&manifest).unwrap();
    fs::rename(&aside, &manifest).unwrap();
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn a_graph_of_a_newer_or_unreadable_version_is_left_alone() {
    let world = World::new().await;
    let (newer, restamp) = ("version of lancekeeper", "--restamp");
    for (stamp, exit_code, words, hint) in [
        ("6", 13, ["v6", "upgrade lancekeeper first"], newer),
        ("5", 13, ["stamped 5", "note"], restamp),
        ("abc", 1, ["\"abc\"", "not a number"], restamp),
        ("", 1, ["\"\"", "not a number"], restamp),
    ] {
        world.manifest().await.update_schema_metadata([(STAMP, stamp)]).await.unwrap();
        world.is_refused(exit_code, &words, &[hint]).await;
    }
    world.manifest().await.update_schema_metadata([(STAMP, "4")]).await.unwrap();
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn schema_files_that_are_not_in_order_stop_writes_and_are_named() {
    let world = World::new().await;
    let at = |name: &str| world.root().join(name);

    let compiled = at("_schema.ir.json");
    let good = fs::read_to_string(&compiled).unwrap();
    fs::write(&compiled, good.replacen("Person", "Porson", 1)).unwrap();
    world.is_refused(1, &["_schema.ir.json", "hash"], &["restore the file"]).await;
    fs::write(&compiled, &good[..good.len() / 2]).unwrap();
    world.is_refused(1, &["_schema.ir.json"], &["restore the file"]).await;
    fs::write(&compiled, good).unwrap();

    for missing in ["__schema_state.json", "_schema.pg", "_schema.ir.json"] {
        fs::rename(at(missing), at("aside")).unwrap();
        world.is_refused(1, &[missing, "missing"], &["restore the file"]).await;
        fs::rename(at("aside"), at(missing)).unwrap();
    }

    let staging = at("_schema.pg.staging");
    fs::write(&staging, "node").unwrap();
    world.is_refused(12, &["_schema.pg.staging", "did not finish"], &["finish"]).await;
    fs::remove_file(staging).unwrap();
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn every_verb_that_writes_waits_for_a_schema_apply() {
    let world = World::new().await;
    let mut manifest = world.manifest().await;
    let version = manifest.manifest().version;
    manifest.create_branch("feat", version, None).await.unwrap();
    manifest.create_branch("__schema_apply_lock__", version, None).await.unwrap();
    let words = ["optimize is unavailable while schema apply is in progress"];
    world.is_refused(13, &words, &["__schema_apply_lock__"]).await;
    let (before, uri) = (super::files(&world.root()), world.uri());
    for line in [
        "optimize",
        "optimize --dry-run",
        "cleanup --keep 1",
        "cleanup --keep 1 --confirm",
        "branch create --from main",
        "branch create --dry-run",
        "branch delete",
        "branch delete --confirm",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let branch = match line.split_once(' ') {
            Some(("branch", verb)) => Some(if verb.starts_with("create") { "new" } else { "feat" }),
            _ => None,
        };
        let ran = run(lancekeeper(words.iter().copied().chain([uri.as_str()]).chain(branch)));
        assert_eq!(ran.code, Some(13), "{line}: {ran:#?}");
        let said = "is unavailable while schema apply is in progress";
        assert!(ran.stderr.contains(said), "{line}: {ran:#?}");
    }
    for line in ["status", "count-rows", "branch list"] {
        let ran = run(lancekeeper(line.split(' ').chain([uri.as_str()])));
        assert_eq!(ran.code, Some(0), "{line}: reading waits for nobody: {ran:#?}");
    }
    assert!(super::files(&world.root()) == before, "something was written");
    manifest.delete_branch("__schema_apply_lock__").await.unwrap();
    manifest.delete_branch("feat").await.unwrap();
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn a_graph_without_tables_has_nothing_to_do() {
    let world = World::new().await;
    tombstone(&world.manifest().await, &pins(&world.root()).await).await;
    assert!(pins(&world.root()).await.is_empty());
    let report = optimize(&world.uri()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(rows_of_tables(&report.roots[0]).is_empty());
    assert_eq!(report.roots[0].published, 0);
    let status = Keeper::new().status(&[world.uri()]).await;
    assert_eq!(status.exit_code().number(), 0, "{status:#?}");
    check_graph(&world.uri()).await.unwrap();
}

#[tokio::test]
async fn an_empty_table_of_a_graph_is_no_error() {
    let world = World::new().await;
    for key in [COMPANY, PERSON] {
        let pin = world.pin(key).await;
        let mut table = world.table(key).await;
        table.delete("true").await.unwrap();
        publish(&world, &pin, &table).await;
    }
    let before = graph_rows(&world.uri()).await.unwrap();
    let report = optimize(&world.uri()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    for table in rows_of_tables(&report.roots[0]) {
        let is_empty = [COMPANY, PERSON].contains(&table.table_key.as_str());
        assert_eq!(table.rows_after == 0, is_empty, "{table:#?}");
    }
    assert!(graph_rows(&world.uri()).await.unwrap() == before);
    check_graph(&world.uri()).await.unwrap();
}

/// The data files of a table's HEAD.
fn data_files(table: &Dataset, directory: &std::path::Path) -> Vec<PathBuf> {
    let files = table.fragments().iter().flat_map(|fragment| fragment.files.clone());
    files.map(|file| directory.join("data").join(file.path)).collect()
}

async fn publish(world: &World, pin: &Pin, table: &Dataset) {
    let graph = Graph::open(&Tables::new(), &recognise(&world.uri()).unwrap()).await.unwrap();
    let pin_move = PinMove::to_version_of(pin.key.clone(), pin.version, table).await.unwrap();
    let operation = OperationId::new("a-client");
    let (branch, step) = (Branch::main(), pin.key.to_string());
    graph.publish(&branch, &[pin_move], &operation, &step, None, Utc::now()).await.unwrap();
}

/// Drops tables as a client does: a row above the pinned version.
async fn tombstone(manifest: &Dataset, pins: &[Pin]) {
    let schema: Arc<Schema> = Arc::new(manifest.schema().into());
    let text = |value: &dyn Fn(&Pin) -> String| -> ArrayRef {
        Arc::new(pins.iter().map(|pin| Some(value(pin))).collect::<StringArray>())
    };
    let id = |key: &TableKey, version: Version| format!("{key}$tombstone${:020}", version.0);
    let columns = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "object_id" => text(&|pin| id(&pin.key, pin.version.next())),
            "object_type" => text(&|_| "table_tombstone".to_owned()),
            "table_key" => text(&|pin| pin.key.to_string()),
            "table_version" => {
                Arc::new(UInt64Array::from_iter_values(pins.iter().map(|p| p.version.next().0)))
            }
            _ => new_null_array(field.data_type(), pins.len()),
        })
        .collect();
    let rows = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let params = WriteParams { mode: WriteMode::Append, ..WriteParams::default() };
    let rows = RecordBatchIterator::new([Ok(rows)], schema);
    Dataset::write(rows, Arc::new(manifest.clone()), Some(params)).await.unwrap();
}
