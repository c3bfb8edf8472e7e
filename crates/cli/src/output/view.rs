//! What a report has to say of itself so that it can be shown.

use lancekeeper_model::{ExitCode, Obstacle, RootReport};
use serde::Serialize;

use super::terminal::Screen;

/// A verb's report.
pub(crate) trait View {
    /// The verb's own part of what is said of a root.
    type Body: Default + Serialize;
    /// Its sums.
    type Totals: Serialize;

    /// The verb as people type it.
    fn command(&self) -> &'static str;

    /// Whether nothing was written; `None` for verbs that never write.
    fn dry_run(&self) -> Option<bool> {
        None
    }

    /// One entry per root.
    fn roots(&self) -> &[RootReport<Self::Body>];

    /// The same, to add roots that were not found.
    fn roots_mut(&mut self) -> &mut Vec<RootReport<Self::Body>>;

    /// The sums.
    fn totals(&self) -> Self::Totals;

    /// The exit code.
    fn exit_code(&self) -> ExitCode;

    /// The exit code for whoever asks whether a person has to act.
    fn attention_code(&self) -> ExitCode {
        self.exit_code()
    }

    /// For people: a line before all roots.
    fn head(&self) -> Option<&'static str> {
        None
    }

    /// For people: whether there is more to say of a root than what went wrong with it.
    fn is_shown(&self, root: &RootReport<Self::Body>) -> bool;

    /// For people: what there is to say of a root.
    fn root_text(&self, root: &RootReport<Self::Body>, screen: Screen) -> String;

    /// What to know of a root that is no error.
    fn warnings<'r>(&self, _root: &'r RootReport<Self::Body>) -> &'r [String] {
        &[]
    }

    /// What stands in the way of verbs that write.
    fn obstacles<'r>(&self, _root: &'r RootReport<Self::Body>) -> &'r [Obstacle] {
        &[]
    }

    /// For people: the sums, if there is anything to sum up.
    fn totals_text(&self, _screen: Screen) -> Option<String> {
        None
    }
}
