//! The locks under which a root is written: its own, and shares of those of the databases it lies
//! in. Waits for them as long as the keeper was told to.

use std::time::{Duration, Instant};

use lancekeeper_model::ErrorKind;
use lancekeeper_queue::{
    ExclusiveLock, LOCK_POLL_INTERVAL, LockError, LockHolder, RootQueue, SharedRootLock,
};
use lancekeeper_store::Root;

use super::error::OpenRootError;
use super::outer::lock_outer;
use crate::run::Context;

/// What keeps other keepers away from a root.
#[derive(Debug)]
pub(super) struct Locks {
    pub(super) lock: ExclusiveLock,
    pub(super) outer: Vec<SharedRootLock>,
    /// Whether another keeper had one of them first: what was read of the root before counts for
    /// nothing.
    pub(super) waited: bool,
}

/// Takes the locks. If another keeper has one, tries again every [`LOCK_POLL_INTERVAL`] until the
/// time is up, and says once for whom it waits.
///
/// # Errors
///
/// The last attempt's; or that the run was asked to stop.
///
/// # Cancel safety
///
/// Locks that were taken are given back. Lock files may have been created.
pub(super) async fn take(
    context: &Context,
    root: &Root,
    queue: &RootQueue,
    holder: &LockHolder,
) -> Result<Locks, OpenRootError> {
    let until = Instant::now().checked_add(context.lock_wait);
    let mut waits_for = None;
    // Bounded by the time; without any it ends after the first attempt.
    loop {
        let error = match attempt(root, queue, holder).await {
            Ok((lock, outer)) => return Ok(Locks { lock, outer, waited: waits_for.is_some() }),
            Err(OpenRootError::Lock(error)) if error.kind() == ErrorKind::Busy => error,
            Err(error) => return Err(error),
        };
        let left =
            until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(error.into());
        }
        tell(&root.given, &error, &mut waits_for);
        let nap = tokio::time::sleep(left.min(LOCK_POLL_INTERVAL));
        context.stop.unless_requested(nap).await.ok_or(OpenRootError::Interrupted)?;
    }
}

async fn attempt(
    root: &Root,
    queue: &RootQueue,
    holder: &LockHolder,
) -> Result<(ExclusiveLock, Vec<SharedRootLock>), OpenRootError> {
    let outer = lock_outer(root, holder).await?;
    let lock = queue.exclusive_lock(&root.directory, holder, Duration::ZERO).await?;
    Ok((lock, outer))
}

/// Says for whom a run waits, unless it was said already.
fn tell(uri: &str, error: &LockError, waits_for: &mut Option<String>) {
    let text = error.to_string();
    if waits_for.as_ref() != Some(&text) {
        tracing::warn!(target: "lancekeeper::lock", uri, "waiting: {text}");
        *waits_for = Some(text);
    }
}
