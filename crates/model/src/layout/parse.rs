//! Reading the written form of a layout, and what is wrong with a text that is none.

use std::str::FromStr;

use super::{CURVE_COLUMNS_MAX, Direction, Layout, LayoutKind, NullPlacement, SortColumn};
use crate::{ErrorKind, nearest};

/// Why a text is no layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The first word is not known.
    #[error(
        "unknown layout {word:?}{}; the layouts are binpack, sort:COLUMNS, zorder:COLUMNS, \
         hilbert:COLUMNS, graph, auto and none",
        nearest.map(|near| format!(", did you mean {near}?")).unwrap_or_default()
    )]
    UnknownKind {
        /// What was written.
        word: String,
        /// What it is most like, if anything.
        nearest: Option<LayoutKind>,
    },
    /// Columns are missing.
    #[error("{0} needs at least one column, as in {0}:a,b")]
    NoColumns(LayoutKind),
    /// Columns where none belong.
    #[error("{0} takes no columns; sort, zorder and hilbert do")]
    TakesNoColumns(LayoutKind),
    /// Nothing between two commas.
    #[error("column {position} of {kind} has no name")]
    EmptyName {
        /// The layout's first word.
        kind: LayoutKind,
        /// Counted from 1.
        position: usize,
    },
    /// Twice the same column.
    #[error("column {0} stands there twice")]
    Twice(String),
    /// More than a curve takes.
    #[error("{kind} takes at most {CURVE_COLUMNS_MAX} columns, not {columns}")]
    TooMany {
        /// The layout's first word.
        kind: LayoutKind,
        /// How many were given.
        columns: usize,
    },
    /// A curve has no direction.
    #[error("{kind} has no direction and no place for nulls: write {name} without {extra}")]
    NotForCurves {
        /// The layout's first word.
        kind: LayoutKind,
        /// The column.
        name: String,
        /// What is too much.
        extra: String,
    },
    /// Not a place of nulls.
    #[error("{0:?} is no place for nulls: nullsfirst and nullslast are")]
    UnknownPlacement(String),
    /// A backtick without its other.
    #[error("a backtick is not closed in {0:?}")]
    Unclosed(String),
    /// Letters behind a closing backtick.
    #[error("{0:?} follows a name between backticks: only , and : may")]
    AfterQuotes(String),
}

impl LayoutError {
    /// What a caller can do about it: ask for something else.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl FromStr for Layout {
    type Err = LayoutError;

    fn from_str(text: &str) -> Result<Self, LayoutError> {
        let (word, rest) = match text.split_once(':') {
            Some((word, rest)) => (word.trim(), Some(rest)),
            None => (text.trim(), None),
        };
        let kind = kind(word)?;
        if !kind.takes_columns() && rest.is_some() {
            return Err(LayoutError::TakesNoColumns(kind));
        }
        match kind {
            LayoutKind::BinPack => Ok(Self::BinPack),
            LayoutKind::Graph => Ok(Self::Graph),
            LayoutKind::Auto => Ok(Self::Auto),
            LayoutKind::None => Ok(Self::None),
            LayoutKind::Sort => columns(kind, rest).map(Self::Sort),
            LayoutKind::ZOrder => curve(kind, rest).map(Self::ZOrder),
            LayoutKind::Hilbert => curve(kind, rest).map(Self::Hilbert),
        }
    }
}

fn kind(word: &str) -> Result<LayoutKind, LayoutError> {
    let lower = word.to_lowercase();
    if let Some(kind) = LayoutKind::ALL.into_iter().find(|kind| kind.as_str() == lower) {
        return Ok(kind);
    }
    let near = nearest(&lower, LayoutKind::ALL.map(LayoutKind::as_str));
    let nearest = LayoutKind::ALL.into_iter().find(|kind| near == Some(kind.as_str()));
    Err(LayoutError::UnknownKind { word: word.to_owned(), nearest })
}

/// The columns of a curve.
fn curve(kind: LayoutKind, rest: Option<&str>) -> Result<Vec<String>, LayoutError> {
    let columns = columns(kind, rest)?;
    if columns.len() > CURVE_COLUMNS_MAX {
        return Err(LayoutError::TooMany { kind, columns: columns.len() });
    }
    Ok(columns.into_iter().map(|column| column.name).collect())
}

/// The columns after the first colon, none twice.
fn columns(kind: LayoutKind, rest: Option<&str>) -> Result<Vec<SortColumn>, LayoutError> {
    let rest = rest.unwrap_or_default();
    if rest.trim().is_empty() {
        return Err(LayoutError::NoColumns(kind));
    }
    let mut columns: Vec<SortColumn> = Vec::new();
    for (index, part) in parts(rest, ',').into_iter().enumerate() {
        let column = column(kind, part.trim(), index + 1)?;
        if columns.iter().any(|known| known.name == column.name) {
            return Err(LayoutError::Twice(column.name));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// One column: `-name:nullslast`.
fn column(kind: LayoutKind, part: &str, position: usize) -> Result<SortColumn, LayoutError> {
    let (direction, rest) = match part.strip_prefix('-') {
        Some(rest) => (Direction::Descending, rest),
        None => (Direction::Ascending, part),
    };
    let mut pieces = parts(rest, ':').into_iter();
    let name = unquoted(pieces.next().unwrap_or_default().trim())?;
    if name.is_empty() {
        return Err(LayoutError::EmptyName { kind, position });
    }
    let mut column = SortColumn::new(name, direction);
    let placements: Vec<_> = pieces.map(str::trim).collect();
    if kind != LayoutKind::Sort {
        let extra = match (direction, placements.first()) {
            (Direction::Descending, _) => "the -".to_owned(),
            (Direction::Ascending, Some(placement)) => format!(":{placement}"),
            (Direction::Ascending, None) => return Ok(column),
        };
        return Err(LayoutError::NotForCurves { kind, name: column.name, extra });
    }
    match placements.as_slice() {
        [] => {}
        ["nullsfirst"] => column.nulls = NullPlacement::First,
        ["nullslast"] => column.nulls = NullPlacement::Last,
        other => return Err(LayoutError::UnknownPlacement(other.join(":"))),
    }
    Ok(column)
}

/// The text cut at a separator, but not between backticks.
fn parts(text: &str, separator: char) -> Vec<&str> {
    let mut within = false;
    text.split(move |c| {
        within ^= c == '`';
        c == separator && !within
    })
    .collect()
}

fn unquoted(name: &str) -> Result<String, LayoutError> {
    let Some(rest) = name.strip_prefix('`') else {
        return if name.contains('`') {
            Err(LayoutError::Unclosed(name.to_owned()))
        } else {
            Ok(name.to_owned())
        };
    };
    let mut inner = String::new();
    let mut letters = rest.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '`' {
            inner.push(letter);
        } else if letters.next_if_eq(&'`').is_some() {
            inner.push('`');
        } else {
            let after: String = letters.collect();
            let clean = after.is_empty();
            return if clean { Ok(inner) } else { Err(LayoutError::AfterQuotes(after)) };
        }
    }
    Err(LayoutError::Unclosed(name.to_owned()))
}
