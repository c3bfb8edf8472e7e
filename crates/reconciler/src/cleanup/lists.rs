//! Lists of deletions, and the record of those that were done, under `__maintenance/`.
//!
//! A list is written before the first of its deletions and goes after the last one. Found
//! later, it tells that a cleanup died, and which files it had explained.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use lancekeeper_model::OperationId;
use lancekeeper_planner::cleanup::{DatasetPlan, DeletionReason};
use lancekeeper_store::Root;
use lancekeeper_store::document::{DocumentError, Documents};
use serde::{Deserialize, Serialize};

use crate::cleanup::report::CleanupError;

const LIST_DIR: &str = "__maintenance/cleanup";
const RECORD_DIR: &str = "__maintenance/audit";
/// The version of the formats we write, and the newest we read.
const SCHEMA: u32 = 1;
/// Records kept; older ones go.
const RECORDS_MAX: usize = 200;

/// The lists and records of a root.
#[derive(Debug)]
pub struct Lists {
    lists: Documents,
    records: Documents,
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
}

#[derive(Serialize, Deserialize)]
struct List {
    schema: u32,
    operation: String,
    location: String,
    deletions: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
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
    /// Process and host.
    by: String,
    files: usize,
    bytes: u64,
    /// Whether a version without rows took the place of the newest.
    emptied: bool,
    /// Removed versions, by branch.
    versions: BTreeMap<&'a str, Vec<u64>>,
    /// Files by reason.
    reasons: BTreeMap<&'static str, usize>,
    /// Those that no removed version explains, by name.
    unreferenced: Vec<&'a str>,
}

impl Lists {
    /// Of a root. Nothing is created.
    ///
    /// # Errors
    ///
    /// When the root's address cannot be understood.
    pub async fn of(root: &Root) -> Result<Self, DocumentError> {
        Ok(Self {
            lists: Documents::at(&root.address_of(LIST_DIR)).await?,
            records: Documents::at(&root.address_of(RECORD_DIR)).await?,
        })
    }

    /// The lists of cleanups that did not end.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or is of a newer version.
    pub async fn pending(&self) -> Result<Vec<PendingList>, CleanupError> {
        let mut pending = Vec::new();
        for file in self.lists.list(".json").await? {
            // Gone since it was listed: done.
            let Some(content) = self.lists.read(&file).await? else { continue };
            let unreadable =
                |why: String| CleanupError::List { file: format!("{LIST_DIR}/{file}"), why };
            let list: List =
                serde_json::from_slice(&content).map_err(|error| unreadable(error.to_string()))?;
            if list.schema > SCHEMA {
                return Err(unreadable(format!(
                    "its schema {} is newer than {SCHEMA}, the newest this version of lancekeeper knows",
                    list.schema
                )));
            }
            let paths = list.deletions.into_iter().map(|entry| entry.path).collect();
            pending.push(PendingList { file, location: list.location, paths });
        }
        Ok(pending)
    }

    /// Writes a list, and returns its file.
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
    ) -> Result<String, CleanupError> {
        let file = format!("{operation}-{number:04}.json");
        let list = List {
            schema: SCHEMA,
            operation: operation.to_string(),
            location: plan.location.clone(),
            deletions: plan
                .deletions
                .iter()
                .map(|deletion| Entry {
                    path: deletion.path.clone(),
                    bytes: deletion.bytes,
                    reason: deletion.reason.as_str().to_owned(),
                })
                .collect(),
        };
        self.lists.write(&file, serde_json::to_vec(&list)?).await?;
        Ok(file)
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
    pub async fn end(&self, file: &str) -> Result<(), CleanupError> {
        Ok(self.lists.delete(file).await?)
    }

    /// Writes down what was deleted, and lets the oldest records go.
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
        operation: &OperationId,
        number: usize,
        plan: &DatasetPlan,
        now: DateTime<Utc>,
    ) -> Result<(), CleanupError> {
        let mut versions: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (branch, version) in &plan.removed {
            versions.entry(branch.label()).or_default().push(version.0);
        }
        let mut reasons: BTreeMap<&'static str, usize> = BTreeMap::new();
        for deletion in &plan.deletions {
            *reasons.entry(deletion.reason.as_str()).or_default() += 1;
        }
        let record = Record {
            schema: SCHEMA,
            operation: operation.as_str(),
            table: plan.table.as_str(),
            location: &plan.location,
            ended_at: now.to_rfc3339_opts(SecondsFormat::Secs, true),
            by: format!("lancekeeper {} pid {}", env!("CARGO_PKG_VERSION"), std::process::id()),
            files: plan.deletions.len(),
            bytes: plan.bytes(),
            emptied: plan.empties.is_some(),
            versions,
            reasons,
            unreferenced: plan
                .deletions
                .iter()
                .filter(|deletion| deletion.reason == DeletionReason::Unreferenced)
                .map(|deletion| deletion.path.as_str())
                .collect(),
        };
        let file = format!("{operation}-{number:04}.json");
        self.records.write(&file, serde_json::to_vec_pretty(&record)?).await?;
        // Names begin with a ULID: the oldest come first.
        let known = self.records.list(".json").await?;
        for old in known.iter().take(known.len().saturating_sub(RECORDS_MAX)) {
            self.records.delete(old).await?;
        }
        Ok(())
    }
}
