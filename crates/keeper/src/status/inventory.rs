//! The facts of `status`, table by table.

use futures::{FutureExt, StreamExt};
use lance::Dataset;
use lancekeeper_manifest::{CompactError, Graph};
use lancekeeper_model::{Branch, InternalStatus, RootStatus, StatusOptions, TableKey, TableStatus};
use lancekeeper_planner::index::Upkeep;
use lancekeeper_planner::sweep::{SweepPlan, plan_sweep};
use lancekeeper_reconciler::sweep;
use lancekeeper_store::LanceFailure;
use lancekeeper_store::tables::version_of;

use crate::optimize::{Wish, inherited, look_at};
use crate::root::ReadRoot;
use crate::root::facts::view;
use crate::root::{Target, TargetError, seen_targets};
use crate::run::Context;
use crate::run::concurrency::in_order;
use crate::status::report;

/// The rows of all tables, branch by branch. A table that cannot be read gets a row that says
/// so.
pub(crate) async fn tables(
    context: &Context,
    read: &ReadRoot,
    wish: &Wish,
    options: &StatusOptions,
) -> Result<Vec<TableStatus>, TargetError> {
    let wanted = seen_targets(read, &[], &options.branches).await?;
    let claims = claims(read).await;
    let at_once = context.tables_at_once(None, wanted.len());
    let rows = wanted
        .into_iter()
        .map(|(branch, target)| row(read, branch, target, wish, claims.as_ref()).boxed())
        .collect();
    Ok(in_order(rows, at_once).collect().await)
}

async fn row(
    read: &ReadRoot,
    branch: Branch,
    target: Target,
    wish: &Wish,
    claims: Option<&SweepPlan>,
) -> TableStatus {
    if target.table.branch == branch {
        table(read, target, wish, claims).await
    } else {
        lazy(read, &branch, &target).await
    }
}

/// A table that a branch reads from where it was cut: nothing of it is the branch's own.
async fn lazy(read: &ReadRoot, branch: &Branch, target: &Target) -> TableStatus {
    let mut status = report::table(&inherited(target, branch), false);
    let seen = async {
        let pinned = target.visible(read).await.map_err(|error| {
            LanceFailure::new("failed to open the pinned version", error.source)
        })?;
        let view = view(&pinned, &target.table, Upkeep::default()).await?;
        Ok::<_, LanceFailure>((view, version_of(&pinned)))
    };
    match seen.await {
        Ok((view, version)) => report::fill(&mut status, &view, version),
        Err(error) => status.error = Some(lancekeeper_store::failure::text_with_hint(&error)),
    }
    status
}

/// The tables a graph keeps for itself. One that cannot be read is a warning: what it is needed
/// for says the rest.
pub(crate) async fn internal(graph: &Graph, status: &mut RootStatus) {
    for table in graph.internal_tables() {
        match internal_row(graph, &table).await {
            Ok(row) => status.internal.push(row),
            Err(error) => status.warnings.push(format!(
                "{table} cannot be measured: {}",
                lancekeeper_store::failure::text_with_hint(&error)
            )),
        }
    }
}

async fn internal_row(graph: &Graph, table: &TableKey) -> Result<InternalStatus, CompactError> {
    let size = graph.internal_size(table).await?;
    Ok(InternalStatus {
        table_key: table.clone(),
        version: size.version,
        versions: graph.internal_versions(table).await?,
        rows: size.rows,
        fragments: size.fragments,
        bytes: size.bytes,
    })
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
    let mut status = report::table(&run.stats, run.planned().is_some());
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
