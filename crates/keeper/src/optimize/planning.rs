//! The step from tables to plans: the same for a dry run and for a run, for graphs and for
//! databases, at the first look and at every later one. Writes nothing.

use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use lancekeeper_model::{SkipReason, TableOptimizeStats};
use lancekeeper_planner::sweep::{SweepPlan, plan_sweep};
use lancekeeper_queue::RootQueue;
use lancekeeper_reconciler::{SweepError, sweep};

use crate::optimize::cut::cut;
use crate::optimize::inventory::{Wish, inherited};
use crate::optimize::look::look_at;
use crate::optimize::table::TableRun;
use crate::optimize::work::Work;
use crate::root::{ReadGraph, ReadRoot, Target};
use crate::run::budget::Budget;
use crate::run::concurrency::in_order;
use crate::run::{Context, millis};

/// How long a later look at a table waits, times the round: the writer who changed it is probably
/// still between commit and publish.
pub(crate) const REDO_PAUSE: Duration = Duration::from_millis(100);

/// With what the tables of a root are planned.
pub(crate) struct Planning<'a> {
    pub(crate) context: &'a Context,
    pub(crate) read: &'a ReadRoot,
    pub(crate) wish: &'a Wish,
    /// What unfinished operations of others claim, in graphs.
    pub(crate) sweep: Option<&'a SweepPlan>,
    pub(crate) budget: &'a Budget,
    pub(crate) concurrency: Option<usize>,
    /// The keys of the tables; a dry run does without.
    pub(crate) queue: Option<&'a RootQueue>,
}

/// The tables of one branch of a graph, or of a database.
pub(crate) struct Plans {
    /// Rows of those that the branch reads from where it was cut.
    pub(crate) inherited: Vec<TableOptimizeStats>,
    /// The others, with what is to be done with each.
    pub(crate) tables: Vec<TableRun>,
    /// Why they could not be looked at once more, if that was needed. Then nothing may be done.
    pub(crate) error: Option<SweepError>,
}

impl Planning<'_> {
    /// Looks at tables and plans them, within what the budget leaves. `view` is the branch of a
    /// graph that they are of.
    pub(crate) async fn plan(&self, view: Option<&ReadGraph>, targets: Vec<Target>) -> Plans {
        let at_once = self.context.tables_at_once(self.concurrency, targets.len());
        let mut inherited_rows = Vec::new();
        let mut looks = Vec::new();
        for target in targets {
            match view.map(|graph| &graph.snapshot.branch) {
                Some(branch) if target.table.branch != *branch => {
                    inherited_rows.push(inherited(&target, branch));
                }
                _ => looks.push(self.look(target).boxed()),
            }
        }
        let mut tables: Vec<TableRun> = in_order(looks, at_once).collect().await;
        let mut error = None;
        if view.is_some() && tables.iter().any(is_drifting) {
            // A live load between its commit and its publish looks like drift: look again once.
            tokio::time::sleep(REDO_PAUSE).await;
            error = self.look_again(view, &mut tables, is_drifting).await.err();
        }
        cut(self.budget, &mut tables);
        Plans { inherited: inherited_rows, tables, error }
    }

    /// Looks again at the tables of which more is to be done, and plans that.
    pub(crate) async fn plan_again(
        &self,
        view: Option<&ReadGraph>,
        tables: &mut [TableRun],
    ) -> Result<(), SweepError> {
        self.look_again(view, tables, TableRun::needs_look).await?;
        cut(self.budget, tables);
        Ok(())
    }

    async fn look(&self, target: Target) -> TableRun {
        let started = Instant::now();
        let mut table = look_at(self.read, target, self.wish, self.sweep).await;
        table.stats.duration_ms = millis(started);
        table
    }

    /// Looks again at tables, in a graph with their pins and the sidecars of now. What was done to
    /// them before stays in their rows.
    async fn look_again(
        &self,
        view: Option<&ReadGraph>,
        tables: &mut [TableRun],
        wanted: impl Fn(&TableRun) -> bool,
    ) -> Result<(), SweepError> {
        if !tables.iter().any(&wanted) {
            return Ok(());
        }
        let claims = match view {
            Some(graph) => Some(self.claims(graph).await?),
            None => None,
        };
        if let Some(graph) = view
            && !graph.is_among(&graph.graph.branches().await?)
        {
            // Somebody deleted it: what was staged for it is given up, and there is nothing to go on with.
            let gone = tables.iter_mut().filter(|table| wanted(table));
            gone.for_each(|table| table.work = Work::Nothing);
            return Ok(());
        }
        for table in tables.iter_mut().filter(|table| wanted(table)) {
            let mut target = table.target.clone();
            // Under its key no writer of this process is between its commit and its publish,
            // which would look like drift. Without it, in a dry run or when too many wait, the
            // look is only less sure.
            let _key = match (view, self.queue) {
                (Some(_), Some(queue)) => queue.acquire_one(target.table.clone()).await.ok(),
                _ => None,
            };
            if let Some(graph) = view {
                let snapshot = graph.graph.snapshot(&graph.snapshot.branch).await?;
                let pin = snapshot.pin(&target.table.key);
                let Some(pin) = pin.filter(|pin| pin.table_branch == target.table.branch) else {
                    table.work = Work::Nothing;
                    continue;
                };
                target.pin = Some(pin.version);
            }
            let fresh = table.look_again(self.read, target, self.wish, claims.as_ref()).await;
            table.renew(fresh);
        }
        Ok(())
    }

    /// What others claim now. Our own sidecars are not swept here: none is left over while we run.
    async fn claims(&self, graph: &ReadGraph) -> Result<SweepPlan, SweepError> {
        let found = graph.sidecars.list().await?;
        let foreign: Vec<_> = found.into_iter().filter(|f| f.our_operation().is_none()).collect();
        let inventory = sweep::inventory(&graph.graph, &self.context.tables, &foreign).await?;
        Ok(plan_sweep(&inventory))
    }
}

fn is_drifting(table: &TableRun) -> bool {
    table.stats.skipped == Some(SkipReason::DriftNeedsRepair)
}
