//! A directory is what its contents say: clones, namespaces, bases, names without a table, tables
//! in tables, and the Lance branches of tables. Each is maintained or left with the true reason,
//! and reads the same after everything we do.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_array::{RecordBatch, RecordBatchIterator, StringArray};
use arrow_schema::{DataType, Field, Schema};
use chrono::TimeDelta;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::{WriteMode, WriteParams};
use lance_table::format::BasePath;
use lancekeeper::{
    BranchSelection, CleanupOptions, CleanupPolicyOptions, CleanupReport, Keeper, NoProgress,
    OptimizeOptions, OptimizeReport,
};
use lancekeeper_model::{CountOptions, StatusOptions};
use lancekeeper_testkit::{table_rows, tables};
use tempfile::TempDir;

use crate::fixtures::tree;

/// A directory with tables in it.
struct World {
    directory: TempDir,
}

/// Rows by table location and branch.
type Rows = BTreeMap<(String, String), Vec<String>>;

impl World {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("db").join(name)
    }

    fn uri(&self, name: &str) -> String {
        self.path(name).to_string_lossy().trim_end_matches('/').to_owned()
    }

    async fn open(&self, name: &str, branch: &str) -> Dataset {
        let builder = DatasetBuilder::from_uri(self.uri(name));
        let builder = if branch == "main" { builder } else { builder.with_branch(branch, None) };
        builder.load().await.unwrap()
    }

    async fn rows(&self, names: &[&str]) -> Rows {
        let mut rows = Rows::new();
        for name in names {
            let main = self.open(name, "main").await;
            let branches = main.list_branches().await.unwrap();
            for branch in branches.keys().map(String::as_str).chain(["main"]) {
                let head = self.open(name, branch).await;
                let read = table_rows(&head).await.unwrap();
                rows.insert(((*name).to_owned(), branch.to_owned()), read);
            }
        }
        rows
    }

    async fn append(&self, name: &str, branch: &str, first: i64) {
        let head = Arc::new(self.open(name, branch).await);
        let batch = tables::batch(first, 2);
        let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
        let params = WriteParams { mode: WriteMode::Append, ..WriteParams::default() };
        Dataset::write(reader, head, Some(params)).await.unwrap();
    }

    async fn optimize(&self, name: &str, options: &OptimizeOptions) -> OptimizeReport {
        Keeper::new().optimize(&[self.uri(name)], options, Arc::new(NoProgress)).await
    }

    /// Optimizes, finds the second run idle, cleans up; the same is read all along.
    async fn is_kept(
        &self,
        root: &str,
        names: &[&str],
        options: &OptimizeOptions,
    ) -> (OptimizeReport, CleanupReport) {
        let before = self.rows(names).await;
        let report = self.optimize(root, options).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert_eq!(self.rows(names).await, before);
        let files = tree(&self.uri(root));
        let second = self.optimize(root, options).await;
        assert_eq!(second.totals.tables_committed, 0, "{second:#?}");
        assert_eq!(tree(&self.uri(root)), files, "the second run wrote something");
        let cleaned = self.clean(root).await;
        assert_eq!(cleaned.exit_code().number(), 0, "{cleaned:#?}");
        assert_eq!(self.rows(names).await, before);
        let third = self.optimize(root, options).await;
        assert_eq!(third.totals.tables_committed, 0, "{third:#?}");
        (report, cleaned)
    }

    async fn clean(&self, root: &str) -> CleanupReport {
        let options = CleanupOptions {
            policy: CleanupPolicyOptions { keep_versions: Some(1), older_than: None },
            writer_window: TimeDelta::zero(),
            ..CleanupOptions::default()
        };
        Keeper::new().cleanup(&[self.uri(root)], &options).await
    }
}

/// What became of each table: name, branch, whether it was committed, the token.
fn outcomes(report: &OptimizeReport) -> Vec<(String, String, bool, Option<&'static str>)> {
    let row = |row: &lancekeeper::TableOptimizeStats| {
        let skipped = row.skipped.map(|reason| reason.as_str());
        (row.table_key.to_string(), row.branch.to_string(), row.committed, skipped)
    };
    report.roots[0].tables.iter().map(row).collect()
}

fn on(branches: BranchSelection) -> OptimizeOptions {
    OptimizeOptions { branches, ..OptimizeOptions::default() }
}

/// Table `a` with branches `b1` and, cut from that, `b2`; clone `c` of `a` with branch `dev` and,
/// cut from that, `deep`; clone `cc` of `c` and clone `d` of `b1`, each with a branch of its own.
async fn with_clones(world: &World) {
    let at = |name: &str| world.uri(&format!("{name}.lance"));
    let mut a = tables::create(&at("a"), 3, 4, false).await.unwrap();
    a.shallow_clone(&at("c"), 3, None).await.unwrap();
    world.append("c.lance", "main", 100).await;
    world.open("c.lance", "main").await.create_branch("dev", 4, None).await.unwrap();
    world.append("c.lance", "dev", 110).await;
    let mut dev = world.open("c.lance", "dev").await;
    dev.create_branch("deep", ("dev", Some(5)), None).await.unwrap();
    let mut c = world.open("c.lance", "main").await;
    c.shallow_clone(&at("cc"), 4, None).await.unwrap();
    world.append("cc.lance", "main", 120).await;
    world.open("cc.lance", "main").await.create_branch("x", 5, None).await.unwrap();
    a.create_branch("b1", 3, None).await.unwrap();
    world.append("a.lance", "b1", 130).await;
    let mut b1 = world.open("a.lance", "b1").await;
    b1.create_branch("b2", ("b1", Some(4)), None).await.unwrap();
    b1.shallow_clone(&at("d"), ("b1", Some(4)), None).await.unwrap();
    world.open("d.lance", "main").await.create_branch("y", 4, None).await.unwrap();
}

const CLONES: &[&str] = &["a.lance", "c.lance", "cc.lance", "d.lance"];

#[tokio::test]
async fn clones_their_branches_and_clones_of_those_read_the_same_after_everything() {
    let world = World::new();
    with_clones(&world).await;
    let (report, _) = world.is_kept("", CLONES, &OptimizeOptions::default()).await;
    let done = outcomes(&report);
    assert_eq!(done[0], ("a".to_owned(), "main".to_owned(), true, None));
    assert_eq!(done[3].3, Some("files_in_base"), "{report:#?}");
    let (report, _) = world.is_kept("", CLONES, &on(BranchSelection::All)).await;
    assert_eq!(outcomes(&report).len(), 10, "{report:#?}");
    // Alone as well, as a clone of something outside of its root.
    world.append("cc.lance", "main", 140).await;
    world.is_kept("cc.lance", CLONES, &OptimizeOptions::default()).await;
}

#[tokio::test]
async fn a_database_that_moved_with_branches_is_refused_with_clones_in_it_or_not() {
    let world = World::new();
    with_clones(&world).await;
    let moved = world.directory.path().join("moved");
    fs::rename(world.path(""), &moved).unwrap();
    let uri = moved.to_string_lossy().into_owned();
    let before = tree(&uri);
    let optimize = |uri: String| async move {
        let options = OptimizeOptions::default();
        Keeper::new().optimize(&[uri], &options, Arc::new(NoProgress)).await
    };
    let report = optimize(uri.clone()).await;
    assert_eq!(report.exit_code().number(), 13, "{report:#?}");
    assert!(report.roots[0].error.as_deref().unwrap().contains("moved or copied"), "{report:#?}");
    // A clone's branch is enough to tell, beside one whose origin is still where it was.
    fs::rename(moved.join("a.lance"), world.directory.path().join("a.lance")).unwrap();
    let report = optimize(uri.clone()).await;
    assert_eq!(report.exit_code().number(), 13, "{report:#?}");
    fs::rename(world.directory.path().join("a.lance"), moved.join("a.lance")).unwrap();
    assert_eq!(tree(&uri), before);
    // Back in its place it is what it was.
    fs::rename(&moved, world.path("")).unwrap();
    world.is_kept("", CLONES, &OptimizeOptions::default()).await;
}

/// The list of tables that LanceDB keeps: names, types and locations.
async fn name_tables(world: &World, rows: &[(&str, &str, Option<&str>)]) {
    type Cell = fn(&(&str, &str, Option<&str>)) -> Option<String>;
    let text = |at: Cell| StringArray::from(rows.iter().map(at).collect::<Vec<_>>());
    let fields = ["object_id", "object_type", "location", "metadata"]
        .map(|name| Field::new(name, DataType::Utf8, name != "object_id"));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let columns: Vec<arrow_array::ArrayRef> = vec![
        Arc::new(text(|row| Some(row.0.to_owned()))),
        Arc::new(text(|row| Some(row.1.to_owned()))),
        Arc::new(text(|row| row.2.map(ToOwned::to_owned))),
        Arc::new(text(|_| None)),
    ];
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    let reader = RecordBatchIterator::new([Ok(batch)], schema);
    let params = WriteParams { mode: WriteMode::Append, ..WriteParams::default() };
    let is_new = !world.path("__manifest").exists();
    let params = if is_new { WriteParams::default() } else { params };
    Dataset::write(reader, &world.uri("__manifest"), Some(params)).await.unwrap();
}

#[tokio::test]
async fn a_namespace_manifest_is_a_list_of_tables_and_a_table_and_no_graphs() {
    let world = World::new();
    for name in ["plain.lance", "a1_team$users", "sub/deep", "b2_left"] {
        tables::create(&world.uri(name), 3, 4, false).await.unwrap();
    }
    name_tables(&world, &[("team", "namespace", None), ("team$new", "table", Some("c3_team$new"))])
        .await;
    name_tables(&world, &[("team$users", "table", Some("a1_team$users"))]).await;
    name_tables(&world, &[("team$sub$deep", "table", Some("sub/deep"))]).await;
    // A table that no list names reads files of one that is maintained.
    let mut users = world.open("a1_team$users", "main").await;
    users.shallow_clone(&world.uri("d4_clone"), 3, None).await.unwrap();

    let names = ["plain.lance", "a1_team$users", "sub/deep", "b2_left", "d4_clone", "__manifest"];
    let (report, cleaned) = world.is_kept("", &names, &OptimizeOptions::default()).await;
    let row = |name: &str, committed, token| (name.to_owned(), "main".to_owned(), committed, token);
    assert_eq!(
        outcomes(&report),
        [
            row("__manifest", true, None),
            row("plain", true, None),
            row("team$new", false, Some("declared")),
            row("team$sub$deep", true, None),
            row("team$users", true, None),
        ]
    );
    let warnings = &report.roots[0].warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("b2_left") && warnings[1].contains("d4_clone"), "{warnings:?}");
    let gone = |name: &str| {
        let row = cleaned.roots[0].tables.iter().find(|row| row.table_key.as_str() == name);
        row.unwrap().old_versions_removed
    };
    assert!(gone("__manifest") > 0 && gone("team$sub$deep") > 0, "{cleaned:#?}");

    // By its name alone, and by where it lies.
    world.append("a1_team$users", "main", 50).await;
    let one = OptimizeOptions { tables: vec!["team$users".to_owned()], ..Default::default() };
    let report = world.optimize("", &one).await;
    assert_eq!(outcomes(&report), [row("team$users", true, None)]);
    world.append("a1_team$users", "main", 60).await;
    let report = world.optimize("a1_team$users", &OptimizeOptions::default()).await;
    assert_eq!(report.totals.tables_committed, 1, "{report:#?}");
}

#[tokio::test]
async fn what_is_neither_a_graphs_manifest_nor_a_namespaces_is_refused_by_name() {
    let world = World::new();
    tables::create(&world.uri("a.lance"), 3, 4, false).await.unwrap();
    tables::create(&world.uri("__manifest"), 3, 4, false).await.unwrap();
    let before = tree(&world.uri(""));
    let report = world.optimize("", &OptimizeOptions::default()).await;
    assert_eq!(report.exit_code().number(), 13, "{report:#?}");
    let error = report.roots[0].error.as_deref().unwrap();
    assert!(error.contains("__manifest is neither") && error.contains("id, text"), "{error}");
    assert!(!report.roots[0].hint.as_deref().unwrap().contains("backup"), "{report:#?}");
    assert_eq!(tree(&world.uri("")), before);
    // A list of tables whose rows cannot be read is damage: nobody knows which tables there are.
    fs::remove_dir_all(world.path("__manifest")).unwrap();
    name_tables(&world, &[("a", "table", Some("a.lance"))]).await;
    fs::remove_dir_all(world.path("__manifest/data")).unwrap();
    let report = world.optimize("", &OptimizeOptions::default()).await;
    assert_eq!(report.exit_code().number(), 1, "{report:#?}");
    let error = report.roots[0].error.as_deref().unwrap();
    assert!(error.contains("the namespace manifest cannot be read"), "{error}");
}

#[tokio::test]
async fn files_under_a_base_of_its_own_are_merged_and_those_of_a_branch_stay_shared() {
    let world = World::new();
    let uri = world.uri("t.lance");
    let base = world.directory.path().join("more").to_string_lossy().into_owned();
    for n in 0..3 {
        let batch = tables::batch(n * 2, 2);
        let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
        let mut params = WriteParams { target_bases: Some(vec![1]), ..WriteParams::default() };
        if n == 0 {
            let one = BasePath::new(1, base.clone(), Some("one".to_owned()), false);
            params.initial_bases = Some(vec![one]);
        } else {
            params.mode = WriteMode::Append;
        }
        Dataset::write(reader, &uri, Some(params)).await.unwrap();
    }
    world.open("t.lance", "main").await.create_branch("dev", 3, None).await.unwrap();
    let in_base = tree(&base);
    assert_eq!(in_base.len(), 3, "{in_base:?}");
    let all = on(BranchSelection::All);
    let (report, _) = world.is_kept("t.lance", &["t.lance"], &all).await;
    let rows = outcomes(&report);
    assert_eq!(rows[0], ("t".to_owned(), "main".to_owned(), true, None));
    assert_eq!(rows[1].3, Some("files_in_base"), "{report:#?}");
    assert_eq!(world.open("t.lance", "main").await.fragments().len(), 1);
    // Whose else the base is, nobody can tell.
    assert_eq!(tree(&base), in_base);
}

#[tokio::test]
async fn names_without_a_table_are_said_and_the_others_are_done() {
    let world = World::new();
    for name in ["real.lance", "gone.lance"] {
        tables::create(&world.uri(name), 3, 4, false).await.unwrap();
    }
    for name in ["declared.lance", "empty.lance", "refs.lance/_refs/tags"] {
        fs::create_dir_all(world.path(name)).unwrap();
    }
    fs::write(world.path("declared.lance/.lance-reserved"), "").unwrap();
    fs::write(world.path("gone.lance/.lance-deregistered"), "").unwrap();
    fs::write(world.path("file.lance"), "hello").unwrap();
    let (report, cleaned) =
        world.is_kept("", &["real.lance", "gone.lance"], &OptimizeOptions::default()).await;
    let row = |name: &str, committed, token| (name.to_owned(), "main".to_owned(), committed, token);
    assert_eq!(
        outcomes(&report),
        [
            row("declared", false, Some("declared")),
            row("empty", false, Some("not_a_table")),
            row("gone", false, Some("deregistered")),
            row("real", true, None),
            row("refs", false, Some("not_a_table")),
        ]
    );
    assert!(report.roots[0].warnings[0].contains("file.lance"), "{report:#?}");
    assert_eq!(cleaned.roots[0].warnings.len(), 5, "{cleaned:#?}");
    let status = Keeper::new().status(&[world.uri("")]).await;
    assert_eq!(status.exit_code().number(), 0, "{status:#?}");
    // With files and without a version somebody may be just making it.
    fs::create_dir_all(world.path("empty.lance/data")).unwrap();
    fs::write(world.path("empty.lance/data/x.lance"), "").unwrap();
    let (report, _) =
        world.is_kept("", &["real.lance", "gone.lance"], &OptimizeOptions::default()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(world.path("empty.lance/data/x.lance").exists());
    // An hour later it is damaged, and that is an error.
    let file = fs::File::options().write(true).open(world.path("empty.lance/data/x.lance"));
    let then = SystemTime::now() - Duration::from_secs(3600);
    file.unwrap().set_modified(then).unwrap();
    let report = world.optimize("", &OptimizeOptions::default()).await;
    assert_eq!(report.exit_code().number(), 3, "{report:#?}");
}

#[tokio::test]
async fn a_table_in_a_tables_directory_is_a_table_and_outlives_the_others_cleanup() {
    let world = World::new();
    for name in ["t", "t/inner.lance"] {
        tables::create(&world.uri(name), 3, 4, false).await.unwrap();
    }
    // It may even read the outer one's files.
    let mut outer = world.open("t", "main").await;
    outer.shallow_clone(&world.uri("t/clone.lance"), 3, None).await.unwrap();
    let names = ["t", "t/inner.lance", "t/clone.lance"];
    let inner = tree(&world.uri("t/inner.lance"));
    let (report, cleaned) = world.is_kept("t", &names, &OptimizeOptions::default()).await;
    assert_eq!(report.roots[0].warnings.len(), 2, "{report:#?}");
    assert_eq!(report.totals.tables_committed, 1);
    assert!(cleaned.roots[0].tables[0].old_versions_removed > 0, "{cleaned:#?}");
    assert_eq!(tree(&world.uri("t/inner.lance")), inner);
    let (report, _) = world.is_kept("t/inner.lance", &names, &OptimizeOptions::default()).await;
    assert!(report.roots[0].warnings.is_empty(), "{report:#?}");
    assert_eq!(report.totals.tables_committed, 1);
}

#[tokio::test]
async fn branches_of_tables_are_worked_on_when_asked_for_and_never_main_instead() {
    let world = World::new();
    for name in ["a.lance", "b.lance"] {
        tables::create(&world.uri(name), 3, 4, false).await.unwrap();
    }
    world.open("a.lance", "main").await.create_branch("dev", 3, None).await.unwrap();
    for n in 0..3 {
        world.append("a.lance", "dev", 100 + n * 10).await;
    }
    let names = ["a.lance", "b.lance"];
    let dev = on(BranchSelection::Named(vec!["dev".to_owned()]));
    let (report, _) = world.is_kept("", &names, &dev).await;
    let row = |name: &str, branch: &str, committed, token| {
        (name.to_owned(), branch.to_owned(), committed, token)
    };
    assert_eq!(
        outcomes(&report),
        [row("a", "dev", true, None), row("b", "dev", false, Some("no_such_branch"))]
    );
    assert_eq!(world.open("a.lance", "main").await.fragments().len(), 3);
    // What it reads of main stays main's.
    assert_eq!(world.open("a.lance", "dev").await.fragments().len(), 4);
    let (report, _) = world.is_kept("", &names, &on(BranchSelection::All)).await;
    let committed: Vec<bool> = outcomes(&report).into_iter().map(|row| row.2).collect();
    assert_eq!(committed, [true, false, true], "{report:#?}");
    let none = on(BranchSelection::Named(vec!["absent".to_owned()]));
    for root in ["", "a.lance"] {
        let report = world.optimize(root, &none).await;
        assert_eq!(report.exit_code().number(), 2, "{report:#?}");
        let error = report.roots[0].error.as_deref().unwrap();
        assert!(error.contains("no branch \"absent\""), "{error}");
        let planned = Keeper::new().plan_optimize(&[world.uri(root)], &none).await;
        assert_eq!(planned.exit_code().number(), 2, "{planned:#?}");
    }
    // The verbs that only read see the same branches.
    let uris = [world.uri("")];
    let shown = StatusOptions { branches: BranchSelection::All, ..StatusOptions::default() };
    let status = Keeper::new().status_of(&uris, shown).await;
    let shown: Vec<_> = status.roots[0]
        .tables
        .iter()
        .map(|row| (row.table_key.to_string(), row.branch.to_string(), Some(row.rows)))
        .collect();
    let counted = CountOptions { branches: BranchSelection::All, ..CountOptions::default() };
    let counts = Keeper::new().count_rows(&uris, &counted).await;
    let counted: Vec<_> = counts.roots[0]
        .tables
        .iter()
        .map(|row| (row.table_key.to_string(), row.branch.to_string(), row.rows))
        .collect();
    assert_eq!(shown, counted);
    let branches: Vec<_> = counted.iter().map(|(table, branch, _)| (&**table, &**branch)).collect();
    assert_eq!(branches, [("a", "main"), ("a", "dev"), ("b", "main")]);
    assert!(counted[1].2 > counted[0].2, "{counted:?}");
}
