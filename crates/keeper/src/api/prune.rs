//! `--prune-now`: after a database's or a table's own work, the deletion of every version
//! older than the run's last one. The decisions and deletions are those of `cleanup`.
//!
//! What the run replaced may go only when the writer window has passed since its commits. That
//! is waited for without a lock and without a key: writers and other keepers go on, and what
//! they did is seen when the root is opened again. A run that is interrupted while it waits has
//! lost nothing: the next one deletes what it would have.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_model::{
    CleanupOptions, ErrorKind, OptimizeOptions, Progress, ProgressEvent, PruneOptions, PrunedStats,
    RootCleanupReport, RootFailure, RootOptimizeReport, Version,
};
use lancekeeper_planner::cleanup::{PinnedVersion, Retention};
use lancekeeper_store::tables::version_of;

use crate::cleanup::{self, Cleaning, CleanupRootError};
use crate::optimize::{Made, Optimized, Planned};
use crate::root::{
    Opening, Purpose, ReadRoot, Tolerance, WriteRoot, check_writable, look, read_root, write_root,
};
use crate::run::Context;
use crate::run::ended::Ended;
use crate::run::stop::Interrupted;

/// Between two looks at how long is left to wait.
const TICK: Duration = Duration::from_secs(1);
/// How long another keeper may hold a root that is to be pruned, before that is an error.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
const PURPOSE: Purpose<'_> =
    Purpose { verb: "optimize", selected: &[], tolerates: Tolerance::DELETES };

/// The pruning that follows a run.
struct Pending {
    prune: PruneOptions,
    made: Made,
}

/// Prunes the tables of a run that is done, if that was asked for. Waits until the writer window
/// has passed since the run's commits, unless that would free nothing.
///
/// # Cancel safety
///
/// While it waits nothing is held and nothing is lost. Then as `cleanup`.
pub(crate) async fn finish(
    context: &Context,
    done: Optimized,
    options: &OptimizeOptions,
    progress: &dyn Progress,
) -> RootOptimizeReport {
    let Optimized { mut report, made } = done;
    let (Some(made), Some(prune)) = (made, options.prune) else { return report };
    let pending = Pending { prune, made };
    let cleanup_options = options_of(options);
    let mut cleaned = RootCleanupReport::of(&report.uri).of_kind(report.kind);
    let outcome = async {
        wait_out(context, &report.uri, &pending, options, progress).await?;
        let write = open(context, &report.uri, &pending).await?;
        let own = and_later(&write.read, &pending.made.last).await;
        // Only now: what was committed while this waited for the lock has an age, too.
        let cleaning = cleaning(context, &write.read, pending.prune, own, options, context.now());
        let operation = pending.made.operation.clone();
        cleanup::run(&cleaning, &write, operation, &cleanup_options, &mut cleaned).await
    };
    let outcome = Box::pin(outcome).await;
    merge(&mut report, cleaned, outcome);
    report
}

/// Returns once the writer window has passed since the run's commits. At once if the run made
/// none, or if no file would be freed by waiting.
async fn wait_out(
    context: &Context,
    uri: &str,
    pending: &Pending,
    options: &OptimizeOptions,
    progress: &dyn Progress,
) -> Result<(), CleanupRootError> {
    let window = pending.prune.window().to_std().unwrap_or_default();
    if !pending.prune.wait || window.is_zero() || pending.made.last.is_empty() {
        return Ok(());
    }
    if !frees_more_later(context, uri, pending, options).await? {
        return Ok(());
    }
    tracing::info!(target: "lancekeeper::optimize", uri, ?window, "waiting for the writer window before pruning");
    while let Some(left) = window.checked_sub(pending.made.since.elapsed()).filter(|d| !d.is_zero())
    {
        let seconds_left = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        progress.on_event(ProgressEvent::PruneDelayed { uri: uri.to_owned(), seconds_left });
        let tick = tokio::time::sleep(left.min(TICK));
        context.stop.unless_requested(tick).await.ok_or(Interrupted)?;
    }
    Ok(())
}

async fn frees_more_later(
    context: &Context,
    uri: &str,
    pending: &Pending,
    options: &OptimizeOptions,
) -> Result<bool, CleanupRootError> {
    let read = read_root(look(uri).await?, &context.tables).await?;
    let (prune, now) = (pending.prune, context.now());
    let cleaning = cleaning(context, &read, prune, pending.made.last.clone(), options, now);
    cleanup::frees_more_at(&cleaning, &options_of(options), now + prune.window()).await
}

/// Opens the root again: whoever wrote to it since the run did not have to wait for this. Another
/// keeper may hold it for a moment.
async fn open(
    context: &Context,
    uri: &str,
    pending: &Pending,
) -> Result<WriteRoot, CleanupRootError> {
    let started = Instant::now();
    loop {
        let (operation, now) = (&pending.made.operation, context.now());
        let read = read_root(look(uri).await?, &context.tables).await?;
        let observer = context.observer();
        let opening = Opening { purpose: PURPOSE, operation, now, observer };
        match write_root(read, context, &opening).await {
            // What the pruning holds counts with what the run held.
            Ok(write) => return Ok(write.timed(pending.made.hold_times.clone())),
            Err(error) if error.kind() == ErrorKind::Busy && started.elapsed() < LOCK_PATIENCE => {
                let tick = tokio::time::sleep(TICK);
                context.stop.unless_requested(tick).await.ok_or(Interrupted)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Adds to the plan of a run what pruning would delete by what is there before anything is
/// rewritten. What the work itself would replace is not known yet.
pub(crate) async fn preview(
    context: &Context,
    planned: Planned,
    options: &OptimizeOptions,
    now: DateTime<Utc>,
) -> RootOptimizeReport {
    let Planned { mut report, read, has_work } = planned;
    let (Some(read), Some(prune)) = (read, options.prune) else { return report };
    let waits = prune.wait && has_work;
    let then = if waits { now + prune.window() } else { now };
    let cleaning = cleaning(context, &read, prune, Vec::new(), options, then);
    let options = options_of(options);
    let mut cleaned = RootCleanupReport::of(&report.uri).of_kind(read.root.kind);
    let outcome = match check_writable(&read, PURPOSE, now).await {
        Ok(_) => Box::pin(cleanup::preview_opened(&cleaning, &options, &mut cleaned)).await,
        Err(error) => Err(error.into()),
    };
    merge(&mut report, cleaned, outcome);
    report
}

fn cleaning<'a>(
    context: &'a Context,
    read: &'a ReadRoot,
    prune: PruneOptions,
    own: Vec<PinnedVersion>,
    options: &OptimizeOptions,
    now: DateTime<Utc>,
) -> Cleaning<'a> {
    let policy = retention(prune);
    let concurrency = options.concurrency;
    Cleaning { context, read, policy, own, now, concurrency, takes_old_history: false }
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
    mut cleaned: RootCleanupReport,
    outcome: Result<(), CleanupRootError>,
) {
    report.warnings.append(&mut cleaned.warnings);
    if cleaned.queue_holds.count > 0 {
        report.queue_holds = cleaned.queue_holds;
    }
    for table in cleaned.body.tables {
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
        let Ended(failure) = error.into();
        let message = format!("pruning failed: {}", failure.message);
        report.fail(RootFailure { message, ..failure });
    }
}
