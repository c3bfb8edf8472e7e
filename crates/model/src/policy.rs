//! Policies: what a person wants of a table without starting anything by hand, option by option, and who says so.
//!
//! Not here: names with their ranges and meaning, and reading them from SQL or a file (`settings::policy`); when
//! something is due (`planner::schedule`); the documents (`service`).

mod effective;
mod options;
mod quiet;
mod sourced;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::DocumentKind;

pub use effective::EffectivePolicy;
pub use options::{PolicyOption, PolicyValue};
pub use quiet::{QuietError, QuietTimes, QuietWindow};
pub use sourced::{PolicySource, SourcedPolicy};

/// The version of the document of a table's policy that is written, and the newest that is read.
pub const POLICY_FORMAT: u32 = DocumentKind::Policy.version();

/// What is wanted of a table. What is `None` is said elsewhere, or by nobody. The names of the fields are those of
/// the options in SQL and in files, and the format of the document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Whether the table is kept in order by itself: small fragments merged, deleted rows purged, indexes refreshed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_compact: Option<bool>,
    /// Small fragments are merged once they hold this much together, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compact_threshold_mb: Option<u64>,
    /// A new fragment is full at this size, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compact_target_file_size_mb: Option<u64>,
    /// A fragment below this size counts as small, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_file_size_mb: Option<u64>,
    /// Small fragments are merged once there are this many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compact_threshold_files: Option<u64>,
    /// A job of this table begins only while fewer jobs than this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_jobs: Option<u64>,
    /// Deleted rows are purged once they are more than this share of the table or of a fragment, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_share: Option<f64>,
    /// Indexes are refreshed once they miss this many rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unindexed_rows: Option<u64>,
    /// Old versions are cleaned up once there are more than this many. Acts only beside both rules of retention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_count: Option<u64>,
    /// A table with a layout is due once a row's place falls into more fragments than this on average, if a plain run finds
    /// something to lay out then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clustering_depth: Option<f64>,
    /// Versions younger than this stay, in days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain_days: Option<u64>,
    /// The newest so many versions stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_versions: Option<u64>,
    /// When nothing is begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_times: Option<QuietTimes>,
    /// What one run reads for rewrites at most, in bytes; the rest is left to the next run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes_per_run: Option<u64>,
    /// For how long a run begins new work, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_seconds_per_run: Option<u64>,
    /// Deletions per second that a cleanup makes at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_deletions_per_second: Option<u64>,
    /// Which table goes first, from -10 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
}

impl Policy {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        PolicyOption::ALL.iter().all(|option| self.get(*option).is_none())
    }

    /// The options that it sets, in the order of their table.
    pub fn set_options(&self) -> impl Iterator<Item = (PolicyOption, PolicyValue)> + '_ {
        PolicyOption::ALL.iter().filter_map(|option| Some((*option, self.get(*option)?)))
    }
}
