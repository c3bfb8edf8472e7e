//! Migrations, for people: each branch with its stamps, then what was done in which order.

use lancekeeper_model::{MigrateBody, MigrateReport, MigratedBranch, RootMigrateReport};

use super::{recovery_text, root_label};
use crate::output::grid::{Column, Rank, Remark, render};
use crate::output::style::{Tone, indented, paint};
use crate::output::terminal::Screen;
use crate::output::units::count;
use crate::output::view::View;

impl View for MigrateBody {
    fn dry_run(report: &MigrateReport) -> Option<bool> {
        Some(report.dry_run)
    }

    fn head(report: &MigrateReport) -> Option<&'static str> {
        report.dry_run.then_some("preview (nothing was written; --confirm migrates)")
    }

    fn is_shown(root: &RootMigrateReport) -> bool {
        !root.branches.is_empty()
    }

    fn root_text(root: &RootMigrateReport, dry_run: bool, screen: Screen) -> String {
        root_text(root, dry_run, screen)
    }

    fn warnings(root: &RootMigrateReport) -> &[String] {
        &root.warnings
    }
}

fn root_text(root: &RootMigrateReport, dry_run: bool, screen: Screen) -> String {
    let heading = paint(&root_label(root.kind, &root.uri), Tone::Strong, screen.colour);
    let mut text = format!("{heading}\n{}", recovery_text(&root.recovery, screen.width));
    let is_refused = root.error.is_some();
    let remarks: Vec<Remark> =
        root.branches.iter().map(|branch| outcome(branch, dry_run, is_refused)).collect();
    text += &render(columns(&root.branches), "", &remarks, screen).text;
    let verb = if dry_run { "would be" } else { "was" };
    if root.steps.is_empty() && !is_refused {
        text += &indented("nothing is to be done", screen.width);
    }
    for (step, number) in root.steps.iter().zip(1..) {
        text += &indented(&format!("{number}. {step}"), screen.width);
    }
    for run in &root.run_branches {
        text += &indented(
            &format!("{run}, left by a run of an old client, {verb} deleted"),
            screen.width,
        );
    }
    if !root.locked_out.is_empty() {
        let clients = root.locked_out.join(", ");
        text += &indented(&format!("locked out from then on: {clients}"), screen.width);
    }
    text
}

fn outcome(branch: &MigratedBranch, dry_run: bool, is_refused: bool) -> Remark {
    let remark = |short: &str, tone| Remark { short: short.to_owned(), detail: None, tone };
    match (branch.to, dry_run) {
        (None, _) if is_refused => remark("stays", Tone::Warn),
        (None, _) => remark("stays", Tone::Plain),
        (Some(_), true) => remark("would be migrated", Tone::Good),
        (Some(_), false) if is_refused => remark("begun", Tone::Warn),
        (Some(_), false) => remark("migrated", Tone::Good),
    }
}

fn columns(branches: &[MigratedBranch]) -> Vec<Column> {
    let to = branches.iter().map(|branch| match branch.to {
        Some(to) => format!("v{to}"),
        None => branch.from.to_string(),
    });
    vec![
        Column::text("branch", Rank::Always, branches.iter().map(|b| b.name.label().to_owned())),
        Column::text("stamp", Rank::Always, branches.iter().map(|b| b.from.to_string())),
        Column::text("then", Rank::Always, to),
        Column::numbers("commits", Rank::Usual, branches.iter().map(|b| count(b.commits))),
        Column::numbers("rebuilt", Rank::Usual, branches.iter().map(|b| count(b.rebuilt))),
    ]
}
