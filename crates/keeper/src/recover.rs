//! `recover`: what a crash of any writer left of a graph, and the end of it.
//!
//! # Protocol
//!
//! Look, decide (`planner::recover`), say; a preview ends there. Then, under the root's lock: a file that
//! is no sidecar is moved aside if that was asked for, our own dead operations are ended, then those
//! of others, one by one and each looked at anew, under the keys of its tables, after its branch was brought to main's
//! internal schema if it is behind; then what schema applies left, and rows that a v3 history lacks.
//!
//! # Crash consistency
//!
//! See `reconciler::recover`: every step leaves a state that the next recovery, ours or a client's,
//! brings to the same end.
//!
//! Not here: drift that no sidecar explains (`repair`), and files that nothing refers to (`cleanup`).

mod act;
mod along;
mod ask;
mod held;
mod inventory;
mod report;
mod rest;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{RecoverOptions, RootRecoverReport};
use lancekeeper_planner::recover::{ForeignFacts, RecoverPlan, RecoverStep};

use crate::root::{Purpose, Tolerance, check_recoverable, notice, read_root};
use crate::run::Context;
use crate::run::ended::ended;

use ask::RecoverRootError;

const VERB: &str = "recover";
/// Tables may be restored: a run that stages over them is not tolerated.
const TOLERATES: Tolerance = Tolerance::REWRITES;
const PURPOSE: Purpose<'_> = Purpose { verb: VERB, selected: &[], tolerates: TOLERATES };

/// What its job is for.
const PLAN: &str = "end what crashed writers left";
/// The branch that keeps everybody out while a schema is applied.
const LOCK: &str = "__schema_apply_lock__";

/// Says what recovering a root would do, without writing anything. Never fails: the report says
/// what went wrong.
pub(crate) fn plan_root<'a>(
    context: &'a Context,
    uri: String,
    options: &'a RecoverOptions,
) -> BoxFuture<'a, RootRecoverReport> {
    async move {
        let mut report = RootRecoverReport::of(&uri);
        let outcome = preview(context, &uri, options, context.now(), &mut report).await;
        ended(report, outcome)
    }
    .boxed()
}

/// Recovers one root. Never fails: the report says what went wrong.
///
/// # Cancel safety
///
/// Some of it is recovered; recovering again does the rest.
pub(crate) fn recover_root<'a>(
    context: &'a Context,
    uri: String,
    options: &'a RecoverOptions,
) -> BoxFuture<'a, RootRecoverReport> {
    async move {
        let mut report = RootRecoverReport::of(&uri);
        let outcome = act::recover(context, &uri, options, context.now(), &mut report).await;
        ended(report, outcome)
    }
    .boxed()
}

async fn preview(
    context: &Context,
    uri: &str,
    options: &RecoverOptions,
    now: DateTime<Utc>,
    report: &mut RootRecoverReport,
) -> Result<(), RecoverRootError> {
    let Some(root) = ask::root(uri, report).await? else { return Ok(()) };
    let read = read_root(root, &context.tables).await?;
    let migration = check_recoverable(&read, now).await?;
    let Some(graph) = &read.graph else { return ask::check_graph_options(uri, options) };
    let aside = match &options.quarantine {
        Some(file) => Some(ask::to_quarantine(graph, &context.tables, file, options, now).await?),
        None => None,
    };
    report.warnings.extend(ask::unknown_names(graph, options).await?);
    if let Some(aside) = &aside {
        report.left.push(report::aside(aside, &inventory::unread_forks(graph, aside).await));
    }
    let others = graph
        .found
        .iter()
        .filter(|found| Some(&found.file) != aside.as_ref().map(|aside| &aside.file));
    let others: Vec<_> = others.cloned().collect();
    let held::Looked { first, sidecars, is_held, is_brought_along } =
        held::look(graph, &context.tables, &others, migration.as_ref(), options, now).await?;
    if is_brought_along {
        report.warnings.extend(migration.iter().map(notice));
    }
    report.left.extend(first);
    report.left.extend(sidecars);
    if is_held {
        return Ok(());
    }
    rest::look(context, graph, options, now, report).await
}

/// Each sidecar with what was decided about it.
fn facts_and_steps<'a>(
    facts: &'a [ForeignFacts],
    plan: &'a RecoverPlan,
) -> impl Iterator<Item = (&'a ForeignFacts, &'a RecoverStep)> {
    plan.steps
        .iter()
        .filter_map(|step| Some((facts.iter().find(|facts| facts.file == step.file)?, step)))
}
