//! What is known of the roots that are watched. Values only: nothing here waits or decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lancekeeper_model::{EffectivePolicy, ErrorKind, RootKind, TableKey};
use lancekeeper_planner::schedule::{Memory, Place, Shape};
use lancekeeper_queue::RootLock;
use lancekeeper_store::Root;

use super::look::{Documents, Known, Located, Looked};
use super::noops::Noops;
use super::open::Opened;

/// A root that cannot be watched is tried again after this.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// And after twice as long each time, up to this: somebody who puts it back sees it watched soon.
const RETRY_MOST: Duration = Duration::from_secs(30);
/// The least time between two looks for what is noticed: commits that follow each other closely are seen together.
const LOOK_REST: Duration = Duration::from_millis(10);

/// A root that somebody wants watched.
pub(super) struct Watched {
    /// As it was named.
    pub(super) uri: String,
    pub(super) state: State,
    /// What was told last of it, so that it is told once.
    pub(super) told: Option<(String, ErrorKind)>,
    pub(super) counts: Counts,
    /// Runs without work that no document counts yet, and when it may be written next.
    pub(super) noops: Noops,
    pub(super) next_write: Duration,
}

/// Runs in a root.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) looks: u64,
    pub(super) runs: u64,
    pub(super) no_ops: u64,
    pub(super) failures: u64,
}

/// How a root stands.
pub(super) enum State {
    /// To be opened when that time has come, after so many failures.
    Closed { retry_at: Duration, failures: u32 },
    /// Being opened, after so many failures.
    Opening { failures: u32 },
    /// Watched.
    Open(Box<OpenRoot>),
}

/// A root that is watched by us.
pub(super) struct OpenRoot {
    pub(super) root: Root,
    pub(super) lock: RootLock,
    pub(super) documents: Documents,
    pub(super) members: Located,
    pub(super) tables: BTreeMap<TableKey, Table>,
    /// Tables that somebody asked for.
    pub(super) asked: BTreeSet<TableKey>,
    pub(super) reload: bool,
    pub(super) is_looking: bool,
    pub(super) was_looked_at: bool,
    pub(super) next_look: Duration,
    /// Something changed since the look that is under way began.
    is_noticed: bool,
    /// The last look was for something that was noticed.
    is_for_notice: bool,
    /// When the last look began, and from when on what is noticed may begin another one.
    look_began: Duration,
    rested: Duration,
    pub(super) last_change: Duration,
    /// Looks in a row that failed.
    pub(super) failures: u32,
}

/// A table that is watched.
pub(super) struct Table {
    pub(super) place: Place,
    pub(super) policy: EffectivePolicy,
    /// What was found; `None` while that is not known, or no longer.
    pub(super) shape: Option<Shape>,
    pub(super) known: Known,
    pub(super) memory: Memory,
    /// Small fragments at the look before; `None` where ours may be among them.
    small: Option<u64>,
    /// What it was said to wait for, or why it cannot be read.
    pub(super) told: Option<String>,
    /// Somebody asked for it.
    pub(super) is_asked: bool,
}

impl Watched {
    pub(super) fn of(uri: String) -> Self {
        Self {
            uri,
            state: State::Closed { retry_at: Duration::ZERO, failures: 0 },
            told: None,
            counts: Counts::default(),
            noops: Noops::new(),
            next_write: Duration::ZERO,
        }
    }

    pub(super) fn open_mut(&mut self) -> Option<&mut OpenRoot> {
        match &mut self.state {
            State::Open(open) => Some(open),
            State::Closed { .. } | State::Opening { .. } => None,
        }
    }

    pub(super) fn open(&self) -> Option<&OpenRoot> {
        match &self.state {
            State::Open(open) => Some(open),
            State::Closed { .. } | State::Opening { .. } => None,
        }
    }

    /// Gives the root up until it is tried again.
    pub(super) fn close(&mut self, at: Duration, failures: u32) {
        let retry_at = at.saturating_add(retry_after(failures));
        self.state = State::Closed { retry_at, failures };
    }

    /// Whether this is to be told: it is not what was told last.
    pub(super) fn is_news(&mut self, text: &str, kind: ErrorKind) -> bool {
        let is_news = self.told.as_ref().is_none_or(|(told, _)| told != text);
        self.told = Some((text.to_owned(), kind));
        is_news
    }
}

/// How long until a root is tried again, after so many failures in a row.
pub(super) fn retry_after(failures: u32) -> Duration {
    let times = 2_u32.saturating_pow(failures.saturating_sub(1));
    RETRY_FIRST.saturating_mul(times).min(RETRY_MOST)
}

impl OpenRoot {
    pub(super) fn of(opened: Opened, at: Duration) -> Self {
        Self {
            root: opened.root,
            lock: opened.lock,
            documents: (Arc::default(), None),
            members: Located::default(),
            tables: BTreeMap::new(),
            asked: BTreeSet::new(),
            reload: true,
            is_looking: false,
            was_looked_at: false,
            next_look: at,
            is_noticed: false,
            is_for_notice: false,
            look_began: at,
            rested: at,
            last_change: at,
            failures: 0,
        }
    }

    /// A directory of it changed.
    pub(super) fn notice(&mut self) {
        self.is_noticed = true;
        self.next_look = self.next_look.min(self.rested);
    }

    /// Whether it is looked at once its time has come. Not while a job of a graph runs: the job listens who opens the
    /// files that a client opens first, and a look opens them, too.
    pub(super) fn may_look(&self) -> bool {
        let is_quiet = self.root.kind == RootKind::Graph
            && self.tables.values().any(|table| table.memory.running().is_some());
        !self.is_looking && !is_quiet
    }

    /// A look begins, which sees whatever was noticed until now.
    pub(super) fn begin_look(&mut self, at: Duration) {
        self.is_for_notice = std::mem::take(&mut self.is_noticed);
        (self.is_looking, self.look_began) = (true, at);
    }

    /// A look has ended, and unless something is noticed the next one is due after `pause`. Looks for what is noticed take
    /// half of the time at most, however often somebody writes.
    pub(super) fn end_look(&mut self, at: Duration, pause: Duration) {
        let took = at.saturating_sub(self.look_began);
        let rest = if self.is_for_notice { took.max(LOOK_REST).min(pause) } else { Duration::ZERO };
        self.rested = at.saturating_add(rest);
        self.next_look = if self.is_noticed { self.rested } else { at.saturating_add(pause) };
    }

    /// A look has failed, and whatever is noticed the next one is due after `pause`.
    pub(super) fn fail_look(&mut self, at: Duration, pause: Duration) {
        self.rested = at.saturating_add(pause);
        self.next_look = self.rested;
    }

    /// Takes over what a look found. Returns what there is to tell: a table each, and why it cannot be read.
    pub(super) fn take(
        &mut self,
        uri: &str,
        looked: Looked,
        at: Duration,
    ) -> Vec<(TableKey, String)> {
        let mut news = Vec::new();
        self.documents = looked.documents;
        self.members = looked.members;
        self.tables.retain(|key, table| {
            looked.tables.contains_key(key) || table.memory.running().is_some()
        });
        for (key, seen) in looked.tables {
            let place = Place { root: uri.to_owned(), table: key.clone() };
            let table = self.tables.entry(key.clone()).or_insert_with(|| Table::of(place));
            if table.policy != seen.policy {
                table.policy = seen.policy;
                table.memory.rules_changed();
            }
            table.is_asked = self.asked.contains(&key);
            match seen.fresh {
                None => table.known = seen.known,
                // While a job runs, what is seen may be half of what it does; it is looked at again afterwards.
                Some(_) if table.memory.running().is_some() => table.known = Known::default(),
                Some(Ok(shape)) => {
                    self.last_change = at;
                    table.known = seen.known;
                    table.saw(shape, at);
                }
                Some(Err(why)) => {
                    table.shape = None;
                    table.known = Known::default();
                    if table.told.as_ref() != Some(&why) {
                        news.push((key, why.clone()));
                        table.told = Some(why);
                    }
                }
            }
        }
        news
    }
}

impl Table {
    fn of(place: Place) -> Self {
        Self {
            place,
            policy: EffectivePolicy::default(),
            shape: None,
            known: Known::default(),
            memory: Memory::default(),
            small: None,
            told: None,
            is_asked: false,
        }
    }

    fn saw(&mut self, shape: Shape, at: Duration) {
        if let Some(before) = self.small {
            self.memory.saw_appends(at, shape.small.saturating_sub(before));
        }
        self.small = Some(shape.small);
        self.shape = Some(shape);
    }

    /// Forgets what was seen: a job changed it.
    pub(super) fn forget(&mut self) {
        self.shape = None;
        self.small = None;
        self.known = Known::default();
    }
}

/// What a watcher did in a root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RootSummary {
    /// The root, as it was named.
    pub root: String,
    /// How often it was looked at.
    pub looks: u64,
    /// Runs that did something.
    pub runs: u64,
    /// Runs that found nothing to do.
    pub no_ops: u64,
    /// Runs that failed.
    pub failures: u64,
    /// What it is, if it was opened.
    pub kind: Option<RootKind>,
    /// Why it is not watched at the end, if it is not, and what a caller can do about it: busy says that another
    /// watcher has it.
    pub error: Option<(String, ErrorKind)>,
}

/// What a watcher did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchSummary {
    /// Root by root, as they were named.
    pub roots: Vec<RootSummary>,
    /// Runs that were dropped at the end because their time was up.
    pub dropped: u64,
    /// Why the watcher itself broke, if it did.
    pub broken: Option<String>,
}

impl WatchSummary {
    pub(super) fn broken(why: &str) -> Self {
        Self { broken: Some(why.to_owned()), ..Self::default() }
    }
}
