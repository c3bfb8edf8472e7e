//! `optimize` on one branch of a graph: rounds of windows, each one publish.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use lancekeeper_model::{
    ErrorKind, ProgressEvent, RootFailure, RootOptimizeReport, SkipReason, TableRef,
};
use lancekeeper_planner::optimize::{WINDOW_TABLES_MAX, windows};
use lancekeeper_planner::sweep::plan_sweep;
use lancekeeper_reconciler::{SweepError, sweep};

use crate::optimize::cut::{cut, leave};
use crate::optimize::inventory::inherited as inherited_row;
use crate::optimize::look::look_at;
use crate::optimize::report::set_error;
use crate::optimize::stage::{StagedTable, stage_table};
use crate::optimize::table::TableRun;
use crate::optimize::window::{Member, Window, run_window};
use crate::optimize::{ROUNDS_MAX, Run};
use crate::root::ReadGraph;
use crate::root::Target;
use crate::run::concurrency::in_order;
use crate::run::ended::{Ended, EndsRoot};
use crate::run::millis;
use crate::run::stop::Interrupted;

/// How long a redo waits, times the round: the writer that got in between is probably still
/// between its commit and its publish.
const REDO_PAUSE: Duration = Duration::from_millis(100);

/// Runs over the tables that the branch owns; the others are listed as inherited.
pub(crate) async fn run(
    run: &Run<'_>,
    graph: &ReadGraph,
    targets: Vec<Target>,
    report: &mut RootOptimizeReport,
) {
    let started = Instant::now();
    let at_once = run.context.tables_at_once(run.options.concurrency, targets.len());
    let branch = &graph.snapshot.branch;
    let (targets, inherited): (Vec<Target>, Vec<Target>) =
        targets.into_iter().partition(|target| target.table.branch == *branch);
    report.tables.extend(inherited.iter().map(|target| inherited_row(target, branch)));
    let read = &run.write.read;
    let looks = targets
        .into_iter()
        .map(|target| look_at(read, target, &run.wish, Some(&run.write.sweep)).boxed())
        .collect();
    let mut tables: Vec<TableRun> = in_order(looks, at_once).collect().await;
    if tables.iter().any(is_drifting) {
        // A live load between its commit and its publish looks like drift: look again once.
        tokio::time::sleep(REDO_PAUSE).await;
        if let Err(error) = look_again(run, graph, &mut tables, is_drifting).await {
            return end_with(report, tables, error);
        }
    }
    cut(run.budget, &mut tables);
    announce(run, &tables);
    let planned: BTreeSet<TableRef> = tables
        .iter()
        .filter(|table| table.plan.is_some() || table.adopt)
        .map(|table| table.target.table.clone())
        .collect();
    for table in &mut tables {
        table.stats.duration_ms = millis(started);
    }
    for round in 0..ROUNDS_MAX {
        if round > 0 {
            tokio::time::sleep(REDO_PAUSE * round).await;
            if let Err(error) =
                look_again(run, graph, &mut tables, |table| table.plan.is_some()).await
            {
                return end_with(report, tables, error);
            }
            cut(run.budget, &mut tables);
        }
        if tables.iter().all(|table| table.plan.is_none() && !table.adopt) {
            break;
        }
        if !one_round(run, graph, round, at_once, &mut tables, report).await {
            break;
        }
    }
    for table in &mut tables {
        let is_planned = planned.contains(&table.target.table);
        let stats = &mut table.stats;
        let is_undone = !stats.committed && stats.error.is_none() && stats.skipped.is_none();
        if report.error.is_some() && is_planned && is_undone {
            stats.skipped = Some(SkipReason::RunEnded);
        }
        let is_spoiled = stats.groups_dropped > 0 && !stats.committed && stats.error.is_none();
        if is_spoiled && table.plan.is_some() && stats.skipped.is_none() {
            stats.skipped = Some(SkipReason::ChangedByWriters);
        }
        let event = ProgressEvent::TableFinished {
            table: table.target.table.clone(),
            failed: table.stats.error.is_some(),
        };
        run.progress.on_event(event);
    }
    report.tables.extend(tables.into_iter().map(|table| table.stats));
}

impl EndsRoot for SweepError {
    fn kind(&self) -> ErrorKind {
        Self::kind(self)
    }
}

/// Ends the run over a graph that cannot be looked at again. What was done before stands in the
/// rows, those of other branches too.
fn end_with(report: &mut RootOptimizeReport, tables: Vec<TableRun>, error: SweepError) {
    report.fail(Ended::from(error).0);
    report.tables.extend(tables.into_iter().map(|table| table.stats));
}

fn announce(run: &Run<'_>, tables: &[TableRun]) {
    for table in tables {
        let groups = table.plan.as_ref().map_or(&[][..], |plan| &plan.groups);
        run.progress.on_event(ProgressEvent::TablePlanned {
            table: table.target.table.clone(),
            groups: groups.len() as u64,
            bytes: groups.iter().map(|group| group.bytes).sum(),
        });
    }
}

/// Ends an interrupted run: what was staged is deleted by the journal, at once.
async fn interrupt(run: &Run<'_>, report: &mut RootOptimizeReport) {
    report.fail(Ended::from(Interrupted).0);
    match run.write.journal.settle_all(&run.context.tables, &run.write.read.root).await {
        Ok(settled) => report.warnings.extend(settled.kept),
        Err(error) => report.warnings.push(error.to_string()),
    }
}

fn is_drifting(table: &TableRun) -> bool {
    table.stats.skipped == Some(SkipReason::DriftNeedsRepair)
}

/// Looks again at the tables whose groups were dropped, with their pins and the sidecars of
/// now. What was done to them before stays in their rows.
async fn look_again(
    run: &Run<'_>,
    graph: &ReadGraph,
    tables: &mut [TableRun],
    wanted: impl Fn(&TableRun) -> bool,
) -> Result<(), SweepError> {
    if !tables.iter().any(&wanted) {
        return Ok(());
    }
    let read = &run.write.read;
    let found = graph.sidecars.list().await?;
    // Our own sidecars are not swept here: none is left over while we run.
    let foreign: Vec<_> = found.into_iter().filter(|f| f.our_operation().is_none()).collect();
    let claims = plan_sweep(&sweep::inventory(&graph.graph, &run.context.tables, &foreign).await?);
    for table in tables.iter_mut().filter(|table| wanted(table)) {
        // Under its key no writer of this process is between its commit and its publish, which
        // would look like drift. Without it, when too many wait, the look is only less sure.
        let _key = run.write.queue.acquire_one(table.target.table.clone()).await.ok();
        let snapshot = graph.graph.snapshot(&graph.snapshot.branch).await?;
        let Some(pin) = snapshot.pin(&table.target.table.key) else {
            table.plan = None;
            continue;
        };
        let target = Target { pin: Some(pin.version), ..table.target.clone() };
        let fresh = table.look_again(read, target, &run.wish, Some(&claims)).await;
        table.renew(fresh);
    }
    Ok(())
}

/// Stages and commits every planned table, window by window. Returns whether the next round
/// may run.
async fn one_round(
    run: &Run<'_>,
    graph: &ReadGraph,
    round: u32,
    at_once: usize,
    tables: &mut [TableRun],
    report: &mut RootOptimizeReport,
) -> bool {
    let planned: Vec<TableRef> = tables
        .iter()
        .filter(|table| table.plan.is_some() || table.adopt)
        .map(|table| table.target.table.clone())
        .collect();
    for (number, names) in windows(planned, WINDOW_TABLES_MAX).into_iter().enumerate() {
        let started = Instant::now();
        let mut members = Vec::new();
        let in_window = |table: &&mut TableRun| names.contains(&table.target.table);
        let staging = tables
            .iter_mut()
            .filter(in_window)
            .map(|table| stage_member(run, table).boxed())
            .collect();
        let stop = &run.context.stop;
        let staged = stop.unless_requested(in_order(staging, at_once).collect::<Vec<_>>()).await;
        let Some(staged) = staged else {
            interrupt(run, report).await;
            return false;
        };
        members.extend(staged.into_iter().flatten());
        let window = Window { run, graph, round, number };
        let outcome = Box::pin(run_window(&window, &mut members, report)).await;
        for member in members {
            member.finish(run, tables).await;
        }
        for table in tables.iter_mut().filter(|table| names.contains(&table.target.table)) {
            table.stats.duration_ms += millis(started);
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
async fn stage_member(run: &Run<'_>, table: &mut TableRun) -> Option<Member> {
    let handle = table.handle.clone()?;
    // Versions of ours are published first, and staged work would not fit on top.
    let work = match table.adopt {
        true => StagedTable::default(),
        false => match Box::pin(stage_table(run, table)).await {
            Ok(work) => work,
            Err(error) => {
                set_error(&mut table.stats, error.kind(), &error);
                table.plan = None;
                return None;
            }
        },
    };
    let is_all = work.is_nothing();
    leave(&mut table.stats, work.left.clone(), is_all);
    if is_all && !table.adopt {
        table.plan = None;
        return None;
    }
    Some(Member::new(table.target.clone(), handle, work, table.adopt))
}
