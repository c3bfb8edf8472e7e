//! What pruning needs to know of a run: whether it may follow it at all, and the last versions
//! that the run made. Deletes nothing.

use std::time::Instant;

use chrono::TimeDelta;
use futures::{FutureExt, StreamExt};
use lancekeeper_model::{
    ErrorKind, OperationId, OptimizeOptions, RootKind, RootOptimizeReport, Version,
};
use lancekeeper_planner::cleanup::{ChainKey, PinnedVersion};
use lancekeeper_queue::HoldTimes;
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::tables::version_of;
use thiserror::Error;

use crate::optimize::Run;
use crate::run::concurrency::in_order;
use crate::run::ended::EndsRoot;

/// Commits that one run makes to one table, with room.
const OWN_COMMITS_MAX: u64 = 32;
const LOOKS_AT_ONCE: usize = 8;

/// Pruning was asked for where it cannot be done.
#[derive(Debug, Error)]
pub(crate) enum PruneError {
    /// A graph's versions are pinned by branches and commits.
    #[error("--prune-now is not for graphs: their branches and commits read old versions")]
    Graph,
    /// A window that lies in the future.
    #[error("writer_window must not be {0} seconds")]
    Window(i64),
}

impl EndsRoot for PruneError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Graph => ErrorKind::Refused,
            Self::Window(_) => ErrorKind::Invalid,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Graph => Some("`lancekeeper cleanup --keep N` knows what they read"),
            Self::Window(_) => None,
        }
    }
}

/// Whether pruning, if asked for, can be done here.
pub(crate) fn check_prunable(kind: RootKind, options: &OptimizeOptions) -> Result<(), PruneError> {
    match options.prune {
        Some(_) if kind == RootKind::Graph => Err(PruneError::Graph),
        Some(prune) if prune.writer_window < TimeDelta::zero() => {
            Err(PruneError::Window(prune.writer_window.num_seconds()))
        }
        _ => Ok(()),
    }
}

/// What a run made, for the pruning that follows it. Nothing is locked until that begins.
#[derive(Debug)]
pub(crate) struct Made {
    /// The run.
    pub(crate) operation: OperationId,
    /// The last version that it made of each table it committed to.
    pub(crate) last: Vec<PinnedVersion>,
    /// When all commits had been made.
    pub(crate) since: Instant,
    /// How long it held keys.
    pub(crate) hold_times: HoldTimes,
}

/// What a run made; `None` unless it is to be pruned, or if the run was cut off.
pub(crate) async fn made(run: &Run<'_>, report: &RootOptimizeReport) -> Option<Made> {
    run.options.prune?;
    if report.error.is_some() || run.context.stop.is_requested() {
        return None;
    }
    let (since, last) = (Instant::now(), last_versions(run, report).await);
    let hold_times = run.write.hold_times.clone();
    Some(Made { operation: run.operation.clone(), last, since, hold_times })
}

/// The last version that the run made of each table, on each branch it worked on. It stays, and so
/// does everything after it.
async fn last_versions(run: &Run<'_>, report: &RootOptimizeReport) -> Vec<PinnedVersion> {
    let members = &run.write.read.members;
    let mut chains = Vec::new();
    for (key, location) in members.tables() {
        let rows = report.tables.iter().filter(|row| row.table_key == *key && row.committed);
        let chain = |branch| ChainKey { location: location.to_owned(), branch };
        chains.extend(rows.map(|row| chain(row.branch.clone())));
    }
    let looks = chains.into_iter().map(|chain| last_of(run, chain).boxed()).collect();
    let last: Vec<Option<PinnedVersion>> = in_order(looks, LOOKS_AT_ONCE).collect().await;
    last.into_iter().flatten().collect()
}

async fn last_of(run: &Run<'_>, chain: ChainKey) -> Option<PinnedVersion> {
    let read = &run.write.read;
    let uri = read.root.address_of(&chain.location);
    let table = read.tables.open(&uri, &chain.branch).await.ok()?;
    let head = version_of(&table);
    let from = Version(head.0.saturating_sub(OWN_COMMITS_MAX));
    let owners = owners_between(&table, from, head).await;
    let own = Owner::Ours(run.operation.clone());
    let at = owners.iter().rposition(|owner| *owner == own)?;
    let version = Version(from.0 + 1 + at as u64);
    Some(PinnedVersion { chain, version })
}
