//! The plan of a run that takes data files to another version and does nothing else: each fragment with a file of
//! another version becomes one of its own, so that the order of rows and the number of fragments stay, whether the
//! table has a layout or not.
//!
//! Not here: which versions may follow which (`migrate::tables`).

use lancekeeper_model::{FragmentFacts, StorageVersion, TableFacts};

use super::pack::{BATCH_ROWS_MAX, batch_rows, is_dead};
use super::{Group, GroupReason, LayoutPolicy, Recipe};

/// The groups, or why there are none.
pub(super) fn reformat_groups(
    facts: &TableFacts,
    policy: &LayoutPolicy,
    version: StorageVersion,
) -> Result<Vec<Group>, String> {
    let off = facts.fragments.iter().zip(policy.eligibility(facts));
    // One without live rows goes with the next commit that merges or purges, whatever it is made of.
    let off: Vec<_> = off
        .filter(|(fragment, _)| {
            facts.of_other_versions.contains(&fragment.id) && !is_dead(fragment)
        })
        .collect();
    let held = off.iter().filter(|(_, why_not)| why_not.is_some()).count();
    let groups: Vec<Group> = off
        .into_iter()
        .filter(|(_, why_not)| why_not.is_none())
        .map(|(fragment, _)| group(fragment, version))
        .collect();
    match (groups.is_empty(), held) {
        (false, _) => Ok(groups),
        (true, 0) => Err(format!("every data file of its own is of version {version}")),
        (true, held) => Err(format!(
            "{held} fragments of other versions are held by an index that a rewrite would end"
        )),
    }
}

fn group(fragment: &FragmentFacts, version: StorageVersion) -> Group {
    Group {
        fragments: vec![fragment.id],
        outputs: vec![fragment.live_rows()],
        bytes: fragment.bytes,
        recipe: Recipe::Reformat { batch_rows: batch_rows(&[fragment], BATCH_ROWS_MAX), version },
        why: GroupReason::Reformat,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use lancekeeper_model::OptimizeOptions;
    use lancekeeper_model::StorageVersion::V2_1;

    use super::super::tests::{inventory, planned};
    use super::super::{TableInventory, TablePlan};
    use super::*;

    fn plan(table: &TableInventory) -> TablePlan {
        let options = OptimizeOptions { storage_version: Some(V2_1), ..OptimizeOptions::default() };
        let policy = LayoutPolicy::from_options(&options, DateTime::UNIX_EPOCH).unwrap();
        planned(table, &policy)
    }

    fn fragment(id: u64, deleted_rows: u64, held: bool) -> FragmentFacts {
        let (physical_rows, bytes, files, coverage) = (10, 1000, 1, 0);
        FragmentFacts { id, physical_rows, deleted_rows, bytes, files, coverage, held }
    }

    #[test]
    fn only_fragments_of_other_versions_are_rewritten_each_for_itself() {
        let mut table = inventory(vec![
            fragment(0, 0, false),
            fragment(1, 0, false),
            fragment(2, 4, false),
            fragment(3, 9, false),
            fragment(4, 10, false),
            fragment(5, 0, true),
        ]);
        table.facts.of_other_versions = [1, 2, 4, 5].into();
        let TablePlan::Rewrite(rewrite) = plan(&table) else { panic!("some are of others") };
        let of = |group: &Group| (group.fragments.clone(), group.outputs.clone());
        let groups: Vec<_> = rewrite.groups.iter().map(of).collect();
        assert_eq!(groups, [(vec![1], vec![10]), (vec![2], vec![6])]);
        let is_of_2_1 = |group: &Group| {
            let recipe = Recipe::Reformat { batch_rows: BATCH_ROWS_MAX, version: V2_1 };
            (group.recipe, group.why) == (recipe, GroupReason::Reformat)
        };
        assert!(rewrite.groups.iter().all(is_of_2_1), "{rewrite:?}");
        table.facts.of_other_versions = [5].into();
        let TablePlan::Nothing { reason } = plan(&table) else { panic!("held") };
        assert!(reason.contains("held by an index"), "{reason}");
        table.facts.of_other_versions.clear();
        let TablePlan::Nothing { reason } = plan(&table) else { panic!("nothing to do") };
        assert_eq!(reason, "every data file of its own is of version 2.1");
    }
}
