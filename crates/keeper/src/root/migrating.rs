//! What the first write does to the format of a graph: v1 and v2 become v3, on main and on every branch,
//! because nobody is locked out by that who was not by the client of v3, and nothing of ours writes
//! older ones. v4 is only ever asked for (`keeper::migrate`).

use chrono::{DateTime, Utc};
use lancekeeper_manifest::{
    Graph, MigrateError, Migration, MigrationOutcome, migrate_internal_schema,
};
use lancekeeper_model::{
    Branch, BranchStamp, InternalSchema, MigrateOptions, Migrated, ProgressEvent,
};
use lancekeeper_planner::migrate::{Facts, Goal, MigrationPlan, Refusal, Step, plan_migration};
use lancekeeper_store::{Root, Tables};

use super::error::OpenRootError;
use super::opened::{Opening, ReadGraph};

/// What the branches are stamped with, main first.
pub(super) fn stamps(facts: &Facts) -> Vec<BranchStamp> {
    let of = facts.branches.iter();
    of.map(|of| BranchStamp { branch: of.branch.clone(), stamp: of.stamp.clone() }).collect()
}

/// What the first write does before anything else; `None` if nothing.
pub(super) fn first_write(
    facts: &Facts,
    now: DateTime<Utc>,
) -> Result<Option<MigrationPlan>, Refusal> {
    let plan = plan_migration(facts, Goal::Write, MigrateOptions::DEAD_AFTER, now)?;
    Ok((!plan.steps.is_empty()).then_some(plan))
}

/// The clients that a migration locks out, in words.
pub(crate) fn locked_out(plan: &MigrationPlan) -> Vec<String> {
    plan.locked_out().into_iter().map(|schema| schema.clients().to_owned()).collect()
}

/// The branches of runs that go.
pub(crate) fn runs(steps: &[Step]) -> Vec<Branch> {
    let runs = steps.iter().filter_map(|step| match step {
        Step::DeleteRun(run) => Some(run.clone()),
        _ => None,
    });
    runs.collect()
}

/// What a preview says of it.
pub(crate) fn notice(plan: &MigrationPlan) -> String {
    let MigrationPlan { from, to, steps } = plan;
    let names = |branches: Vec<&Branch>| {
        branches.iter().map(|branch| branch.label()).collect::<Vec<_>>().join(", ")
    };
    let stamped = names(plan.stamped());
    let runs = runs(steps);
    let deleted = match runs.is_empty() {
        true => String::new(),
        false => {
            format!("; it deletes {}, left by runs of old clients", names(runs.iter().collect()))
        }
    };
    let clients = locked_out(plan).join(", ");
    format!(
        "its internal schema is {from}: the first write brings it to {to} ({stamped}){deleted}; locked out then: {clients}"
    )
}

/// Brings a graph up to date, and opens it anew. The root's lock is held and sidecars are swept.
///
/// # Cancel safety
///
/// Every branch is as it was or up to date; the next write goes on.
pub(super) async fn migrate(
    graph: &mut ReadGraph,
    plan: &MigrationPlan,
    tables: &Tables,
    root: &Root,
    opening: &Opening<'_>,
) -> Result<Migrated, OpenRootError> {
    let migration = Migration {
        graph: &graph.graph,
        goal: Goal::Write,
        operation: opening.operation,
        dead_after: MigrateOptions::DEAD_AFTER,
        now: opening.now,
    };
    let mut outcome = MigrationOutcome::default();
    Box::pin(migrate_internal_schema(&migration, &mut outcome))
        .await
        .map_err(|source| failed(root, source))?;
    graph.graph = Graph::open(tables, root).await?;
    // What was cached of branches that went would answer for others of their names.
    tables.forget();
    let to = InternalSchema::V3.number();
    opening.observer.on_event(ProgressEvent::GraphMigrated {
        uri: root.given.clone(),
        from_schema: plan.from.clone(),
        to_schema: to,
    });
    let done = MigrationPlan {
        from: outcome.from.unwrap_or_else(|| plan.from.clone()),
        to: plan.to,
        steps: outcome.done,
    };
    tracing::info!(target: "lancekeeper::migrate", uri = root.given, from = %done.from, to, "brought the graph up to date");
    Ok(Migrated {
        branches: done.stamped().into_iter().cloned().collect(),
        run_branches_deleted: runs(&done.steps),
        locked_out: locked_out(&done),
        from: done.from,
        to,
    })
}

fn failed(root: &Root, source: MigrateError) -> OpenRootError {
    OpenRootError::Migrate { uri: root.given.clone(), source }
}
