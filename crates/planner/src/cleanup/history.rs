//! Merge bases: without them two branches can never be merged again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lancekeeper_model::Branch;

use super::authority::{Authority, BranchFacts};

/// Everything that is in the history of some branch other than `branch`, as its newest commits
/// tell.
pub(crate) fn merged_elsewhere<'a>(authority: &'a Authority, branch: &Branch) -> BTreeSet<&'a str> {
    let parents = parents(authority);
    let others = authority.branches.iter().filter(|other| other.branch != *branch);
    others
        .filter_map(|other| other.head_commit.as_deref())
        .flat_map(|head| ancestors(&parents, head))
        .collect()
}

fn parents(authority: &Authority) -> BTreeMap<&str, &[String]> {
    let commits = authority.commits.iter();
    commits.map(|commit| (commit.id.as_str(), commit.parents.as_slice())).collect()
}

/// Every commit from which a merge of two live branches may start, with those branches.
///
/// The clients take the common ancestor that is nearest to both heads, and know only commits in the history
/// of either branch: that of a branch which was merged into it ends at the commit that was merged. So theirs
/// may lie behind the best one, which is the one that no other common ancestor descends from and which
/// another client may look for. There may be several of both kinds, and all are kept.
pub(super) fn merge_bases(authority: &Authority) -> Vec<(String, Branch, Branch)> {
    let parents = parents(authority);
    let heads: Vec<(&BranchFacts, BTreeSet<&str>)> = authority
        .branches
        .iter()
        .filter_map(|branch| Some((branch, ancestors(&parents, branch.head_commit.as_deref()?))))
        .collect();
    let mut bases = Vec::new();
    for (at, (one, of_one)) in heads.iter().enumerate() {
        for (other, of_other) in &heads[at + 1..] {
            let common: BTreeSet<&str> = of_one.intersection(of_other).copied().collect();
            let mut of_pair: BTreeSet<&str> = best_of(&parents, &common).into_iter().collect();
            of_pair.extend(nearest(&parents, one, other));
            let base = |id: &str| (id.to_owned(), one.branch.clone(), other.branch.clone());
            bases.extend(of_pair.into_iter().map(base));
        }
    }
    bases
}

/// The common ancestors of two branches with the fewest steps to both heads together, along commits that
/// stand in the history of either.
fn nearest<'a>(
    parents: &BTreeMap<&'a str, &'a [String]>,
    one: &'a BranchFacts,
    other: &'a BranchFacts,
) -> Vec<&'a str> {
    let known: BTreeSet<&str> =
        one.commits.iter().chain(&other.commits).map(String::as_str).collect();
    let of_one = distances(parents, &known, one);
    let of_other = distances(parents, &known, other);
    let sums: Vec<(&str, usize)> = of_one
        .iter()
        .filter_map(|(commit, steps)| Some((*commit, steps + of_other.get(commit)?)))
        .collect();
    let fewest = sums.iter().map(|(_, steps)| *steps).min();
    sums.into_iter().filter(|(_, steps)| Some(*steps) == fewest).map(|(commit, _)| commit).collect()
}

/// How many steps lie between the head of a branch and each commit that is known.
fn distances<'a>(
    parents: &BTreeMap<&'a str, &'a [String]>,
    known: &BTreeSet<&'a str>,
    branch: &'a BranchFacts,
) -> BTreeMap<&'a str, usize> {
    let mut distances = BTreeMap::new();
    let mut open: VecDeque<(&str, usize)> =
        branch.head_commit.as_deref().map(|head| (head, 0)).into_iter().collect();
    while let Some((commit, steps)) = open.pop_front() {
        if !known.contains(commit) || distances.contains_key(commit) {
            continue;
        }
        distances.insert(commit, steps);
        let before = parents.get(commit).copied().unwrap_or_default().iter();
        open.extend(before.map(|parent| (parent.as_str(), steps + 1)));
    }
    distances
}

/// A commit and everything before it.
fn ancestors<'a>(parents: &BTreeMap<&'a str, &'a [String]>, from: &'a str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(commit) = open.pop() {
        if found.insert(commit) {
            open.extend(
                parents.get(commit).copied().unwrap_or_default().iter().map(String::as_str),
            );
        }
    }
    found
}

/// The members of a set closed under parents that are no parent of another member.
fn best_of<'a>(
    parents: &BTreeMap<&'a str, &'a [String]>,
    common: &BTreeSet<&'a str>,
) -> Vec<&'a str> {
    let inner: BTreeSet<&str> = common
        .iter()
        .flat_map(|commit| parents.get(commit).copied().unwrap_or_default())
        .map(String::as_str)
        .collect();
    common.iter().copied().filter(|commit| !inner.contains(commit)).collect()
}
