//! The effects of a repair. No choices are made here.

use chrono::{DateTime, Utc};
use lance::Dataset;
use lance::dataset::refs::Ref;
use lancekeeper_manifest::{Graph, PinMove, Published};
use lancekeeper_model::{Branch, OperationId, RepairAction, TableRef, Version};
use lancekeeper_planner::repair::{Decision, RepairPlan};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failpoint;
use lancekeeper_store::restore::restore_strictly;
use lancekeeper_store::strict::Signature;
use lancekeeper_store::tables::version_of;

use super::{Drifted, RepairError};

/// Who a client shows as the author of a repair,
const ACTOR: &str = "omnigraph:repair";
/// and of one that published what was not proven.
const FORCED_ACTOR: &str = "omnigraph:repair:force";

/// Repairs the tables of one branch. The caller holds the root's lock and the keys of the tables.
#[derive(Debug)]
pub struct Executor<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// The branch.
    pub branch: &'a Branch,
    /// The run.
    pub operation: &'a OperationId,
    /// When it is.
    pub now: DateTime<Utc>,
}

/// A table that is where it is to be published.
#[derive(Debug)]
pub struct Settled {
    /// The table.
    pub table: TableRef,
    /// What becomes of it with the publish.
    pub action: RepairAction,
    /// The pin that must still be there.
    pub expected: Version,
    /// The version to publish.
    pub to: Version,
    pin_move: PinMove,
}

impl Executor<'_> {
    /// Makes the version of a table that is to be published; `None` if nothing is.
    ///
    /// # Errors
    ///
    /// [`RepairError::Restore`] with a conflict when somebody committed since the table was looked at. Then
    /// nothing of it is published.
    ///
    /// # Cancel safety
    ///
    /// What was to be taken back may have its tag, and the pinned version may be committed on top of it; the
    /// next repair goes on.
    pub async fn settle(
        &self,
        looked_at: &Drifted,
        plan: &RepairPlan,
    ) -> Result<Option<Settled>, RepairError> {
        let (facts, head) = (&looked_at.facts, &looked_at.head);
        let table = &facts.table;
        let restored;
        let (action, to) = match &plan.decision {
            Decision::Nothing | Decision::Refuse => return Ok(None),
            Decision::Broken => {
                return Err(RepairError::Broken { table: table.clone(), why: plan.why.clone() });
            }
            Decision::Heal => (RepairAction::Healed, head),
            Decision::Force => (RepairAction::Forced, head),
            Decision::Restore { tag, is_there } => {
                if !is_there {
                    keep(head, table, tag).await?;
                }
                failpoint::cross_async(failpoint::REPAIR_TAGGED_PRE_RESTORE).await?;
                restored = self.restore(looked_at).await?;
                (RepairAction::Restored, &restored)
            }
        };
        let pin_move = PinMove::to_version_of(table.key.clone(), facts.pin, to).await?;
        let expected_rows = facts.rows_pinned.filter(|_| action == RepairAction::Restored);
        if let Some(expected) = expected_rows
            && expected != pin_move.rows
        {
            let (table, restored, pin) = (table.clone(), pin_move.to, facts.pin);
            let found = pin_move.rows;
            return Err(RepairError::OtherRows { table, restored, pin, expected, found });
        }
        let (expected, to) = (facts.pin, pin_move.to);
        Ok(Some(Settled { table: table.clone(), action, expected, to, pin_move }))
    }

    async fn restore(&self, looked_at: &Drifted) -> Result<Dataset, RepairError> {
        let facts = &looked_at.facts;
        let signature = Signature {
            operation: self.operation.clone(),
            table: facts.table.clone(),
            step: "repair-restore".to_owned(),
        };
        Ok(restore_strictly(&looked_at.head, facts.pin, &signature).await?)
    }

    /// Publishes tables of the branch at once.
    ///
    /// # Errors
    ///
    /// When nothing was published, or on v3 when it was and only its commit row is missing.
    ///
    /// # Cancel safety
    ///
    /// Published as a whole or not at all.
    pub async fn publish(&self, settled: &[Settled]) -> Result<Published, RepairError> {
        failpoint::cross_async(failpoint::REPAIR_SETTLED_PRE_PUBLISH).await?;
        let moves: Vec<PinMove> = settled.iter().map(|table| table.pin_move.clone()).collect();
        let is_forced = settled.iter().any(|table| table.action == RepairAction::Forced);
        let actor = if is_forced { FORCED_ACTOR } else { ACTOR };
        let (operation, now) = (self.operation, self.now);
        Ok(self.graph.publish(self.branch, &moves, operation, "repair", Some(actor), now).await?)
    }

    /// What readers see of tables that were published, where that is something else.
    ///
    /// # Errors
    ///
    /// When the branch cannot be read.
    pub async fn buried(&self, settled: &[Settled]) -> Result<Vec<RepairError>, RepairError> {
        failpoint::cross_async(failpoint::REPAIR_PUBLISHED_PRE_LOOK).await?;
        let snapshot = self.graph.snapshot(self.branch).await?;
        let other = settled.iter().filter_map(|table| {
            let current = snapshot.pin(&table.table.key).map(|pin| pin.version);
            let is_seen = current == Some(table.to);
            let (of, to) = (table.table.clone(), table.to);
            (!is_seen).then_some(RepairError::Buried { table: of, to, current })
        });
        Ok(other.collect())
    }
}

/// Gives HEAD a name that Lance's cleanup and ours respect.
async fn keep(head: &Dataset, table: &TableRef, tag: &str) -> Result<(), RepairError> {
    let branch = table.branch.name().map(ToOwned::to_owned);
    let version = Ref::Version(branch, Some(version_of(head).0));
    head.tags().create(tag, version).await.map_err(|source| {
        LanceFailure::new(
            format!("failed to tag version {} of {table} as {tag}", version_of(head)),
            source,
        )
    })?;
    Ok(())
}
