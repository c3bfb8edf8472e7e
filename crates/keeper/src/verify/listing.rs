//! Which versions and branches a table has, by the names of their files. No manifest is opened for it,
//! so that a damaged one hides no other.

use lancekeeper_model::{Branch, Version};
use lancekeeper_planner::cleanup::{Place, chain_dir, classify};
use lancekeeper_store::{Files, FilesError, Root};

const VERSIONS: &str = "_versions";
const BRANCHES: &str = "_refs/branches";

/// The files of a table.
pub(super) async fn files_of(root: &Root, location: &str) -> Result<Files, FilesError> {
    root.files().resolved(location).await
}

/// The versions that a branch of a table has of its own, the oldest first.
pub(super) async fn versions(files: &Files, branch: &Branch) -> Result<Vec<Version>, FilesError> {
    let directory = files.below(&chain_dir(branch)).below(VERSIONS);
    let listed = directory.list_directly().await?;
    let version = |name: &str| match classify(&format!("{VERSIONS}/{name}")) {
        Place::Manifest(version) => Some(version),
        _ => None,
    };
    let mut versions: Vec<Version> = listed.iter().filter_map(|file| version(&file.path)).collect();
    versions.sort_unstable();
    versions.dedup();
    Ok(versions)
}

/// The branches of a table besides main, sorted.
pub(super) async fn branches(files: &Files) -> Result<Vec<Branch>, FilesError> {
    let listed = files.below(BRANCHES).list_directly().await?;
    let branch = |name: &str| match classify(&format!("{BRANCHES}/{name}")) {
        Place::BranchFile(branch) => Some(branch),
        _ => None,
    };
    let mut branches: Vec<Branch> = listed.iter().filter_map(|file| branch(&file.path)).collect();
    branches.sort();
    Ok(branches)
}
