//! A dataset that was listed, and what several of one root hold of each other. Lists nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use lance::Dataset;
use lancekeeper_model::TableKey;
use lancekeeper_planner::cleanup::{DatasetFacts, Role, UnitId};
use lancekeeper_store::{Files, Root};

use crate::cleanup::names::Names;

/// A dataset to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetPlace {
    /// What it is called in reports.
    pub table: TableKey,
    /// Where it lies, relative to the root; empty for a root that is a table.
    pub location: String,
    /// What it is for.
    pub role: Role,
}

/// A dataset that was listed.
#[derive(Debug)]
pub struct DatasetInventory {
    /// What a plan needs.
    pub facts: DatasetFacts,
    /// Its files, at its resolved directory.
    pub files: Files,
    /// What manifests and descriptors refer to, by name.
    pub(super) names: Names,
    /// The table, to read descriptors of versions that come later.
    pub(super) table: Option<Dataset>,
    /// Units that versions on no chain refer to.
    pub(super) detached: Vec<UnitId>,
    /// Of a table of a database: where the tables lie that were asked what they read of others.
    pub tables: Arc<BTreeSet<String>>,
    /// Units of other datasets of the root that versions of this one refer to, by their
    /// names below the root.
    pub(super) beside: BTreeSet<String>,
    /// Why it is not known which blobs versions of this one read.
    pub(super) blobs_unread: Option<String>,
    /// Where it may read blobs of others then: prefixes of names below the root.
    pub(super) reads_blobs_below: BTreeSet<String>,
}

impl DatasetInventory {
    /// The prefix of its names below the root; it may be known there under another one.
    pub(super) fn prefix(&self, root: &Root) -> Option<String> {
        self.files.identity().prefix_in(&root.files().identity())
    }
}

/// Marks in each dataset what versions of the others refer to, and those of `readers`, which are
/// not cleaned up themselves. For clones inside one root; one that lies elsewhere is protected by
/// a tag.
pub fn hold_across(root: &Root, datasets: &mut [DatasetInventory], readers: &[DatasetInventory]) {
    let all = datasets.iter().chain(readers);
    let beside: BTreeSet<String> = all.flat_map(|dataset| dataset.beside.iter().cloned()).collect();
    let unread: Vec<(TableKey, BTreeSet<String>)> = datasets
        .iter()
        .chain(readers)
        .filter(|dataset| !dataset.reads_blobs_below.is_empty())
        .map(|dataset| (dataset.facts.table.clone(), dataset.reads_blobs_below.clone()))
        .collect();
    for dataset in datasets {
        let Some(prefix) = dataset.prefix(root) else { continue };
        let held = beside.iter().filter_map(|name| dataset.names.get(name.strip_prefix(&prefix)?));
        dataset.facts.held = dataset.detached.iter().copied().chain(held).collect();
        let other = unread.iter().find(|(_, reads)| {
            reads.iter().any(|place| place.starts_with(&prefix) || prefix.starts_with(place))
        });
        let other = other.map(|(table, _)| {
            format!("no file of blobs is deleted, because table {table} may read any, and its descriptors cannot be read")
        });
        dataset.facts.blobs_unread = dataset.blobs_unread.clone().or(other);
    }
}
