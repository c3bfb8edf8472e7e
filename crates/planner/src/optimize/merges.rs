//! Which fragments of one index coverage become one: purges first, then merges by size
//! tiers, then those among tiny fragments. Not here: when a merge pays ([`Tiers`](super::Tiers)), and
//! how a group is rewritten.

mod climb;
mod list;
mod purges;
mod walk;

use lancekeeper_model::FragmentFacts;

use super::LayoutPolicy;
use list::List;

/// The groups of one coverage: the fragments of each in manifest order, the groups in the
/// order in which their outputs come to stand.
///
/// Every step works on the list as it will be, with the outputs of the steps before it, and the
/// steps are repeated until none of them finds a merge. The next plan takes the same steps over
/// the same list, so it finds nothing left; and every fragment is read only once, whatever its
/// rows go through on the way.
pub(super) fn merges<'a>(
    fragments: &[&'a FragmentFacts],
    policy: &LayoutPolicy,
) -> Vec<Vec<&'a FragmentFacts>> {
    let mut list = List::over(fragments, policy);
    purges::purge(&mut list, policy);
    // Each turn but the last leaves fewer units, so this ends. There are few turns: the first
    // leaves but some units in each tier, and later ones only bring tiny neighbours together.
    loop {
        // Tiers first: many tiny fragments climb at once then. Merged up to the floor before,
        // they might stand so high already that what remains of them does not pay.
        let before = list.len();
        climb::climb(&mut list, policy);
        walk::walk(&mut list, policy);
        if list.len() == before {
            return list.groups(fragments);
        }
    }
}
