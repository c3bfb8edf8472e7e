//! Naming roots: on the command line, in a file, by where to look for them, or as other tools'
//! command lines name their one root. Here is only the grammar; the file is read and the
//! directories are searched by [`crate::roots`].

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Args, ValueHint};

/// The roots of a verb.
#[derive(Debug, Default, Args)]
pub(crate) struct Roots {
    /// Graphs, databases or tables: paths or URIs. With --uri or --db-path, tables of that root.
    #[arg(
        value_name = "ROOT",
        value_hint = ValueHint::DirPath,
        value_parser = NonEmptyStringValueParser::new(),
    )]
    pub(crate) roots: Vec<String>,

    /// More roots, one per line (# starts a comment); - reads standard input.
    #[arg(long = "roots", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,

    /// Every root below each ROOT, at most 16 levels deep; symlinks are not followed.
    #[arg(long)]
    pub(crate) recursive: bool,
}

/// The root, as other tools' command lines name it.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Root")]
pub(crate) struct Place {
    /// The one root to work on; what else is named are tables of it.
    #[arg(
        long,
        global = true,
        value_name = "URI",
        value_parser = NonEmptyStringValueParser::new(),
    )]
    uri: Option<String>,

    /// The same, as scripts for databases spell it.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        value_hint = ValueHint::DirPath,
        value_parser = NonEmptyStringValueParser::new(),
    )]
    db_path: Option<String>,
}

impl Place {
    /// Whether neither option was given.
    pub(super) fn is_empty(&self) -> bool {
        self.uri.is_none() && self.db_path.is_none()
    }
}

/// A command line that names its roots in a way that makes no sense.
pub(super) type Refusal = (ErrorKind, &'static str);

impl Roots {
    /// Makes the roots explicit: a place named by an option is the only one, and what was named
    /// besides comes back as tables of it.
    pub(super) fn resolve(&mut self, place: &Place) -> Result<Vec<String>, Refusal> {
        let named = match (&place.uri, &place.db_path) {
            (Some(_), Some(_)) => {
                return Err((
                    ErrorKind::ArgumentConflict,
                    "--uri and --db-path both name the root: give one of them",
                ));
            }
            (named, None) | (None, named) => named.as_ref(),
        };
        let Some(named) = named else {
            if self.roots.is_empty() && self.file.is_none() {
                return Err((
                    ErrorKind::MissingRequiredArgument,
                    "no root was given: name a ROOT, or --roots FILE, or --uri URI",
                ));
            }
            return Ok(Vec::new());
        };
        if self.file.is_some() {
            return Err((
                ErrorKind::ArgumentConflict,
                "--roots names a set of roots, --uri and --db-path the only one",
            ));
        }
        Ok(std::mem::replace(&mut self.roots, vec![named.clone()]))
    }

    /// Makes the one root explicit of a verb that takes it and something in it, which is the last of `words`. `missing` and
    /// `beyond` say what is wrong with fewer words and with more.
    pub(super) fn resolve_before_last(
        &mut self,
        words: &[String],
        place: &Place,
        missing: &'static str,
        beyond: &'static str,
    ) -> Result<(), Refusal> {
        let Some((_, roots)) = words.split_last() else {
            return Err((ErrorKind::MissingRequiredArgument, missing));
        };
        if place.is_empty() && roots.is_empty() {
            return Err((ErrorKind::MissingRequiredArgument, missing));
        }
        self.roots = roots.to_vec();
        match self.resolve(place)?.is_empty() {
            true => Ok(()),
            false => Err((ErrorKind::TooManyValues, beyond)),
        }
    }
}
