//! What a verb has to say of its report so that it can be shown.

use lancekeeper_model::{ExitCode, Obstacle, Report, RootReport, VerbBody};

use super::terminal::Screen;

/// How a verb's report reads. All but what is said of a root has an answer that fits most verbs.
pub(crate) trait View: VerbBody {
    /// For machines: whether nothing was written; `None` for verbs that never write.
    fn dry_run(_report: &Report<Self>) -> Option<bool> {
        None
    }

    /// The exit code for whoever asks whether a person has to act.
    fn attention_code(report: &Report<Self>) -> ExitCode {
        report.exit_code()
    }

    /// For people: a line before all roots.
    fn head(_report: &Report<Self>) -> Option<&'static str> {
        None
    }

    /// For people: whether there is more to say of a root than what went wrong with it.
    fn is_shown(root: &RootReport<Self>) -> bool;

    /// For people: what there is to say of a root.
    fn root_text(root: &RootReport<Self>, dry_run: bool, screen: Screen) -> String;

    /// Things to know about a root that are no errors.
    fn warnings(_root: &RootReport<Self>) -> &[String] {
        &[]
    }

    /// What stands in the way of verbs that write.
    fn obstacles(_root: &RootReport<Self>) -> &[Obstacle] {
        &[]
    }

    /// For people: the sums, if there is anything to sum up.
    fn totals_text(_report: &Report<Self>, _screen: Screen) -> Option<String> {
        None
    }
}
