//! One table in one run: its facts, and the plan for them. Not here: which tables there are,
//! and carrying the plan out.

use std::sync::Arc;

use lance::Dataset;
use lancekeeper_model::{
    ErrorKind, FragmentFacts, IndexMode, SkipReason, TableOptimizeStats, WorkLeft,
};
use lancekeeper_planner::index::{
    IndexInventory, IndexPlan, IndexWish, IndexWork, mark_fragments, plan_indexes,
};
use lancekeeper_planner::optimize::{
    Group, RewritePlan, TableInventory, TablePlan, plan_clustered, plan_table, withheld,
};
use lancekeeper_rewrite::index::IndexFailure;
use thiserror::Error;

use crate::optimize::arranged::Order;
use crate::optimize::inventory::Wish;
use crate::optimize::report::set_error;
use crate::optimize::work::{Planned, Work};
use crate::root::Target;
use crate::run::jobs::Job;

/// One table in one run.
#[derive(Debug)]
pub(crate) struct TableRun {
    pub(crate) target: Target,
    pub(crate) stats: TableOptimizeStats,
    /// The table at the version that was looked at.
    pub(crate) handle: Option<Dataset>,
    /// What was planned on.
    pub(crate) facts: Option<Facts>,
    /// What is wanted of it.
    pub(crate) wish: Wish,
    /// What is still to be done with it.
    pub(crate) work: Work,
    /// Its job in this run, once it has begun and if somebody writes jobs down.
    pub(crate) job: Option<Arc<Job>>,
    /// Of edges along their curve: the table before this run changed where they lie, and after.
    pub(crate) relaid: Option<Box<(Dataset, Dataset)>>,
}

/// What a plan is made of.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) table: TableInventory,
    pub(crate) indexes: IndexInventory,
    /// Bytes of its data files.
    pub(crate) data_bytes: u64,
    /// In which order its rows are to lie.
    pub(crate) order: Order,
}

impl TableRun {
    /// A table that was not looked at yet.
    pub(crate) fn of(target: Target, wish: &Wish) -> Self {
        Self {
            stats: TableOptimizeStats::of(&target.table),
            target,
            handle: None,
            facts: None,
            wish: wish.clone(),
            work: Work::Nothing,
            job: None,
            relaid: None,
        }
    }

    /// The plan, one that has to wait for a publish included.
    pub(crate) fn planned(&self) -> Option<&Planned> {
        match &self.work {
            Work::Planned(planned) | Work::Publish(Some(planned)) => Some(planned),
            Work::Nothing | Work::Publish(None) | Work::Redo | Work::Follow(_) => None,
        }
    }

    /// The groups that are planned.
    pub(crate) fn groups(&self) -> &[Group] {
        self.planned().map_or(&[], |planned| &planned.rewrite.groups)
    }

    /// Whether there is something to carry out.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.work, Work::Planned(_) | Work::Publish(_))
    }

    /// Whether it has to be looked at again before anything more is done.
    pub(crate) fn needs_look(&self) -> bool {
        matches!(self.work, Work::Redo | Work::Follow(_))
    }

    /// The fragments that were planned on.
    pub(crate) fn fragments(&self) -> &[FragmentFacts] {
        self.facts.as_ref().map_or(&[], |facts| &facts.table.facts.fragments)
    }

    /// Takes note of indexes that could not be built, and plans the fragments around them. What
    /// is returned are the groups to rewrite in place of those of the plan: of the same
    /// fragments, but none that lies across the coverage of such an index. Then what is to follow.
    pub(crate) fn replan_without(
        &mut self,
        failures: Vec<IndexFailure>,
        planned: &[Group],
    ) -> (Vec<Group>, Option<IndexWish>) {
        let Some(facts) = &mut self.facts else { return (Vec::new(), None) };
        let failed = failures.into_iter().map(|failure| (failure.name, failure.reason));
        facts.indexes.learned.failed.extend(failed);
        let decision = facts.decide(&self.wish);
        self.stats.pending_indexes.clone_from(&decision.indexes.pending);
        let then = then(&self.wish.index, &decision.indexes);
        let TablePlan::Rewrite(plan) = decision.table else { return (Vec::new(), then) };
        // What a budget left out stays out.
        let is_planned = |id: &u64| planned.iter().any(|group| group.fragments.contains(id));
        let groups = plan.groups.into_iter();
        (groups.filter(|group| group.fragments.iter().all(is_planned)).collect(), then)
    }

    /// Takes over what another look at the table found. What was done to it before stays in its
    /// row; what the row says of the work ahead is the new look's.
    pub(crate) fn renew(&mut self, fresh: Self) {
        let is_redo = matches!(self.work, Work::Redo);
        let found = fresh.stats.clone();
        let stats = std::mem::replace(&mut self.stats, TableOptimizeStats::of(&self.target.table));
        let (job, relaid) = (self.job.take(), self.relaid.take());
        *self = Self { stats, job, relaid, ..fresh };
        if is_redo {
            self.stats.groups_redone += self.groups().len() as u64;
        }
        let has_plan = self.planned().is_some();
        let stats = &mut self.stats;
        stats.left = WorkLeft::default();
        stats.pending_indexes = found.pending_indexes;
        stats.chosen = found.chosen;
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
        if !has_plan && !stats.committed {
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
        let mut table = match &self.order.arranged {
            None => plan_table(&self.table, &wish.layout),
            Some(arranged) => plan_clustered(&self.table, &wish.layout, |fragments| {
                arranged.choose(fragments, &wish.layout, wish.max_bytes)
            }),
        };
        if wish.index_only && matches!(table, TablePlan::Rewrite(_)) {
            let reason = "fragments are left as they are (--index-only)".to_owned();
            table = TablePlan::Nothing { reason };
        }
        let groups: &[Group] = match &table {
            TablePlan::Rewrite(plan) => &plan.groups,
            _ => &[],
        };
        indexes.fit_to(groups.iter().map(|group| &group.fragments[..]), &self.indexes);
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
    /// Takes over what was decided. `ahead`: versions of ours are to be published first.
    pub(super) fn take(&mut self, facts: Facts, decision: Decision, ahead: bool) {
        let Decision { table, indexes } = decision;
        self.stats.pending_indexes.clone_from(&indexes.pending);
        // No index is on a blob: what lies beside the data files is not read for one.
        let index_bytes = indexes.bytes_to_read(self.stats.rows_before, facts.data_bytes);
        let index_reason = indexes.reason();
        let then = then(&self.wish.index, &indexes);
        let mut planned = None;
        let plan = |rewrite, indexes| {
            let remember = facts.order.remember.clone();
            planned = Some(Planned { rewrite, indexes, index_bytes, index_reason, then, remember });
        };
        match table {
            TablePlan::Rewrite(rewrite) => plan(rewrite, indexes.before),
            TablePlan::Nothing { reason }
                if indexes.before.is_empty() && facts.order.remember.is_none() =>
            {
                self.stats.skipped =
                    held_by(&facts, &self.wish).or_else(|| withheld(&facts.table.facts));
                self.stats.reason = reason;
            }
            TablePlan::Nothing { .. } => {
                let (table, version) = (facts.table.facts.table.clone(), facts.table.facts.version);
                let (groups, publish_first) = (Vec::new(), None);
                plan(RewritePlan { table, version, groups, publish_first }, indexes.before);
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
        if let Some(planned) = &planned {
            self.stats.reason = planned.reason();
        }
        self.work = match planned {
            planned if ahead => Work::Publish(planned),
            Some(planned) => Work::Planned(planned),
            None => Work::Nothing,
        };
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
