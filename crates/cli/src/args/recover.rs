//! Arguments of `recover`.

use chrono::TimeDelta;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use lancekeeper_model::{AssumedDead, RecoverOptions};

use super::roots::{Place, Refusal};
use super::{LockArgs, Roots, values};

/// Arguments of `recover`.
#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    #[command(flatten)]
    pub(crate) roots: Roots,

    /// Presume the writer of an unfinished operation dead when it did nothing for so long: 15m,
    /// 1h30m; a bare number is seconds.
    #[arg(long, value_name = "AGE", value_parser = values::age, default_value = "15m")]
    dead_after: TimeDelta,

    /// Take the writer of this operation for dead whatever its age (repeatable), or of all of
    /// them: all. Who wrote what is checked all the same.
    #[arg(long = "assume-dead", value_name = "ID|all", value_parser = NonEmptyStringValueParser::new())]
    assume_dead: Vec<String>,

    /// Move this file out of __recovery/, where it stops every write; only one about which
    /// nothing can be decided.
    #[arg(long, value_name = "FILE", value_parser = NonEmptyStringValueParser::new())]
    quarantine: Option<String>,

    /// Do it. Without it, only a preview is printed.
    #[arg(long)]
    pub(crate) confirm: bool,

    /// A preview; the same as leaving --confirm out.
    #[arg(long, conflicts_with = "confirm")]
    dry_run: bool,

    #[command(flatten)]
    pub(crate) lock: LockArgs,
}

impl RecoverArgs {
    /// The options these arguments mean.
    pub(crate) fn options(&self) -> RecoverOptions {
        let id = |said: &String| said.strip_suffix(".json").unwrap_or(said).to_owned();
        let mut options = RecoverOptions::default();
        options.dead_after = self.dead_after;
        options.assumed_dead = match self.assume_dead.as_slice() {
            [] => AssumedDead::Nobody,
            ids if ids.iter().any(|id| id == "all") => AssumedDead::All,
            ids => AssumedDead::These(ids.iter().map(id).collect()),
        };
        options.quarantine.clone_from(&self.quarantine);
        options
    }

    /// Makes the roots explicit.
    pub(super) fn resolve(&mut self, place: &Place) -> Result<(), Refusal> {
        match self.roots.resolve(place)?.is_empty() {
            true => Ok(()),
            false => Err((
                ErrorKind::ArgumentConflict,
                "recover is about the whole root that --uri or --db-path names",
            )),
        }
    }
}
