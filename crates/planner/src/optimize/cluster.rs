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
    choose: impl Fn(&[&FragmentFacts]) -> Choice,
) -> Result<Vec<Group>, String> {
    let eligible = facts.fragments.iter().zip(policy.eligibility(facts));
    let eligible: Vec<_> = eligible.filter(|(_, why)| why.is_none()).map(|(f, _)| f).collect();
    let (dead, alive): (Vec<&FragmentFacts>, Vec<_>) =
        eligible.into_iter().partition(|fragment| is_dead(fragment));
    let mut groups: Vec<Group> = dead
        .chunk_by(|a, b| a.coverage == b.coverage)
        .map(|c| dead_group(c.iter().map(|f| f.id)))
        .collect();
    let (class, choice) = first_with_work(&alive, choose);
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

/// The fragments that get a new order together, if any do. Lance refuses to rewrite fragments together that an index
/// covers differently, so they are asked about class by class: the largest that has work goes first, the others in later
/// runs. Of a class that no index will ever cover, like what is appended where no index is kept up, a table would
/// else fill up with fragments of no order, and every run would say that there is nothing to do.
fn first_with_work<'a>(
    alive: &[&'a FragmentFacts],
    choose: impl Fn(&[&FragmentFacts]) -> Choice,
) -> (Vec<&'a FragmentFacts>, Choice) {
    let bytes = |class: &Vec<&FragmentFacts>| class.iter().map(|f| f.live_bytes()).sum::<u64>();
    let mut all = classes(alive.iter().copied());
    all.sort_by_key(|class| std::cmp::Reverse(bytes(class)));
    let mut idle = None;
    for class in all {
        match choose(&class) {
            work @ Choice::Cluster { .. } => return (class, work),
            nothing => idle = idle.or(Some((class, nothing))),
        }
    }
    idle.unwrap_or_else(|| (Vec::new(), choose(&[])))
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use lancekeeper_model::OptimizeOptions;

    use super::super::tests::inventory;
    use super::super::{TablePlan, plan_clustered};
    use super::*;

    fn fragment(id: u64, rows: u64, coverage: u32) -> FragmentFacts {
        let (physical_rows, bytes) = (rows, rows * 100);
        FragmentFacts { id, physical_rows, deleted_rows: 0, bytes, files: 1, coverage, held: false }
    }

    /// What is planned if everything that is shown and not laid out yet gets an order.
    fn plan(fragments: &[FragmentFacts], laid_out: &[u64]) -> TablePlan {
        let options = OptimizeOptions::default();
        let policy = LayoutPolicy::from_options(&options, DateTime::UNIX_EPOCH).unwrap();
        plan_clustered(&inventory(fragments.to_vec()), &policy, |shown| {
            let new = shown.iter().filter(|fragment| !laid_out.contains(&fragment.id));
            let new: Vec<_> = new.collect();
            if new.is_empty() {
                return Choice::Nothing { reason: format!("{} lie in order", shown.len()) };
            }
            let rows = new.iter().map(|fragment| fragment.live_rows()).sum();
            let fragments = new.iter().map(|fragment| fragment.id).collect();
            Choice::Cluster { fragments, outputs: vec![rows], full_rows: rows }
        })
    }

    fn taken(plan: &TablePlan) -> Vec<Vec<u64>> {
        match plan {
            TablePlan::Rewrite(plan) => {
                plan.groups.iter().map(|group| group.fragments.clone()).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn what_no_index_covers_is_laid_out_once_nothing_of_what_is_covered_is_left_to_do() {
        // 0 and 1 are covered by an index, and nobody keeps it up: 2 and 3 never will be.
        let table =
            [fragment(0, 900, 1), fragment(1, 900, 1), fragment(2, 9, 2), fragment(3, 9, 2)];
        assert_eq!(taken(&plan(&table, &[])), [[0, 1]], "never together: Lance refuses that");
        assert_eq!(taken(&plan(&table, &[0, 1])), [[2, 3]]);
        let idle = plan(&table, &[0, 1, 2, 3]);
        assert!(idle.to_string().contains("2 lie in order"), "{idle}");
        assert!(plan(&[], &[]).to_string().contains("0 lie in order"));
    }
}
