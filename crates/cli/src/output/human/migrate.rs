//! Migrations, for people: each branch of a graph with its stamps, then what was done in which order; or each table
//! of a database with its forms, and what was done with it.

use lancekeeper_model::{
    MigrateBody, MigrateReport, MigratedBranch, MigratedTable, RootMigrateReport,
};

use super::{recovery_text, root_label};
use crate::output::grid::{Column, Rank, Remark, render};
use crate::output::style::{Tone, indented, paint};
use crate::output::terminal::Screen;
use crate::output::units::{count, size};
use crate::output::view::View;

impl View for MigrateBody {
    fn dry_run(report: &MigrateReport) -> Option<bool> {
        Some(report.dry_run)
    }

    fn head(report: &MigrateReport) -> Option<&'static str> {
        report.dry_run.then_some("preview (nothing was written; --confirm migrates)")
    }

    fn is_shown(root: &RootMigrateReport) -> bool {
        !root.branches.is_empty() || !root.tables.is_empty()
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
    if !root.tables.is_empty() {
        return text + &tables_text(root, dry_run, screen);
    }
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

/// The tables of a database. What was done with each is said below them: it is longer than a line.
fn tables_text(root: &RootMigrateReport, dry_run: bool, screen: Screen) -> String {
    let is_asked = root.available.is_empty();
    let remarks: Vec<Remark> =
        root.tables.iter().map(|table| table_outcome(table, dry_run, is_asked)).collect();
    let mut text = render(table_columns(&root.tables), "", &remarks, screen).text;
    for table in root.tables.iter().filter(|table| table.changed && table.error.is_none()) {
        let name = name_of(table);
        let bytes = match table.bytes {
            0 => String::new(),
            bytes => format!(" ({})", size(bytes)),
        };
        text += &indented(&format!("{name}: {}{bytes}", table.reason), screen.width);
    }
    for (name, error) in
        root.tables.iter().filter_map(|table| Some((name_of(table), table.error.as_ref()?)))
    {
        // Most errors name their table themselves.
        let why = error.strip_prefix(&format!("{name}: ")).unwrap_or(error);
        text += &indented(&format!("{name}: {why}"), screen.width);
    }
    for step in &root.available {
        text += &indented(&format!("possible: {step}"), screen.width);
    }
    text
}

fn name_of(table: &MigratedTable) -> String {
    match table.branch.name() {
        None => table.table_key.to_string(),
        Some(branch) => format!("{}@{branch}", table.table_key),
    }
}

fn table_outcome(table: &MigratedTable, dry_run: bool, is_asked: bool) -> Remark {
    let (short, tone) = match (&table.error, table.changed) {
        (Some(_), true) => ("begun", Tone::Warn),
        (Some(_), false) => ("error", Tone::Bad),
        (None, true) if dry_run => ("would be migrated", Tone::Good),
        (None, true) => ("migrated", Tone::Good),
        (None, false) if is_asked => ("stays", Tone::Plain),
        (None, false) => ("", Tone::Plain),
    };
    Remark { short: short.to_owned(), detail: None, tone }
}

fn table_columns(tables: &[MigratedTable]) -> Vec<Column> {
    let unknown = || "?".to_owned();
    let ids = tables.iter().map(|table| match table.stable_row_ids {
        Some(true) => "stable".to_owned(),
        Some(false) => "move".to_owned(),
        None => unknown(),
    });
    let paths = tables.iter().map(|t| t.manifest_paths.map_or_else(unknown, |p| p.to_string()));
    let storage = tables.iter().map(|table| table.storage_version.clone().unwrap_or_else(unknown));
    vec![
        Column::text("table", Rank::Always, tables.iter().map(name_of)),
        Column::text("storage", Rank::Always, storage),
        Column::text("files", Rank::Usual, tables.iter().map(|t| t.file_versions.join(", "))),
        Column::text("manifests", Rank::Always, paths),
        Column::text("row ids", Rank::Always, ids),
        Column::numbers("versions", Rank::Usual, tables.iter().map(|t| count(t.versions))),
    ]
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
