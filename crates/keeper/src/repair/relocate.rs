//! `repair --relocate`: a graph that was moved, copied or restored is made whole where it is now.
//!
//! # Protocol
//!
//! Open, which tolerates that it was moved and nothing else. Under the lock and the keys of all its tables: look at
//! every manifest, and refuse unless all that those need is here; change the manifests; look again, because who
//! writes on meanwhile writes manifests that refer to the old place. Of v3 then the rows that name manifests of tables, main's
//! last: as long as those name the old place, the graph counts as moved.
//!
//! # Crash consistency
//!
//! See `reconciler::relocate`: a root that is half done still counts as moved, and doing it again does the rest.

mod error;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_manifest::{LiveBranch, PublishError};
use lancekeeper_model::{
    Branch, JobKind, OperationId, RelocatedBranch, RootKind, RootRelocateReport, TableKey, TableRef,
};
use lancekeeper_planner::relocate::{RelocatePlan, plan_relocate};
use lancekeeper_reconciler::relocate::{inventory, message_after, originals_of, repoint};
use lancekeeper_store::failpoint;
use lancekeeper_store::failure::text_with_hint;
use lancekeeper_store::root::MANIFEST_DIR;

use super::PURPOSE;
use crate::root::{
    OpenRootError, Opening, Purpose, ReadGraph, ReadRoot, Tolerance, WriteRoot, check_writable,
    look, read_root, write_root,
};
use crate::run::ended::{Ended, ended};
use crate::run::graph_job::GraphJob;
use crate::run::stop::Interrupted;
use crate::run::{Context, new_operation};
pub(crate) use error::RelocateRootError;

const RELOCATES: Purpose<'_> =
    Purpose { tolerates: Tolerance { moved: true, ..PURPOSE.tolerates }, ..PURPOSE };
/// Who a client shows as the author of what is changed.
const ACTOR: &str = "omnigraph:repair";
/// Looks at what others write meanwhile, before it is given up.
const LOOKS_MAX: u32 = 3;

/// Makes one root whole, or says what refers to the old place. Never fails: the report says what went wrong.
///
/// # Cancel safety
///
/// As the verb's.
pub(crate) fn relocate_root(
    context: &Context,
    uri: String,
    confirm: bool,
) -> BoxFuture<'_, RootRelocateReport> {
    async move {
        let mut report = RootRelocateReport::of(&uri);
        report.confirm = confirm;
        let now = context.now();
        let outcome = match confirm {
            true => relocate(context, &uri, now, &mut report).await,
            false => preview(context, &uri, now, &mut report).await.map_err(Ended::from),
        };
        ended(report, outcome)
    }
    .boxed()
}

async fn open(
    context: &Context,
    uri: &str,
    report: &mut RootRelocateReport,
) -> Result<ReadRoot, RelocateRootError> {
    let root = look(uri).await?;
    report.kind = Some(root.kind);
    if root.kind != RootKind::Graph {
        return Err(RelocateRootError::NotAGraph { uri: uri.to_owned(), kind: root.kind });
    }
    Ok(read_root(root, &context.tables).await?)
}

fn graph_of(read: &ReadRoot) -> Result<&ReadGraph, RelocateRootError> {
    let (uri, kind) = (read.root.given.clone(), read.root.kind);
    read.graph.as_ref().ok_or(RelocateRootError::NotAGraph { uri, kind })
}

async fn preview(
    context: &Context,
    uri: &str,
    now: DateTime<Utc>,
    report: &mut RootRelocateReport,
) -> Result<(), RelocateRootError> {
    let read = open(context, uri, report).await?;
    check_writable(&read, RELOCATES, now).await?;
    let plan = planned(&read, report).await?;
    let graph = graph_of(&read)?;
    for LiveBranch { branch, .. } in graph.graph.live_branches().await? {
        match rows_after(&read, graph, &plan, &branch).await {
            Ok(rows) => note_rows(report, &branch, rows, None),
            // A file that it needs is missing, which is said.
            Err(_) if !plan.refusals.is_empty() => {}
            Err(error) => return Err(error),
        }
    }
    refuse(uri, &plan)
}

/// What rows of a branch name at the old place, read as it would be read once its manifests refer to this one: the old
/// place may be gone, or have gone on.
async fn rows_after(
    read: &ReadRoot,
    graph: &ReadGraph,
    plan: &RelocatePlan,
    branch: &Branch,
) -> Result<Vec<String>, RelocateRootError> {
    let mut chains = plan.chains.iter();
    let chain = chains.find(|chain| chain.location == MANIFEST_DIR && chain.branch == *branch);
    let is_its = |file: &String| chain.is_some_and(|chain| chain.manifests.contains(file));
    // The newest of each branch comes last.
    match plan.steps.iter().rev().find(|step| is_its(&step.file)) {
        None => Ok(graph.graph.rows_elsewhere(branch).await?),
        Some(newest) => {
            let manifest = message_after(&read.root.files(), newest).await?;
            Ok(graph.graph.rows_elsewhere_as(branch, &manifest).await?)
        }
    }
}

/// Looks at every manifest, decides, and says so.
async fn planned(
    read: &ReadRoot,
    report: &mut RootRelocateReport,
) -> Result<RelocatePlan, RelocateRootError> {
    let facts = inventory(&read.root, &graph_of(read)?.graph).await?;
    let plan = plan_relocate(&facts, &read.root.address);
    report.moved_from.extend(plan.old_roots.iter().cloned());
    report.moved_from.extend(read.spellings.elsewhere.iter().cloned());
    report.moved_to.clone_from(&read.root.address);
    report.refusals.clone_from(&plan.refusals);
    for chain in &plan.chains {
        let row = row(report, &chain.location, &chain.branch);
        row.manifests += chain.manifests.len() as u64;
        row.references.extend(chain.manifests.iter().cloned());
        row.files = row.files.max(chain.files);
    }
    Ok(plan)
}

fn row<'r>(
    report: &'r mut RootRelocateReport,
    location: &str,
    branch: &Branch,
) -> &'r mut RelocatedBranch {
    let rows = &mut report.body.branches;
    let known = rows.iter().position(|row| row.location == location && row.branch == *branch);
    let at = known.unwrap_or_else(|| {
        rows.push(RelocatedBranch::of(location, branch));
        rows.len() - 1
    });
    &mut rows[at]
}

fn note_rows(
    report: &mut RootRelocateReport,
    branch: &Branch,
    rows: Vec<String>,
    published: Option<lancekeeper_model::Version>,
) {
    if !rows.is_empty() {
        let row = row(report, MANIFEST_DIR, branch);
        (row.rows, row.rows_name, row.published_version) = (rows.len() as u64, rows, published);
    }
}

fn refuse(uri: &str, plan: &RelocatePlan) -> Result<(), RelocateRootError> {
    match plan.refusals.first() {
        None => Ok(()),
        Some(first) => Err(RelocateRootError::Incomplete {
            uri: uri.to_owned(),
            first: first.clone(),
            count: plan.refusals.len(),
        }),
    }
}

async fn relocate(
    context: &Context,
    uri: &str,
    now: DateTime<Utc>,
    report: &mut RootRelocateReport,
) -> Result<(), Ended> {
    let read = open(context, uri, report).await?;
    let operation = new_operation();
    let observer = context.observer();
    let opening = Opening { purpose: RELOCATES, operation: &operation, now, observer };
    let write = write_root(read, context, &opening).await?;
    report.recovery.clone_from(&write.recovery);
    report.warnings.extend(write.warnings.iter().cloned());
    if !write.live.is_empty() {
        return Err(RelocateRootError::UnderWay { uri: uri.to_owned() }.into());
    }
    let graph = &graph_of(&write.read)?.graph;
    let live = graph.live_branches().await.map_err(RelocateRootError::from)?;
    let keys = write.queue.acquire(keys(&write, &live)?).await;
    let _keys = keys.map_err(RelocateRootError::from)?;
    write.hold.check().map_err(OpenRootError::from)?;
    let job = GraphJob::new(context, &write.read.root, &operation, JobKind::Repair);
    let moving = Moving { context, write: &write, uri, operation: &operation, now, job };
    let moved = moving.all(&live, report).await.map_err(Ended::from);
    let done = report.changed + report.branches.iter().map(|branch| branch.rows).sum::<u64>();
    let done = usize::try_from(done).unwrap_or(usize::MAX);
    moving.job.end(done, moved.as_ref().err().map(|Ended(failure)| failure)).await;
    moved
}

/// The keys of every table on every branch, those of the graph's own tables included.
fn keys(write: &WriteRoot, live: &[LiveBranch]) -> Result<Vec<TableRef>, RelocateRootError> {
    let pins = &graph_of(&write.read)?.snapshot.pins;
    let tables = pins.iter().map(|pin| pin.key.clone()).chain([TableKey::new(MANIFEST_DIR)]);
    let on_all = |key: TableKey| {
        live.iter().map(move |live| TableRef { key: key.clone(), branch: live.branch.clone() })
    };
    Ok(tables.flat_map(on_all).collect())
}

/// A relocation, under the lock and the keys of every table.
struct Moving<'a> {
    context: &'a Context,
    write: &'a WriteRoot,
    uri: &'a str,
    operation: &'a OperationId,
    now: DateTime<Utc>,
    job: GraphJob<'a>,
}

impl Moving<'_> {
    /// Manifests first, then rows that name them.
    async fn all(
        &self,
        live: &[LiveBranch],
        report: &mut RootRelocateReport,
    ) -> Result<(), RelocateRootError> {
        self.manifests(report).await?;
        // What was read through the old place must not answer any more.
        self.context.tables.forget();
        failpoint::cross_async(failpoint::RELOCATE_CHANGED_PRE_ROWS).await?;
        // Main last: by its rows a v3 graph is known to have been moved.
        for LiveBranch { branch, .. } in live.iter().rev() {
            self.rows(branch, report).await?;
        }
        let again = read_root(look(self.uri).await?, &self.context.tables).await?;
        match again.spellings.elsewhere.is_empty() {
            true => Ok(()),
            false => Err(RelocateRootError::Unsettled { uri: self.uri.to_owned() }),
        }
    }

    /// The rows of a branch.
    async fn rows(
        &self,
        branch: &Branch,
        report: &mut RootRelocateReport,
    ) -> Result<(), RelocateRootError> {
        let graph = &graph_of(&self.write.read)?.graph;
        let rows = graph.rows_elsewhere(branch).await?;
        if !rows.is_empty() {
            self.begin(rows.len()).await;
        }
        let published = match graph.move_rows(branch, self.operation, ACTOR, self.now).await {
            Err(PublishError::CommitRow { published, source }) => {
                report.warnings.push(format!(
                    "branch {branch}: the commit row is missing until the next repair: {}",
                    text_with_hint(&source)
                ));
                Some(published)
            }
            other => other
                .map_err(|source| RelocateRootError::Rows { branch: branch.clone(), source })?,
        };
        note_rows(report, branch, rows, published.map(|published| published.manifest_version));
        Ok(())
    }

    /// Changes manifests until none refers to the old place.
    async fn manifests(&self, report: &mut RootRelocateReport) -> Result<(), RelocateRootError> {
        let files = self.write.read.root.files();
        for _ in 0..LOOKS_MAX {
            let plan = planned(&self.write.read, report).await?;
            refuse(self.uri, &plan)?;
            if plan.steps.is_empty() {
                return Ok(());
            }
            self.begin(plan.steps.len()).await;
            report.originals = Some(originals_of(self.operation));
            for step in &plan.steps {
                if self.context.stop.is_requested() {
                    return Err(Interrupted.into());
                }
                repoint(&files, self.operation, step).await?;
                report.changed += 1;
            }
        }
        // Bounded above: each look found what was written since the one before.
        match planned(&self.write.read, report).await?.steps.is_empty() {
            true => Ok(()),
            false => Err(RelocateRootError::Unsettled { uri: self.uri.to_owned() }),
        }
    }

    async fn begin(&self, steps: usize) {
        self.job.begin(&self.write.live, "let it read from where it lies now", steps).await;
    }
}
