//! What `repair` found and did, for people.

use lancekeeper_model::{
    RepairAction, RepairBody, RepairReport, RootRepairReport, RowChanges, TableRef,
    TableRepairStats,
};

use super::{Notes, recovery_text, root_label};
use crate::output::grid::{Column, Rank, Remark, render};
use crate::output::style::{Tone, dotted, indented, paint, visible};
use crate::output::terminal::Screen;
use crate::output::units::{count, counted, duration};
use crate::output::view::View;

/// Operations named one by one before the rest are only counted.
const OPERATIONS_SHOWN: usize = 6;

impl View for RepairBody {
    fn dry_run(report: &RepairReport) -> Option<bool> {
        Some(report.dry_run)
    }

    fn head(report: &RepairReport) -> Option<&'static str> {
        let is_shown = report.roots.iter().any(|root| !root.tables.is_empty());
        let is_asked = |asked: fn(&RootRepairReport) -> bool| report.roots.iter().any(asked);
        let text = match (is_asked(|root| root.force), is_asked(|root| root.restore_pin)) {
            (true, _) => "preview (nothing was written; --force --confirm publishes)",
            (_, true) => "preview (nothing was written; --restore-pin --confirm takes back)",
            _ => "preview (nothing was written; --confirm repairs)",
        };
        (report.dry_run && is_shown).then_some(text)
    }

    fn is_shown(root: &RootRepairReport) -> bool {
        root.error.is_none() || !root.tables.is_empty()
    }

    fn root_text(root: &RootRepairReport, _dry_run: bool, screen: Screen) -> String {
        root_text(root, screen)
    }

    fn warnings(root: &RootRepairReport) -> &[String] {
        &root.warnings
    }

    fn totals_text(report: &RepairReport, screen: Screen) -> Option<String> {
        let totals = &report.totals;
        let mut parts = vec![
            format!("total {}", counted(totals.tables, "table")),
            format!("{} drifted", count(totals.tables_drifted)),
        ];
        let done = [
            (totals.tables_healed, "healed"),
            (totals.tables_forced, "forced"),
            (totals.tables_restored, "taken back"),
            (totals.tables_refused, "refused"),
            (totals.tables_failed, "failed"),
        ];
        let done = done.into_iter().filter(|(number, _)| *number > 0);
        parts.extend(done.map(|(number, what)| format!("{} {what}", count(number))));
        parts.push(duration(totals.duration_ms));
        Some(format!("{}\n", dotted(&parts, screen.width)))
    }
}

fn root_text(root: &RootRepairReport, screen: Screen) -> String {
    let mut heading = paint(&root_label(root.kind, &root.uri), Tone::Strong, screen.colour);
    if root.published > 0 {
        heading += &format!(" · published {}", count(root.published));
    }
    let mut text = format!("{heading}\n{}", recovery_text(&root.recovery, screen.width));
    if root.tables.is_empty() {
        return text + "  no tables\n";
    }
    let remarks: Vec<Remark> = root.tables.iter().map(remark).collect();
    let rendered = render(columns(&root.tables), "", &remarks, screen);
    text += &rendered.text;
    let mut notes = Notes::default();
    for at in rendered.shortened {
        notes.add(&name(&root.tables[at]), &visible(&remarks[at].full()));
    }
    for table in root.tables.iter().filter(|table| !table.operations.is_empty()) {
        notes.add(&name(table), &visible(&story(table)));
    }
    text += &notes.render(screen.width);
    if root.tables.iter().any(waits) {
        text += &indented(
            "--confirm --force publishes what is refused, --confirm --restore-pin takes it back; what is younger than --dead-after (15m) only with --assume-dead besides",
            screen.width,
        );
    }
    text
}

/// Whether a decision of the caller's is all that is missing.
fn waits(table: &TableRepairStats) -> bool {
    table.would == RepairAction::Refused && table.error.is_none()
}

fn columns(tables: &[TableRepairStats]) -> Vec<Column> {
    let versions = tables.iter().map(|table| {
        let head = table.lance_head_version.unwrap_or(table.manifest_version);
        (table.manifest_version.to_string(), head.to_string())
    });
    let rows = tables.iter().map(|table| {
        let number = |rows: Option<u64>| rows.map_or_else(|| "-".to_owned(), count);
        (number(table.rows_pinned), number(table.rows_head))
    });
    let classes = tables.iter().map(|table| match table.classification {
        Some(class) => class.to_string(),
        None => "-".to_owned(),
    });
    vec![
        Column::text("table", Rank::Always, tables.iter().map(name)),
        Column::changes("pin and HEAD", Rank::Always, versions),
        Column::changes("rows", Rank::Usual, rows),
        Column::text("drift", Rank::Always, classes),
    ]
}

fn name(table: &TableRepairStats) -> String {
    TableRef { key: table.table_key.clone(), branch: table.branch.clone() }.to_string()
}

fn remark(table: &TableRepairStats) -> Remark {
    if let Some(error) = &table.error {
        let detail = Some(error.clone());
        return Remark { short: "failed".to_owned(), detail, tone: Tone::Bad };
    }
    let (short, tone) = match (table.action, table.would) {
        (RepairAction::Healed, _) => ("healed", Tone::Good),
        (RepairAction::Forced, _) => ("published", Tone::Warn),
        (RepairAction::Restored, _) => ("taken back", Tone::Warn),
        (RepairAction::Refused, _) => ("refused", Tone::Bad),
        (RepairAction::Preview, RepairAction::Healed) => ("would be healed", Tone::Good),
        (RepairAction::Preview, RepairAction::Forced) => ("would be published", Tone::Warn),
        (RepairAction::Preview, RepairAction::Restored) => ("would be taken back", Tone::Warn),
        (RepairAction::Preview, _) => ("would be refused", Tone::Bad),
        _ => ("", Tone::Plain),
    };
    Remark { short: short.to_owned(), detail: None, tone }
}

/// What was committed, and what that comes to.
fn story(table: &TableRepairStats) -> String {
    let mut text = table.reason.clone();
    if let (RepairAction::Preview, RepairAction::Forced, Some(head)) =
        (table.action, table.would, table.lance_head_version)
    {
        let pin = table.manifest_version;
        text += &format!(
            "; forced, readers would be sent from version {pin} to {head}: to what somebody committed past the graph, which nobody has checked"
        );
    }
    let shown = table.operations.iter().take(OPERATIONS_SHOWN).map(String::as_str);
    text += &format!("; operations: {}", shown.collect::<Vec<_>>().join(", "));
    if let Some(more) = table.operations.len().checked_sub(OPERATIONS_SHOWN).filter(|n| *n > 0) {
        text += &format!(" and {} more", count(more as u64));
    }
    if let Some(RowChanges { appear, disappear, change }) = table.rows {
        text += &format!(
            "; published, {} would appear, {} disappear, {} change",
            counted(appear, "row"),
            count(disappear),
            count(change)
        );
    }
    if let Some(tag) = &table.kept_as {
        text += &format!("; what is taken back stays as tag {tag}");
    }
    text
}
