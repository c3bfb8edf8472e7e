//! How decisions read.

use chrono::{DateTime, SecondsFormat, Utc};

use super::class::Class;
use super::facts::{ForeignContent, ForeignTable};

/// A moment, to the second.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Where a table stands.
pub(super) fn place(table: &ForeignTable) -> String {
    let version = |version: Option<_>| {
        version.map_or("none".to_owned(), |v: lancekeeper_model::Version| v.to_string())
    };
    format!("pin {}, HEAD {}", version(table.pin), version(table.head))
}

pub(super) fn forward(content: &ForeignContent) -> String {
    if content.tables.is_empty() {
        return "it names no table".to_owned();
    }
    format!("every table was committed: {}", places(content.tables.iter()))
}

/// Why tables go back: by the first that is not as it was meant.
pub(super) fn back(content: &ForeignContent, classes: &[Class]) -> String {
    let tables = content.tables.iter().zip(classes);
    let mut spoilt = tables.filter(|(_, class)| **class != Class::RolledPastExpected);
    match spoilt.next() {
        None => "it did not come to its end".to_owned(),
        Some((table, class)) => {
            let why = match class {
                Class::NoMovement => "was not committed to",
                Class::Gone => "is no table of the branch any more",
                Class::IncompletePhaseB => "was not finished",
                _ => "is not as its writer meant it to be",
            };
            format!(
                "{} {why}: {}, expected {} to {}",
                table.table,
                place(table),
                table.expected,
                table.post_commit_pin
            )
        }
    }
}

fn places<'a>(tables: impl Iterator<Item = &'a ForeignTable>) -> String {
    tables.map(|table| format!("{} ({})", table.table, place(table))).collect::<Vec<_>>().join(", ")
}
