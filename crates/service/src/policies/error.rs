//! How something with policies can fail.

use lancekeeper_model::{ErrorKind, POLICY_FORMAT, PolicyOption, TableKey};
use lancekeeper_settings::OptionError;
use lancekeeper_store::FilesError;
use thiserror::Error;

/// Policies could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PoliciesError {
    /// The store failed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// It is no such document any more.
    #[error("the policy in {file} is damaged and counts for nothing ({why})")]
    Damaged {
        /// The document.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// A newer keeper wrote it.
    #[error(
        "the policy in {file} has format {found}; this version of lancekeeper knows {POLICY_FORMAT}: upgrade lancekeeper first"
    )]
    Newer {
        /// The document.
        file: String,
        /// Its format.
        found: u64,
    },
    /// It could not be encoded.
    #[error("failed to encode the policy of {table}")]
    Encode {
        /// Of which table.
        table: TableKey,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Options make no sense together.
    #[error(transparent)]
    Option(OptionError),
    /// A value of another kind than the option has. Values that were read by `settings` never are.
    #[error("{option} cannot have a value of that kind")]
    Kind {
        /// Which.
        option: PolicyOption,
    },
    /// Others write it all the time.
    #[error("{file} was written by somebody else each time: nothing was changed")]
    Contended {
        /// The document.
        file: String,
    },
}

impl PoliciesError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Files(error) => error.kind(),
            Self::Damaged { .. } => ErrorKind::Corrupt,
            Self::Newer { .. } => ErrorKind::Refused,
            Self::Option(error) => error.kind(),
            Self::Encode { .. } | Self::Kind { .. } => ErrorKind::Internal,
            Self::Contended { .. } => ErrorKind::Conflict,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Option(error) => error.hint(),
            Self::Newer { .. } => {
                Some("use the version of lancekeeper that wrote it, or a later one".to_owned())
            }
            Self::Contended { .. } => Some("try again".to_owned()),
            _ => None,
        }
    }
}
