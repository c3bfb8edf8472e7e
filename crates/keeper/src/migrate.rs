//! `migrate`: take a graph to another internal schema version, or back from a migration that died.
//!
//! # Protocol
//!
//! Open as every verb does that writes, but for the version of the graph; then the steps of
//! `manifest::migrate` under the root's lock. What any other verb does by itself on its first write
//! can be seen and done here, too. A preview is the same plan, not carried out. What is done with tables of
//! databases is in `tables`.
//!
//! # Crash consistency
//!
//! See `manifest::migrate`: the next run goes on, or takes it back.

mod report;
mod tables;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_manifest::{
    MigrateError, Migration, MigrationOutcome, copied_branches, histories, migrate_internal_schema,
};
use lancekeeper_model::{
    InternalSchema, JobKind, MigrateGoal, MigrateOptions, OperationId, ProgressEvent, RootKind,
    RootMigrateReport, Stamp,
};
use lancekeeper_planner::migrate::{Goal, MigrationPlan};
use thiserror::Error;

use crate::root::{
    OpenRootError, Opening, Purpose, ReadGraph, ReadRoot, Tolerance, check_quiet, check_settled,
    check_writable, look, read_root, write_root,
};
use crate::run::ended::{Ended, EndsRoot, ended};
use crate::run::graph_job::GraphJob;
use crate::run::{Context, new_operation};

const PURPOSE: Purpose<'_> =
    Purpose { verb: "migrate", selected: &[], tolerates: Tolerance::MIGRATES };

/// A graph was not migrated, or not to the end.
#[derive(Debug, Error)]
enum MigrateRootError {
    /// Something forbids it, or it failed.
    #[error("{uri}: {source}")]
    Migrate {
        /// The root.
        uri: String,
        /// Why not.
        #[source]
        source: MigrateError,
    },
    /// Somebody put something else in its place meanwhile.
    #[error("{uri} is a {kind} now")]
    NotAGraph {
        /// The root.
        uri: String,
        /// What it is.
        kind: RootKind,
    },
}

impl EndsRoot for MigrateRootError {
    fn kind(&self) -> lancekeeper_model::ErrorKind {
        match self {
            Self::Migrate { source, .. } => source.kind(),
            Self::NotAGraph { .. } => lancekeeper_model::ErrorKind::Invalid,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Migrate { source, .. } => source.hint(),
            Self::NotAGraph { .. } => None,
        }
    }
}

/// Migrates one root. Never fails: the report says what went wrong.
///
/// # Cancel safety
///
/// As the verb's.
pub(crate) fn migrate_root<'a>(
    context: &'a Context,
    uri: String,
    options: &'a MigrateOptions,
) -> BoxFuture<'a, RootMigrateReport> {
    async move {
        let mut report = RootMigrateReport::of(&uri);
        let outcome = async {
            match is_graph(&uri, options, &mut report).await? {
                true => run(context, &uri, options, &mut report).await,
                false => tables::run(context, &uri, options, &mut report).await,
            }
        };
        let outcome = outcome.await;
        ended(report, outcome)
    }
    .boxed()
}

/// Says what a migration of one root would do, without writing anything.
pub(crate) fn plan_root<'a>(
    context: &'a Context,
    uri: String,
    options: &'a MigrateOptions,
) -> BoxFuture<'a, RootMigrateReport> {
    async move {
        let mut report = RootMigrateReport::of(&uri);
        let outcome = async {
            match is_graph(&uri, options, &mut report).await? {
                true => preview(context, &uri, options, &mut report).await,
                false => tables::preview(context, &uri, options, &mut report).await,
            }
        };
        let outcome = outcome.await;
        ended(report, outcome)
    }
    .boxed()
}

/// Whether it is a graph. What is asked of it must make sense for one.
async fn is_graph(
    uri: &str,
    options: &MigrateOptions,
    report: &mut RootMigrateReport,
) -> Result<bool, Ended> {
    let root = look(uri).await?;
    report.kind = Some(root.kind);
    if root.kind == RootKind::Graph {
        tables::step_of(uri, root.kind, options)?;
    }
    Ok(root.kind == RootKind::Graph)
}

/// A root as it was read, with what is asked of it.
struct Asked<'a> {
    uri: &'a str,
    graph: &'a ReadGraph,
    options: &'a MigrateOptions,
    operation: &'a OperationId,
    now: DateTime<Utc>,
}

impl Asked<'_> {
    fn migration(&self) -> Migration<'_> {
        let goal = match self.options.goal {
            MigrateGoal::Writable => Goal::Write,
            MigrateGoal::V3 => Goal::V3,
            MigrateGoal::Newest { rebuild } => Goal::Newest { rebuild },
            MigrateGoal::Abort => Goal::Abort,
            MigrateGoal::Restamp(to) => Goal::Restamp(to),
            // Refused before: it is about tables of databases.
            MigrateGoal::Tables(_) => Goal::Write,
        };
        Migration {
            graph: &self.graph.graph,
            goal,
            operation: self.operation,
            dead_after: self.options.dead_after,
            now: self.now,
        }
    }

    fn failed(&self, source: impl Into<MigrateError>) -> MigrateRootError {
        MigrateRootError::Migrate { uri: self.uri.to_owned(), source: source.into() }
    }

    /// The plan, with the branches as they are before it in the report.
    async fn plan(
        &self,
        report: &mut RootMigrateReport,
    ) -> Result<MigrationPlan, MigrateRootError> {
        let migration = self.migration();
        let facts = migration.facts().await.map_err(|error| self.failed(error))?;
        report::describe(report, &facts);
        let plan = migration.plan(&facts).map_err(|refusal| self.failed(refusal))?;
        let warning = "it is at v4 already: nothing is to be done";
        let is_past = self.options.goal == MigrateGoal::Writable && plan.to > InternalSchema::V3;
        // A run plans twice: before it has the lock, and under it.
        if is_past && !report.warnings.iter().any(|said| said == warning) {
            report.warnings.push(warning.to_owned());
        }
        Ok(plan)
    }
}

async fn open(
    context: &Context,
    uri: &str,
    report: &mut RootMigrateReport,
) -> Result<ReadRoot, Ended> {
    let root = look(uri).await?;
    report.kind = Some(root.kind);
    Ok(read_root(root, &context.tables).await?)
}

fn graph_of<'a>(read: &'a ReadRoot, uri: &str) -> Result<&'a ReadGraph, MigrateRootError> {
    let (uri, kind) = (uri.to_owned(), read.root.kind);
    read.graph.as_ref().ok_or(MigrateRootError::NotAGraph { uri, kind })
}

/// What others left unfinished at v3 is brought to its end by the rules of v3. Before v3 nothing is, so such a graph
/// goes to v3 first; and what is half-way, nobody but a migration can go on with.
async fn check_drained(
    read: &ReadRoot,
    graph: &ReadGraph,
    options: &MigrateOptions,
    now: DateTime<Utc>,
) -> Result<(), OpenRootError> {
    match (options.goal, graph.graph.stamp()) {
        // At v4 a branch that came late is brought along, of which nothing can be recovered before that.
        (MigrateGoal::Newest { .. }, Stamp::Migrating | Stamp::Known(InternalSchema::V4)) => Ok(()),
        (MigrateGoal::Newest { .. }, _) => check_settled(read, graph, PURPOSE.verb).await,
        (
            MigrateGoal::Writable | MigrateGoal::V3,
            Stamp::Known(InternalSchema::V1 | InternalSchema::V2),
        ) => check_quiet(read, graph, PURPOSE.verb, options.dead_after, now).await,
        _ => Ok(()),
    }
}

async fn preview(
    context: &Context,
    uri: &str,
    options: &MigrateOptions,
    report: &mut RootMigrateReport,
) -> Result<(), Ended> {
    let now = context.now();
    let read = open(context, uri, report).await?;
    check_writable(&read, PURPOSE, now).await?;
    let graph = graph_of(&read, uri)?;
    check_drained(&read, graph, options, now).await?;
    let operation = &new_operation();
    let asked = Asked { uri, graph, options, operation, now };
    let plan = asked.plan(report).await?;
    let copied = copied_branches(&plan);
    if !copied.is_empty() {
        let rebuild = matches!(options.goal, MigrateGoal::Newest { rebuild: true });
        let found = histories(&graph.graph, rebuild).await.map_err(|error| asked.failed(error))?;
        let found = found.into_iter().filter(|(branch, _)| copied.contains(branch));
        report::set_histories(report, found.map(|(_, history)| history));
    }
    report::set_steps(report, &plan);
    Ok(())
}

async fn run(
    context: &Context,
    uri: &str,
    options: &MigrateOptions,
    report: &mut RootMigrateReport,
) -> Result<(), Ended> {
    let now = context.now();
    let read = open(context, uri, report).await?;
    let operation = &new_operation();
    {
        // What is refused leaves the root as it was, the lock included.
        check_writable(&read, PURPOSE, now).await?;
        let graph = graph_of(&read, uri)?;
        check_drained(&read, graph, options, now).await?;
        Asked { uri, graph, options, operation, now }.plan(report).await?;
    }
    let observer = context.observer();
    let opening = Opening { purpose: PURPOSE, operation, now, observer };
    let write = write_root(read, context, &opening).await?;
    report.recovery.clone_from(&write.recovery);
    report.warnings.extend(write.warnings.iter().cloned());
    let graph = graph_of(&write.read, uri)?;
    check_drained(&write.read, graph, options, now).await?;
    let asked = Asked { uri, graph, options, operation, now };
    let plan = asked.plan(report).await?;
    if !copied_branches(&plan).is_empty() {
        // One that cannot be read is found before the first stamp, not after all of them.
        let rebuild = matches!(options.goal, MigrateGoal::Newest { rebuild: true });
        histories(&graph.graph, rebuild).await.map_err(|error| asked.failed(error))?;
    }
    let job = GraphJob::new(context, &write.read.root, operation, JobKind::Migrate);
    if !plan.steps.is_empty() {
        let words = format!("take the graph to {}", plan.to);
        job.begin(&write.live, &words, plan.steps.len()).await;
    }
    let mut outcome = MigrationOutcome::default();
    let migrated = Box::pin(migrate_internal_schema(&asked.migration(), &mut outcome)).await;
    // What was done stands in the report whatever came of it.
    report::set_histories(report, outcome.histories.into_iter());
    let done = MigrationPlan { steps: outcome.done, ..plan };
    report::set_steps(report, &done);
    context.tables.forget();
    let migrated = migrated.map_err(|error| Ended::from(asked.failed(error)));
    job.end(done.steps.len(), migrated.as_ref().err().map(|Ended(failure)| failure)).await;
    migrated?;
    if !done.steps.is_empty() {
        observer.on_event(ProgressEvent::GraphMigrated {
            uri: uri.to_owned(),
            from_schema: done.from,
            to_schema: done.to.number(),
        });
    }
    Ok(())
}
