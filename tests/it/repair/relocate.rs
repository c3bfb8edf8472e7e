//! `repair --relocate`: a graph that was moved reads the same at its new place, in every version, whatever becomes of the
//! old one; and nothing is changed while anything is missing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Utc;
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{
    BranchSelection, Keeper, NoProgress, OptimizeOptions, RecoverOptions, RelocateReport,
    RepairOptions, Version,
};
use lancekeeper_manifest::Graph;
use lancekeeper_model::Branch;
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::rows::branch_rows;
use lancekeeper_testkit::writer::{GraphWriter, append};
use lancekeeper_testkit::{Fixture, GraphRows, graph_rows};
use tempfile::TempDir;

use crate::fixtures::tree;

const KEY: &str = "node:Person";

/// A graph with a fork, a fork of a fork and a branch that only reads, before it is moved.
struct Settled {
    directory: TempDir,
    location: String,
    rows: GraphRows,
    history: GraphRows,
    newest: Version,
}

fn rows(prefix: &str) -> Vec<(String, String)> {
    (0..4).map(|n| (format!("{prefix}{n}"), format!("note {n}"))).collect()
}

/// What the branch `work` reads at each of its first versions, up to one.
async fn history(uri: &str, newest: Version) -> GraphRows {
    let graph = Graph::open(&Tables::new(), &recognise(uri).unwrap()).await.unwrap();
    let work = Branch::named("work");
    let mut history = BTreeMap::new();
    for version in newest.0 - 2..=newest.0 {
        let seen = branch_rows(&graph, &work, Some(Version(version))).await.unwrap();
        let of_version = |((_, table), rows)| ((version.to_string(), table), rows);
        history.extend(seen.into_iter().map(of_version));
    }
    history
}

async fn write(writer: &GraphWriter, branch: &str, prefix: &str) {
    let entry = writer.view(branch, None).await.unwrap().entries[KEY].clone();
    let mut table = writer.open_to_write(&entry, branch).await.unwrap();
    append(&mut table, &rows(prefix)).await.unwrap();
    let publish = writer.begin_publish(branch, &[(KEY, &table)], None, Utc::now()).await.unwrap();
    publish.commit().await.unwrap();
}

impl Settled {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let uri = directory.path().join("old/graph").to_string_lossy().into_owned();
        let writer = GraphWriter::init(&uri, &["Person", "Place"], Utc::now()).await.unwrap();
        write(&writer, "main", "a").await;
        writer.create_branch("lazy", "main").await.unwrap();
        writer.create_branch("work", "main").await.unwrap();
        write(&writer, "work", "b").await;
        write(&writer, "work", "c").await;
        writer.create_branch("team/deep", "work").await.unwrap();
        write(&writer, "team/deep", "d").await;
        write(&writer, "main", "e").await;
        let graph = Graph::open(&Tables::new(), &recognise(&uri).unwrap()).await.unwrap();
        let newest = graph.head(&Branch::named("work")).await.unwrap();
        let (rows, history) = (graph_rows(&uri).await.unwrap(), history(&uri, newest).await);
        let location = writer.view("main", None).await.unwrap().entries[KEY].location.clone();
        Self { directory, location, rows, history, newest }
    }

    fn old(&self) -> PathBuf {
        self.directory.path().join("old/graph")
    }

    /// Moves it; returns where it is now.
    fn moved(&self) -> String {
        let new = self.directory.path().join("new-place/that-is-longer/graph");
        fs::create_dir_all(new.parent().unwrap()).unwrap();
        fs::rename(self.old(), &new).unwrap();
        new.to_string_lossy().into_owned()
    }

    /// A file that the fork `work` reads from the table that it was cut from.
    async fn shared_file(&self, uri: &str) -> PathBuf {
        let table = Path::new(uri).join(&self.location);
        let builder = DatasetBuilder::from_uri(table.to_string_lossy());
        let fork = builder.with_branch("work", None).load().await.unwrap();
        let mut files = fork.fragments().iter().flat_map(|fragment| &fragment.files);
        let shared = files.find(|file| file.base_id.is_some()).unwrap();
        table.join("data").join(&shared.path)
    }

    /// A file that only main reads, and the manifest of the version that it reads. No manifest of main refers to
    /// where the graph lay.
    async fn own_files(&self, uri: &str) -> [PathBuf; 2] {
        let table = Path::new(uri).join(&self.location);
        let main = DatasetBuilder::from_uri(table.to_string_lossy()).load().await.unwrap();
        let newest = main.fragments().last().unwrap();
        // Names count backwards.
        let manifests = names(&table.join("_versions")).unwrap();
        let manifest = manifests.iter().find(|name| name.ends_with(".manifest")).unwrap();
        [table.join("data").join(&newest.files[0].path), table.join("_versions").join(manifest)]
    }

    async fn is_whole_at(&self, uri: &str) {
        assert!(graph_rows(uri).await.unwrap() == self.rows, "every branch reads what it read");
        assert!(
            history(uri, self.newest).await == self.history,
            "and so does every version of `work`"
        );
    }
}

async fn relocate(uri: &str, confirm: bool) -> RelocateReport {
    Keeper::new().relocate([uri], confirm).await
}

#[tokio::test]
async fn a_graph_that_was_moved_is_whole_where_it_is() {
    let settled = Settled::new().await;
    let uri = settled.moved();
    assert!(graph_rows(&uri).await.is_err(), "its branches read from a place that is gone");
    let refused =
        Keeper::new().optimize([&uri], &OptimizeOptions::default(), Arc::new(NoProgress)).await;
    assert_eq!(refused.exit_code().number(), 13, "{refused:#?}");
    assert!(refused.roots[0].hint.as_ref().unwrap().contains("repair --relocate"), "{refused:#?}");

    let before = tree(&uri);
    let preview = relocate(&uri, false).await;
    assert_eq!(preview.exit_code().number(), 0, "{preview:#?}");
    assert_eq!(tree(&uri), before, "a preview writes nothing");
    let report = relocate(&uri, true).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let root = &report.roots[0];
    let old = settled.old().to_string_lossy().into_owned();
    assert_eq!(root.moved_from.iter().collect::<Vec<_>>(), [&old]);
    assert_eq!(root.branches.len(), preview.roots[0].branches.len());
    assert_eq!(root.changed, root.branches.iter().map(|branch| branch.manifests).sum::<u64>());
    let named: usize = root.branches.iter().map(|branch| branch.references.len()).sum();
    assert_eq!(root.changed, named as u64, "each is named");
    settled.is_whole_at(&uri).await;

    // What was changed lies aside as it was.
    let aside = Path::new(&uri).join(root.originals.as_ref().unwrap());
    let originals = tree(&aside.to_string_lossy());
    let originals = originals.iter().filter(|(path, _)| path.ends_with(".manifest"));
    assert_eq!(originals.count() as u64, root.changed);
    let again = relocate(&uri, true).await;
    assert_eq!((again.exit_code().number(), again.roots[0].changed), (0, 0), "{again:#?}");

    // It is a graph like any other again.
    let options = OptimizeOptions { branches: BranchSelection::All, ..OptimizeOptions::default() };
    let report = Keeper::new().optimize([&uri], &options, Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    settled.is_whole_at(&uri).await;
    let created = Keeper::new().create_branch(&uri, "later", "team/deep").await;
    assert_eq!(created.exit_code().number(), 0, "{created:#?}");
}

#[tokio::test]
async fn a_copy_reads_its_own_files_and_not_those_of_the_original() {
    let settled = Settled::new().await;
    let uri = settled.moved();
    let status = std::process::Command::new("cp").arg("-a").arg(&uri).arg(settled.old()).status();
    assert!(status.unwrap().success());
    settled.is_whole_at(&uri).await;
    let report = relocate(&uri, true).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    fs::rename(settled.old(), settled.directory.path().join("aside")).unwrap();
    settled.is_whole_at(&uri).await;
}

#[tokio::test]
async fn nothing_is_changed_while_a_file_is_missing_or_cut_off() {
    let settled = Settled::new().await;
    let uri = settled.moved();
    let shared = settled.shared_file(&uri).await;
    let [own, manifest] = settled.own_files(&uri).await;
    let cases =
        [(&shared, false), (&shared, true), (&own, false), (&own, true), (&manifest, false)];
    for (file, is_cut) in cases {
        let content = fs::read(file).unwrap();
        let broken = is_cut.then(|| &content[..content.len() - 1]);
        match broken {
            None => fs::remove_file(file).unwrap(),
            Some(cut) => fs::write(file, cut).unwrap(),
        }
        let before = tree(&uri);
        for confirm in [false, true] {
            let report = relocate(&uri, confirm).await;
            assert_eq!(report.exit_code().number(), 13, "{report:#?}");
            let name = match file == &manifest {
                true => "whose manifest is not here".to_owned(),
                false => file.file_name().unwrap().to_string_lossy().into_owned(),
            };
            assert!(
                report.roots[0].refusals.iter().any(|said| said.contains(&name)),
                "{report:#?}"
            );
            let changed =
                tree(&uri).into_iter().filter(|(path, _)| !path.contains("__maintenance"));
            let before = before.iter().filter(|(path, _)| !path.contains("__maintenance"));
            assert!(changed.map(|(path, _)| path).eq(before.map(|(path, _)| path.clone())));
        }
        fs::write(file, content).unwrap();
    }
    assert_eq!(relocate(&uri, true).await.exit_code().number(), 0);
    settled.is_whole_at(&uri).await;
}

/// A manifest that names the files of its indexes wants them, too.
async fn is_refused_without_indexes(uri: &str) {
    let tables = fs::read_dir(Path::new(uri).join("nodes")).unwrap();
    let indexes = tables.map(|table| table.unwrap().path().join("_indices"));
    // Only manifests of branches have bases.
    let has_branch = |indexes: &PathBuf| indexes.with_file_name("tree").exists();
    let indexes = indexes.into_iter().find(|i| i.exists() && has_branch(i)).unwrap();
    let aside = indexes.with_extension("aside");
    fs::rename(&indexes, &aside).unwrap();
    let report = relocate(uri, true).await;
    assert_eq!(report.exit_code().number(), 13, "{report:#?}");
    let refusals = &report.roots[0].refusals;
    assert!(refusals.iter().any(|said| said.contains("/_indices/")), "{report:#?}");
    fs::rename(&aside, &indexes).unwrap();
}

/// Clients of v3 open tables by paths in rows.
#[tokio::test]
async fn rows_of_a_v3_graph_name_the_new_place_on_every_branch() {
    for (name, has_rows) in
        [("omnigraph-0.7.0-branches", true), ("omnigraph-0.8.0-branches", false)]
    {
        let fixture = Fixture::unpack(name).unwrap();
        let uri = fixture.uri("graph");
        if !has_rows {
            is_refused_without_indexes(&uri).await;
        }
        let preview = relocate(&uri, false).await;
        assert_eq!(preview.exit_code().number(), 0, "{preview:#?}");
        let report = relocate(&uri, true).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        // A preview names all that a run changes.
        let said = |report: &RelocateReport| -> BTreeMap<_, _> {
            let all = report.roots[0].branches.iter();
            let row = |branch: &lancekeeper::RelocatedBranch| {
                let at = (branch.location.clone(), branch.branch.clone());
                (at, (branch.references.clone(), branch.rows, branch.rows_name.clone()))
            };
            all.map(row).collect()
        };
        assert_eq!(said(&preview), said(&report), "{name}");
        let rows: Vec<_> =
            report.roots[0].branches.iter().filter(|branch| branch.rows > 0).collect();
        assert!(rows.iter().all(|row| row.rows == row.rows_name.len() as u64), "{report:#?}");
        let on: Vec<&str> = rows.iter().map(|branch| branch.branch.label()).collect();
        let expected: &[&str] = if has_rows { &["lazy", "work", "main"] } else { &[] };
        let mut sorted = on.clone();
        sorted.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(sorted, expected, "{report:#?}");
        let graph = Graph::open(&Tables::new(), &recognise(&uri).unwrap()).await.unwrap();
        for branch in [Branch::main(), Branch::named("lazy"), Branch::named("work")] {
            assert!(graph.rows_elsewhere(&branch).await.unwrap().is_empty(), "{branch}");
        }
        let counts = graph_rows(&uri).await.unwrap();
        let of = |branch: &str| -> usize {
            counts.iter().filter(|((name, _), _)| name == branch).map(|(_, rows)| rows.len()).sum()
        };
        assert_eq!((of("main"), of("lazy"), of("work")), (7193, 3619, 6619), "{name}");
    }
}

/// Who may not be recovered at another place must not keep the graph there either.
#[tokio::test]
async fn a_file_that_nobody_understands_stands_in_no_relocation_s_way() {
    let settled = Settled::new().await;
    let uri = settled.moved();
    let recovery = Path::new(&uri).join("__recovery");
    fs::create_dir_all(&recovery).unwrap();
    let newer = r#"{"schema_version":9,"operation_id":"01C","started_at":"1","branch":null,"actor_id":null,"writer_kind":"Load","tables":[]}"#;
    let files = [("01A.json", ""), ("01B.json", "{\"schema_version\":"), ("01C.json", newer)];
    for (name, text) in files {
        fs::write(recovery.join(name), text).unwrap();
    }
    let keeper = Keeper::new();
    for confirm in [false, true] {
        let report = relocate(&uri, confirm).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    }
    settled.is_whole_at(&uri).await;
    let run = async || {
        let options = OptimizeOptions::default();
        keeper.optimize([&uri], &options, Arc::new(NoProgress)).await.exit_code().number()
    };
    assert_ne!(run().await, 0, "everybody else is stopped by them as before");
    for (name, _) in files {
        let mut aside = RecoverOptions::default();
        aside.quarantine = Some(name.to_owned());
        let report = keeper.recover([&uri], &aside).await;
        assert!(report.roots[0].left.iter().any(|row| row.done), "{report:#?}");
    }
    assert_eq!(run().await, 0);
    settled.is_whole_at(&uri).await;
}

/// What is left of a branch is nobody's: a cleanup takes it away once it may.
#[tokio::test]
async fn what_is_left_of_a_branch_stands_in_no_relocation_s_way() {
    let settled = Settled::new().await;
    let old = settled.old();
    let writer = GraphWriter::at(&old.to_string_lossy());
    writer.create_branch("gone", "work").await.unwrap();
    write(&writer, "gone", "g").await;
    let table = old.join(&settled.location);
    for dataset in [&table, &old.join("__manifest")] {
        fs::remove_file(dataset.join("_refs/branches/gone.json")).unwrap();
    }
    fs::remove_dir_all(table.join("tree/gone/data")).unwrap();
    let uri = settled.moved();
    for confirm in [false, true] {
        let report = relocate(&uri, confirm).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    }
    settled.is_whole_at(&uri).await;
    let again = relocate(&uri, true).await;
    assert_eq!((again.exit_code().number(), again.roots[0].changed), (0, 0), "{again:#?}");
}

/// Its client died while it made it: nothing was published to it, and it needs no history.
#[tokio::test]
async fn a_v3_branch_without_a_history_is_moved_and_repaired_like_any_other() {
    let fixture = Fixture::unpack("omnigraph-0.7.0-branches").unwrap();
    let uri = fixture.uri("graph");
    let history = Path::new(&uri).join("_graph_commits.lance");
    fs::remove_file(history.join("_refs/branches/lazy.json")).unwrap();
    fs::remove_dir_all(history.join("tree/lazy")).unwrap();
    let report = relocate(&uri, true).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(report.roots[0].warnings, [""; 0], "{report:#?}");
    let options = RepairOptions { confirm: true, ..RepairOptions::default() };
    let repaired = Keeper::new().repair([&uri], &options).await;
    assert_eq!(repaired.exit_code().number(), 0, "{repaired:#?}");
    let status = Keeper::new().status([&uri]).await;
    assert_eq!(status.attention_code().number(), 0, "{status:#?}");
}
