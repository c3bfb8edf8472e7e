//! How a statement can fail.

use datafusion::error::DataFusionError;
use lancekeeper_model::{ErrorKind, RootFailure};
use lancekeeper_sql::SqlError;
use lancekeeper_store::failure::full_text;
use thiserror::Error;

use crate::jobs::JobsError;
use crate::policies::PoliciesError;

/// A statement could not be carried out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SqlRunError {
    /// It makes no sense over this root.
    #[error("{0}")]
    Statement(SqlError),
    /// The root could not be read or written.
    #[error("{message}")]
    Root {
        /// What went wrong, causes included.
        message: String,
        /// What a person can do about it.
        hint: Option<String>,
        /// What a caller can do about it.
        kind: ErrorKind,
    },
    /// A query has more rows or bytes than an answer holds.
    #[error("the result is larger than {limit}")]
    TooLarge {
        /// How much an answer holds.
        limit: String,
    },
    /// A query failed while it ran.
    #[error("the query failed: {}", source.strip_backtrace())]
    Query {
        /// What DataFusion said.
        #[source]
        source: DataFusionError,
    },
}

impl SqlRunError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Statement(error) => error.kind(),
            Self::Root { kind, .. } => *kind,
            Self::TooLarge { .. } => ErrorKind::Refused,
            Self::Query { source } => query_kind(source),
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Statement(error) => error.hint().map(ToOwned::to_owned),
            Self::Root { hint, .. } => hint.clone(),
            Self::TooLarge { .. } => Some("add LIMIT, or ask for fewer columns".to_owned()),
            Self::Query { source } => match source.find_root() {
                DataFusionError::ResourcesExhausted(_) => {
                    Some("give it more memory, or ask for fewer rows or columns".to_owned())
                }
                _ => None,
            },
        }
    }
}

/// Values that do not allow what is asked, such as a division by zero, are nobody's fault; the rest is the store's or the
/// engine's.
fn query_kind(error: &DataFusionError) -> ErrorKind {
    match error.find_root() {
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => ErrorKind::Value,
        DataFusionError::Internal(_) => ErrorKind::Internal,
        _ => ErrorKind::Unavailable,
    }
}

impl From<SqlError> for SqlRunError {
    fn from(error: SqlError) -> Self {
        Self::Statement(error)
    }
}

impl From<RootFailure> for SqlRunError {
    fn from(failure: RootFailure) -> Self {
        let RootFailure { message, hint, kind, .. } = failure;
        Self::Root { message, hint, kind }
    }
}

impl From<JobsError> for SqlRunError {
    fn from(error: JobsError) -> Self {
        let hint = error.hint().map(ToOwned::to_owned);
        Self::Root { message: full_text(&error), hint, kind: error.kind() }
    }
}

impl From<PoliciesError> for SqlRunError {
    fn from(error: PoliciesError) -> Self {
        let hint = error.hint();
        Self::Root { message: full_text(&error), hint, kind: error.kind() }
    }
}
