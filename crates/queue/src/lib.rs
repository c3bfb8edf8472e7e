//! The write-queue coordinator: who may touch which (table, branch) now, in one global
//! order; and the cross-process lock of a root.
//!
//! # Overview
//!
//! [`Queues`] maps a [`RootIdentity`] to the one [`RootQueue`] of that root in this process.
//! [`RootQueue::acquire`] waits for a set of (table, branch) keys and returns
//! [`TableGuards`]; [`RootQueue::exclusive_lock`] waits for the root itself: first among the
//! verbs of this process, then, by an OS file lock ([`RootLock`]), against other processes.
//!
//! # Protocol
//!
//! LOCK ORDER: the turn of a run, then the root lock, then table keys; table keys in the order of
//! (key, branch), all of one unit of work in one call. Whoever holds table keys asks for
//! nothing more on that root, neither keys nor the root lock: two tasks that did could wait
//! for each other forever. Long work gives its keys back between its steps
//! ([`TableGuards::pause`]) and takes them anew, all of them and in the same order.
//!
//! # Invariants
//!
//! * At most one guard per (table, branch), and one root lock, at any time.
//! * First come, first served per key, whatever else the waiters wait for.
//! * A key without guard, waiter and anybody who paused has no entry; a root without handle, guard
//!   and waiter has no queue.
//!
//! # Crash consistency
//!
//! Keys live in memory. The file lock belongs to the open file, so it is gone with its
//! process; the file itself stays and is never deleted, because deleting a lock file lets two
//! processes lock two files of one name. A run that gives the lock back while it stages has a record
//! of its own ([`RunRecord`]), locked as long as it lives.
//!
//! # Cancellation
//!
//! Dropping any future of this crate gives back what it had taken and its places in the
//! queues; the others keep theirs.
//!
//! Not here: what is done under the guards, leases on object stores, and Lance.

mod exclusive;
mod hold_times;
mod lane;
mod lock;
mod queues;
mod registry;
mod root_queue;
mod run_record;

pub use exclusive::{ExclusiveLock, LOCK_POLL_INTERVAL};
pub use hold_times::HoldTimes;
pub use lane::{Lane, QueueError, WAITERS_MAX};
pub use lock::{
    LOCK_DIRECTORY, LOCK_FILE, LockError, LockHolder, RootLock, SharedRootLock, WATCHER_FILE,
};
pub use queues::Queues;
pub use registry::RootIdentity;
pub use root_queue::{PausedGuards, RootQueue, RunTurn, TableGuards, WouldBlock};
pub use run_record::{
    LiveRun, Needs, RUNS_DIRECTORY, RunRecord, Stage, clear_dead_runs, live_runs,
};
