//! How many rows there are, for people.

use lancekeeper_model::{CountBody, CountReport, RootCounts, TableCount, TableRef};

use super::{Notes, root_label};
use crate::output::grid::{Column, Rank, Remark, render};
use crate::output::style::{Tone, dotted, paint};
use crate::output::terminal::Screen;
use crate::output::units::{count, counted};
use crate::output::view::View;

impl View for CountBody {
    fn is_shown(root: &RootCounts) -> bool {
        root.error.is_none()
    }

    fn root_text(root: &RootCounts, _dry_run: bool, screen: Screen) -> String {
        root_text(root, screen)
    }

    fn totals_text(report: &CountReport, screen: Screen) -> Option<String> {
        let totals = &report.totals;
        if totals.tables < 2 {
            return None;
        }
        let mut parts = vec![format!("total {}", counted(totals.tables, "table"))];
        parts.push(counted(totals.rows, "row"));
        if totals.tables_failed > 0 {
            parts.push(format!("{} failed", count(totals.tables_failed)));
        }
        Some(format!("{}\n", dotted(&parts, screen.width)))
    }
}

fn root_text(root: &RootCounts, screen: Screen) -> String {
    let heading = paint(&root_label(root.kind, &root.uri), Tone::Strong, screen.colour);
    if root.tables.is_empty() {
        return format!("{heading}\n  no tables\n");
    }
    let remarks: Vec<Remark> = root.tables.iter().map(remark).collect();
    let names = root.tables.iter().map(table_name);
    let versions = root
        .tables
        .iter()
        .map(|table| table.version.map_or_else(|| "-".to_owned(), |version| version.to_string()));
    let rows = root.tables.iter().map(|table| table.rows.map_or_else(|| "-".to_owned(), count));
    let columns = vec![
        Column::text("table", Rank::Always, names),
        Column::numbers("version", Rank::Usual, versions),
        Column::numbers("rows", Rank::Always, rows),
    ];
    let rendered = render(columns, "", &remarks, screen);
    let mut notes = Notes::default();
    for at in rendered.shortened {
        notes.add(&table_name(&root.tables[at]), &remarks[at].full());
    }
    format!("{heading}\n{}{}", rendered.text, notes.render(screen.width))
}

fn remark(table: &TableCount) -> Remark {
    let short = if table.error.is_some() { "error" } else { "" };
    Remark { short: short.to_owned(), detail: table.error.clone(), tone: Tone::Bad }
}

fn table_name(table: &TableCount) -> String {
    TableRef { key: table.table_key.clone(), branch: table.branch.clone() }.to_string()
}
