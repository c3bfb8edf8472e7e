//! Policies, for people: what holds of tables, and what policies would have done.

use lancekeeper_model::{PolicyBody, PolicyRow, RootPolicies, SimulatedRow};

use super::root_label;
use crate::output::grid::{Column, Rank, Remark, render};
use crate::output::style::{Tone, paint};
use crate::output::terminal::Screen;
use crate::output::units::{count, size};
use crate::output::view::View;

impl View for PolicyBody {
    fn is_shown(root: &RootPolicies) -> bool {
        root.error.is_none()
    }

    fn root_text(root: &RootPolicies, _dry_run: bool, screen: Screen) -> String {
        let heading = paint(&root_label(root.kind, &root.uri), Tone::Strong, screen.colour);
        let table = if !root.simulated.is_empty() {
            simulated(&root.simulated, screen)
        } else if !root.options.is_empty() {
            options(&root.options, screen)
        } else {
            "  no policies\n".to_owned()
        };
        format!("{heading}\n{table}")
    }

    fn warnings(root: &RootPolicies) -> &[String] {
        &root.warnings
    }
}

fn options(rows: &[PolicyRow], screen: Screen) -> String {
    let text = |of: fn(&PolicyRow) -> String| rows.iter().map(of);
    let remarks: Vec<Remark> = rows.iter().map(|row| said(&row.source)).collect();
    let columns = vec![
        Column::text("table", Rank::Always, text(|row| row.table.clone())),
        Column::text("option", Rank::Always, text(|row| row.option.clone())),
        Column::text("value", Rank::Always, text(|row| row.value.clone())),
    ];
    render(columns, "said by", &remarks, screen).text
}

fn simulated(rows: &[SimulatedRow], screen: Screen) -> String {
    let text = |of: fn(&SimulatedRow) -> String| rows.iter().map(of);
    let remarks: Vec<Remark> = rows
        .iter()
        .map(|row| said(&format!("{:.1} bytes written for each", row.amplification)))
        .collect();
    let columns = vec![
        Column::text("table", Rank::Always, text(|row| row.table.clone())),
        Column::text("policy", Rank::Always, text(|row| row.policy.clone())),
        Column::numbers("runs", Rank::Always, text(|row| count(row.runs))),
        Column::numbers("most", Rank::Always, text(|row| count(row.fragments_most))),
        Column::numbers("end", Rank::Always, text(|row| count(row.fragments_end))),
        Column::numbers("appended", Rank::Usual, text(|row| size(row.appended_bytes))),
        Column::numbers("rewritten", Rank::Usual, text(|row| size(row.rewritten_bytes))),
        Column::numbers("replaced", Rank::Wide, text(|row| size(row.replaced_bytes))),
        Column::numbers("purged", Rank::Wide, text(|row| count(row.purged_rows))),
    ];
    render(columns, "cost", &remarks, screen).text
}

fn said(text: &str) -> Remark {
    Remark { short: text.to_owned(), detail: None, tone: Tone::Plain }
}
