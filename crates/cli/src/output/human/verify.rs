//! What `verify` found, for people: what was looked at, then what is wrong, one by one, then what could
//! not be checked.

use lancekeeper_model::{
    Finding, RootVerification, TableRef, TableVerification, Unchecked, VerifyBody, VerifyReport,
};

use super::{Notes, root_label};
use crate::output::grid::{Column, Rank, Remark, render};
use crate::output::style::{Tone, dotted, indented, paint, visible};
use crate::output::terminal::Screen;
use crate::output::units::{count, counted, duration};
use crate::output::view::View;

impl View for VerifyBody {
    fn is_shown(root: &RootVerification) -> bool {
        root.error.is_none() || !root.tables.is_empty() || !root.findings.is_empty()
    }

    fn root_text(root: &RootVerification, _dry_run: bool, screen: Screen) -> String {
        root_text(root, screen)
    }

    fn totals_text(report: &VerifyReport, screen: Screen) -> Option<String> {
        let totals = &report.totals;
        let mut parts = vec![
            format!("total {}", counted(totals.tables, "table")),
            counted(totals.versions, "version"),
            counted(totals.fragments, "fragment"),
            counted(totals.files, "file"),
        ];
        if totals.rows > 0 {
            parts.push(format!("{} read", counted(totals.rows, "row")));
        }
        if totals.questions > 0 {
            parts.push(format!("{} to indexes", counted(totals.questions, "question")));
        }
        parts.push(match totals.findings {
            0 => "nothing wrong".to_owned(),
            wrong => format!("{} wrong", counted(wrong, "thing")),
        });
        if totals.unchecked > 0 {
            parts.push(format!("{} not checked", count(totals.unchecked)));
        }
        parts.push(duration(totals.duration_ms));
        Some(format!("{}\n", dotted(&parts, screen.width)))
    }
}

fn root_text(root: &RootVerification, screen: Screen) -> String {
    let heading = paint(&root_label(root.kind, &root.uri), Tone::Strong, screen.colour);
    let mut text = format!("{heading}\n");
    if root.tables.is_empty() {
        text.push_str("  no tables\n");
    } else {
        let remarks: Vec<Remark> = root.tables.iter().map(remark).collect();
        text.push_str(&render(columns(&root.tables), "", &remarks, screen).text);
    }
    for finding in &root.findings {
        text.push_str(&finding_text(finding, screen));
    }
    let mut notes = Notes::default();
    for unchecked in &root.unchecked {
        let Unchecked { table_key, branch, what, reason, .. } = unchecked;
        let table = TableRef { key: table_key.clone(), branch: branch.clone() };
        notes
            .add(&visible(&table.to_string()), &visible(&format!("not checked: {what}: {reason}")));
    }
    text + &notes.render(screen.width)
}

fn columns(tables: &[TableVerification]) -> Vec<Column> {
    let numbers = |title, rank, of: fn(&TableVerification) -> u64| {
        Column::numbers(title, rank, tables.iter().map(|table| count(of(table))))
    };
    vec![
        Column::text("table", Rank::Always, tables.iter().map(name)),
        numbers("versions", Rank::Usual, |table| table.versions),
        numbers("fragments", Rank::Usual, |table| table.fragments),
        numbers("files", Rank::Wide, |table| table.files),
        numbers("rows", Rank::Usual, |table| table.rows),
        numbers("indexes", Rank::Wide, |table| table.indexes),
        numbers("asked", Rank::Wide, |table| table.questions),
        Column::numbers("time", Rank::Wide, tables.iter().map(|table| duration(table.duration_ms))),
    ]
}

fn name(table: &TableVerification) -> String {
    TableRef { key: table.table_key.clone(), branch: table.branch.clone() }.to_string()
}

fn remark(table: &TableVerification) -> Remark {
    let (short, tone) = match (table.findings, table.unchecked) {
        (0, 0) => ("well".to_owned(), Tone::Good),
        (0, unchecked) => (format!("well, {} not checked", count(unchecked)), Tone::Plain),
        (wrong, _) => (format!("{} wrong", count(wrong)), Tone::Bad),
    };
    Remark { short, detail: None, tone }
}

fn finding_text(finding: &Finding, screen: Screen) -> String {
    let table = TableRef { key: finding.table_key.clone(), branch: finding.branch.clone() };
    let version = finding.version.map(|version| match finding.versions {
        0 | 1 => format!(" version {version}"),
        more => format!(" version {version} and {} older", count(more - 1)),
    });
    let Finding { what, message, .. } = finding;
    let line = format!("{table}{}: {what}: {message}", version.unwrap_or_default());
    let line = indented(&visible(&line), screen.width);
    let mut text = String::new();
    for line in line.lines() {
        text.push_str(&paint(line, Tone::Bad, screen.colour));
        text.push('\n');
    }
    if let Some(hint) = &finding.hint {
        text.push_str(&indented(&format!("  hint: {}", visible(hint)), screen.width));
    }
    text
}
