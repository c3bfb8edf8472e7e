//! Opening a root to watch it: what it is, and the place of its one watcher.
//!
//! Not here: what is found in it (`look`), and when to try again (`standing`).

use chrono::{DateTime, SecondsFormat, Utc};
use lancekeeper_model::{ErrorKind, OperationId};
use lancekeeper_queue::{LockError, LockHolder, RootLock};
use lancekeeper_store::root::recognise;
use lancekeeper_store::{Root, RootError};
use thiserror::Error;

/// Why a root is not watched.
#[derive(Debug, Error)]
pub(super) enum OpenError {
    /// It is not there, or no root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The lock could not be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The work could not be done in the background.
    #[error("a background task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl OpenError {
    /// What a caller can do about it.
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Root(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::Task(_) => ErrorKind::Internal,
        }
    }

    /// Whether another watcher has the root.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self, Self::Lock(LockError::Held { .. }))
    }
}

/// A root that nobody else watches.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) root: Root,
    pub(super) lock: RootLock,
}

/// Recognises a root and takes the place of its watcher. Makes one attempt.
///
/// # Errors
///
/// When it is no root, or another watcher has it.
///
/// # Cancel safety
///
/// The lock file may have been created.
pub(super) async fn open(uri: String, now: DateTime<Utc>) -> Result<Opened, OpenError> {
    let opened = tokio::task::spawn_blocking(move || {
        let root = recognise(&uri)?;
        let started = now.to_rfc3339_opts(SecondsFormat::Secs, true);
        let operation = OperationId::new(ulid::Ulid::generate().to_string());
        let holder = LockHolder::this_process(operation, "watch", &started);
        let lock = RootLock::try_watch(&root.directory, &holder)?;
        Ok::<_, OpenError>(Opened { root, lock })
    });
    opened.await?
}
