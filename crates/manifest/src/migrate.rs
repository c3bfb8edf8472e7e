//! Migrations of a graph's internal schema: one step per version, one dispatcher, one stamp.
//!
//! # Protocol
//!
//! Learn the facts, plan (`planner::migrate`), carry the steps out one by one. Every step is one
//! strict commit, one file or one deletion, and does nothing where it is done already. A step that
//! finds the graph otherwise than planned ends that plan, and the facts are learned again; so two
//! migrators at once, or a client that makes a branch meanwhile, only cost another look.
//!
//! # Crash consistency
//!
//! v1 to v3: every branch is at one version or the next, and readers, and the clients that bring
//! graphs up to date themselves, take either. v3 to v4: before the first stamp that no client writes to
//! a note is made durable ([`journal`](self)), and by it the next run goes on, or takes it back.
//!
//! Not here: which steps, and what forbids them; whether sidecars and a schema apply stand in the
//! way (`keeper`); the Lance format of tables.

mod error;
mod facts;
mod journal;
mod stamping;
mod v1_to_v2;
mod v2_to_v3;
mod v3_to_v4;

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_model::{Branch, ErrorKind, InternalSchema, OperationId, Stamp};
use lancekeeper_planner::migrate::{
    Facts, Goal, MigrationPlan, Phase, Refusal, Step, plan_migration,
};
use lancekeeper_store::failpoint;

use crate::graph::Graph;
use journal::Note;

pub use error::MigrateError;
pub use facts::Look;
pub use v3_to_v4::{CopiedHistory, FoundHistories, histories};

/// Where the note lies, relative to the root.
pub const MIGRATION_NOTE: &str = "__maintenance/migration.json";
/// Plans of one run. Each one after the first is because somebody else changed the graph meanwhile.
const PLANS_MAX: u32 = 10;

/// A migration of one graph. The caller holds the root's lock, has ended dead runs of ours, and has seen that what
/// others left does not forbid it.
#[derive(Debug)]
pub struct Migration<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// What is wanted.
    pub goal: Goal,
    /// The run.
    pub operation: &'a OperationId,
    /// How long a branch of a run must be left alone before it counts as nobody's.
    pub dead_after: TimeDelta,
    /// When the run began.
    pub now: DateTime<Utc>,
}

/// What a migration did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationOutcome {
    /// What main was stamped with before; `None` if nothing was to be done.
    pub from: Option<Stamp>,
    /// What was carried out, in this order.
    pub done: Vec<Step>,
    /// The histories that were copied.
    pub histories: Vec<CopiedHistory>,
}

/// Takes a graph to the version that is wanted. What stands in the outcome is done, also when an
/// error is returned.
///
/// # Errors
///
/// [`MigrateError::Refused`] when something forbids it: nothing was written then by the plan that was
/// refused. Everything else leaves the graph where the next run goes on.
///
/// # Cancel safety
///
/// Each step is done or not; the next run goes on.
pub async fn migrate_internal_schema(
    migration: &Migration<'_>,
    outcome: &mut MigrationOutcome,
) -> Result<(), MigrateError> {
    for _ in 0..PLANS_MAX {
        let facts = migration.facts().await?;
        let plan = migration.plan(&facts)?;
        if plan.steps.is_empty() {
            return Ok(());
        }
        outcome.from.get_or_insert_with(|| plan.from.clone());
        match Box::pin(migration.carry_out(&plan, outcome)).await {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => {
                tracing::info!(target: "lancekeeper::migrate", %error, "the graph changed meanwhile: looking again");
            }
            Err(error) => return Err(error),
        }
    }
    Err(MigrateError::Unsettled { plans: PLANS_MAX })
}

impl Migration<'_> {
    /// How closely the graph is looked at.
    fn look(&self) -> Look {
        match self.goal {
            Goal::Write | Goal::V3 => Look::ToWrite,
            Goal::Abort => Look::ToMigrate,
            Goal::Newest { .. } | Goal::Restamp(_) => Look::AtContent,
        }
    }

    /// What is known of the graph. Writes nothing.
    ///
    /// # Errors
    ///
    /// When `__manifest` or the note of a migration cannot be read.
    pub async fn facts(&self) -> Result<Facts, MigrateError> {
        self.graph.migration_facts(self.look()).await
    }

    /// What would be done of these facts. Writes nothing.
    ///
    /// # Errors
    ///
    /// What forbids it.
    pub fn plan(&self, facts: &Facts) -> Result<MigrationPlan, Refusal> {
        plan_migration(facts, self.goal, self.dead_after, self.now)
    }

    async fn carry_out(
        &self,
        plan: &MigrationPlan,
        outcome: &mut MigrationOutcome,
    ) -> Result<(), MigrateError> {
        let mut copying = v3_to_v4::Copying::of(self);
        for step in &plan.steps {
            failpoint::cross_async(failpoint::MIGRATE_BEFORE_STEP).await?;
            let done = Box::pin(self.step(step, &mut copying)).await;
            outcome.histories.append(&mut copying.copied);
            done?;
            tracing::info!(target: "lancekeeper::migrate", operation_id = %self.operation, %step, "done");
            outcome.done.push(step.clone());
        }
        Ok(())
    }

    /// The dispatcher.
    ///
    /// # Cancel safety
    ///
    /// The step is done or not.
    async fn step(
        &self,
        step: &Step,
        copying: &mut v3_to_v4::Copying<'_>,
    ) -> Result<(), MigrateError> {
        let is = |schema| move |stamp: &Stamp| *stamp == Stamp::Known(schema);
        let is_fenced = |stamp: &Stamp| *stamp == Stamp::Migrating;
        match step {
            Step::Annotate(branch) => self.annotate(branch).await,
            Step::DeleteRun(branch) => self.delete_run(branch).await,
            Step::Sweep(branch) => self.stamp(branch, 3, is(InternalSchema::V2)).await,
            Step::Begin => self.note(Phase::Forward).await,
            Step::Fence(branch) => {
                self.stamp(branch, Stamp::MIGRATING, is(InternalSchema::V3)).await
            }
            Step::Copy(branch) => copying.copy(branch).await,
            Step::Check(branch) => copying.check(branch).await,
            Step::Release(branch) => {
                if branch.is_main() {
                    self.check_others(is(InternalSchema::V4)).await?;
                }
                self.stamp(branch, 4, is_fenced).await
            }
            Step::BeginAbort => self.note(Phase::Abort).await,
            Step::Return(branch) => {
                let is_ahead =
                    |stamp: &Stamp| is_fenced(stamp) || *stamp == Stamp::Known(InternalSchema::V4);
                if branch.is_main() {
                    self.check_others(|stamp| !is_ahead(stamp)).await?;
                }
                self.stamp(branch, 3, is_ahead).await
            }
            Step::End => Ok(Note::remove(&self.graph.root.files()).await?),
            Step::Restamp(branch, to) => self.stamp(branch, to.number(), |_| true).await,
        }
    }

    async fn note(&self, phase: Phase) -> Result<(), MigrateError> {
        let note = Note::new(self.operation, phase, self.now);
        note.write(&self.graph.root.files()).await
    }

    /// Every public branch but main is stamped so: one that somebody made meanwhile is not left behind.
    async fn check_others(&self, is: impl Fn(&Stamp) -> bool) -> Result<(), MigrateError> {
        let facts = self.graph.migration_facts(Look::ToMigrate).await?;
        if let Some((branch, why)) = facts.unread.into_iter().next() {
            return Err(Refusal::Unread { branch, why }.into());
        }
        let mut others = facts.branches.into_iter().filter(|facts| !facts.branch.is_main());
        match others.find(|facts| !is(&facts.stamp)) {
            None => Ok(()),
            Some(other) => Err(MigrateError::Changed { branch: other.branch, found: other.stamp }),
        }
    }
}

/// The public branches of a plan that is not carried out: those whose history would be copied.
#[must_use]
pub fn copied_branches(plan: &MigrationPlan) -> Vec<Branch> {
    let copies = plan.steps.iter().filter_map(|step| match step {
        Step::Copy(branch) => Some(branch.clone()),
        _ => None,
    });
    copies.collect()
}
