//! Arguments of `sql`. Statements are read and parsed before anything is opened: where they stand is a part of the
//! command line, and one that makes no sense is a usage error like any other.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, ValueHint};
use lancekeeper_service::sql::{deletes_versions, writes};
use lancekeeper_sql::{Parsed, SqlError, parse, parse_one};

use super::roots::{Place, Refusal};
use super::{LockArgs, Roots};

/// A file of statements is read up to this size; what is larger is another kind of file. 4 MiB.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Arguments of `sql`.
#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// The root, unless --uri names it, and one statement. Without one, statements are read from
    /// standard input.
    #[arg(
        value_names = ["ROOT", "STATEMENT"],
        value_hint = ValueHint::DirPath,
        num_args = 0..=2,
    )]
    words: Vec<String>,

    #[arg(skip)]
    pub(crate) roots: Roots,

    /// Read the statements from this file, with ; between two; - is standard input.
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,

    /// Print comma-separated values instead of tables.
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,

    /// Let VACUUM … RETAIN delete. Without it, only a preview is printed.
    #[arg(long)]
    pub(crate) confirm: bool,

    /// With --confirm: also where the root is not on this machine.
    #[arg(long, requires = "confirm")]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) lock: LockArgs,

    #[arg(skip)]
    pub(crate) script: Script,
}

/// The statements, read.
#[derive(Debug)]
pub(crate) struct Script {
    /// As they were written.
    pub(crate) text: String,
    /// What they are, or what is wrong with the first that is wrong.
    pub(crate) statements: Result<Vec<Parsed>, ScriptError>,
}

/// Why there are no statements to carry out.
#[derive(Debug)]
pub(crate) enum ScriptError {
    /// They cannot be read.
    Unreadable(String),
    /// One makes no sense.
    Statement(SqlError),
}

impl Default for Script {
    /// Before the command line is read to its end.
    fn default() -> Self {
        Self { text: String::new(), statements: Ok(Vec::new()) }
    }
}

impl SqlArgs {
    /// Makes the root explicit and reads the statements.
    pub(super) fn resolve(&mut self, place: &Place) -> Result<(), Refusal> {
        let mut words = std::mem::take(&mut self.words).into_iter();
        if place.is_empty() {
            self.roots.roots = words.next().into_iter().collect();
        }
        self.roots.resolve(place)?;
        let statement = words.next();
        if words.next().is_some() {
            return Err((
                ErrorKind::TooManyValues,
                "what is named besides the root is one statement",
            ));
        }
        if statement.is_some() && self.file.is_some() {
            return Err((
                ErrorKind::ArgumentConflict,
                "a statement and --file both say what is to be done: give one of them",
            ));
        }
        self.script = match (statement, &self.file) {
            (Some(text), _) => Script::one(text),
            (None, Some(file)) if file != Path::new("-") => {
                Script::all(&file.display().to_string(), File::open(file).and_then(read_bounded))
            }
            _ => Script::all("standard input", read_bounded(io::stdin().lock())),
        };
        Ok(())
    }

    /// Its statements; none if they make no sense.
    fn statements(&self) -> &[Parsed] {
        self.script.statements.as_deref().unwrap_or_default()
    }

    /// Whether anything may be written.
    pub(crate) fn may_write(&self) -> bool {
        self.statements().iter().any(|parsed| writes(&parsed.statement))
    }

    /// Whether versions may be deleted.
    pub(crate) fn may_delete(&self) -> bool {
        self.confirm && self.statements().iter().any(|parsed| deletes_versions(&parsed.statement))
    }
}

impl Script {
    fn one(text: String) -> Self {
        let statements =
            parse_one(&text).map(|parsed| vec![parsed]).map_err(ScriptError::Statement);
        Self { text, statements }
    }

    fn all(name: &str, read: io::Result<String>) -> Self {
        match read {
            Ok(text) => {
                // Editors put a mark of the byte order before the first letter.
                let text = text.strip_prefix('\u{feff}').map_or(text.clone(), ToOwned::to_owned);
                Self { statements: parse(&text).map_err(ScriptError::Statement), text }
            }
            Err(error) => {
                let why = format!("cannot read statements from {name}: {error}");
                Self { text: String::new(), statements: Err(ScriptError::Unreadable(why)) }
            }
        }
    }
}

fn read_bounded(from: impl Read) -> io::Result<String> {
    let mut content = String::new();
    let read = from.take(FILE_BYTES_MAX + 1).read_to_string(&mut content)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 4 MiB"));
    }
    Ok(content)
}
