//! A job: one piece of work on one table that a verb, a statement or a policy started, and what became of it. It
//! is kept as a small JSON document; the names of its fields are the format, and those of
//! `system.compaction_jobs`.
//!
//! Not here: where documents lie and how they are written (`service::jobs`), and which of them are closed or
//! dropped (`planner::jobs`).

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{CacheStats, DocumentError, DocumentKind, ErrorKind};

#[cfg(test)]
mod tests;

/// The version of the format that is written, and the newest that is read.
pub const JOB_SCHEMA: u32 = DocumentKind::Job.version();

/// One job on one table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The version of the format.
    pub schema: u32,
    /// A ULID: jobs are listed by the time at which they were made.
    pub id: String,
    /// The run that works on it, as it stands in commits, journals and logs; empty while it is queued.
    pub operation: String,
    /// The root, without what may be a password.
    pub root: String,
    /// The table, as its root calls it.
    pub table: String,
    /// The branch; `main` for the main branch.
    pub branch: String,
    /// What is done to the table.
    pub kind: JobKind,
    /// Who started it.
    pub trigger: JobTrigger,
    /// Why it was started, in words: the statement, or the policy's reason. Empty for a plain command.
    pub reason: String,
    /// What was planned, in words.
    pub plan: String,
    /// How far it is, or how it ended.
    pub compaction_status: JobStatus,
    /// Why it ended as it did, in words: what made it a no-op, or who cancelled it. Empty after success.
    pub outcome: String,
    /// Higher comes first.
    pub priority: i64,
    /// How far it is.
    pub progress: JobProgress,
    /// Bytes of the files that were read for what was rewritten; of a cleanup 0.
    pub bytes_read: u64,
    /// Bytes of the files that were written; of a cleanup 0.
    pub bytes_written: u64,
    /// Bytes of the files that were deleted; only of a cleanup.
    pub bytes_deleted: u64,
    /// Live rows that were read for what was rewritten.
    pub rows_read: u64,
    /// Rows of the fragments that were written.
    pub rows_written: u64,
    /// The table before; null if nobody looked.
    pub before: Option<JobTable>,
    /// The table afterwards; null until it ended, and if nobody looked.
    pub after: Option<JobTable>,
    /// The order of the table's rows, as it is written on the command line; null without one.
    pub layout: Option<String>,
    /// The table's depth before, where it has a layout and that was measured.
    pub depth_before: Option<f64>,
    /// The same afterwards.
    pub depth_after: Option<f64>,
    /// Why it failed, if it did.
    pub error: Option<JobError>,
    /// The most memory that the process had had by the end of the job, in bytes; null where the system does not tell.
    pub memory_peak_bytes: Option<u64>,
    /// What the caches of the process did during the job, other jobs' use included.
    pub caches: Option<JobCaches>,
    /// When it was put in line; for a job that nobody queued, when it began.
    pub queued_at: DateTime<Utc>,
    /// When work on it began; null while it is queued.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended; null until then.
    pub ended_at: Option<DateTime<Utc>>,
    /// The machine that it was last worked on; empty where the system does not tell.
    pub host: String,
    /// The number of the process there.
    pub process: u32,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProgress {
    /// Groups of fragments to rewrite; of a cleanup, files to delete.
    pub groups_planned: u64,
    /// Those that are done.
    pub groups_done: u64,
    /// Bytes to rewrite, or to delete.
    pub bytes_planned: u64,
    /// Those that are done.
    pub bytes_done: u64,
}

/// A table at one moment of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTable {
    /// Live rows.
    pub rows: u64,
    /// Fragments.
    pub fragments: u64,
    /// Data files.
    pub files: u64,
    /// Bytes of all its files.
    pub bytes: u64,
}

/// Why a job failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// What went wrong, causes included.
    pub message: String,
    /// The kind of it, as [`ErrorKind`] is written.
    pub kind: String,
    /// What a person can do about it; null where nobody knows.
    pub hint: Option<String>,
}

impl JobError {
    /// An error of a kind.
    #[must_use]
    pub fn new(message: impl Into<String>, kind: ErrorKind, hint: Option<String>) -> Self {
        Self { message: message.into(), kind: kind.to_string(), hint }
    }
}

/// What caches did during a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCaches {
    /// How often a part of an index was there when it was asked for.
    pub index_hits: u64,
    /// How often it was not.
    pub index_misses: u64,
    /// How often a manifest or a footer was there.
    pub metadata_hits: u64,
    /// How often it was not.
    pub metadata_misses: u64,
}

impl JobCaches {
    /// What caches did between two moments. Counters that somebody has reset meanwhile count as 0.
    #[must_use]
    pub fn between(before: &CacheStats, after: &CacheStats) -> Self {
        Self {
            index_hits: after.index.hits.saturating_sub(before.index.hits),
            index_misses: after.index.misses.saturating_sub(before.index.misses),
            metadata_hits: after.metadata.hits.saturating_sub(before.metadata.hits),
            metadata_misses: after.metadata.misses.saturating_sub(before.metadata.misses),
        }
    }
}

/// Makes an enum of words: as they stand in documents, in SQL and on the command line.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What a word stands for; `None` if it is none of them.
            #[must_use]
            pub fn of(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a job does to its table.
    JobKind {
        /// Merges small fragments and drops deleted rows.
        #[default]
        Compact = "compact",
        /// Gives the rows their order.
        Layout = "layout",
        /// Builds or refreshes indexes, and rewrites no fragment.
        Index = "index",
        /// Computes statistics of the values.
        Statistics = "statistics",
        /// Deletes versions, forks and files that nothing needs.
        Cleanup = "cleanup",
        /// Publishes what an earlier run had committed.
        Publish = "publish",
    }
}

words! {
    /// Who started a job.
    JobTrigger {
        /// A person or a script, by a verb or by the library.
        #[default]
        Command = "command",
        /// A statement.
        Sql = "sql",
        /// The watcher, by a policy.
        Policy = "policy",
    }
}

words! {
    /// How far a job is, or how it ended.
    JobStatus {
        /// It waits for its turn.
        Queued = "queued",
        /// It is worked on.
        #[default]
        Running = "running",
        /// It did what was planned; the numbers say how much.
        Done = "done",
        /// It ended with an error.
        Failed = "failed",
        /// Somebody asked for its end. What was finished by then stays.
        Cancelled = "cancelled",
        /// There was nothing to do after all; `outcome` says why.
        Noop = "noop",
    }
}

impl JobStatus {
    /// Whether nothing more becomes of the job.
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// Why a run was started, for the jobs that it makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobCause {
    /// Who started it.
    pub trigger: JobTrigger,
    /// Why, in words.
    pub reason: String,
    /// Higher comes first.
    pub priority: i64,
    /// The queued job that the run carries out, if there is one: its record is taken over for the same table.
    pub job: Option<String>,
}

/// Why text is no document of a job.
#[derive(Debug, Error)]
pub enum JobDocumentError {
    /// A newer program wrote it.
    #[error(
        "it has schema {found}; this version of lancekeeper knows {JOB_SCHEMA}: upgrade lancekeeper first"
    )]
    Newer {
        /// Its version.
        found: u64,
    },
    /// It cannot be understood.
    #[error("it is damaged: {0}")]
    Damaged(#[source] serde_json::Error),
    /// It could not be encoded.
    #[error("it cannot be encoded: {0}")]
    Encode(#[source] serde_json::Error),
}

impl JobDocumentError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Newer { .. } => ErrorKind::Refused,
            Self::Damaged(_) => ErrorKind::Corrupt,
            Self::Encode(_) => ErrorKind::Internal,
        }
    }
}

impl JobRecord {
    /// The document.
    ///
    /// # Errors
    ///
    /// [`JobDocumentError::Encode`], for numbers that JSON does not have.
    pub fn to_json(&self) -> Result<String, JobDocumentError> {
        let text = serde_json::to_string_pretty(self).map_err(JobDocumentError::Encode)?;
        Ok(text + "\n")
    }

    /// Reads a document.
    ///
    /// # Errors
    ///
    /// [`JobDocumentError::Newer`] or [`JobDocumentError::Damaged`].
    pub fn from_json(text: &[u8]) -> Result<Self, JobDocumentError> {
        DocumentKind::Job.read(text).map_err(|error| match error {
            DocumentError::Newer { found, .. } => JobDocumentError::Newer { found },
            DocumentError::Damaged(error) => JobDocumentError::Damaged(error),
        })
    }
}
