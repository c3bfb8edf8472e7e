//! One table in one run: its facts, and the plan for them. Not here: which tables there are,
//! and carrying the plan out.

use lance::Dataset;
use lancekeeper_model::{
    DeclaredIndex, ErrorKind, FragmentFacts, IndexKind, IndexMode, SkipReason, TableOptimizeStats,
    Version,
};
use lancekeeper_planner::index::{
    IndexInventory, IndexPlan, IndexWish, IndexWork, Learned, Upkeep, mark_fragments, plan_indexes,
};
use lancekeeper_planner::optimize::{
    Authority, Group, RewritePlan, TableInventory, TablePlan, plan_table, withheld,
};
use lancekeeper_planner::sweep::SweepPlan;
use lancekeeper_rewrite::check::{RowsError, same_rows};
use lancekeeper_rewrite::index::IndexFailure;
use lancekeeper_store::LanceFailure;
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::tables::version_of;
use thiserror::Error;

use crate::facts::view;
use crate::open::ReadRoot;
use crate::optimize::inventory::{Target, Wish, claim_of};
use crate::optimize::probe::probe;
use crate::optimize::report::{empty_stats, set_before, set_error};

/// One table in one run.
#[derive(Debug)]
pub(crate) struct TableRun {
    pub(crate) target: Target,
    pub(crate) stats: TableOptimizeStats,
    /// The table at the version that was looked at.
    pub(crate) handle: Option<Dataset>,
    /// What to rewrite; `None` when there is nothing to do or the table must be left alone.
    /// Without groups when only indexes are worked on.
    pub(crate) plan: Option<RewritePlan>,
    /// What to do with the indexes before the Rewrite.
    pub(crate) index_work: Vec<IndexWork>,
    /// Bytes to read for that, by estimate.
    pub(crate) index_bytes: u64,
    /// Bytes of its data files.
    pub(crate) data_bytes: u64,
    /// What is to be done with the indexes, in words.
    pub(crate) index_reason: String,
    /// What is to be done with the indexes once this plan was carried out, if that is to be
    /// followed by another look.
    pub(crate) then: Option<IndexWish>,
    /// HEAD, when versions of ours lie between pin and HEAD and only need publishing.
    pub(crate) adopt: bool,
    /// What was planned on.
    pub(crate) facts: Option<Facts>,
    /// Whether the plan was carried out, all of it.
    pub(crate) is_carried_out: bool,
    /// What is wanted of it.
    pub(crate) wish: Wish,
}

/// What a plan is made of.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) table: TableInventory,
    pub(crate) indexes: IndexInventory,
}

impl TableRun {
    /// The fragments that were planned on.
    pub(crate) fn fragments(&self) -> &[FragmentFacts] {
        self.facts.as_ref().map_or(&[], |facts| &facts.table.facts.fragments)
    }

    /// A plan whose reason tells of the indexes as well.
    pub(crate) fn with_index_reason(&self, mut plan: RewritePlan) -> RewritePlan {
        if !self.index_reason.is_empty() {
            let join = if plan.reason.is_empty() { "" } else { ", " };
            plan.reason = format!("{}{join}{}", plan.reason, self.index_reason);
        }
        plan
    }

    /// Takes note of indexes that could not be built, and plans the fragments around them. What
    /// is returned are the groups to rewrite in place of those of the plan: of the same
    /// fragments, but none that lies across the coverage of such an index.
    pub(crate) fn replan_without(
        &mut self,
        failures: Vec<IndexFailure>,
        planned: &[Group],
    ) -> Vec<Group> {
        let Some(facts) = &mut self.facts else { return Vec::new() };
        let failed = failures.into_iter().map(|failure| (failure.name, failure.reason));
        facts.indexes.learned.failed.extend(failed);
        let decision = facts.decide(&self.wish);
        self.stats.pending_indexes.clone_from(&decision.indexes.pending);
        self.then = then(&self.wish.index, &decision.indexes);
        let TablePlan::Rewrite(plan) = decision.table else { return Vec::new() };
        // What a budget left out stays out.
        let is_planned = |id: &u64| planned.iter().any(|group| group.fragments.contains(id));
        plan.groups.into_iter().filter(|group| group.fragments.iter().all(is_planned)).collect()
    }
}

/// What is to be done with a table.
struct Decision {
    table: TablePlan,
    indexes: IndexPlan,
}

impl Facts {
    fn decide(&mut self, wish: &Wish) -> Decision {
        let mut indexes = plan_indexes(&self.indexes, &wish.index);
        mark_fragments(&mut self.table.facts.fragments, &self.indexes.existing, &indexes);
        let mut table = plan_table(&self.table, &wish.layout);
        if wish.index_only && matches!(table, TablePlan::Rewrite(_)) {
            let reason = "fragments are left as they are (--index-only)".to_owned();
            table = TablePlan::Nothing { reason };
        }
        let groups: &[Group] = match &table {
            TablePlan::Rewrite(plan) => &plan.groups,
            _ => &[],
        };
        indexes.settle(groups.iter().map(|group| &group.fragments[..]), &self.indexes);
        Decision { table, indexes }
    }
}

impl Decision {
    fn is_nothing(&self) -> bool {
        !matches!(self.table, TablePlan::Rewrite(_)) && self.indexes.is_nothing()
    }
}

/// What is wanted of the indexes in the look after this plan: of those that are refreshed after
/// a Rewrite, and of those that had to be made anew before one.
fn then(wish: &IndexWish, plan: &IndexPlan) -> Option<IndexWish> {
    let named = |work: &[IndexWork]| work.iter().map(|work| work.name.clone()).collect::<Vec<_>>();
    let is_freed = plan.before.iter().any(|work| plan.holding.contains(&work.name));
    let after = named(&plan.after);
    if after.is_empty() && !is_freed {
        return None;
    }
    Some(match wish.mode {
        IndexMode::Rebuild if !after.is_empty() => {
            IndexWish { mode: IndexMode::Rebuild, names: after }
        }
        IndexMode::Keep => IndexWish { mode: IndexMode::Refresh, names: after },
        IndexMode::Refresh | IndexMode::Rebuild => {
            let mut names = wish.names.clone();
            if !names.is_empty() {
                names.extend(after);
            }
            IndexWish { mode: IndexMode::Refresh, names }
        }
    })
}

/// Looks at one table and plans it. A table that cannot be read gets a row with its error.
pub(crate) async fn look_at(
    read: &ReadRoot,
    target: Target,
    wish: &Wish,
    sweep: Option<&SweepPlan>,
) -> TableRun {
    look_with(read, target, wish, sweep, Learned::default()).await
}

/// As [`look_at`], with what the run has learned of the table's indexes.
async fn look_with(
    read: &ReadRoot,
    target: Target,
    wish: &Wish,
    sweep: Option<&SweepPlan>,
    learned: Learned,
) -> TableRun {
    let mut run = TableRun {
        stats: empty_stats(&target.table),
        target,
        handle: None,
        plan: None,
        index_work: Vec::new(),
        index_bytes: 0,
        data_bytes: 0,
        index_reason: String::new(),
        then: None,
        adopt: false,
        facts: None,
        is_carried_out: false,
        wish: wish.clone(),
    };
    if let Some((skipped, why)) = run.target.left_alone {
        run.stats.skipped = Some(skipped);
        run.stats.reason = why.to_owned();
        return run;
    }
    let uri = read.root.address_of(&run.target.location);
    match read.tables.open(&uri, &run.target.table.branch).await {
        Ok(handle) => {
            if let Err(error) = plan_run(&mut run, handle, read, sweep, learned).await {
                set_error(&mut run.stats, error.kind(), &error);
            }
        }
        // The table is known to its authority, so a missing one is damage.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            set_error(&mut run.stats, ErrorKind::Corrupt, &error);
        }
        Err(error) => set_error(&mut run.stats, error.kind(), &error),
    }
    run
}

impl TableRun {
    /// Looks at the table again, with what this run has learned of its indexes, for what is to
    /// follow the plan that was carried out; else for the same as before.
    pub(crate) async fn look_again(
        &self,
        read: &ReadRoot,
        target: Target,
        wish: &Wish,
        sweep: Option<&SweepPlan>,
    ) -> Self {
        let index = match &self.then {
            Some(then) if self.is_carried_out => then.clone(),
            _ => self.wish.index.clone(),
        };
        let wish = Wish { index, ..wish.clone() };
        let learned = self.facts.as_ref().map(|facts| facts.indexes.learned.clone());
        look_with(read, target, &wish, sweep, learned.unwrap_or_default()).await
    }

    /// Takes note of indexes that Lance would have left behind at the Rewrite.
    pub(crate) fn learn_lost(&mut self, lost: Vec<IndexFailure>) {
        let Some(facts) = &mut self.facts else { return };
        let learned = &mut facts.indexes.learned;
        for IndexFailure { name, reason } in lost {
            learned.lost.insert(name.clone());
            learned.failed.insert(name, reason);
        }
    }
}

/// Why a table's plan says that it is broken.
#[derive(Debug, Error)]
#[error("{0}")]
struct Broken(String);

async fn plan_run(
    run: &mut TableRun,
    handle: Dataset,
    read: &ReadRoot,
    sweep: Option<&SweepPlan>,
    learned: Learned,
) -> Result<(), LanceFailure> {
    let table = run.target.table.clone();
    let upkeep = if run.target.pin.is_some() { Upkeep::OneSegment } else { Upkeep::Segments };
    let seen = view(&handle, &table, upkeep).await?;
    set_before(&mut run.stats, seen.totals);
    run.data_bytes = seen.totals.sizes.data_bytes;
    let head = version_of(&handle);
    let (authority, ahead_is_ours) = match run.target.pin {
        None => (Authority::Head { head }, false),
        Some(pin) => (Authority::Pinned { pin, head }, ours_between(&handle, pin, head).await),
    };
    let indexes = IndexInventory {
        rows: run.stats.rows_before,
        existing: seen.indexes,
        declared: read.declared(&table.key).to_vec(),
        without_vectors: without_vectors(&handle, read.declared(&table.key)).await?,
        upkeep,
        with_deletions: seen.with_deletions,
        learned,
    };
    if let Some(untouchable) = seen.untouchable {
        run.stats.skipped = Some(untouchable.reason);
        run.stats.reason = untouchable.why;
        run.handle = Some(handle);
        return Ok(());
    }
    let inventory = TableInventory {
        facts: seen.facts,
        authority,
        sidecar: claim_of(sweep, &table),
        ahead_is_ours,
    };
    run.adopt = inventory.sidecar.is_none()
        && ahead_is_ours
        && run.target.pin.is_some_and(|pin| head > pin);
    if run.adopt
        && let Some(error) = rows_differ(read, run, &handle).await?
    {
        run.adopt = false;
        set_error(&mut run.stats, error.kind(), &error);
        run.handle = Some(handle);
        return Ok(());
    }
    let mut facts = Facts { table: inventory, indexes };
    let mut decision = facts.decide(&run.wish);
    if !decision.is_nothing()
        && probe(&handle, &mut facts.indexes.existing, &decision.indexes).await
    {
        // A later look at other indexes has to go on saying it.
        let IndexInventory { existing, learned, .. } = &mut facts.indexes;
        let found = existing.iter().filter_map(|i| Some((i.name.clone(), i.unusable.clone()?)));
        learned.failed.extend(found);
        decision = facts.decide(&run.wish);
    }
    run.handle = Some(handle);
    run.take(facts, decision);
    Ok(())
}

impl TableRun {
    fn take(&mut self, facts: Facts, decision: Decision) {
        let Decision { table, indexes } = decision;
        self.stats.pending_indexes.clone_from(&indexes.pending);
        // No index is on a blob: what lies beside the data files is not read for one.
        self.index_bytes = indexes.bytes_to_read(self.stats.rows_before, self.data_bytes);
        self.index_reason = indexes.reason();
        self.then = then(&self.wish.index, &indexes);
        match table {
            TablePlan::Rewrite(plan) => {
                let plan = self.with_index_reason(plan);
                self.stats.reason.clone_from(&plan.reason);
                self.index_work = indexes.before;
                self.plan = Some(plan);
            }
            TablePlan::Nothing { reason } if indexes.before.is_empty() => {
                self.stats.skipped =
                    held_by(&facts, &self.wish).or_else(|| withheld(&facts.table.facts));
                self.stats.reason = reason;
            }
            TablePlan::Nothing { .. } => {
                let reason = self.index_reason.clone();
                self.stats.reason.clone_from(&reason);
                self.index_work = indexes.before;
                self.plan = Some(RewritePlan {
                    table: facts.table.facts.table.clone(),
                    version: facts.table.facts.version,
                    groups: Vec::new(),
                    reason,
                });
            }
            TablePlan::Skip { reason, manifest_version, head, why } => {
                self.stats.reason = why;
                if reason == SkipReason::DriftNeedsRepair {
                    self.stats.manifest_version = Some(manifest_version);
                    self.stats.lance_head_version = Some(head);
                }
                self.stats.skipped = Some(reason);
            }
            TablePlan::Broken { why } => {
                let table = &facts.table.facts.table;
                set_error(&mut self.stats, ErrorKind::Corrupt, &Broken(format!("{table}: {why}")));
            }
        }
        self.facts = Some(facts);
    }
}

/// The token for a table that would be rewritten if it were not for an index.
fn held_by(facts: &Facts, wish: &Wish) -> Option<SkipReason> {
    let mut free = facts.table.clone();
    if !free.facts.fragments.iter().any(|fragment| fragment.held) {
        return None;
    }
    free.facts.fragments.iter_mut().for_each(|fragment| fragment.held = false);
    let would =
        !wish.index_only && matches!(plan_table(&free, &wish.layout), TablePlan::Rewrite(_));
    would.then_some(SkipReason::IndexUnreadable)
}

/// The columns of declared vector indexes that hold no vector yet.
async fn without_vectors(
    handle: &Dataset,
    declared: &[DeclaredIndex],
) -> Result<Vec<String>, LanceFailure> {
    let mut empty = Vec::new();
    for index in declared.iter().filter(|index| index.kind == IndexKind::Vector) {
        let failed = |source| {
            LanceFailure::new(format!("failed to look for vectors in {}", index.column), source)
        };
        let mut scan = handle.scan();
        scan.project::<&str>(&[]).map_err(failed)?.with_row_id();
        scan.filter(&format!("`{}` IS NOT NULL", index.column)).map_err(failed)?;
        scan.limit(Some(1), None).map_err(failed)?;
        let found = Box::pin(scan.try_into_batch()).await.map_err(failed)?;
        if found.num_rows() == 0 {
            empty.push(index.column.clone());
        }
    }
    Ok(empty)
}

/// Whether every version between pin and HEAD was committed by a keeper.
async fn ours_between(handle: &Dataset, pin: Version, head: Version) -> bool {
    let owners = owners_between(handle, pin, head).await;
    !owners.is_empty() && owners.iter().all(|owner| matches!(owner, Owner::Ours(_)))
}

/// What is wrong with versions of ours that are about to be published: maintenance keeps every
/// row, so HEAD has as many as the pin.
async fn rows_differ(
    read: &ReadRoot,
    run: &TableRun,
    head: &Dataset,
) -> Result<Option<RowsError>, LanceFailure> {
    let Some(pin) = run.target.pin else { return Ok(None) };
    let table = &run.target.table;
    let uri = read.root.address_of(&run.target.location);
    let pinned = read.tables.open_at(&uri, &table.branch, pin).await.map_err(|error| {
        LanceFailure::new(format!("failed to open {table} at its pin {pin}"), error.source)
    })?;
    Ok(same_rows(table, &pinned, head).await.err())
}
