//! What may be asked of a cleanup, and how it can fail as a whole.

use chrono::TimeDelta;
use lancekeeper_model::{CleanupOptions, CleanupPolicyOptions, ErrorKind, RootKind};
use lancekeeper_planner::cleanup::Retention;
use lancekeeper_reconciler::cleanup::CleanupError;
use thiserror::Error;

use crate::root::OpenRootError;
use crate::run::ended::EndsRoot;
use crate::run::stop::Interrupted;

/// A cleanup could not be started, or not be ended.
#[derive(Debug, Error)]
pub(crate) enum CleanupRootError {
    /// The root could not be opened.
    #[error(transparent)]
    Open(#[from] OpenRootError),
    /// What is needed could not be learned.
    #[error(transparent)]
    Cleanup(#[from] CleanupError),
    /// Without a rule everything would go that no floor holds.
    #[error(
        "cleanup requires at least one of keep_versions and older_than, on graphs also keep_last and keep_within: no rule says what may go"
    )]
    NoRule,
    /// An option's value makes no sense.
    #[error("{option} must not be {value}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
    },
    /// No such table.
    #[error("there is no table {table} in {uri}")]
    UnknownTable {
        /// The root.
        uri: String,
        /// The name asked for.
        table: String,
    },
    /// The run was asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl EndsRoot for CleanupRootError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Cleanup(error) => error.kind(),
            Self::NoRule | Self::Option { .. } | Self::UnknownTable { .. } => ErrorKind::Invalid,
            Self::Interrupted(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Open(error) => error.hint(),
            Self::NoRule => Some("`--keep 10` keeps the newest 10 versions of each table"),
            _ => None,
        }
    }
}

/// The policy that options mean.
pub(super) fn retention(
    kind: RootKind,
    options: &CleanupOptions,
) -> Result<Retention, CleanupRootError> {
    // Databases and tables have no commits: rules about those let everything go there.
    let has_table_rule = options.policy != CleanupPolicyOptions::default();
    if options.is_without_rule() || kind != RootKind::Graph && !has_table_rule {
        return Err(CleanupRootError::NoRule);
    }
    let refuse = |option, value: &dyn ToString| CleanupRootError::Option {
        option,
        value: value.to_string(),
    };
    if options.policy.keep_versions == Some(0) {
        return Err(refuse("keep_versions", &0));
    }
    let older_than = options.policy.older_than.map(TimeDelta::from_std).transpose();
    let older_than = older_than.map_err(|_| refuse("older_than", &"longer than time itself"))?;
    let ages = [
        ("older_than", older_than),
        ("keep_within", options.keep_within),
        ("writer_window", Some(options.writer_window)),
        ("min_age", Some(options.min_age)),
        ("min_fork_age", Some(options.min_fork_age)),
    ];
    for (option, age) in ages {
        if let Some(age) = age.filter(|age| *age < TimeDelta::zero()) {
            return Err(refuse(option, &format!("{} seconds", age.num_seconds())));
        }
    }
    if options.max_delete_percent > 100 {
        return Err(refuse("max_delete_percent", &options.max_delete_percent));
    }
    Ok(Retention {
        keep_versions: options.policy.keep_versions.map(u64::from),
        older_than,
        keep_last: options.keep_last,
        keep_within: options.keep_within,
        writer_window: options.writer_window,
        min_age: options.min_age,
        min_fork_age: options.min_fork_age,
        max_delete_percent: options.max_delete_percent,
    })
}
