//! `repair --relocate` dies or fails half way: the graph still counts as moved, nobody else writes to it, and doing it
//! again makes it whole.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use chrono::Utc;
use fail::{FailGuard, FailScenario};
use lancekeeper::{BranchSelection, Keeper, NoProgress, OptimizeOptions, RelocateReport};
use lancekeeper_store::failpoint;
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::writer::{GraphWriter, append};
use lancekeeper_testkit::{GraphRows, graph_rows};
use tempfile::TempDir;

use crate::child::{Death, Verb, run_and_die};

const KEY: &str = "node:Person";

/// A graph with branches that was moved.
pub(crate) struct Moved {
    pub(crate) uri: String,
    rows: GraphRows,
    _directory: TempDir,
    _failpoints: FailScenario<'static>,
}

impl Moved {
    pub(crate) async fn new() -> Self {
        let failpoints = FailScenario::setup();
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (directory.path().join("old"), directory.path().join("new-place"));
        let old_uri = old.to_string_lossy().into_owned();
        let writer = GraphWriter::init(&old_uri, &["Person"], Utc::now()).await.unwrap();
        for branch in ["main", "work", "deep"] {
            if branch != "main" {
                let from = if branch == "work" { "main" } else { "work" };
                writer.create_branch(branch, from).await.unwrap();
            }
            let entry = writer.view(branch, None).await.unwrap().entries[KEY].clone();
            let mut table = writer.open_to_write(&entry, branch).await.unwrap();
            append(&mut table, &[(branch.to_owned(), "note".to_owned())]).await.unwrap();
            let publish = writer.begin_publish(branch, &[(KEY, &table)], None, Utc::now()).await;
            publish.unwrap().commit().await.unwrap();
        }
        let rows = graph_rows(&old_uri).await.unwrap();
        fs::rename(&old, &new).unwrap();
        let uri = new.to_string_lossy().into_owned();
        Self { uri, rows, _directory: directory, _failpoints: failpoints }
    }

    pub(crate) async fn relocate(&self) -> RelocateReport {
        Keeper::new().relocate([&self.uri], true).await
    }

    async fn counts_as_moved(&self) {
        let options = OptimizeOptions::default();
        let report = Keeper::new().optimize([&self.uri], &options, Arc::new(NoProgress)).await;
        assert_eq!(report.exit_code().number(), 13, "{report:#?}");
    }

    async fn becomes_whole(&self) {
        let report = self.relocate().await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert!(
            graph_rows(&self.uri).await.unwrap() == self.rows,
            "every branch reads what it read"
        );
        let again = self.relocate().await;
        assert_eq!((again.exit_code().number(), again.roots[0].changed), (0, 0), "{again:#?}");
    }
}

macro_rules! deaths {
    ($($test:ident: $name:ident at $crossing:literal, $moved:literal;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let moved = Moved::new().await;
                let verb = Verb::Relocate;
                run_and_die(&moved.uri, Death { verb, ..Death::at(failpoint::$name, $crossing) });
                if $moved {
                    moved.counts_as_moved().await;
                }
                moved.becomes_whole().await;
            }
        )*

        /// The failpoints at which one of these tests dies.
        pub(crate) const DIED_AT: &[&str] = &[$(failpoint::$name),*];
    };
}

deaths! {
    a_relocation_that_dies_before_the_first_manifest_is_finished: RELOCATE_KEPT_PRE_REPLACE at 1, true;
    a_relocation_that_dies_before_the_last_manifest_still_counts_as_moved: RELOCATE_KEPT_PRE_REPLACE at 7, true;
    a_relocation_that_dies_after_the_manifests_is_finished: RELOCATE_CHANGED_PRE_ROWS at 1, false;
}

macro_rules! failures {
    ($($test:ident: $name:ident $action:literal;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let moved = Moved::new().await;
                let guard = FailGuard::new(failpoint::$name, $action).unwrap();
                let report = moved.relocate().await;
                drop(guard);
                assert_eq!(report.exit_code().number(), 1, "{report:#?}");
                let text = format!("injected failpoint triggered: {}", failpoint::$name);
                assert!(report.roots[0].error.as_ref().unwrap().contains(&text), "{report:#?}");
                moved.becomes_whole().await;
            }
        )*

        /// The failpoints at which one of these tests fails.
        pub(crate) const FAILED_AT: &[&str] = &[$(failpoint::$name),*];
    };
}

failures! {
    a_relocation_that_cannot_keep_an_original_is_finished: RELOCATE_KEPT_PRE_REPLACE "2*off->return";
    a_relocation_that_fails_after_the_manifests_is_finished: RELOCATE_CHANGED_PRE_ROWS "return";
}

/// What it committed to a branch is ahead of what readers see, and a sidecar says so: whoever ends that reads the branch
/// through the old place.
#[tokio::test]
async fn a_run_that_died_on_a_branch_before_the_graph_was_moved_is_ended_after_the_relocation() {
    let _failpoints = FailScenario::setup();
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (directory.path().join("old"), directory.path().join("new-place"));
    let (old_uri, uri) = (old.to_string_lossy().into_owned(), new.to_string_lossy().into_owned());
    let writer = GraphWriter::init(&old_uri, &["Person"], Utc::now()).await.unwrap();
    writer.create_branch("work", "main").await.unwrap();
    for id in ["a", "b", "c"] {
        let entry = writer.view("work", None).await.unwrap().entries[KEY].clone();
        let mut table = writer.open_to_write(&entry, "work").await.unwrap();
        append(&mut table, &[(id.to_owned(), "note".to_owned())]).await.unwrap();
        let publish = writer.begin_publish("work", &[(KEY, &table)], None, Utc::now()).await;
        publish.unwrap().commit().await.unwrap();
    }
    let rows = graph_rows(&old_uri).await.unwrap();
    let verb = Verb::OptimizeAll;
    run_and_die(&old_uri, Death { verb, ..Death::at(failpoint::OPTIMIZE_POST_PHASE_B, 1) });
    fs::rename(&old, &new).unwrap();
    let armed = || names(&Path::new(&uri).join("__recovery")).unwrap();
    assert!(armed().iter().any(|name| name.ends_with(".json")), "{:?}", armed());

    let keeper = Keeper::new();
    let preview = keeper.relocate([&uri], false).await;
    assert_eq!(preview.exit_code().number(), 0, "{preview:#?}");
    let report = keeper.relocate([&uri], true).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(graph_rows(&uri).await.unwrap() == rows, "every branch reads what it read");
    let options = OptimizeOptions { branches: BranchSelection::All, ..OptimizeOptions::default() };
    let next = keeper.optimize([&uri], &options, Arc::new(NoProgress)).await;
    assert_eq!(next.exit_code().number(), 0, "{next:#?}");
    assert_eq!(next.roots[0].recovery.sidecars.len(), 1, "{next:#?}");
    assert!(!armed().iter().any(|name| name.ends_with(".json")), "{:?}", armed());
    assert!(graph_rows(&uri).await.unwrap() == rows, "every branch reads what it read");
}
