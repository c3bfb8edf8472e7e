//! Lanes: one FIFO mutex per thing to be had alone, made on demand and gone when idle.
//!
//! Knows one lane at a time. Not here: sets of lanes and their order, which is what keeps
//! sets free of deadlocks (`root_queue`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lancekeeper_model::{ErrorKind, TableRef};
use thiserror::Error;
use tokio::sync::{Mutex as FairMutex, OwnedMutexGuard};

use crate::hold_times::HoldTimes;

/// How many may wait in one lane. A verb waits at most once per table, and a process runs a
/// handful of verbs per root: ten thousand waiters mean a caller that asks in a loop without
/// waiting for the answers. It shall hear of that before the memory is full (a waiter is some
/// hundred bytes, so a full lane is a few megabytes).
pub const WAITERS_MAX: usize = 10_000;

/// What one can queue for. The order of the variants, then of the tables, is the order in
/// which lanes are taken: LOCK ORDER.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// The root as far as runs are concerned that give its lock back while they stage: one at a time.
    Run,
    /// The root as a whole: the place of a verb in front of the cross-process lock.
    Root,
    /// One table on one branch.
    Table(TableRef),
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => f.write_str("the turn of a run"),
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

/// One lane in use. `claims` counts the holder, everybody waiting and whoever paused; at 0 the
/// entry goes.
struct Entry {
    turn: SharedTurn,
    claims: usize,
}

/// The right to a lane, with the number of turns that were taken in it so far: whoever paused
/// finds out by it whether anybody else came in between.
type SharedTurn = Arc<FairMutex<u64>>;

impl Lanes {
    pub(crate) fn len(&self) -> usize {
        self.entries().len()
    }

    /// Keeps the lane alive for one user. A claim is no place in the line yet: that is taken
    /// by waiting for [`Claim::turn`]. How long its turns last is recorded in `times`, if given.
    pub(crate) fn claim(
        self: &Arc<Self>,
        lane: Lane,
        times: Option<HoldTimes>,
    ) -> Result<Claim, QueueError> {
        let mut entries = self.entries();
        // One of the claims is the holder's.
        if entries.get(&lane).is_some_and(|entry| entry.claims > WAITERS_MAX) {
            return Err(QueueError::Full { lane });
        }
        let entry = entries
            .entry(lane.clone())
            .or_insert_with(|| Entry { turn: SharedTurn::default(), claims: 0 });
        entry.claims += 1;
        Ok(Claim { turn: Arc::clone(&entry.turn), lanes: Arc::clone(self), lane, times })
    }

    /// The map is consistent after every statement, so a panic elsewhere in the process that
    /// poisoned the mutex does not matter here.
    fn entries(&self) -> MutexGuard<'_, BTreeMap<Lane, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One user's part in keeping a lane alive. Must not be dropped while the map is locked.
pub(crate) struct Claim {
    turn: SharedTurn,
    lanes: Arc<Lanes>,
    lane: Lane,
    times: Option<HoldTimes>,
}

impl Claim {
    /// Waits for this user's turn, first come, first served.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place and the claim; the others keep their order.
    pub(crate) async fn turn(self) -> Turn {
        let permit = Arc::clone(&self.turn).lock_owned().await;
        Turn::begin(permit, self)
    }

    /// Takes the turn if nobody has it; who waits has precedence.
    pub(crate) fn turn_now(self) -> Option<Turn> {
        let permit = Arc::clone(&self.turn).try_lock_owned().ok()?;
        Some(Turn::begin(permit, self))
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
/// is out always has an entry; the time is recorded when nobody waits for it any more.
pub(crate) struct Turn {
    permit: OwnedMutexGuard<u64>,
    lasts: Lasts,
    claim: Claim,
}

impl Turn {
    fn begin(mut permit: OwnedMutexGuard<u64>, claim: Claim) -> Self {
        *permit = permit.wrapping_add(1);
        Self { permit, lasts: Lasts { since: Instant::now(), times: claim.times.clone() }, claim }
    }

    /// Lets others in, and keeps the lane alive so that it is known afterwards who came.
    pub(crate) fn pause(self) -> PausedTurn {
        let Self { permit, lasts, claim } = self;
        let number = *permit;
        drop(permit);
        drop(lasts);
        PausedTurn { claim, number }
    }
}

/// A turn that was given back for a while.
pub(crate) struct PausedTurn {
    claim: Claim,
    /// Of the turn that was given back.
    number: u64,
}

impl PausedTurn {
    /// Waits for the next turn, behind everybody who waits already. Returns it with whether
    /// anybody else had one since.
    ///
    /// # Cancel safety
    ///
    /// As [`Claim::turn`].
    pub(crate) async fn turn(self) -> (Turn, bool) {
        let turn = self.claim.turn().await;
        let had_others = *turn.permit != self.number.wrapping_add(1);
        (turn, had_others)
    }
}

/// Records on drop how long something lasted.
struct Lasts {
    since: Instant,
    times: Option<HoldTimes>,
}

impl Drop for Lasts {
    fn drop(&mut self) {
        if let Some(times) = &self.times {
            times.record(self.since.elapsed());
        }
    }
}
