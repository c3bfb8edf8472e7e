//! What other keepers' runs need that are under way, for whoever deletes beside them.

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_planner::cleanup::{ChainKey, PinnedVersion, Running, chain_dir};
use lancekeeper_queue::{LiveRun, RootLock, live_runs};
use lancekeeper_rewrite::Journal;
use lancekeeper_store::Root;

use super::error::OpenRootError;
use crate::run::jobs::UnderWay;

/// How much earlier than its record a run may have written a file, by the times of the files: tables may
/// lie on another disk, with a clock of its own.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(1);

/// The runs that are under way over a root. Whoever has its lock finds them all.
pub(super) async fn live(root: &Root) -> Result<Vec<LiveRun>, OpenRootError> {
    let directory = root.directory.clone();
    Ok(tokio::task::spawn_blocking(move || live_runs(&directory)).await??)
}

/// The runs that are under way over a root, for whoever has none of its locks. Blocks.
pub(crate) fn under_way(root: &Root) -> Result<UnderWay, OpenRootError> {
    // The lock first: who gives it back meanwhile has a record by then.
    let holder = RootLock::operation(&root.directory)?;
    let somebody_else = holder == Some(None);
    let mut operations: Vec<_> = holder.flatten().into_iter().collect();
    operations.extend(live_runs(&root.directory)?.into_iter().map(|run| run.operation));
    Ok(UnderWay { operations, somebody_else })
}

/// What must stay of a root for runs that are under way, and what journals name.
///
/// # Errors
///
/// When a run is under way of which it is not known what it needs, or the journal is of a newer version.
pub(crate) async fn running(root: &Root) -> Result<Running, OpenRootError> {
    // First: a run that ends meanwhile has committed by then what its journal named.
    let live = live(root).await?;
    let mut running = Running::default();
    for run in live {
        let Some(needs) = &run.needs else { return Err(run.refusal().into()) };
        let began = DateTime::<Utc>::from_timestamp_micros(needs.since_micros);
        let since = began.unwrap_or(DateTime::<Utc>::MIN_UTC + CLOCKS_DIFFER) - CLOCKS_DIFFER;
        running.since = Some(running.since.map_or(since, |earlier| earlier.min(since)));
        running.stages.extend(needs.stages.iter().map(|stage| {
            let (location, branch) = (stage.location.clone(), stage.branch.clone());
            let chain = ChainKey { location, branch };
            PinnedVersion { chain, version: stage.version }
        }));
    }
    for noted in Journal::of(&root.files()).noted().await? {
        let chain = chain_dir(&noted.branch);
        let place = if chain.is_empty() { chain } else { format!("{chain}/") };
        let files = running.files.entry(noted.location).or_default();
        files.extend(noted.files.iter().map(|file| format!("{place}{}", file.path)));
    }
    Ok(running)
}
