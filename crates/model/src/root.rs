//! What a root is. Recognising one needs I/O and is done by `store`.

use std::fmt;

use serde::Serialize;

/// The three kinds of root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RootKind {
    /// A graph: `__manifest` pins every table's version, per branch.
    Graph,
    /// A LanceDB database: directories `NAME.lance`, each its own authority.
    Database,
    /// A single Lance table.
    Table,
}

impl fmt::Display for RootKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Graph => "graph",
            Self::Database => "database",
            Self::Table => "table",
        })
    }
}

/// The internal schema version of a graph: its stamp in `__manifest`, v1 when there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InternalSchema {
    /// No stamp, no primary key annotation (omnigraph up to 0.3).
    V1,
    /// Annotated primary key (0.4 to 0.6.1).
    V2,
    /// Commit history in `_graph_commits.lance` (0.6.2 to 0.7).
    V3,
    /// Commit history in `__manifest` itself (0.8).
    V4,
}

impl InternalSchema {
    /// The newest one we know.
    pub const NEWEST: Self = Self::V4;

    /// The number stamped on disk.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }

    /// The version with this number, if it is one we can read.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            3 => Some(Self::V3),
            4 => Some(Self::V4),
            _ => None,
        }
    }

    /// Whether we write graphs of this version; older ones need a migration first.
    #[must_use]
    pub fn is_writable(self) -> bool {
        matches!(self, Self::V3 | Self::V4)
    }
}

impl fmt::Display for InternalSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.number())
    }
}
