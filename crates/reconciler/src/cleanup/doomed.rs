//! One file that goes: what is looked at once more right before it does.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use lancekeeper_planner::cleanup::{Deletion, DeletionStep};
use lancekeeper_store::listing::{Listed, ListingError, delete_below, delete_listed_below};

use crate::cleanup::dataset::DatasetInventory;

/// A file that goes.
#[derive(Debug, Clone)]
pub(super) struct Doomed {
    pub(super) file: Listed,
    check: Check,
}

/// What is looked at once more before a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// A branch file: it must be there, and the one that was listed. A client that finds an
    /// orphaned fork in its way deletes it and forks anew under the same name, and takes no key
    /// of ours: what is there now may be the fork it has just published.
    Present,
    /// A manifest: if it is there it must be the one that was listed. A fork that was made anew
    /// at the same version has its manifests at the same paths.
    Same,
    /// Names that are never used again.
    Unneeded,
}

impl Doomed {
    pub(super) fn of(deletion: &Deletion, listed: &BTreeMap<&str, DateTime<Utc>>) -> Self {
        let modified = listed.get(deletion.path.as_str()).copied();
        let check = match deletion.step {
            DeletionStep::BranchFile => Check::Present,
            DeletionStep::Manifest => Check::Same,
            DeletionStep::Rest => Check::Unneeded,
        };
        let (path, bytes) = (deletion.path.clone(), deletion.bytes);
        // One that was never listed is not to be found unchanged.
        Self { file: Listed { path, bytes, modified: modified.unwrap_or_default() }, check }
    }

    /// Whether it went: somebody else may have deleted it.
    fn delete(&self, directory: &Path) -> Result<bool, ListingError> {
        match self.check {
            Check::Unneeded => delete_below(directory, &self.file.path),
            Check::Same => delete_listed_below(directory, &self.file),
            Check::Present => {
                if delete_listed_below(directory, &self.file)? {
                    return Ok(true);
                }
                // Somebody is about to make the fork anew.
                Err(ListingError::Changed { path: directory.join(&self.file.path) })
            }
        }
    }
}

/// When each file was last written, as the plan saw it.
pub(super) fn listed_names(dataset: &DatasetInventory) -> BTreeMap<&str, DateTime<Utc>> {
    dataset.facts.files.iter().map(|file| (file.path.as_str(), file.modified)).collect()
}

pub(super) fn delete_batch(directory: &Path, batch: &[Doomed]) -> (u64, u64, Vec<ListingError>) {
    let (mut files, mut bytes, mut failed) = (0, 0, Vec::new());
    for doomed in batch {
        match doomed.delete(directory) {
            Ok(true) => {
                files += 1;
                bytes += doomed.file.bytes;
            }
            Ok(false) => {}
            Err(error) => failed.push(error),
        }
    }
    (files, bytes, failed)
}
