//! `--prune-now`: after a database's or a table's own work, the deletion of every version
//! older than the run's last one. The decisions and deletions are those of `cleanup`.
//!
//! What the run replaced may go only when the writer window has passed since its commits. That
//! is waited for without a lock and without a key: writers and other keepers go on, and what
//! they did is seen when the root is opened again. A run that is interrupted while it waits has
//! lost nothing: the next one deletes what it would have.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, StreamExt};
use lancekeeper_model::{
    CleanupOptions, ErrorKind, OperationId, OptimizeOptions, Progress, ProgressEvent, PruneOptions,
    PrunedStats, RootCleanupReport, RootKind, RootOptimizeReport, Version,
};
use lancekeeper_planner::cleanup::{ChainKey, PinnedVersion, Retention};
use lancekeeper_store::failure::full_text;
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::tables::version_of;
use thiserror::Error;

use crate::cleanup::{self, Cleaning, CleanupRootError};
use crate::concurrency::in_order;
use crate::keeper::Keeper;
use crate::open::{Opening, ReadRoot, WriteRoot, check_one_spelling, look, read_root, write_root};
use crate::optimize::{Optimized, Run};
use crate::stop::Interrupted;

/// Commits that one run makes to one table, with room.
const OWN_COMMITS_MAX: u64 = 32;
const LOOKS_AT_ONCE: usize = 8;
/// Between two looks at how long is left to wait.
const TICK: Duration = Duration::from_secs(1);
/// How long another keeper may hold a root that is to be pruned, before that is an error.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

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

impl PruneError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Graph => ErrorKind::Refused,
            Self::Window(_) => ErrorKind::Invalid,
        }
    }

    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Graph => Some("`lancekeeper cleanup --keep N` knows what they read"),
            Self::Window(_) => None,
        }
    }
}

/// Whether pruning, if asked for, can be done here.
pub(crate) fn check(kind: RootKind, options: &OptimizeOptions) -> Result<(), PruneError> {
    match options.prune {
        Some(_) if kind == RootKind::Graph => Err(PruneError::Graph),
        Some(prune) if prune.writer_window < TimeDelta::zero() => {
            Err(PruneError::Window(prune.writer_window.num_seconds()))
        }
        _ => Ok(()),
    }
}

/// The pruning that follows a run. Nothing is locked until it begins.
#[derive(Debug)]
pub(crate) struct Pending {
    prune: PruneOptions,
    operation: OperationId,
    /// The last version that the run made of each table it committed to.
    last: Vec<PinnedVersion>,
    /// When all commits had been made.
    since: Instant,
}

/// What a run leaves to be pruned; `None` unless it was asked for, or if the run was cut off.
pub(crate) async fn pending(run: &Run<'_>, report: &RootOptimizeReport) -> Option<Pending> {
    let prune = run.options.prune?;
    if report.error.is_some() || run.keeper.stop.is_requested() {
        return None;
    }
    let (since, last) = (Instant::now(), last_versions(run, report).await);
    Some(Pending { prune, operation: run.operation.clone(), last, since })
}

/// Prunes the tables of a run that is done, if that was asked for. Waits until the writer window
/// has passed since the run's commits, unless that would free nothing.
///
/// # Cancel safety
///
/// While it waits nothing is held and nothing is lost. Then as `cleanup`.
pub(crate) async fn finish(
    keeper: &Keeper,
    done: Optimized,
    options: &OptimizeOptions,
    progress: &dyn Progress,
) -> RootOptimizeReport {
    let Optimized { mut report, pending } = done;
    let Some(pending) = pending else { return report };
    let kind = report.kind.unwrap_or(RootKind::Database);
    let cleanup_options = options_of(options);
    let mut cleaned = cleanup::root_report(&report.uri, kind, &cleanup_options);
    let outcome = async {
        wait_out(keeper, &report.uri, &pending, options, progress).await?;
        let write = open(keeper, &report.uri, &pending).await?;
        check_one_spelling(&write.read)?;
        let own = and_later(&write.read, &pending.last).await;
        // Only now: what was committed while this waited for the lock has an age, too.
        let cleaning = cleaning(keeper, &write.read, pending.prune, own, options, Utc::now());
        let operation = pending.operation.clone();
        cleanup::run(&cleaning, &write, operation, &cleanup_options, &mut cleaned).await
    };
    let outcome = Box::pin(outcome).await;
    merge(&mut report, cleaned, outcome);
    report
}

/// Returns once the writer window has passed since the run's commits. At once if the run made
/// none, or if no file would be freed by waiting.
async fn wait_out(
    keeper: &Keeper,
    uri: &str,
    pending: &Pending,
    options: &OptimizeOptions,
    progress: &dyn Progress,
) -> Result<(), CleanupRootError> {
    let window = pending.prune.window().to_std().unwrap_or_default();
    if !pending.prune.wait || window.is_zero() || pending.last.is_empty() {
        return Ok(());
    }
    if !frees_more_later(keeper, uri, pending, options).await? {
        return Ok(());
    }
    tracing::info!(target: "lancekeeper::optimize", uri, ?window, "waiting for the writer window before pruning");
    while let Some(left) = window.checked_sub(pending.since.elapsed()).filter(|d| !d.is_zero()) {
        let seconds_left = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        progress.on_event(ProgressEvent::PruneDelayed { uri: uri.to_owned(), seconds_left });
        let tick = tokio::time::sleep(left.min(TICK));
        keeper.stop.unless_requested(tick).await.ok_or(Interrupted)?;
    }
    Ok(())
}

async fn frees_more_later(
    keeper: &Keeper,
    uri: &str,
    pending: &Pending,
    options: &OptimizeOptions,
) -> Result<bool, CleanupRootError> {
    let read = read_root(look(uri).await?, &keeper.tables).await?;
    let (prune, now) = (pending.prune, Utc::now());
    let cleaning = cleaning(keeper, &read, prune, pending.last.clone(), options, now);
    cleanup::frees_more_at(&cleaning, &options_of(options), now + prune.window()).await
}

/// Opens the root again: whoever wrote to it since the run did not have to wait for this. Another
/// keeper may hold it for a moment.
async fn open(
    keeper: &Keeper,
    uri: &str,
    pending: &Pending,
) -> Result<WriteRoot, CleanupRootError> {
    let started = Instant::now();
    loop {
        let (operation, now) = (&pending.operation, Utc::now());
        let root = look(uri).await?;
        let observer = keeper.observer();
        let opening = Opening { verb: "optimize", selected: &[], operation, now, observer };
        match write_root(root, &keeper.tables, &opening).await {
            Ok(write) => return Ok(write),
            Err(error) if error.kind() == ErrorKind::Busy && started.elapsed() < LOCK_PATIENCE => {
                let tick = tokio::time::sleep(TICK);
                keeper.stop.unless_requested(tick).await.ok_or(Interrupted)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Says what pruning would delete by what is there before anything is rewritten. What the work
/// itself would replace is not known yet.
pub(crate) async fn preview(
    keeper: &Keeper,
    read: &ReadRoot,
    options: &OptimizeOptions,
    has_work: bool,
    now: DateTime<Utc>,
    report: &mut RootOptimizeReport,
) {
    let Some(prune) = options.prune else { return };
    let waits = prune.wait && has_work;
    let then = if waits { now + prune.window() } else { now };
    let cleaning = cleaning(keeper, read, prune, Vec::new(), options, then);
    let options = options_of(options);
    let mut cleaned = cleanup::root_report(&report.uri, read.root.kind, &options);
    let outcome = match check_one_spelling(read) {
        Ok(()) => cleanup::preview_opened(&cleaning, &options, &mut cleaned).await,
        Err(error) => Err(error.into()),
    };
    merge(report, cleaned, outcome);
}

fn cleaning<'a>(
    keeper: &'a Keeper,
    read: &'a ReadRoot,
    prune: PruneOptions,
    own: Vec<PinnedVersion>,
    options: &OptimizeOptions,
    now: DateTime<Utc>,
) -> Cleaning<'a> {
    let policy = retention(prune);
    Cleaning { keeper, read, policy, own, now, concurrency: options.concurrency }
}

fn retention(prune: PruneOptions) -> Retention {
    let defaults = CleanupOptions::default();
    // A file that nothing refers to is somebody's who is about to commit, or nobody's.
    let is_alone = prune.no_other_writers;
    Retention {
        // No rule: whatever no floor needs goes.
        keep_versions: None,
        older_than: None,
        keep_last: None,
        keep_within: None,
        writer_window: prune.window(),
        min_age: if is_alone { TimeDelta::zero() } else { defaults.min_age },
        min_fork_age: defaults.min_fork_age,
        max_delete_percent: defaults.max_delete_percent,
    }
}

fn options_of(options: &OptimizeOptions) -> CleanupOptions {
    CleanupOptions {
        tables: options.selected().to_vec(),
        concurrency: options.concurrency,
        ..CleanupOptions::default()
    }
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

/// These versions, and what others have committed on top of them since.
async fn and_later(read: &ReadRoot, last: &[PinnedVersion]) -> Vec<PinnedVersion> {
    let mut all = Vec::new();
    for pin in last {
        let uri = read.root.address_of(&pin.chain.location);
        // A table that cannot be opened any more fails in the cleanup itself.
        let head = match read.tables.open(&uri, &pin.chain.branch).await {
            Ok(table) => version_of(&table),
            Err(_) => pin.version,
        };
        let versions = pin.version.0..=head.0.max(pin.version.0);
        all.extend(
            versions.map(|version| PinnedVersion {
                chain: pin.chain.clone(),
                version: Version(version),
            }),
        );
    }
    all
}

/// Puts what was deleted into the rows of the tables.
fn merge(
    report: &mut RootOptimizeReport,
    cleaned: RootCleanupReport,
    outcome: Result<(), CleanupRootError>,
) {
    report.warnings.extend(cleaned.warnings);
    for table in cleaned.tables {
        report
            .warnings
            .extend(table.warnings.iter().map(|warning| format!("{}: {warning}", table.table_key)));
        let Some(row) = report.tables.iter_mut().find(|row| row.table_key == table.table_key)
        else {
            continue;
        };
        row.pruned = Some(PrunedStats {
            old_versions_removed: table.old_versions_removed,
            bytes_removed: table.bytes_removed,
            files_removed: table.files_removed,
            versions_kept: table.versions_kept,
            unverified_left: table.unverified_left,
        });
        if let (Some(error), None) = (table.error, &row.error) {
            row.error = Some(format!("pruning failed: {error}"));
            row.error_kind = table.error_kind;
        }
    }
    if let Err(error) = outcome
        && report.error.is_none()
    {
        report.error = Some(format!("pruning failed: {}", full_text(&error)));
        report.hint = error.hint().map(ToOwned::to_owned);
        report.error_kind = Some(error.kind());
    }
}
