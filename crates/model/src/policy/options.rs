//! Options of a policy by name, and their values without their meaning.

use std::fmt;

use super::{Policy, QuietTimes};

/// An option of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the fields of Policy say what each is")]
pub enum PolicyOption {
    AutoCompact,
    CompactThresholdMb,
    CompactTargetFileSizeMb,
    MinFileSizeMb,
    CompactThresholdFiles,
    MaxConcurrentJobs,
    DeletionShare,
    UnindexedRows,
    VersionCount,
    ClusteringDepth,
    RetainDays,
    KeepVersions,
    QuietTimes,
    MaxBytesPerRun,
    MaxSecondsPerRun,
    MaxDeletionsPerSecond,
    Priority,
}

/// The value of an option. What a number counts is said by the option.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyValue {
    /// Yes or no.
    Switch(bool),
    /// A number of things, MiB, bytes, seconds or days.
    Count(u64),
    /// A share of a whole, or a depth.
    Real(f64),
    /// A number that may be negative.
    Rank(i64),
    /// Times of the week.
    Times(QuietTimes),
}

impl fmt::Display for PolicyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(on) => on.fmt(f),
            Self::Count(count) => count.fmt(f),
            Self::Real(real) => real.fmt(f),
            Self::Rank(rank) => rank.fmt(f),
            Self::Times(times) => times.fmt(f),
        }
    }
}

impl PolicyOption {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 17] = [
        Self::AutoCompact,
        Self::CompactThresholdMb,
        Self::CompactTargetFileSizeMb,
        Self::MinFileSizeMb,
        Self::CompactThresholdFiles,
        Self::MaxConcurrentJobs,
        Self::DeletionShare,
        Self::UnindexedRows,
        Self::VersionCount,
        Self::ClusteringDepth,
        Self::RetainDays,
        Self::KeepVersions,
        Self::QuietTimes,
        Self::MaxBytesPerRun,
        Self::MaxSecondsPerRun,
        Self::MaxDeletionsPerSecond,
        Self::Priority,
    ];

    /// Its name in SQL, in files and in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AutoCompact => "auto_compact",
            Self::CompactThresholdMb => "compact_threshold_mb",
            Self::CompactTargetFileSizeMb => "compact_target_file_size_mb",
            Self::MinFileSizeMb => "min_file_size_mb",
            Self::CompactThresholdFiles => "compact_threshold_files",
            Self::MaxConcurrentJobs => "max_concurrent_jobs",
            Self::DeletionShare => "deletion_share",
            Self::UnindexedRows => "unindexed_rows",
            Self::VersionCount => "version_count",
            Self::ClusteringDepth => "clustering_depth",
            Self::RetainDays => "retain_days",
            Self::KeepVersions => "keep_versions",
            Self::QuietTimes => "quiet_times",
            Self::MaxBytesPerRun => "max_bytes_per_run",
            Self::MaxSecondsPerRun => "max_seconds_per_run",
            Self::MaxDeletionsPerSecond => "max_deletions_per_second",
            Self::Priority => "priority",
        }
    }
}

impl fmt::Display for PolicyOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Policy {
    /// What it says of an option.
    #[must_use]
    pub fn get(&self, option: PolicyOption) -> Option<PolicyValue> {
        let count = |value: Option<u64>| value.map(PolicyValue::Count);
        match option {
            PolicyOption::AutoCompact => self.auto_compact.map(PolicyValue::Switch),
            PolicyOption::CompactThresholdMb => count(self.compact_threshold_mb),
            PolicyOption::CompactTargetFileSizeMb => count(self.compact_target_file_size_mb),
            PolicyOption::MinFileSizeMb => count(self.min_file_size_mb),
            PolicyOption::CompactThresholdFiles => count(self.compact_threshold_files),
            PolicyOption::MaxConcurrentJobs => count(self.max_concurrent_jobs),
            PolicyOption::DeletionShare => self.deletion_share.map(PolicyValue::Real),
            PolicyOption::UnindexedRows => count(self.unindexed_rows),
            PolicyOption::VersionCount => count(self.version_count),
            PolicyOption::ClusteringDepth => self.clustering_depth.map(PolicyValue::Real),
            PolicyOption::RetainDays => count(self.retain_days),
            PolicyOption::KeepVersions => count(self.keep_versions),
            PolicyOption::QuietTimes => self.quiet_times.clone().map(PolicyValue::Times),
            PolicyOption::MaxBytesPerRun => count(self.max_bytes_per_run),
            PolicyOption::MaxSecondsPerRun => count(self.max_seconds_per_run),
            PolicyOption::MaxDeletionsPerSecond => count(self.max_deletions_per_second),
            PolicyOption::Priority => self.priority.map(PolicyValue::Rank),
        }
    }

    /// Sets an option. Returns whether the value is of the kind that the option has; if not, nothing is changed.
    #[must_use]
    pub fn set(&mut self, option: PolicyOption, value: PolicyValue) -> bool {
        match (self.count_of(option), value) {
            (Some(slot), PolicyValue::Count(count)) => *slot = Some(count),
            (None, value) => return self.set_other(option, value),
            (Some(_), _) => return false,
        }
        true
    }

    /// The options that are no counts.
    fn set_other(&mut self, option: PolicyOption, value: PolicyValue) -> bool {
        match (option, value) {
            (PolicyOption::AutoCompact, PolicyValue::Switch(on)) => self.auto_compact = Some(on),
            (PolicyOption::DeletionShare, PolicyValue::Real(share)) => {
                self.deletion_share = Some(share);
            }
            (PolicyOption::ClusteringDepth, PolicyValue::Real(depth)) => {
                self.clustering_depth = Some(depth);
            }
            (PolicyOption::QuietTimes, PolicyValue::Times(times)) => self.quiet_times = Some(times),
            (PolicyOption::Priority, PolicyValue::Rank(rank)) => self.priority = Some(rank),
            _ => return false,
        }
        true
    }

    /// Takes an option back, as `ALTER TABLE … RESET` does.
    pub fn reset(&mut self, option: PolicyOption) {
        if let Some(slot) = self.count_of(option) {
            *slot = None;
            return;
        }
        match option {
            PolicyOption::AutoCompact => self.auto_compact = None,
            PolicyOption::DeletionShare => self.deletion_share = None,
            PolicyOption::ClusteringDepth => self.clustering_depth = None,
            PolicyOption::QuietTimes => self.quiet_times = None,
            // The rest are counts.
            _ => self.priority = None,
        }
    }

    /// Where a count stands.
    fn count_of(&mut self, option: PolicyOption) -> Option<&mut Option<u64>> {
        match option {
            PolicyOption::CompactThresholdMb => Some(&mut self.compact_threshold_mb),
            PolicyOption::CompactTargetFileSizeMb => Some(&mut self.compact_target_file_size_mb),
            PolicyOption::MinFileSizeMb => Some(&mut self.min_file_size_mb),
            PolicyOption::CompactThresholdFiles => Some(&mut self.compact_threshold_files),
            PolicyOption::MaxConcurrentJobs => Some(&mut self.max_concurrent_jobs),
            PolicyOption::UnindexedRows => Some(&mut self.unindexed_rows),
            PolicyOption::VersionCount => Some(&mut self.version_count),
            PolicyOption::RetainDays => Some(&mut self.retain_days),
            PolicyOption::KeepVersions => Some(&mut self.keep_versions),
            PolicyOption::MaxBytesPerRun => Some(&mut self.max_bytes_per_run),
            PolicyOption::MaxSecondsPerRun => Some(&mut self.max_seconds_per_run),
            PolicyOption::MaxDeletionsPerSecond => Some(&mut self.max_deletions_per_second),
            PolicyOption::AutoCompact
            | PolicyOption::DeletionShare
            | PolicyOption::ClusteringDepth
            | PolicyOption::QuietTimes
            | PolicyOption::Priority => None,
        }
    }
}
