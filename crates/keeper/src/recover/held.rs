//! What becomes of sidecars as a whole, and what keeps everybody from dealing with any of them: the same for a
//! preview and for a run. Writes nothing.

use chrono::{DateTime, Utc};
use lancekeeper_manifest::FoundSidecar;
use lancekeeper_model::{Branch, RecoverOptions, RecoverRow};
use lancekeeper_planner::migrate::MigrationPlan;
use lancekeeper_planner::recover::{Decision, comes_first, plan_recover};
use lancekeeper_store::Tables;

use super::ask::RecoverRootError;
use super::{along, facts_and_steps, inventory, report, rest};
use crate::root::ReadGraph;

/// What was found.
pub(super) struct Looked {
    /// What comes before all others: a commit history that is missing or damaged, or the lock of a schema apply that may
    /// be running.
    pub(super) first: Option<RecoverRow>,
    /// One row per sidecar.
    pub(super) sidecars: Vec<RecoverRow>,
    /// Whether nothing is done about sidecars, nor about what there is beside them.
    pub(super) is_held: bool,
    /// Whether a sidecar is dealt with whose branch is brought along to main's schema before.
    pub(super) is_brought_along: bool,
}

/// Looks at sidecars, and at what stands before all of them.
pub(super) async fn look(
    graph: &ReadGraph,
    tables: &Tables,
    found: &[FoundSidecar],
    migration: Option<&MigrationPlan>,
    options: &RecoverOptions,
    now: DateTime<Utc>,
) -> Result<Looked, RecoverRootError> {
    let facts = inventory::foreign(graph, tables, found).await?;
    let plan = plan_recover(&facts, options, now);
    let mut rows = inventory::own(graph, tables, found).await?;
    let steps = facts_and_steps(&facts, &plan);
    let uri = &graph.graph.root().given;
    rows.extend(steps.map(|(facts, step)| report::sidecar(facts, step, found, uri)));
    if let Some(migration) = migration {
        along::hold_back(migration, &plan, &mut rows);
    }
    let held = |first: Option<RecoverRow>, mut rows: Vec<RecoverRow>, because: &str| {
        rest::hold_back(&mut rows, because);
        Ok(Looked { first, sidecars: rows, is_held: true, is_brought_along: false })
    };
    if let Some(history) = rest::history_row(graph).await? {
        return held(Some(history), rows, "the commit history comes first");
    }
    let main = Branch::main();
    if let Some(damage) = rest::damaged_history(graph, &main).await {
        return held(Some(damage), rows, "the commit history cannot be read");
    }
    rest::hold_back_unrecorded(graph, &mut rows).await;
    if let Some(stop) = plan.steps.iter().find(|step| step.decision == Decision::Stop) {
        return held(None, rows, &comes_first(&stop.file));
    }
    if let Some(lock) = rest::applying(graph, &rows, options, now).await? {
        return held(Some(lock), rows, "a schema apply may be running");
    }
    let is_brought_along = migration.is_some_and(|migration| along::is_needed(migration, &rows));
    Ok(Looked { first: None, sidecars: rows, is_held: false, is_brought_along })
}
