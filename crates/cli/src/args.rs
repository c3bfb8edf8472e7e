//! The command line's grammar: verbs, options and what their values may be. Nothing is
//! opened or resolved here but the file of `--workload`; a value that makes no sense is a usage error (exit code 2).

mod branch;
mod check;
mod cleanup;
mod config;
mod count;
mod examples;
mod index;
mod jobs;
mod lock;
mod migrate;
mod policy;
mod prune;
mod recover;
mod repair;
mod rewrites;
mod roots;
mod settings;
mod sql;
mod status;
mod verify;
mod watch;
mod workload;

use std::ffi::OsString;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use lancekeeper_model::{BranchSelection, Layout, OptimizeOptions};
use lancekeeper_settings::{Given, Key, Settings, Source, Value, values};

pub(crate) use branch::{BranchArgs, BranchVerb, CreateArgs, DeleteArgs, ListArgs};
use check::CheckArg;
pub(crate) use cleanup::CleanupArgs;
pub(crate) use config::ConfigArgs;
pub(crate) use count::CountArgs;
use examples::AFTER_HELP;
pub(crate) use jobs::{JobCancelArgs, JobListArgs, JobResumeArgs, JobShowArgs, JobsArgs, JobsVerb};
pub(crate) use lock::LockArgs;
pub(crate) use migrate::MigrateArgs;
pub(crate) use policy::{PolicyArgs, PolicyShowArgs, PolicySimulateArgs, PolicyVerb};
pub(crate) use recover::RecoverArgs;
pub(crate) use repair::RepairArgs;
use roots::Place;
pub(crate) use roots::Roots;
pub(crate) use settings::SettingArgs;
pub(crate) use sql::{ScriptError, SqlArgs};
pub(crate) use status::StatusArgs;
pub(crate) use verify::VerifyArgs;
pub(crate) use watch::WatchArgs;
use workload::Workload;

/// A build whose figures mean nothing says so: nobody should hold one for the product.
const VERSION: &str = if cfg!(debug_assertions) {
    concat!(env!("CARGO_PKG_VERSION"), " (not optimized)")
} else {
    env!("CARGO_PKG_VERSION")
};

/// Keeps Lance tables, LanceDB databases and graphs in good order.
#[derive(Debug, Parser)]
#[command(name = "lancekeeper", version = VERSION, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,

    /// The root, if it is named by an option.
    #[command(flatten)]
    place: Place,

    /// Where settings are said.
    #[command(flatten)]
    pub(crate) settings: SettingArgs,

    /// How to say what was done.
    #[command(flatten)]
    pub(crate) speech: Speech,
}

impl Cli {
    /// Reads a command line.
    ///
    /// # Errors
    ///
    /// A usage error, or what `--help` and `--version` have to say.
    pub(crate) fn read<S: Into<OsString> + Clone>(
        line: impl IntoIterator<Item = S>,
    ) -> Result<Self, clap::Error> {
        let mut cli = Self::try_parse_from(without_leading_db(line))?;
        // Not by clap itself: it looks at a verb's own arguments before it knows those that may
        // stand on either side of the verb.
        cli.name_roots().map_err(|(kind, message)| Self::command().error(kind, message))?;
        Ok(cli)
    }

    fn name_roots(&mut self) -> Result<(), roots::Refusal> {
        match &mut self.verb {
            Verb::Optimize(args) => {
                args.index.check()?;
                args.tables.extend(args.roots.resolve(&self.place)?);
            }
            Verb::Cleanup(args) => args.tables.extend(args.roots.resolve(&self.place)?),
            Verb::CountRows(args) => args.tables.extend(args.roots.resolve(&self.place)?),
            Verb::Verify(args) => args.tables.extend(args.roots.resolve(&self.place)?),
            Verb::Repair(args) => args.tables.extend(args.roots.resolve(&self.place)?),
            Verb::Branch(args) => args.resolve(&self.place)?,
            Verb::Recover(args) => args.resolve(&self.place)?,
            Verb::Migrate(args) => args.resolve(&self.place)?,
            Verb::Config(args) => args.resolve(&self.place)?,
            Verb::Watch(args) => args.resolve(&self.place)?,
            Verb::Policy(args) => args.resolve(&self.place)?,
            Verb::Sql(args) => args.resolve(&self.place)?,
            Verb::Jobs(args) => args.resolve(&self.place)?,
            Verb::Status(args) => {
                if !args.roots.resolve(&self.place)?.is_empty() {
                    return Err((
                        ErrorKind::ArgumentConflict,
                        "status shows every table of the root that --uri or --db-path names",
                    ));
                }
            }
        }
        Ok(())
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows what is there and what would be done; writes nothing.
    Status(StatusArgs),
    /// Merges small fragments and drops deleted rows; readers keep what they have open.
    Optimize(OptimizeArgs),
    /// Deletes forks, versions and files that nothing needs; a preview unless --confirm.
    Cleanup(CleanupArgs),
    /// Publishes or takes back what was committed to tables of a graph past it; a preview unless --confirm.
    Repair(RepairArgs),
    /// Lists, creates and deletes branches of a graph.
    Branch(BranchArgs),
    /// Finishes or takes back what crashed writers left of a graph; a preview unless --confirm.
    Recover(RecoverArgs),
    /// Takes a graph to another internal schema version, or back; a preview unless --confirm.
    Migrate(MigrateArgs),
    /// Counts the rows that readers see; writes nothing.
    CountRows(CountArgs),
    /// Checks whether all that is there can be read and is what it says; writes nothing.
    Verify(VerifyArgs),
    /// Shows what was done to tables and why, asks for the end of a job, or does its work again.
    Jobs(JobsArgs),
    /// Keeps tables in order by their policies until it is told to end, or once.
    Watch(WatchArgs),
    /// Checks a file of policies, shows what holds of tables, or what policies would have done.
    Policy(PolicyArgs),
    /// Shows every setting, its value and where that comes from; opens no table.
    Config(ConfigArgs),
    /// Carries out statements: COMPACT, VACUUM, OPTIMIZE, ALTER TABLE, SELECT and more.
    Sql(SqlArgs),
}

/// The branches that `--branch` and `--all-branches` mean.
fn selection(all: bool, named: &[String]) -> BranchSelection {
    match (all, named) {
        (true, _) => BranchSelection::All,
        (false, []) => BranchSelection::Main,
        (false, named) => BranchSelection::Named(named.to_vec()),
    }
}

/// Arguments of `optimize`.
#[derive(Debug, Args)]
pub(crate) struct OptimizeArgs {
    #[command(flatten)]
    pub(crate) roots: Roots,

    /// Only this table; may be repeated.
    #[arg(long = "table", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    tables: Vec<String>,

    /// Every table, also those not named (what is done anyway unless tables are named).
    #[arg(long)]
    all: bool,

    /// Leave a table with fewer fragments alone, its indexes too [default: work on every table].
    #[arg(long, value_name = "N", value_parser = values::fragments)]
    min_fragments: Option<u64>,

    /// A new fragment is full at this many rows, or at --target-bytes [default: 1048576].
    #[arg(long, value_name = "N", value_parser = values::rows)]
    target_rows: Option<u64>,

    /// A new fragment is full at this size: 512MiB, 64M (MiB), 1GB (10^9) or plain bytes
    /// [default: 512MiB].
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    target_bytes: Option<u64>,

    /// Rewrite a fragment with more than this share deleted, even alone: 0.1 or 10%
    /// [default: 0.1].
    #[arg(long, value_name = "F", value_parser = values::share)]
    deletion_threshold: Option<f64>,

    /// Rewrite every fragment with a deleted row: --deletion-threshold 0.
    #[arg(long, conflicts_with = "deletion_threshold")]
    purge_deletes: bool,

    /// Read at most this much for rewrites, over all roots, and leave the rest to the next run.
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    max_bytes: Option<u64>,

    /// Begin no more work after this time: 90 (seconds), 30m, 1h30m. What began is finished.
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    max_time: Option<Duration>,

    /// Tables rewritten at the same time [default: OMNIGRAPH_MAINTENANCE_CONCURRENCY, or 8].
    #[arg(long, value_name = "N", value_parser = values::concurrency)]
    concurrency: Option<usize>,

    /// Keep the rows in this order from now on: sort:ts,-id, zorder:a,b, hilbert:a,b, graph for edges
    /// of a graph, or auto to choose; binpack leaves them as they come, none forgets [default: what
    /// each table is kept in].
    #[arg(long, value_name = "LAYOUT")]
    layout: Option<Layout>,

    /// Choose the columns of --layout auto by the predicates in this file, one a line.
    #[arg(long, value_name = "FILE", requires = "layout", value_parser = workload::read)]
    workload: Option<Workload>,

    /// Lay everything out anew, not only what was added or overlaps.
    #[arg(long)]
    full: bool,

    /// Memory that all rewrites may take together, by estimate [default: 1GiB].
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    memory_limit: Option<u64>,

    /// What is compared of each rewrite before it is committed: rows (how many there are) or
    /// content (every value, for which old and new files are read once more).
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        default_value_t = CheckArg::Rows,
        hide_possible_values = true,
    )]
    verify: CheckArg,

    #[command(flatten)]
    rewrites: rewrites::RewriteArgs,

    #[command(flatten)]
    index: index::IndexArgs,

    /// Only this branch of a graph or of tables (repeatable); main unless given.
    #[arg(long = "branch", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    branches: Vec<String>,

    /// Every live branch of a graph, or of every table, main included.
    #[arg(long, conflicts_with = "branches")]
    all_branches: bool,

    #[command(flatten)]
    prune: prune::PruneArgs,

    /// Print the plan and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) lock: LockArgs,
}

impl OptimizeArgs {
    /// The settings that these arguments say.
    pub(crate) fn given(&self) -> Vec<Given> {
        let number =
            |key, said: Option<u64>| said.map(|number| by_flag(key, Value::Number(number)));
        let share = |key, said: Option<f64>| said.map(|share| by_flag(key, Value::Share(share)));
        let purge = self.purge_deletes.then_some(0.0);
        let given = [
            number(Key::OptimizeTargetRows, self.target_rows),
            number(Key::OptimizeTargetBytes, self.target_bytes),
            share(Key::OptimizeDeletionThreshold, self.deletion_threshold.or(purge)),
            number(Key::OptimizeMinFragments, self.min_fragments),
            number(Key::OptimizeMaxBytes, self.max_bytes),
            number(Key::OptimizeMaxTime, self.max_time.map(|time| time.as_secs())),
            number(Key::BulkMemoryLimit, self.memory_limit),
            number(Key::BulkConcurrency, self.concurrency.map(|tables| tables as u64)),
        ];
        given.into_iter().flatten().collect()
    }

    /// The options that these arguments mean, with settings in which what they say already is.
    pub(crate) fn options(&self, settings: &Settings) -> OptimizeOptions {
        OptimizeOptions {
            tables: self.tables.clone(),
            all_tables: self.all,
            predicate: self.rewrites.predicate.clone(),
            concurrency: self.concurrency,
            branches: selection(self.all_branches, &self.branches),
            index: self.index.mode(),
            index_only: self.index.only,
            index_names: self.index.names.clone(),
            layout: self.layout.clone(),
            full: self.full,
            workload: self.workload.as_ref().map(Workload::predicates).unwrap_or_default(),
            verify: self.verify.into(),
            statistics: self.rewrites.statistics,
            pages: self.rewrites.pages(),
            prune: self.prune.options(),
            ..settings.optimize_options()
        }
    }
}

/// A setting as the option of a verb says it.
fn by_flag(key: Key, value: Value) -> Given {
    let flag = key.setting().flag.unwrap_or("the command line");
    Given { key, value, source: Source::Flag(flag.to_owned()) }
}

/// The line without the word `db` right behind the program's name: scripts for databases begin
/// so, and it says nothing that `--db-path` does not.
fn without_leading_db<S: Into<OsString> + Clone>(
    line: impl IntoIterator<Item = S>,
) -> impl Iterator<Item = OsString> {
    let line = line.into_iter().map(Into::into).enumerate();
    line.filter(|(at, word)| *at != 1 || word != "db").map(|(_, word): (usize, OsString)| word)
}

/// How to say what was done; the same for every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Speech {
    /// Print one JSON document instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// No target line, no progress bar; warnings and errors stay.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Log more on stderr: -v, -vv; RUST_LOG overrides it.
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Progress on stderr: auto (a bar on a terminal), none, json (a line per event).
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t = ProgressMode::Auto,
        hide_possible_values = true,
    )]
    pub(crate) progress: ProgressMode,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// A bar when stderr is a terminal, else nothing.
    Auto,
    /// Nothing.
    None,
    /// One JSON line per event.
    Json,
}

#[cfg(test)]
mod tests;
