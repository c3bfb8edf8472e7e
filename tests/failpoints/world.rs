//! A graph of a real client, and what must be true of it before, between and after runs.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fail::FailScenario;
use lance::index::DatasetIndexExt;
use lancekeeper::{
    CleanupReport, Keeper, NoProgress, OptimizeOptions, OptimizeReport, TableOptimizeStats, Version,
};
use lancekeeper_model::InternalSchema;
use lancekeeper_testkit::invariants::{check_files, names};
use lancekeeper_testkit::{Fixture, FixturePath, GraphRows, check_graph, graph_rows};

use crate::child::{Death, run_and_die, strictest};
use crate::client::Client;

pub(crate) const PERSON: &str = "node:Person";
pub(crate) const KNOWS: &str = "edge:Knows";
pub(crate) const WORKS_AT: &str = "edge:WorksAt";
pub(crate) const COMPANY: &str = "node:Company";
/// The tables of the fixtures that an optimize moves. The fourth, [`COMPANY`], has one
/// fragment.
pub(crate) const MOVING: [&str; 3] = [KNOWS, WORKS_AT, PERSON];

/// A graph as a real client left it. While it is held, no other test of this process sets
/// failpoints.
pub(crate) struct World {
    pub(crate) client: Client,
    uri: String,
    rows: GraphRows,
    manifest_version: Version,
    /// What a death left behind that only an age floor may collect.
    litter: BTreeSet<PathBuf>,
    /// Held until the end: where it lies is removed with it.
    _place: Box<dyn Any>,
    _failpoints: FailScenario<'static>,
}

impl World {
    /// A v4 graph without branches, somewhere.
    pub(crate) async fn v4() -> Self {
        let failpoints = FailScenario::setup();
        let place = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
        Self::at(place.uri("graph"), Box::new(place), failpoints).await
    }

    /// A graph at the path its fixture was written at.
    pub(crate) async fn at_path(fixture: &str) -> Self {
        let failpoints = FailScenario::setup();
        let place = FixturePath::unpack(fixture).unwrap();
        Self::at(place.uri(), Box::new(place), failpoints).await
    }

    /// A v3 graph without branches.
    pub(crate) async fn v3_at_path() -> Self {
        Self::at_path("omnigraph-0.7.0-main-only").await
    }

    async fn at(uri: String, place: Box<dyn Any>, failpoints: FailScenario<'static>) -> Self {
        let client = Client::of(&uri);
        let manifest_version = client.snapshot().await.manifest_version;
        let rows = graph_rows(&uri).await.unwrap();
        Self {
            client,
            uri,
            rows,
            manifest_version,
            litter: BTreeSet::new(),
            _place: place,
            _failpoints: failpoints,
        }
    }

    /// Adds the configuration that makes a run cross `optimize.stripped_pre_reserve`.
    pub(crate) async fn with_auto_cleanup(self) -> Self {
        self.client.configure_auto_cleanup(PERSON).await;
        assert_eq!(self.client.pin(PERSON).await, self.client.head(PERSON).await);
        self
    }

    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    pub(crate) async fn optimize(&self) -> OptimizeReport {
        self.optimize_with(&OptimizeOptions::default()).await
    }

    pub(crate) async fn optimize_with(&self, options: &OptimizeOptions) -> OptimizeReport {
        let roots = [self.uri.clone()];
        Keeper::new().optimize(&roots, options, Arc::new(NoProgress)).await
    }

    /// Optimizes one table only.
    pub(crate) async fn optimize_table(&self, key: &str) -> OptimizeReport {
        let options = OptimizeOptions { tables: vec![key.to_owned()], ..Default::default() };
        self.optimize_with(&options).await
    }

    /// Cleans up as strictly as can be.
    pub(crate) async fn cleanup(&self) -> CleanupReport {
        Keeper::new().cleanup(std::slice::from_ref(&self.uri), &strictest()).await
    }

    /// What every branch read at first.
    pub(crate) fn rows(&self) -> &GraphRows {
        &self.rows
    }

    /// Every branch reads the rows it read at first.
    pub(crate) async fn reads_as_before(&self) {
        // Not `assert_eq`: thousands of rows say less than the tables they are in.
        let now = graph_rows(&self.uri).await.unwrap();
        let differs = |key: &&(String, String)| now.get(*key) != self.rows.get(*key);
        let others: Vec<_> = self.rows.keys().filter(differs).collect();
        assert!(others.is_empty(), "{others:?} read otherwise than before");
        assert_eq!(now.len(), self.rows.len());
    }

    /// The same, whatever one branch reads that was not there.
    pub(crate) async fn reads_as_before_but(&self, branch: &str) {
        let mut now = graph_rows(&self.uri).await.unwrap();
        now.retain(|(name, _), _| name != branch);
        assert!(now == self.rows, "some branch reads otherwise than before");
    }

    /// Takes what is there now for what is to be read from here on.
    pub(crate) async fn accepts_new_rows(&mut self) {
        self.rows = graph_rows(&self.uri).await.unwrap();
    }

    /// Rows of a table as readers see it.
    pub(crate) async fn rows_of(&self, key: &str) -> u64 {
        let rows = graph_rows(&self.uri).await.unwrap();
        rows[&("main".to_owned(), key.to_owned())].len() as u64
    }

    pub(crate) async fn pins(&self) -> BTreeMap<String, Version> {
        let pins = self.client.snapshot().await.pins;
        pins.into_iter().map(|pin| (pin.key.to_string(), pin.version)).collect()
    }

    /// Names below `__recovery/` that a recovery would look at.
    pub(crate) fn sidecars(&self) -> Vec<String> {
        self.client.sidecars()
    }

    /// Deletes the sidecars, as a person does who does not know what they are for.
    pub(crate) fn remove_sidecars(&self) {
        for name in self.sidecars() {
            fs::remove_file(Path::new(&self.uri).join("__recovery").join(name)).unwrap();
        }
    }

    pub(crate) fn journal(&self) -> Vec<String> {
        self.client.documents("__maintenance/journal")
    }

    /// No table has a data file or index that no version of it names.
    pub(crate) async fn has_no_unexplained_file(&self) {
        for pin in self.client.snapshot().await.pins {
            let table = self.client.table(pin.key.as_str()).await;
            check_files(&table, &Path::new(&self.uri).join(&pin.location)).await.unwrap();
        }
    }

    /// The next run finishes what is open and the one after it finds nothing to do: same
    /// rows, HEAD == pin, no sidecar, no journal entry, no unexplained file, no gap in the
    /// history.
    pub(crate) async fn converges(&self) -> OptimizeReport {
        let report = self.optimize().await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        self.reads_as_before().await;
        self.is_at_rest().await;

        let settled = self.client.snapshot().await.manifest_version;
        let second = self.optimize().await;
        assert_eq!(second.exit_code().number(), 0, "{second:#?}");
        assert_eq!(second.roots[0].published, 0, "{second:#?}");
        for table in &second.roots[0].tables {
            assert!(!table.committed, "{table:#?}");
            assert!(table.fragments_after <= 2, "nobody compacted it: {table:#?}");
        }
        assert_eq!(self.client.snapshot().await.manifest_version, settled);
        report
    }

    /// Everything that holds of a graph nobody is working on, whatever its rows.
    pub(crate) async fn is_at_rest(&self) {
        for file in &self.litter {
            // A file that was litter at the death may have gone with its journal entry.
            if file.is_dir() {
                fs::remove_dir_all(file).unwrap();
            } else if file.exists() {
                fs::remove_file(file).unwrap();
            }
        }
        check_graph(&self.uri).await.unwrap();
        if self.client.graph().await.schema() == InternalSchema::V3 {
            self.has_a_whole_history().await;
        }
    }

    /// Each publish that came since has one row in a v3 graph's history, and nothing else has.
    async fn has_a_whole_history(&self) {
        let publishes = self.client.publishes_since(self.manifest_version).await;
        let mut history = self.client.v3_history().await;
        history.retain(|version| *version > self.manifest_version.0);
        assert_eq!(history, publishes, "commit rows (left) and publishes (right)");
    }

    /// A run of its own process begins and dies. What every reader reads stays the same.
    pub(crate) async fn dies(&mut self, death: Death) {
        run_and_die(&self.uri, death);
        self.reads_as_before().await;
        // Several tables are written at once: a put of another one may be cut off.
        for directory in ["__recovery", "__maintenance/journal"] {
            let directory = Path::new(&self.uri).join(directory);
            let cut_off = names(&directory).unwrap().into_iter().filter(|name| is_cut_off(name));
            self.litter.extend(cut_off.map(|name| directory.join(name)));
        }
    }

    /// Every file of the tables' data directories.
    pub(crate) async fn data_files(&self) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        for pin in self.client.snapshot().await.pins {
            let directory = Path::new(&self.uri).join(pin.location).join("data");
            files.extend(names(&directory).unwrap().into_iter().map(|name| directory.join(name)));
        }
        files
    }

    /// Data files and index segments that no journal entry names and no version refers to: those
    /// of rewrites and of merges of segments that were under way at a death.
    pub(crate) async fn expects_unnamed_files(&mut self) {
        let journal: Vec<String> = self.journal();
        let journal = journal.iter().map(|name| {
            let path = Path::new(&self.uri).join("__maintenance/journal").join(name);
            fs::read_to_string(path).unwrap()
        });
        let journal: String = journal.collect();
        for pin in self.client.snapshot().await.pins {
            let table = self.client.table(pin.key.as_str()).await;
            let mut referred = BTreeSet::new();
            for version in table.version_refs().await.unwrap() {
                let at = table.checkout_version(version.version).await.unwrap();
                let files = at.fragments().iter().flat_map(|fragment| &fragment.files);
                referred.extend(files.map(|file| file.path.clone()));
                let indexes = at.load_indices().await.unwrap();
                referred.extend(indexes.iter().map(|index| index.uuid.to_string()));
            }
            for directory in ["data", "_indices"] {
                let directory = Path::new(&self.uri).join(&pin.location).join(directory);
                let unnamed = names(&directory)
                    .unwrap()
                    .into_iter()
                    .filter(|name| !referred.contains(name) && !journal.contains(name.as_str()));
                self.litter.extend(unnamed.map(|name| directory.join(name)));
            }
        }
    }
}

/// `NAME#N`: what a put to a local directory leaves when it is cut off. Nobody lists it.
fn is_cut_off(name: &str) -> bool {
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The rows of tables that have a pin. The graph's own tables have none.
pub(crate) fn pinned(report: &OptimizeReport) -> impl Iterator<Item = &TableOptimizeStats> {
    let tables = report.roots[0].tables.iter();
    tables.filter(|table| !table.table_key.as_str().starts_with('_'))
}

/// How many pins a run moved.
pub(crate) fn moved(report: &OptimizeReport) -> usize {
    pinned(report).filter(|table| table.committed).count()
}

/// Whether a report says, of its root or of a table, that a failpoint failed it.
pub(crate) fn says_injected(report: &OptimizeReport, name: &str) -> bool {
    let text = format!("injected failpoint triggered: {name}");
    let root = &report.roots[0];
    let errors = root.tables.iter().filter_map(|table| table.error.as_ref());
    errors.chain(&root.error).any(|error| error.contains(&text))
}
