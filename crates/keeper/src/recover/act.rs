//! Recovering a graph, under its lock.

use chrono::{DateTime, Utc};
use lancekeeper_manifest::FoundSidecar;
use lancekeeper_model::{
    ErrorKind, MovedPin, OperationId, ProgressEvent, RecoverOptions, RecoverRow, RecoveredSidecar,
    RootRecoverReport, TableRef,
};
use lancekeeper_planner::recover::{Decision, ForeignFacts, RecoverStep, plan_recover};
use lancekeeper_reconciler::recover::{self, Case};
use lancekeeper_store::failure::text_with_hint;

use super::ask::{self, RecoverRootError};
use super::{PURPOSE, inventory, report, rest};
use crate::root::{Opening, Recovering, lock_to_recover, look, read_root};
use crate::run::stop::Interrupted;
use crate::run::{Context, new_operation};

/// What a run over one root works with.
struct Run<'a> {
    context: &'a Context,
    options: &'a RecoverOptions,
    operation: &'a OperationId,
    now: DateTime<Utc>,
}

/// Recovers a root and says so.
///
/// # Cancel safety
///
/// As the verb's.
pub(super) async fn recover(
    context: &Context,
    uri: &str,
    options: &RecoverOptions,
    now: DateTime<Utc>,
    report: &mut RootRecoverReport,
) -> Result<(), RecoverRootError> {
    let root = look(uri).await?;
    report.kind = Some(root.kind);
    let read = read_root(root, &context.tables).await?;
    if read.graph.is_none() {
        return ask::check_graph_options(uri, options);
    }
    let operation = new_operation();
    let opening =
        Opening { purpose: PURPOSE, operation: &operation, now, observer: context.observer() };
    let mut recovering = lock_to_recover(read, context, &opening).await?;
    let run = Run { context, options, operation: &operation, now };
    if let Some(file) = &options.quarantine {
        run.quarantine(&mut recovering, file, report).await?;
    }
    // What cannot be understood may be about any table.
    let Some(rows) = run.stopped(&mut recovering).await? else {
        recovering.sweep(context, &opening, &mut report.recovery.sidecars).await?;
        run.sidecars(&mut recovering, report).await?;
        return rest::mend(context, &recovering.read, options, &operation, now, report).await;
    };
    report.left.extend(rows);
    Ok(())
}

impl Run<'_> {
    /// Moves a file aside.
    async fn quarantine(
        &self,
        recovering: &mut Recovering,
        file: &str,
        report: &mut RootRecoverReport,
    ) -> Result<(), RecoverRootError> {
        let Some(graph) = &mut recovering.read.graph else { return Ok(()) };
        graph.found = graph.sidecars.list().await?;
        let (tables, now) = (&self.context.tables, self.now);
        let found = ask::to_quarantine(graph, tables, file, self.options, now).await?;
        let place = graph.sidecars.quarantine(&found.file, now).await?;
        let mut row = report::aside(&found);
        row.why = format!("{}; it is {place} now", row.why);
        row.done = true;
        report.left.push(row);
        Ok(())
    }

    /// The rows of all sidecars, if there is one about which nothing is known: then nothing is
    /// done about the others either.
    async fn stopped(
        &self,
        recovering: &mut Recovering,
    ) -> Result<Option<Vec<RecoverRow>>, RecoverRootError> {
        let Some(graph) = &mut recovering.read.graph else { return Ok(None) };
        graph.found = graph.sidecars.list().await?;
        let tables = &self.context.tables;
        let facts = inventory::foreign(graph, tables, &graph.found).await?;
        let plan = plan_recover(&facts, self.options, self.now);
        if !plan.steps.iter().any(|step| step.decision == Decision::Stop) {
            return Ok(None);
        }
        let mut rows = inventory::own(graph, tables, &graph.found).await?;
        let steps = super::facts_and_steps(&facts, &plan);
        rows.extend(steps.map(|(facts, step)| report::sidecar(facts, step, &graph.found)));
        Ok(Some(rows))
    }

    /// Deals with the sidecars of others, oldest first. Each is looked at anew, since what became
    /// of those before it may have moved its pins.
    async fn sidecars(
        &self,
        recovering: &mut Recovering,
        report: &mut RootRecoverReport,
    ) -> Result<(), RecoverRootError> {
        let Some(graph) = &mut recovering.read.graph else { return Ok(()) };
        graph.found = graph.sidecars.list().await?;
        let foreign = graph.found.iter().filter(|found| found.our_operation().is_none());
        let files: Vec<String> = foreign.map(|found| found.file.clone()).collect();
        for file in files {
            if self.context.stop.is_requested() {
                return Err(Interrupted.into());
            }
            let Some(graph) = &mut recovering.read.graph else { return Ok(()) };
            graph.found = graph.sidecars.list().await?;
            // A client that opened meanwhile may have dealt with it.
            let Some(found) = graph.found.iter().find(|found| found.file == file).cloned() else {
                continue;
            };
            let keys = keys(&found);
            let _guards = recovering.queue.acquire(keys).await?;
            self.sidecar(recovering, &found, report).await?;
        }
        Ok(())
    }

    /// Deals with one sidecar, under the keys of its tables.
    async fn sidecar(
        &self,
        recovering: &Recovering,
        found: &FoundSidecar,
        report: &mut RootRecoverReport,
    ) -> Result<(), RecoverRootError> {
        let Some(graph) = &recovering.read.graph else { return Ok(()) };
        let tables = &self.context.tables;
        let facts = inventory::foreign(graph, tables, &graph.found).await?;
        let plan = plan_recover(&facts, self.options, self.now);
        let mut steps = super::facts_and_steps(&facts, &plan);
        let Some((facts, step)) = steps.find(|(facts, _)| facts.file == found.path()) else {
            return Ok(());
        };
        let mut row = report::sidecar(facts, step, &graph.found);
        let Ok(content) = &found.content else {
            report.left.push(row);
            return Ok(());
        };
        if step.decision.acts() {
            let case = Case {
                graph: &graph.graph,
                tables,
                sidecars: &graph.sidecars,
                found,
                content,
                operation: self.operation,
                now: self.now,
            };
            let mut moved = Vec::new();
            let outcome = recover::execute(&case, step, &mut moved).await;
            self.announce(&moved);
            report.recovery.sidecars.extend(recovered(facts, step, &moved));
            match outcome {
                Ok(()) => row.done = true,
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    row.action = lancekeeper_model::RecoverAction::Wait;
                    row.error = Some(text_with_hint(&error));
                    row.hint = Some(
                        "its writer is alive, or another recovery is at work: look again later"
                            .to_owned(),
                    );
                }
                Err(error) => {
                    row.error = Some(text_with_hint(&error));
                    report.left.push(row);
                    return Err(error.into());
                }
            }
        }
        report.left.push(row);
        Ok(())
    }

    /// Tells of the pins that moved: whoever caches what they read drops it.
    fn announce(&self, moved: &[MovedPin]) {
        for pin in moved {
            let (key, branch) = (pin.table_key.clone(), pin.table_branch.clone());
            self.context.observer().on_event(ProgressEvent::TablePublished {
                table: TableRef { key, branch },
                from: pin.from,
                to: pin.to,
            });
        }
    }
}

/// The tables that a sidecar is about.
fn keys(found: &FoundSidecar) -> Vec<TableRef> {
    found.tables()
}

/// One entry per pin that moved.
fn recovered<'a>(
    facts: &'a ForeignFacts,
    step: &'a RecoverStep,
    moved: &'a [MovedPin],
) -> impl Iterator<Item = RecoveredSidecar> + 'a {
    let kind = facts.content.as_ref().map(|content| content.kind_text.as_str());
    moved.iter().map(move |moved| RecoveredSidecar {
        file: step.file.clone(),
        branch: step.branch.clone(),
        decision: format!("{:?} of a {}", step.decision.action(), kind.unwrap_or("writer")),
        why: step.why.clone(),
        moved: Some(moved.clone()),
    })
}
