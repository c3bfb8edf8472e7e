//! The plan of a table with a layout: one group of fragments that get a new order of rows together, chosen
//! by whoever knows where the rows lie, and rewrites of single ones, which keep their order. Nothing is
//! bin-packed: that would make fragments of several orders into one.
//!
//! Not here: which fragments overlap (`lancekeeper_layout::plan_clustering`).

use std::collections::HashSet;

use lancekeeper_model::{FragmentFacts, TableFacts};

use super::pack::{batch_rows, classes, dead_group, is_dead, live_group};
use super::{Group, GroupReason, LayoutPolicy, Recipe};

/// Rows of one batch that is sorted at most. Sorting merges batches, so few long ones are better.
const SORTED_BATCH_ROWS_MAX: u32 = 32_768;

/// Which fragments get a new order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// These, together.
    Cluster {
        /// Their ids.
        fragments: Vec<u64>,
        /// The rows of each output, as far as they can be told before the rows are seen.
        outputs: Vec<u64>,
        /// The most rows that an output may have.
        full_rows: u64,
    },
    /// None of them.
    Nothing {
        /// Why not.
        reason: String,
    },
}

/// The groups of a table with a layout, and why there are none if there are none. `choose` is shown the
/// fragments that may be rewritten together.
pub(super) fn cluster_groups(
    facts: &TableFacts,
    policy: &LayoutPolicy,
    choose: impl FnOnce(&[&FragmentFacts]) -> Choice,
) -> Result<Vec<Group>, String> {
    let eligible = facts.fragments.iter().zip(policy.eligibility(facts));
    let eligible: Vec<_> = eligible.filter(|(_, why)| why.is_none()).map(|(f, _)| f).collect();
    let (dead, alive): (Vec<&FragmentFacts>, Vec<_>) =
        eligible.into_iter().partition(|fragment| is_dead(fragment));
    let mut groups: Vec<Group> = dead
        .chunk_by(|a, b| a.coverage == b.coverage)
        .map(|c| dead_group(c.iter().map(|f| f.id)))
        .collect();
    // Lance refuses to rewrite fragments together that an index covers differently: the most of it
    // is laid out, and the rest once the index covers it.
    let bytes = |class: &Vec<&FragmentFacts>| class.iter().map(|f| f.live_bytes()).sum::<u64>();
    let class = classes(alive.iter().copied()).into_iter().max_by_key(bytes).unwrap_or_default();
    let choice = choose(&class);
    let chosen: HashSet<u64> = match &choice {
        Choice::Cluster { fragments, .. } => fragments.iter().copied().collect(),
        Choice::Nothing { .. } => HashSet::new(),
    };
    let others = alive.iter().filter(|fragment| !chosen.contains(&fragment.id));
    let alone = others
        .filter(|fragment| policy.needs_purge(fragment) || policy.has_odd_pages(facts, fragment));
    groups.extend(alone.map(|fragment| live_group(facts, &[fragment], policy)));
    match choice {
        Choice::Nothing { reason } if groups.is_empty() => return Err(reason),
        Choice::Nothing { .. } => {}
        Choice::Cluster { outputs, full_rows, .. } => {
            let sources: Vec<_> = class.into_iter().filter(|f| chosen.contains(&f.id)).collect();
            groups.push(cluster_group(&sources, outputs, full_rows));
        }
    }
    Ok(groups)
}

fn cluster_group(sources: &[&FragmentFacts], outputs: Vec<u64>, full_rows: u64) -> Group {
    Group {
        fragments: sources.iter().map(|fragment| fragment.id).collect(),
        outputs,
        bytes: sources.iter().fold(0u64, |sum, fragment| sum.saturating_add(fragment.bytes)),
        recipe: Recipe::Permute {
            batch_rows: batch_rows(sources, SORTED_BATCH_ROWS_MAX),
            full_rows,
        },
        why: GroupReason::Cluster,
    }
}
