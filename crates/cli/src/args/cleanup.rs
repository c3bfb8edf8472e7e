//! Arguments of `cleanup`.

use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
pub(crate) use lancekeeper_model::KEEP_UNLESS_TOLD;
use lancekeeper_model::{CleanupOptions, CleanupPolicyOptions};

use super::{LockArgs, Roots, values};

/// Arguments of `cleanup`.
#[derive(Debug, Args)]
pub(crate) struct CleanupArgs {
    #[command(flatten)]
    pub(crate) roots: Roots,

    /// Keep the newest N existing versions of each table and branch. Without any rule: 10.
    #[arg(long = "keep", alias = "keep-versions", value_name = "N", value_parser = values::versions)]
    keep: Option<u32>,

    /// Keep versions younger than this: 30d, 12h, 1d12h; a bare number is seconds.
    #[arg(long, value_name = "AGE", value_parser = values::unsigned_age)]
    older_than: Option<Duration>,

    /// Keep the newest N commits of each branch of a graph readable.
    #[arg(long, value_name = "N", value_parser = values::rows)]
    keep_last: Option<u64>,

    /// Keep commits of a graph readable that are younger than this.
    #[arg(long, value_name = "AGE", value_parser = values::age)]
    keep_within: Option<TimeDelta>,

    /// Delete. Without it, only a preview is printed.
    #[arg(long)]
    pub(crate) confirm: bool,

    /// With --confirm: also where the root is not on this machine.
    #[arg(long, requires = "confirm")]
    pub(crate) yes: bool,

    /// A preview; the same as leaving --confirm out.
    #[arg(long, conflicts_with = "confirm")]
    dry_run: bool,

    /// Only this table; may be repeated.
    #[arg(long = "table", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) tables: Vec<String>,

    /// Keep versions committed within this time, whatever the rules say: other writers may
    /// have staged work against them.
    #[arg(long, value_name = "AGE", value_parser = values::age, default_value = "10m")]
    writer_window: TimeDelta,

    /// Keep files that nothing refers to for this long.
    #[arg(long, value_name = "AGE", value_parser = values::age, default_value = "7d")]
    min_age: TimeDelta,

    /// Keep forks that nothing reads for this long.
    #[arg(long, value_name = "AGE", value_parser = values::age, default_value = "1h")]
    min_fork_age: TimeDelta,

    /// Leave litter alone when it is more than this share of a table's files.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100), default_value_t = 50)]
    max_delete_percent: u8,

    /// Deletions at the same time.
    #[arg(long, value_name = "N", value_parser = values::concurrency)]
    concurrency: Option<usize>,

    /// Deletions per second at most.
    #[arg(long, value_name = "N", value_parser = values::rows)]
    delete_rate: Option<u64>,

    /// Also empty the tables in which v3 kept the commits of a graph that was migrated to v4.
    #[arg(long)]
    old_history: bool,

    #[command(flatten)]
    pub(crate) lock: LockArgs,
}

impl CleanupArgs {
    /// The options these arguments mean.
    pub(crate) fn options(&self) -> CleanupOptions {
        let mut options = CleanupOptions {
            policy: CleanupPolicyOptions { keep_versions: self.keep, older_than: self.older_than },
            keep_last: self.keep_last,
            keep_within: self.keep_within,
            writer_window: self.writer_window,
            min_age: self.min_age,
            min_fork_age: self.min_fork_age,
            max_delete_percent: self.max_delete_percent,
            tables: self.tables.clone(),
            concurrency: self.concurrency,
            delete_rate: self.delete_rate,
            old_history: self.old_history,
        };
        if options.is_without_rule() {
            options.policy.keep_versions = Some(KEEP_UNLESS_TOLD);
        }
        options
    }

    /// What to say before anything is done: by which rule, if none was given.
    pub(crate) fn notice(&self) -> Option<String> {
        let rules = [self.keep.is_some(), self.older_than.is_some(), self.keep_last.is_some()];
        let has_rule = rules.contains(&true) || self.keep_within.is_some();
        (!has_rule).then(|| format!("no rule given: using --keep {KEEP_UNLESS_TOLD}"))
    }
}
