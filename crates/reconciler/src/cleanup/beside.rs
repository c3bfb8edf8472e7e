//! What a dataset that cannot be looked at as a whole may read of those beside it. Writes nothing.
//!
//! A shallow clone has files of its origin among its own, and its origin keeps no account of that. What a
//! clone reads is known from its manifests; of one that is damaged those that can be read must do.

use std::collections::BTreeSet;

use lancekeeper_planner::cleanup::Role;
use lancekeeper_store::Root;
use lancekeeper_store::members::{Member, members};

use crate::cleanup::dataset::{DatasetInventory, DatasetPlace};
use crate::cleanup::references::{Base, Bases, read_stored};
use crate::cleanup::report::CleanupError;

/// What is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadsBeside {
    /// It reads files below these directories, relative to the root, each with a slash at its end.
    These(BTreeSet<String>),
    /// It has no version yet.
    Nothing,
    /// It has versions, and what they refer to could not be learned.
    Unknown,
}

impl ReadsBeside {
    /// Whether it may read files of a dataset.
    #[must_use]
    pub fn may_read(&self, root: &Root, dataset: &DatasetInventory) -> bool {
        let Some(own) = dataset.prefix(root) else { return true };
        match self {
            Self::These(places) => {
                places.iter().any(|place| place.starts_with(&own) || own.starts_with(place))
            }
            Self::Nothing => false,
            Self::Unknown => true,
        }
    }
}

/// Whether a table appeared in the database of a dataset that may be a clone of it.
pub(super) async fn has_new_clone(
    root: &Root,
    dataset: &DatasetInventory,
) -> Result<bool, CleanupError> {
    if dataset.facts.role != Role::Plain {
        return Ok(false);
    }
    let members = members(root).await.map_err(|error| CleanupError::Beside(error.to_string()))?;
    for Member { key: table, location, state } in members.all {
        // What has no version reads nothing; once it has one, it is another kind of member.
        if state.has_versions() && !dataset.tables.contains(&location) {
            let place = DatasetPlace { table, location, role: Role::Plain };
            if reads_beside(root, &place).await.may_read(root, dataset) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Learns what a dataset reads of others from the manifests that can be read. All versions of a clone have
/// the base of its origin, so one of them is enough to tell that it is none.
pub async fn reads_beside(root: &Root, place: &DatasetPlace) -> ReadsBeside {
    let Ok(files) = root.files().resolved(&place.location).await else {
        return ReadsBeside::Unknown;
    };
    let Ok(listed) = files.list("").await else { return ReadsBeside::Unknown };
    let mut bases = Bases::new(root, &files);
    let mut places = BTreeSet::new();
    let (mut manifests, mut read) = (0, 0);
    for file in listed.iter().filter(|file| is_manifest(&file.path)) {
        manifests += 1;
        if let Ok(Some((stored, _))) = read_stored(&files, &file.path).await {
            read += 1;
            for base in stored.base_paths {
                bases.learn(&base.path).await;
                match bases.resolve(&base.path) {
                    Ok(Base::Beside(prefix)) => drop(places.insert(prefix)),
                    Ok(Base::Here(_) | Base::Elsewhere) => {}
                    Err(_) => return ReadsBeside::Unknown,
                }
            }
        }
    }
    match (manifests, read) {
        (0, _) => ReadsBeside::Nothing,
        (_, 0) => ReadsBeside::Unknown,
        _ => ReadsBeside::These(places),
    }
}

/// Of whatever version, detached ones and those of branches included.
fn is_manifest(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    parts.next().is_some_and(|name| name.ends_with(".manifest"))
        && parts.next() == Some("_versions")
}
