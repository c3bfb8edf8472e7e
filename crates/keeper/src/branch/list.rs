//! `branch list`: every branch of a graph, with what it was cut from and what it has of its
//! own. Writes nothing.

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_manifest::{Graph, LiveBranch};
use lancekeeper_model::{BranchRow, RootBranchReport};
use lancekeeper_store::failure::text_with_hint;

use super::{BranchRootError, graph_of, live_branches, look_at_graph};
use crate::root::read_root;
use crate::run::Context;
use crate::run::ended::ended;

/// Lists the branches of one root. Never fails: the report says what went wrong.
pub(crate) fn list_root(
    context: &Context,
    uri: String,
    internal: bool,
) -> BoxFuture<'_, RootBranchReport> {
    async move {
        let mut report = RootBranchReport::of(&uri);
        let outcome = list(context, &uri, internal, &mut report).await;
        ended(report, outcome)
    }
    .boxed()
}

async fn list(
    context: &Context,
    uri: &str,
    internal: bool,
    report: &mut RootBranchReport,
) -> Result<(), BranchRootError> {
    let root = look_at_graph(uri, report).await?;
    let read = read_root(root, &context.tables).await?;
    let graph = graph_of(&read)?;
    for live in live_branches(graph).await? {
        if internal || !live.branch.is_internal() {
            report.branches.push(row(&graph.graph, &live).await);
        }
    }
    if let Some(elsewhere) = read.spellings.elsewhere.first() {
        report.warnings.push(format!("it was moved or copied: its branches read from {elsewhere}"));
    }
    Ok(())
}

/// What is to be said of one branch. One that cannot be read says so.
pub(super) async fn row(graph: &Graph, live: &LiveBranch) -> BranchRow {
    let mut row = BranchRow::of(&live.branch);
    row.parent.clone_from(&live.parent);
    row.parent_version = live.parent_version;
    match graph.history(&live.branch).await {
        Ok(history) => {
            let head = history.commits.first();
            let pins = &history.snapshot.pins;
            let owned = pins.iter().filter(|pin| pin.table_branch == live.branch).count();
            row.manifest_version = Some(history.snapshot.manifest_version);
            row.head_commit_id = head.map(|commit| commit.id.clone());
            row.head_commit_at = head.map(|commit| commit.created_at);
            row.tables_owned = owned as u64;
            row.tables_lazy = (pins.len() - owned) as u64;
        }
        Err(error) => row.error = Some(text_with_hint(&error)),
    }
    row
}
