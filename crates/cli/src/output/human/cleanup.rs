//! What `cleanup` deleted, or would delete, for people.

use lancekeeper_model::{CleanupBody, CleanupReport, RootCleanupReport, TableCleanupStats};

use super::{Notes, named_commits, recovery_text, root_label};
use crate::output::grid::{Column, Rank, Remark, render};
use crate::output::style::{Tone, dotted, indented, paint};
use crate::output::terminal::Screen;
use crate::output::units::{count, counted, duration, size};
use crate::output::view::View;

impl View for CleanupBody {
    fn dry_run(report: &CleanupReport) -> Option<bool> {
        Some(report.dry_run)
    }

    fn head(report: &CleanupReport) -> Option<&'static str> {
        let is_preview = report.dry_run && report.roots.iter().any(|root| root.error.is_none());
        is_preview.then_some("preview (nothing was deleted; --confirm deletes)")
    }

    fn is_shown(root: &RootCleanupReport) -> bool {
        root.error.is_none() || !root.tables.is_empty() || !root.recovery.is_nothing()
    }

    fn root_text(root: &RootCleanupReport, dry_run: bool, screen: Screen) -> String {
        root_text(root, dry_run, screen)
    }

    fn warnings(root: &RootCleanupReport) -> &[String] {
        &root.warnings
    }

    fn totals_text(report: &CleanupReport, screen: Screen) -> Option<String> {
        let totals = &report.totals;
        if report.roots.iter().all(|root| root.tables.is_empty()) {
            return None;
        }
        let verb = if report.dry_run { "would free" } else { "freed" };
        let mut parts = vec![
            format!("{verb} {}", size(totals.bytes_removed)),
            counted(totals.old_versions_removed, "version"),
            counted(totals.files_removed, "file"),
        ];
        if totals.forks_reclaimed > 0 {
            parts.push(counted(totals.forks_reclaimed, "fork"));
        }
        if totals.unverified_left > 0 {
            parts.push(format!("{} left unverified", counted(totals.unverified_left, "file")));
        }
        if totals.tables_failed > 0 {
            parts.push(format!("{} failed", counted(totals.tables_failed, "table")));
        }
        parts.push(duration(totals.duration_ms));
        Some(dotted(&parts, screen.width) + "\n")
    }
}

fn root_text(root: &RootCleanupReport, dry_run: bool, screen: Screen) -> String {
    let mut heading = paint(&root_label(root.kind, &root.uri), Tone::Strong, screen.colour);
    let recovered = recovery_text(&root.recovery, screen.width);
    if !recovered.is_empty() {
        heading = format!("{heading}\n{}", recovered.trim_end());
    }
    if root.tables.is_empty() {
        return format!("{heading}\n  no tables\n");
    }
    let remarks: Vec<Remark> = root.tables.iter().map(|table| outcome(table, dry_run)).collect();
    let rendered = render(columns(&root.tables), "outcome", &remarks, screen);
    let mut notes = Notes::default();
    for (at, table) in root.tables.iter().enumerate() {
        let name = table.table_key.as_str();
        if rendered.shortened.contains(&at) {
            notes.add(name, &remarks[at].full());
        }
        if table.emptied {
            let fate = if dry_run { "would be emptied" } else { "emptied" };
            notes.add(name, &format!("no branch has it any more: {fate}"));
        }
        for warning in &table.warnings {
            notes.add(name, warning);
        }
        if dry_run {
            for (because, versions) in table.reasons() {
                notes.add(name, &format!("kept {versions} because: {because}"));
            }
        }
    }
    format!(
        "{heading}\n{}{}{}",
        rendered.text,
        notes.render(screen.width),
        graph_notes(root, dry_run, screen.width)
    )
}

/// What concerns the graph as a whole.
fn graph_notes(root: &RootCleanupReport, dry_run: bool, width: Option<usize>) -> String {
    let mut text = String::new();
    let went = if dry_run { "orphaned, would go" } else { "orphaned, gone" };
    for (table, branch) in &root.reconciled.reclaimed {
        text += &indented(&format!("fork {branch} of {table}: {went}"), width);
    }
    for (table, why) in &root.reconciled.failures {
        text += &indented(&format!("{table}: {why}"), width);
    }
    let lost = &root.lost_commits;
    if !lost.is_empty() {
        let ids = named_commits(lost.iter().map(|commit| commit.graph_commit_id.as_str()));
        let stop = if dry_run { "would stop being readable" } else { "cannot be read any more" };
        let number = counted(lost.len() as u64, "commit");
        text += &indented(&format!("{number} {stop}: {ids}"), width);
    }
    text
}

fn columns(tables: &[TableCleanupStats]) -> Vec<Column> {
    let numbers = |of: fn(&TableCleanupStats) -> u64, unit: fn(u64) -> String| {
        tables.iter().map(move |table| unit(of(table))).collect::<Vec<_>>()
    };
    vec![
        Column::text(
            "table",
            Rank::Always,
            tables.iter().map(|table| table.table_key.as_str().to_owned()),
        ),
        Column::numbers("kept", Rank::Always, numbers(|table| table.versions_kept, count)),
        Column::numbers(
            "removed",
            Rank::Always,
            numbers(|table| table.old_versions_removed, count),
        ),
        Column::numbers("files", Rank::Usual, numbers(|table| table.files_removed, count)),
        Column::numbers("freed", Rank::Always, numbers(|table| table.bytes_removed, size)),
        Column::numbers("left", Rank::Wide, numbers(|table| table.unverified_left, count)),
        Column::numbers("time", Rank::Wide, numbers(|table| table.duration_ms, duration)),
    ]
}

fn outcome(table: &TableCleanupStats, dry_run: bool) -> Remark {
    let remark = |short: &str, tone, detail: Option<String>| Remark {
        short: short.to_owned(),
        detail,
        tone,
    };
    match &table.error {
        Some(error) => remark("failed", Tone::Bad, Some(error.clone())),
        None if table.skipped.is_some() => {
            remark("skipped", Tone::Dim, table.skipped.map(|reason| reason.to_string()))
        }
        None if table.files_removed == 0 => remark("nothing to do", Tone::Dim, None),
        None if dry_run => remark("would delete", Tone::Good, None),
        None => remark("done", Tone::Good, None),
    }
}
