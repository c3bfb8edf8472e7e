//! Everything that is written: results to stdout, messages, progress and logs to stderr.
//! What is true is decided before: this only lays it out.

mod grid;
mod human;
mod json;
pub(crate) mod log;
mod messages;
mod progress;
#[cfg(test)]
pub(crate) mod samples;
mod show;
mod sql;
mod style;
mod terminal;
mod units;
mod view;

pub(crate) use messages::Messages;
pub(crate) use progress::ProgressView;
pub(crate) use show::show;
pub(crate) use sql::{SqlAnswer, SqlFailure};
#[cfg(test)]
pub(crate) use terminal::Screen;
pub(crate) use terminal::Terminal;
pub(crate) use view::View;

/// For whom a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Tables for people.
    Human,
    /// One document for machines.
    Json,
}

impl Format {
    /// The format `--json` asks for.
    pub(crate) fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Human }
    }
}
