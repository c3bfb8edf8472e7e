//! What can be wrong with options of policies, and where.

use lancekeeper_model::{ErrorKind, PolicyOption};
use thiserror::Error;

use crate::kind::Refused;
use crate::source::Source;
use lancekeeper_model::nearest;

/// An option that there is not, or that cannot have a value. Says nothing about the place: whoever reads SQL or a
/// file knows it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OptionError {
    /// There is no option of that name.
    #[error("unknown option {name}")]
    Unknown {
        /// As it was written.
        name: String,
    },
    /// An option cannot have that value.
    #[error("{option}: {}", refused.why)]
    Value {
        /// Which.
        option: PolicyOption,
        /// Why not.
        refused: Refused,
        /// What it takes.
        expected: String,
    },
}

impl OptionError {
    /// What a caller can do about it: a person has to write something else.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { name } => {
                let known = PolicyOption::ALL.map(PolicyOption::name);
                Some(match nearest(name, known) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("the options are {}", known.join(", ")),
                })
            }
            Self::Value { option, refused, expected } => match refused.hint {
                Some(hint) => Some(hint.to_owned()),
                // Said already.
                None if refused.why.starts_with("expected") => None,
                None => Some(format!("{option} takes {expected}")),
            },
        }
    }
}

/// Something is wrong with a file of policies.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyFileError {
    /// It is not TOML.
    #[error("{place}: {why}")]
    Syntax {
        /// Where.
        place: Source,
        /// What the parser says.
        why: String,
    },
    /// There is no section of that name.
    #[error("{place}: unknown section [{name}]")]
    Section {
        /// Where.
        place: Source,
        /// As it was written.
        name: String,
    },
    /// Something has a value that should be a section.
    #[error("{place}: {name} is no section")]
    NotASection {
        /// Where.
        place: Source,
        /// As it was written.
        name: String,
    },
    /// An option is wrong.
    #[error("{place}: {error}")]
    Option {
        /// Where.
        place: Source,
        /// What is wrong with it.
        error: OptionError,
    },
}

impl PolicyFileError {
    /// What a caller can do about it: a person has to change the file.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax { .. } => {
                Some("see docs/policies.md for what a file looks like".to_owned())
            }
            Self::Section { name, .. } => Some(match nearest(name, ["defaults", "table"]) {
                Some("table") => "write [table.\"NAME\"], with the name of the table".to_owned(),
                Some(near) => format!("did you mean [{near}]?"),
                None => "the sections are [defaults] and [table.\"NAME\"]".to_owned(),
            }),
            Self::NotASection { name, .. } => {
                let known = PolicyOption::ALL.map(PolicyOption::name);
                Some(if known.contains(&name.as_str()) {
                    "write a line [defaults] or [table.\"NAME\"] above the options".to_owned()
                } else {
                    "the sections are [defaults] and [table.\"NAME\"], with options below them"
                        .to_owned()
                })
            }
            Self::Option { error, .. } => error.hint(),
        }
    }
}
