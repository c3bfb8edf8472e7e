//! Steps with tables of databases: names of manifests, row ids that stay, data files of another version. Rows,
//! versions, branches, tags and the answers of indexes are the same afterwards, for whoever opens the table.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatchIterator;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::transaction::Operation;
use lance::dataset::{WriteMode, WriteParams};
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper::{
    IndexMode, Keeper, ManifestPaths, MigrateGoal, MigrateOptions, MigrateReport, MigratedTable,
    NoProgress, OptimizeOptions, StorageVersion, TableStep, VerifyOptions,
};
use lancekeeper_model::{OperationId, TableKey, TableRef};
use lancekeeper_store::row_ids::give_stable_row_ids;
use lancekeeper_store::strict::{CommitError, Signature, commit};
use lancekeeper_testkit::invariants::{check_files, names};
use lancekeeper_testkit::{Fixture, table_rows, tables};
use tempfile::TempDir;

use super::migrate;
use crate::fixtures::tree;

/// A version, or a branch of a table.
type Rows = BTreeMap<String, Vec<String>>;

fn step(step: TableStep) -> MigrateOptions {
    MigrateOptions { goal: MigrateGoal::Tables(step), ..MigrateOptions::default() }
}

fn alone() -> MigrateOptions {
    step(TableStep::ManifestPaths { assume_alone: true })
}

/// A database of tables that were made as an old client makes them.
struct Database {
    directory: TempDir,
}

impl Database {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn uri(&self) -> String {
        self.directory.path().to_str().unwrap().to_owned()
    }

    fn path(&self, table: &str) -> PathBuf {
        self.directory.path().join(format!("{table}.lance"))
    }

    fn table(&self, table: &str) -> String {
        self.path(table).to_str().unwrap().to_owned()
    }

    async fn head(&self, table: &str) -> Dataset {
        DatasetBuilder::from_uri(self.table(table)).load().await.unwrap()
    }

    /// A table of twelve appends of ten rows, with deletions, a branch with rows of its own, and tags on both.
    async fn make(&self, table: &str, version: &str, stable_row_ids: bool) {
        let uri = self.table(table);
        let params = WriteParams {
            enable_v2_manifest_paths: false,
            enable_stable_row_ids: stable_row_ids,
            data_storage_version: Some(version.parse().unwrap()),
            ..WriteParams::default()
        };
        write(&uri, 0, params).await;
        for n in 1..12 {
            append(&uri, n * 10).await;
        }
        let mut head = self.head(table).await;
        head.delete("id IN (3, 15, 16)").await.unwrap();
        head.tags().create("middle", 5).await.unwrap();
        let mut side = head.create_branch("a/side", 7, None).await.unwrap();
        side.delete("id = 41").await.unwrap();
        let batch = tables::batch(900, 5);
        let schema = batch.schema();
        let reader = RecordBatchIterator::new([Ok(batch)], schema);
        side.append(reader, None).await.unwrap();
    }

    async fn index(&self, table: &str) {
        let mut head = self.head(table).await;
        let params = ScalarIndexParams::default();
        head.create_index(&["id"], IndexType::BTree, None, &params, false).await.unwrap();
    }

    /// What every version, tag and branch of a table reads, opened anew each time.
    async fn rows(&self, table: &str) -> Rows {
        let head = self.head(table).await;
        let mut all = Rows::new();
        for version in head.versions().await.unwrap() {
            let at = DatasetBuilder::from_uri(self.table(table)).with_version(version.version);
            let rows = table_rows(&at.load().await.unwrap()).await.unwrap();
            all.insert(format!("{}", version.version), rows);
        }
        for (tag, _) in head.tags().list().await.unwrap() {
            let at = DatasetBuilder::from_uri(self.table(table)).with_tag(&tag);
            all.insert(tag, table_rows(&at.load().await.unwrap()).await.unwrap());
        }
        for (branch, _) in head.list_branches().await.unwrap() {
            let at = DatasetBuilder::from_uri(self.table(table)).with_branch(&branch, None);
            let opened = at.load().await.unwrap();
            all.insert(
                format!("{branch} {}", opened.manifest().version),
                table_rows(&opened).await.unwrap(),
            );
        }
        all
    }

    /// What an index on `id` finds.
    async fn found(&self, table: &str) -> Vec<usize> {
        let head = self.head(table).await;
        let mut found = Vec::new();
        for id in [3, 4, 15, 17, 88, 119] {
            let mut scan = head.scan();
            scan.filter(&format!("id = {id}")).unwrap();
            found.push(scan.try_into_batch().await.unwrap().num_rows());
        }
        found
    }

    async fn is_sound(&self) {
        let verified = Keeper::new().verify([self.uri()], &VerifyOptions::default()).await;
        assert_eq!(verified.exit_code().number(), 0, "{verified:#?}");
    }

    async fn optimize(&self) {
        let options = OptimizeOptions::default();
        let report = Keeper::new().optimize(&[self.uri()], &options, Arc::new(NoProgress)).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    }
}

async fn write(uri: &str, first: i64, params: WriteParams) {
    let batch = tables::batch(first, 10);
    let schema = batch.schema();
    let reader = RecordBatchIterator::new([Ok(batch)], schema);
    Dataset::write(reader, uri, Some(params)).await.unwrap();
}

/// An append as a client makes it that says nothing of formats.
async fn append(uri: &str, first: i64) {
    write(uri, first, WriteParams { mode: WriteMode::Append, ..WriteParams::default() }).await;
}

fn row<'a>(report: &'a MigrateReport, table: &str, branch: &str) -> &'a MigratedTable {
    let rows = &report.roots[0].tables;
    let is_it =
        |row: &&MigratedTable| row.table_key.as_str() == table && row.branch.label() == branch;
    rows.iter().find(is_it).unwrap_or_else(|| panic!("no row of {table}@{branch}: {report:#?}"))
}

/// The manifests of a directory that have the old names, and those that have the new ones.
fn manifests(directory: &Path) -> (usize, usize) {
    let all = names(&directory.join("_versions")).unwrap();
    let all: Vec<_> = all.iter().filter(|name| name.ends_with(".manifest")).collect();
    let new = all.iter().filter(|name| name.len() == "18446744073709551615.manifest".len()).count();
    (all.len() - new, new)
}

/// Gives a manifest its new name by hand, as somebody would who was cut off.
fn rename(table: &Path, version: u64, keeps_old: bool) {
    let versions = table.join("_versions");
    let old = versions.join(format!("{version}.manifest"));
    let new = versions.join(format!("{:020}.manifest", u64::MAX - version));
    fs::copy(&old, new).unwrap();
    if !keeps_old {
        fs::remove_file(old).unwrap();
    }
}

fn code(report: &MigrateReport) -> i32 {
    i32::from(report.exit_code().number())
}

#[tokio::test]
async fn manifests_get_new_names_and_every_version_tag_and_branch_reads_as_before() {
    let database = Database::new();
    database.make("events", "2.0", false).await;
    database.index("events").await;
    database.make("people", "2.1", true).await;
    let before = (database.rows("events").await, database.rows("people").await);
    let found = database.found("events").await;

    // Nothing was asked: only what there is.
    let listed = migrate(&database.uri(), &MigrateOptions::default()).await;
    assert_eq!((code(&listed), listed.roots[0].available.len()), (0, 3), "{listed:#?}");
    let events = row(&listed, "events", "main");
    assert_eq!(events.manifest_paths, Some(ManifestPaths::V1));
    assert_eq!(
        (events.storage_version.as_deref(), events.stable_row_ids),
        (Some("2.0"), Some(false))
    );
    assert_eq!(row(&listed, "people", "main").stable_row_ids, Some(true));
    assert!(row(&listed, "people", "a/side").error.is_none());

    // Who does not promise to be alone changes nothing.
    let shape = tree(&database.uri());
    let unsafe_step = step(TableStep::ManifestPaths { assume_alone: false });
    let planned = Keeper::new().plan_migrate([database.uri()], &unsafe_step).await;
    assert_eq!(code(&planned), 0, "{planned:#?}");
    assert!(row(&planned, "events", "main").changed);
    assert!(planned.roots[0].warnings[0].contains("not safe"), "{planned:#?}");
    let refused = migrate(&database.uri(), &unsafe_step).await;
    assert_eq!(code(&refused), 13, "{refused:#?}");
    assert_eq!(tree(&database.uri()), shape);

    let one = MigrateOptions { tables: vec!["people".to_owned()], ..alone() };
    let report = migrate(&database.uri(), &one).await;
    assert_eq!(code(&report), 0, "{report:#?}");
    assert_eq!(manifests(&database.path("events")).1, 0);
    assert_eq!(manifests(&database.path("people")).0, 0);
    let report = migrate(&database.uri(), &alone()).await;
    assert_eq!(code(&report), 0, "{report:#?}");
    for directory in [database.path("events"), database.path("events").join("tree/a/side")] {
        let (old, new) = manifests(&directory);
        assert!(old == 0 && new > 0, "{directory:?}: {old} old, {new} new");
    }
    assert_eq!((database.rows("events").await, database.rows("people").await), before);
    assert_eq!(database.found("events").await, found);
    database.is_sound().await;

    let shape = names(&database.path("events")).unwrap();
    let second = migrate(&database.uri(), &alone()).await;
    assert!(second.roots[0].tables.iter().all(|table| !table.changed), "{second:#?}");
    assert_eq!(names(&database.path("events")).unwrap(), shape);
    // Life goes on: clients and keepers write under the new names.
    append(&database.table("events"), 120).await;
    database.optimize().await;
    assert_eq!(manifests(&database.path("events")).0, 0);
    database.is_sound().await;
}

#[tokio::test]
async fn a_renaming_that_was_cut_off_is_finished_and_two_commits_of_one_version_are_left_alone() {
    let database = Database::new();
    database.make("events", "2.1", false).await;
    let before = database.rows("events").await;
    let path = database.path("events");
    rename(&path, 13, false);
    rename(&path, 12, false);
    rename(&path, 11, true);

    let listed = migrate(&database.uri(), &MigrateOptions::default()).await;
    assert_eq!(row(&listed, "events", "main").manifest_paths, Some(ManifestPaths::Mixed));
    let said = row(&listed, "events", "main").error.clone().unwrap();
    assert!(said.contains("multiple manifest naming schemes"), "{said}");
    let report = migrate(&database.uri(), &alone()).await;
    assert_eq!(code(&report), 0, "{report:#?}");
    assert_eq!(manifests(&path), (0, 13));
    assert_eq!(database.rows("events").await, before);
    database.is_sound().await;

    // Somebody whose handle is from before commits what nobody else has committed: it is HEAD.
    let stray = path.join("_versions/14.manifest");
    append(&database.table("events"), 200).await;
    let new = path.join(format!("_versions/{:020}.manifest", u64::MAX - 14));
    fs::rename(&new, &stray).unwrap();
    let report = migrate(&database.uri(), &alone()).await;
    assert_eq!(code(&report), 0, "{report:#?}");
    assert_eq!(database.head("events").await.manifest().version, 14);

    // But not if that version is another's, too: which of them counts nobody knows.
    fs::copy(path.join(format!("_versions/{:020}.manifest", u64::MAX - 3)), &stray).unwrap();
    let report = migrate(&database.uri(), &alone()).await;
    let said = row(&report, "events", "main").error.clone().unwrap();
    assert!(said.contains("version 14 was committed twice"), "{said}");
    assert!(stray.exists() && new.exists());
    assert_eq!(code(&report), 1, "{report:#?}");
}

#[tokio::test]
async fn row_ids_stay_from_then_on_where_there_are_no_indexes() {
    let database = Database::new();
    database.make("events", "2.1", false).await;
    database.make("indexed", "2.1", false).await;
    database.index("indexed").await;
    database.make("stable", "2.1", true).await;
    let mut cleaning = {
        database.make("cleaning", "2.1", false).await;
        database.head("cleaning").await
    };
    cleaning.update_config([("lance.auto_cleanup.interval", "1")]).await.unwrap();
    let before = database.rows("events").await;
    let others = [database.path("indexed"), database.path("stable"), database.path("cleaning")];
    let shapes: Vec<_> = others.iter().map(|path| tree(path.to_str().unwrap())).collect();

    let report = migrate(&database.uri(), &step(TableStep::StableRowIds)).await;
    assert_eq!(code(&report), 3, "{report:#?}");
    let said = |table| row(&report, table, "main").error.clone().unwrap();
    assert!(said("indexed").contains("id_idx"), "{}", said("indexed"));
    assert!(said("cleaning").contains("lance.auto_cleanup.interval"), "{}", said("cleaning"));
    assert!(row(&report, "events", "main").changed && !row(&report, "stable", "main").changed);
    let now: Vec<_> = others.iter().map(|path| tree(path.to_str().unwrap())).collect();
    assert_eq!(now, shapes);

    let head = database.head("events").await;
    assert!(head.manifest().uses_stable_row_ids());
    let mut rows = database.rows("events").await;
    let newest = rows.remove(&head.manifest().version.to_string()).unwrap();
    assert_eq!((&rows, &newest), (&before, &before["13"]), "one version more, with the same rows");
    let ids = row_ids(&head).await;
    database.index("events").await;
    database.optimize().await;
    let head = database.head("events").await;
    assert!(head.fragments().len() < 12, "it was compacted");
    assert_eq!(row_ids(&head).await, ids);
    assert_eq!(database.found("events").await, [0, 1, 0, 1, 1, 1]);
    check_files(&head, &database.path("events")).await.unwrap();
    database.is_sound().await;
}

/// The id of each row, by its key.
async fn row_ids(table: &Dataset) -> BTreeMap<i64, u64> {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, UInt64Type};
    let mut scan = table.scan();
    scan.with_row_id();
    let batch = scan.try_into_batch().await.unwrap();
    let keys = batch["id"].as_primitive::<Int64Type>().values().iter().copied();
    let ids = batch["_rowid"].as_primitive::<UInt64Type>().values().iter().copied();
    keys.zip(ids).collect()
}

#[tokio::test]
async fn data_files_get_another_version_and_stay_there_through_later_compactions() {
    let database = Database::new();
    for (table, is_stable) in [("events", false), ("people", true)] {
        database.make(table, "2.0", is_stable).await;
        database.index(table).await;
    }
    let before = (database.rows("events").await, database.rows("people").await);
    let ids = row_ids(&database.head("people").await).await;
    let found = database.found("events").await;
    let to = step(TableStep::StorageVersion(StorageVersion::V2_1));
    let planned = Keeper::new().plan_migrate([database.uri()], &to).await;
    let events = row(&planned, "events", "main");
    assert!(events.changed && events.bytes > 0, "{events:#?}");
    assert!(events.reason.contains("12 data files"), "{events:#?}");
    assert!(events.reason.contains("the table itself stays at 2.0"), "{events:#?}");

    let report = migrate(&database.uri(), &to).await;
    assert_eq!(code(&report), 0, "{report:#?}");
    for table in ["events", "people"] {
        let row = row(&report, table, "main");
        assert_eq!(row.file_versions, ["2.1"], "{row:#?}");
        let now = database.rows(table).await;
        let was = if table == "events" { &before.0 } else { &before.1 };
        assert!(was.iter().all(|(at, rows)| now[at] == *rows), "{table}");
        let head = database.head(table).await;
        assert_eq!(now[&head.manifest().version.to_string()], was["14"], "{table}");
        assert_eq!(head.fragments().len(), 12, "{table}: each for itself");
        assert_eq!(database.found(table).await, found);
        check_files(&head, &database.path(table)).await.unwrap();
    }
    assert_eq!(row_ids(&database.head("people").await).await, ids);
    database.is_sound().await;
    let again = migrate(&database.uri(), &to).await;
    assert!(again.roots[0].tables.iter().all(|table| !table.changed), "{again:#?}");

    // What clients append is of the old version, until it is compacted.
    append(&database.table("events"), 120).await;
    database.optimize().await;
    let listed = migrate(&database.uri(), &MigrateOptions::default()).await;
    let events = row(&listed, "events", "main");
    assert_eq!(
        (events.storage_version.as_deref(), &events.file_versions[..]),
        (Some("2.0"), &["2.1".to_owned()][..])
    );
    database.is_sound().await;

    let older =
        migrate(&database.uri(), &step(TableStep::StorageVersion(StorageVersion::V2_0))).await;
    assert_eq!(code(&older), 13, "{older:#?}");
    assert!(
        row(&older, "events", "main").error.as_ref().unwrap().contains("is older"),
        "{older:#?}"
    );
}

/// Keepers that run on have handles, too.
#[tokio::test]
async fn no_commit_of_ours_is_made_on_a_handle_from_before() {
    let database = Database::new();
    database.make("events", "2.1", false).await;
    let events = TableRef::on_main(TableKey::new("events"));
    let before = database.head("events").await;
    let report = migrate(&database.uri(), &alone()).await;
    assert_eq!(code(&report), 0, "{report:#?}");
    let shape = names(&database.path("events").join("_versions")).unwrap();
    let signature = Signature {
        operation: OperationId::new("01JZZZZZZZZZZZZZZZZZZZZZZZ"),
        table: events.clone(),
        step: "reserve-0".to_owned(),
    };
    let reserve = || Operation::ReserveFragments { num_fragments: 1 };
    let refused = commit(&before, reserve(), &signature).await.unwrap_err();
    assert!(matches!(refused, CommitError::Conflict { .. }), "{refused}");
    assert_eq!(names(&database.path("events").join("_versions")).unwrap(), shape);
    let now = database.head("events").await;
    commit(&now, reserve(), &signature).await.unwrap();

    // Nor are row ids given on top of what somebody else has committed since.
    let refused = give_stable_row_ids(&now, &events).await.unwrap_err();
    assert!(matches!(refused, CommitError::Conflict { .. }), "{refused}");
    let head = database.head("events").await;
    assert!(!head.manifest().uses_stable_row_ids() && head.manifest().version == 14);
}

#[tokio::test]
async fn tables_of_graphs_stay_as_their_clients_made_them() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let shape = tree(&uri);
    let steps = [
        TableStep::StorageVersion(StorageVersion::V2_2),
        TableStep::ManifestPaths { assume_alone: true },
        TableStep::StableRowIds,
    ];
    for of in steps {
        let refused = migrate(&uri, &step(of)).await;
        assert_eq!(code(&refused), 13, "{refused:#?}");
        assert!(refused.roots[0].error.as_ref().unwrap().contains("is a graph"), "{refused:#?}");
    }
    let storage_version = Some(StorageVersion::V2_2);
    let options =
        OptimizeOptions { storage_version, index: IndexMode::Keep, ..OptimizeOptions::default() };
    let refused = Keeper::new().optimize([&uri], &options, Arc::new(NoProgress)).await;
    assert_eq!(refused.exit_code().number(), 13, "{refused:#?}");
    assert_eq!(tree(&uri), shape);
}
