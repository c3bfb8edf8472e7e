//! What a crash leaves beside sidecars: staging files and the lock of schema applies, and publishes
//! that the history of a v3 graph does not name.

use chrono::{DateTime, Utc};
use lancekeeper_manifest::{UnnamedPublish, promote_schema, unstage_schema};
use lancekeeper_model::{
    Branch, LeftBehind, OperationId, RecoverAction, RecoverOptions, RecoverRow, RootRecoverReport,
};
use lancekeeper_planner::recover::{
    LockFacts, StagedFate, WriterKind, decide_lock, decide_staging,
};
use lancekeeper_reconciler::{RECOVERY_ACTOR, recover};
use lancekeeper_store::failpoint;

use super::ask::RecoverRootError;
use crate::root::{ReadGraph, ReadRoot};
use crate::run::Context;

/// The branch that keeps everybody out while a schema is applied.
const LOCK: &str = "__schema_apply_lock__";

/// Adds a row for all of it. Writes nothing.
pub(super) async fn look(
    context: &Context,
    graph: &ReadGraph,
    options: &RecoverOptions,
    now: DateTime<Utc>,
    report: &mut RootRecoverReport,
) -> Result<(), RecoverRootError> {
    let rest = Rest { context, graph, options, now };
    let staging = rest.staging(report).await?;
    report.left.extend(staging);
    let lock = rest.lock(report).await?;
    report.left.extend(lock);
    report.left.extend(rest.unnamed().await?.into_iter().map(|(row, _)| row));
    Ok(())
}

/// Adds a row for all of it, and does what is to be done.
///
/// # Cancel safety
///
/// Some of it is done; recovering again does the rest.
pub(super) async fn mend(
    context: &Context,
    read: &ReadRoot,
    options: &RecoverOptions,
    operation: &OperationId,
    now: DateTime<Utc>,
    report: &mut RootRecoverReport,
) -> Result<(), RecoverRootError> {
    let Some(graph) = &read.graph else { return Ok(()) };
    let rest = Rest { context, graph, options, now };
    if let Some(mut row) = rest.staging(report).await? {
        let files = read.root.files();
        match row.action {
            RecoverAction::Promote => promote_schema(&files).await?,
            RecoverAction::Remove => unstage_schema(&files).await?,
            _ => {}
        }
        row.done = matches!(row.action, RecoverAction::Promote | RecoverAction::Remove);
        report.left.push(row);
    }
    if let Some(mut row) = rest.lock(report).await? {
        if row.action == RecoverAction::Remove {
            failpoint::cross_async(failpoint::RECOVER_PRE_UNLOCK).await?;
            graph.graph.remove_schema_apply_lock().await?;
            row.done = true;
        }
        report.left.push(row);
    }
    for (mut row, publishes) in rest.unnamed().await? {
        if row.action == RecoverAction::Add {
            for publish in &publishes {
                failpoint::cross_async(failpoint::RECOVER_PRE_COMMIT_ROW).await?;
                graph.graph.name_publish(publish, operation, RECOVERY_ACTOR).await?;
            }
            row.done = true;
        }
        report.left.push(row);
    }
    Ok(())
}

struct Rest<'a> {
    context: &'a Context,
    graph: &'a ReadGraph,
    options: &'a RecoverOptions,
    now: DateTime<Utc>,
}

impl Rest<'_> {
    /// Staging files that no sidecar explains.
    async fn staging(
        &self,
        report: &RootRecoverReport,
    ) -> Result<Option<RecoverRow>, RecoverRootError> {
        if self.is_applying(report) {
            return Ok(None);
        }
        let (schema, written_at) =
            recover::schema_facts(&self.graph.graph, &self.context.tables).await?;
        let fate = decide_staging(&schema, written_at, self.options, self.now);
        Ok(fate.map(|fate| row_of(LeftBehind::SchemaStaging, "_schema.pg.staging", fate)))
    }

    /// The lock of schema applies, if it is there.
    async fn lock(
        &self,
        report: &RootRecoverReport,
    ) -> Result<Option<RecoverRow>, RecoverRootError> {
        let Some(created_at) = self.graph.graph.schema_apply_lock().await? else {
            return Ok(None);
        };
        let is_staged = report
            .left
            .iter()
            .any(|row| row.what == LeftBehind::SchemaStaging && !row.done && !is_planned(row));
        let is_needed = self.is_applying(report) || is_staged;
        let lock = LockFacts { created_at: Some(created_at), is_needed };
        let fate = decide_lock(&lock, self.options, self.now);
        Ok(Some(row_of(LeftBehind::SchemaApplyLock, LOCK, fate)))
    }

    /// Whether the sidecar of a schema apply stays.
    fn is_applying(&self, report: &RootRecoverReport) -> bool {
        let kind = format!("{:?}", WriterKind::SchemaApply);
        report
            .left
            .iter()
            .any(|row| row.writer_kind.as_ref() == Some(&kind) && !row.done && !is_planned(row))
    }

    /// Publishes without a row, by branch.
    async fn unnamed(&self) -> Result<Vec<(RecoverRow, Vec<UnnamedPublish>)>, RecoverRootError> {
        let mut rows = Vec::new();
        let main = Branch::main();
        for branch in std::iter::once(&main).chain(&self.graph.branches) {
            let publishes = self.graph.graph.unnamed_publishes(branch).await?;
            let Some(newest) = publishes.iter().map(|publish| publish.published_at).max() else {
                continue;
            };
            let until = newest + self.options.dead_after;
            let versions: Vec<String> =
                publishes.iter().map(|publish| publish.manifest_version.to_string()).collect();
            let what = format!(
                "the commit history of {branch} has no row of version {} of __manifest",
                versions.join(", ")
            );
            let is_young = until > self.now && !self.options.assumed_dead.includes("commits");
            let fate = match is_young {
                true => StagedFate {
                    action: RecoverAction::Wait,
                    why: format!("{what}: its writer may be about to add it"),
                    until: Some(until),
                },
                false => StagedFate { action: RecoverAction::Add, why: what, until: None },
            };
            let mut row = row_of(LeftBehind::CommitRows, "_graph_commits.lance", fate);
            row.branch = branch.clone();
            rows.push((row, publishes));
        }
        Ok(rows)
    }
}

/// In a preview nothing is done yet.
fn is_planned(row: &RecoverRow) -> bool {
    !matches!(row.action, RecoverAction::Wait | RecoverAction::Refuse)
}

fn row_of(what: LeftBehind, name: &str, fate: StagedFate) -> RecoverRow {
    let mut row = RecoverRow::of(what, name);
    row.action = fate.action;
    row.why = fate.why;
    row.waits_until = fate.until;
    row.hint = match fate.action {
        RecoverAction::Wait if fate.until.is_some() => {
            Some("if its writer is known to be dead: --assume-dead all".to_owned())
        }
        RecoverAction::Refuse => Some(
            "open the graph for writing with the client that applied the schema: it can compile both".to_owned(),
        ),
        _ => None,
    };
    row
}
