//! Arguments of `jobs`: list, show, cancel, resume.

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueHint};
use lancekeeper_model::{JobStatus, JobsOptions};

use super::roots::{Place, Refusal};
use super::{LockArgs, Roots, values};

/// Arguments of `jobs`.
#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    pub(crate) what: JobsVerb,
}

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsVerb {
    /// Shows jobs: what was done to which table, why, and what became of it; the newest first.
    List(JobListArgs),
    /// Shows all that is known of one job.
    Show(JobShowArgs),
    /// Asks for the end of a job: its run looks between two groups, and what it finished stays.
    Cancel(JobCancelArgs),
    /// Does the work of a job again: what it had finished is taken over if it still fits.
    Resume(JobResumeArgs),
}

/// Arguments of `jobs list`.
#[derive(Debug, Args)]
pub(crate) struct JobListArgs {
    #[command(flatten)]
    pub(crate) roots: Roots,

    /// Only jobs of this table; may be repeated.
    #[arg(long = "table", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    tables: Vec<String>,

    /// Only jobs that are so far (repeatable).
    #[arg(long = "status", value_name = "STATUS", value_parser = status_parser())]
    statuses: Vec<JobStatus>,

    /// At most so many of each root, or all.
    #[arg(long, value_name = "N|all", value_parser = most, default_value = "50")]
    limit: Most,
}

/// How many are shown at most; `None` for all.
#[derive(Debug, Clone, Copy)]
struct Most(Option<usize>);

fn most(text: &str) -> Result<Most, String> {
    match text {
        "all" => Ok(Most(None)),
        number => {
            let number = values::concurrency(number);
            number.map(|number| Most(Some(number))).map_err(|why| format!("{why}; or all"))
        }
    }
}

fn status_parser() -> impl TypedValueParser<Value = JobStatus> {
    let words = JobStatus::ALL.iter().map(|status| status.as_str());
    PossibleValuesParser::new(words).map(|word| JobStatus::of(&word).unwrap_or_default())
}

impl JobListArgs {
    /// The options these arguments mean.
    pub(crate) fn options(&self) -> JobsOptions {
        JobsOptions {
            tables: self.tables.clone(),
            statuses: self.statuses.clone(),
            limit: self.limit.0,
        }
    }
}

/// Arguments of `jobs show`.
#[derive(Debug, Args)]
pub(crate) struct JobShowArgs {
    #[command(flatten)]
    pub(crate) target: JobTarget,
}

/// Arguments of `jobs cancel`.
#[derive(Debug, Args)]
pub(crate) struct JobCancelArgs {
    #[command(flatten)]
    pub(crate) target: JobTarget,
}

/// Arguments of `jobs resume`.
#[derive(Debug, Args)]
pub(crate) struct JobResumeArgs {
    #[command(flatten)]
    pub(crate) target: JobTarget,

    #[command(flatten)]
    pub(crate) lock: LockArgs,
}

/// One job of one root.
#[derive(Debug, Default, Args)]
pub(crate) struct JobTarget {
    /// The root, unless --uri or --db-path names it, and the id of the job.
    #[arg(
        value_names = ["ROOT", "ID"],
        value_hint = ValueHint::DirPath,
        num_args = 0..=2,
        required = true,
        value_parser = NonEmptyStringValueParser::new(),
    )]
    words: Vec<String>,

    #[arg(skip)]
    pub(crate) roots: Roots,
}

impl JobTarget {
    /// The id of the job, in the letters in which it is written.
    pub(crate) fn id(&self) -> String {
        self.words.last().map_or_else(String::new, |id| id.to_ascii_uppercase())
    }

    fn resolve(&mut self, place: &Place) -> Result<(), Refusal> {
        let missing = "a root and the id of a job are needed: ROOT ID, or --uri URI ID";
        let beyond = "--uri and --db-path name the root: what else is named is one job";
        self.roots.resolve_before_last(&self.words, place, missing, beyond)
    }
}

impl JobsArgs {
    /// Makes the root explicit.
    pub(super) fn resolve(&mut self, place: &Place) -> Result<(), Refusal> {
        match &mut self.what {
            JobsVerb::List(args) => {
                args.tables.extend(args.roots.resolve(place)?);
                Ok(())
            }
            JobsVerb::Show(args) => args.target.resolve(place),
            JobsVerb::Cancel(args) => args.target.resolve(place),
            JobsVerb::Resume(args) => args.target.resolve(place),
        }
    }
}
