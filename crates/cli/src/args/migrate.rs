//! Arguments of `migrate`.

use chrono::TimeDelta;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use lancekeeper_model::{InternalSchema, MigrateGoal, MigrateOptions, StorageVersion, TableStep};

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

    /// Of databases: data files of this version, by compaction: 2.0, 2.1 or 2.2. The tables stay at theirs.
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["to", "abort", "restamp"])]
    storage_version: Option<StorageVersion>,

    /// Of databases: names of manifests that list the newest first. Needs --assume-alone.
    #[arg(
        long,
        value_name = "NAMES",
        value_parser = ["v2"],
        conflicts_with_all = ["to", "abort", "restamp", "storage_version"],
    )]
    manifest_paths: Option<String>,

    /// With --manifest-paths: nobody else has a table open to write. What they would commit would be lost.
    #[arg(long, requires = "manifest_paths")]
    assume_alone: bool,

    /// Of databases: row ids that stay when rows are moved, for tables without indexes.
    #[arg(
        long,
        conflicts_with_all = ["to", "abort", "restamp", "storage_version", "manifest_paths"],
    )]
    stable_row_ids: bool,

    /// Only this table of a database; may be repeated.
    #[arg(long = "table", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    tables: Vec<String>,

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
        let named = self.roots.resolve(place)?;
        if !named.is_empty() && self.step().is_none() {
            return Err((
                ErrorKind::ArgumentConflict,
                "migrate takes a graph as a whole: --uri or --db-path names it",
            ));
        }
        self.tables.extend(named);
        Ok(())
    }

    /// The options these arguments mean.
    pub(crate) fn options(&self) -> MigrateOptions {
        let restamp = self.restamp.and_then(InternalSchema::from_number);
        let goal = match (self.step(), self.to, restamp) {
            (Some(step), _, _) => MigrateGoal::Tables(step),
            (None, _, Some(to)) => MigrateGoal::Restamp(to),
            (None, Some(4), None) => MigrateGoal::Newest { rebuild: self.rebuild_history },
            (None, Some(_), None) => MigrateGoal::V3,
            (None, _, None) if self.abort => MigrateGoal::Abort,
            (None, _, None) => MigrateGoal::Writable,
        };
        MigrateOptions { goal, dead_after: self.dead_after, tables: self.tables.clone() }
    }

    /// What is to be done with the tables of a database.
    fn step(&self) -> Option<TableStep> {
        let names = self.manifest_paths.is_some();
        let alone = TableStep::ManifestPaths { assume_alone: self.assume_alone };
        let ids = self.stable_row_ids.then_some(TableStep::StableRowIds);
        self.storage_version.map(TableStep::StorageVersion).or(names.then_some(alone)).or(ids)
    }
}
