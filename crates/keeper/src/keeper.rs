//! The keeper: what a process holds for all roots it works on, and the verbs.

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use futures::{FutureExt, StreamExt};
use lancekeeper_model::{
    BranchAction, BranchReport, CleanupOptions, CleanupReport, CountOptions, CountReport,
    NoProgress, OperationId, OptimizeOptions, OptimizeReport, Progress, ProgressEvent,
    RootOptimizeReport, StatusOptions, StatusReport,
};
use lancekeeper_rewrite::Admission;
use lancekeeper_store::Tables;

use crate::budget::Budget;
use crate::concurrency::in_order;
use crate::optimize::Optimized;
use crate::stop::Stop;
use crate::{branch, cleanup, count, optimize, status};

/// Roots worked on at the same time. Tables of one root share its lock, so this is the only
/// parallelism between databases.
const ROOTS_AT_ONCE: usize = 4;

/// Keeps roots: one per process, shared by every root it works on. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Keeper {
    pub(crate) tables: Tables,
    pub(crate) admission: Admission,
    pub(crate) stop: Stop,
    observer: Observer,
}

/// Who hears of pins, whatever the verb.
#[derive(Clone)]
struct Observer(Arc<dyn Progress>);

impl Default for Observer {
    fn default() -> Self {
        Self(Arc::new(NoProgress))
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Observer")
    }
}

/// Two who hear of everything that happens during a run.
pub(crate) struct Both<'a>(pub(crate) &'a dyn Progress, pub(crate) &'a dyn Progress);

impl Progress for Both<'_> {
    fn on_event(&self, event: ProgressEvent) {
        self.0.on_event(event.clone());
        self.1.on_event(event);
    }
}

impl Keeper {
    /// A keeper with default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same keeper with somebody who hears what happens in every verb. Every verb that
    /// writes first recovers what dead runs left, and that moves pins
    /// ([`ProgressEvent::TablePublished`]): whoever caches what they read drops it then.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Progress>) -> Self {
        Self { observer: Observer(observer), ..self }
    }

    pub(crate) fn observer(&self) -> &dyn Progress {
        self.observer.0.as_ref()
    }

    /// Asks every run of this keeper to stop: each finishes the window it is committing, gives
    /// up what is only staged, and reports what it did with the error "interrupted".
    pub fn stop(&self) {
        self.stop.request();
    }

    /// Looks at roots without writing anything. Never fails as a whole: a root or a table
    /// that cannot be read says so in its place.
    pub async fn status(&self, uris: &[String]) -> StatusReport {
        self.status_of(uris, &StatusOptions::default()).await
    }

    /// The same for other branches than main.
    pub async fn status_of(&self, uris: &[String], options: &StatusOptions) -> StatusReport {
        let roots =
            uris.iter().map(|uri| status::root_status(self, uri, options).boxed()).collect();
        StatusReport { roots: in_order(roots, ROOTS_AT_ONCE).collect().await }
    }

    /// Counts the rows that readers see. Writes nothing. Never fails as a whole: a root or a
    /// table that cannot be read says so in its place.
    pub async fn count_rows(&self, uris: &[String], options: &CountOptions) -> CountReport {
        let started = Instant::now();
        let roots = uris.iter().map(|uri| count::count_root(self, uri, options).boxed()).collect();
        CountReport::new(in_order(roots, ROOTS_AT_ONCE).collect().await, millis(started))
    }

    /// What [`Keeper::optimize`] would do now, without writing anything.
    pub async fn plan_optimize(
        &self,
        uris: &[String],
        options: &OptimizeOptions,
    ) -> OptimizeReport {
        let started = Instant::now();
        // A plan takes no time worth limiting; what a limit on time would leave, none can know.
        let budget = &Budget::of(&OptimizeOptions { max_time: None, ..options.clone() }, started);
        let roots = uris
            .iter()
            .map(|uri| optimize::plan_root(self, uri, options, budget, Utc::now()).boxed())
            .collect();
        let roots: Vec<RootOptimizeReport> = in_order(roots, roots_at_once(budget)).collect().await;
        OptimizeReport::new(true, roots, millis(started))
    }

    /// Compacts the tables of roots and publishes the result. Never fails as a whole: what
    /// went wrong stands with the root or table it concerns.
    ///
    /// # Cancel safety
    ///
    /// Dropped, every table is as it was or compacted and, in a graph, covered by a sidecar;
    /// the next run that opens the root for writing finishes or discards what is open.
    pub async fn optimize(
        &self,
        uris: &[String],
        options: &OptimizeOptions,
        progress: Arc<dyn Progress>,
    ) -> OptimizeReport {
        let started = Instant::now();
        let progress = progress.as_ref();
        let budget = &Budget::of(options, started);
        let roots = uris
            .iter()
            .map(|uri| optimize::optimize_root(self, uri, options, budget, progress).boxed())
            .collect();
        let done: Vec<Optimized> = in_order(roots, roots_at_once(budget)).collect().await;
        // Only after all work: the roots wait out the writer window together.
        let roots = done
            .into_iter()
            .map(|done| optimize::prune::finish(self, done, options, progress).boxed())
            .collect();
        let roots: Vec<RootOptimizeReport> = in_order(roots, ROOTS_AT_ONCE).collect().await;
        OptimizeReport::new(false, roots, millis(started))
    }

    /// What [`Keeper::cleanup`] would delete now, and why everything else stays. Writes
    /// nothing.
    pub async fn plan_cleanup(&self, uris: &[String], options: &CleanupOptions) -> CleanupReport {
        let started = Instant::now();
        let roots = uris
            .iter()
            .map(|uri| cleanup::plan_root(self, uri, options, Utc::now()).boxed())
            .collect();
        CleanupReport::new(true, in_order(roots, ROOTS_AT_ONCE).collect().await, millis(started))
    }

    /// Deletes forks, versions and files that nothing needs, and that the options let go.
    /// Never fails as a whole: what went wrong stands with the root or table it concerns.
    ///
    /// # Cancel safety
    ///
    /// Dropped, every version that can be found can be read; what was listed and not yet
    /// deleted goes with the next cleanup.
    pub async fn cleanup(&self, uris: &[String], options: &CleanupOptions) -> CleanupReport {
        let started = Instant::now();
        let roots = uris
            .iter()
            .map(|uri| cleanup::cleanup_root(self, uri, options, Utc::now()).boxed())
            .collect();
        CleanupReport::new(false, in_order(roots, ROOTS_AT_ONCE).collect().await, millis(started))
    }

    /// Lists the branches of graphs, those of operations only if asked for. Writes nothing.
    pub async fn list_branches(&self, uris: &[String], internal: bool) -> BranchReport {
        let started = Instant::now();
        let roots = uris.iter().map(|uri| branch::list_root(self, uri, internal).boxed()).collect();
        let roots = in_order(roots, ROOTS_AT_ONCE).collect().await;
        BranchReport::new(BranchAction::List, false, roots, millis(started))
    }

    /// What [`Keeper::create_branch`] would do now. Writes nothing.
    pub async fn plan_create_branch(&self, uri: &str, name: &str, from: &str) -> BranchReport {
        let started = Instant::now();
        let root = branch::plan_create_root(self, uri, name, from, Utc::now()).await;
        BranchReport::new(BranchAction::Create, true, vec![root], millis(started))
    }

    /// Creates a branch of a graph that reads what another one reads now. No table is copied.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the branch is there or not. What else may be left is no branch; the next
    /// cleanup takes it away.
    pub async fn create_branch(&self, uri: &str, name: &str, from: &str) -> BranchReport {
        let started = Instant::now();
        let root = branch::create_root(self, uri, name, from, Utc::now()).await;
        BranchReport::new(BranchAction::Create, false, vec![root], millis(started))
    }

    /// What [`Keeper::delete_branch`] would delete and lose now. Writes nothing.
    pub async fn plan_delete_branch(&self, uri: &str, name: &str) -> BranchReport {
        let started = Instant::now();
        let root = branch::plan_delete_root(self, uri, name, Utc::now()).await;
        BranchReport::new(BranchAction::Delete, true, vec![root], millis(started))
    }

    /// Deletes a branch of a graph that nothing depends on, with all that only it has.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the branch is there as before, or gone; what is left of it then goes with the
    /// next cleanup. Dropped in the moment between, a branch that somebody cut from it stays
    /// readable, but this one may be gone.
    pub async fn delete_branch(&self, uri: &str, name: &str) -> BranchReport {
        let started = Instant::now();
        let root = branch::delete_root(self, uri, name, Utc::now()).await;
        BranchReport::new(BranchAction::Delete, false, vec![root], millis(started))
    }
}

/// Roots that spend one budget do so in turn: which of them is given what would else depend on
/// which is faster.
fn roots_at_once(budget: &Budget) -> usize {
    if budget.limits_bytes() { 1 } else { ROOTS_AT_ONCE }
}

/// The id of a run that begins now.
pub(crate) fn new_operation() -> OperationId {
    OperationId::new(ulid::Ulid::generate().to_string())
}

pub(crate) fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
