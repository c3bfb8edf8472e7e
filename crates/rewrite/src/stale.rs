//! Why staged work can no longer be committed. Not here: how that is found out (`check`, `carry`).

use lancekeeper_planner::optimize::Uncarried;

/// Why a staged group can no longer be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stale {
    /// A source fragment is gone from HEAD, or has other data there than what was read.
    Fragment(u64),
    /// The deletions at HEAD cannot be carried over to the new fragments.
    Deletions(Uncarried),
    /// The indexes that its row addresses were captured for are others now.
    Indexes,
    /// A staged file is gone or has another size.
    File(String),
}

impl std::fmt::Display for Stale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fragment(id) => write!(f, "a writer changed fragment {id}"),
            Self::Deletions(why) => why.fmt(f),
            Self::Indexes => f.write_str("the table's indexes were replaced"),
            Self::File(path) => write!(f, "staged file {path} is gone or has another size"),
        }
    }
}
