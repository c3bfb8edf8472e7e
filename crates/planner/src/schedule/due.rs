//! What is due of one table, and why.

use std::time::Duration;

use super::adaptive::{APPENDS_LEAST, settled_from, trigger};
use super::facts::{Planned, Shape, TableState};
use super::work::Work;
use crate::optimize::size_in_words as size;

/// Something that is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// What.
    pub work: Work,
    /// Fragments that readers no longer open, or what is worth as much.
    pub benefit: f64,
    /// Bytes that are read for it.
    pub cost: u64,
    /// Why.
    pub reason: String,
}

/// Rows without an index cost a query as much as an open fragment of this many.
const ROWS_AS_FRAGMENT: f64 = 65_536.0;
/// Opening a table reads the names of its versions, this many as fast as one fragment.
const VERSIONS_AS_FRAGMENT: f64 = 100.0;
/// A manifest that a cleanup has to read, about.
const MANIFEST_BYTES: u64 = 16 << 10;

/// What is due, the most useful first; and when to ask again because writers will count as gone.
pub(super) fn due(table: &TableState<'_>, at: Duration) -> (Vec<Due>, Option<Duration>) {
    let mut all = Vec::new();
    let mut settles = None;
    if table.policy.auto_compact {
        let (compact, again) = compact(table, at);
        settles = again;
        // A compaction refreshes indexes on the way.
        all.extend(compact.or_else(|| index(table)));
    }
    all.extend(cleanup(table));
    all.retain(|due| !table.memory.is_idle(due.work, table.shape.version));
    (all, settles)
}

/// Merging and purging.
fn compact(table: &TableState<'_>, at: Duration) -> (Option<Due>, Option<Duration>) {
    let (shape, policy) = (table.shape, table.policy);
    let taken = taken(shape);
    if shape.planned.is_some() && taken.fragments == 0 {
        return (None, None);
    }
    let trigger = trigger(policy, table.memory.pace());
    // What a plan takes may be larger than what the policy calls small, and not all that is small pays.
    let small = taken.fragments.min(shape.small);
    let bytes = taken.bytes.min(shape.small_bytes);
    let many = is_many(small);
    let mut why = None;
    let mut settles = None;
    if many && small >= trigger {
        why = Some(format!(
            "{} small fragments reach the trigger of {trigger}{}",
            small,
            rate(table)
        ));
    } else if many && policy.threshold_bytes.is_some_and(|least| bytes >= least) {
        let reached = policy.threshold_bytes.unwrap_or_default();
        why = Some(format!(
            "{} small fragments hold {}, {} or more",
            small,
            size(bytes),
            size(reached)
        ));
    } else if policy.is_adaptive && small >= APPENDS_LEAST {
        let from = settled_from(table.memory.pace());
        if from <= at {
            why = Some(format!("{} small fragments, and no append lately", small));
        } else {
            settles = Some(from);
        }
    }
    if shape.deleted_share > policy.deletion_share {
        let share = format!("{:.0} % of the rows are deleted", shape.deleted_share * 100.0);
        why = Some(why.map_or(share.clone(), |why| format!("{why}, {share}")));
    }
    let too_deep = policy.clustering_depth.zip(shape.depth).filter(|(most, depth)| depth > most);
    if let Some((most, depth)) = too_deep {
        let depth =
            format!("the place of a row may fall into {depth:.1} fragments, more than {most}");
        why = Some(why.map_or(depth.clone(), |why| format!("{why}, {depth}")));
    }
    let gone = taken.fragments.saturating_sub(taken.leaves) as f64;
    let benefit =
        gone + shape.deleted_share * shape.fragments as f64 + shape.depth.unwrap_or_default();
    let due = |reason| Due { work: Work::Compact, benefit, cost: taken.bytes, reason };
    (why.map(due), settles)
}

/// One fragment alone cannot be merged.
fn is_many(fragments: u64) -> bool {
    fragments >= 2
}

/// What a run would take: by its plan if that is known, else by how many small ones there are.
fn taken(shape: &Shape) -> Planned {
    shape.planned.unwrap_or(Planned {
        fragments: shape.small,
        leaves: u64::from(shape.small > 0),
        bytes: shape.small_bytes,
    })
}

fn rate(table: &TableState<'_>) -> String {
    let rate = table.memory.appends_per_second().filter(|_| table.policy.is_adaptive);
    rate.map_or_else(String::new, |rate| match rate {
        rate if rate >= 0.1 => format!(" at {rate:.1} appends per second"),
        rate => format!(" at {:.1} appends per hour", rate * 3600.0),
    })
}

fn index(table: &TableState<'_>) -> Option<Due> {
    let (shape, limit) = (table.shape, table.policy.unindexed_rows);
    let rows = shape.unindexed_rows.filter(|rows| *rows >= limit)?;
    let share = rows as f64 / shape.rows.max(rows) as f64;
    Some(Due {
        work: Work::Index,
        benefit: rows as f64 / ROWS_AS_FRAGMENT,
        cost: (shape.bytes as f64 * share) as u64,
        reason: format!("indexes miss {rows} rows, {limit} or more"),
    })
}

fn cleanup(table: &TableState<'_>) -> Option<Due> {
    let (days, keep) = table.policy.retention?;
    let (versions, limit) = (table.shape.versions, table.policy.version_count);
    if versions <= limit || versions <= keep {
        return None;
    }
    let over = versions - keep;
    Some(Due {
        work: Work::Cleanup,
        benefit: over as f64 / VERSIONS_AS_FRAGMENT,
        cost: versions.saturating_mul(MANIFEST_BYTES),
        reason: format!(
            "{versions} versions, more than {limit}; those younger than {days} days and the newest {keep} stay"
        ),
    })
}
