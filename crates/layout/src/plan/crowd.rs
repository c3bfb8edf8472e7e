//! Fragments that overlap a lot although one run wrote them: which of them to take out, so that the others
//! are as they were.
//!
//! A fragment that lies over all others makes each of them deeper by one. So it is not the deep ones that are
//! taken, but those that lie over most of the deep ones, one after the other, until none is deep any more.

use super::Fragment;
use crate::boxes::RankBox;
use crate::depth::depths;

/// A run is crowded if a fragment of it is deeper than so many times the deepest when it was written, and one more. Twice
/// is not yet worth a rewrite, and what could not be laid out better is never tried again.
const DEEP: f64 = 2.0;

/// Once it is crowded, fragments are taken out until none is deeper than so many times the deepest then.
const RELIEVED: f64 = 1.5;

/// The fragments that crowd a run, and the rest.
pub(super) fn split(worst_depth: f64, all: Vec<&Fragment>) -> (Vec<&Fragment>, Vec<&Fragment>) {
    let placed: Vec<_> = all.iter().filter_map(|fragment| fragment.ranks.as_ref()).collect();
    let mut out = taken_out(worst_depth, &placed).into_iter();
    // Where a fragment lies may be unknown; then it crowds nothing.
    all.into_iter().partition(|fragment| {
        fragment.ranks.is_some() && out.next().expect("one answer for each box")
    })
}

/// For each box whether it is taken out.
fn taken_out(worst_depth: f64, boxes: &[&RankBox]) -> Vec<bool> {
    let depths = depths(boxes);
    let is_deep = |depth: &f64| *depth > DEEP * worst_depth + 1.0;
    let mut out = vec![false; boxes.len()];
    if !depths.iter().flatten().any(is_deep) {
        return out;
    }
    let mut deep = Deep::new(boxes, &depths, RELIEVED * worst_depth);
    // Each round takes one of them out.
    while let Some(worst) = deep.covering_most(&out) {
        out[worst] = true;
        deep.without(worst);
    }
    out
}

/// The boxes that are deeper than they should be.
struct Deep<'a> {
    boxes: &'a [&'a RankBox],
    /// Which ones, and how deep.
    deep: Vec<(usize, f64)>,
    /// For each box how many of those it covers, in parts.
    covers: Vec<f64>,
    most: f64,
}

impl<'a> Deep<'a> {
    fn new(boxes: &'a [&'a RankBox], depths: &[Option<f64>], most: f64) -> Self {
        let known = depths.iter().enumerate().filter_map(|(index, depth)| Some((index, (*depth)?)));
        let deep: Vec<_> = known.filter(|(_, depth)| *depth > most).collect();
        let mut covers = vec![0.0; boxes.len()];
        for (index, _) in &deep {
            cover(boxes, *index, 1.0, &mut covers);
        }
        Self { boxes, deep, covers, most }
    }

    /// The box that is not out yet and covers the most of them; `None` if there are none.
    fn covering_most(&self, out: &[bool]) -> Option<usize> {
        self.deep.first()?;
        let left = (0..self.boxes.len()).filter(|index| !out[*index]);
        left.reduce(|best, next| if self.covers[next] > self.covers[best] { next } else { best })
    }

    /// Takes one out: what it covers is less deep, and what is no longer deep needs no relief.
    fn without(&mut self, taken: usize) {
        let (boxes, most, covers) = (self.boxes, self.most, &mut self.covers);
        self.deep.retain_mut(|(index, depth)| {
            *depth -= boxes[*index].share_within(boxes[taken]);
            let stays = *index != taken && *depth > most;
            if !stays {
                cover(boxes, *index, -1.0, covers);
            }
            stays
        });
    }
}

/// Adds to each box which part of this one it covers.
fn cover(boxes: &[&RankBox], index: usize, times: f64, covers: &mut [f64]) {
    for (other, sum) in covers.iter_mut().enumerate().filter(|(other, _)| *other != index) {
        *sum += times * boxes[index].share_within(boxes[other]);
    }
}
