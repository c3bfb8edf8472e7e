//! Arguments of `migrate`.

use chrono::TimeDelta;
use clap::Args;
use clap::error::ErrorKind;
use lancekeeper_model::{InternalSchema, MigrateGoal, MigrateOptions};

use super::roots::{Place, Refusal};
use super::{LockArgs, Roots, values};

/// Arguments of `migrate`.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    pub(crate) roots: Roots,

    /// The internal schema version to take the graph to: 3, or 4, which locks out the clients of 3
    /// [default: what the first write of any verb does].
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u32).range(3..=4))]
    to: Option<u32>,

    /// Take a migration back to v3 that is not finished.
    #[arg(long, conflicts_with = "to")]
    abort: bool,

    /// Only write stamps anew that are damaged or contradict each other, after a look whether every
    /// branch is of this version: 1 to 4.
    #[arg(
        long,
        value_name = "VERSION",
        conflicts_with_all = ["to", "abort"],
        value_parser = clap::value_parser!(u32).range(1..=4),
    )]
    restamp: Option<u32>,

    /// With --to 4: where the commit history is lost, make one of the versions of __manifest.
    #[arg(long, requires = "to")]
    rebuild_history: bool,

    /// After which time without a write the branch of a run of an old client is nobody's any more.
    #[arg(long, value_name = "AGE", value_parser = values::age, default_value = "15m")]
    dead_after: TimeDelta,

    /// Migrate. Without it, only a preview is printed.
    #[arg(long)]
    pub(crate) confirm: bool,

    /// A preview; the same as leaving --confirm out.
    #[arg(long, alias = "dry-run", conflicts_with = "confirm")]
    plan: bool,

    #[command(flatten)]
    pub(crate) lock: LockArgs,
}

impl MigrateArgs {
    /// Makes the roots explicit.
    pub(super) fn resolve(&mut self, place: &Place) -> Result<(), Refusal> {
        match self.roots.resolve(place)?.is_empty() {
            true => Ok(()),
            false => Err((
                ErrorKind::ArgumentConflict,
                "migrate takes a graph as a whole: --uri or --db-path names it",
            )),
        }
    }

    /// The options these arguments mean.
    pub(crate) fn options(&self) -> MigrateOptions {
        let restamp = self.restamp.and_then(InternalSchema::from_number);
        let goal = match (self.to, restamp) {
            (_, Some(to)) => MigrateGoal::Restamp(to),
            (Some(4), None) => MigrateGoal::Newest { rebuild: self.rebuild_history },
            (_, None) if self.abort => MigrateGoal::Abort,
            (_, None) => MigrateGoal::Writable,
        };
        MigrateOptions { goal, dead_after: self.dead_after }
    }
}
