//! Merge bases: without them two branches can never be merged again.

use std::collections::{BTreeSet, HashMap, VecDeque};

use lancekeeper_model::Branch;

use super::authority::{Authority, BranchFacts};

/// Everything that is in the history of some branch other than `branch`, as its newest commits
/// tell.
pub(crate) fn merged_elsewhere<'a>(authority: &'a Authority, branch: &Branch) -> BTreeSet<&'a str> {
    let commits = Commits::of(authority);
    let others = authority.branches.iter().filter(|other| other.branch != *branch);
    let mut merged = BTreeSet::new();
    for head in others.filter_map(|other| commits.head(other)) {
        let before = commits.ancestors(head);
        merged.extend(commits.ids.iter().zip(before).filter(|(_, is)| *is).map(|(id, _)| *id));
    }
    merged
}

/// Every commit from which a merge of two live branches may start, with those branches.
///
/// The clients take the common ancestor that is nearest to both heads, and know only commits in the history
/// of either branch: that of a branch which was merged into it ends at the commit that was merged. So theirs
/// may lie behind the best one, which is the one that no other common ancestor descends from and which
/// another client may look for. There may be several of both kinds, and all are kept.
pub(super) fn merge_bases(authority: &Authority) -> Vec<(String, Branch, Branch)> {
    let commits = Commits::of(authority);
    let sides: Vec<Side<'_>> =
        authority.branches.iter().filter_map(|branch| Side::of(branch, &commits)).collect();
    let mut bases = Vec::new();
    for (at, one) in sides.iter().enumerate() {
        for other in &sides[at + 1..] {
            let mut of_pair: BTreeSet<usize> = commits.best(one, other).into_iter().collect();
            of_pair.extend(commits.nearest(one, other));
            bases.extend(of_pair.into_iter().map(|base| {
                let id = commits.ids[base].to_owned();
                (id, one.branch.branch.clone(), other.branch.branch.clone())
            }));
        }
    }
    bases
}

/// A branch that may be merged. Commits are told by their places in [`Commits`].
struct Side<'a> {
    branch: &'a BranchFacts,
    head: usize,
    /// Which commits stand in its own history.
    rows: Vec<bool>,
    /// Which commits its head descends from, itself included.
    ancestors: Vec<bool>,
}

impl<'a> Side<'a> {
    fn of(branch: &'a BranchFacts, commits: &Commits<'_>) -> Option<Self> {
        let head = commits.head(branch)?;
        let mut rows = vec![false; commits.ids.len()];
        for id in &branch.commits {
            if let Some(at) = commits.places.get(id.as_str()) {
                rows[*at] = true;
            }
        }
        Some(Self { branch, head, rows, ancestors: commits.ancestors(head) })
    }
}

/// The commits of all branches, and which come before which.
struct Commits<'a> {
    ids: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
    parents: Vec<Vec<usize>>,
}

impl<'a> Commits<'a> {
    fn of(authority: &'a Authority) -> Self {
        let ids: Vec<&str> = authority.commits.iter().map(|commit| commit.id.as_str()).collect();
        let places: HashMap<&str, usize> = ids.iter().zip(0..).map(|(id, at)| (*id, at)).collect();
        let parents = authority.commits.iter().map(|commit| {
            let known = commit.parents.iter().filter_map(|id| places.get(id.as_str()));
            known.copied().collect()
        });
        Self { parents: parents.collect(), ids, places }
    }

    fn head(&self, branch: &BranchFacts) -> Option<usize> {
        self.places.get(branch.head_commit.as_deref()?).copied()
    }

    /// A commit and everything before it.
    fn ancestors(&self, from: usize) -> Vec<bool> {
        let mut found = vec![false; self.ids.len()];
        let mut open = vec![from];
        while let Some(commit) = open.pop() {
            if !std::mem::replace(&mut found[commit], true) {
                open.extend(&self.parents[commit]);
            }
        }
        found
    }

    /// The common ancestors that are no parent of another one.
    fn best(&self, one: &Side<'_>, other: &Side<'_>) -> Vec<usize> {
        let mut best: Vec<bool> =
            one.ancestors.iter().zip(&other.ancestors).map(|(one, other)| *one && *other).collect();
        let common: Vec<usize> = (0..best.len()).filter(|at| best[*at]).collect();
        for parent in common.iter().flat_map(|commit| &self.parents[*commit]) {
            best[*parent] = false;
        }
        common.into_iter().filter(|commit| best[*commit]).collect()
    }

    /// The common ancestors with the fewest steps to both heads together, along commits that stand in the
    /// history of either branch.
    fn nearest(&self, one: &Side<'_>, other: &Side<'_>) -> Vec<usize> {
        let is_known = |commit: usize| one.rows[commit] || other.rows[commit];
        let of_one = self.distances(one.head, is_known);
        let of_other = self.distances(other.head, is_known);
        let sums = of_one.into_iter().zip(of_other).map(|(one, other)| Some(one? + other?));
        let sums: Vec<Option<u32>> = sums.collect();
        let fewest = sums.iter().flatten().min().copied();
        let is_nearest = |at: &usize| fewest.is_some() && sums[*at] == fewest;
        (0..sums.len()).filter(is_nearest).collect()
    }

    /// How many steps lie between a commit and each of those before it that are known.
    fn distances(&self, from: usize, is_known: impl Fn(usize) -> bool) -> Vec<Option<u32>> {
        let mut distances = vec![None; self.ids.len()];
        let mut open = VecDeque::from([(from, 0)]);
        while let Some((commit, steps)) = open.pop_front() {
            if is_known(commit) && distances[commit].is_none() {
                distances[commit] = Some(steps);
                open.extend(self.parents[commit].iter().map(|parent| (*parent, steps + 1)));
            }
        }
        distances
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use chrono::DateTime;
    use lancekeeper_model::Version;

    use super::super::authority::CommitFacts;
    use super::*;

    #[test]
    fn many_branches_of_a_long_history_take_no_time_to_speak_of() {
        let (branches, length) = (60, 3_000);
        let id = |number: usize| format!("c{number}");
        let commit = |number: usize| CommitFacts {
            id: id(number),
            branch: Branch::main(),
            manifest_version: Version(1),
            parents: number.checked_sub(1).map(id).into_iter().collect(),
            created_at: DateTime::UNIX_EPOCH,
            pins: None,
        };
        let mut authority =
            Authority { commits: (0..length).map(commit).collect(), ..Authority::default() };
        for number in 0..branches {
            let head = length - 1 - number;
            authority.branches.push(BranchFacts {
                branch: Branch::named(format!("b{number}")),
                is_lost: false,
                parent: None,
                pins: Ok(Vec::new()),
                head_commit: Some(id(head)),
                commits: (0..=head).rev().map(id).collect(),
            });
        }
        let started = Instant::now();
        let bases = merge_bases(&authority);
        assert_eq!(bases.len(), branches * (branches - 1) / 2);
        // Of two of them the older one's head.
        assert_eq!(bases[0].0, id(length - 2));
        // Quadratic in both it would take minutes.
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
