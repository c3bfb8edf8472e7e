//! The commit history that a v3 graph keeps apart, where it is missing or cannot be read: whatever is recovered is
//! written down in it, so that comes first.

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, LeftBehind, OperationId, RecoverAction, RecoverRow};

use super::is_planned;
use crate::recover::PLAN;
use crate::recover::ask::RecoverRootError;
use crate::root::{ReadGraph, check_history_of};
use crate::run::graph_job::GraphJob;

/// What is to be done about a v3 graph without a commit history.
pub(in crate::recover) async fn history_row(
    graph: &ReadGraph,
) -> Result<Option<RecoverRow>, RecoverRootError> {
    if !graph.graph.lacks_history().await {
        return Ok(None);
    }
    let mut row = RecoverRow::of(LeftBehind::HalfMade, "_graph_commits.lance");
    if graph.graph.is_as_made().await? {
        row.action = RecoverAction::Add;
        row.why = "its making ended before its commit history; nothing happened to it since, so its history has one commit".to_owned();
    } else {
        row.action = RecoverAction::Refuse;
        row.why =
            "its commit history is missing, though things happened that are in none".to_owned();
        row.hint =
            Some("nothing was changed; restore _graph_commits.lance from a backup; if there is none, `lancekeeper migrate ROOT --to 4 --rebuild-history` makes a history of the versions of __manifest".to_owned());
    }
    Ok(Some(row))
}

/// Makes the commit history of a v3 graph that has none, as its row says. Nothing else is done in the same run.
///
/// # Cancel safety
///
/// It is made or not.
pub(in crate::recover) async fn mend_history(
    graph: &ReadGraph,
    operation: &OperationId,
    now: DateTime<Utc>,
    job: &GraphJob<'_>,
    row: &mut RecoverRow,
) -> Result<(), RecoverRootError> {
    if row.action == RecoverAction::Add {
        job.begin(&[], PLAN, 1).await;
        graph.graph.make_history(operation, now).await?;
        row.done = true;
    }
    Ok(())
}

/// The row of a commit history that cannot be read. Tables would be restored and pins would move, and then nothing could
/// be written down.
pub(in crate::recover) async fn damaged_history(
    graph: &ReadGraph,
    branch: &Branch,
) -> Option<RecoverRow> {
    let error = check_history_of(&graph.graph, branch).await.err()?;
    let mut row = RecoverRow::of(LeftBehind::CommitRows, "_graph_commits.lance");
    row.action = RecoverAction::Refuse;
    row.why = error.to_string();
    row.hint = error.hint().map(ToOwned::to_owned);
    row.branch = branch.clone();
    Some(row)
}

/// Leaves sidecars of branches as they are whose own history cannot be read.
pub(in crate::recover) async fn hold_back_unrecorded(graph: &ReadGraph, rows: &mut [RecoverRow]) {
    for row in rows.iter_mut().filter(|row| is_planned(row) && !row.branch.is_main()) {
        // What becomes of the sidecar of a branch that is gone is written down on main.
        if !graph.branches.contains(&row.branch) {
            continue;
        }
        if let Some(damage) = damaged_history(graph, &row.branch).await {
            row.action = RecoverAction::Refuse;
            row.why = format!("{}; else: {}", damage.why, row.why);
            row.hint = damage.hint;
        }
    }
}
