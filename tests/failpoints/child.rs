//! A run that really dies: this binary again, as a child that aborts at a failpoint. What an
//! error path or a destructor would still have put right stays undone.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, abort};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use lancekeeper::{
    BranchSelection, CleanupOptions, CleanupPolicyOptions, Keeper, NoProgress, OptimizeOptions,
    RepairOptions,
};
use lancekeeper_service::jobs::Recorder;
use lancekeeper_store::failpoint;

use crate::{branch, manifest_names, migrate, recover};

/// The order a child finds in its environment.
const ORDER: &str = "LANCEKEEPER_TEST_DEATH";
/// The test that is the child's entry.
const ENTRY: &str = "child::a_child_dies_where_it_is_told";
const SIGABRT: i32 = 6;

/// What dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Optimize,
    /// Of every branch.
    OptimizeAll,
    /// Of main, with a record of its jobs.
    RecordedOptimize,
    Cleanup,
    /// Of a new branch of main.
    CreateBranch,
    /// Of the fixtures' branch `work`.
    DeleteBranch,
    /// Taking back whatever somebody committed past the graph.
    Repair,
    /// Of what others left.
    Recover,
    /// Making a graph whole that was moved.
    Relocate,
    /// To v4.
    Migrate,
    /// Manifests of a table get new names.
    NameManifests,
}

/// A repair that takes back what others committed, however young it is.
pub(crate) fn taking_back() -> RepairOptions {
    let (confirm, restore_pin, assume_dead) = (true, true, true);
    RepairOptions { confirm, restore_pin, assume_dead, ..RepairOptions::default() }
}

/// The strictest cleanup there is. Slow enough that others are let in between its deletions.
pub(crate) fn strictest() -> CleanupOptions {
    CleanupOptions {
        policy: CleanupPolicyOptions { keep_versions: Some(1), older_than: None },
        writer_window: TimeDelta::zero(),
        min_fork_age: TimeDelta::zero(),
        delete_rate: Some(100),
        ..CleanupOptions::default()
    }
}

/// Where a run dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Death {
    /// What runs.
    pub(crate) verb: Verb,
    /// The failpoint.
    pub(crate) name: &'static str,
    /// At which of its crossings, from 1.
    pub(crate) crossing: usize,
    /// Tables rewritten at the same time; 0 for the default.
    pub(crate) concurrency: usize,
    /// The order that rows are to get, in outputs of [`SMALL_ROWS`].
    pub(crate) layout: Option<&'static str>,
}

/// Of an output, where rows get another order.
pub(crate) const SMALL_ROWS: u64 = 64;

impl Death {
    pub(crate) fn at(name: &'static str, crossing: usize) -> Self {
        Self { verb: Verb::Optimize, name, crossing, concurrency: 0, layout: None }
    }

    /// Of a cleanup.
    pub(crate) fn of_cleanup_at(name: &'static str, crossing: usize) -> Self {
        Self { verb: Verb::Cleanup, ..Self::at(name, crossing) }
    }

    /// Stages one table at a time, so that nothing else is being written when the run dies.
    pub(crate) fn one_by_one(self) -> Self {
        Self { concurrency: 1, ..self }
    }

    /// Of a run that gives rows another order.
    pub(crate) fn laying_out(self, layout: &'static str) -> Self {
        Self { layout: Some(layout), ..self }
    }

    fn last_words(&self) -> String {
        format!("dies at crossing {} of {}", self.crossing, self.name)
    }

    fn write(&self, root: &str) -> String {
        let Self { verb, name, crossing, concurrency, layout } = self;
        format!("{verb:?} {name} {crossing} {concurrency} {} {root}", layout.unwrap_or("-"))
    }

    fn read(order: &str) -> (Self, String) {
        let parts: Vec<&str> = order.splitn(6, ' ').collect();
        let verb = match parts[0] {
            "Optimize" => Verb::Optimize,
            "OptimizeAll" => Verb::OptimizeAll,
            "RecordedOptimize" => Verb::RecordedOptimize,
            "Cleanup" => Verb::Cleanup,
            "CreateBranch" => Verb::CreateBranch,
            "DeleteBranch" => Verb::DeleteBranch,
            "Repair" => Verb::Repair,
            "Recover" => Verb::Recover,
            "Relocate" => Verb::Relocate,
            "Migrate" => Verb::Migrate,
            "NameManifests" => Verb::NameManifests,
            other => panic!("no such verb: {other}"),
        };
        let name = failpoint::ALL.iter().find(|name| **name == parts[1]).unwrap();
        let crossing = parts[2].parse().unwrap();
        let concurrency = parts[3].parse().unwrap();
        let layout = Some(parts[4]).filter(|layout| *layout != "-");
        // For the rest of the child's life.
        let layout = layout.map(|layout| &*layout.to_owned().leak());
        (Self { verb, name, crossing, concurrency, layout }, parts[5].to_owned())
    }
}

/// Runs a verb over a root in a child that dies, and makes sure that it died there and nowhere
/// else.
pub(crate) fn run_and_die(root: &str, death: Death) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", ENTRY, "--nocapture"])
        .env(ORDER, death.write(root))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    let why = format!("{death:?}: {}\n{said}", child.status);
    assert_eq!(child.status.signal(), Some(SIGABRT), "{why}");
    assert!(said.lines().any(|line| line == death.last_words()), "{why}");
}

#[tokio::test]
async fn a_child_dies_where_it_is_told() {
    let Ok(order) = std::env::var(ORDER) else {
        // No child: what a parent would order is at least what a child would do.
        let death = Death::at(failpoint::OPTIMIZE_POST_PHASE_B, 2).one_by_one();
        for death in [death, death.laying_out("sort:-id")] {
            assert_eq!(Death::read(&death.write("/a graph")), (death, "/a graph".to_owned()));
        }
        return;
    };
    let (death, root) = Death::read(&order);
    let crossings = AtomicUsize::new(0);
    fail::cfg_callback(death.name, move || {
        if crossings.fetch_add(1, Ordering::SeqCst) + 1 == death.crossing {
            writeln!(std::io::stderr(), "{}", death.last_words()).unwrap();
            abort();
        }
    })
    .unwrap();
    let options = OptimizeOptions {
        concurrency: Some(death.concurrency).filter(|n| *n > 0),
        layout: death.layout.map(|layout| layout.parse().unwrap()),
        target_rows: death.layout.map_or(OptimizeOptions::TARGET_ROWS, |_| SMALL_ROWS),
        ..OptimizeOptions::default()
    };
    let (keeper, roots) = (Keeper::new(), [root]);
    let report = match death.verb {
        Verb::Optimize => {
            format!("{:#?}", keeper.optimize(&roots, &options, Arc::new(NoProgress)).await)
        }
        Verb::OptimizeAll => {
            let options = OptimizeOptions { branches: BranchSelection::All, ..options };
            format!("{:#?}", keeper.optimize(&roots, &options, Arc::new(NoProgress)).await)
        }
        Verb::RecordedOptimize => {
            let keeper = Keeper::builder().job_log(Arc::new(Recorder::default())).build();
            format!("{:#?}", keeper.optimize(&roots, &options, Arc::new(NoProgress)).await)
        }
        Verb::Cleanup => format!("{:#?}", keeper.cleanup(&roots, &strictest()).await),
        Verb::CreateBranch => {
            format!("{:#?}", keeper.create_branch(&roots[0], branch::NEW, "main").await)
        }
        Verb::Recover => {
            let options = recover::options(&roots[0]);
            format!("{:#?}", keeper.recover(&roots, &options).await)
        }
        Verb::DeleteBranch => {
            format!("{:#?}", keeper.delete_branch(&roots[0], branch::WORK).await)
        }
        Verb::Repair => format!("{:#?}", keeper.repair(&roots, &taking_back()).await),
        Verb::Relocate => format!("{:#?}", keeper.relocate(&roots, true).await),
        Verb::Migrate => format!("{:#?}", keeper.migrate(&roots, &migrate::to_v4()).await),
        Verb::NameManifests => {
            format!("{:#?}", keeper.migrate(&roots, &manifest_names::to_new_names()).await)
        }
    };
    panic!("{} was not crossed {} times: {report}", death.name, death.crossing);
}
