//! The watcher: keeps the tables of roots in order by their policies, for as long as it is let.
//!
//! # Overview
//!
//! One task (`actor`) holds what is known. Everything that takes time is a task of its own that ends with a message:
//! opening a root and taking the place of its one watcher (`open`), a look at its tables (`look`), a run of a verb
//! (`run`). After each message `planner::schedule` decides what begins.
//!
//! A look asks the disk when directories changed, and reads a table's manifest only if its directory of versions did. A table at
//! rest costs no call of a store.
//!
//! # Invariants
//!
//! * A root has one watcher: whoever comes second stands by, and takes over when the lock of the first is gone.
//! * A table has one job at a time, and everything that changes a table is done by a verb of the keeper.
//! * Intervals are told by a clock that only runs forward.
//! * What goes wrong with one root or table stops no other.
//!
//! Not here: decisions (`planner::schedule`), verbs (`keeper`), signals of the process (`cli`).

mod actor;
mod event;
mod look;
mod noops;
mod open;
mod run;
mod standing;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lancekeeper::Keeper;
use lancekeeper_model::TableKey;
use lancekeeper_settings::PolicyFile;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;

use actor::{Actor, Command};
pub use event::{WatchEvent, WatchEventKind};
pub use standing::{RootSummary, WatchSummary};

/// How long a run over a graph waits before its commits for a moment in which no client is in the middle of anything.
/// One that is never at rest is kept in order all the same, and that is said.
const PATIENCE: Duration = Duration::from_secs(30);
/// Events that a listener may be behind before it misses some: at one a millisecond, a second.
const EVENTS_KEPT: usize = 1_024;
/// Commands that may wait: they come from people and signals.
const COMMANDS_KEPT: usize = 64;

/// Who hears of every event at once, on the watcher's own task: it must not wait for anything.
pub type WatchListener = Arc<dyn Fn(&WatchEvent) + Send + Sync>;

/// How to watch.
#[derive(Clone)]
pub struct WatchOptions {
    /// How often a root is looked at that nobody has written to for a while. More often while somebody writes, less often
    /// when nobody did for long.
    pub interval: Duration,
    /// What holds of tables beside their own documents.
    pub policies: PolicyFile,
    /// The file that they came from: read again when told to.
    pub policy_path: Option<PathBuf>,
    /// For how long runs may finish their step after a request to stop. Then they are dropped, which leaves every table
    /// as it was or compacted.
    pub stop_budget: Duration,
    /// Whether rules of retention that lie beside the data, in a table's document, may delete versions. Those of
    /// `policies` may in any case.
    pub confirm: bool,
    /// Looks once, does what is due, and ends.
    pub once: bool,
    /// Who hears of every event.
    pub listener: Option<WatchListener>,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            policies: PolicyFile::default(),
            policy_path: None,
            stop_budget: Duration::from_secs(20),
            confirm: false,
            once: false,
            listener: None,
        }
    }
}

impl fmt::Debug for WatchOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchOptions")
            .field("interval", &self.interval)
            .field("policy_path", &self.policy_path)
            .field("stop_budget", &self.stop_budget)
            .field("confirm", &self.confirm)
            .field("once", &self.once)
            .finish_non_exhaustive()
    }
}

/// A watcher that runs. Dropped, it goes on; [`WatchHandle::shutdown`] ends it.
#[derive(Debug)]
pub struct WatchHandle {
    commands: mpsc::Sender<Command>,
    stop: watch::Sender<bool>,
    events: broadcast::Sender<WatchEvent>,
    task: JoinHandle<WatchSummary>,
}

/// Watches roots, beside whatever else the process does with the keeper: its stop is the watcher's own, its memory, queues and
/// job log are shared. Must be called within a runtime.
///
/// # Cancel safety
///
/// Nothing is awaited. The watcher ends by [`WatchHandle::shutdown`], and with the runtime as if its process had died.
#[must_use]
pub fn watch(
    keeper: &Keeper,
    roots: impl IntoIterator<Item = impl AsRef<str>>,
    options: WatchOptions,
) -> WatchHandle {
    let (commands, received) = mpsc::channel(COMMANDS_KEPT);
    let (stop, stops) = watch::channel(false);
    let (events, _) = broadcast::channel(EVENTS_KEPT);
    let roots = roots.into_iter().map(|root| root.as_ref().to_owned()).collect();
    let keeper = keeper.clone().stopped_apart().yielding_to_writers(PATIENCE);
    let actor = Actor::new(keeper, roots, options, events.clone());
    let task = tokio::spawn(actor.live(received, stops));
    WatchHandle { commands, stop, events, task }
}

impl WatchHandle {
    /// Begins no more jobs until [`WatchHandle::resume`]; looks go on. Returns whether the watcher heard it.
    pub fn pause(&self) -> bool {
        self.commands.try_send(Command::Pause).is_ok()
    }

    /// Begins jobs again. Returns whether the watcher heard it.
    pub fn resume(&self) -> bool {
        self.commands.try_send(Command::Resume).is_ok()
    }

    /// Looks at a table at once, and compacts it if a plan has anything to do, whatever its thresholds say. Returns whether
    /// the watcher heard it.
    pub fn trigger(&self, root: &str, table: &str) -> bool {
        let (root, table) = (root.to_owned(), TableKey::new(table));
        self.commands.try_send(Command::Trigger { root, table }).is_ok()
    }

    /// Reads the file of policies and all documents again. Returns whether the watcher heard it.
    pub fn reload(&self) -> bool {
        self.commands.try_send(Command::Reload).is_ok()
    }

    /// Asks the watcher to end: it begins nothing more, runs finish their step, and what is only staged is given up.
    pub fn shutdown(&self) {
        self.stop.send_replace(true);
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<WatchEvent> {
        self.events.subscribe()
    }

    /// Waits for the end of the watcher: after [`WatchHandle::shutdown`], or of its one pass. To be called until it has
    /// answered once.
    ///
    /// # Cancel safety
    ///
    /// The watcher goes on.
    pub async fn finished(&mut self) -> WatchSummary {
        // Its end is told by the task alone; if that panicked nothing is known but that.
        let ended = (&mut self.task).await;
        ended.unwrap_or_else(|error| WatchSummary::broken(&error.to_string()))
    }
}
