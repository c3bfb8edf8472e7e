//! `optimize` on one branch of a graph: rounds of windows, each one publish.

use std::time::Instant;

use futures::{FutureExt, StreamExt};
use lancekeeper_model::{ErrorKind, RootFailure, RootOptimizeReport};
use lancekeeper_planner::optimize::{WINDOW_TABLES_MAX, windows};
use lancekeeper_reconciler::SweepError;

use crate::optimize::cut::leave;
use crate::optimize::expansions::measure;
use crate::optimize::planning::{Plans, REDO_PAUSE};
use crate::optimize::report::set_error;
use crate::optimize::stage::{StagedTable, stage_table, stages_of};
use crate::optimize::table::TableRun;
use crate::optimize::window::{Member, Window, run_window};
use crate::optimize::work::Work;
use crate::optimize::{ROUNDS_MAX, Run};
use crate::root::{OpenRootError, ReadGraph, Target};
use crate::run::concurrency::in_order;
use crate::run::ended::{Ended, EndsRoot};
use crate::run::millis;
use crate::run::stop::Interrupted;

/// Runs over the tables that the branch owns; the others are listed as inherited.
pub(crate) async fn run(
    run: &Run<'_>,
    graph: &ReadGraph,
    targets: Vec<Target>,
    report: &mut RootOptimizeReport,
) {
    let at_once = run.context.tables_at_once(run.options.concurrency, targets.len());
    let Plans { inherited, mut tables, error } = run.planning().plan(Some(graph), targets).await;
    report.tables.extend(inherited);
    tables.iter().for_each(|table| run.announce(table));
    let is_planned: Vec<bool> = tables.iter().map(TableRun::is_ready).collect();
    let outcome = match error {
        None => rounds(run, graph, at_once, &mut tables, report).await,
        Some(error) => Err(error),
    };
    if let Err(error) = outcome {
        // What was done before stands in the rows, those of other branches too.
        report.fail(Ended::from(error).0);
    }
    if report.error.is_none()
        && let Err(error) = measure(run, &mut tables).await
    {
        // Everything is done: only the lock was lost, or the run is asked to stop.
        report.fail(Ended::from(error).0);
    }
    let is_cut_off = report.error.is_some();
    for (mut table, is_planned) in tables.into_iter().zip(is_planned) {
        table.end(is_cut_off && is_planned);
        if !is_cut_off {
            run.resumable.settle(run, &table).await;
        }
        run.end_job(&table, report.failure().as_ref()).await;
        run.finished(&table.stats);
        report.tables.push(table.stats);
    }
}

/// Stages and commits until nothing is left that this run can do.
async fn rounds(
    run: &Run<'_>,
    graph: &ReadGraph,
    at_once: usize,
    tables: &mut [TableRun],
    report: &mut RootOptimizeReport,
) -> Result<(), SweepError> {
    for round in 0..ROUNDS_MAX {
        if round > 0 {
            tokio::time::sleep(REDO_PAUSE * round).await;
            run.planning().plan_again(Some(graph), tables).await?;
        }
        let is_over = !tables.iter().any(TableRun::is_ready);
        if is_over || !one_round(run, graph, round, at_once, tables, report).await {
            break;
        }
        if !tables.iter().any(TableRun::needs_look) {
            break;
        }
    }
    Ok(())
}

impl EndsRoot for SweepError {
    fn kind(&self) -> ErrorKind {
        Self::kind(self)
    }
}

/// Ends an interrupted run: what was staged is deleted by the journal, at once.
async fn interrupt(run: &Run<'_>, report: &mut RootOptimizeReport) {
    report.fail(Ended::from(Interrupted).0);
    let (tables, root) = (&run.context.tables, &run.write.read.root);
    match run.write.journal.settle_run(tables, root, &run.operation).await {
        Ok(settled) => report.warnings.extend(settled.kept),
        Err(error) => report.warnings.push(error.to_string()),
    }
}

/// Stages and commits every planned table, window by window. The root's lock is given back while a window
/// is staged; the window takes it again. Returns whether the next round may run.
async fn one_round(
    run: &Run<'_>,
    graph: &ReadGraph,
    round: u32,
    at_once: usize,
    tables: &mut [TableRun],
    report: &mut RootOptimizeReport,
) -> bool {
    // Those of later windows too: they were looked at and wait for their turn.
    let stages = stages_of(tables);
    let ready: Vec<&mut TableRun> = tables.iter_mut().filter(|table| table.is_ready()).collect();
    let windows = windows(ready, |table| &table.target.table, WINDOW_TABLES_MAX);
    for (number, mut tables) in windows.into_iter().enumerate() {
        run.begin_jobs(&mut tables).await;
        if let Err(error) = run.write.hold.give_back(&stages) {
            report.fail(Ended::from(OpenRootError::from(error)).0);
            return false;
        }
        let staging = tables.iter_mut().map(|table| stage_member(run, table).boxed()).collect();
        let stop = &run.context.stop;
        let staged = stop.unless_requested(in_order(staging, at_once).collect::<Vec<_>>()).await;
        let Some(staged) = staged else {
            interrupt(run, report).await;
            return false;
        };
        let mut members: Vec<Member<'_>> = staged.into_iter().flatten().collect();
        let window = Window { run, graph, round, number };
        let outcome = Box::pin(run_window(&window, &mut members, report)).await;
        for member in members {
            member.finish(run).await;
        }
        if let Err(error) = outcome {
            let Ended(failure) = error.into();
            let cause = failure.hint.map(|hint| format!("{hint}; ")).unwrap_or_default();
            let hint = Some(format!("{cause}run again: opening the graph finishes what is open"));
            report.fail(RootFailure { hint, ..failure });
            return false;
        }
    }
    true
}

/// Stages one table. A table that fails gets its row's error and leaves the window.
async fn stage_member<'t>(run: &Run<'_>, table: &'t mut TableRun) -> Option<Member<'t>> {
    let handle = table.handle.clone()?;
    if let Work::Publish(next) = &table.work {
        // Versions of ours are published first: staged work would not fit on top.
        let then = next.as_ref().map(|_| table.wish.index.clone());
        table.work = Work::Nothing;
        let staged = StagedTable { then, ..StagedTable::default() };
        return Some(Member::new(table, handle, staged, true));
    }
    let started = Instant::now();
    let staged = Box::pin(stage_table(run, table)).await;
    table.stats.duration_ms += millis(started);
    let staged = match staged {
        Ok(staged) => staged,
        Err(error) => {
            set_error(&mut table.stats, error.kind(), &error);
            return None;
        }
    };
    let is_nothing = staged.is_nothing();
    leave(&mut table.stats, staged.left.clone(), is_nothing);
    (!is_nothing).then(|| Member::new(table, handle, staged, false))
}
