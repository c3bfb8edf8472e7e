//! The effects of a recovery. No choices are made here.

use chrono::{DateTime, Utc};
use lance::Dataset;
use lancekeeper_manifest::{
    Changes, FoundSidecar, Graph, NewTable, PinMove, Published, RecoveryKind, RecoveryOutcome,
    RecoveryRecord, Sidecar, Sidecars, Tombstone, promote_schema, unstage_schema,
};
use lancekeeper_model::{Branch, MovedPin, OperationId, Pin, Snapshot, TableRef, Version};
use lancekeeper_planner::recover::{Back, Decision, Forward, RecoverStep};
use lancekeeper_store::Tables;
use lancekeeper_store::failpoint;
use lancekeeper_store::restore::restore_strictly;
use lancekeeper_store::strict::{CommitError, Signature};
use lancekeeper_store::tables::version_of;

use super::report::RecoverError;
use crate::sweep::RECOVERY_ACTOR;

/// One sidecar, and with what it is recovered.
pub struct Case<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// Opens tables.
    pub tables: &'a Tables,
    /// The sidecars.
    pub sidecars: &'a Sidecars,
    /// The one.
    pub found: &'a FoundSidecar,
    /// What it says.
    pub content: &'a Sidecar,
    /// The run.
    pub operation: &'a OperationId,
    /// When the run began.
    pub now: DateTime<Utc>,
}

/// Carries out what was decided about one sidecar, and adds to `moved` every pin that moved. The
/// caller holds the root's lock and the keys of the tables.
///
/// # Errors
///
/// The first step that failed. Those before it are done, and the next recovery goes on.
///
/// # Cancel safety
///
/// Some steps are done; recovering again does the rest.
pub async fn execute(
    case: &Case<'_>,
    step: &RecoverStep,
    moved: &mut Vec<MovedPin>,
) -> Result<(), RecoverError> {
    failpoint::cross_async(failpoint::RECOVER_JUDGED_PRE_ACTION).await?;
    if step.decision.acts() && step.decision != Decision::DiscardOrphan {
        // Not only when it is published: then its tables are restored already.
        case.graph.check_publishable(&step.branch).await?;
    }
    match &step.decision {
        Decision::RollForward { .. } => case.forward(step, moved).await?,
        Decision::RollBack { tables, unstages } => {
            case.back(&step.branch, tables, *unstages, moved).await?;
        }
        Decision::Record { went_back, promotes } => {
            let kind = match went_back {
                true => RecoveryKind::RolledBack,
                false => RecoveryKind::RolledForward,
            };
            case.note(&step.branch, kind, *promotes).await?;
        }
        Decision::DiscardOrphan => {
            case.note(&Branch::main(), RecoveryKind::OrphanedBranchDiscarded, false).await?;
        }
        Decision::Wait { .. } | Decision::Refuse | Decision::Stop => return Ok(()),
    }
    failpoint::cross_async(failpoint::RECOVER_RECORDED_PRE_DISARM).await?;
    case.sidecars.disarm(&case.found.file).await?;
    tracing::info!(target: "lancekeeper::recovery", file = %step.file, decision = ?step.decision, why = %step.why, "recovered");
    Ok(())
}

impl Case<'_> {
    /// Publishes what was looked at, then takes the staged schema over.
    async fn forward(
        &self,
        step: &RecoverStep,
        moved: &mut Vec<MovedPin>,
    ) -> Result<(), RecoverError> {
        let Decision::RollForward { tables, added, dropped, promotes } = &step.decision else {
            return Ok(());
        };
        if tables.is_empty() && added.is_empty() && dropped.is_empty() {
            return self.note(&step.branch, RecoveryKind::RolledForward, *promotes).await;
        }
        let snapshot = self.graph.snapshot(&step.branch).await?;
        let (mut moves, mut outcomes, mut registered) = (Vec::new(), Vec::new(), Vec::new());
        for Forward { table, expected, to } in tables {
            let head = self.head_at(&place_of(&snapshot, table)?.location, table, *to).await?;
            moves.push(PinMove::to_version_of(table.key.clone(), *expected, &head).await?);
            outcomes.push(outcome(table, *expected, *to));
        }
        for added in added {
            let table = TableRef::on_main(added.key.clone());
            let head = self.head_at(&added.location, &table, added.to).await?;
            let none = Version::default();
            moves.push(PinMove::to_version_of(added.key.clone(), none, &head).await?);
            outcomes.push(outcome(&table, none, added.to));
            let (key, location) = (added.key.clone(), added.location.clone());
            registered.push(NewTable { key, location });
        }
        let dropped: Vec<Tombstone> = dropped
            .iter()
            .map(|dropped| Tombstone { key: dropped.key.clone(), version: dropped.tombstone })
            .collect();
        let changes = Changes {
            moves: &moves,
            registered: &registered,
            dropped: &dropped,
            merged: self.content.merge_source_commit_id.as_deref(),
        };
        let published = self.publish(&step.branch, &changes, moved).await?;
        self.promote(*promotes).await?;
        self.record(&published, RecoveryKind::RolledForward, &outcomes).await
    }

    /// Restores what moved, then publishes that.
    async fn back(
        &self,
        branch: &Branch,
        tables: &[Back],
        unstages: bool,
        moved: &mut Vec<MovedPin>,
    ) -> Result<(), RecoverError> {
        let (mut moves, mut outcomes) = (Vec::new(), Vec::new());
        let snapshot = self.graph.snapshot(branch).await?;
        for back in tables {
            failpoint::cross_async(failpoint::RECOVER_PRE_RESTORE).await?;
            let pin = place_of(&snapshot, &back.table)?;
            let restored = self.restored(pin, back).await?;
            let to = PinMove::to_version_of(back.table.key.clone(), back.pin, &restored).await?;
            if to.rows != pin.rows {
                return Err(RecoverError::Rows {
                    table: back.table.clone(),
                    version: to.to,
                    found: to.rows,
                    pinned: pin.rows,
                });
            }
            moves.push(to);
            outcomes.push(outcome(&back.table, back.head, back.pin));
        }
        if moves.is_empty() && self.is_recorded().await? {
            return Ok(());
        }
        failpoint::cross_async(failpoint::RECOVER_RESTORED_PRE_PUBLISH).await?;
        let changes = Changes { moves: &moves, ..Changes::default() };
        let published = self.publish(branch, &changes, moved).await?;
        failpoint::cross_async(failpoint::RECOVER_PUBLISHED_PRE_SCHEMA).await?;
        if unstages {
            unstage_schema(&self.graph.root().files()).await?;
        }
        self.record(&published, RecoveryKind::RolledBack, &outcomes).await
    }

    /// A table with the content of its pin, on top of exactly the HEAD that was looked at.
    async fn restored(&self, pin: &Pin, back: &Back) -> Result<Dataset, RecoverError> {
        let head = self.head_at(&pin.location, &back.table, back.head).await?;
        if back.is_restored {
            return Ok(head);
        }
        let signature = Signature {
            operation: self.operation.clone(),
            table: back.table.clone(),
            step: restore_step(&self.found.file),
        };
        match restore_strictly(&head, back.pin, &signature).await {
            Ok(restored) => Ok(restored),
            Err(CommitError::Conflict { .. }) => {
                let found = version_of(&self.open(&pin.location, &back.table).await?);
                let (table, looked_at) = (back.table.clone(), back.head);
                Err(RecoverError::Meanwhile { table, looked_at, found })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down what was done about it before, unless that was written down, too.
    async fn note(
        &self,
        branch: &Branch,
        kind: RecoveryKind,
        promotes: bool,
    ) -> Result<(), RecoverError> {
        self.promote(promotes).await?;
        if self.is_recorded().await? {
            return Ok(());
        }
        let merged = self.content.merge_source_commit_id.as_deref();
        let merged = merged.filter(|_| kind == RecoveryKind::RolledForward);
        let changes = Changes { merged, ..Changes::default() };
        let published = self.publish(branch, &changes, &mut Vec::new()).await?;
        let mut outcomes = Vec::new();
        if kind != RecoveryKind::OrphanedBranchDiscarded {
            let snapshot = self.graph.snapshot(branch).await?;
            for table in self.found.tables() {
                let Some(pin) = snapshot.pin(&table.key) else { continue };
                let said =
                    self.content.tables.iter().find(|said| said.table_key == table.key.as_str());
                let from = said.map_or(pin.version, |said| Version(said.expected_version));
                outcomes.push(outcome(&table, from, pin.version));
            }
        }
        self.record(&published, kind, &outcomes).await
    }

    async fn is_recorded(&self) -> Result<bool, RecoverError> {
        Ok(self.graph.is_recovery_recorded(&self.content.operation_id).await?)
    }

    async fn promote(&self, promotes: bool) -> Result<(), RecoverError> {
        failpoint::cross_async(failpoint::RECOVER_PUBLISHED_PRE_SCHEMA).await?;
        if promotes {
            promote_schema(&self.graph.root().files()).await?;
        }
        Ok(())
    }

    async fn publish(
        &self,
        branch: &Branch,
        changes: &Changes<'_>,
        moved: &mut Vec<MovedPin>,
    ) -> Result<Published, RecoverError> {
        let name = format!("recover-{}", self.content.operation_id);
        let published = self
            .graph
            .publish_changes(branch, changes, self.operation, &name, Some(RECOVERY_ACTOR), self.now)
            .await;
        // Also when only its line in v3's history is missing, readers see the new pins.
        if published.as_ref().map_or_else(lancekeeper_manifest::PublishError::is_visible, |_| true)
        {
            moved.extend(changes.moves.iter().map(|to| MovedPin {
                table_key: to.key.clone(),
                table_branch: branch.clone(),
                from: to.expected,
                to: to.to,
            }));
        }
        Ok(published?)
    }

    async fn record(
        &self,
        published: &Published,
        kind: RecoveryKind,
        outcomes: &[RecoveryOutcome],
    ) -> Result<(), RecoverError> {
        failpoint::cross_async(failpoint::RECOVERY_RECORD_AUDIT).await?;
        let record = RecoveryRecord {
            commit_id: &published.commit_id,
            kind,
            for_actor: self.content.actor_id.as_deref(),
            operation_id: &self.content.operation_id,
            writer_kind: &self.content.writer_kind,
            outcomes,
        };
        Ok(self.graph.record_recovery(&record, self.operation, self.now).await?)
    }

    async fn open(&self, location: &str, table: &TableRef) -> Result<Dataset, RecoverError> {
        let uri = self.graph.root().address_of(location);
        Ok(self.tables.open(&uri, &table.branch).await?)
    }

    /// A table at its HEAD, if that is the one that was looked at.
    async fn head_at(
        &self,
        location: &str,
        table: &TableRef,
        looked_at: Version,
    ) -> Result<Dataset, RecoverError> {
        let head = self.open(location, table).await?;
        let found = version_of(&head);
        if found != looked_at {
            return Err(RecoverError::Meanwhile { table: table.clone(), looked_at, found });
        }
        Ok(head)
    }
}

/// The step by which a table is restored for a sidecar, this file.
pub(super) fn restore_step(file: &str) -> String {
    format!("restore-{file}")
}

fn place_of<'s>(snapshot: &'s Snapshot, table: &TableRef) -> Result<&'s Pin, RecoverError> {
    snapshot.pin(&table.key).ok_or_else(|| RecoverError::Vanished { table: table.clone() })
}

fn outcome(table: &TableRef, from: Version, to: Version) -> RecoveryOutcome {
    RecoveryOutcome { table_key: table.key.clone(), from_version: from, to_version: to }
}
