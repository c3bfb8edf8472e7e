//! What must hold of each file of a list right before it goes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lancekeeper_planner::cleanup::{Deletion, DeletionStep};
use lancekeeper_store::files::{Condition, Doomed, Listed};

use crate::cleanup::dataset::DatasetInventory;

/// A deletion, under the condition of its step.
pub(super) fn doomed(deletion: &Deletion, listed: &BTreeMap<&str, DateTime<Utc>>) -> Doomed {
    let condition = match deletion.step {
        // A client that finds an orphaned fork in its way deletes it and forks anew under the same
        // name, and takes no key of ours: what is there now may be the fork it has just published,
        // and if nothing is, it is about to make the fork anew.
        DeletionStep::BranchFile => Condition::Present,
        // A fork that was made anew at the same version has its manifests at the same paths.
        DeletionStep::Manifest => Condition::Unchanged,
        DeletionStep::Rest => Condition::None,
    };
    let modified = listed.get(deletion.path.as_str()).copied();
    let (path, bytes) = (deletion.path.clone(), deletion.bytes);
    // One that was never listed is not to be found unchanged.
    Doomed { file: Listed { path, bytes, modified: modified.unwrap_or_default() }, condition }
}

/// When each file was last written, as the plan saw it.
pub(super) fn listed_names(dataset: &DatasetInventory) -> BTreeMap<&str, DateTime<Utc>> {
    dataset.facts.files.iter().map(|file| (file.path.as_str(), file.modified)).collect()
}
