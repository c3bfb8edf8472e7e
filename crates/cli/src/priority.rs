//! The priority of the process: maintenance steps back for whoever writes beside it.
//!
//! Not here: how much work there is at once (`concurrency`, the memory limit), and whose turn it is in the queue.

/// Steps back by so many steps of `nice`, from wherever whoever started the process has put it. Threads that are
/// started afterwards do, too, so this comes before the runtime. Linux takes the order at the disk from it as well.
///
/// A system that refuses is told of in the log: the run itself is as good.
#[cfg(unix)]
pub(crate) fn step_back(steps: u64) {
    let steps = i32::try_from(steps).unwrap_or(i32::MAX);
    if steps > 0
        && let Err(error) = rustix::process::nice(steps)
    {
        tracing::warn!(%error, "this process keeps its priority");
    }
}

#[cfg(not(unix))]
pub(crate) fn step_back(_steps: u64) {}
