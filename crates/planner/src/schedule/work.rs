//! What a watcher can do to a table.

use std::fmt;

/// Kinds of work that a watcher does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// Small fragments are merged and deleted rows are purged; indexes are refreshed on the way.
    Compact,
    /// Indexes are refreshed and no fragment is rewritten.
    Index,
    /// Old versions are deleted.
    Cleanup,
}

impl Work {
    /// Its name in documents and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Index => "index",
            Self::Cleanup => "cleanup",
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
