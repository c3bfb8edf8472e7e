//! One table in one run: its facts, and the plan for them. Not here: which tables there are,
//! and carrying the plan out.

use lance::Dataset;
use lancekeeper_model::{
    ErrorKind, FragmentFacts, IndexMode, SkipReason, TableOptimizeStats, WorkLeft,
};
use lancekeeper_planner::index::{
    IndexInventory, IndexPlan, IndexWish, IndexWork, mark_fragments, plan_indexes,
};
use lancekeeper_planner::optimize::{
    Group, RewritePlan, TableInventory, TablePlan, plan_table, withheld,
};
use lancekeeper_rewrite::index::IndexFailure;
use thiserror::Error;

use crate::optimize::inventory::Wish;
use crate::optimize::report::set_error;
use crate::root::Target;

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

    /// What is done to the table, fragments and indexes, in words.
    pub(crate) fn reason(&self) -> String {
        let of_fragments = self.plan.as_ref().map(RewritePlan::reason).unwrap_or_default();
        let join = if of_fragments.is_empty() || self.index_reason.is_empty() { "" } else { ", " };
        format!("{of_fragments}{join}{}", self.index_reason)
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

impl TableRun {
    /// Takes over what another look at the table found. What was done to it before stays in its
    /// row; what the row says of the work ahead is the new look's.
    pub(crate) fn renew(&mut self, fresh: Self) {
        let is_redo = self.plan.is_some() && !self.is_carried_out;
        let found = fresh.stats.clone();
        let stats = std::mem::replace(&mut self.stats, TableOptimizeStats::of(&self.target.table));
        *self = Self { stats, ..fresh };
        let stats = &mut self.stats;
        if is_redo {
            stats.groups_redone += self.plan.as_ref().map_or(0, |plan| plan.groups.len() as u64);
        }
        stats.left = WorkLeft::default();
        stats.pending_indexes = found.pending_indexes;
        // After a commit that nothing more can be done is no news; that somebody got in between is.
        let is_news = |token: &SkipReason| {
            matches!(token, SkipReason::DriftNeedsRepair | SkipReason::RecoveryPending)
        };
        stats.skipped = found.skipped.filter(|token| !stats.committed || is_news(token));
        stats.manifest_version = found.manifest_version;
        stats.lance_head_version = found.lance_head_version;
        if found.error.is_some() {
            (stats.error, stats.error_kind) = (found.error, found.error_kind);
        }
        if self.plan.is_none() && !stats.committed {
            stats.reason = found.reason;
        }
    }
}

/// What is to be done with a table.
pub(super) struct Decision {
    pub(super) table: TablePlan,
    pub(super) indexes: IndexPlan,
}

impl Facts {
    pub(super) fn decide(&mut self, wish: &Wish) -> Decision {
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
    pub(super) fn is_nothing(&self) -> bool {
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

impl TableRun {
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

impl TableRun {
    /// Takes over what was decided.
    pub(super) fn take(&mut self, facts: Facts, decision: Decision) {
        let Decision { table, indexes } = decision;
        self.stats.pending_indexes.clone_from(&indexes.pending);
        // No index is on a blob: what lies beside the data files is not read for one.
        self.index_bytes = indexes.bytes_to_read(self.stats.rows_before, self.data_bytes);
        self.index_reason = indexes.reason();
        self.then = then(&self.wish.index, &indexes);
        match table {
            TablePlan::Rewrite(plan) => {
                self.index_work = indexes.before;
                self.plan = Some(plan);
                self.stats.reason = self.reason();
            }
            TablePlan::Nothing { reason } if indexes.before.is_empty() => {
                self.stats.skipped =
                    held_by(&facts, &self.wish).or_else(|| withheld(&facts.table.facts));
                self.stats.reason = reason;
            }
            TablePlan::Nothing { .. } => {
                self.index_work = indexes.before;
                self.plan = Some(RewritePlan {
                    table: facts.table.facts.table.clone(),
                    version: facts.table.facts.version,
                    groups: Vec::new(),
                    publish_first: None,
                });
                self.stats.reason = self.reason();
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
