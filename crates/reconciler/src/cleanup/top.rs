//! What lies in a root beside its datasets: temporaries that died writers left there. Writes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lancekeeper_planner::cleanup::{DatasetFacts, FileClass, FileFacts, FileId, is_root_litter};
use lancekeeper_store::Root;

use crate::cleanup::dataset::{DatasetInventory, DatasetPlace};
use crate::cleanup::names::Names;
use crate::cleanup::report::CleanupError;

/// Directories of small files, whose writers may leave temporaries.
const DIRECTORIES: [&str; 2] = ["__recovery", "__maintenance"];

/// Lists the files of a root that lie in no dataset.
pub(super) async fn list(
    root: &Root,
    place: &DatasetPlace,
    explained: &BTreeSet<String>,
) -> Result<DatasetInventory, CleanupError> {
    let files = root.files();
    let mut listed = files.list_directly().await?;
    for name in DIRECTORIES {
        listed.extend(files.list(name).await?);
    }
    let facts: Vec<FileFacts> = listed
        .into_iter()
        .map(|file| FileFacts {
            class: if is_root_litter(&file.path) {
                FileClass::Litter
            } else {
                FileClass::Untouchable
            },
            path: file.path,
            bytes: file.bytes,
            modified: file.modified,
            chain: None,
        })
        .collect();
    let explained = facts.iter().zip(0..).filter(|(file, _)| explained.contains(&file.path));
    let explained = explained.map(|(_, at)| FileId(at)).collect();
    Ok(DatasetInventory {
        facts: DatasetFacts {
            table: place.table.clone(),
            location: place.location.clone(),
            role: place.role,
            files: facts,
            units: 0,
            sets: BTreeMap::new(),
            chains: Vec::new(),
            held: Vec::new(),
            unsure: None,
            blobs_unread: None,
            warnings: Vec::new(),
            stuck: BTreeSet::new(),
            explained,
        },
        files,
        names: Names::default(),
        table: None,
        detached: Vec::new(),
        tables: Arc::default(),
        beside: BTreeSet::new(),
        blobs_unread: None,
        reads_blobs_below: BTreeSet::new(),
    })
}
