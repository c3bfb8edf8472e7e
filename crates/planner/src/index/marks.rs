//! What indexes mean for fragments: which are covered differently, which must stay.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lancekeeper_model::{FragmentFacts, IndexFacts};

use super::IndexPlan;

/// Marks the fragments of a table by the indexes that a plan leaves as they are.
///
/// Segments count, not names: a fragment in another segment of the same index is covered
/// differently.
pub fn mark_fragments(fragments: &mut [FragmentFacts], indexes: &[IndexFacts], plan: &IndexPlan) {
    let mut covering: HashMap<u64, BTreeSet<&str>> = HashMap::new();
    let mut held: BTreeSet<u64> = BTreeSet::new();
    for index in indexes {
        if plan.holding.contains(&index.name) {
            held.extend(index.segments.iter().flat_map(|segment| &segment.fragments));
        }
        if plan.apart.contains(&index.name) {
            for segment in &index.segments {
                for id in &segment.fragments {
                    covering.entry(*id).or_default().insert(&segment.id);
                }
            }
        }
    }
    let mut known: BTreeMap<BTreeSet<&str>, u32> = BTreeMap::new();
    for fragment in fragments {
        let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
        let segments = covering.remove(&fragment.id).unwrap_or_default();
        fragment.coverage = *known.entry(segments).or_insert(next);
        fragment.held = held.contains(&fragment.id);
    }
}
