//! The file that makes a branch of the graph exist: what came in between when it is gone, and
//! putting it back.
//!
//! A client that cuts a branch writes the new branch's first version before it makes sure that
//! the one it cuts from is still there. So whoever got past that before the file went has left
//! a version that is found here.

use std::collections::BTreeSet;

use lancekeeper_model::Branch;
use lancekeeper_planner::cleanup::{DatasetPlan, DeletionStep, UnitId};
use lancekeeper_store::{Files, FilesError, Root};
use prost::bytes::Bytes;

use crate::cleanup::dataset::DatasetInventory;
use crate::cleanup::report::CleanupError;
use crate::cleanup::since::new_files;

const BRANCH_FILES: &str = "_refs/branches";

/// A branch file that is about to go.
#[derive(Debug)]
pub struct BranchFile {
    files: Files,
    name: String,
    content: Bytes,
}

impl BranchFile {
    /// Reads the branch file on a plan's list, among the files of the root; `None` when there is
    /// none.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be read: then it could not be put back either.
    pub async fn of(root: &Files, plan: &DatasetPlan) -> Result<Option<Self>, FilesError> {
        let mut listed = plan.deletions.iter().filter(|d| d.step == DeletionStep::BranchFile);
        let Some(name) = listed.find_map(|d| d.path.strip_prefix(BRANCH_FILES)?.strip_prefix('/'))
        else {
            return Ok(None);
        };
        let files = root.below(&plan.location).below(BRANCH_FILES);
        let Some(content) = files.read(name).await? else { return Ok(None) };
        Ok(Some(Self { files, name: name.to_owned(), content }))
    }

    /// Puts it back, unless there is one of that name again.
    ///
    /// # Errors
    ///
    /// When it is still not there.
    ///
    /// # Cancel safety
    ///
    /// The file is there or not.
    pub async fn put_back(&self) -> Result<(), FilesError> {
        self.files.put_if_absent(&self.name, self.content.clone()).await.map(drop)
    }

    /// What it says, for whoever must put it back by hand.
    #[must_use]
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.content);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// What was written to a dataset since it was listed that stands against taking a branch of it
/// away; `None` when nothing was.
///
/// # Errors
///
/// When it cannot be listed, or a new version not be read.
pub async fn written_meanwhile(
    root: &Root,
    dataset: &DatasetInventory,
    plan: &DatasetPlan,
    branch: &Branch,
) -> Result<Option<String>, CleanupError> {
    let listed = dataset.files.list("").await?;
    let facts = &dataset.facts;
    let goes: BTreeSet<UnitId> = plan
        .deletions
        .iter()
        .flat_map(|deletion| facts.files[deletion.file.0 as usize].class.units())
        .collect();
    for new in new_files(root, dataset, &listed).await? {
        if new.branch == *branch {
            return Ok(Some("somebody wrote to it meanwhile".to_owned()));
        }
        if new.refers.is_some_and(|refers| refers.units.iter().any(|unit| goes.contains(unit))) {
            return Ok(Some(format!("branch {} was cut from it meanwhile", new.branch)));
        }
    }
    Ok(None)
}
