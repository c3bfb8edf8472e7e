//! What opening a root for writing finishes first: operations of ours that died.

use lancekeeper_model::{ErrorKind, Progress, ProgressEvent, RecoveredSidecar, TableRef};
use lancekeeper_planner::sweep::SweepPlan;
use lancekeeper_reconciler::sweep;
use lancekeeper_store::Tables;

use super::error::OpenRootError;
use super::obstacles::plan_of;
use super::opened::{Opening, ReadGraph};

/// A client that opens resolves all sidecars at once, so one more look is enough; a second is
/// for a second client.
const SWEEPS_MAX: u32 = 3;

/// Sweeps. A client that opens meanwhile resolves the same sidecars by its own rules: what it
/// published is looked at again, not fought over.
pub(super) async fn sweep_all(
    graph: &mut ReadGraph,
    tables: &Tables,
    opening: &Opening<'_>,
    recovered: &mut Vec<RecoveredSidecar>,
) -> Result<SweepPlan, OpenRootError> {
    let mut attempt = 1;
    loop {
        // Only now, under the lock, is every sidecar of ours a dead one's.
        graph.found = graph.sidecars.list().await?;
        let plan = plan_of(graph, tables).await?;
        let mut done = Vec::new();
        let (found, now) = (&graph.found, opening.now);
        let swept =
            sweep::execute(&graph.graph, tables, &graph.sidecars, found, &plan, now, &mut done)
                .await;
        announce(&done, opening.observer);
        recovered.append(&mut done);
        match swept {
            Ok(()) => return Ok(plan),
            Err(error) if error.kind() == ErrorKind::Conflict && attempt < SWEEPS_MAX => {
                tracing::info!(target: "lancekeeper::recovery", %error, "somebody else recovered meanwhile: looking again");
                attempt += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Tells of the pins that recovery moved: whoever caches what they read drops it.
fn announce(recovered: &[RecoveredSidecar], observer: &dyn Progress) {
    for moved in recovered.iter().filter_map(|sidecar| sidecar.moved.as_ref()) {
        let (key, branch) = (moved.table_key.clone(), moved.table_branch.clone());
        observer.on_event(ProgressEvent::TablePublished {
            table: TableRef { key, branch },
            from: moved.from,
            to: moved.to,
        });
    }
}
