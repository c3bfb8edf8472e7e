//! The keeper: the verbs, each over several roots, and what is composed of two of them.
//!
//! Each verb is a boxed future. As an `async fn` it would be compiled, with all of Lance below it,
//! in every crate that awaits it: the binary, and each binary of tests.

mod established;
mod prune;
mod search;

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use lancekeeper_model::{
    BranchAction, BranchReport, CleanupOptions, CleanupReport, CountOptions, CountReport, Observer,
    OptimizeOptions, OptimizeReport, Progress, RootOptimizeReport, StatusOptions, StatusReport,
};

use crate::optimize::Optimized;
use crate::run::budget::Budget;
use crate::run::concurrency::in_order;
use crate::run::{Context, millis};
use crate::{branch, cleanup, count, optimize, status};

pub use established::{
    CleanupError, INTERNAL_MANIFEST_SCHEMA_VERSION, OptimizeError, cleanup_all_tables,
    optimize_all_tables, reconcile_orphaned_branches,
};
pub use search::{FoundRoots, SearchTrouble, find_roots, root_identity};

/// Roots worked on at the same time. Tables of one root share its lock, so this is the only
/// parallelism between databases.
const ROOTS_AT_ONCE: usize = 4;

/// Keeps roots: one per process, shared by every root it works on. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Keeper {
    context: Context,
}

impl Keeper {
    /// A keeper with default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same keeper with somebody who hears what happens in every verb. Every verb that
    /// writes first recovers what dead runs left, and that moves pins
    /// ([`TablePublished`](lancekeeper_model::ProgressEvent::TablePublished)): whoever caches what they read drops it then.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Progress>) -> Self {
        Self { context: Context { observer: Observer(observer), ..self.context } }
    }

    /// Asks every run of this keeper to stop: each finishes the window it is committing, gives
    /// up what is only staged, and reports what it did with the error "interrupted".
    pub fn stop(&self) {
        self.context.stop.request();
    }

    /// Looks at roots without writing anything. Never fails as a whole: a root or a table
    /// that cannot be read says so in its place.
    pub fn status<'a>(&'a self, uris: &'a [String]) -> BoxFuture<'a, StatusReport> {
        async move { self.status_of(uris, &StatusOptions::default()).await }.boxed()
    }

    /// The same for other branches than main.
    pub fn status_of<'a>(
        &'a self,
        uris: &'a [String],
        options: &'a StatusOptions,
    ) -> BoxFuture<'a, StatusReport> {
        async move {
            let roots = uris
                .iter()
                .map(|uri| status::root_status(&self.context, uri, options).boxed())
                .collect();
            StatusReport { roots: in_order(roots, ROOTS_AT_ONCE).collect().await }
        }
        .boxed()
    }

    /// Counts the rows that readers see. Writes nothing. Never fails as a whole: a root or a
    /// table that cannot be read says so in its place.
    pub fn count_rows<'a>(
        &'a self,
        uris: &'a [String],
        options: &'a CountOptions,
    ) -> BoxFuture<'a, CountReport> {
        async move {
            let started = Instant::now();
            let roots = uris
                .iter()
                .map(|uri| count::count_root(&self.context, uri, options).boxed())
                .collect();
            CountReport::new(in_order(roots, ROOTS_AT_ONCE).collect().await, millis(started))
        }
        .boxed()
    }

    /// What [`Keeper::optimize`] would do now, without writing anything.
    pub fn plan_optimize<'a>(
        &'a self,
        uris: &'a [String],
        options: &'a OptimizeOptions,
    ) -> BoxFuture<'a, OptimizeReport> {
        async move {
            let started = Instant::now();
            // A plan takes no time worth limiting; what a limit on time would leave, none can know.
            let budget =
                &Budget::of(&OptimizeOptions { max_time: None, ..options.clone() }, started);
            let roots = uris
                .iter()
                .map(|uri| self.plan_optimize_root(uri, options, budget).boxed())
                .collect();
            let roots: Vec<RootOptimizeReport> =
                in_order(roots, roots_at_once(budget)).collect().await;
            OptimizeReport::new(true, roots, millis(started))
        }
        .boxed()
    }

    /// Compacts the tables of roots and publishes the result. Never fails as a whole: what
    /// went wrong stands with the root or table it concerns.
    ///
    /// # Cancel safety
    ///
    /// Dropped, every table is as it was or compacted and, in a graph, covered by a sidecar;
    /// the next run that opens the root for writing finishes or discards what is open.
    pub fn optimize<'a>(
        &'a self,
        uris: &'a [String],
        options: &'a OptimizeOptions,
        progress: Arc<dyn Progress>,
    ) -> BoxFuture<'a, OptimizeReport> {
        async move {
            let started = Instant::now();
            let progress = progress.as_ref();
            let budget = &Budget::of(options, started);
            let roots = uris
                .iter()
                .map(|uri| {
                    optimize::optimize_root(&self.context, uri, options, budget, progress).boxed()
                })
                .collect();
            let done: Vec<Optimized> = in_order(roots, roots_at_once(budget)).collect().await;
            // Only after all work: the roots wait out the writer window together.
            let roots = done
                .into_iter()
                .map(|done| prune::finish(&self.context, done, options, progress).boxed())
                .collect();
            let roots: Vec<RootOptimizeReport> = in_order(roots, ROOTS_AT_ONCE).collect().await;
            OptimizeReport::new(false, roots, millis(started))
        }
        .boxed()
    }

    /// What [`Keeper::cleanup`] would delete now, and why everything else stays. Writes
    /// nothing.
    pub fn plan_cleanup<'a>(
        &'a self,
        uris: &'a [String],
        options: &'a CleanupOptions,
    ) -> BoxFuture<'a, CleanupReport> {
        async move {
            let started = Instant::now();
            let roots = uris
                .iter()
                .map(|uri| cleanup::plan_root(&self.context, uri, options, Utc::now()).boxed())
                .collect();
            CleanupReport::new(
                true,
                in_order(roots, ROOTS_AT_ONCE).collect().await,
                millis(started),
            )
        }
        .boxed()
    }

    /// Deletes forks, versions and files that nothing needs, and that the options let go.
    /// Never fails as a whole: what went wrong stands with the root or table it concerns.
    ///
    /// # Cancel safety
    ///
    /// Dropped, every version that can be found can be read; what was listed and not yet
    /// deleted goes with the next cleanup.
    pub fn cleanup<'a>(
        &'a self,
        uris: &'a [String],
        options: &'a CleanupOptions,
    ) -> BoxFuture<'a, CleanupReport> {
        async move {
            let started = Instant::now();
            let roots = uris
                .iter()
                .map(|uri| cleanup::cleanup_root(&self.context, uri, options, Utc::now()).boxed())
                .collect();
            CleanupReport::new(
                false,
                in_order(roots, ROOTS_AT_ONCE).collect().await,
                millis(started),
            )
        }
        .boxed()
    }

    /// Lists the branches of graphs, those of operations only if asked for. Writes nothing.
    pub fn list_branches<'a>(
        &'a self,
        uris: &'a [String],
        internal: bool,
    ) -> BoxFuture<'a, BranchReport> {
        async move {
            let started = Instant::now();
            let roots = uris
                .iter()
                .map(|uri| branch::list_root(&self.context, uri, internal).boxed())
                .collect();
            let roots = in_order(roots, ROOTS_AT_ONCE).collect().await;
            BranchReport::new(BranchAction::List, false, roots, millis(started))
        }
        .boxed()
    }

    /// What [`Keeper::create_branch`] would do now. Writes nothing.
    pub fn plan_create_branch<'a>(
        &'a self,
        uri: &'a str,
        name: &'a str,
        from: &'a str,
    ) -> BoxFuture<'a, BranchReport> {
        async move {
            let started = Instant::now();
            let root = branch::plan_create_root(&self.context, uri, name, from, Utc::now()).await;
            BranchReport::new(BranchAction::Create, true, vec![root], millis(started))
        }
        .boxed()
    }

    /// Creates a branch of a graph that reads what another one reads now. No table is copied.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the branch is there or not. What else may be left is no branch; the next
    /// cleanup takes it away.
    pub fn create_branch<'a>(
        &'a self,
        uri: &'a str,
        name: &'a str,
        from: &'a str,
    ) -> BoxFuture<'a, BranchReport> {
        async move {
            let started = Instant::now();
            let root = branch::create_root(&self.context, uri, name, from, Utc::now()).await;
            BranchReport::new(BranchAction::Create, false, vec![root], millis(started))
        }
        .boxed()
    }

    /// What [`Keeper::delete_branch`] would delete and lose now. Writes nothing.
    pub fn plan_delete_branch<'a>(
        &'a self,
        uri: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, BranchReport> {
        async move {
            let started = Instant::now();
            let root = branch::plan_delete_root(&self.context, uri, name, Utc::now()).await;
            BranchReport::new(BranchAction::Delete, true, vec![root], millis(started))
        }
        .boxed()
    }

    /// Deletes a branch of a graph that nothing depends on, with all that only it has.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the branch is there as before, or gone; what is left of it then goes with the
    /// next cleanup. Dropped in the moment between, a branch that somebody cut from it stays
    /// readable, but this one may be gone.
    pub fn delete_branch<'a>(&'a self, uri: &'a str, name: &'a str) -> BoxFuture<'a, BranchReport> {
        async move {
            let started = Instant::now();
            let root = branch::delete_root(&self.context, uri, name, Utc::now()).await;
            BranchReport::new(BranchAction::Delete, false, vec![root], millis(started))
        }
        .boxed()
    }
}

impl Keeper {
    async fn plan_optimize_root(
        &self,
        uri: &str,
        options: &OptimizeOptions,
        budget: &Budget,
    ) -> RootOptimizeReport {
        let now = Utc::now();
        let planned = optimize::plan_root(&self.context, uri, options, budget, now).await;
        prune::preview(&self.context, planned, options, now).await
    }
}

/// Roots that spend one budget do so in turn: which of them is given what would else depend on
/// which is faster.
fn roots_at_once(budget: &Budget) -> usize {
    if budget.limits_bytes() { 1 } else { ROOTS_AT_ONCE }
}
