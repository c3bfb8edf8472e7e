//! What opening a root for writing finished or took back of runs that died. The fields are
//! those of `--json`.

use serde::Serialize;

use crate::{Branch, Stamp, TableKey, TableRef, Version};

/// A sidecar of ours that was resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecoveredSidecar {
    /// The file, relative to the root.
    pub file: String,
    /// The graph branch it was about.
    pub branch: Branch,
    /// What was done, in words.
    pub decision: String,
    /// Why.
    pub why: String,
    /// The pin that moved; null when none did.
    pub moved: Option<MovedPin>,
}

/// A pin that moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MovedPin {
    /// The table.
    pub table_key: TableKey,
    /// The Lance branch of the table.
    pub table_branch: Branch,
    /// The version readers saw before.
    pub from: Version,
    /// The version readers see now.
    pub to: Version,
}

/// What opening a root recovered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Sidecars that were resolved.
    pub sidecars: Vec<RecoveredSidecar>,
    /// Staged files of dead runs that were deleted: no version refers to them.
    pub staged_files_deleted: u64,
    /// The graph's format was brought up to date, which its first write does; null when it was.
    pub migrated: Option<Migrated>,
}

/// A graph whose format was brought up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Migrated {
    /// What main was stamped with before.
    pub from: Stamp,
    /// The internal schema version it has now.
    pub to: u32,
    /// The branches that were taken there.
    pub branches: Vec<Branch>,
    /// Branches of runs of old clients that were deleted.
    pub run_branches_deleted: Vec<Branch>,
    /// The clients that cannot write it any more.
    pub locked_out: Vec<String>,
}

impl Recovery {
    /// The same for people, a sentence for each.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let sidecar = |sidecar: &RecoveredSidecar| {
            let what = match &sidecar.moved {
                Some(MovedPin { table_key, table_branch, from, to }) => {
                    let (key, branch) = (table_key.clone(), table_branch.clone());
                    format!("published {} from {from} to {to}", TableRef { key, branch })
                }
                None => format!("{} of {}", sidecar.decision, sidecar.file),
            };
            format!("recovered a run that died: {what}, {}", sidecar.why)
        };
        let mut sentences: Vec<String> = self.sidecars.iter().map(sidecar).collect();
        match self.staged_files_deleted {
            0 => {}
            1 => sentences.push("recovered a run that died: 1 staged file deleted".to_owned()),
            n => sentences.push(format!("recovered a run that died: {n} staged files deleted")),
        }
        sentences
    }

    /// Whether there was nothing to recover.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.sidecars.is_empty() && self.staged_files_deleted == 0 && self.migrated.is_none()
    }
}
