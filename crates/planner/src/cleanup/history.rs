//! Merge bases: without them two branches can never be merged again.

use std::collections::{BTreeMap, BTreeSet};

use lancekeeper_model::Branch;

use super::authority::Authority;

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

/// Every commit that is a best common ancestor of two live branches, with those branches.
///
/// Best means: no other common ancestor descends from it. There may be several, and a client
/// may pick any, so all are kept.
pub(super) fn merge_bases(authority: &Authority) -> Vec<(String, Branch, Branch)> {
    let parents = parents(authority);
    let heads: Vec<(&Branch, BTreeSet<&str>)> = authority
        .branches
        .iter()
        .filter_map(|branch| {
            Some((&branch.branch, ancestors(&parents, branch.head_commit.as_deref()?)))
        })
        .collect();
    let mut bases = Vec::new();
    for (at, (one, of_one)) in heads.iter().enumerate() {
        for (other, of_other) in &heads[at + 1..] {
            let common: BTreeSet<&str> = of_one.intersection(of_other).copied().collect();
            for best in best_of(&parents, &common) {
                bases.push((best.to_owned(), (*one).clone(), (*other).clone()));
            }
        }
    }
    bases
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
