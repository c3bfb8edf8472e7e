//! Arguments of `branch`: list, create, delete.

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Args, Subcommand, ValueHint};

use super::roots::{Place, Refusal};
use super::{LockArgs, Roots};

/// Arguments of `branch`.
#[derive(Debug, Args)]
pub(crate) struct BranchArgs {
    #[command(subcommand)]
    pub(crate) what: BranchVerb,
}

/// What to do with branches.
#[derive(Debug, Subcommand)]
pub(crate) enum BranchVerb {
    /// Shows every branch: what it was cut from, its newest commit, the tables it has itself.
    List(ListArgs),
    /// Creates a branch that reads what another one reads now; no table is copied.
    Create(CreateArgs),
    /// Deletes a branch that nothing depends on; a preview of what is lost unless --confirm.
    Delete(DeleteArgs),
}

/// Arguments of `branch list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) roots: Roots,

    /// Also the branches of operations, whose names begin with __.
    #[arg(long)]
    pub(crate) all: bool,
}

/// Arguments of `branch create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// The branch to cut it from.
    #[arg(
        long,
        value_name = "BRANCH",
        default_value = "main",
        value_parser = NonEmptyStringValueParser::new(),
    )]
    pub(crate) from: String,

    /// Say where it would be cut, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) lock: LockArgs,
}

/// Arguments of `branch delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// Delete. Without it, only a preview is printed.
    #[arg(long)]
    pub(crate) confirm: bool,

    /// With --confirm: also where the root is not on this machine.
    #[arg(long, requires = "confirm")]
    pub(crate) yes: bool,

    /// A preview; the same as leaving --confirm out.
    #[arg(long, conflicts_with = "confirm")]
    dry_run: bool,

    #[command(flatten)]
    pub(crate) lock: LockArgs,
}

/// One branch of one graph.
#[derive(Debug, Default, Args)]
pub(crate) struct Target {
    /// The graph, unless --uri names it, and the name of the branch.
    #[arg(
        value_names = ["ROOT", "NAME"],
        value_hint = ValueHint::DirPath,
        num_args = 0..=2,
        required = true,
        value_parser = NonEmptyStringValueParser::new(),
    )]
    words: Vec<String>,

    #[arg(skip)]
    pub(crate) roots: Roots,
}

impl Target {
    /// The name of the branch.
    pub(crate) fn name(&self) -> &str {
        self.words.last().map_or("", String::as_str)
    }

    fn resolve(&mut self, place: &Place) -> Result<(), Refusal> {
        let missing = "a graph and the name of a branch are needed: ROOT NAME, or --uri URI NAME";
        let beyond = "--uri and --db-path name the graph: what else is named is one branch";
        self.roots.resolve_before_last(&self.words, place, missing, beyond)
    }
}

impl BranchArgs {
    /// Makes the root explicit.
    pub(super) fn resolve(&mut self, place: &Place) -> Result<(), Refusal> {
        match &mut self.what {
            BranchVerb::List(args) => match args.roots.resolve(place)?.is_empty() {
                true => Ok(()),
                false => Err((
                    ErrorKind::ArgumentConflict,
                    "branch list shows every branch of the root that --uri or --db-path names",
                )),
            },
            BranchVerb::Create(args) => args.target.resolve(place),
            BranchVerb::Delete(args) => args.target.resolve(place),
        }
    }
}
