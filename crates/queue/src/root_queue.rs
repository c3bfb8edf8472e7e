//! The queue of one root: sets of (table, branch) keys, taken in one global order.
//!
//! Not here: how one lane works (`lane`), and the lock against other processes (`lock`,
//! `exclusive`).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lancekeeper_model::{ErrorKind, TableRef};
use thiserror::Error;

use crate::hold_times::HoldTimes;
use crate::lane::{Claim, Lane, PausedTurn, QueueError, Turn};
use crate::registry::{RootIdentity, RootState};

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

/// The write queue of one root in this process. A handle: clones are the same queue.
#[derive(Clone)]
pub struct RootQueue {
    state: Arc<RootState>,
    times: Option<HoldTimes>,
}

/// A key was held or waited for by somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{held} is being written by another operation of this process")]
pub struct WouldBlock {
    /// The first such key in queue order.
    pub held: TableRef,
}

impl WouldBlock {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Busy
    }
}

impl RootQueue {
    /// The root this is the queue of.
    #[must_use]
    pub fn identity(&self) -> &RootIdentity {
        &self.state.identity
    }

    /// The same queue, by a handle that records how long each table key that it takes is held.
    #[must_use]
    pub fn timed(self, times: HoldTimes) -> Self {
        Self { times: Some(times), ..self }
    }

    /// How many keys, the root lock included, are held or waited for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lanes.len()
    }

    /// Whether nothing is held or waited for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until all of `tables` are this caller's, and returns them as one guard. Given in
    /// any order and with repetitions; taken sorted by (key, branch), each once, which is why
    /// two callers can never wait for each other. First come, first served per key, counted
    /// from the moment the caller reaches that key.
    ///
    /// LOCK ORDER: after [`exclusive_lock`](Self::exclusive_lock), and not while holding
    /// other guards of this root.
    ///
    /// # Errors
    ///
    /// When [`WAITERS_MAX`](crate::WAITERS_MAX) are waiting for one of the keys. That is known
    /// before anything is waited for.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future releases the keys it had and leaves all queues.
    pub async fn acquire(
        &self,
        tables: impl IntoIterator<Item = TableRef>,
    ) -> Result<TableGuards, QueueError> {
        let tables = in_queue_order(tables);
        let claims = tables.iter().map(|table| self.claim(table)).collect::<Result<Vec<_>, _>>()?;
        let mut turns = Vec::with_capacity(claims.len());
        let mut waited = Duration::ZERO;
        for claim in claims {
            let asked = Instant::now();
            turns.push(claim.turn().await);
            waited = waited.max(asked.elapsed());
        }
        Ok(TableGuards { tables, turns, waited, queue: self.clone() })
    }

    /// [`acquire`](Self::acquire) of a single key.
    ///
    /// # Errors
    ///
    /// When [`WAITERS_MAX`](crate::WAITERS_MAX) are waiting for the key.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the queue.
    pub async fn acquire_one(&self, table: TableRef) -> Result<TableGuards, QueueError> {
        self.acquire([table]).await
    }

    /// Takes all of `tables` now or none of them.
    ///
    /// # Errors
    ///
    /// When one of them is held, naming it. A key that somebody waits for is held.
    pub fn try_acquire(
        &self,
        tables: impl IntoIterator<Item = TableRef>,
    ) -> Result<TableGuards, WouldBlock> {
        let tables = in_queue_order(tables);
        let mut turns = Vec::with_capacity(tables.len());
        for table in &tables {
            // A full lane is a held one.
            let claim = self.claim(table).ok();
            match claim.and_then(|claim| claim.turn_now()) {
                Some(turn) => turns.push(turn),
                None => return Err(WouldBlock { held: table.clone() }),
            }
        }
        Ok(TableGuards { tables, turns, waited: Duration::ZERO, queue: self.clone() })
    }

    pub(crate) fn from_state(state: Arc<RootState>) -> Self {
        Self { state, times: None }
    }

    fn claim(&self, table: &TableRef) -> Result<Claim, QueueError> {
        self.state.lanes.claim(Lane::Table(table.clone()), self.times.clone())
    }

    /// Waits for the turn of a run: verbs of this process that give the root lock back in between
    /// come one after the other all the same.
    ///
    /// LOCK ORDER: before [`exclusive_lock`](Self::exclusive_lock).
    ///
    /// # Errors
    ///
    /// When too many verbs wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the queue.
    pub async fn run_turn(&self) -> Result<RunTurn, QueueError> {
        Ok(RunTurn { _turn: self.state.lanes.claim(Lane::Run, None)?.turn().await })
    }

    /// Waits for this process's turn at the root lock.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the queue.
    pub(crate) async fn root_turn(&self) -> Result<Turn, QueueError> {
        Ok(self.state.lanes.claim(Lane::Root, None)?.turn().await)
    }
}

impl fmt::Debug for RootQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootQueue")
            .field("identity", self.identity())
            .field("len", &self.len())
            .finish()
    }
}

/// The turn of a run among those of this process, given back on drop.
#[must_use = "the next run begins as soon as this is dropped"]
pub struct RunTurn {
    _turn: Turn,
}

impl fmt::Debug for RunTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunTurn").finish_non_exhaustive()
    }
}

/// The right to write some tables, released on drop.
#[must_use = "the tables are released as soon as this is dropped"]
pub struct TableGuards {
    tables: Vec<TableRef>,
    turns: Vec<Turn>,
    waited: Duration,
    queue: RootQueue,
}

impl TableGuards {
    /// The tables held, sorted by (key, branch), each once.
    #[must_use]
    pub fn tables(&self) -> &[TableRef] {
        &self.tables
    }

    /// Whether `table`, on that very branch, is held by this guard.
    #[must_use]
    pub fn holds(&self, table: &TableRef) -> bool {
        self.tables.binary_search(table).is_ok()
    }

    /// The root whose tables these are.
    #[must_use]
    pub fn root(&self) -> &RootIdentity {
        self.queue.identity()
    }

    /// The longest wait for one of the keys.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Lets others have the tables for a while. What is known of them counts for nothing until
    /// it was looked at again, under the keys that [`PausedGuards::resume`] returns.
    pub fn pause(self) -> PausedGuards {
        let Self { tables, turns, queue, .. } = self;
        PausedGuards { tables, turns: turns.into_iter().map(Turn::pause).collect(), queue }
    }
}

/// Tables that whoever had them let others have for a while. They are nobody's in particular.
#[must_use = "who will not go on with the tables drops their guard"]
pub struct PausedGuards {
    tables: Vec<TableRef>,
    turns: Vec<PausedTurn>,
    queue: RootQueue,
}

impl PausedGuards {
    /// Waits for the same tables again, behind everybody who waits already. Returns them with
    /// whether anybody else had one of them meanwhile.
    ///
    /// LOCK ORDER: as [`RootQueue::acquire`]; whoever paused holds nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future releases the keys it had and leaves all queues.
    pub async fn resume(self) -> (TableGuards, bool) {
        let Self { tables, turns: paused, queue } = self;
        let mut turns = Vec::with_capacity(paused.len());
        let mut waited = Duration::ZERO;
        let mut had_others = false;
        for turn in paused {
            let asked = Instant::now();
            let (turn, others) = turn.turn().await;
            turns.push(turn);
            had_others |= others;
            waited = waited.max(asked.elapsed());
        }
        (TableGuards { tables, turns, waited, queue }, had_others)
    }
}

impl fmt::Debug for PausedGuards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PausedGuards")
            .field("root", self.queue.identity())
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TableGuards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableGuards")
            .field("root", self.root())
            .field("tables", &self.tables)
            .field("waited", &self.waited)
            .finish_non_exhaustive()
    }
}

/// The one global order, and the reason there are no deadlocks: a set is sorted and without
/// repetitions.
fn in_queue_order(tables: impl IntoIterator<Item = TableRef>) -> Vec<TableRef> {
    tables.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}
