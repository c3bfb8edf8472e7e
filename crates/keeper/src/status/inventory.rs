//! The facts of `status`, table by table.

use futures::{FutureExt, StreamExt};
use lance::Dataset;
use lancekeeper_manifest::{CompactError, Graph};
use lancekeeper_model::{
    Branch, InternalStatus, RootStatus, SMALL_FRAGMENT_BYTES, StatusOptions, TableKey, TableRef,
    TableStatus,
};
use lancekeeper_planner::index::Upkeep;
use lancekeeper_planner::sweep::{SweepPlan, plan_sweep};
use lancekeeper_reconciler::sweep;
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failure::full_text;
use lancekeeper_store::tables::version_of;

use crate::optimize::{Wish, inherited, look_at};
use crate::root::ReadRoot;
use crate::root::facts::view;
use crate::root::{Target, TargetError, seen_targets};
use crate::run::Context;
use crate::run::concurrency::in_order;
use crate::statistics;
use crate::status::depth::clustering;
use crate::status::report;

/// The rows of all tables, branch by branch. A table that cannot be read gets a row that says
/// so.
pub(crate) async fn tables(
    context: &Context,
    read: &ReadRoot,
    wish: &Wish,
    options: &StatusOptions,
) -> Result<Vec<TableStatus>, TargetError> {
    let wanted = seen_targets(read, &options.tables, &options.branches).await?;
    let claims = claims(read).await;
    let at_once = context.tables_at_once(None, wanted.len());
    let looks = Looks {
        read,
        wish,
        claims: claims.as_ref(),
        depth: &options.depth,
        draws: options.draw,
        small_bytes: options.small_bytes.unwrap_or(SMALL_FRAGMENT_BYTES),
        statistics: options.statistics,
        is_brief: options.brief,
    };
    let rows =
        wanted.into_iter().map(|(branch, target)| looks.row(branch, target).boxed()).collect();
    Ok(in_order(rows, at_once).collect().await)
}

/// With what each table is looked at.
struct Looks<'a> {
    read: &'a ReadRoot,
    wish: &'a Wish,
    claims: Option<&'a SweepPlan>,
    /// The columns over which clustering is measured.
    depth: &'a [String],
    /// Whether they are drawn, too.
    draws: bool,
    /// Below how many bytes a fragment counts as small.
    small_bytes: u64,
    /// Whether the statistics of values are shown that were kept.
    statistics: bool,
    /// Whether versions and branches are left out.
    is_brief: bool,
}

impl Looks<'_> {
    async fn row(&self, branch: Branch, target: Target) -> TableStatus {
        if target.table.branch == branch {
            self.table(target).await
        } else {
            self.lazy(&branch, &target).await
        }
    }

    /// A table that a branch reads from where it was cut: nothing of it is the branch's own.
    async fn lazy(&self, branch: &Branch, target: &Target) -> TableStatus {
        let mut status = report::table(&inherited(target, branch), false);
        let seen = async {
            let pinned = target.visible(self.read).await.map_err(|error| {
                LanceFailure::new("failed to open the pinned version", error.source)
            })?;
            self.fill(&pinned, &target.table, &mut status).await
        };
        if let Err(error) = seen.await {
            status.error = Some(lancekeeper_store::failure::text_with_hint(&error));
        }
        status
    }

    async fn table(&self, target: Target) -> TableStatus {
        let mut run = look_at(self.read, target.clone(), self.wish, self.claims).await;
        let mut status = report::table(&run.stats, run.planned().is_some());
        status.planned = report::planned(run.groups());
        let Some(head) = run.handle.take() else { return status };
        if let Err(error) = self.fill_from_head(&target, &head, &mut status).await {
            status.error = Some(lancekeeper_store::failure::text_with_hint(&error));
        }
        status
    }

    /// Fills in what readers see: the pinned version, which need not be HEAD.
    async fn fill_from_head(
        &self,
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
                let uri = self.read.root.address_of(&target.location);
                self.read
                    .tables
                    .open_at(&uri, &target.table.branch, pin)
                    .await
                    .map_err(|error| failed("the pinned version")(error.source))?
            }
            _ => head.clone(),
        };
        self.fill(&visible, &target.table, status).await?;
        if self.is_brief {
            return Ok(());
        }
        status.versions = head.count_versions().await.map_err(failed("the versions"))?;
        let branches = head.list_branches().await.map_err(failed("the branches"))?;
        status.branches = branches.into_keys().collect();
        status.branches.sort();
        Ok(())
    }

    async fn fill(
        &self,
        visible: &Dataset,
        table: &TableRef,
        status: &mut TableStatus,
    ) -> Result<(), LanceFailure> {
        let seen = view(visible, table, Upkeep::default()).await?;
        report::fill(status, &seen, version_of(visible), self.small_bytes);
        if !self.depth.is_empty() {
            status.clustering = Some(clustering(visible, table, self.depth, self.draws).await);
        }
        if self.statistics {
            match statistics::read(&self.read.root.files(), table).await {
                Ok(known) => status.statistics = known,
                Err(error) => status.statistics_error = Some(full_text(&error)),
            }
        }
        Ok(())
    }
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
