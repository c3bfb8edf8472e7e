//! Arguments of `repair`.

use chrono::TimeDelta;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use lancekeeper_model::{BranchSelection, RepairOptions};

use super::{LockArgs, Roots, values};

/// Arguments of `repair`.
#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    pub(crate) roots: Roots,

    /// Publish what is maintenance by the table's own history. Without it, only a preview is printed.
    #[arg(long)]
    pub(crate) confirm: bool,

    /// Publish the rest, too. Without --confirm, show what that would be.
    #[arg(long)]
    force: bool,

    /// Take the rest back to what readers see instead; what is taken back stays, under a tag.
    #[arg(long, conflicts_with = "force")]
    restore_pin: bool,

    /// Of a graph that was moved, copied or restored: let its branches read from here and not from where it lay.
    #[arg(long, conflicts_with_all = ["force", "restore_pin", "tables", "branches", "assume_dead", "concurrency"])]
    pub(crate) relocate: bool,

    /// A preview; the same as leaving --confirm out.
    #[arg(long, conflicts_with = "confirm")]
    dry_run: bool,

    /// Only this table; may be repeated.
    #[arg(long = "table", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) tables: Vec<String>,

    /// Only this branch (repeatable); all of them unless given.
    #[arg(long = "branch", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    branches: Vec<String>,

    /// Leave the rest alone while its newest version is younger: its writer may be about to publish.
    #[arg(long, value_name = "AGE", value_parser = values::age, default_value = "15m")]
    dead_after: TimeDelta,

    /// Nobody is about to publish it, however young it is.
    #[arg(long)]
    assume_dead: bool,

    /// Tables looked at at the same time [default: OMNIGRAPH_MAINTENANCE_CONCURRENCY, or 8].
    #[arg(long, value_name = "N", value_parser = values::concurrency)]
    concurrency: Option<usize>,

    #[command(flatten)]
    pub(crate) lock: LockArgs,
}

impl RepairArgs {
    /// The options these arguments mean.
    pub(crate) fn options(&self) -> RepairOptions {
        RepairOptions {
            tables: self.tables.clone(),
            branches: match self.branches.as_slice() {
                [] => BranchSelection::All,
                named => BranchSelection::Named(named.to_vec()),
            },
            confirm: self.confirm,
            force: self.force,
            restore_pin: self.restore_pin,
            dead_after: self.dead_after,
            assume_dead: self.assume_dead,
            concurrency: self.concurrency,
        }
    }
}
