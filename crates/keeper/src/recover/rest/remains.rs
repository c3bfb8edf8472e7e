//! What a branch left that is none any more: whether it is taken away, and when.

use std::collections::{BTreeMap, BTreeSet};

use lancekeeper_manifest::BranchRemains;
use lancekeeper_model::{Branch, LeftBehind, RecoverAction, RecoverRow, shell_word};
use lancekeeper_planner::recover::{StagedFate, later};
use lancekeeper_reconciler::cleanup::Lists;
use lancekeeper_store::root::MANIFEST_DIR;

use super::{Rest, row_of};
use crate::recover::LOCK;
use crate::recover::ask::RecoverRootError;
use crate::root::PRESUMED_DEAD_AFTER;

impl Rest<'_> {
    /// Of branches that are none: one row for each.
    pub(super) async fn remains(&self) -> Result<Vec<RecoverRow>, RecoverRootError> {
        let mut by_branch: BTreeMap<Branch, Vec<BranchRemains>> = BTreeMap::new();
        for remains in self.graph.graph.branch_remains().await? {
            by_branch.entry(remains.branch.clone()).or_default().push(remains);
        }
        if by_branch.is_empty() {
            return Ok(Vec::new());
        }
        // A list that cannot be read explains nothing.
        let pending = Lists::of(&self.graph.graph.root().files()).pending().await;
        let explained = pending.unwrap_or_default().explained(MANIFEST_DIR);
        let rows = by_branch.into_iter().map(|(branch, remains)| {
            let (fate, hint) = self.fate(&branch, &remains, &explained);
            let mut row = row_of(LeftBehind::BranchRemains, branch.label(), fate);
            row.hint = hint;
            row.branch = branch;
            row
        });
        Ok(rows.collect())
    }

    /// What becomes of what one branch left. `explained` are paths below `__manifest` that a list of deletions names.
    fn fate(
        &self,
        branch: &Branch,
        remains: &[BranchRemains],
        explained: &BTreeSet<String>,
    ) -> (StagedFate, Option<String>) {
        let places: Vec<&str> = remains.iter().map(|remains| remains.location).collect();
        let what =
            format!("there is no branch {branch}, but versions of it in {}", places.join(", "));
        let newest = remains.iter().map(|remains| remains.newest).max();
        let is_lock = branch.label() == LOCK;
        let is_dead = is_lock && self.options.assumed_dead.includes(LOCK);
        // Whoever makes a branch writes its versions first, and is not asked whether he is
        // dead: he is given his time.
        let floor = self.options.dead_after.max(PRESUMED_DEAD_AFTER);
        let until = later(newest.unwrap_or(self.now), floor);
        let mut of_manifest =
            remains.iter().filter(|remains| remains.location == MANIFEST_DIR).peekable();
        let is_there = of_manifest.peek().is_some();
        let unexplained: Vec<&BranchRemains> = of_manifest
            .filter(|remains| !remains.manifests.iter().all(|path| explained.contains(path)))
            .collect();
        let published = unexplained.iter().map(|remains| remains.published).sum::<u64>();
        let is_named = self.options.assumed_dead.names(branch.label());
        if is_there && unexplained.is_empty() {
            // Only a run that holds the root's lock writes such a list, and it did so before it took the branch's file away.
            let why = format!("{what}: a deletion of the branch died, and its list names them");
            return (StagedFate { action: RecoverAction::Remove, why, until: None }, None);
        }
        if published > 0 && !is_lock && !is_named {
            let hint = format!(
                "if only __manifest/_refs/branches/ lost its file, restore that from a backup; if the branch was being deleted: --assume-dead {}",
                shell_word(branch.label())
            );
            let why = format!("{what}, of which {published} or more were published there");
            return (StagedFate { action: RecoverAction::Refuse, why, until: None }, Some(hint));
        }
        let fate = if until > self.now && !is_dead {
            StagedFate {
                action: RecoverAction::Wait,
                why: format!("{what}: somebody may be making it"),
                until: Some(until),
            }
        } else {
            StagedFate { action: RecoverAction::Remove, why: what, until: None }
        };
        (fate, None)
    }
}
