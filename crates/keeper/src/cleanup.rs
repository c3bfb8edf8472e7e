//! `cleanup`: collect orphaned forks, old versions and litter that nothing needs.
//!
//! # Protocol
//!
//! Open (which sweeps), gather facts, plan; a preview ends there. Then table by table, under
//! the keys of all its branches: look again at everything the plan stands on, plan anew what
//! changed, and delete exactly what the plan lists.
//!
//! # Crash consistency
//!
//! See `reconciler::cleanup`: readers never find a version without its files, and the next
//! cleanup goes on where this one died.

mod ask;
mod gather;
mod job;
mod planning;
mod report;
mod table;

use std::time::Instant;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{
    CleanupOptions, ErrorKind, OperationId, ProgressEvent, RootCleanupReport, TableRef,
};
use lancekeeper_planner::cleanup::{CleanupPlan, PinnedVersion, Retention, plan_cleanup};
use lancekeeper_reconciler::cleanup::{CleanupError, Done, Executor, Lists};
use tokio::sync::watch;

use crate::root::{
    OpenRootError, Opening, Purpose, ReadRoot, Tolerance, WriteRoot, check_no_foreign_sidecar,
    check_writable, look, read_root, write_root,
};
use crate::run::ended::ended;
use crate::run::stop::Interrupted;
use crate::run::{Context, millis, new_operation};

pub(crate) use ask::CleanupRootError;
use ask::retention;
pub(crate) use gather::{Gathered, branches_of, gather};
use planning::wanted;
use report::Carried;

const VERB: &str = "cleanup";
/// Files go for good: nothing that may need one is tolerated.
const PURPOSE: Purpose<'_> = Purpose { verb: VERB, selected: &[], tolerates: Tolerance::DELETES };
/// Looks at what others change at the same time, before it is left alone or taken as it is.
pub(crate) const LOOKS_MAX: usize = 3;
/// Deletions at the same time where nothing else is asked for.
pub(crate) const DELETIONS_AT_ONCE: usize = 4;

/// What a run over one root works with.
pub(crate) struct Cleaning<'a> {
    pub(crate) context: &'a Context,
    pub(crate) read: &'a ReadRoot,
    pub(crate) policy: Retention,
    /// Versions the running operation made.
    pub(crate) own: Vec<PinnedVersion>,
    pub(crate) now: DateTime<Utc>,
    /// Tables looked at at the same time, where the caller says.
    pub(crate) concurrency: Option<usize>,
    /// Whether what v3 kept apart goes, of a graph at v4.
    pub(crate) takes_old_history: bool,
}

/// Cleans up one root. Never fails: the report says what went wrong.
///
/// # Cancel safety
///
/// As the verb's.
pub(crate) fn cleanup_root<'a>(
    context: &'a Context,
    uri: String,
    options: &'a CleanupOptions,
) -> BoxFuture<'a, RootCleanupReport> {
    async move {
        let mut report = RootCleanupReport::of(&uri);
        let outcome = clean(context, &uri, options, &mut report).await;
        ended(report, outcome)
    }
    .boxed()
}

async fn clean(
    context: &Context,
    uri: &str,
    options: &CleanupOptions,
    report: &mut RootCleanupReport,
) -> Result<(), CleanupRootError> {
    report::set_rules(report, options);
    let (root, now) = (look(uri).await?, context.now());
    report.kind = Some(root.kind);
    let policy = retention(root.kind, options)?;
    let operation = new_operation();
    let read = read_root(root, &context.tables).await?;
    let observer = context.observer();
    let opening = Opening { purpose: PURPOSE, operation: &operation, now, observer };
    let write = write_root(read, context, &opening).await?;
    report.recovery.clone_from(&write.recovery);
    report.warnings.extend(write.warnings.iter().cloned());
    report::warn_of_members(report, &write.read.members);
    let cleaning = Cleaning {
        context,
        read: &write.read,
        policy,
        own: Vec::new(),
        now,
        concurrency: options.concurrency,
        takes_old_history: options.old_history,
    };
    run(&cleaning, &write, operation, options, report).await
}

/// Cleans up an opened root, table by table.
///
/// # Cancel safety
///
/// As the verb's.
pub(crate) async fn run(
    cleaning: &Cleaning<'_>,
    write: &WriteRoot,
    operation: OperationId,
    options: &CleanupOptions,
    report: &mut RootCleanupReport,
) -> Result<(), CleanupRootError> {
    let lists = Lists::of(&cleaning.read.root.files());
    let mut gathered = gather(cleaning, &lists).await?;
    let mut plan = gathered.plan(cleaning);
    let wanted = wanted(&gathered, &options.tables, cleaning.read)?;
    let cancel = watch::Sender::new(false);
    let executor = Executor {
        root: cleaning.read.root.clone(),
        graph: cleaning.read.graph.as_ref().map(|graph| graph.graph.clone()),
        stop: cleaning.context.stop.receiver(),
        cancel: cancel.subscribe(),
        lists,
        operation,
        at_once: options.concurrency.filter(|n| *n > 0).unwrap_or(DELETIONS_AT_ONCE),
        rate: options.delete_rate.filter(|rate| *rate > 0),
        observer: cleaning.context.observer.clone(),
    };
    announce(cleaning, &plan, &wanted);
    let carrying = Carrying { cleaning, write, executor: &executor, cancel: &cancel };
    let outcome = clean_tables(carrying, &mut gathered, &mut plan, &wanted, report).await;
    // Whatever ended the run: what was found and done until then is said.
    report.queue_holds = write.queue_holds(&executor.operation);
    let done = report::touched(report, &gathered, &wanted);
    report::set_failures(report, &gathered, &options.tables);
    report::warn_of_lost(report, &gathered);
    report::tell_reconciled(&executor.operation, report);
    report.lost_commits = report::lost(&gathered, &plan, &done);
    report::order(report);
    outcome?;
    report::warn_of_torn(report, &gathered, "is removed");
    for (file, _) in &gathered.torn {
        executor.lists.end_torn(file).await?;
    }
    Ok(())
}

/// Tells what is to go of each table that was asked for.
fn announce(cleaning: &Cleaning<'_>, plan: &CleanupPlan, wanted: &[usize]) {
    let (uri, kind) = (cleaning.read.root.given.clone(), cleaning.read.root.kind);
    let observer = cleaning.context.observer();
    observer.on_event(ProgressEvent::RootOpened { uri, kind });
    for planned in wanted.iter().map(|at| &plan.datasets[*at]) {
        observer.on_event(ProgressEvent::DeletionsPlanned {
            table: TableRef::on_main(planned.table.clone()),
            files: planned.deletions.len() as u64,
            bytes: planned.bytes(),
        });
    }
}

/// With what a plan is carried out.
#[derive(Clone, Copy)]
pub(crate) struct Carrying<'a> {
    cleaning: &'a Cleaning<'a>,
    write: &'a WriteRoot,
    executor: &'a Executor,
    /// Tells the executor that the job of the table whose turn it is was cancelled.
    cancel: &'a watch::Sender<bool>,
}

/// Cleans up the tables asked for, one after the other, and adds their rows.
///
/// # Cancel safety
///
/// As the verb's.
async fn clean_tables(
    carrying: Carrying<'_>,
    gathered: &mut Gathered,
    plan: &mut CleanupPlan,
    wanted: &[usize],
    report: &mut RootCleanupReport,
) -> Result<(), CleanupRootError> {
    let Carrying { cleaning, executor, .. } = carrying;
    // `__manifest` comes first: a name goes before what it names.
    for (at, number) in wanted.iter().copied().zip(0..) {
        if cleaning.context.stop.is_requested() {
            return Err(Interrupted.into());
        }
        let started = Instant::now();
        let mut turn = table::Turn { at, number, job: None };
        carrying.cancel.send_replace(false);
        let work = table::clean(carrying, gathered, plan, &mut turn);
        let cleaned = Box::pin(work).await;
        let planned = &plan.datasets[at];
        if let Ok(Done { fork_error: Some((forks, error)), .. }) = &cleaned {
            report::add_fork_failure(report, &planned.table, forks, error);
        }
        let carried = cleaned.as_ref().map_or(Carried::Failed, Carried::Out);
        let mut stats = report::table_stats(planned, carried);
        let (mut is_interrupted, mut is_cancelled) = (false, false);
        match cleaned {
            Ok(Done { error: None, .. }) => report::add_reclaimed(report, planned),
            // Somebody wanted that: nothing went wrong.
            Ok(Done { error: Some(error @ CleanupError::Cancelled), .. }) => {
                is_cancelled = true;
                stats.warnings.push(error.to_string());
                report::add_forks_not_reclaimed(report, planned, &error);
            }
            Ok(Done { error: Some(error), .. }) | Err(CleanupRootError::Cleanup(error)) => {
                report::set_error(&mut stats, &error);
                report::add_forks_not_reclaimed(report, planned, &error);
                is_interrupted = error.kind() == ErrorKind::Interrupted;
            }
            // Nobody else's table may be touched either.
            Err(error) => {
                job::end(cleaning.context, turn.job, &stats, false, Some(&error)).await;
                return Err(error);
            }
        }
        report::add_undecided(report, planned);
        stats.duration_ms = millis(started);
        job::end(cleaning.context, turn.job, &stats, is_cancelled, None).await;
        report::tell(&executor.operation, &stats);
        cleaning.context.observer().on_event(ProgressEvent::TableFinished {
            table: TableRef::on_main(stats.table_key.clone()),
            failed: stats.error.is_some(),
        });
        report.tables.push(stats);
        if is_interrupted {
            return Err(Interrupted.into());
        }
    }
    Ok(())
}

/// Says what a cleanup of one root would do, without writing anything.
pub(crate) fn plan_root<'a>(
    context: &'a Context,
    uri: String,
    options: &'a CleanupOptions,
) -> BoxFuture<'a, RootCleanupReport> {
    async move {
        let mut report = RootCleanupReport::of(&uri);
        let outcome = preview(context, &uri, options, &mut report).await;
        ended(report, outcome)
    }
    .boxed()
}

async fn preview(
    context: &Context,
    uri: &str,
    options: &CleanupOptions,
    report: &mut RootCleanupReport,
) -> Result<(), CleanupRootError> {
    report::set_rules(report, options);
    let root = look(uri).await?;
    report.kind = Some(root.kind);
    retention(root.kind, options)?;
    let read = read_root(root, &context.tables).await?;
    preview_read(context, &read, options, context.now(), report).await
}

/// Says what a cleanup of a root would do that was opened for reading.
pub(crate) async fn preview_read(
    context: &Context,
    read: &ReadRoot,
    options: &CleanupOptions,
    now: DateTime<Utc>,
    report: &mut RootCleanupReport,
) -> Result<(), CleanupRootError> {
    let policy = retention(read.root.kind, options)?;
    let way = check_writable(read, PURPOSE, now).await?;
    report.warnings.extend(way.notice());
    report::warn_of_members(report, &read.members);
    let cleaning = Cleaning {
        context,
        read,
        policy,
        own: Vec::new(),
        now,
        concurrency: options.concurrency,
        takes_old_history: options.old_history,
    };
    preview_opened(&cleaning, options, report).await
}

/// Says what a cleanup of an opened root would do.
pub(crate) async fn preview_opened(
    cleaning: &Cleaning<'_>,
    options: &CleanupOptions,
    report: &mut RootCleanupReport,
) -> Result<(), CleanupRootError> {
    let read = cleaning.read;
    if let Some(graph) = &read.graph {
        check_no_foreign_sidecar(&read.root, VERB, &graph.found)?;
        if !graph.found.is_empty() {
            report.warnings.push(
                "an unfinished operation of ours is recovered first; what goes may change".into(),
            );
        }
    }
    let lists = Lists::of(&read.root.files());
    let gathered = gather::gather_at_rest(cleaning, &lists).await?;
    if let Some(graph) = &read.graph {
        // What was listed while somebody was at work is no drift.
        let found = graph.sidecars.list().await.map_err(OpenRootError::from)?;
        check_no_foreign_sidecar(&read.root, VERB, &found)?;
    }
    let plan = gathered.plan(cleaning);
    let wanted = wanted(&gathered, &options.tables, read)?;
    report::set_failures(report, &gathered, &options.tables);
    report::warn_of_lost(report, &gathered);
    report::warn_of_torn(report, &gathered, "counts for nothing");
    for at in wanted.iter().copied() {
        report::add_reclaimed(report, &plan.datasets[at]);
        report::add_undecided(report, &plan.datasets[at]);
        let mut stats = report::table_stats(&plan.datasets[at], Carried::Not);
        if let Some(why) = &plan.datasets[at].refused {
            report::set_error(&mut stats, &CleanupError::Refused { why: why.clone() });
        }
        report.tables.push(stats);
    }
    report.lost_commits = report::lost(&gathered, &plan, &wanted);
    report::order(report);
    Ok(())
}

/// Whether more would go of the tables asked for at a later time than goes now.
pub(crate) async fn frees_more_at(
    cleaning: &Cleaning<'_>,
    options: &CleanupOptions,
    later: DateTime<Utc>,
) -> Result<bool, CleanupRootError> {
    let lists = Lists::of(&cleaning.read.root.files());
    let gathered = gather::gather_at_rest(cleaning, &lists).await?;
    let now = gathered.plan(cleaning);
    let then = plan_cleanup(&gathered.inventory(), &cleaning.own, &cleaning.policy, later);
    let wanted = wanted(&gathered, &options.tables, cleaning.read)?;
    let goes = |plan: &CleanupPlan, at: usize| plan.datasets[at].deletions.len();
    Ok(wanted.into_iter().any(|at| goes(&then, at) > goes(&now, at)))
}
