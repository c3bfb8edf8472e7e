//! The look just before the deletions: whether what the plan stood on is still so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use lancekeeper_model::Branch;
use lancekeeper_planner::cleanup::{DatasetPlan, Place, classify, split_chain};
use lancekeeper_store::Root;
use lancekeeper_store::listing::list_below;

use crate::cleanup::inventory::DatasetInventory;
use crate::cleanup::references::{Bases, Fragments, read_stored};
use crate::cleanup::report::CleanupError;
use crate::cleanup::resolver::Resolver;

/// Branches and tags of the dataset: their files live here.
const REFS: &str = "_refs/";

/// What a second look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recheck {
    /// The plan stands, as far as it was not shortened.
    Stands,
    /// Branches or tags are others, or somebody writes where all was to go: plan again.
    Changed,
}

/// Lists the dataset again. Versions that were committed meanwhile, a restore of an old one
/// among them, take what they refer to off the plan's list.
///
/// # Errors
///
/// When it cannot be listed, or a new version not be read.
pub async fn recheck(
    root: &Root,
    dataset: &DatasetInventory,
    plan: &mut DatasetPlan,
) -> Result<Recheck, CleanupError> {
    let directory = dataset.directory.clone();
    let listed = tokio::task::spawn_blocking(move || list_below(&directory)).await??;
    type Refs<'a> = BTreeMap<&'a str, (u64, DateTime<Utc>)>;
    let before: Refs<'_> = dataset
        .facts
        .files
        .iter()
        .filter(|file| file.path.starts_with(REFS))
        .map(|file| (file.path.as_str(), (file.bytes, file.modified)))
        .collect();
    let now: Refs<'_> = listed
        .iter()
        .filter(|file| file.path.starts_with(REFS))
        .map(|file| (file.path.as_str(), (file.bytes, file.modified)))
        .collect();
    if before != now {
        return Ok(Recheck::Changed);
    }
    let known: BTreeSet<&str> = dataset.facts.files.iter().map(|file| file.path.as_str()).collect();
    let branches: Vec<Branch> =
        dataset.facts.chains.iter().map(|chain| chain.branch.clone()).collect();
    let mut fragments = Fragments::default();
    let mut bases = Bases::new(root.directory.clone(), dataset.directory.clone());
    let mut spared = BTreeSet::new();
    let stays: BTreeSet<Branch> = plan.kept.iter().map(|kept| kept.branch.clone()).collect();
    for file in listed.iter().filter(|file| !known.contains(file.path.as_str())) {
        let Some((branch, rest)) = split_chain(&file.path, &branches) else { continue };
        let is_new = !branches.contains(&branch);
        if !is_new && !stays.contains(&branch) {
            // Somebody writes into a fork that was about to go.
            return Ok(Recheck::Changed);
        }
        if !matches!(classify(rest), Place::Manifest(_) | Place::Detached) {
            continue;
        }
        if branch.is_main() && plan.empties.is_some() {
            // Somebody writes to a table that was about to be emptied.
            return Ok(Recheck::Changed);
        }
        let path = dataset.directory.join(&file.path);
        let location = &dataset.facts.location;
        let path: Arc<Path> = path.into();
        let read = fragments.add(&path, location, read_stored(Arc::clone(&path)).await?)?;
        let mut resolver = Resolver::new(&branch, &read);
        let resolved = resolver.resolve(&read, &fragments, location, &mut bases, &dataset.names)?;
        if !resolved.beside.is_empty() {
            // A clone of another table of the root: that one's list must be made anew too.
            return Ok(Recheck::Changed);
        }
        spared.extend(resolved.units);
    }
    plan.spare(&dataset.facts, &spared);
    Ok(Recheck::Stands)
}
