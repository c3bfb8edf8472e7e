//! Arguments of `optimize` that delete old versions afterwards.

use chrono::TimeDelta;
use clap::Args;
use lancekeeper_model::PruneOptions;

use super::values;

/// What to delete after the work.
#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Afterwards, delete every version older than the writer window but the newest of that time,
    /// tagged ones, and those that branches were cut from. Databases and tables; on graphs, `cleanup` does it.
    #[arg(long)]
    prune_now: bool,

    /// With --prune-now: keep versions committed within this time; other writers may have
    /// staged work against them [default: 10m].
    #[arg(long, value_name = "AGE", value_parser = values::age, requires = "prune_now")]
    writer_window: Option<TimeDelta>,

    /// With --prune-now: your word that nobody else writes. No window, and files that nothing
    /// refers to go whatever their age.
    #[arg(long, requires = "prune_now", conflicts_with = "writer_window")]
    no_other_writers: bool,
}

impl PruneArgs {
    pub(super) fn options(&self) -> Option<PruneOptions> {
        let defaults = PruneOptions::default();
        self.prune_now.then(|| PruneOptions {
            writer_window: self.writer_window.unwrap_or(defaults.writer_window),
            no_other_writers: self.no_other_writers,
        })
    }
}
