//! The file of policies that a person names: read from this machine, and told with everything that is wrong with it.
//!
//! Not here: what its text means (`settings::policy`).

use std::io;
use std::path::Path;

use lancekeeper_model::ErrorKind;
use lancekeeper_settings::{PolicyFile, PolicyFileError, read_policy_file};
use thiserror::Error;

use crate::text_file::read_text;

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
        read_text(path).map_err(|source| PolicyLoadError::Io { path: name.clone(), source })?;
    read_policy_file(&name, &text).map_err(PolicyLoadError::Wrong)
}
