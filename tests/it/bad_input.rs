//! Bad input: roots, graphs and tables that are not what they should be, and machines that do
//! not give what a run needs.
//!
//! Each case expects an error that names the thing, a hint where a person can do something,
//! the right exit code, everything that is not damaged done, and nothing lost: with the
//! damage mended every row is there and the next run finishes the work.

mod graphs;
pub(crate) mod machine;
mod permissions;
mod roots;
mod sidecars;
mod tables;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{
    Keeper, NoProgress, OptimizeOptions, OptimizeReport, RootOptimizeReport, TableOptimizeStats,
};
use lancekeeper_manifest::Graph;
use lancekeeper_model::{Branch, Pin, TableKey};
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::invariants::{check_files, names};
use lancekeeper_testkit::{Fixture, GraphRows, check_graph, graph_rows};

const PERSON: &str = "node:Person";
const COMPANY: &str = "node:Company";
const KNOWS: &str = "edge:Knows";
const TABLES: [&str; 4] = [KNOWS, "edge:WorksAt", COMPANY, PERSON];

async fn optimize(uri: &str) -> OptimizeReport {
    optimize_with(uri, &OptimizeOptions::default()).await
}

async fn optimize_with(uri: &str, options: &OptimizeOptions) -> OptimizeReport {
    Keeper::new().optimize(&[uri.to_owned()], options, Arc::new(NoProgress)).await
}

/// A v4 graph whose tables Person, Knows and WorksAt have work for `optimize`, and Company
/// has none.
struct World {
    fixture: Fixture,
    rows: GraphRows,
}

impl World {
    async fn new() -> Self {
        let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
        let rows = graph_rows(&fixture.uri("graph")).await.unwrap();
        Self { fixture, rows }
    }

    fn uri(&self) -> String {
        self.fixture.uri("graph")
    }

    fn root(&self) -> PathBuf {
        self.fixture.path("graph")
    }

    async fn pin(&self, key: &str) -> Pin {
        let mut pins = pins(&self.root()).await;
        pins.retain(|pin| pin.key == TableKey::new(key));
        pins.remove(0)
    }

    async fn directory(&self, key: &str) -> PathBuf {
        self.root().join(self.pin(key).await.location)
    }

    async fn table(&self, key: &str) -> Dataset {
        open(&self.directory(key).await).await
    }

    async fn manifest(&self) -> Dataset {
        open(&self.root().join("__manifest")).await
    }

    /// The newest version's Lance manifest of a table inside the root.
    async fn newest_manifest(&self, table: &Path) -> PathBuf {
        let location = open(table).await.manifest_location().path.to_string();
        table.join("_versions").join(location.rsplit('/').next().unwrap())
    }

    /// Runs `optimize` with one table damaged: its row has an error with these words and
    /// nothing was committed to it; the others have none. Nothing staged is left.
    async fn only_this_table_fails(&self, key: &str, words: &[&str]) -> OptimizeReport {
        let versions = names(&self.directory(key).await.join("_versions")).unwrap();
        let report = optimize(&self.uri()).await;
        self.only_this_table_failed(&report, key, words).await;
        let now = names(&self.directory(key).await.join("_versions")).unwrap();
        assert_eq!(now, versions, "something was committed to {key}");
        self.is_clean([key]).await;
        report
    }

    async fn only_this_table_failed(&self, report: &OptimizeReport, key: &str, words: &[&str]) {
        assert_eq!(report.exit_code().number(), 3, "{report:#?}");
        let root = &report.roots[0];
        assert_eq!(root.error, None);
        assert_eq!(rows_of_tables(root).len(), TABLES.len());
        for table in &root.tables {
            if table.table_key.as_str() == key {
                assert_says(table.error.as_deref(), words);
                assert!(!table.committed);
            } else {
                assert_eq!(table.error, None, "{table:#?}");
                assert!(table.fragments_after <= 2, "{table:#?}");
            }
        }
        let done = rows_of_tables(root).into_iter().filter(|table| table.error.is_none());
        self.is_clean(done.map(|table| table.table_key.as_str())).await;
    }

    /// Nothing of a run is left: no sidecar, no journal entry, no temporary, and no file of
    /// these tables that no version refers to.
    async fn is_clean(&self, keys: impl IntoIterator<Item = &str>) {
        assert_clean(&self.root());
        for key in keys {
            check_files(&self.table(key).await, &self.directory(key).await).await.unwrap();
        }
    }

    /// With the damage mended every row is there, and a run finishes the work.
    async fn nothing_is_lost(&self) {
        assert!(graph_rows(&self.uri()).await.unwrap() == self.rows, "rows were lost");
        let report = optimize(&self.uri()).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        for table in &report.roots[0].tables {
            assert!(table.fragments_after <= 2, "{table:#?}");
        }
        assert!(graph_rows(&self.uri()).await.unwrap() == self.rows, "rows were lost");
        check_graph(&self.uri()).await.unwrap();
        assert_clean(&self.root());
    }

    /// Every verb refuses the graph with this exit code and these words, and writes nothing.
    async fn is_refused(&self, exit_code: u8, error: &[&str], hint: &[&str]) {
        is_refused(&self.uri(), exit_code, error, hint, Some(&self.root())).await;
    }
}

/// `optimize` and its dry run refuse a root with this exit code and these words, and nothing
/// is written, by `status` neither.
async fn is_refused(
    uri: &str,
    exit_code: u8,
    error: &[&str],
    hint: &[&str],
    directory: Option<&Path>,
) {
    let before = directory.map(files);
    let keeper = Keeper::new();
    let uris = [uri.to_owned()];
    let options = OptimizeOptions::default();
    let planned = keeper.plan_optimize(&uris, &options).await;
    let ran = keeper.optimize(&uris, &options, Arc::new(NoProgress)).await;
    keeper.status(&uris).await;
    for report in [planned, ran] {
        assert_eq!(report.exit_code().number(), exit_code, "{report:#?}");
        let root = &report.roots[0];
        assert_says(root.error.as_deref(), error);
        assert_says(root.hint.as_deref(), hint);
        assert!(root.tables.is_empty(), "{root:#?}");
    }
    assert!(directory.map(files) == before, "something was written to {uri}");
}

/// The rows of the graph's tables, without those of the tables it keeps for itself.
fn rows_of_tables(root: &RootOptimizeReport) -> Vec<&TableOptimizeStats> {
    root.tables.iter().filter(|table| TABLES.contains(&table.table_key.as_str())).collect()
}

/// What was said contains every one of these words, whatever their case.
#[track_caller]
fn assert_says(said: Option<&str>, words: &[&str]) {
    let said = said.expect("it says something");
    for word in words {
        assert!(said.to_lowercase().contains(&word.to_lowercase()), "no {word:?} in: {said}");
    }
}

/// No file of an unfinished write is below a root: no sidecar, no journal entry, none of the
/// names by which Lance and the object store write.
#[track_caller]
fn assert_clean(root: &Path) {
    let left: Vec<_> = files(root)
        .into_keys()
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            let is_temporary =
                name.starts_with(".tmp") || name.contains('#') || name.contains(".tmp.");
            is_temporary
                || path.starts_with("__recovery")
                || path.starts_with("__maintenance/journal")
        })
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// Every file below a directory with its content: what "nothing was written" means.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(directory: &Path, root: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, into);
            } else {
                let content = fs::read(&path).unwrap();
                into.insert(path.strip_prefix(root).unwrap().to_owned(), content);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(directory, directory, &mut found);
    found
}

/// What main of a graph pins.
async fn pins(root: &Path) -> Vec<Pin> {
    let root = recognise(&root.to_string_lossy()).unwrap();
    let graph = Graph::open(&Tables::new(), &root).await.unwrap();
    graph.snapshot(&Branch::main()).await.unwrap().pins
}

async fn open(directory: &Path) -> Dataset {
    DatasetBuilder::from_uri(directory.to_string_lossy()).load().await.unwrap()
}

/// What can happen to a file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Damage {
    Missing,
    Empty,
    Truncated,
    Garbage,
    /// Its last bytes are gone, everything before is right. Lance reads a manifest all the
    /// same.
    TailGone,
}

const DAMAGES: [Damage; 5] =
    [Damage::Missing, Damage::Empty, Damage::Truncated, Damage::Garbage, Damage::TailGone];
/// Those that make a manifest unreadable. A missing one makes the version before the newest.
const MANIFEST_DAMAGES: [Damage; 3] = [Damage::Empty, Damage::Truncated, Damage::Garbage];

impl Damage {
    fn inflict(self, path: &Path, good: &[u8]) {
        let garbage: Vec<u8> = (0..good.len()).map(|at| (at * 31 % 251) as u8).collect();
        match self {
            Self::Missing => fs::remove_file(path),
            Self::Empty => fs::write(path, []),
            Self::Truncated => fs::write(path, &good[..good.len() / 2]),
            Self::Garbage => fs::write(path, garbage),
            Self::TailGone => fs::write(path, [&good[..good.len() - 8], &[0; 8]].concat()),
        }
        .unwrap();
    }
}
