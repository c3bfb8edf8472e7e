//! The spelling of a root: which string its branch manifests use for it, and whether that
//! string still leads here.
//!
//! Lance writes absolute base paths into branch manifests. A root that was copied or moved
//! therefore goes on reading from the old place, silently, for as long as that exists; and a
//! root that is addressed by another spelling than its branches use loses their protection
//! in Lance's own cleanup. So every open that writes asks here first.
//!
//! Not every base of a branch is the table it was cut from. A clone names the table it was
//! cloned from, a table may keep data files under bases of its own, and a branch takes over
//! what the chain it was cut from names. Only the base that its own creation added tells where
//! the table lay then.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use lance::Dataset;
use lance_table::format::BasePath;
use lancekeeper_model::{Branch, ErrorKind};
use thiserror::Error;

use crate::failure::LanceFailure;
use crate::root::Root;
use crate::tables::{OpenError, Tables};

/// What the branch manifests of a root say about where it lies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spellings {
    /// Spellings that lead to this root.
    pub here: BTreeSet<String>,
    /// Spellings that lead elsewhere or nowhere: the root was moved or copied.
    pub elsewhere: BTreeSet<String>,
}

impl Spellings {
    /// Takes note of an absolute path that should lie at `location` inside the root.
    pub fn note(&mut self, root: &Root, location: &str, recorded: &str) {
        self.note_one_of(root, location, &[recorded]);
    }

    /// Takes note of absolute paths of which one should lie at `location` inside the root, the
    /// most likely first.
    fn note_one_of(&mut self, root: &Root, location: &str, recorded: &[&str]) {
        let leads_here = |spelling: &String| {
            let path = spelling.strip_prefix("file://").unwrap_or(spelling);
            fs::canonicalize(Path::new(path)).is_ok_and(|found| found == root.directory)
        };
        let candidates: Vec<Vec<String>> =
            recorded.iter().map(|recorded| spellings_in(recorded, location)).collect();
        let here = candidates.iter().filter_map(|one| one.iter().find(|s| leads_here(s)));
        let here: Vec<String> = here.cloned().collect();
        if !here.is_empty() {
            self.here.extend(here);
        } else if let Some(first) = recorded.first() {
            // The path may not even end like one of ours.
            let spelling = candidates.first().and_then(|one| one.first());
            self.elsewhere.insert(spelling.cloned().unwrap_or_else(|| (*first).to_owned()));
        }
    }

    /// The root under the spelling its branches use.
    #[must_use]
    pub fn address(&self, root: Root) -> Root {
        match self.here.first() {
            Some(spelling) if !self.here.contains(&root.address) => {
                Root { address: spelling.clone(), ..root }
            }
            _ => root,
        }
    }
}

/// The parts of a recorded path that may be the root, the most likely first.
fn spellings_in(recorded: &str, location: &str) -> Vec<String> {
    let recorded = recorded.trim_end_matches('/');
    if location.is_empty() {
        // A branch cut from a branch records that branch's directory, `<root>/tree/<branch>`;
        // but `tree` is a name like any other in the path of the root itself.
        let cuts = recorded.rmatch_indices("/tree/").map(|(at, _)| recorded[..at].to_owned());
        return std::iter::once(recorded.to_owned()).chain(cuts).collect();
    }
    let infix = format!("/{location}");
    let Some(at) = recorded.rfind(&infix) else { return Vec::new() };
    let rest = &recorded[at + infix.len()..];
    if rest.is_empty() || rest.starts_with("/tree/") {
        vec![recorded[..at].to_owned()]
    } else {
        Vec::new()
    }
}

/// The branches of a table could not be looked at.
#[derive(Debug, Error)]
pub enum SpellingError {
    /// A branch could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The branches could not be listed.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
}

impl SpellingError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Lance(error) => error.kind(),
        }
    }
}

/// Reads the base paths that the branches of one table recorded. Writes nothing. A branch
/// that cannot be read says nothing about spelling: whoever needs it reports it.
///
/// # Errors
///
/// When the branches cannot be listed.
pub async fn note_branches(
    tables: &Tables,
    root: &Root,
    location: &str,
    main: &Dataset,
    into: &mut Spellings,
) -> Result<(), SpellingError> {
    let branches = main.list_branches().await.map_err(|source| {
        LanceFailure::new(format!("failed to list branches of {location}"), source)
    })?;
    let mut forks: BTreeMap<Branch, Dataset> = BTreeMap::new();
    for name in branches.keys() {
        let branch = Branch::named(name);
        if let Ok(fork) = tables.open(main.uri(), &branch).await {
            forks.insert(branch, fork);
        }
    }
    for (branch, fork) in &forks {
        let parent = branches.get(branch.label()).and_then(|known| known.parent_branch.clone());
        let parent = forks.get(&Branch::from(parent)).unwrap_or(main);
        let taken_over = [&main.manifest().base_paths, &parent.manifest().base_paths];
        let own = own_bases(&fork.manifest().base_paths, &taken_over);
        let paths: Vec<&str> = own.iter().map(|base| base.path.as_str()).collect();
        into.note_one_of(root, location, &paths);
    }
    Ok(())
}

/// The bases of a branch that it did not take over from the chain it was cut from, nor from
/// main: the one of its table is among them. That one is the base of a dataset; those for data
/// files alone come last, and what is newer comes first. All of them where nothing is left:
/// the parent may since name the same base itself.
fn own_bases<'b>(
    bases: &'b HashMap<u32, BasePath>,
    taken_over: &[&HashMap<u32, BasePath>],
) -> Vec<&'b BasePath> {
    let is_own = |base: &&BasePath| {
        !taken_over.iter().any(|known| known.get(&base.id).is_some_and(|b| b.path == base.path))
    };
    let mut own: Vec<&BasePath> = bases.values().filter(is_own).collect();
    if own.is_empty() {
        own = bases.values().collect();
    }
    own.sort_by_key(|base| (!base.is_dataset_root, std::cmp::Reverse(base.id)));
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_what_precedes_the_location() {
        let first = |recorded, location| spellings_in(recorded, location).into_iter().next();
        assert_eq!(first("/a/g/nodes/x", "nodes/x").as_deref(), Some("/a/g"));
        assert_eq!(first("file:///a/g/nodes/x/", "nodes/x").as_deref(), Some("file:///a/g"));
        assert_eq!(first("/a/g/nodes/xx", "nodes/x"), None);
        assert_eq!(first("/a/gnodes/x", "nodes/x"), None);
        assert_eq!(first("/a/g/nodes/x/tree/b", "nodes/x").as_deref(), Some("/a/g"));
    }

    fn bases(of: &[(u32, &str, bool)]) -> HashMap<u32, BasePath> {
        let base = |(id, path, is_dataset_root): &(u32, &str, bool)| {
            (*id, BasePath::new(*id, (*path).to_owned(), None, *is_dataset_root))
        };
        of.iter().map(base).collect()
    }

    #[test]
    fn the_base_of_the_table_itself_is_the_one_that_no_parent_names() {
        let paths = |branch: &[(u32, &str, bool)], parents: &[&[(u32, &str, bool)]]| {
            let parents: Vec<_> = parents.iter().map(|parent| bases(parent)).collect();
            let branch = bases(branch);
            let own = own_bases(&branch, &parents.iter().collect::<Vec<_>>());
            own.iter().map(|base| base.path.clone()).collect::<Vec<_>>()
        };
        // A branch of a table, of a clone, of a branch of a clone.
        assert_eq!(paths(&[(0, "/t", true)], &[&[]]), ["/t"]);
        let (clone, dev) = ([(0, "/t", true)], [(0, "/t", true), (1, "/c", true)]);
        assert_eq!(paths(&dev, &[&clone]), ["/c"]);
        let deeper = [(0, "/t", true), (1, "/c", true), (2, "/c/tree/dev", true)];
        assert_eq!(paths(&deeper, &[&clone, &dev]), ["/c/tree/dev"]);
        // Bases for files are none of a dataset, whichever came first.
        assert_eq!(paths(&[(0, "/t", true), (1, "/f", false)], &[&[(1, "/f", false)]]), ["/t"]);
        assert_eq!(paths(&[(0, "/t", true), (1, "/f", false)], &[&[]]), ["/t", "/f"]);
        // The parent took the number for another base, or names the table by now.
        assert_eq!(paths(&[(0, "/t", true)], &[&[(0, "/f", false)]]), ["/t"]);
        assert_eq!(paths(&[(0, "/t", true)], &[&[(0, "/t", true)]]), ["/t"]);
    }

    #[test]
    fn a_root_has_moved_only_if_none_of_the_paths_leads_here() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("c.lance")).unwrap();
        let root = crate::root::recognise(&dir.path().to_string_lossy()).unwrap();
        let here = format!("{}/c.lance", root.address);
        let mut spellings = Spellings::default();
        spellings.note_one_of(&root, "c.lance", &["/elsewhere/files", &here]);
        assert_eq!(spellings.here, BTreeSet::from([root.address.clone()]));
        assert!(spellings.elsewhere.is_empty(), "{spellings:?}");
        spellings.note_one_of(&root, "c.lance", &["/old/c.lance", "/elsewhere/files"]);
        assert_eq!(spellings.elsewhere, BTreeSet::from(["/old".to_owned()]));
    }

    #[test]
    fn a_branch_of_a_branch_of_a_single_table_may_lie_in_any_of_its_directories() {
        let found = spellings_in("/tree/t.lance/tree/a/tree/b", "");
        assert_eq!(
            found,
            ["/tree/t.lance/tree/a/tree/b", "/tree/t.lance/tree/a", "/tree/t.lance", ""]
        );
    }
}
