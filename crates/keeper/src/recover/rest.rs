//! What a crash leaves beside sidecars: staging files and the lock of schema applies, publishes that the
//! history of a v3 graph does not name, and remains of branches.

mod history;
mod remains;

use chrono::{DateTime, Utc};
use lancekeeper_manifest::{
    GraphError, SchemaApplyLock, UnnamedPublish, promote_schema, unstage_schema,
};
use lancekeeper_model::{
    AssumedDead, Branch, ErrorKind, LeftBehind, OperationId, RecoverAction, RecoverOptions,
    RecoverRow, RootRecoverReport,
};
use lancekeeper_planner::recover::{
    LockFacts, StagedFate, WriterKind, decide_lock, decide_staging, later,
};
use lancekeeper_reconciler::{RECOVERY_ACTOR, recover};
use lancekeeper_store::failpoint;
use lancekeeper_store::failure::text_with_hint;

use super::ask::RecoverRootError;
use super::{LOCK, PLAN};
use crate::branch::take_remains_away;
use crate::root::{ReadGraph, Recovering};
use crate::run::Context;
use crate::run::graph_job::GraphJob;
pub(super) use history::{damaged_history, history_row, hold_back_unrecorded, mend_history};

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
    report.left.extend(lock.map(|(row, _)| row));
    report.left.extend(rest.unnamed().await?.into_iter().map(|(row, _)| row));
    report.left.extend(rest.remains().await?);
    Ok(())
}

/// The row of the lock of schema applies, if somebody may be applying a schema now: then nobody writes
/// anything. Not if its sidecar is one of those (`rows`) that are dealt with.
pub(super) async fn applying(
    graph: &ReadGraph,
    rows: &[RecoverRow],
    options: &RecoverOptions,
    now: DateTime<Utc>,
) -> Result<Option<RecoverRow>, RecoverRootError> {
    let Some(lock) = graph.graph.schema_apply_lock().await? else { return Ok(None) };
    let kind = format!("{:?}", WriterKind::SchemaApply);
    if rows.iter().any(|row| row.writer_kind.as_ref() == Some(&kind) && is_planned(row)) {
        return Ok(None);
    }
    let lock = LockFacts { created_at: Some(lock.created_at), is_needed: false };
    let fate = decide_lock(&lock, options, now);
    let is_held = fate.action == RecoverAction::Wait;
    Ok(is_held.then(|| row_of(LeftBehind::SchemaApplyLock, LOCK, fate)))
}

/// Leaves everything as it is, for a reason that is about all of it.
pub(super) fn hold_back(rows: &mut [RecoverRow], because: &str) {
    let planned = rows.iter_mut().filter(|row| is_planned(row));
    planned.for_each(|row| wait(row, because));
}

/// Leaves one thing as it is.
pub(super) fn wait(row: &mut RecoverRow, because: &str) {
    row.action = RecoverAction::Wait;
    row.why = format!("{because}; else: {}", row.why);
}

/// Adds a row for all of it, and does what is to be done.
///
/// # Cancel safety
///
/// Some of it is done; recovering again does the rest.
pub(super) async fn mend(
    context: &Context,
    recovering: &Recovering,
    options: &RecoverOptions,
    operation: &OperationId,
    now: DateTime<Utc>,
    job: &GraphJob<'_>,
    report: &mut RootRecoverReport,
) -> Result<(), RecoverRootError> {
    let read = &recovering.read;
    let Some(graph) = &read.graph else { return Ok(()) };
    let rest = Rest { context, graph, options, now };
    let begins = async |row: &RecoverRow| {
        if is_planned(row) {
            job.begin(&[], PLAN, 1).await;
        }
    };
    if let Some(mut row) = rest.staging(report).await? {
        begins(&row).await;
        let files = read.root.files();
        match row.action {
            RecoverAction::Promote => promote_schema(&files).await?,
            RecoverAction::Remove => unstage_schema(&files).await?,
            _ => {}
        }
        row.done = matches!(row.action, RecoverAction::Promote | RecoverAction::Remove);
        report.left.push(row);
    }
    if let Some((mut row, lock)) = rest.lock(report).await? {
        begins(&row).await;
        if row.action == RecoverAction::Remove {
            failpoint::cross_async(failpoint::RECOVER_PRE_UNLOCK).await?;
            unlock(graph, Some(&lock), &mut row).await?;
        }
        report.left.push(row);
    }
    for (mut row, publishes) in rest.unnamed().await? {
        begins(&row).await;
        if row.action == RecoverAction::Add {
            for publish in &publishes {
                failpoint::cross_async(failpoint::RECOVER_PRE_COMMIT_ROW).await?;
                graph.graph.name_publish(publish, operation, RECOVERY_ACTOR).await?;
            }
            row.done = true;
        }
        report.left.push(row);
    }
    for mut row in rest.remains().await? {
        begins(&row).await;
        if row.action == RecoverAction::Remove && row.branch.label() == LOCK {
            unlock(graph, None, &mut row).await?;
        } else if row.action == RecoverAction::Remove {
            let queue = &recovering.queue;
            let taken = take_remains_away(context, read, queue, operation, &row.branch, now);
            match taken.await {
                Ok(()) => row.done = true,
                // It is in the way of nobody but a branch of its name.
                Err(error) => row.error = Some(text_with_hint(&error)),
            }
        }
        report.left.push(row);
    }
    Ok(())
}

/// Takes the lock of schema applies away, unless it is not the one that was looked at.
///
/// # Cancel safety
///
/// It is there or not.
async fn unlock(
    graph: &ReadGraph,
    looked_at: Option<&SchemaApplyLock>,
    row: &mut RecoverRow,
) -> Result<(), RecoverRootError> {
    match graph.graph.remove_schema_apply_lock(looked_at).await {
        Ok(()) => row.done = true,
        // Somebody is applying a schema, or another recovery was faster.
        Err(error @ GraphError::LockRenewed) => {
            row.action = RecoverAction::Wait;
            row.error = Some(text_with_hint(&error));
            row.hint = Some("look again later".to_owned());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// What helps where something cannot be read.
const UNREADABLE: &str = "restore what cannot be read, or the whole graph from one backup";

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
        let found = recover::schema_facts(&self.graph.graph, &self.context.tables).await;
        let (schema, written_at) = match found {
            // One table that cannot be read must not hide what there is besides.
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let mut row = RecoverRow::of(LeftBehind::SchemaStaging, "_schema.pg.staging");
                row.action = RecoverAction::Refuse;
                row.why = format!(
                    "whether it is the schema of the tables cannot be told: {}",
                    text_with_hint(&error)
                );
                row.hint = Some(UNREADABLE.to_owned());
                return Ok(Some(row));
            }
            found => found?,
        };
        let fate = decide_staging(&schema, written_at, self.options, self.now);
        Ok(fate.map(|fate| row_of(LeftBehind::SchemaStaging, "_schema.pg.staging", fate)))
    }

    /// The lock of schema applies, if it is there.
    async fn lock(
        &self,
        report: &RootRecoverReport,
    ) -> Result<Option<(RecoverRow, SchemaApplyLock)>, RecoverRootError> {
        let Some(found) = self.graph.graph.schema_apply_lock().await? else {
            return Ok(None);
        };
        let is_staged = report
            .left
            .iter()
            .any(|row| row.what == LeftBehind::SchemaStaging && !row.done && !is_planned(row));
        let is_needed = self.is_applying(report) || is_staged;
        let lock = LockFacts { created_at: Some(found.created_at), is_needed };
        let fate = decide_lock(&lock, self.options, self.now);
        Ok(Some((row_of(LeftBehind::SchemaApplyLock, LOCK, fate), found)))
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
            let publishes = match self.graph.graph.unnamed_publishes(branch).await {
                Err(error) if !branch.is_main() => {
                    let mut row = RecoverRow::of(LeftBehind::CommitRows, "_graph_commits.lance");
                    row.action = RecoverAction::Refuse;
                    row.why = format!(
                        "whether the commit history of {branch} has all rows cannot be told: {}",
                        text_with_hint(&error)
                    );
                    row.hint = Some(UNREADABLE.to_owned());
                    row.branch = branch.clone();
                    rows.push((row, Vec::new()));
                    continue;
                }
                publishes => publishes?,
            };
            let Some(newest) = publishes.iter().map(|publish| publish.written_at).max() else {
                continue;
            };
            let until = later(newest, self.options.dead_after);
            let versions: Vec<String> =
                publishes.iter().map(|publish| publish.version.to_string()).collect();
            let what = format!(
                "the commit history of {branch} has no row of version {} of __manifest",
                versions.join(", ")
            );
            let is_young = until > self.now && self.options.assumed_dead != AssumedDead::All;
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
pub(super) fn is_planned(row: &RecoverRow) -> bool {
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
