//! The locks under which a root is written: its own, and shares of those of the databases it lies
//! in. Waits for them as long as the keeper was told to.

use std::time::{Duration, Instant};

use lancekeeper_model::ErrorKind;
use lancekeeper_queue::{
    ExclusiveLock, LOCK_POLL_INTERVAL, LiveRun, LockError, LockHolder, RootQueue, RunTurn,
    SharedRootLock,
};
use lancekeeper_store::Root;

use super::error::OpenRootError;
use super::hold::Hold;
use super::opened::Tolerance;
use super::outer::lock_outer;
use super::running::live;
use crate::run::Context;

/// What keeps other keepers away from a root.
#[derive(Debug)]
pub(super) struct Locks {
    pub(super) hold: Hold,
    /// Runs of others that are under way.
    pub(super) live: Vec<LiveRun>,
    /// Whether another keeper had one of them first: what was read of the root before counts for
    /// nothing.
    pub(super) waited: bool,
}

/// Takes the locks. Runs that give the root's lock back come one at a time: those of this process wait
/// for each other, those of others are as good as locks. If another keeper has one, tries again every [`LOCK_POLL_INTERVAL`] until the
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
    tolerates: Tolerance,
) -> Result<Locks, OpenRootError> {
    let turn = if tolerates.runs { None } else { Some(queue.run_turn().await?) };
    let until = Instant::now().checked_add(context.lock_wait);
    let mut waits_for = None;
    // Bounded by the time; without any it ends after the first attempt.
    loop {
        let error = match attempt(root, queue, holder, tolerates).await {
            Ok((lock, outer, live)) => {
                return Ok(locks((lock, outer, turn), live, root, queue, holder, waits_for));
            }
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

fn locks(
    held: (ExclusiveLock, Vec<SharedRootLock>, Option<RunTurn>),
    live: Vec<LiveRun>,
    root: &Root,
    queue: &RootQueue,
    holder: &LockHolder,
    waits_for: Option<String>,
) -> Locks {
    let hold = Hold::new(held, queue.clone(), root.directory.clone(), holder.clone());
    Locks { hold, live, waited: waits_for.is_some() }
}

async fn attempt(
    root: &Root,
    queue: &RootQueue,
    holder: &LockHolder,
    tolerates: Tolerance,
) -> Result<(ExclusiveLock, Vec<SharedRootLock>, Vec<LiveRun>), OpenRootError> {
    let outer = lock_outer(root, holder).await?;
    // Before the lock too: whoever tries again and again must not stand in the way of the run.
    beside(live(root).await?, tolerates)?;
    let lock = queue.exclusive_lock(&root.directory, holder, Duration::ZERO).await?;
    let live = beside(live(root).await?, tolerates)?;
    Ok((lock, outer, live))
}

/// These runs, if one may work beside them.
fn beside(live: Vec<LiveRun>, tolerates: Tolerance) -> Result<Vec<LiveRun>, LockError> {
    match live.first() {
        Some(run) if !tolerates.runs => Err(run.refusal()),
        _ => Ok(live),
    }
}

/// Says for whom a run waits, unless it was said already.
fn tell(uri: &str, error: &LockError, waits_for: &mut Option<String>) {
    let text = error.to_string();
    if waits_for.as_ref() != Some(&text) {
        tracing::warn!(target: "lancekeeper::lock", uri, "waiting: {text}");
        *waits_for = Some(text);
    }
}
