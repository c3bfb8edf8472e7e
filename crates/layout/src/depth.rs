//! Clustering depth: into how many fragments a row's place in rank space falls.
//!
//! 1 is perfect: wherever a row lies, its own fragment is the only one whose box holds that place. A
//! table of n fragments over the whole space has the depth n. The mean over all rows is what `status`
//! shows; that of one fragment tells the plan whether the fragment is crowded.
//!
//! # How it is counted
//!
//! The rows of a fragment are taken as spread evenly over its box, so the fragment's depth is the sum of the
//! shares of its box that lie in each box, its own included. Boxes are compared in the order of the
//! column in which they are narrowest, and no further than they can reach.

use crate::boxes::{RankBox, length};

/// A fragment as the measures know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Extent {
    /// Where its rows lie.
    pub ranks: RankBox,
    /// How many there are.
    pub rows: u64,
}

/// Boxes are compared with each other at most so often: about a second. Up to 20,000 fragments that is each with
/// each. Of a larger table every n-th is compared with all, and the depth is the mean of those.
const COMPARED_MAX: usize = 400_000_000;

/// The depth of a table: that of its fragments, by rows. 0 without rows.
#[must_use]
pub fn depth(fragments: &[Extent]) -> f64 {
    let boxes: Vec<_> = fragments.iter().map(|fragment| &fragment.ranks).collect();
    let depths = depths(&boxes);
    let known =
        fragments.iter().zip(depths).filter_map(|(fragment, depth)| Some((fragment.rows, depth?)));
    let (rows, sum) =
        known.fold((0, 0.0), |(rows, sum), (more, depth)| (rows + more, sum + more as f64 * depth));
    sum / rows.max(1) as f64
}

/// The depth that a table may have of which some fragments are strangers: their rows may lie anywhere between those that
/// are known. `strangers` is how many there are, and `rows` how many rows they have. `None` where nothing is known.
#[must_use]
pub fn depth_at_most(known: &[Extent], strangers: u64, rows: u64) -> Option<f64> {
    let (first, others) = known.split_first()?;
    let whole = others.iter().fold(first.ranks.clone(), |whole, each| whole.union(&each.ranks));
    let shares: f64 = known.iter().map(|each| whole.share_within(&each.ranks)).sum();
    let rows_known: u64 = known.iter().map(|each| each.rows).sum();
    let strangers = strangers as f64;
    let of_known = rows_known as f64 * (depth(known) + strangers);
    let of_strangers = rows as f64 * (strangers + shares);
    Some((of_known + of_strangers) / rows_known.saturating_add(rows).max(1) as f64)
}

/// The depth of each of these boxes among them; `None` of those that are not compared, because there are too
/// many.
#[must_use]
pub(crate) fn depths(boxes: &[&RankBox]) -> Vec<Option<f64>> {
    depths_of_some(boxes, (boxes.len() * boxes.len()).div_ceil(COMPARED_MAX).max(1))
}

/// The depths of every n-th box.
fn depths_of_some(boxes: &[&RankBox], nth: usize) -> Vec<Option<f64>> {
    let Some(column) = narrowest_column(boxes) else { return Vec::new() };
    let side = |(index, one): (usize, &&RankBox)| (one.sides()[column], index);
    let mut order: Vec<_> = boxes.iter().enumerate().map(side).collect();
    order.sort_unstable();
    // How far any box up to a place reaches: none that begins before it comes up to a box that begins behind.
    let reach = |farthest: &mut u32, ((_, high), _): &((u32, u32), usize)| {
        *farthest = (*farthest).max(*high);
        Some(*farthest)
    };
    let reaches: Vec<_> = order.iter().scan(0, reach).collect();
    let mut depths = vec![None; boxes.len()];
    for (place, ((low, high), one)) in order.iter().enumerate() {
        if one % nth != 0 {
            continue;
        }
        let before = (0..place).rev().take_while(|before| reaches[*before] >= *low);
        let behind = (place + 1..order.len()).take_while(|behind| order[*behind].0.0 <= *high);
        let share = |other: usize| boxes[*one].share_within(boxes[order[other].1]);
        depths[*one] = Some(1.0 + before.chain(behind).map(share).sum::<f64>());
    }
    depths
}

/// The column in whose order the fewest boxes reach far.
fn narrowest_column(boxes: &[&RankBox]) -> Option<usize> {
    let columns = boxes.first()?.sides().len();
    let width = |column: usize| boxes.iter().map(|b| length(b.sides()[column])).sum::<f64>();
    (0..columns).min_by(|one, other| width(*one).total_cmp(&width(*other)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn extent(sides: &[(u32, u32)], rows: u64) -> Extent {
        Extent { ranks: RankBox::new(sides.to_vec()), rows }
    }

    #[test]
    fn depth_is_one_where_nothing_overlaps_and_n_where_all_do() {
        let strips: Vec<_> = (0..50).map(|n| extent(&[(n * 10, n * 10 + 9), (0, 99)], 7)).collect();
        assert!((depth(&strips) - 1.0).abs() < 1e-9);
        let piled: Vec<_> = (0..50).map(|_| extent(&[(0, 9), (0, 99)], 7)).collect();
        assert!((depth(&piled) - 50.0).abs() < 1e-9);
        assert!(depth(&[]).abs() < 1e-9);
    }

    #[test]
    fn rows_weigh_what_they_are() {
        // Of the large one a tenth is shared; the small one lies in it wholly.
        let two = [extent(&[(0, 9)], 90), extent(&[(0, 0)], 10)];
        assert!((depth(&two) - (0.9 * 1.1 + 0.1 * 2.0)).abs() < 1e-9);
    }

    #[test]
    fn strangers_may_lie_anywhere_between_those_that_are_known() {
        assert_eq!(depth_at_most(&[], 3, 30), None);
        let strips: Vec<_> = (0..4).map(|n| extent(&[(n * 10, n * 10 + 9)], 10)).collect();
        assert!((depth_at_most(&strips, 0, 0).unwrap() - depth(&strips)).abs() < 1e-9);
        // As if two more lay over all of them.
        let over = extent(&[(0, 39)], 5);
        let all: Vec<_> = strips.iter().cloned().chain([over.clone(), over]).collect();
        assert!((depth_at_most(&strips, 2, 10).unwrap() - depth(&all)).abs() < 1e-9);
    }

    #[test]
    fn of_very_many_every_nth_is_compared_with_all() {
        // Each overlaps with the six before it and the six behind.
        let wide: Vec<_> = (0..900).map(|n| RankBox::new(vec![(n * 10, n * 10 + 69)])).collect();
        let boxes: Vec<_> = wide.iter().collect();
        let all = depths_of_some(&boxes, 1);
        let some = depths_of_some(&boxes, 7);
        assert!((all[450].unwrap() - 7.0).abs() < 1e-9);
        for (index, depth) in some.iter().enumerate() {
            assert_eq!(*depth, all[index].filter(|_| index % 7 == 0));
        }
    }

    proptest! {
        #[test]
        fn depth_is_that_of_comparing_each_with_each(
            sides in proptest::collection::vec(
                proptest::collection::vec((0..60_u32, 0..30_u32), 2), 1..40),
        ) {
            let side = |(low, length): &(u32, u32)| (*low, low + length);
            let all: Vec<_> = sides
                .iter()
                .map(|sides| extent(&sides.iter().map(side).collect::<Vec<_>>(), 1))
                .collect();
            let of = |one: &Extent| all.iter().map(|o| one.ranks.share_within(&o.ranks)).sum::<f64>();
            let expected = all.iter().map(of).sum::<f64>() / all.len() as f64;
            prop_assert!((depth(&all) - expected).abs() < 1e-9);
        }
    }
}
