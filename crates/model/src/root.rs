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

    /// The releases of the graph's client that write graphs of this version.
    #[must_use]
    pub const fn clients(self) -> &'static str {
        match self {
            Self::V1 => "omnigraph up to 0.3.1",
            Self::V2 => "omnigraph 0.4.1 to 0.6.1",
            Self::V3 => "omnigraph 0.6.2 to 0.7.2",
            Self::V4 => "omnigraph 0.8.0 and 0.8.1",
        }
    }
}

impl fmt::Display for InternalSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.number())
    }
}

/// What the stamp of a branch of `__manifest` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum Stamp {
    /// A version we know.
    Known(InternalSchema),
    /// [`Stamp::MIGRATING`]: a keeper is taking the graph to v4, or died over it.
    Migrating,
    /// A version newer than we know.
    Newer(u32),
    /// No version at all: what it says instead.
    Unreadable(String),
}

impl Stamp {
    /// The number that stands for a migration to v4 that is not finished. No release of the client
    /// ever wrote it, and all of them refuse it.
    pub const MIGRATING: u32 = 5;

    /// Reads a stamp; none at all is v1.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::Known(InternalSchema::V1) };
        match text.parse::<u32>() {
            Ok(Self::MIGRATING) => Self::Migrating,
            Ok(number) => match InternalSchema::from_number(number) {
                Some(schema) => Self::Known(schema),
                None if number > InternalSchema::NEWEST.number() => Self::Newer(number),
                None => Self::Unreadable(text.to_owned()),
            },
            Err(_) => Self::Unreadable(text.to_owned()),
        }
    }

    /// The version, if it is one we know.
    #[must_use]
    pub fn known(&self) -> Option<InternalSchema> {
        match self {
            Self::Known(schema) => Some(*schema),
            Self::Migrating | Self::Newer(_) | Self::Unreadable(_) => None,
        }
    }

    /// Its number, if it has one.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        match self {
            Self::Known(schema) => Some(schema.number()),
            Self::Migrating => Some(Self::MIGRATING),
            Self::Newer(number) => Some(*number),
            Self::Unreadable(_) => None,
        }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.number()) {
            (Self::Unreadable(text), _) => write!(f, "{text:?}"),
            (_, Some(number)) => write!(f, "v{number}"),
            (_, None) => Ok(()),
        }
    }
}

impl From<Stamp> for String {
    fn from(stamp: Stamp) -> Self {
        stamp.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_a_known_version_a_newer_one_or_nothing_at_all() {
        assert_eq!(Stamp::parse(None), Stamp::Known(InternalSchema::V1));
        assert_eq!(Stamp::parse(Some("3")), Stamp::Known(InternalSchema::V3));
        assert_eq!(Stamp::parse(Some("5")), Stamp::Migrating);
        assert_eq!(Stamp::parse(Some("9")), Stamp::Newer(9));
        for text in ["0", "", "banana", "-1", "3.0", "99999999999"] {
            assert_eq!(Stamp::parse(Some(text)), Stamp::Unreadable(text.to_owned()));
        }
        assert_eq!(Stamp::parse(Some("banana")).to_string(), "\"banana\"");
        assert_eq!(Stamp::parse(Some("9")).to_string(), "v9");
    }
}
