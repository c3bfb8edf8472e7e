//! The lock of a root as a verb has it: held, given back while it stages, and taken again.
//!
//! # Protocol
//!
//! Before a run gives the lock back it has a record (`queue::RunRecord`) of the versions that it stages
//! at. Whoever has the lock meanwhile finds the run alive by the lock on its record and leaves alone what
//! it needs. What the run knew of the root counts for nothing once it has the lock again.
//!
//! Not here: what is looked at again then (`optimize`).

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lancekeeper_queue::{
    ExclusiveLock, LOCK_DIRECTORY, LOCK_FILE, LockError, LockHolder, RootLock, RootQueue,
    RunRecord, RunTurn, SharedRootLock, Stage,
};

use super::error::OpenRootError;
use crate::run::stop::Stop;

/// How long a run waits for the lock that it gave back. Branches are made and deleted in seconds, a
/// cleanup of a million files takes minutes. One that deletes slowly can take hours: rather than that
/// long the run ends, and says so.
const RETAKE_WAIT_MAX: Duration = Duration::from_secs(600);

/// The locks of a root that is worked on.
#[derive(Debug)]
pub(crate) struct Hold {
    /// Of a run that gave the lock back once. It goes first: without a record nobody takes the run for
    /// alive.
    record: Mutex<Option<RunRecord>>,
    lock: Mutex<Option<ExclusiveLock>>,
    /// Shares of the locks of the databases around it, which are never given back in between.
    _outer: Vec<SharedRootLock>,
    /// Of a run that may give the lock back.
    _turn: Option<RunTurn>,
    queue: RootQueue,
    directory: PathBuf,
    holder: LockHolder,
}

impl Hold {
    pub(super) fn new(
        (lock, outer, turn): (ExclusiveLock, Vec<SharedRootLock>, Option<RunTurn>),
        queue: RootQueue,
        directory: PathBuf,
        holder: LockHolder,
    ) -> Self {
        Self {
            record: Mutex::default(),
            lock: Mutex::new(Some(lock)),
            _outer: outer,
            _turn: turn,
            queue,
            directory,
            holder,
        }
    }

    /// Whether the lock is held and still keeps other processes out.
    ///
    /// # Errors
    ///
    /// When it does not, or when that cannot be found out.
    pub(crate) fn check(&self) -> Result<(), LockError> {
        match &*locked(&self.lock) {
            Some(lock) => lock.check(),
            None => Err(self.held_by_others()),
        }
    }

    /// Lets other verbs have the root. Until [`Hold::retake`] only new files may be written, in the
    /// places that `stages` names.
    ///
    /// # Errors
    ///
    /// When that cannot be written down. Then the lock is still held.
    pub(crate) fn give_back(&self, stages: &[Stage]) -> Result<(), LockError> {
        // Nobody reads what was written without the lock.
        self.check()?;
        let mut record = locked(&self.record);
        if record.is_none() {
            *record = Some(RunRecord::begin(&self.directory, &self.holder)?);
        }
        if let Some(record) = &*record {
            record.stages(stages)?;
        }
        drop(record);
        drop(locked(&self.lock).take());
        Ok(())
    }

    /// Takes the lock again, if it was given back. Waits for whoever has it, for a while.
    ///
    /// LOCK ORDER: as for the lock itself. Whoever asks holds no key.
    ///
    /// # Errors
    ///
    /// When another verb has it for too long, or when the run is asked to stop meanwhile. Then nothing may be
    /// committed.
    ///
    /// # Cancel safety
    ///
    /// The lock is not held, and the run still has its record.
    pub(crate) async fn retake(&self, stop: &Stop) -> Result<(), OpenRootError> {
        if locked(&self.lock).is_some() {
            return Ok(());
        }
        let taking = self.queue.exclusive_lock(&self.directory, &self.holder, RETAKE_WAIT_MAX);
        // Its own limit does not hold for the turn among the verbs of this process.
        let taking = tokio::time::timeout(RETAKE_WAIT_MAX, taking);
        let taken = stop.unless_requested(taking).await.ok_or(OpenRootError::Interrupted)?;
        let lock = taken.unwrap_or_else(|_| Err(self.held_by_others()))?;
        *locked(&self.lock) = Some(lock);
        Ok(())
    }

    /// Others have the lock, so far as can be told.
    fn held_by_others(&self) -> LockError {
        let path = self.directory.join(LOCK_DIRECTORY).join(LOCK_FILE);
        match RootLock::holder(&self.directory) {
            Ok(Some(error)) | Err(error) => error,
            Ok(None) => LockError::Held { path, holder: None },
        }
    }
}

/// What is in them is replaced as a whole: poison means nothing here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
