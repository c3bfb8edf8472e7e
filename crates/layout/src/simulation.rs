//! A table in memory that is laid out, appended to and laid out again by the pieces of this crate
//! alone: what comes of them together, against the bars that a table has to reach.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};

use crate::*;

mod bars;
mod life;
mod shapes;

/// A generator of numbers that are the same every time (xorshift64* by G. Marsaglia and S. Vigna).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// From 0 to 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// By Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

const NAMES: [&str; 2] = ["a", "b"];

/// Rows of two columns of very different magnitude.
#[derive(Debug, Clone, Default)]
struct Rows([Vec<f64>; 2]);

impl Rows {
    /// a uniform, b log-normal in millions.
    fn points(rows: usize, numbers: &mut Numbers) -> Self {
        let a = (0..rows).map(|_| numbers.uniform()).collect();
        let b = (0..rows).map(|_| (2.0 * numbers.normal()).exp() * 1e6).collect();
        Self([a, b])
    }

    fn len(&self) -> usize {
        self.0[0].len()
    }

    fn picked(&self, rows: impl Iterator<Item = usize> + Clone) -> Self {
        Self([0, 1].map(|column| rows.clone().map(|row| self.0[column][row]).collect()))
    }

    fn arrays(&self) -> Vec<ArrayRef> {
        self.0.iter().map(|v| Arc::new(Float64Array::from(v.clone())) as ArrayRef).collect()
    }

    /// Smallest and greatest value of each column.
    fn ends(&self) -> [(f64, f64); 2] {
        let end = |v: &Vec<f64>, of: fn(f64, f64) -> f64| v.iter().copied().reduce(of).unwrap();
        [0, 1].map(|column| (end(&self.0[column], f64::min), end(&self.0[column], f64::max)))
    }
}

/// A fragment of the table in memory.
#[derive(Debug, Clone)]
struct Piece {
    id: u64,
    ends: [(f64, f64); 2],
    ranks: Ranks,
    rows: Rows,
}

struct Table {
    curve: Curve,
    space: Space,
    runs: Runs,
    pieces: Vec<Piece>,
    next_id: u64,
    targets: Targets,
    cuts: Cuts,
}

/// Where outputs end.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cuts {
    /// All have as many rows.
    Equal,
    /// At the turns of the curve.
    Turns,
}

/// What a row takes, in bytes.
const ROW_BYTES: u64 = 45;

impl Table {
    fn new(curve: Curve, rows: &Rows, target_rows: u64) -> Self {
        let space = space_of(rows, BOUNDARIES);
        let targets = Targets { rows: target_rows, bytes: 512 << 20 };
        Self {
            curve,
            space,
            runs: Runs::default(),
            pieces: vec![],
            next_id: 0,
            targets,
            cuts: Cuts::Turns,
        }
    }

    fn append(&mut self, rows: Rows) -> u64 {
        let ranks = self.space.ranks(&rows.arrays()).unwrap();
        self.pieces.push(Piece { id: self.next_id, ends: rows.ends(), ranks, rows });
        self.next_id += 1;
        self.next_id - 1
    }

    fn rows(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.rows.len() as u64).sum()
    }

    fn plan(&self, scope: Scope) -> ClusterPlan {
        let fragment = |piece: &Piece| Fragment {
            id: piece.id,
            rows: piece.rows.len() as u64,
            bytes: piece.rows.len() as u64 * ROW_BYTES,
            ranks: RankBox::around(&piece.ranks),
        };
        let fragments: Vec<_> = self.pieces.iter().map(fragment).collect();
        let (targets, generation) = (self.targets, self.space.generation());
        let request = Request { scope, targets, max_bytes: u64::MAX, generation };
        plan_clustering(&fragments, &self.runs, &request)
    }

    /// Lays the table out, and gives the bytes written.
    fn optimize(&mut self, scope: Scope) -> u64 {
        let ClusterPlan::Rewrite(group) = self.plan(scope) else { return 0 };
        let taken = |piece: &Piece| group.fragments.contains(&piece.id);
        let (sources, kept): (Vec<_>, Vec<_>) = self.pieces.drain(..).partition(taken);
        self.pieces = kept;
        let mut all = Rows::default();
        for piece in &sources {
            for column in 0..2 {
                all.0[column].extend(&piece.rows.0[column]);
            }
        }
        let keys = curve_keys(self.curve, &self.space.ranks(&all.arrays()).unwrap()).unwrap();
        let CurveKeys::Words(keys) = keys else { panic!("two columns fit into a word") };
        let mut order: Vec<_> = (0..all.len()).collect();
        order.sort_by_key(|row| keys.value(*row));
        let sorted = CurveKeys::Words(order.iter().map(|row| keys.value(*row)).collect());
        let mut new = Vec::new();
        let mut from = 0;
        for to in self.ends(&group, &sorted) {
            let to = to as usize;
            let id = self.append(all.picked(order[from..to].iter().copied()));
            let ranks = &self.pieces.last().unwrap().ranks;
            new.push((id, RankBox::around(ranks).unwrap()));
            from = to;
        }
        assert_eq!(from, all.len(), "every row is written");
        self.runs = self.runs.after_rewrite(&group.fragments, &new, self.space.generation());
        assert!(matches!(self.plan(Scope::Changed), ClusterPlan::Nothing { .. }), "then idle");
        group.bytes
    }

    fn ends(&self, group: &ClusterGroup, sorted: &CurveKeys) -> Vec<u64> {
        let rows: u64 = group.outputs.iter().sum();
        match self.cuts {
            Cuts::Turns => Cutter::new(rows, group.full_rows).see(sorted),
            Cuts::Equal => {
                let sum = |sum: &mut u64, rows: &u64| {
                    *sum += rows;
                    Some(*sum)
                };
                group.outputs.iter().scan(0, sum).collect()
            }
        }
    }

    fn extents(&self) -> Vec<Extent> {
        let extent = |piece: &Piece| Extent {
            ranks: RankBox::around(&piece.ranks).unwrap(),
            rows: piece.rows.len() as u64,
        };
        self.pieces.iter().map(extent).collect()
    }

    /// The shares of fragments that queries touch, asked by value as a reader would: ranges of 1 % of
    /// each column, and boxes of 10 % × 10 %.
    fn asked(&self, rows: &Rows) -> ([f64; 2], f64) {
        let mut numbers = Numbers::new(5);
        let sorted = rows.0.clone().map(|mut column| {
            column.sort_by(f64::total_cmp);
            column
        });
        let n = rows.len();
        let window = |column: usize, part: usize, numbers: &mut Numbers| {
            let at = numbers.below(n - n / part);
            (sorted[column][at], sorted[column][at + n / part - 1])
        };
        let meets = |side: (f64, f64), (low, high): (f64, f64)| side.1 >= low && side.0 <= high;
        let share = |hits: usize| hits as f64 / self.pieces.len() as f64;
        let ranges = [0, 1].map(|column| {
            let one = (0..200).map(|_| {
                let range = window(column, 100, &mut numbers);
                share(self.pieces.iter().filter(|p| meets(p.ends[column], range)).count())
            });
            one.sum::<f64>() / 200.0
        });
        let boxes = (0..200).map(|_| {
            let (a, b) = (window(0, 10, &mut numbers), window(1, 10, &mut numbers));
            let hit = |p: &&Piece| meets(p.ends[0], a) && meets(p.ends[1], b);
            share(self.pieces.iter().filter(hit).count())
        });
        (ranges, boxes.sum::<f64>() / 200.0)
    }
}

fn space_of(rows: &Rows, boundaries: usize) -> Space {
    let step = (rows.len() / (BOUNDARIES * SAMPLE_PER_BOUNDARY)).max(1);
    let sample = rows.picked((0..rows.len()).step_by(step));
    let samples = NAMES.iter().zip(sample.arrays());
    let samples: Vec<_> = samples
        .map(|(name, values)| Sample { column: (*name).to_owned(), values: vec![values] })
        .collect();
    Space::from_sample(&samples, boundaries).unwrap()
}
