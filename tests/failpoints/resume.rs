//! A run dies between staging and commit: the next one commits what was finished and writes none of it again,
//! or deletes it when the table has moved on. Every reader reads the same all the time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fail::FailScenario;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::optimize::{CompactionOptions, compact_files};
use lancekeeper::{CleanupOptions, Keeper, NoProgress, OptimizeOptions, OptimizeReport};
use lancekeeper_store::failpoint;
use lancekeeper_testkit::invariants::{check_files, names};
use lancekeeper_testkit::{table_rows, tables};
use tempfile::TempDir;

use crate::child::{Death, run_and_die, strictest};
use crate::world::{World, moved};

/// A run that has staged one table and dies before anything of it is visible.
fn death() -> Death {
    Death::at(failpoint::OPTIMIZE_STAGED_PRE_ENTER, 1).one_by_one()
}

/// One table of six fragments, after such a death.
struct Left {
    directory: TempDir,
    rows: Vec<String>,
    /// Its data files, those that were staged among them.
    files: BTreeSet<String>,
    staged: BTreeSet<String>,
    _failpoints: FailScenario<'static>,
}

impl Left {
    async fn new() -> Self {
        let failpoints = FailScenario::setup();
        let directory = tempfile::tempdir().unwrap();
        let uri = directory.path().join("a.lance").to_string_lossy().into_owned();
        let table = tables::create(&uri, 6, 10, false).await.unwrap();
        let before = names(&directory.path().join("a.lance/data")).unwrap();
        let rows = table_rows(&table).await.unwrap();
        run_and_die(&directory.path().to_string_lossy(), death());
        let files = names(&directory.path().join("a.lance/data")).unwrap();
        let staged: BTreeSet<String> = files.difference(&before).cloned().collect();
        let left = Self { directory, rows, files, staged, _failpoints: failpoints };
        assert_eq!((left.staged.len(), left.ours("journal").len()), (1, 1));
        assert_eq!(left.ours("runs").len(), 1, "what tells that it lived");
        left
    }

    fn root(&self) -> String {
        self.directory.path().to_string_lossy().into_owned()
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("a.lance")
    }

    fn ours(&self, directory: &str) -> BTreeSet<String> {
        names(&self.directory.path().join("__maintenance").join(directory)).unwrap()
    }

    fn data(&self) -> BTreeSet<String> {
        names(&self.path().join("data")).unwrap()
    }

    async fn open(&self) -> Dataset {
        DatasetBuilder::from_uri(self.path().to_string_lossy()).load().await.unwrap()
    }

    async fn optimize(&self) -> OptimizeReport {
        let options = OptimizeOptions::default();
        let report = Keeper::new().optimize([self.root()], &options, Arc::new(NoProgress)).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert_eq!((self.ours("journal").len(), self.ours("runs").len()), (0, 0), "{report:#?}");
        let head = self.open().await;
        check_files(&head, &self.path()).await.unwrap();
        report
    }
}

fn files_of(table: &Dataset) -> BTreeSet<String> {
    let fragments = table.fragments().iter();
    fragments.flat_map(|fragment| &fragment.files).map(|file| file.path.clone()).collect()
}

#[tokio::test]
async fn what_a_killed_run_finished_is_committed_by_the_next_one_and_not_rewritten() {
    let left = Left::new().await;
    let report = left.optimize().await;
    assert!(report.roots[0].tables[0].committed, "{report:#?}");
    let head = left.open().await;
    assert_eq!(files_of(&head), left.staged);
    assert_eq!(left.data(), left.files, "no file was written or deleted");
    assert_eq!(table_rows(&head).await.unwrap(), left.rows);
    assert_eq!(left.optimize().await.totals.tables_committed, 0);
}

#[tokio::test]
async fn a_run_that_takes_over_and_dies_as_well_leaves_it_to_the_one_after_it() {
    let left = Left::new().await;
    run_and_die(&left.root(), death());
    assert_eq!((left.data(), left.ours("journal").len()), (left.files.clone(), 1));
    left.optimize().await;
    assert_eq!((files_of(&left.open().await), left.data()), (left.staged.clone(), left.files));
}

#[tokio::test]
async fn rows_deleted_since_the_death_are_deleted_in_what_is_taken_over() {
    let left = Left::new().await;
    left.open().await.delete("id >= 12 AND id < 15").await.unwrap();
    let rows = table_rows(&left.open().await).await.unwrap();
    assert_eq!(rows.len(), 57);
    left.optimize().await;
    let head = left.open().await;
    assert_eq!((files_of(&head), left.data()), (left.staged.clone(), left.files));
    assert_eq!(table_rows(&head).await.unwrap(), rows);
}

#[tokio::test]
async fn what_was_finished_goes_when_the_table_has_moved_on() {
    // Others have merged the fragments already; and there is one more, with which they are merged now.
    for is_merged in [true, false] {
        let left = Left::new().await;
        let mut table = left.open().await;
        if is_merged {
            compact_files(&mut table, CompactionOptions::default(), None).await.unwrap();
        } else {
            tables::append(&left.path().to_string_lossy(), 1_000, 10).await.unwrap();
        }
        let rows = table_rows(&left.open().await).await.unwrap();
        left.optimize().await;
        assert!(left.data().is_disjoint(&left.staged), "{:?}", left.staged);
        let head = left.open().await;
        assert_eq!(head.fragments().len(), 1);
        assert_eq!(table_rows(&head).await.unwrap(), rows);
    }
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_not_taken_over() {
    let left = Left::new().await;
    let staged = left.path().join("data").join(left.staged.first().unwrap());
    std::fs::write(&staged, "cut off").unwrap();
    left.optimize().await;
    assert!(!staged.exists());
    assert_eq!(table_rows(&left.open().await).await.unwrap(), left.rows);
}

#[tokio::test]
async fn who_opens_the_root_for_something_else_deletes_what_was_finished() {
    let left = Left::new().await;
    let options = CleanupOptions { tables: vec!["a".to_owned()], ..strictest() };
    let report = Keeper::new().cleanup([left.root()], &options).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!((left.ours("journal").len(), left.ours("runs").len()), (0, 0));
    assert!(left.data().is_disjoint(&left.staged));
    left.optimize().await;
    assert_eq!(table_rows(&left.open().await).await.unwrap(), left.rows);
}

#[tokio::test]
async fn what_a_killed_run_finished_of_a_graph_is_committed_and_published_by_the_next_one() {
    let mut world = World::v4().await;
    let before = world.data_files().await;
    world.dies(death()).await;
    let left = world.data_files().await;
    let staged: BTreeSet<_> = left.difference(&before).cloned().collect();
    assert_eq!(staged.len(), 3, "{staged:?}");
    let report = world.optimize().await;
    assert_eq!((report.exit_code().number(), moved(&report)), (0, 3), "{report:#?}");
    let mut read = BTreeSet::new();
    for pin in world.client.snapshot().await.pins {
        let table = world.client.table(pin.key.as_str()).await;
        let data = Path::new(world.uri()).join(&pin.location).join("data");
        read.extend(files_of(&table).into_iter().map(|file| data.join(file)));
    }
    assert!(staged.is_subset(&read), "{staged:?} is not what is read: {read:?}");
    assert_eq!(world.data_files().await, left, "no file was written or deleted");
    world.reads_as_before().await;
    world.converges().await;
}
