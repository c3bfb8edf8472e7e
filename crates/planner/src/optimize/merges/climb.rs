//! Merges by size tiers: those that lift all their members into a higher tier. Not here: what the
//! tiers are.

use super::super::LayoutPolicy;
use super::super::policy::Size;
use super::list::List;

/// Merges small units wherever that pays.
///
/// It goes by sizes, not by neighbours: one large fragment between two tiny ones would keep them
/// apart for ever otherwise. Lance keeps no order of rows across fragments.
pub(super) fn climb(list: &mut List, policy: &LayoutPolicy) {
    let rest = fill(list, policy);
    stack(list, rest, policy);
}

/// While there is more than one fragment holds: neighbours among the small units become
/// fragments that take no more. Returns the small units that remain; they fit into one.
///
/// Such a fragment is no longer small, so this pays whatever its members are: with one more it
/// would have passed a target, and that one fills half of a target at most.
fn fill(list: &mut List, policy: &LayoutPolicy) -> Vec<usize> {
    let small: Vec<usize> = list.standing().filter(|at| policy.is_small(list.size(*at))).collect();
    let mut open = Vec::new();
    let mut sum = Size::default();
    for at in small {
        let size = list.size(at);
        if !policy.fits(sum.plus(size)) {
            list.merge(&open);
            open.clear();
            sum = Size::default();
        }
        open.push(at);
        sum = sum.plus(size);
    }
    open
}

/// Merges, of units that fit into one, a unit with all smaller ones wherever together they reach
/// a higher tier than it has. The largest such unit first, so that the smaller ones leave out
/// the tiers between.
fn stack(list: &mut List, mut rest: Vec<usize>, policy: &LayoutPolicy) {
    // Stable: of equal ones the first in the list. So the next plan has the same order.
    rest.sort_by_cached_key(|at| policy.fill(list.size(*at)));
    // Each turn leaves fewer units, and the first leaves but some in each tier.
    while let Some(count) = paying(list, &rest, policy) {
        let mut members: Vec<usize> = rest.drain(..count).collect();
        members.sort_unstable();
        let output = list.merge(&members);
        let size = list.size(output);
        if policy.is_small(size) {
            let place = rest.partition_point(|at| policy.fill(list.size(*at)) <= policy.fill(size));
            rest.insert(place, output);
        }
    }
}

/// How many of these, the smallest first, become one; the most for which that pays.
fn paying(list: &List, rest: &[usize], policy: &LayoutPolicy) -> Option<usize> {
    let mut sum = Size::default();
    let mut sums = Vec::with_capacity(rest.len());
    for at in rest {
        sum = sum.plus(list.size(*at));
        sums.push(sum);
    }
    let pays = |last: &usize| policy.tier(sums[*last]) < policy.tier(list.size(rest[*last]));
    // The first pays for nothing: it is its own sum.
    (1..rest.len()).rev().find(pays).map(|last| last + 1)
}
