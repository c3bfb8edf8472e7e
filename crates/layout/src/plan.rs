//! Which fragments are clustered anew, and how many rows each new one gets.
//!
//! # Overview
//!
//! What was appended since is clustered, because every row has to be once. With it go
//!
//! * fragments of a run that **crowd** it: with them the run is more than twice as deep as it was when it was written
//!   (`crowd`), for example because a column was written anew in place;
//! * runs that are **misfits**: they have more than twice as many fragments as the targets ask for, or fewer than
//!   half, for example because the targets have changed;
//! * runs that are not larger than everything that is rewritten besides (`merge`).
//!
//! A few appended rows lie all over the space, so they cannot be put into the fragments where they belong
//! without rewriting every one of those. They become a small run of their own instead, and runs are merged as
//! they grow: **a run is rewritten only together with at least as much as itself.** So each time
//! a row is written again its run has at least doubled: over the life of a table every byte
//! is written at most 1 + log2 (table ÷ smallest run) times. And every run that remains is larger than
//! all smaller ones together, so there are at most log2 of them, and the largest is never touched for
//! a small append. `amplification` has the figures.
//!
//! Everything that is rewritten becomes one run: one group, with any number of outputs.
//!
//! # Invariants
//!
//! * A second plan after a plan was carried out is empty.
//! * No fragment stands in a plan twice, and the outputs have the rows of the sources.

mod crowd;
mod merge;
mod words;

#[cfg(test)]
mod amplification;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

use crate::boxes::RankBox;
use crate::runs::Runs;

/// A run is a misfit if its number of fragments is off by more than this factor.
const MISFIT: u64 = 2;

/// A fragment of the table. Those that must not be rewritten are not given.
#[derive(Debug, Clone, PartialEq)]
pub struct Fragment {
    /// Lance's id.
    pub id: u64,
    /// Rows that are not deleted.
    pub rows: u64,
    /// Bytes of those rows.
    pub bytes: u64,
    /// Where its rows lie in the space of today. May be left out of what is of no run, which is
    /// clustered wherever it lies; of a run's fragments it tells whether they crowd the run.
    pub ranks: Option<RankBox>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What was appended and what overlaps.
    Changed,
    /// Every fragment, unless the table is one run of this space already, with fragments of the right size.
    Full,
}

/// When an output is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Targets {
    /// At this many rows; at least 1.
    pub rows: u64,
    /// At this many bytes; at least 1.
    pub bytes: u64,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterPlan {
    /// These fragments become one run.
    Rewrite(ClusterGroup),
    /// There is no work, and why.
    Nothing {
        /// In words.
        reason: String,
    },
}

/// Fragments that are clustered together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterGroup {
    /// Their ids, ascending.
    pub fragments: Vec<u64>,
    /// Their bytes, which are read and written.
    pub bytes: u64,
    /// The rows of each output, in the order of the layout, as equal as can be. Empty if no row is left. Along a
    /// curve a `Cutter` ends them where they have smaller boxes, which makes them a few more.
    pub outputs: Vec<u64>,
    /// The most rows that an output may have, by the target of rows or, as wide as these rows are, of bytes.
    pub full_rows: u64,
    /// Of the fragments, those of no run.
    pub appended: usize,
    /// Of the fragments, those that crowd their runs.
    pub crowded: usize,
    /// Runs that are rewritten whole.
    pub merged_runs: usize,
}

/// What a run of `optimize` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What is looked at.
    pub scope: Scope,
    /// When outputs are full.
    pub targets: Targets,
    /// Earlier runs are merged only as far as everything that is rewritten stays below this. What must be clustered
    /// is, however much it is, and [`Scope::Full`] asks for everything. `u64::MAX` is no limit.
    pub max_bytes: u64,
    /// That of the space. Only [`Scope::Full`] looks at it: runs of an earlier space are still runs.
    pub generation: u32,
}

/// Decides what a run of `optimize` clusters.
#[must_use]
pub fn plan_clustering(fragments: &[Fragment], runs: &Runs, request: &Request) -> ClusterPlan {
    let targets = request.targets;
    let sorted = Sorted::new(fragments, runs, targets);
    let taken = match request.scope {
        Scope::Full if sorted.is_one_run_of(request.generation) => {
            let reason = "everything is one run of this space already".to_owned();
            return ClusterPlan::Nothing { reason };
        }
        Scope::Full => sorted.members.iter().map(|members| members.run).collect(),
        Scope::Changed => {
            merge::joining(&sorted.loose(), &sorted.sizes(), targets, request.max_bytes)
        }
    };
    sorted.plan(&taken, targets)
}

/// The fragments by what they are.
struct Sorted<'a> {
    appended: Vec<&'a Fragment>,
    crowded: Vec<&'a Fragment>,
    misfits: Vec<Members<'a>>,
    members: Vec<Members<'a>>,
}

/// A run and those of its fragments that do not crowd it.
struct Members<'a> {
    run: usize,
    generation: u32,
    fragments: Vec<&'a Fragment>,
}

/// Rows and bytes of some fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Size {
    rows: u64,
    bytes: u64,
}

impl<'a> Sorted<'a> {
    fn new(fragments: &'a [Fragment], runs: &Runs, targets: Targets) -> Self {
        let mut appended = Vec::new();
        let mut of_runs = vec![Vec::new(); runs.len()];
        for fragment in fragments {
            let home = runs.of(fragment.id).map(|run| &mut of_runs[run]);
            home.unwrap_or(&mut appended).push(fragment);
        }
        let mut sorted = Self { appended, crowded: vec![], misfits: vec![], members: vec![] };
        for (index, (run, all)) in runs.runs.iter().zip(of_runs).enumerate() {
            let (crowded, fragments) = crowd::split(run.worst_depth, all);
            sorted.crowded.extend(crowded);
            let members = Members { run: index, generation: run.generation, fragments };
            match members.fragments.as_slice() {
                [] => {}
                _ if members.is_misfit(targets) => sorted.misfits.push(members),
                _ => sorted.members.push(members),
            }
        }
        sorted
    }

    /// What is rewritten in any case.
    fn loose(&self) -> Size {
        let misfits = self.misfits.iter().flat_map(|members| &members.fragments);
        Size::of(self.appended.iter().chain(&self.crowded).chain(misfits))
    }

    /// The runs that may be left as they are, each with its place.
    fn sizes(&self) -> Vec<(usize, Size)> {
        self.members.iter().map(|run| (run.run, Size::of(&run.fragments))).collect()
    }

    fn is_one_run_of(&self, generation: u32) -> bool {
        let loose = self.appended.len() + self.crowded.len() + self.misfits.len();
        loose == 0
            && self.members.len() <= 1
            && self.members.iter().all(|run| run.generation == generation)
    }

    /// The plan that takes these runs along.
    fn plan(&self, taken: &[usize], targets: Targets) -> ClusterPlan {
        let joined: Vec<_> = self.members.iter().filter(|run| taken.contains(&run.run)).collect();
        let of_runs = self.misfits.iter().chain(joined.iter().copied());
        let of_runs = of_runs.flat_map(|run| &run.fragments);
        let all: Vec<_> = self.appended.iter().chain(&self.crowded).chain(of_runs).collect();
        if all.is_empty() {
            return ClusterPlan::Nothing { reason: words::why_nothing(self.members.len()) };
        }
        let size = Size::of(all.iter().copied());
        let mut fragments: Vec<_> = all.iter().map(|fragment| fragment.id).collect();
        fragments.sort_unstable();
        ClusterPlan::Rewrite(ClusterGroup {
            fragments,
            bytes: size.bytes,
            outputs: outputs(size, targets),
            full_rows: full_rows(size, targets),
            appended: self.appended.len(),
            crowded: self.crowded.len(),
            merged_runs: self.misfits.len() + joined.len(),
        })
    }
}

impl Members<'_> {
    fn is_misfit(&self, targets: Targets) -> bool {
        let wanted = outputs(Size::of(&self.fragments), targets).len() as u64;
        let are = self.fragments.len() as u64;
        are > wanted * MISFIT || wanted > are * MISFIT
    }
}

impl Size {
    fn of<'a, 'b: 'a>(fragments: impl IntoIterator<Item = &'a &'b Fragment>) -> Self {
        fragments.into_iter().fold(Self::default(), |sum, fragment| {
            sum.plus(Self { rows: fragment.rows, bytes: fragment.bytes })
        })
    }

    fn plus(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, bytes: self.bytes + other.bytes }
    }
}

/// Outputs of equal size, as few as stay below the targets.
fn outputs(size: Size, targets: Targets) -> Vec<u64> {
    let by_rows = size.rows.div_ceil(targets.rows);
    let by_bytes = size.bytes.div_ceil(targets.bytes);
    // No output without a row, however wide the rows are.
    let count = by_rows.max(by_bytes).min(size.rows);
    let (each, more) = (size.rows / count.max(1), size.rows % count.max(1));
    (0..count).map(|output| each + u64::from(output < more)).collect()
}

fn full_rows(size: Size, targets: Targets) -> u64 {
    let fit = u128::from(size.rows) * u128::from(targets.bytes);
    let fit = fit.div_ceil(u128::from(size.bytes.max(1)));
    targets.rows.min(u64::try_from(fit).unwrap_or(u64::MAX)).max(1)
}
