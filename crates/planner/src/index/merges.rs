//! How many segments of an index become one. Not here: whether it is worked on at all.

use std::collections::{BTreeMap, BTreeSet};

use lancekeeper_model::{CarryOver, IndexFacts};

use super::{IndexAction, IndexInventory, IndexPlan, IndexWork};

/// A segment is merged with all newer ones once it has fewer than this many times their rows.
/// So a row is written anew a number of times that grows with the logarithm of the table, and
/// so does the number of segments that a query asks.
const SMALL_BESIDE: u64 = 4;

/// More segments than this are merged into one, however large they are: every query asks all.
/// By the rule above alone, a large segment behind small ones would keep those for good.
const SEGMENTS_MAX: usize = 8;

/// How many segments of an index, the newest, become one with the rows that it does not cover.
pub(super) fn segments_to_merge(index: &IndexFacts, with_deletions: &BTreeSet<u64>) -> usize {
    let all = index.segments.len();
    if !index.can_append || all > SEGMENTS_MAX {
        return all;
    }
    let mut rows = index.uncovered_rows;
    let mut merge = 0;
    for segment in index.segments.iter().rev() {
        // The newest is a candidate only for what there is to add to it.
        let is_first = merge == 0 && rows == 0;
        if !is_first && segment.rows >= rows.saturating_mul(SMALL_BESIDE) {
            break;
        }
        merge += 1;
        rows = rows.saturating_add(segment.rows);
    }
    // Under stable row ids an update leaves the old value of its row in the index until that
    // segment is merged; merging any makes Lance merge those.
    let holds_stale = |fragments: &[u64]| fragments.iter().any(|id| with_deletions.contains(id));
    let is_stale = index.carry_over == CarryOver::ByRowIds
        && index.segments.iter().any(|segment| holds_stale(&segment.fragments));
    if is_stale && index.uncovered_rows > 0 { merge.max(1) } else { merge }
}

impl IndexPlan {
    /// Fits the plan to the groups that are to be rewritten: fragments that become one must be
    /// covered by one segment of each index, or by none.
    pub fn fit_to<'g>(
        &mut self,
        groups: impl Iterator<Item = &'g [u64]> + Clone,
        inventory: &IndexInventory,
    ) {
        let rewritten: BTreeSet<u64> = groups.clone().flatten().copied().collect();
        if rewritten.is_empty() {
            self.before.append(&mut self.after);
            self.before.sort_by(|a, b| a.name.cmp(&b.name));
            self.restore.clear();
            return;
        }
        for index in &inventory.existing {
            let follows = matches!(index.carry_over, CarryOver::ByRowIds | CarryOver::ByRemap);
            let stays = self.apart.contains(&index.name) || self.holding.contains(&index.name);
            if follows && !stays {
                self.join_segments(index, groups.clone());
            }
        }
        let is_hit = |name: &str| {
            let index = inventory.existing.iter().find(|index| index.name == name);
            let mut covered = index.into_iter().flat_map(|index| &index.segments);
            covered.any(|segment| segment.fragments.iter().any(|id| rewritten.contains(id)))
        };
        let restored = std::mem::take(&mut self.restore);
        self.after.extend(restored.into_iter().filter(|work| is_hit(&work.name)));
        self.after.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Merges as many more segments of an index as stand between fragments of one group.
    fn join_segments<'g>(
        &mut self,
        index: &IndexFacts,
        groups: impl Iterator<Item = &'g [u64]> + Clone,
    ) {
        let planned = self.before.iter().position(|work| work.name == index.name);
        let all = index.segments.len();
        let mut merge = match planned.map(|at| self.before[at].action) {
            Some(IndexAction::Refresh { merge }) => merge,
            // Made anew, it is one segment.
            Some(IndexAction::Create | IndexAction::Rebuild) => return,
            None => 0,
        };
        let places: BTreeMap<u64, usize> = (0..)
            .zip(&index.segments)
            .flat_map(|(at, segment)| segment.fragments.iter().map(move |id| (*id, at)))
            .collect();
        let before = merge;
        // Ends: every round but the last merges more segments.
        loop {
            let first_merged = all - merge.min(all);
            // What is merged, and what is not covered yet, is one segment afterwards.
            let place = |id: &u64| places.get(id).copied().unwrap_or(all).min(first_merged);
            let earliest_between = |group: &[u64]| {
                let first = group.iter().map(place).min()?;
                group.iter().any(|id| place(id) != first).then_some(first)
            };
            let Some(first) = groups.clone().filter_map(earliest_between).min() else { break };
            merge = all - first;
        }
        if merge == before {
            return;
        }
        let action = IndexAction::Refresh { merge };
        match planned {
            Some(at) => self.before[at].action = action,
            None => {
                self.before.push(IndexWork::of(index, action));
                self.before.sort_by(|a, b| a.name.cmp(&b.name));
            }
        }
    }
}
