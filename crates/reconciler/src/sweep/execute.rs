//! The effects of a sweep. No choices are made here.

use chrono::{DateTime, Utc};
use lancekeeper_manifest::{FoundSidecar, Graph, PinMove, Sidecars};
use lancekeeper_model::{Branch, MovedPin, OperationId, RecoveredSidecar, TableRef, Version};
use lancekeeper_planner::sweep::{SidecarDecision, SweepPlan, SweepStep};
use lancekeeper_store::Tables;
use lancekeeper_store::failpoint;

use crate::sweep::report::SweepError;

/// Who a client shows as the author of a recovery.
pub const RECOVERY_ACTOR: &str = "omnigraph:recovery";

/// Carries a plan out, and adds what it does to `swept` as it goes: pins that moved stay moved
/// when a later step fails. The caller holds the root's lock.
///
/// # Errors
///
/// [`SweepError::Stopped`] when the plan says that nothing may be written; otherwise the
/// first step that failed. Steps before it are done, and the next sweep goes on.
///
/// # Cancel safety
///
/// Some steps are done; sweeping again does the rest.
pub async fn execute(
    graph: &Graph,
    tables: &Tables,
    sidecars: &Sidecars,
    found: &[FoundSidecar],
    plan: &SweepPlan,
    now: DateTime<Utc>,
    swept: &mut Vec<RecoveredSidecar>,
) -> Result<(), SweepError> {
    if let Some(stop) = plan.stops().next() {
        return Err(SweepError::Stopped { file: stop.file.clone(), why: stop.why.clone() });
    }
    for step in &plan.steps {
        let mut done = RecoveredSidecar {
            file: step.file.clone(),
            branch: step.branch.clone(),
            decision: step.decision.to_string(),
            why: step.why.clone(),
            moved: None,
        };
        match &step.decision {
            SidecarDecision::Publish { table, expected, to } => {
                let published = publish(graph, tables, step, table, *expected, *to, now).await;
                if published.as_ref().map_or_else(is_visible, |()| true) {
                    done.moved = Some(MovedPin {
                        table_key: table.key.clone(),
                        table_branch: table.branch.clone(),
                        from: *expected,
                        to: *to,
                    });
                }
                swept.extend(done.moved.is_some().then_some(done));
                published?;
            }
            SidecarDecision::Discard => swept.push(done),
            SidecarDecision::LeaveToItsWriter | SidecarDecision::Refuse | SidecarDecision::Stop => {
                continue;
            }
        }
        mend(graph, &step.branch, now).await?;
        failpoint::cross_async(failpoint::SWEEP_PUBLISHED_PRE_DISARM).await?;
        let file = found.iter().find(|found| found.path() == step.file);
        sidecars.disarm(file.map_or(step.file.as_str(), |found| &found.file)).await?;
        tracing::info!(target: "lancekeeper::recovery", file = %step.file, decision = %step.decision, why = %step.why, "swept");
    }
    Ok(())
}

fn is_visible(error: &SweepError) -> bool {
    matches!(error, SweepError::Publish(error) if error.is_visible())
}

async fn publish(
    graph: &Graph,
    tables: &Tables,
    step: &SweepStep,
    table: &TableRef,
    expected: Version,
    to: Version,
    now: DateTime<Utc>,
) -> Result<(), SweepError> {
    let snapshot = graph.snapshot(&step.branch).await?;
    let Some(pin) = snapshot.pin(&table.key) else {
        return Err(SweepError::Vanished { table: table.clone() });
    };
    let uri = graph.root().address_of(&pin.location);
    let dataset = tables.open_at(&uri, &table.branch, to).await?;
    let pin_move = PinMove::to_version_of(table.key.clone(), expected, &dataset).await?;
    failpoint::cross_async(failpoint::SWEEP_PRE_PUBLISH).await?;
    let operation = step.operation.clone().unwrap_or_else(|| OperationId::new("sweep"));
    let name = format!("sweep-{}", table.key);
    graph.publish(&step.branch, &[pin_move], &operation, &name, Some(RECOVERY_ACTOR), now).await?;
    Ok(())
}

/// A crash may have come between the publish and its v3 commit row.
async fn mend(graph: &Graph, branch: &Branch, now: DateTime<Utc>) -> Result<(), SweepError> {
    let exists = branch.is_main() || graph.branches().await?.contains(branch);
    if exists && graph.mend_commit_row(branch, now).await? {
        tracing::info!(target: "lancekeeper::recovery", %branch, "added the commit row of our last publish");
    }
    Ok(())
}
