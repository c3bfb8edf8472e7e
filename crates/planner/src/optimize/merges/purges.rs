//! Fragments that are rewritten because of their deletions, and what they take along. Not here:
//! how many deletions are too many.

use super::super::LayoutPolicy;
use super::super::policy::Size;
use super::list::List;

/// Rewrites every unit that needs a purge: neighbours among them together as far as they fit,
/// since all of them are written anyway.
///
/// Each of these outputs takes along smaller units, the smallest first, as long as that no more
/// than doubles it. Merging those costs no commit of its own then, and little writing.
pub(super) fn purge(list: &mut List, policy: &LayoutPolicy) {
    let bins = bins(list, policy);
    if bins.is_empty() {
        return;
    }
    let mut riders: Vec<usize> = list
        .standing()
        .filter(|at| !list.needs_purge(*at) && policy.is_small(list.size(*at)))
        .collect();
    riders.sort_by_cached_key(|at| policy.fill(list.size(*at)));
    let mut riders = riders.as_slice();
    for (mut members, size) in bins {
        let count = riding(list, riders, size, policy);
        let (taken, rest) = riders.split_at(count);
        members.extend(taken);
        riders = rest;
        list.merge(&members);
    }
}

/// The units that need a purge, with what remains of each bin of them.
fn bins(list: &List, policy: &LayoutPolicy) -> Vec<(Vec<usize>, Size)> {
    let mut bins: Vec<(Vec<usize>, Size)> = Vec::new();
    for at in list.standing().filter(|at| list.needs_purge(*at)) {
        let size = list.size(at);
        match bins.last_mut() {
            Some((members, sum)) if policy.fits(sum.plus(size)) => {
                members.push(at);
                *sum = sum.plus(size);
            }
            _ => bins.push((vec![at], size)),
        }
    }
    bins
}

/// How many of these a purge of this size takes along.
fn riding(list: &List, riders: &[usize], purged: Size, policy: &LayoutPolicy) -> usize {
    let mut sum = Size::default();
    let rides = |at: &&usize| {
        sum = sum.plus(list.size(**at));
        policy.fill(sum) <= policy.fill(purged) && policy.fits(purged.plus(sum))
    };
    riders.iter().take_while(rides).count()
}
