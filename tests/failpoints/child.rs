//! A run that really dies: this binary again, as a child that aborts at a failpoint. What an
//! error path or a destructor would still have put right stays undone.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, abort};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lancekeeper::{Keeper, NoProgress, OptimizeOptions};
use lancekeeper_store::failpoint;

/// The order a child finds in its environment.
const ORDER: &str = "LANCEKEEPER_TEST_DEATH";
/// The test that is the child's entry.
const ENTRY: &str = "child::a_child_dies_where_it_is_told";
const SIGABRT: i32 = 6;

/// Where a run dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Death {
    /// The failpoint.
    pub(crate) name: &'static str,
    /// At which of its crossings, from 1.
    pub(crate) crossing: usize,
    /// Tables rewritten at the same time; 0 for the default.
    pub(crate) concurrency: usize,
}

impl Death {
    pub(crate) fn at(name: &'static str, crossing: usize) -> Self {
        Self { name, crossing, concurrency: 0 }
    }

    /// Stages one table at a time, so that nothing else is being written when the run dies.
    pub(crate) fn one_by_one(self) -> Self {
        Self { concurrency: 1, ..self }
    }

    fn last_words(&self) -> String {
        format!("dies at crossing {} of {}", self.crossing, self.name)
    }

    fn write(&self, root: &str) -> String {
        format!("{} {} {} {root}", self.name, self.crossing, self.concurrency)
    }

    fn read(order: &str) -> (Self, String) {
        let parts: Vec<&str> = order.splitn(4, ' ').collect();
        let name = failpoint::ALL.iter().find(|name| **name == parts[0]).unwrap();
        let crossing = parts[1].parse().unwrap();
        let concurrency = parts[2].parse().unwrap();
        (Self { name, crossing, concurrency }, parts[3].to_owned())
    }
}

/// Optimizes a root in a child that dies, and makes sure that it died there and nowhere else.
pub(crate) fn optimize_and_die(root: &str, death: Death) {
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
        assert_eq!(Death::read(&death.write("/a graph")), (death, "/a graph".to_owned()));
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
        ..OptimizeOptions::default()
    };
    let report = Keeper::new().optimize(&[root], &options, Arc::new(NoProgress)).await;
    panic!("{} was not crossed {} times: {report:#?}", death.name, death.crossing);
}
