//! The table of all options of policies: SQL, files, `policy show` and docs/policies.md follow it.

use lancekeeper_model::{EffectivePolicy, Policy, PolicyOption, PolicyValue};

use super::error::OptionError;
use super::kind::{Literal, PolicyKind};
use crate::kind::Refused;

/// What is known of an option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptionInfo {
    /// Which it is.
    pub option: PolicyOption,
    /// What its value is.
    pub kind: PolicyKind,
    /// What holds where nobody says, as people read it.
    pub default: &'static str,
    /// What it means, in one or two sentences.
    pub doc: &'static str,
}

/// A file of 1 TiB is none that anybody wants, and a threshold of 16 TiB is a slip of the pen.
const FILE_MB: PolicyKind = PolicyKind::Count { least: 1, most: 1 << 20 };
const WEEK_SECONDS: u64 = 7 * 86_400;

/// Every option there is, in the order of [`PolicyOption::ALL`].
pub const POLICY_OPTIONS: [OptionInfo; 17] = [
    info(
        PolicyOption::AutoCompact,
        PolicyKind::Switch,
        "false",
        "Whether the watcher keeps the table in order: merges small fragments, purges deleted rows, refreshes indexes.",
    ),
    info(
        PolicyOption::CompactThresholdMb,
        PolicyKind::Count { least: 1, most: 16 << 20 },
        "none",
        "Small fragments are merged once they hold this much together, in MiB, however few they are.",
    ),
    info(
        PolicyOption::CompactTargetFileSizeMb,
        FILE_MB,
        "512",
        "A new fragment is full at this size, in MiB.",
    ),
    info(
        PolicyOption::MinFileSizeMb,
        FILE_MB,
        "64",
        "A fragment below this size counts as small, in MiB; one of more than half the target never does.",
    ),
    info(
        PolicyOption::CompactThresholdFiles,
        PolicyKind::Count { least: 2, most: 1_000_000 },
        "10, adaptive",
        "Small fragments are merged once there are this many, however little they hold. Where neither threshold is said, the number follows the table's own rate of appends.",
    ),
    info(
        PolicyOption::MaxConcurrentJobs,
        PolicyKind::Count { least: 1, most: 64 },
        "4",
        "A job of the table begins only while fewer jobs than this run in the watcher.",
    ),
    info(
        PolicyOption::DeletionShare,
        PolicyKind::Share,
        "0.1",
        "Deleted rows are purged once they are more than this share of the table.",
    ),
    info(
        PolicyOption::UnindexedRows,
        PolicyKind::Count { least: 1, most: 1_000_000_000_000 },
        "65536",
        "Indexes are refreshed once they miss this many rows.",
    ),
    info(
        PolicyOption::VersionCount,
        PolicyKind::Count { least: 2, most: 1_000_000 },
        "100",
        "Old versions are cleaned up once there are more than this many. Acts only where `retain_days` and `keep_versions` are both said.",
    ),
    info(
        PolicyOption::ClusteringDepth,
        PolicyKind::Depth,
        "none",
        "A table with a layout is due once the place of a row falls into more fragments than this on average, if a plain `optimize` finds something to lay out then; everything is laid out anew by `optimize --full` alone. Rows that came since it was laid out count as if they might lie anywhere, so nothing is read for it.",
    ),
    info(
        PolicyOption::RetainDays,
        PolicyKind::Count { least: 1, most: 36_500 },
        "none",
        "A cleanup by policy leaves versions that are younger, in days. Without this and `keep_versions` nothing is ever deleted by policy; set by `ALTER TABLE` they act where the watcher was started with `--confirm`.",
    ),
    info(
        PolicyOption::KeepVersions,
        PolicyKind::Count { least: 1, most: 1_000_000 },
        "none",
        "A cleanup by policy leaves the newest so many versions. A version goes only if both rules and every floor let it.",
    ),
    info(
        PolicyOption::QuietTimes,
        PolicyKind::Times,
        "none",
        "When nothing is begun, in UTC: `Mon-Fri 08:00-18:00; Sat 10:00-12:00`. What runs is finished.",
    ),
    info(
        PolicyOption::MaxBytesPerRun,
        PolicyKind::Bytes { least: 1 << 20 },
        "no limit",
        "What one run reads for rewrites at most, but for a first group that is larger by itself; the rest is left to the next run.",
    ),
    info(
        PolicyOption::MaxSecondsPerRun,
        PolicyKind::Seconds { most: WEEK_SECONDS },
        "no limit",
        "A run begins no new work after this time; what was begun is finished.",
    ),
    info(
        PolicyOption::MaxDeletionsPerSecond,
        PolicyKind::Count { least: 1, most: 1_000_000 },
        "no limit",
        "Files that a cleanup by policy deletes per second at most.",
    ),
    info(
        PolicyOption::Priority,
        PolicyKind::Priority,
        "0",
        "Which table goes first where several wait. A table that waits longer rises, so that none waits for ever.",
    ),
];

const fn info(
    option: PolicyOption,
    kind: PolicyKind,
    default: &'static str,
    doc: &'static str,
) -> OptionInfo {
    OptionInfo { option, kind, default, doc }
}

/// What is known of an option.
#[must_use]
pub fn option_info(option: PolicyOption) -> &'static OptionInfo {
    static TABLE: [OptionInfo; POLICY_OPTIONS.len()] = POLICY_OPTIONS;
    &TABLE[option as usize]
}

/// The option of a name, whatever its case.
///
/// # Errors
///
/// If there is none; with the nearest name.
pub fn find_option(name: &str) -> Result<PolicyOption, OptionError> {
    let mut all = PolicyOption::ALL.into_iter();
    let found = all.find(|option| option.name().eq_ignore_ascii_case(name));
    found.ok_or_else(|| OptionError::Unknown { name: name.to_owned() })
}

/// Reads one option of a policy as it stands in SQL or in a file.
///
/// # Errors
///
/// If there is no option of that name, or if it cannot have that value.
pub fn read_option(
    name: &str,
    literal: Literal<'_>,
) -> Result<(PolicyOption, PolicyValue), OptionError> {
    let option = find_option(name)?;
    let kind = option_info(option).kind;
    let value = kind.read(literal);
    let wrong = |refused| OptionError::Value { option, refused, expected: kind.expected() };
    value.map(|value| (option, value)).map_err(wrong)
}

/// Checks the options of a policy against each other, as it holds in the end.
///
/// # Errors
///
/// The option that makes no sense beside another one.
pub fn check_together(policy: &Policy) -> Result<(), OptionError> {
    let target = policy.compact_target_file_size_mb.unwrap_or(EffectivePolicy::TARGET_FILE_SIZE_MB);
    match policy.min_file_size_mb {
        Some(small) if small >= target => Err(OptionError::Value {
            option: PolicyOption::MinFileSizeMb,
            expected: option_info(PolicyOption::MinFileSizeMb).kind.expected(),
            refused: Refused {
                why: format!(
                    "must be below compact_target_file_size_mb, which is {target}: every new fragment would count as \
                     small, and {small} is not"
                ),
                hint: Some("set compact_target_file_size_mb to at least twice min_file_size_mb"),
            },
        }),
        _ => Ok(()),
    }
}

/// What a policy says to no effect, each in a sentence: no error, but worth telling.
#[must_use]
pub fn notices(policy: &Policy) -> Vec<String> {
    let mut notices = Vec::new();
    match (policy.retain_days, policy.keep_versions) {
        (Some(_), None) => notices.push(
            "retain_days alone deletes nothing: a cleanup by policy needs keep_versions as well".to_owned(),
        ),
        (None, Some(_)) => notices.push(
            "keep_versions alone deletes nothing: a cleanup by policy needs retain_days as well".to_owned(),
        ),
        (None, None) if policy.version_count.is_some() => notices.push(
            "version_count alone deletes nothing: a cleanup by policy needs retain_days and keep_versions".to_owned(),
        ),
        _ => {}
    }
    let says_when = policy.compact_threshold_files.is_some()
        || policy.compact_threshold_mb.is_some()
        || policy.deletion_share.is_some()
        || policy.unindexed_rows.is_some()
        || policy.clustering_depth.is_some();
    if says_when && policy.auto_compact != Some(true) {
        notices.push("nothing is compacted by itself until auto_compact is true".to_owned());
    }
    notices
}
