//! What to do about a root that somebody else works on.

use std::time::Duration;

use clap::Args;
use lancekeeper_settings::values;

/// What to do about a root that is locked; the same for every verb that writes.
#[derive(Debug, Default, Args)]
pub(crate) struct LockArgs {
    /// Wait so long for another lancekeeper that has the root locked: 90 (seconds), 30m, 1h30m.
    #[arg(long, value_name = "DURATION", value_parser = values::unsigned_age, default_value = "0s")]
    pub(crate) wait: Duration,
}
