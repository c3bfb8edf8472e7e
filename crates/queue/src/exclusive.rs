//! The root lock as verbs take it: a turn among the verbs of this process, then the lock
//! against other processes.
//!
//! Not here: the file (`lock`), and roots that are no directories; those have only the turn
//! until there are leases.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::lane::{QueueError, Turn};
use crate::lock::{LockError, LockHolder, RootLock};
use crate::registry::RootIdentity;
use crate::root_queue::RootQueue;

#[cfg(test)]
mod tests;

/// How often a lock that another process holds is tried again. Locks are held for windows of
/// about a second: twenty tries in that time lose little of it and cost nothing.
pub const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);

impl RootQueue {
    /// Waits for the root lock: first for the turn among the verbs of this process, first
    /// come, first served and as long as that takes; then for at most `wait` for whatever
    /// other process holds the lock of `directory`, trying every [`LOCK_POLL_INTERVAL`].
    /// `Duration::ZERO` is one attempt, and needs no timer of the runtime.
    ///
    /// LOCK ORDER: before any table key.
    ///
    /// # Errors
    ///
    /// The last attempt's, see [`RootLock::try_acquire`]; or that too many verbs wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the turn or the place in the queue. The lock file may
    /// have been created; nothing else stays.
    pub async fn exclusive_lock(
        &self,
        directory: &Path,
        holder: &LockHolder,
        wait: Duration,
    ) -> Result<ExclusiveLock, LockError> {
        let turn = self.root_turn().await?;
        let mut left = wait;
        // Some calls on one small file, none of which waits for the lock: not worth a thread.
        let file = loop {
            match RootLock::try_acquire(directory, holder) {
                Err(LockError::Held { .. } | LockError::Replaced { .. }) if !left.is_zero() => {
                    let nap = left.min(LOCK_POLL_INTERVAL);
                    tokio::time::sleep(nap).await;
                    left -= nap;
                }
                attempt => break attempt?,
            }
        };
        Ok(ExclusiveLock { file: Some(file), _turn: turn, queue: self.clone() })
    }

    /// Waits for the turn among the verbs of this process only: for a root that no other
    /// process can see, or that is locked by other means.
    ///
    /// LOCK ORDER: before any table key.
    ///
    /// # Errors
    ///
    /// When too many verbs wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the queue.
    pub async fn exclusive_turn(&self) -> Result<ExclusiveLock, QueueError> {
        let turn = self.root_turn().await?;
        Ok(ExclusiveLock { file: None, _turn: turn, queue: self.clone() })
    }
}

/// The root lock, released on drop.
///
/// Fields are dropped in this order: the file lock goes before the turn, else the next verb of
/// this process would find the file locked by its predecessor and, with no time to wait, fail.
#[must_use = "the root is unlocked as soon as this is dropped"]
pub struct ExclusiveLock {
    file: Option<RootLock>,
    _turn: Turn,
    queue: RootQueue,
}

impl ExclusiveLock {
    /// The root that is locked.
    #[must_use]
    pub fn root(&self) -> &RootIdentity {
        self.queue.identity()
    }

    /// Whether the lock still keeps other processes out, see [`RootLock::check`].
    ///
    /// # Errors
    ///
    /// When it does not, or when that cannot be found out.
    pub fn check(&self) -> Result<(), LockError> {
        self.file.as_ref().map_or(Ok(()), RootLock::check)
    }
}

impl fmt::Debug for ExclusiveLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExclusiveLock")
            .field("root", self.root())
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
