//! A policy as options of the verbs that carry it out.

use std::time::Duration;

use lancekeeper_model::{
    CleanupOptions, CleanupPolicyOptions, EffectivePolicy, OptimizeOptions, TableKey,
};

use super::work::Work;

/// How `optimize` is called for one table.
#[must_use]
pub fn optimize_options(policy: &EffectivePolicy, table: &TableKey, work: Work) -> OptimizeOptions {
    OptimizeOptions {
        tables: vec![table.as_str().to_owned()],
        target_bytes: policy.target_bytes,
        deletion_threshold: policy.deletion_share,
        index_only: work == Work::Index,
        max_bytes: policy.max_bytes_per_run,
        max_time: policy.max_seconds_per_run.map(Duration::from_secs),
        ..OptimizeOptions::default()
    }
}

/// How `cleanup` is called for one table; `None` where the policy does not say both rules. The floors, the writer
/// window and the ages of files are those of the verb: no policy lowers them.
#[must_use]
pub fn cleanup_options(policy: &EffectivePolicy, table: &TableKey) -> Option<CleanupOptions> {
    const DAY_SECONDS: u64 = 86_400;
    let (days, keep) = policy.retention?;
    Some(CleanupOptions {
        policy: CleanupPolicyOptions {
            keep_versions: Some(u32::try_from(keep).unwrap_or(u32::MAX)),
            older_than: Some(Duration::from_secs(days.saturating_mul(DAY_SECONDS))),
        },
        tables: vec![table.as_str().to_owned()],
        delete_rate: policy.max_deletions_per_second,
        ..CleanupOptions::default()
    })
}
