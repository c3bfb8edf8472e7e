//! The one way in which a report is shown: root by root for people, or as one document for
//! machines.

use std::io;

use lancekeeper_model::{Obstacle, Report, RootReport};

use super::style::{Tone, paint};
use super::view::View;
use super::{Format, Messages, Terminal, json};
use crate::target::without_secrets;

/// Writes a report, of the command that people typed. Errors, hints and warnings go to stderr,
/// next to their root; a document for machines holds them itself.
pub(crate) fn show<Body: View>(
    command: &str,
    report: &Report<Body>,
    format: Format,
    terminal: &mut Terminal,
) -> io::Result<()> {
    if format == Format::Json {
        return terminal.print(&json::document(command, report)?);
    }
    let (screen, messages) = (terminal.screen(), terminal.messages());
    if let Some(head) = Body::head(report) {
        terminal.print(&format!("{}\n", paint(head, Tone::Strong, screen.colour)))?;
    }
    // With one root the heading or the target line has named it.
    let is_named = report.roots.len() > 1;
    for root in &report.roots {
        if Body::is_shown(root) {
            terminal.print(&Body::root_text(root, report.dry_run, screen))?;
        }
        let place = is_named.then_some(root.uri.as_str());
        say_troubles(&messages, place, root, Body::warnings(root));
        say_obstacles(&messages, place, Body::obstacles(root));
    }
    match Body::totals_text(report, screen) {
        Some(text) => terminal.print(&text),
        None => Ok(()),
    }
}

/// Says what went wrong with a root as a whole and what to know about it. It is named only if
/// it is not the only one.
fn say_troubles<Body>(
    messages: &Messages,
    place: Option<&str>,
    root: &RootReport<Body>,
    warnings: &[String],
) {
    let place = prefix(place);
    for warning in warnings {
        messages.warning(&format!("{place}{warning}"));
    }
    if let Some(error) = &root.error {
        messages.error(&format!("{place}{error}"));
    }
    if let Some(hint) = &root.hint {
        messages.hint(hint);
    }
}

/// Says what stands in the way of verbs that write, and what to do about it.
fn say_obstacles(messages: &Messages, place: Option<&str>, obstacles: &[Obstacle]) {
    let place = prefix(place);
    for obstacle in obstacles {
        messages.warning(&format!("{place}needs attention: {}", obstacle.message));
        if let Some(hint) = &obstacle.hint {
            messages.hint(hint);
        }
    }
}

fn prefix(place: Option<&str>) -> String {
    place.map_or_else(String::new, |uri| format!("{}: ", without_secrets(uri)))
}
