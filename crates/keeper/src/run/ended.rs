//! What becomes of an error that ends the work on a root: the head of the root's report says it.

use std::error::Error;
use std::sync::Arc;

use lancekeeper_model::{ErrorKind, RootFailure, RootReport};
use lancekeeper_store::failure::{full_text, hint_of};

/// An error that ends the work on a root.
pub(crate) trait EndsRoot: Error + Send + Sync + Sized + 'static {
    /// What a caller can do about it.
    fn kind(&self) -> ErrorKind;

    /// What a person can do about it, where this error itself knows.
    fn hint(&self) -> Option<&'static str> {
        None
    }
}

/// The work on a root is over. `?` makes it of every error that ends a root.
#[derive(Debug)]
pub(crate) struct Ended(pub(crate) RootFailure);

impl<E: EndsRoot> From<E> for Ended {
    fn from(error: E) -> Self {
        let hint = error.hint().or_else(|| hint_of(&error)).map(ToOwned::to_owned);
        let (message, kind) = (full_text(&error), error.kind());
        Self(RootFailure { message, hint, kind, cause: Some(Arc::new(error)) })
    }
}

/// The report of a root whose verb has returned. What was done before an error stays in it.
pub(crate) fn ended<Body>(
    mut report: RootReport<Body>,
    outcome: Result<(), impl Into<Ended>>,
) -> RootReport<Body> {
    if let Err(error) = outcome {
        report.fail(error.into().0);
    }
    report
}
