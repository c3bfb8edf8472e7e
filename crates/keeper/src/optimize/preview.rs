//! Rows of a dry run.

use std::collections::BTreeSet;

use lancekeeper_planner::optimize::RewritePlan;

use crate::optimize::table::TableRun;
use crate::optimize::work::{Planned, Work};

/// The row of a dry run: what the table would look like, as far as the plan can tell.
pub(crate) fn preview(table: &mut TableRun) {
    table.stats.would_commit = table.is_ready() && !is_only_remembered(table);
    if matches!(table.work, Work::Publish(None)) {
        // As a run does when it has published them.
        table.stats.skipped = table.stats.skipped.filter(|reason| !reason.is_by_choice());
        table.stats.reason = "publish versions of an earlier run of ours".to_owned();
    }
    let Some(planned) = table.planned() else { return };
    let plan = &planned.rewrite;
    let replaced: BTreeSet<u64> =
        plan.groups.iter().flat_map(|group| group.fragments.iter().copied()).collect();
    let (mut files, mut purged) = (0, 0);
    for fragment in table.fragments().iter().filter(|f| replaced.contains(&f.id)) {
        files += fragment.files;
        purged += fragment.bytes.saturating_sub(fragment.live_bytes());
    }
    let (removed, added) = counts(plan);
    let stats = &mut table.stats;
    stats.fragments_removed = removed;
    stats.fragments_added = added;
    stats.fragments_after = stats.fragments_before + added - removed;
    stats.files_after = stats.files_before.saturating_sub(files) + added;
    stats.sizes_after = stats.sizes_before.without_rows(purged);
    stats.bytes_after = stats.sizes_after.total();
}

/// Whether nothing is to be done but to remember a layout, which is no commit to a table of a graph.
fn is_only_remembered(table: &TableRun) -> bool {
    let is_nothing =
        |planned: &Planned| planned.rewrite.groups.is_empty() && planned.indexes.is_empty();
    let planned = matches!(&table.work, Work::Planned(planned) if is_nothing(planned));
    table.target.pin.is_some() && planned
}

fn counts(plan: &RewritePlan) -> (u64, u64) {
    let removed = plan.groups.iter().map(|group| group.fragments.len() as u64).sum();
    let added = plan.groups.iter().map(|group| group.outputs.len() as u64).sum();
    (removed, added)
}
