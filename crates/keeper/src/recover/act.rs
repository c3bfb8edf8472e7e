//! Recovering a graph, under its lock.

use chrono::{DateTime, Utc};
use lance::Dataset;
use lancekeeper_manifest::FoundSidecar;
use lancekeeper_model::{
    ErrorKind, JobKind, LeftBehind, MovedPin, OperationId, ProgressEvent, RecoverAction,
    RecoverOptions, RecoverRow, RootRecoverReport, TableRef, Version, shell_word,
};
use lancekeeper_planner::recover::{Back, Decision, plan_recover};
use lancekeeper_reconciler::recover::{self, Case, RecoverError};
use lancekeeper_store::failure::text_with_hint;
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::tables::version_of;

use super::ask::{self, RecoverRootError};
use super::held::{self, Looked};
use super::{PLAN, PURPOSE, along, inventory, report, rest};
use crate::root::{OpenRootError, Opening, ReadGraph, Recovering, lock_to_recover, read_root};
use crate::run::ended::Ended;
use crate::run::graph_job::GraphJob;
use crate::run::stop::Interrupted;
use crate::run::{Context, new_operation};

/// What a run over one root works with.
struct Run<'a> {
    context: &'a Context,
    options: &'a RecoverOptions,
    operation: &'a OperationId,
    now: DateTime<Utc>,
    job: GraphJob<'a>,
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
) -> Result<(), Ended> {
    let Some(root) = ask::root(uri, report).await? else { return Ok(()) };
    let read = read_root(root, &context.tables).await?;
    if read.graph.is_none() {
        return Ok(ask::check_graph_options(uri, options)?);
    }
    let operation = new_operation();
    let opening =
        Opening { purpose: PURPOSE, operation: &operation, now, observer: context.observer() };
    let mut recovering = lock_to_recover(read, context, &opening).await?;
    let root = recovering.read.root.clone();
    let job = GraphJob::new(context, &root, &operation, JobKind::Recover);
    let run = Run { context, options, operation: &operation, now, job };
    let outcome = run.all(&mut recovering, &opening, report).await.map_err(Ended::from);
    let done = report.left.iter().filter(|row| row.done).count();
    run.job.end(done, outcome.as_ref().err().map(|Ended(failure)| failure)).await;
    outcome
}

impl Run<'_> {
    /// All that there is to be done.
    async fn all(
        &self,
        recovering: &mut Recovering,
        opening: &Opening<'_>,
        report: &mut RootRecoverReport,
    ) -> Result<(), RecoverRootError> {
        if let Some(file) = &self.options.quarantine {
            self.quarantine(recovering, file, report).await?;
        }
        let Self { context, options, operation, now, job } = self;
        if let Some(graph) = &recovering.read.graph {
            report.warnings.extend(ask::unknown_names(graph, options).await?);
        }
        let Some(graph) = &mut recovering.read.graph else { return Ok(()) };
        graph.found = graph.sidecars.list().await?;
        let migration = recovering.migration.as_ref();
        let looked =
            held::look(graph, &context.tables, &graph.found, migration, options, *now).await?;
        if looked.is_held {
            let Looked { mut first, sidecars, .. } = looked;
            if let Some(history) = first.as_mut().filter(|row| row.what == LeftBehind::HalfMade) {
                rest::mend_history(graph, operation, *now, job, history).await?;
            }
            report.left.extend(first);
            report.left.extend(sidecars);
            return Ok(());
        }
        recovering.sweep(context, opening, &mut report.recovery.sidecars).await?;
        self.sidecars(recovering, opening, report).await?;
        rest::mend(context, recovering, options, operation, *now, job, report).await
    }

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
        self.job.begin(&[], PLAN, 1).await;
        let place = graph.sidecars.quarantine(&found.file, now).await?;
        let mut row = report::aside(&found, &inventory::unread_forks(graph, &found).await);
        row.why = format!("{}; it is {place} now", row.why);
        row.done = true;
        report.left.push(row);
        Ok(())
    }

    /// Deals with the sidecars of others, oldest first. Each is looked at anew, since what became
    /// of those before it may have moved its pins.
    async fn sidecars(
        &self,
        recovering: &mut Recovering,
        opening: &Opening<'_>,
        report: &mut RootRecoverReport,
    ) -> Result<(), RecoverRootError> {
        let Some(graph) = &mut recovering.read.graph else { return Ok(()) };
        graph.found = graph.sidecars.list().await?;
        // What the sweep has left of ours.
        let own = inventory::own(graph, &self.context.tables, &graph.found).await?;
        report.left.extend(own.into_iter().filter(|row| row.action == RecoverAction::Refuse));
        let foreign = graph.found.iter().filter(|found| found.our_operation().is_none());
        let files: Vec<String> = foreign.map(|found| found.file.clone()).collect();
        for file in files {
            if self.context.stop.is_requested() || !self.job.may_go_on().await {
                return Err(Interrupted.into());
            }
            let Some(graph) = &mut recovering.read.graph else { return Ok(()) };
            graph.found = graph.sidecars.list().await?;
            // A client that opened meanwhile may have dealt with it.
            let Some(found) = graph.found.iter().find(|found| found.file == file).cloned() else {
                continue;
            };
            if self.needs_its_branch_along(recovering, &found).await? {
                self.job.begin(&[], PLAN, 1).await;
                report.recovery.migrated = recovering.migrate(self.context, opening).await?;
            }
            let _guards = recovering.queue.acquire(found.tables()).await?;
            self.sidecar(recovering, &found, report).await?;
        }
        Ok(())
    }

    /// Whether a sidecar is dealt with whose branch is behind main.
    async fn needs_its_branch_along(
        &self,
        recovering: &Recovering,
        found: &FoundSidecar,
    ) -> Result<bool, RecoverRootError> {
        let (Some(migration), Some(graph)) = (&recovering.migration, &recovering.read.graph) else {
            return Ok(false);
        };
        let facts = inventory::foreign(graph, &self.context.tables, &graph.found).await?;
        let plan = plan_recover(&facts, self.options, self.now);
        let steps = super::facts_and_steps(&facts, &plan);
        let its = steps.filter(|(facts, _)| facts.file == found.path());
        let uri = &graph.graph.root().given;
        let mut rows: Vec<RecoverRow> =
            its.map(|(facts, step)| report::sidecar(facts, step, &graph.found, uri)).collect();
        along::hold_back(migration, &plan, &mut rows);
        Ok(along::is_needed(migration, &rows))
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
        let uri = &graph.graph.root().given;
        let mut row = report::sidecar(facts, step, &graph.found, uri);
        if let Some(migration) = &recovering.migration {
            along::hold_back(migration, &plan, std::slice::from_mut(&mut row));
        }
        let Ok(content) = &found.content else {
            report.left.push(row);
            return Ok(());
        };
        rest::hold_back_unrecorded(graph, std::slice::from_mut(&mut row)).await;
        if rest::is_planned(&row) {
            self.job.begin(&[], PLAN, 1).await;
            let case = Case {
                graph: &graph.graph,
                tables,
                sidecars: &graph.sidecars,
                found,
                content,
                operation: self.operation,
                now: self.now,
            };
            let outcome = recover::execute(&case, step, &mut row.moved).await;
            self.announce(&row.moved);
            match outcome {
                Ok(()) => row.done = true,
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    let back = match &step.decision {
                        Decision::RollBack { tables, .. } => tables.as_slice(),
                        _ => &[],
                    };
                    self.lost_race(graph, found, &error, back, &mut row).await?;
                }
                // What is wrong with this one says nothing of the others.
                Err(error) if is_its_own(error.kind()) => {
                    row.error = Some(text_with_hint(&error));
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

    /// Somebody else changed what was looked at. If he dealt with the sidecar it is done; else he
    /// is alive, and nothing more is done about it.
    async fn lost_race(
        &self,
        graph: &ReadGraph,
        found: &FoundSidecar,
        error: &RecoverError,
        back: &[Back],
        row: &mut RecoverRow,
    ) -> Result<(), RecoverRootError> {
        if !graph.sidecars.is_armed(&found.file).await? {
            if let Some(table) = self.covered(graph, back).await? {
                row.error = Some(format!(
                    "its writer was alive, and published {table} while that was taken back: readers see what he published, but the newest version is not that"
                ));
                row.hint = Some(format!(
                    "`lancekeeper repair ROOT --table {} --branch {} --restore-pin --assume-dead --confirm` makes what is published the newest version again",
                    shell_word(table.key.as_str()),
                    shell_word(table.branch.label())
                ));
                return Ok(());
            }
            row.done = true;
            row.why = "another recovery dealt with it meanwhile".to_owned();
            return Ok(());
        }
        row.action = RecoverAction::Wait;
        row.error = Some(text_with_hint(error));
        row.hint = Some(
            "its writer is alive, or another recovery is at work: look again later".to_owned(),
        );
        Ok(())
    }

    /// A table over whose pin a restore of this run lies that was not published: somebody else's publish came first.
    async fn covered(
        &self,
        graph: &ReadGraph,
        back: &[Back],
    ) -> Result<Option<TableRef>, RecoverRootError> {
        for Back { table, head, .. } in back {
            let snapshot =
                graph.graph.snapshot(&table.branch).await.map_err(OpenRootError::from)?;
            let Some(pin) = snapshot.pin(&table.key) else { continue };
            let uri = graph.graph.root().address_of(&pin.location);
            let opened = self.context.tables.open(&uri, &table.branch).await;
            let opened = opened.map_err(OpenRootError::from)?;
            let newest = version_of(&opened);
            // Somebody else's commit is his to publish, and nothing of ours.
            if newest > pin.version
                && newest > *head
                && is_of(&opened, newest, self.operation).await
            {
                return Ok(Some(table.clone()));
            }
        }
        Ok(None)
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

/// Whether an error is about what one sidecar points to, and not about the machine or the run.
fn is_its_own(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Corrupt | ErrorKind::NotFound | ErrorKind::Refused)
}

/// Whether the newest version of a table is what this run brought back.
async fn is_of(table: &Dataset, newest: Version, operation: &OperationId) -> bool {
    let before = Version(newest.0.saturating_sub(1));
    let owners = owners_between(table, before, newest).await;
    matches!(owners.first(), Some(Owner::Ours(by)) if by == operation)
}
