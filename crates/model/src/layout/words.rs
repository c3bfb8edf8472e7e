//! How layouts are written. What is written here, `parse` reads back.

use std::fmt;

use super::{Direction, Layout, LayoutKind, NullPlacement, SortColumn};

impl LayoutKind {
    /// All of them, in the order in which help lists them.
    pub const ALL: [Self; 7] = [
        Self::BinPack,
        Self::Sort,
        Self::ZOrder,
        Self::Hilbert,
        Self::Graph,
        Self::Auto,
        Self::None,
    ];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BinPack => "binpack",
            Self::Sort => "sort",
            Self::ZOrder => "zorder",
            Self::Hilbert => "hilbert",
            Self::Graph => "graph",
            Self::Auto => "auto",
            Self::None => "none",
        }
    }

    /// Whether columns belong to it.
    #[must_use]
    pub fn takes_columns(self) -> bool {
        matches!(self, Self::Sort | Self::ZOrder | Self::Hilbert)
    }
}

impl fmt::Display for LayoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = match self {
            Self::Sort(columns) => columns.iter().map(ToString::to_string).collect(),
            Self::ZOrder(columns) | Self::Hilbert(columns) => {
                columns.iter().map(|name| quoted(name)).collect()
            }
            Self::BinPack | Self::Graph | Self::Auto | Self::None => Vec::new(),
        };
        f.write_str(self.kind().as_str())?;
        if columns.is_empty() { Ok(()) } else { write!(f, ":{}", columns.join(",")) }
    }
}

impl fmt::Display for SortColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.direction == Direction::Descending {
            f.write_str("-")?;
        }
        f.write_str(&quoted(&self.name))?;
        match self.nulls {
            usual if usual == self.direction.usual_nulls() => Ok(()),
            NullPlacement::First => f.write_str(":nullsfirst"),
            NullPlacement::Last => f.write_str(":nullslast"),
        }
    }
}

/// A name as it stands in a layout.
fn quoted(name: &str) -> String {
    let special = |c: char| matches!(c, ',' | ':' | '`') || c.is_whitespace();
    if name.contains(special) || name.starts_with('-') {
        format!("`{}`", name.replace('`', "``"))
    } else {
        name.to_owned()
    }
}
