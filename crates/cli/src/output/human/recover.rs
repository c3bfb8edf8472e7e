//! What crashes left and what becomes of it, for people: one paragraph each.

use lancekeeper_model::{
    LeftBehind, RecoverAction, RecoverBody, RecoverReport, RecoverRow, RecoverTable,
    RootRecoverReport, TableRef, Version,
};

use super::{recovery_text, root_label};
use crate::output::style::{Tone, indented, paint};
use crate::output::terminal::Screen;
use crate::output::units::counted;
use crate::output::view::View;

const NESTED: &str = "  ";

impl View for RecoverBody {
    fn dry_run(report: &RecoverReport) -> Option<bool> {
        Some(report.dry_run)
    }

    fn head(report: &RecoverReport) -> Option<&'static str> {
        let has_work = report.roots.iter().any(|root| !root.left.is_empty());
        (report.dry_run && has_work)
            .then_some("preview (nothing was written; --confirm carries it out)")
    }

    fn is_shown(root: &RootRecoverReport) -> bool {
        root.error.is_none() || !root.left.is_empty() || !root.recovery.is_nothing()
    }

    fn root_text(root: &RootRecoverReport, dry_run: bool, screen: Screen) -> String {
        root_text(root, dry_run, screen)
    }

    fn warnings(root: &RootRecoverReport) -> &[String] {
        &root.warnings
    }

    fn totals_text(report: &RecoverReport, _screen: Screen) -> Option<String> {
        let remain = report.totals.left - report.totals.done;
        let text = match (report.totals.left, report.dry_run) {
            (0, _) => return None,
            (left, true) => format!("{} left behind", counted(left, "thing")),
            (_, false) if remain == 0 => {
                format!("{} dealt with", counted(report.totals.done, "thing"))
            }
            (_, false) => {
                format!("{} dealt with, {remain} remain", counted(report.totals.done, "thing"))
            }
        };
        Some(format!("{text}\n"))
    }
}

fn root_text(root: &RootRecoverReport, dry_run: bool, screen: Screen) -> String {
    let heading = paint(&root_label(root.kind, &root.uri), Tone::Strong, screen.colour);
    let mut text = format!("{heading}\n{}", recovery_text(&root.recovery, screen.width));
    if root.left.is_empty() {
        text += &indented("nothing was left behind", screen.width);
    }
    for row in &root.left {
        text += &row_text(row, dry_run, screen);
    }
    text
}

fn row_text(row: &RecoverRow, dry_run: bool, screen: Screen) -> String {
    let width = screen.width;
    let mut text = indented(&format!("{}: {}", subject(row), becomes(row, dry_run)), width);
    let mut line = |words: String| text += &nested(&words, width);
    line(row.why.clone());
    for table in &row.tables {
        line(table_text(table));
    }
    for pin in &row.moved {
        let (key, branch) = (pin.table_key.clone(), pin.table_branch.clone());
        let table = TableRef { key, branch };
        line(format!("published {table} from {} to {}", pin.from, pin.to));
    }
    if let Some(error) = &row.error {
        line(format!("not done: {error}"));
    }
    if let Some(hint) =
        row.hint.as_ref().filter(|_| !row.done || row.action == RecoverAction::Quarantine)
    {
        line(format!("hint: {hint}"));
    }
    text
}

/// Lines below one that is indented.
fn nested(words: &str, width: Option<usize>) -> String {
    let lines = indented(words, width.map(|width| width.saturating_sub(NESTED.len())));
    lines.lines().map(|line| format!("{NESTED}{line}\n")).collect()
}

/// What was left.
fn subject(row: &RecoverRow) -> String {
    let branch = if row.branch.is_main() { String::new() } else { format!(" on {}", row.branch) };
    match row.what {
        LeftBehind::Sidecar => {
            let kind = row.writer_kind.as_deref().unwrap_or("file");
            let actor = row.actor.as_ref().map(|actor| format!(" by {actor}")).unwrap_or_default();
            format!("{} ({kind}{actor}{branch})", row.name)
        }
        LeftBehind::SchemaStaging => "staged schema files".to_owned(),
        LeftBehind::SchemaApplyLock => format!("branch {}", row.name),
        LeftBehind::CommitRows => format!("commit history{branch}"),
        _ => row.name.clone(),
    }
}

/// What becomes of it.
fn becomes(row: &RecoverRow, dry_run: bool) -> String {
    let (would, did) = match row.action {
        RecoverAction::Wait => return "left to its writer".to_owned(),
        RecoverAction::Refuse => return "refused".to_owned(),
        RecoverAction::RollForward => ("would be published", "published"),
        RecoverAction::RollBack => ("would be taken back", "taken back"),
        RecoverAction::Record => ("would be closed", "closed"),
        RecoverAction::DiscardOrphan => ("would be discarded", "discarded"),
        RecoverAction::Quarantine => ("would be moved aside", "moved aside"),
        RecoverAction::Remove => ("would be removed", "removed"),
        RecoverAction::Add => ("would be completed", "completed"),
        RecoverAction::Promote => ("would be taken over", "taken over"),
        _ => ("would be dealt with", "dealt with"),
    };
    match (row.done, dry_run) {
        (true, _) => did.to_owned(),
        (false, true) => would.to_owned(),
        (false, false) => format!("not {did}"),
    }
}

fn table_text(table: &RecoverTable) -> String {
    let name = TableRef { key: table.table_key.clone(), branch: table.table_branch.clone() };
    let version =
        |version: Option<Version>| version.map_or("-".to_owned(), |version| version.to_string());
    format!("{name}: pin {}, HEAD {}, {}", version(table.pin), version(table.head), table.class)
}
