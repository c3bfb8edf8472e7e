//! A repair that writes: branch by branch, each under the keys of its tables.

use chrono::{DateTime, Utc};
use lancekeeper_manifest::PublishError;
use lancekeeper_model::{
    Branch, JobKind, OperationId, ProgressEvent, RepairAction, RepairOptions, RootFailure,
    RootRepairReport, TableRef, TableRepairStats,
};
use lancekeeper_reconciler::repair::{Executor, RepairError, Settled};
use lancekeeper_store::failure::text_with_hint;
use lancekeeper_store::tables::version_of;

use super::inventory::{self, Found};
use super::{RepairRootError, VERB, report, seen};
use crate::root::{
    OpenRootError, ReadGraph, WriteRoot, check_no_foreign_sidecar, check_no_schema_apply,
};
use crate::run::Context;
use crate::run::graph_job::GraphJob;
use crate::run::stop::Interrupted;

/// One run over one graph.
pub(super) struct Run<'a> {
    pub(super) context: &'a Context,
    pub(super) write: &'a WriteRoot,
    pub(super) graph: &'a ReadGraph,
    pub(super) options: &'a RepairOptions,
    pub(super) operation: &'a OperationId,
    pub(super) now: DateTime<Utc>,
}

impl Run<'_> {
    /// Repairs every branch that was asked for. One that cannot be read is told in its row.
    ///
    /// # Cancel safety
    ///
    /// Each branch is published as a whole or not at all.
    pub(super) async fn all(&self, report: &mut RootRepairReport) -> Result<(), RepairRootError> {
        for branch in inventory::branches(self.graph, self.options)? {
            if self.context.stop.is_requested() {
                return Err(Interrupted.into());
            }
            self.branch(&branch, report).await?;
        }
        Ok(())
    }

    async fn branch(
        &self,
        branch: &Branch,
        report: &mut RootRepairReport,
    ) -> Result<(), RepairRootError> {
        let graph = &self.graph.graph;
        let snapshot = match seen(graph, branch).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                report.tables.push(report::unreadable(branch, &error));
                return Ok(());
            }
        };
        let keys = inventory::own_pins(&snapshot, self.options);
        let keys = keys.into_iter().map(|pin| TableRef { key: pin.key, branch: branch.clone() });
        let _keys = self.write.queue.acquire(keys).await?;
        self.write.hold.check().map_err(OpenRootError::from)?;
        // Under the keys everything is looked at again that was looked at before.
        check_no_schema_apply(graph, VERB).await?;
        let sidecars = self.graph.sidecars.list().await.map_err(OpenRootError::from)?;
        check_no_foreign_sidecar(&self.write.read.root, VERB, &sidecars)?;
        let snapshot = graph.snapshot(branch).await?;
        let mut mended = 0;
        let root = &self.write.read.root;
        let job = GraphJob::new(self.context, root, self.operation, JobKind::Repair).of(branch);
        if graph.mend_commit_row(branch, self.now).await.map_err(RepairError::from)? {
            job.begin(&self.write.live, "add the commit row of a run that died", 1).await;
            mended = 1;
            report.warnings.push(format!(
                "branch {branch}: the commit row of a publish was missing, by a run that died; it was added"
            ));
        }
        let pins = inventory::own_pins(&snapshot, self.options);
        let (context, read) = (self.context, &self.write.read);
        let found = inventory::tables(context, read, pins, self.options, self.now).await;
        let mut rows: Vec<TableRepairStats> =
            found.iter().map(|found| report::row(found, true)).collect();
        let steps = rows.iter().filter(|row| changes(row.would)).count();
        if steps > 0 {
            let plan = format!("settle the drift of {steps} tables");
            job.begin(&self.write.live, &plan, steps).await;
        }
        let warnings = self.carry_out(branch, &found, &mut rows, &mut report.published).await;
        let done = rows.iter().filter(|row| row.published_version.is_some()).count();
        let failed = rows.iter().find_map(failure);
        job.end(mended + done, failed.as_ref()).await;
        report.warnings.extend(warnings);
        report.tables.extend(rows);
        Ok(())
    }

    /// Carries out the plans of one branch. What goes wrong stands in the rows; returns what else is to be known.
    async fn carry_out(
        &self,
        branch: &Branch,
        found: &[Found],
        rows: &mut [TableRepairStats],
        published: &mut u64,
    ) -> Vec<String> {
        let (graph, operation, now) = (&self.graph.graph, self.operation, self.now);
        let executor = Executor { graph, branch, operation, now };
        let mut settled: Vec<Settled> = Vec::new();
        for (found, row) in found.iter().zip(rows.iter_mut()) {
            let Ok((drifted, plan)) = &found.seen else { continue };
            match executor.settle(drifted, plan).await {
                Ok(table) => settled.extend(table),
                Err(error) => report::fail(row, &error),
            }
        }
        if settled.is_empty() {
            return Vec::new();
        }
        let mut warnings = Vec::new();
        match executor.publish(&settled).await {
            Ok(_) => {}
            Err(RepairError::Publish(error @ PublishError::CommitRow { .. })) => {
                warnings.push(format!("branch {branch}: {}", text_with_hint(&error)));
            }
            Err(error) => {
                let failed = rows.iter_mut().filter(|row| is_one_of(row, &settled));
                failed.for_each(|row| report::fail(row, &error));
                return warnings;
            }
        }
        *published += 1;
        for table in &settled {
            let (table, from, to) = (table.table.clone(), table.expected, table.to);
            self.context.observer().on_event(ProgressEvent::TablePublished { table, from, to });
        }
        for row in rows.iter_mut() {
            if let Some(table) = settled.iter().find(|table| is_of(row, table)) {
                report::done(row, table);
            }
        }
        warnings.extend(self.look_again(&executor, found, &settled).await);
        warnings
    }

    /// What readers see of what was published, and whether somebody has committed since.
    async fn look_again(
        &self,
        executor: &Executor<'_>,
        found: &[Found],
        settled: &[Settled],
    ) -> Vec<String> {
        let mut warnings: Vec<String> = match executor.buried(settled).await {
            Ok(buried) => buried.iter().map(|error| text_with_hint(error)).collect(),
            Err(error) => {
                vec![format!("published, but not looked at again: {}", text_with_hint(&error))]
            }
        };
        let read = &self.write.read;
        for table in settled {
            let Some(found) = found.iter().find(|found| found.pin.key == table.table.key) else {
                continue;
            };
            let uri = read.root.address_of(&found.pin.location);
            let head =
                read.tables.open(&uri, &table.table.branch).await.map(|head| version_of(&head));
            if let Ok(head) = head
                && head != table.to
            {
                warnings.push(format!(
                    "{}: version {} was published, and somebody has committed {head} since",
                    table.table, table.to
                ));
            }
        }
        warnings
    }
}

fn changes(action: RepairAction) -> bool {
    matches!(action, RepairAction::Healed | RepairAction::Forced | RepairAction::Restored)
}

/// What went wrong with a table, for the job.
fn failure(row: &TableRepairStats) -> Option<RootFailure> {
    let (message, kind) = (row.error.clone()?, row.error_kind?);
    Some(RootFailure { message, hint: None, kind, cause: None })
}

fn is_of(row: &TableRepairStats, table: &Settled) -> bool {
    row.table_key == table.table.key
}

fn is_one_of(row: &TableRepairStats, settled: &[Settled]) -> bool {
    settled.iter().any(|table| is_of(row, table))
}
