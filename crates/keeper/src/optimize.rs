//! `optimize`: compact the tables of a root, then publish them together.
//!
//! # Protocol
//!
//! Inventory and plan, stage without any lock (the root's is given back, see `root::hold`), then per window of tables: enter (queue keys),
//! re-check, arm one sidecar per table, commit, publish once, disarm. `docs/architecture.md`
//! tells why in this order.
//!
//! # Crash consistency
//!
//! Up to the first commit of a table nothing is visible. From then until its publish an armed
//! sidecar covers it, and the next open for writing rolls it forward: a rewrite does not
//! change content. Databases and tables have no publish; their one visible step is the
//! Rewrite itself.

mod arranged;
mod chosen;
mod conclude;
mod cut;
mod expansions;
mod formats;
mod graph;
mod internal;
mod inventory;
mod job;
mod look;
mod made;
mod notes;
mod paging;
mod plain;
mod planning;
mod preview;
mod probe;
mod report;
mod resumed;
mod stage;
mod statistics;
mod suggest;
mod table;
mod window;
mod work;

use std::sync::atomic::AtomicU64;

use chrono::{DateTime, Utc};
use lancekeeper_model::{
    OperationId, OptimizeOptions, Progress, ProgressEvent, RootOptimizeReport, TableOptimizeStats,
    TableRef,
};
use lancekeeper_store::Root;

use crate::root::{
    Opening, Purpose, ReadGraph, ReadRoot, TargetError, Tolerance, WriteRoot, branch_views,
    check_histories, check_writable, look, read_root, targets, write_root,
};
use crate::run::budget::Budget;
use crate::run::ended::{Ended, ended};
use crate::run::stop::Interrupted;
use crate::run::{Both, Context, new_operation};
use resumed::Resumable;

pub(crate) use inventory::{Wish, inherited};
use inventory::{check_fits_one, check_layout, check_storage};
pub(crate) use look::look_at;
pub(crate) use made::Made;
use made::{check_prunable, made};
use planning::Planning;
use table::TableRun;

/// How often groups that a writer invalidated are planned and staged again in one run.
/// Maintenance yields to writers: what they keep changing waits for the next run.
const ROUNDS_MAX: u32 = 3;

/// One run over one root.
pub(crate) struct Run<'a> {
    pub(crate) context: &'a Context,
    pub(crate) write: &'a WriteRoot,
    pub(crate) operation: OperationId,
    pub(crate) wish: Wish,
    pub(crate) options: &'a OptimizeOptions,
    pub(crate) budget: &'a Budget,
    pub(crate) progress: &'a dyn Progress,
    /// What earlier runs finished and did not live to commit.
    pub(crate) resumable: Resumable,
    /// Numbers journal entries.
    pub(crate) entries: AtomicU64,
}

impl Run<'_> {
    /// With what its tables are planned.
    fn planning(&self) -> Planning<'_> {
        Planning {
            context: self.context,
            read: &self.write.read,
            wish: &self.wish,
            sweep: self.write.read.graph.is_some().then_some(&self.write.sweep),
            budget: self.budget,
            concurrency: self.options.concurrency,
            queue: Some(&self.write.queue),
        }
    }

    /// Tells what is planned for a table.
    fn announce(&self, table: &TableRun) {
        self.progress.on_event(ProgressEvent::TablePlanned {
            table: table.target.table.clone(),
            groups: table.groups().len() as u64,
            bytes: table.groups().iter().map(|group| group.bytes).sum(),
        });
    }

    /// Tells that nothing more is done to a table.
    fn finished(&self, stats: &TableOptimizeStats) {
        report::tell(stats);
        let (key, branch) = (stats.table_key.clone(), stats.branch.clone());
        let (table, failed) = (TableRef { key, branch }, stats.error.is_some());
        self.progress.on_event(ProgressEvent::TableFinished { table, failed });
    }
}

/// One root that is optimized, and what the run made if that is to be pruned.
#[derive(Debug)]
pub(crate) struct Optimized {
    pub(crate) report: RootOptimizeReport,
    pub(crate) made: Option<Made>,
}

/// What a run over one root would do.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) report: RootOptimizeReport,
    /// The root, unless it failed as a whole.
    pub(crate) read: Option<ReadRoot>,
    /// Whether there is anything to do.
    pub(crate) has_work: bool,
}

/// What is wanted, and of which root.
async fn recognised(
    uri: &str,
    options: &OptimizeOptions,
    now: DateTime<Utc>,
    report: &mut RootOptimizeReport,
) -> Result<(Wish, Root), Ended> {
    let wish = Wish::from_options(options, now)?;
    let root = look(uri).await?;
    report.kind = Some(root.kind);
    check_prunable(root.kind, options)?;
    check_layout(root.kind, options)?;
    check_storage(root.kind, options)?;
    Ok((wish, root))
}

/// Optimizes one root. Never fails: the report says what went wrong. When this returns, nothing
/// is locked any more.
///
/// # Cancel safety
///
/// As the verb's.
pub(crate) async fn optimize_root(
    context: &Context,
    uri: &str,
    options: &OptimizeOptions,
    budget: &Budget,
    progress: &dyn Progress,
) -> Optimized {
    let mut report = RootOptimizeReport::of(uri);
    let mut made = None;
    // Boxed: Lance's futures are deep, and the compiler bounds how deep a layout may be.
    let work = Box::pin(optimize(context, uri, options, budget, progress, &mut report));
    let outcome = work.await.map(|what| made = what);
    Optimized { report: ended(report, outcome), made }
}

async fn optimize(
    context: &Context,
    uri: &str,
    options: &OptimizeOptions,
    budget: &Budget,
    progress: &dyn Progress,
    report: &mut RootOptimizeReport,
) -> Result<Option<Made>, Ended> {
    if context.stop.is_requested() {
        return Err(Interrupted.into());
    }
    let now = context.now();
    let (wish, root) = recognised(uri, options, now, report).await?;
    progress.on_event(ProgressEvent::RootOpened { uri: uri.to_owned(), kind: root.kind });
    let operation = new_operation();
    let selected = options.selected();
    let observer = &Both(progress, context.observer());
    let purpose = Purpose { verb: "optimize", selected, tolerates: Tolerance::REWRITES };
    let opening = Opening { purpose, operation: &operation, now, observer };
    let read = read_root(root, &context.tables).await?;
    chosen::check_root(&read, options).await?;
    let write = write_root(read, context, &opening).await?;
    let (resumable, entries) = (Resumable::of(&write), AtomicU64::new(0));
    let run = Run {
        context,
        write: &write,
        operation,
        wish,
        options,
        budget,
        progress: observer,
        resumable,
        entries,
    };
    report.recovery.clone_from(&write.recovery);
    report.warnings.extend(write.warnings.iter().cloned());
    report.warnings.extend(write.read.members.warnings.iter().cloned());
    let outcome = Box::pin(tables(&run, report)).await;
    report.queue_holds = write.queue_holds(&run.operation);
    outcome?;
    Box::pin(statistics::recompute(&run, report)).await?;
    Ok(Box::pin(made(&run, report)).await)
}

/// Runs over the tables that were asked for.
async fn tables(run: &Run<'_>, report: &mut RootOptimizeReport) -> Result<(), Ended> {
    match &run.write.read.graph {
        Some(graph) => Box::pin(branches(run, graph, report)).await,
        None => {
            let targets = targets(&run.write.read, None, run.options).await?;
            Box::pin(plain::run(run, targets, report)).await;
            Ok(())
        }
    }
}

/// Runs over the branches that were asked for, one after the other, then over the graph's own
/// tables.
async fn branches(
    run: &Run<'_>,
    graph: &ReadGraph,
    report: &mut RootOptimizeReport,
) -> Result<(), Ended> {
    let views = branch_views(graph, &run.options.branches).await?;
    check_histories(&views).await?;
    let mut work = Vec::new();
    for view in views {
        let targets = targets(&run.write.read, Some(&view), run.options).await?;
        work.push((view, targets));
    }
    for (view, targets) in work {
        if report.error.is_some() {
            break;
        }
        // Main is never gone: nothing is asked of the store for it.
        let is_gone = !view.snapshot.branch.is_main()
            && !view.is_among(&graph.graph.branches().await.map_err(TargetError::from)?);
        if is_gone {
            let gone = format!("branch {} was deleted since the run began", view.snapshot.branch);
            report.warnings.push(gone);
            continue;
        }
        graph::run(run, &view, targets, report).await;
    }
    if report.error.is_none() {
        check_fits_one(run.options, &report.tables)?;
    }
    if report.error.is_none() && run.wish.is_of_all_fragments() {
        report.tables.extend(internal::run(run, &graph.graph).await);
    }
    Ok(())
}

/// Plans one root without writing anything.
pub(crate) async fn plan_root(
    context: &Context,
    uri: &str,
    options: &OptimizeOptions,
    budget: &Budget,
    now: DateTime<Utc>,
) -> Planned {
    let mut planned = Planned { report: RootOptimizeReport::of(uri), read: None, has_work: false };
    let outcome = Box::pin(plan(context, uri, options, budget, now, &mut planned)).await;
    planned.report = ended(planned.report, outcome);
    planned
}

async fn plan(
    context: &Context,
    uri: &str,
    options: &OptimizeOptions,
    budget: &Budget,
    now: DateTime<Utc>,
    planned: &mut Planned,
) -> Result<(), Ended> {
    let report = &mut planned.report;
    let (wish, root) = recognised(uri, options, now, report).await?;
    let read = read_root(root, &context.tables).await?;
    let (selected, tolerates) = (options.selected(), Tolerance::REWRITES);
    let purpose = Purpose { verb: "optimize", selected, tolerates };
    let way = check_writable(&read, purpose, now).await?;
    report.warnings.extend(way.notice());
    let sweep = way.sweep;
    let views = match &read.graph {
        None => vec![None],
        Some(graph) => {
            let views = branch_views(graph, &options.branches).await?;
            check_histories(&views).await?;
            views.into_iter().map(Some).collect()
        }
    };
    let mut work = Vec::new();
    for view in views {
        let targets = targets(&read, view.as_ref(), options).await?;
        work.push((view, targets));
    }
    chosen::check_root(&read, options).await?;
    report.warnings.extend(read.members.warnings.iter().cloned());
    let planning = Planning {
        context,
        read: &read,
        wish: &wish,
        sweep: read.graph.is_some().then_some(&sweep),
        budget,
        concurrency: options.concurrency,
        queue: None,
    };
    for (view, targets) in work {
        let mut plans = planning.plan(view.as_ref(), targets).await;
        planned.has_work |= plans.tables.iter().any(|table| table.planned().is_some());
        plans.tables.iter_mut().for_each(preview::preview);
        if options.statistics {
            plans.tables.iter_mut().for_each(statistics::announce);
        }
        report.tables.extend(plans.inherited);
        report.tables.extend(plans.tables.into_iter().map(|table| table.stats));
        if let Some(error) = plans.error {
            return Err(error.into());
        }
    }
    check_fits_one(options, &report.tables)?;
    let is_whole = options.selected().is_empty() && wish.is_of_all_fragments();
    if let Some(graph) = read.graph.as_ref().filter(|_| is_whole) {
        report.tables.extend(internal::preview(&graph.graph, &wish).await);
    }
    planned.read = Some(read);
    Ok(())
}
