//! The file of policies that a person names: read from this machine, and told with everything that is wrong with it.
//!
//! Not here: what its text means (`settings::policy`).

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use lancekeeper_model::ErrorKind;
use lancekeeper_settings::{PolicyFile, PolicyFileError, read_policy_file};
use thiserror::Error;

/// A file is read up to this size; what is larger is another kind of file. 1 MiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A file of policies cannot be used.
#[derive(Debug, Error)]
pub enum PolicyLoadError {
    /// It cannot be read.
    #[error("cannot read policies from {path}: {source}")]
    Io {
        /// Its name.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{}", all(.0))]
    Wrong(Vec<PolicyFileError>),
}

fn all(errors: &[PolicyFileError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl PolicyLoadError {
    /// What a caller can do about it: a person has to change something.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    /// Everything that is wrong, each with what a person can do about it.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, Option<String>)> {
        match self {
            Self::Io { .. } => {
                vec![(self.to_string(), Some("name a readable text file".to_owned()))]
            }
            Self::Wrong(errors) => {
                errors.iter().map(|error| (error.to_string(), error.hint())).collect()
            }
        }
    }
}

/// Reads a file of policies. Blocks on the file system.
///
/// # Errors
///
/// When it cannot be read, or with everything that is wrong with it.
pub fn load_policies(path: &Path) -> Result<PolicyFile, PolicyLoadError> {
    let name = path.display().to_string();
    let text =
        text_of(path).map_err(|source| PolicyLoadError::Io { path: name.clone(), source })?;
    read_policy_file(&name, &text).map_err(PolicyLoadError::Wrong)
}

/// The whole text of a regular file. Whatever else has its name, such as a pipe, is not waited for.
fn text_of(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut content = Vec::new();
    let read = File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 1 MiB"));
    }
    String::from_utf8(content)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}
