//! A policy with the built-in value of everything that nobody says.

use super::{Policy, QuietTimes};
use crate::{OptimizeOptions, SMALL_FRAGMENT_BYTES};

const MEBIBYTE: u64 = 1 << 20;

/// What holds of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectivePolicy {
    /// Whether anything is done by itself; off unless told.
    pub auto_compact: bool,
    /// Small fragments are merged once they hold this many bytes together; never by their size unless told.
    pub threshold_bytes: Option<u64>,
    /// Small fragments are merged once there are this many.
    pub threshold_files: u64,
    /// Nobody says either threshold: the trigger follows the table's own rate of appends, and `threshold_files` holds
    /// until that is known.
    pub is_adaptive: bool,
    /// A new fragment is full at this many bytes.
    pub target_bytes: u64,
    /// A fragment below this many bytes counts as small.
    pub small_bytes: u64,
    /// A job begins only while fewer than this run.
    pub max_concurrent_jobs: u64,
    /// Deleted rows are purged above this share.
    pub deletion_share: f64,
    /// Indexes are refreshed once they miss this many rows.
    pub unindexed_rows: u64,
    /// Old versions are cleaned up above this many.
    pub version_count: u64,
    /// Rows are laid out again from this depth on; never for that alone unless told.
    pub clustering_depth: Option<f64>,
    /// Which versions stay, days and number, if both were said: then cleanup runs by itself.
    pub retention: Option<(u64, u64)>,
    /// When nothing is begun.
    pub quiet_times: Option<QuietTimes>,
    /// What a run reads at most.
    pub max_bytes_per_run: Option<u64>,
    /// For how many seconds a run begins new work.
    pub max_seconds_per_run: Option<u64>,
    /// Deletions per second at most.
    pub max_deletions_per_second: Option<u64>,
    /// Which table goes first, from -10 to 10.
    pub priority: i64,
}

impl EffectivePolicy {
    /// Unless told. An open fragment costs a reader a request or two: ten are not felt, and one run for ten appends
    /// is a tenth of a commit for each.
    pub const THRESHOLD_FILES: u64 = 10;
    /// Unless told.
    pub const MAX_CONCURRENT_JOBS: u64 = 4;
    /// Unless told: as many as a new fragment holds a sixteenth of, which a query scans in milliseconds.
    pub const UNINDEXED_ROWS: u64 = 64 << 10;
    /// Unless told. Opening a table lists its versions in one request of 1,000 names.
    pub const VERSION_COUNT: u64 = 100;
    /// Unless told, in MiB.
    pub const MIN_FILE_SIZE_MB: u64 = SMALL_FRAGMENT_BYTES / MEBIBYTE;
    /// Unless told, in MiB.
    pub const TARGET_FILE_SIZE_MB: u64 = OptimizeOptions::TARGET_BYTES / MEBIBYTE;

    /// What holds where a policy is silent. Values out of their range are taken for the nearest that is in it, so
    /// that a document which was written by hand can do no harm.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        let target = policy.compact_target_file_size_mb.unwrap_or(Self::TARGET_FILE_SIZE_MB).max(1);
        let small = policy.min_file_size_mb.unwrap_or(Self::MIN_FILE_SIZE_MB).max(1);
        let target_bytes = target.saturating_mul(MEBIBYTE);
        let share = policy.deletion_share.filter(|share| (0.0..=1.0).contains(share));
        let depth = policy.clustering_depth.filter(|depth| *depth > 1.0);
        Self {
            auto_compact: policy.auto_compact.unwrap_or(false),
            threshold_bytes: policy
                .compact_threshold_mb
                .map(|mb| mb.max(1).saturating_mul(MEBIBYTE)),
            threshold_files: policy.compact_threshold_files.unwrap_or(Self::THRESHOLD_FILES).max(2),
            is_adaptive: policy.compact_threshold_mb.is_none()
                && policy.compact_threshold_files.is_none(),
            target_bytes,
            // What is more than half full is not merged any more: counted as small, it would be a reason for ever.
            small_bytes: small.saturating_mul(MEBIBYTE).min(target_bytes / 2),
            max_concurrent_jobs: policy
                .max_concurrent_jobs
                .unwrap_or(Self::MAX_CONCURRENT_JOBS)
                .max(1),
            deletion_share: share.unwrap_or(OptimizeOptions::DELETION_THRESHOLD),
            unindexed_rows: policy.unindexed_rows.unwrap_or(Self::UNINDEXED_ROWS).max(1),
            version_count: policy.version_count.unwrap_or(Self::VERSION_COUNT).max(1),
            clustering_depth: depth,
            retention: policy
                .retain_days
                .zip(policy.keep_versions)
                .map(|(days, versions)| (days.max(1), versions.max(1))),
            quiet_times: policy.quiet_times.clone(),
            max_bytes_per_run: policy.max_bytes_per_run.map(|bytes| bytes.max(1)),
            max_seconds_per_run: policy.max_seconds_per_run.map(|seconds| seconds.max(1)),
            max_deletions_per_second: policy.max_deletions_per_second.map(|rate| rate.max(1)),
            priority: policy.priority.unwrap_or(0).clamp(-10, 10),
        }
    }
}

impl Default for EffectivePolicy {
    fn default() -> Self {
        Self::of(&Policy::default())
    }
}
