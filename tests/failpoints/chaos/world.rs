//! What everybody in one world shares: the ledger, the time, the log, and whether it is over.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::ledger::Ledger;

/// How long everybody goes on.
pub(super) const LASTS: Duration = Duration::from_secs(16);
/// What was committed within this time is never collected. A client that takes longer from opening to publishing
/// may lose what it read, and then nothing can be said of the world.
pub(super) const WINDOW: Duration = Duration::from_secs(6);
/// At this a client gives up before its next step.
const PATIENCE: Duration = Duration::from_secs(3);
/// Lines of the log that a failure shows.
const LAST_WORDS: usize = 300;

/// Shared by everybody.
#[derive(Debug)]
pub(super) struct World {
    ledger: Mutex<Ledger>,
    began: Instant,
    is_over: AtomicBool,
    is_too_slow: AtomicBool,
    log: Mutex<Vec<String>>,
    counts: Mutex<BTreeMap<String, usize>>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            ledger: Mutex::default(),
            began: Instant::now(),
            is_over: AtomicBool::new(false),
            is_too_slow: AtomicBool::new(false),
            log: Mutex::default(),
            counts: Mutex::default(),
        }
    }

    /// Lets everybody come to an end.
    pub(super) fn ends(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// Whether a client was slower than the window.
    pub(super) fn was_too_slow(&self) -> bool {
        self.is_too_slow.load(Ordering::SeqCst)
    }

    /// Whether everybody should come to an end.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst) || self.began.elapsed() > LASTS
    }

    pub(super) fn ledger<T>(&self, ask: impl FnOnce(&mut Ledger) -> T) -> T {
        ask(&mut self.ledger.lock().unwrap())
    }

    /// Notes what somebody did.
    pub(super) fn log(&self, what: &str) {
        let at = self.began.elapsed().as_millis();
        self.log.lock().unwrap().push(format!("{at:>6} {what}"));
    }

    /// Notes what somebody did, and counts that.
    pub(super) fn did(&self, kind: &str, what: &str) {
        *self.counts.lock().unwrap().entry(kind.to_owned()).or_default() += 1;
        self.log(&format!("{kind}: {what}"));
    }

    pub(super) fn counts(&self) -> String {
        format!("{:?}", self.counts.lock().unwrap())
    }

    pub(super) fn last_words(&self) -> String {
        let log = self.log.lock().unwrap();
        log[log.len().saturating_sub(LAST_WORDS)..].join("\n")
    }

    /// Whether a client that began then may take its next step.
    pub(super) fn has_time(&self, began: Instant) -> bool {
        let has_time = began.elapsed() < PATIENCE;
        if !has_time {
            self.log("a client gives up: it was too slow");
        }
        has_time
    }

    /// Notes a step that was begun in time and ended too late.
    pub(super) fn was_in_time(&self, began: Instant) -> bool {
        let is = began.elapsed() < WINDOW;
        if !is {
            self.is_too_slow.store(true, Ordering::SeqCst);
            self.ends();
        }
        is
    }
}
