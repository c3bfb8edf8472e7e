//! Arguments of `watch`.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, ValueHint};
use lancekeeper_settings::values;

use super::Roots;
use super::roots::{Place, Refusal};

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) roots: Roots,

    /// Look once, do what is due, and end: for cron.
    #[arg(long)]
    pub(crate) once: bool,

    /// Delete old versions where a table's own policy says retain_days and keep_versions. Rules in the file that
    /// --policy names need no word.
    #[arg(long)]
    pub(crate) confirm: bool,

    /// Policies from this file, below what tables have set themselves; SIGHUP reads it again.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) policy: Option<PathBuf>,

    /// How often roots are looked at that nobody writes to: 1 (seconds), 30s, 5m.
    #[arg(long, value_name = "DURATION", value_parser = values::duration, default_value = "1s")]
    pub(crate) interval: Duration,
}

impl WatchArgs {
    /// Makes the roots explicit.
    pub(super) fn resolve(&mut self, place: &Place) -> Result<(), Refusal> {
        match self.roots.resolve(place)?.is_empty() {
            true => Ok(()),
            false => Err((
                ErrorKind::ArgumentConflict,
                "watch looks after every table of the root that has a policy",
            )),
        }
    }
}
