//! The spelling of a root: which string its branch manifests use for it, and whether that
//! string still leads here.
//!
//! Lance writes absolute base paths into branch manifests. A root that was copied or moved
//! therefore goes on reading from the old place, silently, for as long as that exists; and a
//! root that is addressed by another spelling than its branches use loses their protection
//! in Lance's own cleanup. So every open that writes asks here first.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lance::Dataset;
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
        let leads_here = |spelling: &&String| {
            let path = spelling.strip_prefix("file://").unwrap_or(spelling);
            fs::canonicalize(Path::new(path)).is_ok_and(|found| found == root.directory)
        };
        let candidates = spellings_in(recorded, location);
        match candidates.iter().find(leads_here) {
            Some(spelling) => self.here.insert(spelling.clone()),
            // The path may not even end like one of ours.
            None => self
                .elsewhere
                .insert(candidates.into_iter().next().unwrap_or_else(|| recorded.to_owned())),
        };
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
    for name in branches.keys() {
        let Ok(fork) = tables.open(main.uri(), &Branch::named(name)).await else { continue };
        for base in fork.manifest().base_paths.values() {
            into.note(root, location, &base.path);
        }
    }
    Ok(())
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

    #[test]
    fn a_branch_of_a_branch_of_a_single_table_may_lie_in_any_of_its_directories() {
        let found = spellings_in("/tree/t.lance/tree/a/tree/b", "");
        assert_eq!(
            found,
            ["/tree/t.lance/tree/a/tree/b", "/tree/t.lance/tree/a", "/tree/t.lance", ""]
        );
    }
}
