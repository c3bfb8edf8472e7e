//! Runs: which fragments were clustered together, and so do not overlap each other more than they must.
//!
//! A run is what one rewrite wrote. What was appended since, or written by another tool, is of no
//! run. The runs of a table are kept with its space (`document`); Lance gives the fragments of one
//! rewrite ids in a row, so a run takes a few bytes, however large it is.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::boxes::RankBox;
use crate::depth::depths;

/// The fragments of one rewrite.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Their ids: ranges that ascend and do not touch.
    pub(crate) fragments: Vec<RangeInclusive<u64>>,
    /// The depth of its deepest fragment when it was written: as good as this data can be laid out.
    pub(crate) worst_depth: f64,
    /// The generation of the space it was written in.
    pub(crate) generation: u32,
}

/// The runs of a table. Each fragment is of one run at most.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Runs {
    pub(crate) runs: Vec<Run>,
}

impl Run {
    fn of(ids: &BTreeSet<u64>, worst_depth: f64, generation: u32) -> Self {
        let mut fragments: Vec<RangeInclusive<u64>> = Vec::new();
        for id in ids {
            match fragments.last_mut() {
                Some(last) if last.end() + 1 == *id => *last = *last.start()..=*id,
                _ => fragments.push(*id..=*id),
            }
        }
        Self { fragments, worst_depth, generation }
    }

    /// Whether the fragment was written by it.
    #[must_use]
    pub fn has(&self, fragment: u64) -> bool {
        let after = self.fragments.partition_point(|range| *range.start() <= fragment);
        after.checked_sub(1).is_some_and(|at| self.fragments[at].contains(&fragment))
    }

    /// The same run of those of its fragments that satisfy this; `None` if none does.
    fn kept(&self, keep: impl Fn(u64) -> bool) -> Option<Self> {
        let ids: BTreeSet<_> =
            self.fragments.iter().cloned().flatten().filter(|id| keep(*id)).collect();
        (!ids.is_empty()).then(|| Self::of(&ids, self.worst_depth, self.generation))
    }
}

impl Runs {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether nothing of the table was clustered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The place of the run that wrote a fragment.
    #[must_use]
    pub fn of(&self, fragment: u64) -> Option<usize> {
        self.runs.iter().position(|run| run.has(fragment))
    }

    /// The runs after a rewrite: `gone` were its sources, and the new fragments with their boxes, in a space of
    /// this generation, are one more run.
    #[must_use]
    pub fn after_rewrite(&self, gone: &[u64], new: &[(u64, RankBox)], generation: u32) -> Self {
        let gone: BTreeSet<_> = gone.iter().copied().collect();
        let kept = |run: &Run| run.kept(|id| !gone.contains(&id));
        let mut runs: Vec<_> = self.runs.iter().filter_map(kept).collect();
        let boxes: Vec<_> = new.iter().map(|(_, ranks)| ranks).collect();
        let worst_depth = depths(&boxes).into_iter().flatten().fold(1.0, f64::max);
        let ids: BTreeSet<_> = new.iter().map(|(id, _)| *id).collect();
        if !ids.is_empty() {
            runs.push(Run::of(&ids, worst_depth, generation));
        }
        Self { runs }
    }

    /// The runs with a fragment more, in the run of another one of the same rows, if that has one: both stand
    /// there until it is clear which of them the table has.
    #[must_use]
    pub(crate) fn with_twin(&self, of: u64, twin: u64) -> Self {
        let mut runs = self.runs.clone();
        if let Some(home) = self.of(of) {
            let run = &runs[home];
            let ids = run.fragments.iter().cloned().flatten().chain([twin]).collect();
            runs[home] = Run::of(&ids, run.worst_depth, run.generation);
        }
        Self { runs }
    }

    /// The runs without the fragments that the table no longer has.
    #[must_use]
    pub fn retain(&self, present: impl Fn(u64) -> bool) -> Self {
        Self { runs: self.runs.iter().filter_map(|run| run.kept(&present)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(n: u32) -> RankBox {
        RankBox::new(vec![(n * 10, n * 10 + 9)])
    }

    fn ids(runs: &Runs) -> Vec<Vec<u64>> {
        let of = |run: &Run| run.fragments.iter().cloned().flatten().collect();
        runs.runs.iter().map(of).collect()
    }

    #[test]
    fn a_rewrite_takes_its_sources_from_their_runs_and_makes_one() {
        let first = Runs::default().after_rewrite(&[0, 1], &[(5, side(0)), (6, side(1))], 0);
        assert_eq!(ids(&first), [[5, 6]]);
        assert_eq!(first.runs[0].fragments, [5..=6]);
        assert!((first.runs[0].worst_depth - 1.0).abs() < 1e-9);
        let new = [(8, side(0)), (9, side(0)), (12, side(0))];
        let second = first.after_rewrite(&[6, 7], &new, 3);
        assert_eq!(ids(&second), [vec![5], vec![8, 9, 12]]);
        assert_eq!(second.runs[1].fragments, [8..=9, 12..=12]);
        assert!((second.runs[1].worst_depth - 3.0).abs() < 1e-9);
        assert_eq!((second.of(9), second.of(10), second.of(5)), (Some(1), None, Some(0)));
        assert_eq!(ids(&second.after_rewrite(&[5, 8, 9, 12], &[], 3)), Vec::<Vec<u64>>::new());
        assert_eq!(ids(&second.retain(|id| id > 8)), [[9, 12]]);
    }

    #[test]
    fn a_twin_stands_in_the_run_of_the_fragment_that_it_was_copied_from() {
        let runs = Runs::default()
            .after_rewrite(&[], &[(1, side(0)), (2, side(1))], 0)
            .after_rewrite(&[], &[(4, side(0))], 0);
        assert_eq!(ids(&runs.with_twin(2, 9)), [vec![1, 2, 9], vec![4]]);
        assert_eq!(ids(&runs.with_twin(7, 9)), [vec![1, 2], vec![4]]);
    }
}
