//! The watcher's one task: takes messages, keeps what is known, and begins what was decided.
//!
//! Every wait is in [`Actor::live`]; the rest is done at once. Work that takes time runs in tasks, of which each root has
//! one look and each table one job.

mod begin;
mod hear;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use lancekeeper::Keeper;
use lancekeeper_model::{TableKey, Version};
use lancekeeper_planner::schedule::{Now, SETTLED_MOST, Work};
use lancekeeper_settings::PolicyFile;
use lancekeeper_store::files::Notices;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::{Id, JoinSet};

use super::WatchOptions;
use super::event::{WatchEvent, WatchEventKind};
use super::look::{LookError, Looked};
use super::noops;
use super::open::{OpenError, Opened};
use super::run::Ran;
use super::standing::{RootSummary, State, WatchSummary, Watched};

/// The longest sleep: whatever was forgotten is found then.
const SLEEP_MOST: Duration = Duration::from_secs(60);

/// What somebody wants of the watcher.
#[derive(Debug)]
pub(super) enum Command {
    Pause,
    Resume,
    Reload,
    Trigger { root: String, table: TableKey },
}

/// What a task is about. Roots by their place in the list.
#[derive(Debug, Clone)]
pub(super) enum Doing {
    Opening(usize),
    Looking(usize),
    Running {
        root: usize,
        table: TableKey,
        work: Work,
        version: Version,
    },
    /// The document of a root.
    Writing,
}

/// What a task ends with.
pub(super) enum Message {
    Opened(Result<Opened, OpenError>),
    Looked(Result<Box<Looked>, LookError>),
    Ran(Ran),
    Written,
}

pub(super) struct Actor {
    keeper: Keeper,
    options: WatchOptions,
    file: Arc<PolicyFile>,
    roots: Vec<Watched>,
    tasks: JoinSet<Message>,
    doing: HashMap<Id, Doing>,
    began: Instant,
    is_paused: bool,
    /// When to decide though nothing was heard.
    ask_again: Option<Duration>,
    events: broadcast::Sender<WatchEvent>,
    /// Who tells that directories changed, where the system does; groups are roots by their place in the list.
    notices: Option<Arc<Notices>>,
}

impl Actor {
    pub(super) fn new(
        keeper: Keeper,
        roots: Vec<String>,
        options: WatchOptions,
        events: broadcast::Sender<WatchEvent>,
    ) -> Self {
        Self {
            keeper,
            file: Arc::new(options.policies.clone()),
            notices: if options.once { None } else { Notices::open().map(Arc::new) },
            options,
            roots: roots.into_iter().map(Watched::of).collect(),
            tasks: JoinSet::new(),
            doing: HashMap::new(),
            began: Instant::now(),
            is_paused: false,
            ask_again: None,
            events,
        }
    }

    /// Watches until it is told to stop, or everything is done that a single pass has to do.
    pub(super) async fn live(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut stops: watch::Receiver<bool>,
    ) -> WatchSummary {
        let notices = self.notices.clone();
        loop {
            self.begin_looks();
            if self.options.once && self.tasks.is_empty() {
                break;
            }
            let sleep = tokio::time::sleep(self.sleep());
            tokio::select! {
                // A handle that is gone asks for nothing any more, and the watcher goes on.
                Ok(_) = stops.wait_for(|stop| *stop) => break,
                Some(command) = commands.recv() => self.obey(command),
                Some(ended) = self.tasks.join_next_with_id() => self.hear(ended),
                roots = heard(notices.as_deref()) => self.notice(&roots),
                () = sleep => {}
            }
            if self.ask_again.is_some_and(|at| at <= self.at()) {
                self.decide();
            }
        }
        self.end().await
    }

    /// Since the watcher began, by a clock that only runs forward.
    fn at(&self) -> Duration {
        self.began.elapsed()
    }

    /// The time by which is decided. A single pass takes it that writers have been gone for a while.
    fn now(&self) -> Now {
        let at = if self.options.once { self.at() + SETTLED_MOST } else { self.at() };
        Now { at, wall: self.keeper.now() }
    }

    /// How long nothing has to be done.
    fn sleep(&self) -> Duration {
        let at = self.at();
        let of_root = |root: &Watched| match &root.state {
            State::Closed { retry_at, .. } => Some(*retry_at),
            State::Opening { .. } => None,
            State::Open(open) => open.may_look().then_some(open.next_look),
        };
        let next = self.roots.iter().filter_map(of_root).chain(self.ask_again).min();
        // Never busy, whatever the clock says.
        const SLEEP_LEAST: Duration = Duration::from_millis(1);
        next.map_or(SLEEP_MOST, |next| next.saturating_sub(at)).clamp(SLEEP_LEAST, SLEEP_MOST)
    }

    /// Directories of these roots changed: they are looked at soon.
    fn notice(&mut self, roots: &BTreeSet<usize>) {
        for root in roots {
            if let Some(open) = self.roots.get_mut(*root).and_then(Watched::open_mut) {
                open.notice();
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Pause => self.is_paused = true,
            Command::Resume => {
                self.is_paused = false;
                self.decide();
            }
            Command::Reload => self.reload(),
            Command::Trigger { root, table } => {
                let at = self.at();
                let found = self.roots.iter_mut().find(|known| known.uri == root);
                let Some(open) = found.and_then(Watched::open_mut) else {
                    return self.tell(
                        WatchEventKind::Warning,
                        &root,
                        Some(table),
                        "is not watched",
                    );
                };
                open.asked.insert(table);
                open.next_look = at;
            }
        }
    }

    /// Reads the file of policies again, and all documents with the next look. A file that is wrong changes nothing.
    fn reload(&mut self) {
        if let Some(path) = &self.options.policy_path {
            match crate::policy_file::load_policies(path) {
                Ok(file) => {
                    let text = format!("{} was read again", path.display());
                    self.file = Arc::new(file);
                    self.tell(WatchEventKind::Policies, "", None, &text);
                }
                Err(error) => {
                    let text = format!("policies stay as they were: {error}");
                    self.tell(WatchEventKind::Warning, "", None, &text);
                }
            }
        }
        let at = self.at();
        for open in self.roots.iter_mut().filter_map(Watched::open_mut) {
            open.reload = true;
            open.next_look = at;
            open.tables.values_mut().for_each(|table| table.known = super::look::Known::default());
        }
    }

    fn tell(&self, kind: WatchEventKind, root: &str, table: Option<TableKey>, text: &str) {
        let (root, text) = (root.to_owned(), text.to_owned());
        let event = WatchEvent { at: Utc::now(), kind, root, table, text };
        if let Some(listener) = &self.options.listener {
            listener(&event);
        }
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    /// Lets runs finish their step, writes down what was counted and gives the roots back.
    async fn end(mut self) -> WatchSummary {
        self.keeper.stop();
        let is_run = |doing: &&Doing| matches!(doing, Doing::Running { .. });
        let running = self.doing.values().filter(is_run).count();
        if !self.options.once {
            let text = match running {
                0 => "nothing runs".to_owned(),
                n => format!("{n} runs finish their step"),
            };
            self.tell(WatchEventKind::Stops, "", None, &text);
        }
        let until = tokio::time::Instant::now() + self.options.stop_budget;
        let is_awaited = |doing: &Doing| matches!(doing, Doing::Running { .. } | Doing::Writing);
        while self.doing.values().any(is_awaited) {
            let ended = tokio::time::timeout_at(until, self.tasks.join_next_with_id()).await;
            let Ok(Some(ended)) = ended else { break };
            self.hear_the_end(ended);
        }
        let dropped = self.doing.values().filter(is_run).count() as u64;
        self.tasks.shutdown().await;
        let now = Utc::now();
        let mut summary = WatchSummary { dropped, ..WatchSummary::default() };
        for watched in self.roots {
            let is_seen = watched.open().is_some_and(|open| open.was_looked_at);
            let error = if is_seen { None } else { watched.told.clone() };
            summary.roots.push(RootSummary {
                root: watched.uri.clone(),
                looks: watched.counts.looks,
                runs: watched.counts.runs,
                no_ops: watched.counts.no_ops,
                failures: watched.counts.failures,
                kind: watched.open().map(|open| open.root.kind),
                error,
            });
            if let State::Open(open) = watched.state {
                noops::write(open.root.files(), watched.noops, now).await;
                // Given back last: who stands by must not write the same document meanwhile.
                drop(open.lock);
            }
        }
        summary
    }
}

/// Waits until directories changed, where that is told.
async fn heard(notices: Option<&Notices>) -> BTreeSet<usize> {
    match notices {
        Some(notices) => notices.heard().await,
        None => std::future::pending().await,
    }
}
