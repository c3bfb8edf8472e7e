//! Names of things: tables, branches, versions, operations. Each is a type of its own, so
//! that a branch cannot be passed where a table is meant.

use std::fmt;

use serde::{Serialize, Serializer};

/// A Lance version of one table on one branch. Starts at 1; 0 means "no version yet".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// The version a strict commit on top of this one must get.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The name of a table inside its root: `node:Person`, `edge:Knows` in a graph, the
/// directory name without `.lance` in a database.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TableKey(String);

impl TableKey {
    /// Wraps a name as it stands in the root.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as it stands in the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is an edge table of a graph: embedders rebuild their topology only when
    /// one of those moved.
    #[must_use]
    pub fn is_edge(&self) -> bool {
        self.0.starts_with("edge:")
    }
}

impl fmt::Display for TableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A branch: main, or a name. Main has no name on disk (null in `__manifest`), hence not a
/// string.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Branch(Option<String>);

impl Branch {
    /// The main branch.
    #[must_use]
    pub fn main() -> Self {
        Self(None)
    }

    /// A branch by name; `main` is the main branch.
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        if name == "main" { Self(None) } else { Self(Some(name)) }
    }

    /// The name on disk: `None` on main.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Whether this is the main branch.
    #[must_use]
    pub fn is_main(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it is none of the users', but of an operation: those have names that begin so.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.label().starts_with("__")
    }

    /// The name people see: `main` for the main branch.
    #[must_use]
    pub fn label(&self) -> &str {
        self.0.as_deref().unwrap_or("main")
    }
}

impl From<Option<String>> for Branch {
    fn from(name: Option<String>) -> Self {
        name.map_or_else(Self::main, Self::named)
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl Serialize for Branch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

/// One table on one branch: what a queue key, a sidecar and a report row are about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableRef {
    /// The table.
    pub key: TableKey,
    /// The branch whose chain of versions is meant.
    pub branch: Branch,
}

impl TableRef {
    /// A table on the main branch.
    #[must_use]
    pub fn on_main(key: TableKey) -> Self {
        Self { key, branch: Branch::main() }
    }
}

impl fmt::Display for TableRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.branch.is_main() {
            write!(f, "{}", self.key)
        } else {
            write!(f, "{}@{}", self.key, self.branch)
        }
    }
}

/// The id of one run of one verb on one root: a ULID, in every commit, sidecar, journal
/// and log line of that run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct OperationId(String);

impl OperationId {
    /// Wraps an id that was minted or read.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
