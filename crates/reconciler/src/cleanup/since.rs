//! What was written to a dataset since it was listed. Writes nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lancekeeper_model::Branch;
use lancekeeper_planner::cleanup::{FileClass, Place, UnitId, classify, split_chain};
use lancekeeper_store::Root;
use lancekeeper_store::files::Listed;

use crate::cleanup::blobs::{self, Named};
use crate::cleanup::dataset::DatasetInventory;
use crate::cleanup::references::{Bases, Fragments, read_stored};
use crate::cleanup::report::CleanupError;
use crate::cleanup::resolver::Resolver;

/// A file that was not there.
#[derive(Debug)]
pub(super) struct NewFile {
    /// The chain whose directory it lies in.
    pub(super) branch: Branch,
    /// Of a manifest: what it refers to.
    pub(super) refers: Option<Refers>,
}

/// What a new version refers to.
#[derive(Debug)]
pub(super) struct Refers {
    /// Units of the dataset.
    pub(super) units: Vec<UnitId>,
    /// Whether it refers to other datasets of the root.
    pub(super) beside: bool,
}

/// The files in a second listing of a dataset that were not in the first, and the manifests that were
/// written anew under their names: a fork that was deleted and cut again at the same version has its
/// manifests where the old one had them.
///
/// # Errors
///
/// When a new version cannot be read.
pub(super) async fn new_files(
    root: &Root,
    dataset: &DatasetInventory,
    listed: &[Listed],
) -> Result<Vec<NewFile>, CleanupError> {
    let facts = &dataset.facts;
    let known: BTreeMap<&str, (u64, DateTime<Utc>)> =
        facts.files.iter().map(|file| (file.path.as_str(), (file.bytes, file.modified))).collect();
    let branches: Vec<Branch> = facts.chains.iter().map(|chain| chain.branch.clone()).collect();
    let mut fragments = Fragments::default();
    let mut bases = Bases::new(root, &dataset.files);
    let mut found = Vec::new();
    for file in listed {
        let before = known.get(file.path.as_str());
        if before == Some(&(file.bytes, file.modified)) {
            continue;
        }
        let Some((branch, rest)) = split_chain(&file.path, &branches) else { continue };
        let is_manifest = matches!(classify(rest), Place::Manifest(_) | Place::Detached);
        if before.is_some() && !is_manifest {
            continue;
        }
        if !is_manifest {
            found.push(NewFile { branch, refers: None });
            continue;
        }
        let Some(stored) = read_stored(&dataset.files, &file.path).await? else {
            // Gone again: nobody can open it.
            found.push(NewFile { branch, refers: None });
            continue;
        };
        let place = dataset.files.place_of(&file.path);
        let read = fragments.add(&place, &facts.location, stored)?;
        for (path, _) in read.bases.values() {
            bases.learn(path).await;
        }
        let mut resolver = Resolver::new(&branch, &read);
        let names = &dataset.names;
        let mut resolved =
            resolver.resolve(&read, &fragments, &facts.location, &mut bases, names)?;
        let named = match &dataset.table {
            Some(table) => blobs::read(table, &[(&branch, &read)], &fragments, names).await,
            None => Named::unknown(read.schema.is_some()),
        };
        let sets = named.of_versions.concat();
        let location = &facts.location;
        let (of_blobs, keep) = ((&read, sets.as_slice()), |found| found);
        let in_blobs =
            resolver.resolve_blobs(of_blobs, &named, location, &mut bases, names, keep)?;
        resolved.extend(&in_blobs);
        let mut beside = !resolved.beside.is_empty();
        if named.unread.is_some() {
            resolved.units.extend(facts.files.iter().flat_map(|file| blob_units(file.class)));
            beside |= !bases.beside(&read.bases)?.is_empty();
        }
        found.push(NewFile { branch, refers: Some(Refers { units: resolved.units, beside }) });
    }
    Ok(found)
}

/// Which of a dataset's blobs a version reads is not known: any.
fn blob_units(class: FileClass) -> Option<UnitId> {
    match class {
        FileClass::Blob { own, .. } => Some(own),
        _ => None,
    }
}
