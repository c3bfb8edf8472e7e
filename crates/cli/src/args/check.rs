//! What `optimize` compares of a rewrite before it is committed, as people write it.

use clap::ValueEnum;
use lancekeeper_model::RewriteCheck;

/// What `optimize` compares of a rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CheckArg {
    /// The number of rows.
    Rows,
    /// Every value.
    Content,
}

impl From<CheckArg> for RewriteCheck {
    fn from(arg: CheckArg) -> Self {
        match arg {
            CheckArg::Rows => Self::Rows,
            CheckArg::Content => Self::Content,
        }
    }
}
