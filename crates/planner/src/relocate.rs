//! A root that was moved, copied or restored: which of its manifests still refer to the old place, and whether
//! everything they refer to is at the new one.
//!
//! # Protocol
//!
//! The manifest of a Lance branch names the table that it was cut from by an absolute path. Where that path ends like the
//! table's own place in the root, what precedes it is where the root lay, and the same table is here. A plan changes
//! those paths and nothing else, in every version: old ones are read by commits, and by merges. The newest version of each
//! branch comes last, because it is by those that a root is known to have been moved: one that was half done is still
//! known.
//!
//! What readers see now must be here as a whole, whether its manifest is changed or not: rows of a graph of v3 send its
//! clients there. Of what is only old that is said of the manifests that are changed; the rest may have been collected.
//!
//! What is left of branches that are none is repointed, because clients may make a branch of their name over it, but it may
//! lack anything: a deletion that died began to take it away.
//!
//! Not here: how a manifest is changed (`reconciler::relocate`), and the rows of `__manifest` that name manifests of
//! tables by absolute paths (v3).

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use lancekeeper_model::{Branch, Version};

/// Refusals that are said one by one before the rest are only counted.
const SAID_MAX: usize = 20;

/// Where a base of a manifest leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leads {
    /// Into this root.
    Here,
    /// To where the root lay before.
    Old {
        /// That root, as the manifest spells it.
        root: String,
        /// The dataset, or a branch of it, relative to the root.
        below: String,
    },
    /// Neither.
    Elsewhere,
}

/// A root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelocateFacts {
    /// Every manifest in it.
    pub manifests: Vec<ManifestFacts>,
    /// What readers see now.
    pub current: Vec<Current>,
    /// Branches of which it cannot be told what their readers see, and why.
    pub unread: Vec<(Branch, String)>,
}

/// A version that readers of a branch see now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The branch that they read.
    pub seen_by: Branch,
    /// The dataset, relative to the root.
    pub location: String,
    /// The branch of the dataset.
    pub branch: Branch,
    /// The version.
    pub version: Version,
}

impl Current {
    /// Whether it is what a manifest has.
    #[must_use]
    pub fn is(&self, location: &str, branch: &Branch, version: Option<Version>) -> bool {
        self.location == location && self.branch == *branch && Some(self.version) == version
    }
}

/// One manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFacts {
    /// The file, relative to the root.
    pub file: String,
    /// The dataset, relative to the root.
    pub location: String,
    /// The branch.
    pub branch: Branch,
    /// The version; `None` for one that is on no branch.
    pub version: Option<Version>,
    /// Whether it is of a branch that has no branch file in its dataset: somebody deleted it, or died making it. Nobody can
    /// read it, and parts of it may have gone already. Never of main.
    pub is_zombie: bool,
    /// Its bases by number, as they are written, with where they lead.
    pub bases: BTreeMap<u32, (String, Leads)>,
    /// Files that it reads through its bases.
    pub files: u64,
    /// What it needs and is not here, or not as large: names relative to the root.
    pub missing: Vec<String>,
}

/// The change of one manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repoint {
    /// The file, relative to the root.
    pub file: String,
    /// The paths that its bases get.
    pub bases: BTreeMap<u32, String>,
}

/// What is to be done with one branch of one dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainPlan {
    /// The dataset, relative to the root.
    pub location: String,
    /// The branch.
    pub branch: Branch,
    /// Its manifests that refer to the old place, relative to the root.
    pub manifests: Vec<String>,
    /// The most files that one of them reads there.
    pub files: u64,
}

/// The plan for one root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelocatePlan {
    /// Manifests to change, in this order.
    pub steps: Vec<Repoint>,
    /// The same, by branch and dataset.
    pub chains: Vec<ChainPlan>,
    /// Where the root lay.
    pub old_roots: BTreeSet<String>,
    /// Why nothing may be done, if so.
    pub refusals: Vec<String>,
}

/// Decides about a root, which is addressed as `new_root`.
#[must_use]
pub fn plan_relocate(facts: &RelocateFacts, new_root: &str) -> RelocatePlan {
    let RelocateFacts { manifests, current, unread } = facts;
    let mut plan = RelocatePlan::default();
    let mut refusals: Vec<String> = unread.iter().map(unread_text).collect();
    refusals.extend(current.iter().filter_map(|current| gone(current, manifests)));
    let mut chains: BTreeMap<(&str, &Branch), ChainPlan> = BTreeMap::new();
    let mut steps = Vec::new();
    for manifest in manifests {
        let mut bases = BTreeMap::new();
        for (id, (recorded, leads)) in &manifest.bases {
            match leads {
                Leads::Here => {}
                Leads::Old { root, below } => {
                    plan.old_roots.insert(root.clone());
                    bases.insert(*id, respelled(recorded, new_root, below));
                }
                Leads::Elsewhere => refusals.push(format!(
                    "{} reads from {recorded}, which is no part of this root",
                    manifest.file
                )),
            }
        }
        let ManifestFacts { location, branch, version, .. } = manifest;
        let is_current = current.iter().any(|current| current.is(location, branch, *version));
        // Of what is left of a branch nobody needs anything, whatever it refers to.
        if (!bases.is_empty() && !manifest.is_zombie) || is_current {
            refusals.extend(missing(manifest));
        }
        if bases.is_empty() {
            continue;
        }
        let chain =
            chains.entry((&manifest.location, &manifest.branch)).or_insert_with(|| ChainPlan {
                location: manifest.location.clone(),
                branch: manifest.branch.clone(),
                manifests: Vec::new(),
                files: 0,
            });
        chain.manifests.push(manifest.file.clone());
        chain.files = chain.files.max(manifest.files);
        steps.push((manifest, Repoint { file: manifest.file.clone(), bases }));
    }
    steps.sort_by_key(|(manifest, _)| {
        (is_newest(manifest, manifests), manifest.version, &manifest.file)
    });
    plan.steps = steps.into_iter().map(|(_, step)| step).collect();
    plan.chains = chains.into_values().collect();
    plan.refusals = few(refusals);
    plan
}

fn unread_text((branch, why): &(Branch, String)) -> String {
    format!("what readers of {branch} see cannot be told: {why}")
}

/// What readers see has no manifest.
fn gone(current: &Current, manifests: &[ManifestFacts]) -> Option<String> {
    let Current { seen_by, location, branch, version } = current;
    let is_here = manifests.iter().any(|of| current.is(&of.location, &of.branch, of.version));
    let on = if branch.is_main() { String::new() } else { format!(" of its branch {branch}") };
    (!is_here).then(|| {
        format!("{seen_by} reads version {version} of {location}{on}, whose manifest is not here")
    })
}

fn missing(manifest: &ManifestFacts) -> Option<String> {
    let first = manifest.missing.first()?;
    let more = match manifest.missing.len() {
        1 => String::new(),
        number => format!(" and {} more", number - 1),
    };
    Some(format!("{} needs {first}{more}, which is not here as it was written", manifest.file))
}

/// As many as help.
fn few(mut refusals: Vec<String>) -> Vec<String> {
    let more = refusals.len().saturating_sub(SAID_MAX);
    if more > 0 {
        refusals.truncate(SAID_MAX);
        refusals.push(format!("and {more} more"));
    }
    refusals
}

fn is_newest(manifest: &ManifestFacts, all: &[ManifestFacts]) -> bool {
    let is_later = |other: &ManifestFacts| {
        other.location == manifest.location
            && other.branch == manifest.branch
            && other.version > manifest.version
    };
    !all.iter().any(is_later)
}

/// The new path, spelled as the old one: with its scheme, or without.
fn respelled(recorded: &str, new_root: &str, below: &str) -> String {
    let plain = new_root.strip_prefix("file://").unwrap_or(new_root);
    let scheme = if recorded.starts_with("file://") { "file://" } else { "" };
    format!("{scheme}{plain}/{below}")
}

/// The root and the rest of a recorded path that ends like a dataset of it, or like a branch of that.
#[must_use]
pub fn split_recorded(recorded: &str, location: &str) -> Option<(String, String)> {
    let recorded = recorded.trim_end_matches('/');
    let infix = format!("/{location}");
    let at = recorded.rfind(&infix)?;
    let rest = &recorded[at + infix.len()..];
    let is_place = rest.is_empty() || rest.starts_with("/tree/");
    is_place.then(|| (recorded[..at].to_owned(), recorded[at + 1..].to_owned()))
}
