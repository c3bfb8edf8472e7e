//! The facts of `status`, table by table.

use futures::{FutureExt, StreamExt};
use lance::Dataset;
use lancekeeper_model::{OptimizeOptions, TableStatus};
use lancekeeper_planner::index::Upkeep;
use lancekeeper_planner::sweep::{SweepPlan, plan_sweep};
use lancekeeper_reconciler::sweep;
use lancekeeper_store::LanceFailure;
use lancekeeper_store::tables::version_of;

use crate::concurrency::{in_order, tables_at_once};
use crate::facts::view;
use crate::open::ReadRoot;
use crate::optimize::{Target, TargetError, Wish, look_at, targets};
use crate::status::report;

/// The rows of all tables. A table that cannot be read gets a row that says so.
pub(crate) async fn tables(read: &ReadRoot, wish: &Wish) -> Result<Vec<TableStatus>, TargetError> {
    let targets = targets(read, read.graph.as_ref(), &OptimizeOptions::default()).await?;
    let claims = claims(read).await;
    let at_once = tables_at_once(None, targets.len());
    let rows = targets
        .into_iter()
        .map(|target| table(read, target, wish, claims.as_ref()).boxed())
        .collect();
    Ok(in_order(rows, at_once).collect().await)
}

/// Which tables foreign sidecars claim. Unreadable ones claim none; the root says so.
async fn claims(read: &ReadRoot) -> Option<SweepPlan> {
    let graph = read.graph.as_ref()?;
    let inventory = sweep::inventory(&graph.graph, &read.tables, &graph.found).await.ok()?;
    Some(plan_sweep(&inventory))
}

async fn table(
    read: &ReadRoot,
    target: Target,
    wish: &Wish,
    claims: Option<&SweepPlan>,
) -> TableStatus {
    let mut run = look_at(read, target.clone(), wish, claims).await;
    let mut status = report::table(&run);
    let Some(head) = run.handle.take() else { return status };
    if let Err(error) = fill(read, &target, &head, &mut status).await {
        status.error = Some(lancekeeper_store::failure::text_with_hint(&error));
    }
    status
}

/// Fills in what readers see: the pinned version, which need not be HEAD.
async fn fill(
    read: &ReadRoot,
    target: &Target,
    head: &Dataset,
    status: &mut TableStatus,
) -> Result<(), LanceFailure> {
    let failed = |what: &str| {
        let what = format!("failed to read {what} of {}", target.table);
        move |source| LanceFailure::new(what, source)
    };
    let visible = match target.pin {
        Some(pin) if pin != version_of(head) => {
            status.drift_head = Some(version_of(head));
            let uri = read.root.address_of(&target.location);
            read.tables
                .open_at(&uri, &target.table.branch, pin)
                .await
                .map_err(|error| failed("the pinned version")(error.source))?
        }
        _ => head.clone(),
    };
    report::fill(
        status,
        &view(&visible, &target.table, Upkeep::default()).await?,
        version_of(&visible),
    );
    status.versions = head.count_versions().await.map_err(failed("the versions"))?;
    let branches = head.list_branches().await.map_err(failed("the branches"))?;
    status.branches = branches.into_keys().collect();
    status.branches.sort();
    Ok(())
}
