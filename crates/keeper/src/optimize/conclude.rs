//! What became of a table's plan, in the table's row and as what is to be done with it next: the
//! only place where the one turns into the other, for graphs and for databases.

use lancekeeper_model::SkipReason;
use lancekeeper_planner::index::Upkeep;

use crate::optimize::arranged::Arranged;
use crate::optimize::report::set_after;
use crate::optimize::table::TableRun;
use crate::optimize::work::{Carried, Work};
use crate::root::facts::view;

impl TableRun {
    /// Takes note of what became of the plan, in the row and as what is to be done next. What
    /// went wrong stands in the row already.
    pub(crate) async fn conclude(&mut self, carried: Carried) {
        let Carried { committed, is_whole, dropped, lost, then, arranged, is_left_open } = carried;
        let planned_on = self.fragments().to_vec();
        let stats = &mut self.stats;
        stats.groups_dropped += dropped.len() as u64;
        if let Some(why) = dropped.first() {
            stats.reason = format!("{}; dropped: {why}", stats.reason);
        }
        let is_whole = is_whole && committed.is_some();
        if let Some(committed) = committed {
            stats.committed = true;
            // Versions of ours were published of a table that is not worked on otherwise.
            stats.skipped = stats.skipped.filter(|reason| !reason.is_by_choice());
            stats.fragments_removed += committed.fragments_removed;
            stats.fragments_added += committed.fragments_added;
            if committed.fragments_removed > 0
                && arranged.as_ref().is_some_and(Arranged::is_of_edges)
            {
                let first = self.relaid.take().map(|relaid| relaid.0);
                let before = first.or_else(|| self.handle.clone());
                self.relaid = before.map(|before| Box::new((before, committed.head.clone())));
            }
            let seen = view(&committed.head, &self.target.table, Upkeep::default()).await;
            if let Ok(seen) = seen {
                if let Some((arranged, row)) = arranged.as_ref().zip(stats.layout.as_mut()) {
                    row.before = row.before.take().or_else(|| arranged.clustering(&planned_on));
                    row.after = arranged.clustering(&seen.facts.fragments);
                }
                set_after(&mut self.stats, seen.totals);
            }
        }
        let is_spoiled = !dropped.is_empty() || !lost.is_empty();
        self.learn_lost(lost);
        self.work = match then {
            _ if self.stats.error.is_some() || is_left_open => Work::Nothing,
            _ if is_spoiled => Work::Redo,
            Some(then) if is_whole => Work::Follow(then),
            _ => Work::Nothing,
        };
    }

    /// Ends the work on the table in this run. `is_cut_off`: the run over its root ended early,
    /// and the table had been planned.
    pub(crate) fn end(&mut self, is_cut_off: bool) {
        let is_open = self.is_ready() || self.needs_look();
        let stats = &mut self.stats;
        if stats.committed || stats.error.is_some() || stats.skipped.is_some() {
            return;
        }
        if is_cut_off {
            stats.skipped = Some(SkipReason::RunEnded);
        } else if is_open {
            stats.skipped = Some(SkipReason::ChangedByWriters);
        }
    }
}
