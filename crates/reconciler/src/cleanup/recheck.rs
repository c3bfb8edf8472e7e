//! The looks just before the deletions, and between them: whether what the plan stood on is still so.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use lancekeeper_model::Branch;
use lancekeeper_planner::cleanup::{DatasetPlan, UnitId};
use lancekeeper_store::Root;
use lancekeeper_store::listing::{Listed, list_below};

use crate::cleanup::inventory::DatasetInventory;
use crate::cleanup::report::CleanupError;
use crate::cleanup::since::new_files;

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
    let listed = list(dataset).await?;
    if refs_before(dataset) != refs_now(&listed) {
        return Ok(Recheck::Changed);
    }
    let branches: BTreeSet<&Branch> =
        dataset.facts.chains.iter().map(|chain| &chain.branch).collect();
    let stays: BTreeSet<&Branch> = plan.kept.iter().map(|kept| &kept.branch).collect();
    let mut spared = BTreeSet::new();
    for new in new_files(root, dataset, &listed).await? {
        if branches.contains(&new.branch) && !stays.contains(&new.branch) {
            // Somebody writes into a fork that was about to go.
            return Ok(Recheck::Changed);
        }
        let Some(refers) = new.refers else { continue };
        let is_emptied = new.branch.is_main() && plan.empties.is_some();
        // Somebody writes to a table that was about to be emptied; or it is a clone of another table
        // of the root: that one's list must be made anew too.
        if is_emptied || refers.beside {
            return Ok(Recheck::Changed);
        }
        spared.extend(refers.units);
    }
    plan.spare(&dataset.facts, &spared);
    Ok(Recheck::Stands)
}

/// What versions refer to that appeared since a dataset was listed. Manifests go first, so from then on only
/// these, and whoever has an old version open, can bring back what it referred to.
///
/// # Errors
///
/// As [`recheck`].
pub(super) async fn referred_to_since(
    root: &Root,
    dataset: &DatasetInventory,
) -> Result<BTreeSet<UnitId>, CleanupError> {
    let listed = list(dataset).await?;
    let new = new_files(root, dataset, &listed).await?;
    Ok(new.into_iter().filter_map(|new| new.refers).flat_map(|refers| refers.units).collect())
}

/// Whether a branch or a tag appeared or changed since a dataset was listed. Those that are gone do not
/// count: we delete branch files ourselves.
///
/// # Errors
///
/// When it cannot be listed.
pub(super) async fn has_new_refs(dataset: &DatasetInventory) -> Result<bool, CleanupError> {
    let listed = list(dataset).await?;
    let before = refs_before(dataset);
    Ok(refs_now(&listed).iter().any(|(path, state)| before.get(path) != Some(state)))
}

async fn list(dataset: &DatasetInventory) -> Result<Vec<Listed>, CleanupError> {
    let directory = dataset.directory.clone();
    Ok(tokio::task::spawn_blocking(move || list_below(&directory)).await??)
}

type Refs<'a> = BTreeMap<&'a str, (u64, DateTime<Utc>)>;

fn refs_before(dataset: &DatasetInventory) -> Refs<'_> {
    let files = dataset.facts.files.iter().filter(|file| file.path.starts_with(REFS));
    files.map(|file| (file.path.as_str(), (file.bytes, file.modified))).collect()
}

fn refs_now(listed: &[Listed]) -> Refs<'_> {
    let files = listed.iter().filter(|file| file.path.starts_with(REFS));
    files.map(|file| (file.path.as_str(), (file.bytes, file.modified))).collect()
}
