//! Arguments of `optimize` that delete old versions afterwards.

use chrono::TimeDelta;
use clap::Args;
use lancekeeper_model::PruneOptions;

use super::values;

/// What to delete after the work.
#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Afterwards, wait until the writer window has passed, then delete every version older than
    /// this run's; tagged ones and those that branches were cut from stay. Databases and tables;
    /// on graphs, `cleanup` does it.
    #[arg(long)]
    prune_now: bool,

    /// With --prune-now: keep versions committed within this time; other writers may have
    /// staged work against them [default: 2m].
    #[arg(long, value_name = "AGE", value_parser = values::age, requires = "prune_now")]
    writer_window: Option<TimeDelta>,

    /// With --prune-now: do not wait; what this run replaces stays for the next one.
    #[arg(long, requires = "prune_now")]
    no_wait: bool,

    /// With --prune-now: your word that nobody else writes. No window, no waiting, and files
    /// that nothing refers to go whatever their age.
    #[arg(long, requires = "prune_now", conflicts_with = "writer_window")]
    no_other_writers: bool,
}

impl PruneArgs {
    pub(super) fn options(&self) -> Option<PruneOptions> {
        let defaults = PruneOptions::default();
        self.prune_now.then(|| PruneOptions {
            writer_window: self.writer_window.unwrap_or(defaults.writer_window),
            no_other_writers: self.no_other_writers,
            wait: !self.no_wait,
        })
    }
}
