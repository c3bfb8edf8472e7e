//! Branches, for people: which there are, and what creating or deleting one did.

use chrono::{DateTime, SecondsFormat, Utc};
use lancekeeper_model::{
    BranchAction, BranchBody, BranchLoss, BranchReport, BranchRow, BranchTableStats,
    RootBranchReport,
};

use super::{Notes, named_commits, recovery_text, root_label};
use crate::output::grid::{Column, Rank, Remark, render};
use crate::output::style::{Tone, dotted, indented, paint};
use crate::output::terminal::Screen;
use crate::output::units::{count, counted, size};
use crate::output::view::View;

impl View for BranchBody {
    fn dry_run(report: &BranchReport) -> Option<bool> {
        let only_looks = report.roots.iter().all(|root| root.action == BranchAction::List);
        (!only_looks).then_some(report.dry_run)
    }

    fn head(report: &BranchReport) -> Option<&'static str> {
        let shown = report.roots.iter().find(|root| !root.branches.is_empty())?;
        report.dry_run.then_some(match shown.action {
            BranchAction::Delete => "preview (nothing was deleted; --confirm deletes)",
            BranchAction::Create | BranchAction::List => "plan (nothing was written)",
        })
    }

    fn is_shown(root: &RootBranchReport) -> bool {
        !root.branches.is_empty() || !root.recovery.is_nothing()
    }

    fn root_text(root: &RootBranchReport, dry_run: bool, screen: Screen) -> String {
        root_text(root, dry_run, screen)
    }

    fn warnings(root: &RootBranchReport) -> &[String] {
        &root.warnings
    }
}

fn root_text(root: &RootBranchReport, dry_run: bool, screen: Screen) -> String {
    let heading = paint(&root_label(root.kind, &root.uri), Tone::Strong, screen.colour);
    let mut text = format!("{heading}\n{}", recovery_text(&root.recovery, screen.width));
    let is_refused = root.error.is_some();
    let remarks: Vec<Remark> = root
        .branches
        .iter()
        .map(|branch| outcome(branch, root.action, dry_run, is_refused))
        .collect();
    let rendered = render(branch_columns(&root.branches), "", &remarks, screen);
    text += &rendered.text;
    let mut notes = Notes::default();
    for at in rendered.shortened {
        notes.add(root.branches[at].name.label(), &remarks[at].full());
    }
    text += &notes.render(screen.width);
    if !root.tables.is_empty() {
        text += &table_text(&root.tables, dry_run, screen);
    }
    if let Some(lost) = &root.lost {
        let is_known = root.branches.iter().all(|branch| branch.error.is_none());
        text += &loss_text(lost, is_known, dry_run || is_refused, screen);
    }
    text
}

fn outcome(branch: &BranchRow, action: BranchAction, dry_run: bool, is_refused: bool) -> Remark {
    let remark = |short: &str, tone| Remark { short: short.to_owned(), detail: None, tone };
    if let Some(error) = &branch.error {
        let detail = Some(error.clone());
        return Remark { short: "unreadable".to_owned(), detail, tone: Tone::Bad };
    }
    match (action, is_refused, dry_run) {
        (BranchAction::List, ..) => remark("", Tone::Plain),
        (_, true, _) => remark("refused", Tone::Bad),
        (BranchAction::Create, _, true) => remark("would be created", Tone::Good),
        (BranchAction::Create, ..) => remark("created", Tone::Good),
        (BranchAction::Delete, _, true) => remark("would be deleted", Tone::Warn),
        (BranchAction::Delete, ..) => remark("deleted", Tone::Good),
    }
}

fn branch_columns(branches: &[BranchRow]) -> Vec<Column> {
    // What could not be read has no numbers.
    let numbers = |title, rank, of: fn(&BranchRow) -> String| {
        let cells = branches.iter().map(move |branch| match branch.error {
            Some(_) => "-".to_owned(),
            None => of(branch),
        });
        Column::numbers(title, rank, cells)
    };
    let names = branches.iter().map(|branch| branch.name.label().to_owned());
    let from = branches.iter().map(|branch| match (&branch.parent, branch.parent_version) {
        (Some(parent), Some(version)) => format!("{parent}@{version}"),
        _ => "-".to_owned(),
    });
    let commits = branches.iter().map(|branch| branch.head_commit_id.clone().unwrap_or_default());
    let times = branches.iter().map(|branch| branch.head_commit_at.map(at).unwrap_or_default());
    vec![
        Column::text("branch", Rank::Always, names),
        Column::text("cut from", Rank::Always, from),
        numbers("version", Rank::Always, |branch| {
            branch.manifest_version.map_or_else(|| "-".to_owned(), |version| version.to_string())
        }),
        numbers("owns", Rank::Always, |branch| count(branch.tables_owned)),
        numbers("reads", Rank::Usual, |branch| count(branch.tables_lazy)),
        Column::text("newest commit", Rank::Wide, commits),
        Column::text("at", Rank::Usual, times),
    ]
}

fn at(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn table_text(tables: &[BranchTableStats], dry_run: bool, screen: Screen) -> String {
    let remarks: Vec<Remark> = tables.iter().map(|table| table_outcome(table, dry_run)).collect();
    let numbers = |of: fn(&BranchTableStats) -> u64, unit: fn(u64) -> String| {
        tables.iter().map(move |table| unit(of(table))).collect::<Vec<_>>()
    };
    let names = tables.iter().map(|table| table.table_key.as_str().to_owned());
    let columns = vec![
        Column::text("table", Rank::Always, names),
        Column::numbers("versions", Rank::Always, numbers(|table| table.versions_removed, count)),
        Column::numbers("files", Rank::Always, numbers(|table| table.files_removed, count)),
        Column::numbers("size", Rank::Always, numbers(|table| table.bytes_removed, size)),
    ];
    let rendered = render(columns, "outcome", &remarks, screen);
    let mut notes = Notes::default();
    for at in rendered.shortened {
        notes.add(tables[at].table_key.as_str(), &remarks[at].full());
    }
    rendered.text + &notes.render(screen.width)
}

fn table_outcome(table: &BranchTableStats, dry_run: bool) -> Remark {
    let remark = |short: &str, tone, detail: Option<&String>| Remark {
        short: short.to_owned(),
        detail: detail.cloned(),
        tone,
    };
    match (&table.error, &table.kept) {
        (Some(error), _) => remark("left", Tone::Warn, Some(error)),
        (None, Some(why)) => remark("stays", Tone::Warn, Some(why)),
        (None, None) if dry_run => remark("would go", Tone::Warn, None),
        (None, None) => remark("gone", Tone::Good, None),
    }
}

fn loss_text(lost: &BranchLoss, is_known: bool, dry_run: bool, screen: Screen) -> String {
    let verb = if dry_run { "would lose" } else { "lost" };
    let mut parts = vec![match lost.unmerged_commits.len() {
        0 if !is_known => "nobody knows whether other branches have its commits".to_owned(),
        0 => "every commit of it is in the history of another branch".to_owned(),
        _ => {
            let commits = counted(lost.unmerged_commits.len() as u64, "commit");
            format!("{verb} {commits} that no other branch has")
        }
    }];
    parts.push(counted(lost.forks, "fork"));
    parts.push(counted(lost.files, "file"));
    parts.push(size(lost.bytes));
    let mut text = dotted(&parts, screen.width) + "\n";
    if !lost.unmerged_commits.is_empty() {
        let ids = named_commits(lost.unmerged_commits.iter().map(String::as_str));
        text += &indented(&ids, screen.width);
    }
    text
}
