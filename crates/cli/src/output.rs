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
mod style;
mod terminal;
mod units;

use std::io;

use lancekeeper_model::{BranchReport, CleanupReport, CountReport, OptimizeReport, StatusReport};

pub(crate) use messages::Messages;
pub(crate) use progress::ProgressView;
#[cfg(test)]
pub(crate) use terminal::Screen;
pub(crate) use terminal::Terminal;

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

/// Writes what `status` found.
pub(crate) fn show_status(
    report: &StatusReport,
    format: Format,
    terminal: &mut Terminal,
) -> io::Result<()> {
    match format {
        Format::Human => human::status::show(report, terminal),
        Format::Json => terminal.print(&json::status(report)?),
    }
}

/// Writes what `optimize` did, or would do.
pub(crate) fn show_optimize(
    report: &OptimizeReport,
    format: Format,
    terminal: &mut Terminal,
) -> io::Result<()> {
    match format {
        Format::Human => human::optimize::show(report, terminal),
        Format::Json => terminal.print(&json::optimize(report)?),
    }
}

/// Writes what `cleanup` deleted, or would delete.
pub(crate) fn show_cleanup(
    report: &CleanupReport,
    format: Format,
    terminal: &mut Terminal,
) -> io::Result<()> {
    match format {
        Format::Human => human::cleanup::show(report, terminal),
        Format::Json => terminal.print(&json::cleanup(report)?),
    }
}

/// Writes how many rows there are.
pub(crate) fn show_counts(
    report: &CountReport,
    format: Format,
    terminal: &mut Terminal,
) -> io::Result<()> {
    match format {
        Format::Human => human::count::show(report, terminal),
        Format::Json => terminal.print(&json::counts(report)?),
    }
}

/// Writes which branches there are, or what was done with one.
pub(crate) fn show_branches(
    report: &BranchReport,
    format: Format,
    terminal: &mut Terminal,
) -> io::Result<()> {
    match format {
        Format::Human => human::branch::show(report, terminal),
        Format::Json => terminal.print(&json::branches(report)?),
    }
}
