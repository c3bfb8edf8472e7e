//! From the places where settings are said to those of a run: reads the files beside the roots,
//! or the one that is named, and the environment. What a setting is and who decides is in
//! `lancekeeper_settings`.

mod shown;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lancekeeper_service::read_text;
use lancekeeper_settings::{
    FILE_NAME, Given, Said, SettingError, Settings, Work, read_assignment, read_environment,
    read_file,
};

use crate::args::SettingArgs;
use crate::target::without_secrets;

pub(crate) use shown::{ConfigBody, SettingRow};

/// The settings of a run.
#[derive(Debug)]
pub(crate) struct Settled {
    /// Those that the run takes.
    pub(crate) settings: Settings,
    /// Those of each root, in the order of the roots; one entry without a root if there is none.
    pub(crate) of_roots: Vec<RootSettings>,
    /// Things to know that are no errors.
    pub(crate) warnings: Vec<String>,
}

/// The settings of a root.
#[derive(Debug)]
pub(crate) struct RootSettings {
    /// The root as it was named; empty without one.
    pub(crate) uri: String,
    /// The file that was read for it.
    pub(crate) file: Option<String>,
    /// What holds.
    pub(crate) settings: Settings,
}

/// Why there are no settings, with what a person can do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl From<SettingError> for Refusal {
    fn from(error: SettingError) -> Self {
        Self { message: error.to_string(), hint: error.hint() }
    }
}

/// Everything that may say something.
pub(crate) struct Places<'a> {
    /// The roots of the run.
    pub(crate) roots: &'a [String],
    /// The variables of the environment.
    pub(crate) variables: Vec<(String, String)>,
    /// What is said on the command line of every verb.
    pub(crate) args: &'a SettingArgs,
    /// What the options of one verb say.
    pub(crate) flags: Vec<Given>,
}

/// The variables of this process.
pub(crate) fn variables() -> Vec<(String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

/// Makes out the settings of a run. Blocks on the file system; opens no table.
///
/// # Errors
///
/// Everything that is wrong in the first place in which something is.
pub(crate) fn settle(work: Work, places: Places<'_>) -> Result<Settled, Vec<Refusal>> {
    let Places { roots, variables, args, flags } = places;
    let environment = read_environment(variables).map_err(refusals)?;
    let mut command_line = assigned(&args.assignments)?;
    command_line.extend(flags);
    let settled = |uri: &str, file: Option<FileSettings>| {
        let (path, file) = match file {
            Some(file) => (Some(file.path), file.given),
            None => (None, Vec::new()),
        };
        let settings = Settings::resolve(Said {
            file: &file,
            environment: &environment.given,
            command_line: &command_line,
        });
        RootSettings { uri: uri.to_owned(), file: path, settings }
    };
    let named = args.config_file.as_deref().map(read_named).transpose()?;
    let mut of_roots = Vec::new();
    for root in roots {
        let file = match &named {
            Some(named) => Some(named.clone()),
            None => beside(root).map_or(Ok(None), |path| read_beside(&path))?,
        };
        of_roots.push(settled(root, file));
    }
    let otherwise = settled("", named);
    let pairs: Vec<_> =
        of_roots.iter().map(|root| (without_secrets(&root.uri), root.settings.clone())).collect();
    let settings = Settings::common(work, &pairs, otherwise.settings.clone())
        .map_err(|error| vec![error.into()])?;
    if of_roots.is_empty() {
        of_roots.push(otherwise);
    }
    let warnings = environment.unknown.iter().map(ToString::to_string).collect();
    Ok(Settled { settings, of_roots, warnings })
}

/// What a file says.
#[derive(Debug, Clone)]
struct FileSettings {
    path: String,
    given: Vec<Given>,
}

fn assigned(assignments: &[String]) -> Result<Vec<Given>, Vec<Refusal>> {
    let mut given = Vec::new();
    let mut wrong = Vec::new();
    for text in assignments {
        match read_assignment("--set", text) {
            Ok(setting) => given.push(setting),
            Err(error) => wrong.push(error.into()),
        }
    }
    if wrong.is_empty() { Ok(given) } else { Err(wrong) }
}

/// Where the file beside a root would lie: in the directory of a graph or database, and beside
/// the directory of a table, which has in it only what Lance knows. Only local roots have one.
fn beside(uri: &str) -> Option<PathBuf> {
    let path = match uri.split_once("://") {
        None => uri,
        Some(("file", path)) => path,
        Some(_) => return None,
    };
    let directory = Path::new(path);
    let is_table = directory.join("_versions").is_dir() && !directory.join("__manifest").is_dir();
    if !is_table {
        return Some(directory.join(FILE_NAME));
    }
    // Resolved, so that a table named `.` has a directory to lie in, too.
    let resolved = directory.canonicalize().ok()?;
    Some(resolved.parent()?.join(FILE_NAME))
}

/// Reads a file that must be there, because somebody named it.
fn read_named(path: &Path) -> Result<FileSettings, Vec<Refusal>> {
    let missing = || Refusal {
        message: format!("there is no file {}", path.display()),
        hint: Some("check what --config names".to_owned()),
    };
    read(path)?.ok_or_else(|| vec![missing()])
}

/// Reads the file beside a root, if there is one. Where none can be looked for, something is wrong
/// with the root: the verb says what, of this root, and works on the others.
fn read_beside(path: &Path) -> Result<Option<FileSettings>, Vec<Refusal>> {
    if fs::symlink_metadata(path).is_err() { Ok(None) } else { read(path) }
}

/// Reads a file, if it is there.
fn read(path: &Path) -> Result<Option<FileSettings>, Vec<Refusal>> {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) if is_absence(error.kind()) => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let path = path.display().to_string();
    let given = read_file(&path, &text).map_err(refusals)?;
    Ok(Some(FileSettings { path, given }))
}

fn is_absence(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unreadable(path: &Path, error: &io::Error) -> Vec<Refusal> {
    let message = format!("cannot read settings from {}: {error}", path.display());
    let hint = "make it a readable text file, or take it away to have the defaults".to_owned();
    vec![Refusal { message, hint: Some(hint) }]
}

fn refusals(errors: Vec<SettingError>) -> Vec<Refusal> {
    errors.into_iter().map(Refusal::from).collect()
}

#[cfg(test)]
mod tests;
