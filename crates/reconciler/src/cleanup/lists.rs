//! Lists of deletions, and the record of those that were done, under `__maintenance/`.
//!
//! A list is written before the first of its deletions and goes after the last one. Found
//! later, it tells that a cleanup died, and which files it had explained.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use lancekeeper_model::{DocumentError, DocumentKind, OperationId};
use lancekeeper_planner::cleanup::{DatasetPlan, Deletion, DeletionReason};
use lancekeeper_store::Files;
use serde::{Deserialize, Serialize};

use crate::cleanup::report::CleanupError;

const LIST_DIR: &str = "__maintenance/cleanup";
const RECORD_DIR: &str = "__maintenance/audit";
/// Records kept; older ones go.
const RECORDS_MAX: usize = 200;

/// The lists and records of a root.
#[derive(Debug)]
pub struct Lists {
    /// Those of the root.
    files: Files,
    lists: Files,
    records: Files,
}

/// A list of an earlier cleanup that did not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingList {
    /// Its file.
    pub file: String,
    /// The dataset, relative to the root.
    pub location: String,
    /// The paths on it, relative to the dataset.
    pub paths: BTreeSet<String>,
    list: List,
}

/// What cleanups that died left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pending {
    /// Their lists.
    pub lists: Vec<PendingList>,
    /// Files that should be lists and cannot be understood, each with the reason.
    pub torn: Vec<(String, String)>,
}

impl Pending {
    /// What they had decided to delete of a dataset.
    #[must_use]
    pub fn explained(&self, location: &str) -> BTreeSet<String> {
        let of_dataset = self.lists.iter().filter(|list| list.location == location);
        of_dataset.flat_map(|list| list.paths.iter().cloned()).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct List {
    schema: u32,
    operation: String,
    /// What the dataset is called in reports; earlier lists lack it.
    #[serde(default)]
    table: String,
    location: String,
    /// Who wrote it; earlier lists do not say.
    #[serde(default)]
    by: String,
    deletions: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    path: String,
    bytes: u64,
    reason: String,
}

/// What was deleted, why, and by whom.
#[derive(Serialize)]
struct Record<'a> {
    schema: u32,
    operation: &'a str,
    table: &'a str,
    location: &'a str,
    ended_at: String,
    /// User, host, program and process.
    by: &'a str,
    /// Whether the run died: what it had deleted was found and written down by the next one, and is all
    /// that is gone of its list. Then versions are among the files alone.
    interrupted: bool,
    files: usize,
    bytes: u64,
    /// Whether a version without rows took the place of the newest.
    emptied: bool,
    /// Removed versions, by branch.
    versions: BTreeMap<&'a str, Vec<u64>>,
    /// Files by reason.
    reasons: BTreeMap<&'a str, usize>,
    /// Those that no removed version explains, by name.
    unreferenced: Vec<&'a str>,
}

impl<'a> Record<'a> {
    /// Of files on a list.
    fn of(list: &'a List, gone: impl Fn(&Entry) -> bool, now: DateTime<Utc>) -> Self {
        let mut record = Self {
            schema: DocumentKind::CleanupList.version(),
            operation: &list.operation,
            table: &list.table,
            location: &list.location,
            ended_at: now.to_rfc3339_opts(SecondsFormat::Secs, true),
            by: &list.by,
            interrupted: false,
            files: 0,
            bytes: 0,
            emptied: false,
            versions: BTreeMap::new(),
            reasons: BTreeMap::new(),
            unreferenced: Vec::new(),
        };
        for entry in list.deletions.iter().filter(|entry| gone(entry)) {
            record.files += 1;
            record.bytes += entry.bytes;
            *record.reasons.entry(&entry.reason).or_default() += 1;
            let unexplained = [DeletionReason::Unreferenced, DeletionReason::UnnamedBlob];
            if unexplained.iter().any(|reason| entry.reason == reason.as_str()) {
                record.unreferenced.push(&entry.path);
            }
        }
        record
    }
}

/// Who deletes here.
fn this_process() -> String {
    let known = |name: Result<String, whoami::Error>| name.unwrap_or_else(|_| "unknown".to_owned());
    format!(
        "{}@{} lancekeeper {} pid {}",
        known(whoami::username()),
        known(whoami::hostname()),
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    )
}

impl Lists {
    /// Those among the files of a root. Nothing is created.
    #[must_use]
    pub fn of(root: &Files) -> Self {
        Self { files: root.clone(), lists: root.below(LIST_DIR), records: root.below(RECORD_DIR) }
    }

    /// The lists of cleanups that did not end.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or is of a newer version.
    pub async fn pending(&self) -> Result<Pending, CleanupError> {
        let mut pending = Pending::default();
        for file in self.lists.names(".json").await? {
            // Gone since it was listed: done.
            let Some(content) = self.lists.read(&file).await? else { continue };
            // A newer one may mean anything; one that a power cut left torn means nothing, and all it was
            // for is to save waiting.
            let list: List = match DocumentKind::CleanupList.read(&content) {
                Ok(list) => list,
                Err(newer @ DocumentError::Newer { .. }) => {
                    let (file, why) = (format!("{LIST_DIR}/{file}"), newer.to_string());
                    return Err(CleanupError::List { file, why });
                }
                Err(DocumentError::Damaged(error)) => {
                    pending.torn.push((file, error.to_string()));
                    continue;
                }
            };
            let paths = list.deletions.iter().map(|entry| entry.path.clone()).collect();
            let location = list.location.clone();
            pending.lists.push(PendingList { file, location, paths, list });
        }
        Ok(pending)
    }

    /// Writes the list of a plan. `number` tells the operation's datasets apart.
    ///
    /// # Errors
    ///
    /// When it could not be written: then nothing may be deleted.
    ///
    /// # Cancel safety
    ///
    /// The list is there or not; nothing is deleted yet.
    pub async fn write(
        &self,
        operation: &OperationId,
        number: usize,
        plan: &DatasetPlan,
    ) -> Result<PendingList, CleanupError> {
        let file = format!("{operation}-{number:04}.json");
        let entry = |deletion: &Deletion| Entry {
            path: deletion.path.clone(),
            bytes: deletion.bytes,
            reason: deletion.reason.as_str().to_owned(),
        };
        let list = List {
            schema: DocumentKind::CleanupList.version(),
            operation: operation.to_string(),
            table: plan.table.to_string(),
            location: plan.location.clone(),
            by: this_process(),
            deletions: plan.deletions.iter().map(entry).collect(),
        };
        self.lists.put(&file, serde_json::to_vec(&list)?).await?;
        self.sync(&file).await?;
        // Its paths are in the plan.
        let (location, paths) = (list.location.clone(), BTreeSet::new());
        Ok(PendingList { file, location, paths, list })
    }

    /// Makes a list durable: deletions are, and what they leave must not lack its explanation.
    async fn sync(&self, file: &str) -> Result<(), CleanupError> {
        self.lists.make_durable(file).await?;
        Ok(self.files.make_durable(LIST_DIR).await?)
    }

    /// Deletes a file that should be a list and cannot be understood.
    ///
    /// # Errors
    ///
    /// When it is still there afterwards.
    ///
    /// # Cancel safety
    ///
    /// The file is there or not.
    pub async fn end_torn(&self, file: &str) -> Result<(), CleanupError> {
        Ok(self.lists.delete(file).await?)
    }

    /// Deletes a list whose deletions are done.
    ///
    /// # Errors
    ///
    /// When it is still there afterwards.
    ///
    /// # Cancel safety
    ///
    /// The list is there or not; found again, it explains files that are gone.
    pub async fn end(&self, list: &PendingList) -> Result<(), CleanupError> {
        Ok(self.lists.delete(&list.file).await?)
    }

    /// Writes down that all of a list was deleted but for what was spared, and lets the oldest records go.
    ///
    /// # Errors
    ///
    /// When it could not be written.
    ///
    /// # Cancel safety
    ///
    /// The record is there or not.
    pub async fn record(
        &self,
        list: &PendingList,
        plan: &DatasetPlan,
        spared: &BTreeSet<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), CleanupError> {
        let mut record = Record::of(&list.list, |entry| !spared.contains(entry.path.as_str()), now);
        record.emptied = plan.empties.is_some();
        for (branch, version) in &plan.removed {
            record.versions.entry(branch.label()).or_default().push(version.0);
        }
        self.write_record(&list.file, &record).await
    }

    /// Writes down what a cleanup that died had deleted of its list: what is not among the files that were
    /// there when its dataset was next listed. Nothing when it had written that down itself.
    ///
    /// # Errors
    ///
    /// When it could not be written.
    ///
    /// # Cancel safety
    ///
    /// The record is there or not.
    pub async fn record_interrupted(
        &self,
        list: &PendingList,
        present: &BTreeSet<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), CleanupError> {
        if self.records.read(&list.file).await?.is_some() {
            return Ok(());
        }
        let gone = |entry: &Entry| !present.contains(entry.path.as_str());
        let mut record = Record::of(&list.list, gone, now);
        record.interrupted = true;
        if record.files == 0 {
            return Ok(());
        }
        self.write_record(&list.file, &record).await
    }

    async fn write_record(&self, file: &str, record: &Record<'_>) -> Result<(), CleanupError> {
        self.records.put(file, serde_json::to_vec_pretty(record)?).await?;
        // Names begin with a ULID: the oldest come first.
        let known = self.records.names(".json").await?;
        for old in known.iter().take(known.len().saturating_sub(RECORDS_MAX)) {
            self.records.delete(old).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
