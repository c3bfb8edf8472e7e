//! Lanes: one FIFO mutex per thing to be had alone, made on demand and gone when idle.
//!
//! Knows one lane at a time. Not here: sets of lanes and their order, which is what keeps
//! sets free of deadlocks (`root_queue`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lancekeeper_model::{ErrorKind, TableRef};
use thiserror::Error;
use tokio::sync::{Mutex as FairMutex, OwnedMutexGuard};

/// How many may wait in one lane. A verb waits at most once per table, and a process runs a
/// handful of verbs per root: ten thousand waiters mean a caller that asks in a loop without
/// waiting for the answers. It shall hear of that before the memory is full (a waiter is some
/// hundred bytes, so a full lane is a few megabytes).
pub const WAITERS_MAX: usize = 10_000;

/// What one can queue for. The order of the variants, then of the tables, is the order in
/// which lanes are taken: LOCK ORDER.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// The root as a whole: the place of a verb in front of the cross-process lock.
    Root,
    /// One table on one branch.
    Table(TableRef),
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("the root lock"),
            Self::Table(table) => table.fmt(f),
        }
    }
}

/// Why a place in a queue was not given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueueError {
    /// As many as are allowed wait there already.
    #[error("failed to queue for {lane}: {WAITERS_MAX} are waiting already")]
    Full {
        /// The full lane.
        lane: Lane,
    },
}

impl QueueError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Full { .. } => ErrorKind::Busy,
        }
    }
}

/// The lanes of one root that are in use.
#[derive(Default)]
pub(crate) struct Lanes {
    entries: Mutex<BTreeMap<Lane, Entry>>,
}

/// One lane in use. `claims` counts the holder and everybody waiting; at 0 the entry goes.
struct Entry {
    turn: Arc<FairMutex<()>>,
    claims: usize,
}

impl Lanes {
    pub(crate) fn len(&self) -> usize {
        self.entries().len()
    }

    /// Keeps the lane alive for one user. A claim is no place in the line yet: that is taken
    /// by waiting for [`Claim::turn`].
    pub(crate) fn claim(self: &Arc<Self>, lane: Lane) -> Result<Claim, QueueError> {
        let mut entries = self.entries();
        // One of the claims is the holder's.
        if entries.get(&lane).is_some_and(|entry| entry.claims > WAITERS_MAX) {
            return Err(QueueError::Full { lane });
        }
        let entry = entries
            .entry(lane.clone())
            .or_insert_with(|| Entry { turn: Arc::new(FairMutex::new(())), claims: 0 });
        entry.claims += 1;
        Ok(Claim { turn: Arc::clone(&entry.turn), lanes: Arc::clone(self), lane })
    }

    /// The map is consistent after every statement, so a panic elsewhere in the process that
    /// poisoned the mutex does not matter here.
    fn entries(&self) -> MutexGuard<'_, BTreeMap<Lane, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One user's part in keeping a lane alive. Must not be dropped while the map is locked.
pub(crate) struct Claim {
    turn: Arc<FairMutex<()>>,
    lanes: Arc<Lanes>,
    lane: Lane,
}

impl Claim {
    /// Waits for this user's turn, first come, first served.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place and the claim; the others keep their order.
    pub(crate) async fn turn(self) -> Turn {
        let permit = Arc::clone(&self.turn).lock_owned().await;
        Turn { _permit: permit, _claim: self }
    }

    /// Takes the turn if nobody has it; who waits has precedence.
    pub(crate) fn turn_now(self) -> Option<Turn> {
        let permit = Arc::clone(&self.turn).try_lock_owned().ok()?;
        Some(Turn { _permit: permit, _claim: self })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut entries = self.lanes.entries();
        if let Some(entry) = entries.get_mut(&self.lane) {
            entry.claims -= 1;
            if entry.claims == 0 {
                entries.remove(&self.lane);
            }
        }
    }
}

/// The turn in one lane, given back on drop. The claim goes last, so that a lane whose permit
/// is out always has an entry.
pub(crate) struct Turn {
    _permit: OwnedMutexGuard<()>,
    _claim: Claim,
}
