//! What following the edges of a graph touches: from some nodes along their edges in one direction, and one
//! step further.
//!
//! # Overview
//!
//! Edges are looked at in three passes, in any order and any number of batches, and nodes are known by a hash:
//!
//! 1. [`Starts`] picks the nodes whose edges are followed.
//! 2. [`Walk`] learns to which nodes these edges lead.
//! 3. [`Steps`] sees in which fragments the edges of both lie.
//!
//! The starts are those with the smallest hashes, and so are the neighbours where there are too many: the same edges
//! always give the same ones, wherever they lie. So the third pass over the same edges in another order
//! can be compared with the first.

use std::collections::{BTreeSet, HashMap};

use lancekeeper_model::Touch;

/// Nodes whose edges are followed.
pub const STARTS: usize = 100;

/// The neighbours of a start whose own edges are followed, at most. A node with more of them touches nearly every
/// fragment anyway.
pub const NEIGHBOURS_MAX: usize = 1_000;

/// Picks the nodes whose edges are followed.
#[derive(Debug, Clone, Default)]
pub struct Starts {
    smallest: BTreeSet<u64>,
}

/// Where the edges of some nodes lead, in one direction.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// The starts, each with its place.
    starts: HashMap<u64, usize>,
    /// The neighbours of each start.
    neighbours: Vec<BTreeSet<u64>>,
}

/// Which fragments the edges of the starts lie in, and which those of their neighbours.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    starts: HashMap<u64, usize>,
    /// Each neighbour, with the places of its starts.
    neighbours: HashMap<u64, Vec<usize>>,
    /// Of each start the fragments after one step, and what the second adds.
    fragments: Vec<[BTreeSet<u64>; 2]>,
}

/// Adds to a set that holds no more than so many, the smallest ones.
fn keep_smallest(set: &mut BTreeSet<u64>, node: u64, most: usize) {
    if set.len() == most && set.last().is_some_and(|largest| node >= *largest) {
        return;
    }
    set.insert(node);
    if set.len() > most {
        set.pop_last();
    }
}

impl Starts {
    /// Shown the nodes that edges begin at.
    pub fn see(&mut self, nodes: &[u64]) {
        nodes.iter().for_each(|node| keep_smallest(&mut self.smallest, *node, STARTS));
    }

    /// A walk from the nodes that were picked.
    #[must_use]
    pub fn into_walk(self) -> Walk {
        let starts: HashMap<u64, usize> = self.smallest.into_iter().zip(0..).collect();
        Walk { neighbours: vec![BTreeSet::new(); starts.len()], starts }
    }
}

impl Walk {
    /// From how many nodes it goes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is no node to go from.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Shown edges, each by the node it is followed from and the one it leads to.
    pub fn learn(&mut self, from: &[u64], to: &[u64]) {
        for (from, to) in from.iter().zip(to) {
            if let Some(start) = self.starts.get(from) {
                keep_smallest(&mut self.neighbours[*start], *to, NEIGHBOURS_MAX);
            }
        }
    }

    /// The steps of the walk, of which no edge was seen yet.
    #[must_use]
    pub fn steps(&self) -> Steps {
        let mut neighbours = HashMap::<u64, Vec<usize>>::new();
        for (start, nodes) in self.neighbours.iter().enumerate() {
            nodes.iter().for_each(|node| neighbours.entry(*node).or_default().push(start));
        }
        let fragments = vec![Default::default(); self.starts.len()];
        Steps { starts: self.starts.clone(), neighbours, fragments }
    }
}

impl Steps {
    /// Shown edges of one fragment, each by the node it is followed from.
    pub fn see(&mut self, fragment: u64, from: &[u64]) {
        for node in from {
            if let Some(start) = self.starts.get(node) {
                self.fragments[*start][0].insert(fragment);
            }
            for start in self.neighbours.get(node).into_iter().flatten() {
                self.fragments[*start][1].insert(fragment);
            }
        }
    }

    /// What one step touches and what two do, on average over the starts. `bytes_of`: the size of a fragment.
    #[must_use]
    pub fn touched(&self, bytes_of: impl Fn(u64) -> u64) -> [Touch; 2] {
        let one = self.fragments.iter().map(|[one, _]| one.iter().copied().collect());
        let two = self.fragments.iter().map(|[one, two]| one.union(two).copied().collect());
        [mean(one, &bytes_of), mean(two, &bytes_of)]
    }
}

fn mean(sets: impl Iterator<Item = Vec<u64>>, bytes_of: impl Fn(u64) -> u64) -> Touch {
    let (mut starts, mut fragments, mut bytes) = (0_u64, 0_u64, 0_u64);
    for set in sets {
        starts += 1;
        fragments += set.len() as u64;
        bytes = set.iter().fold(bytes, |sum, fragment| sum.saturating_add(bytes_of(*fragment)));
    }
    let starts = starts.max(1);
    Touch { fragments: fragments as f64 / starts as f64, bytes: bytes / starts }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, UInt64Array};

    use super::*;
    use crate::simulation::Numbers;
    use crate::{BOUNDARIES, Curve, CurveKeys, Sample, Space, curve_keys};

    /// Edges, and how many of them are in each fragment.
    type Edges = (Vec<(u64, u64)>, usize);

    /// The means along the edges and against them: `[[one, two]; 2]`.
    fn measured(walked: &Edges, (edges, each): &Edges) -> [[Touch; 2]; 2] {
        [false, true].map(|is_back| {
            let ends = |edges: &[(u64, u64)]| -> (Vec<u64>, Vec<u64>) {
                let turned = edges.iter().map(|(a, b)| if is_back { (*b, *a) } else { (*a, *b) });
                turned.unzip()
            };
            let (from, to) = ends(&walked.0);
            let mut starts = Starts::default();
            from.chunks(1_000).for_each(|nodes| starts.see(nodes));
            let mut walk = starts.into_walk();
            walk.learn(&from, &to);
            let mut steps = walk.steps();
            for (fragment, edges) in (0..).zip(edges.chunks(*each)) {
                steps.see(fragment, &ends(edges).0);
            }
            steps.touched(|_| 10)
        })
    }

    #[test]
    fn steps_are_counted_in_both_directions() {
        // 1 → 2 → 3 and 1 → 4, each in a fragment of its own.
        let edges = (vec![(1, 2), (2, 3), (1, 4)], 1);
        let [out, back] = measured(&edges, &edges);
        // From 1 there are two edges and then one more, from 2 only its own.
        let touch = |fragments, bytes| Touch { fragments, bytes };
        assert_eq!(out, [touch(1.5, 15), touch(2.0, 20)]);
        // Into each of 2, 3 and 4 comes one, and before that into 3 another.
        assert_eq!(back, [touch(1.0, 10), touch(4.0 / 3.0, 13)]);
        assert_eq!(Starts::default().into_walk().steps().touched(|_| 1), [Touch::default(); 2]);
    }

    #[test]
    fn the_same_nodes_are_walked_from_however_the_edges_lie() {
        let mut numbers = Numbers::new(3);
        let edges: Vec<_> = (0..5_000).map(|_| (numbers.next() % 900, numbers.next())).collect();
        let turned: Vec<_> = edges.iter().rev().copied().collect();
        let walk = |edges: &[(u64, u64)]| {
            let (from, to): (Vec<u64>, Vec<u64>) = edges.iter().copied().unzip();
            let mut starts = Starts::default();
            starts.see(&from);
            let mut walk = starts.into_walk();
            walk.learn(&from, &to);
            walk
        };
        let (one, other) = (walk(&edges), walk(&turned));
        assert_eq!(one.len(), STARTS);
        assert_eq!((one.starts, one.neighbours), (other.starts, other.neighbours));
    }

    /// Edges of nodes with so many each, along Hilbert's curve over the ranks of both ends.
    fn along_hilbert(edges: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let column = |of: fn(&(u64, u64)) -> u64| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(edges.iter().map(of)))
        };
        let columns = [column(|edge| edge.0), column(|edge| edge.1)];
        let samples = ["src", "dst"].into_iter().zip(&columns).map(|(column, values)| Sample {
            column: column.to_owned(),
            values: vec![Arc::clone(values)],
        });
        let space = Space::from_sample(&samples.collect::<Vec<_>>(), BOUNDARIES).unwrap();
        let keys = curve_keys(Curve::Hilbert, &space.ranks(&columns).unwrap()).unwrap();
        let CurveKeys::Words(keys) = keys else { panic!("two columns fit a word") };
        let mut keyed: Vec<_> = keys.values().iter().zip(edges).collect();
        keyed.sort();
        keyed.into_iter().map(|(_, edge)| *edge).collect()
    }

    /// The figures of the layout `graph` beside those of `sort:src,dst`: the table in `docs/architecture.md`.
    #[test]
    fn along_the_curve_both_directions_touch_fewer_fragments_than_as_they_came() {
        let of = |edges: usize, degree: usize, is_skewed: bool, numbers: &mut Numbers| {
            let nodes = edges / degree;
            let mut node = || match is_skewed {
                // Scrambled, so that names say nothing of how frequent they are.
                true => (nodes as f64 * numbers.uniform().powi(3)) as u64 * 7_919 % nodes as u64,
                false => numbers.below(nodes) as u64,
            };
            (0..edges).map(|_| (node(), node())).collect::<Vec<_>>()
        };
        let edges = 60_000;
        let mut sums = [0.0; 2];
        for (is_skewed, degree, fragments) in [
            (false, 3, 16),
            (false, 3, 64),
            (false, 10, 16),
            (false, 10, 64),
            (false, 40, 16),
            (false, 40, 64),
            (true, 10, 16),
            (true, 10, 64),
        ] {
            let came = of(edges, degree, is_skewed, &mut Numbers::new(7));
            let mut sorted = came.clone();
            sorted.sort_unstable();
            let curved = along_hilbert(&came);
            let each = edges.div_ceil(fragments);
            let came = (came, each);
            let show = |[[out, out_2], [back, back_2]]: &[[Touch; 2]; 2]| {
                let [out, back, out_2, back_2] = [out, back, out_2, back_2].map(|t| t.fragments);
                format!("{out:.1} / {back:.1}, {out_2:.1} / {back_2:.1}")
            };
            let before = measured(&came, &came);
            let [by_sort, by_curve] = [sorted, curved].map(|edges| measured(&came, &(edges, each)));
            let name = if is_skewed { "skewed" } else { "even" };
            println!(
                "| {degree}, {name} | {fragments} | {} | {} | {} |",
                show(&before),
                show(&by_sort),
                show(&by_curve)
            );
            for (direction, (before, after)) in before.iter().zip(&by_curve).enumerate() {
                let [before, after] = [before, after].map(|[one, _]| one.fragments);
                assert!(after < 0.9 * before, "{degree}, {fragments}, {direction}: {after}");
            }
            for (sum, of) in sums.iter_mut().zip([&by_sort, &by_curve]) {
                *sum += of.iter().map(|[one, _]| one.fragments).sum::<f64>();
            }
        }
        let [by_sort, by_curve] = sums;
        assert!(by_curve < by_sort, "{by_curve} {by_sort}");
    }
}
