//! What refers to the place where a root lay, for people.

use lancekeeper_model::{RelocateBody, RelocateReport, RelocatedBranch, RootRelocateReport};

use super::{recovery_text, root_label};
use crate::output::grid::{Column, Rank, Remark, render};
use crate::output::style::{Tone, indented, paint, visible};
use crate::output::terminal::Screen;
use crate::output::units::{count, counted};
use crate::output::view::View;

impl View for RelocateBody {
    fn dry_run(report: &RelocateReport) -> Option<bool> {
        Some(report.dry_run)
    }

    fn head(report: &RelocateReport) -> Option<&'static str> {
        let is_shown = report.roots.iter().any(|root| !root.branches.is_empty());
        (report.dry_run && is_shown)
            .then_some("preview (nothing was written; --confirm changes it)")
    }

    fn is_shown(root: &RootRelocateReport) -> bool {
        root.error.is_none() || !root.branches.is_empty()
    }

    fn root_text(root: &RootRelocateReport, dry_run: bool, screen: Screen) -> String {
        root_text(root, dry_run, screen)
    }

    fn warnings(root: &RootRelocateReport) -> &[String] {
        &root.warnings
    }
}

fn root_text(root: &RootRelocateReport, dry_run: bool, screen: Screen) -> String {
    let heading = paint(&root_label(root.kind, &root.uri), Tone::Strong, screen.colour);
    let mut text = format!("{heading}\n{}", recovery_text(&root.recovery, screen.width));
    let mut say = |line: &str| text += &indented(&visible(line), screen.width);
    if root.branches.is_empty() {
        say("nothing refers to another place");
        return text;
    }
    for from in &root.moved_from {
        say(&format!("from {from}"));
    }
    say(&format!("to   {}", root.moved_to));
    let remarks: Vec<Remark> = root.branches.iter().map(|_| remark(root, dry_run)).collect();
    text += &render(columns(&root.branches), "", &remarks, screen).text;
    for refusal in &root.refusals {
        text += &indented(&visible(refusal), screen.width);
    }
    if let Some(originals) = &root.originals {
        let changed = counted(root.changed, "manifest");
        let line = format!("{changed} changed; as they were, they lie in {originals}");
        text += &indented(&visible(&line), screen.width);
    }
    text
}

fn columns(branches: &[RelocatedBranch]) -> Vec<Column> {
    let numbers = |title, rank, of: fn(&RelocatedBranch) -> u64| {
        Column::numbers(title, rank, branches.iter().map(|branch| count(of(branch))))
    };
    let name = |branch: &RelocatedBranch| format!("{}@{}", branch.location, branch.branch);
    vec![
        Column::text("branch", Rank::Always, branches.iter().map(name)),
        numbers("manifests", Rank::Always, |branch| branch.manifests),
        numbers("files there", Rank::Usual, |branch| branch.files),
        numbers("rows", Rank::Usual, |branch| branch.rows),
    ]
}

fn remark(root: &RootRelocateReport, dry_run: bool) -> Remark {
    let (short, tone) = match (root.error.is_some(), dry_run) {
        (true, _) => ("", Tone::Plain),
        (false, true) => ("would be changed", Tone::Warn),
        (false, false) => ("changed", Tone::Good),
    };
    Remark { short: short.to_owned(), detail: None, tone }
}
