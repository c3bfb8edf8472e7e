//! The keeper: the verbs, each over several roots, and what is composed of two of them.
//!
//! A verb takes its roots as whatever yields text. What it does with each root is boxed in the
//! verb's own room: as an `async fn` it would be compiled, with all of Lance below it, in every
//! crate that awaits it.

mod branches;
mod builder;
mod established;
mod migrating;
mod optimizing;
mod prune;
mod search;

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use lancekeeper_model::{
    BranchSelection, CacheStats, CleanupOptions, CleanupReport, CountOptions, CountReport,
    JobCause, MigrateOptions, MigrateReport, Observer, OptimizeOptions, OptimizeReport, Progress,
    RecoverOptions, RecoverReport, RelocateReport, RepairOptions, RepairReport, RootFailure,
    StatusOptions, StatusReport, StoreRequests, VerifyOptions, VerifyReport,
};

use crate::run::concurrency::in_order;
use crate::run::stop::Stop;
use crate::run::{Context, millis};
use crate::seen::{self, SeenRoot};
use crate::{cleanup, count, migrate, recover, repair, status, verify};

pub use builder::KeeperBuilder;
pub use established::{
    CleanupError, INTERNAL_MANIFEST_SCHEMA_VERSION, OptimizeError, cleanup_all_tables,
    optimize_all_tables, reconcile_orphaned_branches,
};
pub use search::{FoundRoots, SearchTrouble, find_roots, root_identity, under_way};

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

    /// A keeper with settings of the caller's own.
    pub fn builder() -> KeeperBuilder {
        KeeperBuilder::default()
    }

    /// The same keeper with somebody who hears what happens in every verb. Every verb that
    /// writes first recovers what dead runs left, and that moves pins
    /// ([`TablePublished`](lancekeeper_model::ProgressEvent::TablePublished)): whoever caches what they read drops it then.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Progress>) -> Self {
        Self { context: Context { observer: Observer(observer), ..self.context } }
    }

    /// The same keeper with a reason for its runs, which stands in the records of their jobs.
    #[must_use]
    pub fn caused_by(self, cause: JobCause) -> Self {
        Self { context: Context { cause, ..self.context } }
    }

    /// The same keeper with a request to stop of its own: [`Keeper::stop`] of one does not stop the other. For
    /// whoever runs verbs of a keeper that others use, too.
    #[must_use]
    pub fn stopped_apart(self) -> Self {
        Self { context: Context { stop: Stop::default(), ..self.context } }
    }

    /// What time it is for its runs.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.context.now()
    }

    /// Asks every run of this keeper to stop: each finishes the window it is committing, gives
    /// up what is only staged, and reports what it did with the error "interrupted".
    pub fn stop(&self) {
        self.context.stop.request();
    }

    /// What the caches of this keeper did, in all verbs together.
    pub fn cache_stats(&self) -> BoxFuture<'_, CacheStats> {
        self.context.tables.cache_stats().boxed()
    }

    /// What this keeper asked of the stores that tables lie in, in all verbs together.
    #[must_use]
    pub fn store_requests(&self) -> StoreRequests {
        self.context.tables.requests()
    }

    /// Looks at main of roots without writing anything. Never fails as a whole: a root or a table
    /// that cannot be read says so in its place.
    pub fn status(
        &self,
        roots: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> BoxFuture<'_, StatusReport> {
        self.status_of(roots, StatusOptions::default())
    }

    /// The same for other branches than main.
    pub fn status_of(
        &self,
        roots: impl IntoIterator<Item = impl AsRef<str>>,
        options: StatusOptions,
    ) -> BoxFuture<'_, StatusReport> {
        let started = Instant::now();
        let roots = owned(roots);
        async move {
            let looks = each(roots, |root| status::root_status(&self.context, root, &options));
            StatusReport::new(false, looks.await, millis(started))
        }
        .boxed()
    }

    /// Counts the rows that readers see. Writes nothing. Never fails as a whole: a root or a
    /// table that cannot be read says so in its place.
    pub fn count_rows<'a>(
        &'a self,
        roots: impl IntoIterator<Item = impl AsRef<str>>,
        options: &'a CountOptions,
    ) -> BoxFuture<'a, CountReport> {
        let started = Instant::now();
        let counts = each(roots, |root| count::count_root(&self.context, root, options));
        async move { CountReport::new(false, counts.await, millis(started)) }.boxed()
    }

    /// The tables of a root as readers of these branches see them, to be opened and read. Writes nothing.
    ///
    /// # Errors
    ///
    /// When the root cannot be read, or a branch is not there.
    pub fn see<'a>(
        &'a self,
        root: &str,
        branches: &'a BranchSelection,
    ) -> BoxFuture<'a, Result<SeenRoot, RootFailure>> {
        seen::see(&self.context, root.to_owned(), branches)
    }

    /// Checks whether everything that roots still offer can be read, and is what it says it is. Writes
    /// nothing. Never fails as a whole: what is wrong is listed, and what could not be checked.
    ///
    /// What the keeper has read before is forgotten first: a file that was damaged since would be
    /// answered for from memory.
    pub fn verify<'a>(
        &'a self,
        roots: impl IntoIterator<Item = impl AsRef<str>>,
        options: &'a VerifyOptions,
    ) -> BoxFuture<'a, VerifyReport> {
        let started = Instant::now();
        self.context.tables.forget();
        let checks = each(roots, |root| verify::verify_root(&self.context, root, options));
        async move { VerifyReport::new(false, checks.await, millis(started)) }.boxed()
    }

    /// What [`Keeper::optimize`] would do now, without writing anything.
    pub fn plan_optimize<'a>(
        &'a self,
        roots: impl IntoIterator<Item = impl AsRef<str>>,
        options: &'a OptimizeOptions,
    ) -> BoxFuture<'a, OptimizeReport> {
        optimizing::plan(&self.context, owned(roots), options)
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
        roots: impl IntoIterator<Item = impl AsRef<str>>,
        options: &'a OptimizeOptions,
        progress: Arc<dyn Progress>,
    ) -> BoxFuture<'a, OptimizeReport> {
        optimizing::run(&self.context, owned(roots), options, progress)
    }

    /// What [`Keeper::cleanup`] would delete now, and why everything else stays. Writes
    /// nothing.
    pub fn plan_cleanup<'a>(
        &'a self,
        roots: impl IntoIterator<Item = impl AsRef<str>>,
        options: &'a CleanupOptions,
    ) -> BoxFuture<'a, CleanupReport> {
        let started = Instant::now();
        let plans = each(roots, |root| cleanup::plan_root(&self.context, root, options));
        async move { CleanupReport::new(true, plans.await, millis(started)) }.boxed()
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
        roots: impl IntoIterator<Item = impl AsRef<str>>,
        options: &'a CleanupOptions,
    ) -> BoxFuture<'a, CleanupReport> {
        let started = Instant::now();
        let runs = each(roots, |root| cleanup::cleanup_root(&self.context, root, options));
        async move { CleanupReport::new(false, runs.await, millis(started)) }.boxed()
    }

    /// Looks for tables of graphs whose newest version is not the one that readers see, and nothing explains it. Says
    /// what was committed since; with `confirm` publishes what is maintenance by the table's own history, and what
    /// the options say of the rest. Never fails as a whole: what went wrong stands with the root or table it concerns.
    ///
    /// # Cancel safety
    ///
    /// Dropped, each branch is published as a whole or not at all. What was to be taken back may have its tag, and
    /// the pinned version may be committed on top of it; the next repair goes on.
    pub fn repair<'a>(
        &'a self,
        roots: impl IntoIterator<Item = impl AsRef<str>>,
        options: &'a RepairOptions,
    ) -> BoxFuture<'a, RepairReport> {
        let started = Instant::now();
        let runs = each(roots, |root| repair::repair_root(&self.context, root, options));
        let is_preview = !options.confirm;
        async move { RepairReport::new(is_preview, runs.await, millis(started)) }.boxed()
    }

    /// Makes graphs whole that were moved, copied or restored: their branches read from where they are now, in every
    /// version, and not from where they lay. Without `confirm`, says what refers to the old place. Refuses unless
    /// everything that it needs is here. Never fails as a whole.
    ///
    /// # Cancel safety
    ///
    /// Dropped, some manifests refer to the new place and some to the old one. The root still counts as moved, and
    /// doing it again changes the rest.
    pub fn relocate<'a>(
        &'a self,
        roots: impl IntoIterator<Item = impl AsRef<str>>,
        confirm: bool,
    ) -> BoxFuture<'a, RelocateReport> {
        let started = Instant::now();
        let runs = each(roots, move |root| repair::relocate_root(&self.context, root, confirm));
        async move { RelocateReport::new(!confirm, runs.await, millis(started)) }.boxed()
    }

    /// What crashes of any writer left of graphs, and what [`Keeper::recover`] would do about it now.
    /// Writes nothing.
    pub fn plan_recover<'a>(
        &'a self,
        roots: impl IntoIterator<Item = impl AsRef<str>>,
        options: &'a RecoverOptions,
    ) -> BoxFuture<'a, RecoverReport> {
        let started = Instant::now();
        let plans = each(roots, |root| recover::plan_root(&self.context, root, options));
        async move { RecoverReport::new(true, plans.await, millis(started)) }.boxed()
    }

    /// Brings what crashes of any writer left of graphs to its end: unfinished operations are published
    /// or taken back as their own clients would do it, once their writers are presumed dead. Never
    /// fails as a whole: what remains stands with its root.
    ///
    /// # Cancel safety
    ///
    /// Dropped, some of it is recovered. Readers see each operation as a whole or not at all,
    /// and recovering again does the rest.
    pub fn recover<'a>(
        &'a self,
        roots: impl IntoIterator<Item = impl AsRef<str>>,
        options: &'a RecoverOptions,
    ) -> BoxFuture<'a, RecoverReport> {
        let started = Instant::now();
        let runs = each(roots, |root| recover::recover_root(&self.context, root, options));
        async move { RecoverReport::new(false, runs.await, millis(started)) }.boxed()
    }

    /// What [`Keeper::migrate`] would do now, branch by branch. Writes nothing.
    pub fn plan_migrate<'a>(
        &'a self,
        roots: impl IntoIterator<Item = impl AsRef<str>>,
        options: &'a MigrateOptions,
    ) -> BoxFuture<'a, MigrateReport> {
        let started = Instant::now();
        let plans = each(roots, |root| migrate::plan_root(&self.context, root, options));
        async move { MigrateReport::new(true, plans.await, millis(started)) }.boxed()
    }

    /// Takes graphs to another internal schema version, or back from a migration that is not
    /// finished. Never fails as a whole: what went wrong stands with the root it concerns.
    ///
    /// # Cancel safety
    ///
    /// Dropped, every step is done or not, and the next migration goes on. One to v4 keeps all
    /// clients out until it is finished or taken back.
    pub fn migrate<'a>(
        &'a self,
        roots: impl IntoIterator<Item = impl AsRef<str>>,
        options: &'a MigrateOptions,
    ) -> BoxFuture<'a, MigrateReport> {
        let started = Instant::now();
        let runs = each(roots, |root| migrating::migrate_root(&self.context, root, options));
        async move { MigrateReport::new(false, runs.await, millis(started)) }.boxed()
    }
}

fn owned(roots: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    roots.into_iter().map(|root| root.as_ref().to_owned()).collect()
}

/// Does the same for each root, several at a time; the results are in the order of the roots.
fn each<'a, T: Send + 'a>(
    roots: impl IntoIterator<Item = impl AsRef<str>>,
    work: impl Fn(String) -> BoxFuture<'a, T>,
) -> BoxFuture<'a, Vec<T>> {
    in_order(owned(roots).into_iter().map(work).collect(), ROOTS_AT_ONCE).collect().boxed()
}
