//! Arguments of `policy`: check, show, simulate.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Args, Subcommand, ValueHint};

use super::Roots;
use super::roots::{Place, Refusal};

/// Arguments of `policy`.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(crate) what: PolicyVerb,
}

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyVerb {
    /// Checks a file of policies; each mistake with its line.
    Check(PolicyCheckArgs),
    /// Shows what holds of each table, and who says so.
    Show(PolicyShowArgs),
    /// Replays the appends of a root's tables, or of a pattern, against policies; writes nothing.
    Simulate(PolicySimulateArgs),
}

/// Arguments of `policy check`.
#[derive(Debug, Args)]
pub(crate) struct PolicyCheckArgs {
    /// The file.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,

    #[arg(skip)]
    pub(crate) roots: Roots,
}

/// Arguments of `policy show`.
#[derive(Debug, Args)]
pub(crate) struct PolicyShowArgs {
    #[command(flatten)]
    pub(crate) roots: Roots,

    /// Only this table; may be repeated.
    #[arg(long = "table", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) tables: Vec<String>,

    /// Policies from this file, below what tables have set themselves.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) policy: Option<PathBuf>,
}

/// Arguments of `policy simulate`.
#[derive(Debug, Args)]
pub(crate) struct PolicySimulateArgs {
    #[command(flatten)]
    pub(crate) roots: Roots,

    /// A pattern in place of a root's history: lines of COUNT SECONDS SIZE ROWS [DELETED], COUNT commits so far apart,
    /// each of a fragment of that size and so many rows, which deletes some.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) pattern: Option<PathBuf>,

    /// Policies from this file as well.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) policy: Option<PathBuf>,
}

impl PolicyArgs {
    /// Makes the roots explicit.
    pub(super) fn resolve(&mut self, place: &Place) -> Result<(), Refusal> {
        let roots = match &mut self.what {
            PolicyVerb::Check(_) => return Ok(()),
            PolicyVerb::Show(args) => {
                args.tables.extend(args.roots.resolve(place)?);
                return Ok(());
            }
            PolicyVerb::Simulate(args) if args.pattern.is_some() => {
                let names_root =
                    !place.is_empty() || !args.roots.roots.is_empty() || args.roots.file.is_some();
                return if names_root {
                    Err((ErrorKind::ArgumentConflict, "give a root or --pattern, not both"))
                } else {
                    Ok(())
                };
            }
            PolicyVerb::Simulate(args) => &mut args.roots,
        };
        match roots.resolve(place)?.is_empty() {
            true => Ok(()),
            false => Err((
                ErrorKind::ArgumentConflict,
                "policy simulate is about every table of the root that --uri or --db-path names",
            )),
        }
    }
}
