//! Reports for people: per root a heading, an aligned table, what does not fit a cell below
//! it, and sums at the end. Errors, hints and warnings go to stderr, next to their root.

mod branch;
mod cleanup;
mod config;
mod count;
mod jobs;
mod migrate;
mod optimize;
mod policy;
mod recover;
mod relocate;
mod repair;
mod statistics;
mod status;
#[cfg(test)]
mod tests;
mod verify;
mod watch;

use lancekeeper_model::{Branch, Migrated, Recovery, RootKind};

use super::style::indented;
use crate::target::without_secrets;

/// Commits named one by one before the rest are only counted.
const COMMITS_SHOWN: usize = 5;

/// What a root is and where, for its heading.
fn root_label(kind: Option<RootKind>, uri: &str) -> String {
    let uri = without_secrets(uri);
    kind.map_or_else(|| uri.clone(), |kind| format!("{kind} {uri}"))
}

/// What opening a root recovered, a line for each.
fn recovery_text(recovery: &Recovery, width: Option<usize>) -> String {
    let sentences = recovery.sentences();
    let migrated = recovery.migrated.as_ref().map(migrated_text);
    sentences.iter().chain(&migrated).map(|sentence| indented(sentence, width)).collect()
}

/// What the first write did to the format of a graph.
fn migrated_text(migrated: &Migrated) -> String {
    let names = |branches: &[Branch]| {
        branches.iter().map(|branch| branch.label()).collect::<Vec<_>>().join(", ")
    };
    let mut text = format!(
        "migrated from internal schema {} to v{}: {}",
        migrated.from,
        migrated.to,
        names(&migrated.branches)
    );
    if !migrated.run_branches_deleted.is_empty() {
        let runs = names(&migrated.run_branches_deleted);
        text += &format!("; deleted {runs}, left by runs of old clients");
    }
    if !migrated.locked_out.is_empty() {
        text += &format!("; locked out from now on: {}", migrated.locked_out.join(", "));
    }
    text
}

/// Commits and the like by name, as many as help.
fn named_commits<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = match ids.len().saturating_sub(COMMITS_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    ids.take(COMMITS_SHOWN).collect::<Vec<_>>().join(", ") + &more
}

/// Remarks below a table, each about a table; equal ones are told once.
#[derive(Default)]
struct Notes {
    entries: Vec<(Vec<String>, String)>,
}

impl Notes {
    fn add(&mut self, table: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.entries.iter_mut().find(|(_, known)| known == text) {
            Some((tables, _)) => tables.push(table.to_owned()),
            None => self.entries.push((vec![table.to_owned()], text.to_owned())),
        }
    }

    fn render(&self, width: Option<usize>) -> String {
        let line = |(tables, text): &(Vec<String>, String)| match tables.len() {
            1..=3 => indented(&format!("{}: {text}", tables.join(", ")), width),
            // Their rows tell which.
            number => indented(&format!("{number} tables: {text}"), width),
        };
        self.entries.iter().map(line).collect()
    }
}
