//! The looks just before the deletions, and between them: whether what the plan stood on is still so.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, Version};
use lancekeeper_planner::cleanup::{DatasetPlan, UnitId};
use lancekeeper_store::Root;
use lancekeeper_store::files::Listed;
use serde::Deserialize;

use crate::cleanup::dataset::DatasetInventory;
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
    let listed = dataset.files.list("").await?;
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
    // Manifests lie nowhere else, and a table may have a million data files.
    let mut listed = dataset.files.list("_versions").await?;
    listed.extend(dataset.files.list("tree").await?);
    let new = new_files(root, dataset, &listed).await?;
    Ok(new.into_iter().filter_map(|new| new.refers).flat_map(|refers| refers.units).collect())
}

/// Whether a branch or a tag appeared or changed since a dataset was listed that is about a version which
/// does not stay. Those that are gone do not count: we delete branch files ourselves.
///
/// # Errors
///
/// When they cannot be listed or read.
pub(super) async fn has_new_refs(
    dataset: &DatasetInventory,
    plan: &DatasetPlan,
) -> Result<bool, CleanupError> {
    let listed = dataset.files.list("_refs").await?;
    let before = refs_before(dataset);
    let stays = |(branch, version): (Branch, Version)| {
        plan.kept.iter().any(|kept| kept.branch == branch && kept.version == version)
    };
    for (path, state) in refs_now(&listed) {
        if before.get(path) != Some(&state) {
            let content = dataset.files.read(path).await;
            // What cannot be read, or is gone again, may be about anything.
            let named = content.ok().flatten().and_then(|content| named_by(&content));
            if !named.is_some_and(stays) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The version that a branch was cut from, or that a tag names, as Lance writes it.
fn named_by(content: &[u8]) -> Option<(Branch, Version)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        #[serde(alias = "branch")]
        parent_branch: Option<String>,
        #[serde(alias = "version")]
        parent_version: u64,
    }
    let named: Named = serde_json::from_slice(content).ok()?;
    Some((Branch::from(named.parent_branch), Version(named.parent_version)))
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
