//! What `optimize` did, or would do, for people.

use std::collections::BTreeSet;

use lancekeeper_model::{
    BudgetLimit, ChosenFragments, Clustering, Expansion, Expansions, LayoutStats, OptimizeBody,
    OptimizeReport, OptimizeTotals, PrunedStats, RootKind, RootOptimizeReport, SkipReason,
    TableOptimizeStats, TableRef, Touch, WorkLeft,
};

use super::{Notes, named_commits, recovery_text, root_label};
use crate::output::grid::{Column, Rank, Remark, render};
use crate::output::style::{Tone, dotted, paint};
use crate::output::terminal::Screen;
use crate::output::units::{count, counted, duration, size};
use crate::output::view::View;

impl View for OptimizeBody {
    fn dry_run(report: &OptimizeReport) -> Option<bool> {
        Some(report.dry_run)
    }

    fn head(report: &OptimizeReport) -> Option<&'static str> {
        let is_plan = report.dry_run && report.roots.iter().any(|root| root.error.is_none());
        is_plan.then_some("plan (nothing was written)")
    }

    fn is_shown(root: &RootOptimizeReport) -> bool {
        root.error.is_none() || !root.tables.is_empty() || !root.recovery.is_nothing()
    }

    fn root_text(root: &RootOptimizeReport, dry_run: bool, screen: Screen) -> String {
        root_text(root, dry_run, screen)
    }

    fn warnings(root: &RootOptimizeReport) -> &[String] {
        &root.warnings
    }

    fn totals_text(report: &OptimizeReport, screen: Screen) -> Option<String> {
        let tables = report.roots.iter().map(|root| root.tables.len()).sum();
        if tables == 0 {
            return None;
        }
        let mut text = totals_text(&report.totals, tables, screen);
        if let Some(left) = left_text(report) {
            text += &paint(&dotted(&left, screen.width), Tone::Warn, screen.colour);
            text.push('\n');
        }
        Some(text)
    }
}

/// What the budget left, and what to do about it.
fn left_text(report: &OptimizeReport) -> Option<Vec<String>> {
    let totals = &report.totals;
    let tables = report.roots.iter().flat_map(|root| &root.tables);
    let limits: BTreeSet<BudgetLimit> = tables.filter_map(|table| table.left.left_by).collect();
    if limits.is_empty() {
        return None;
    }
    let limits: Vec<&str> = limits.iter().map(|limit| option_of(*limit)).collect();
    let verb = if report.dry_run { "would stop" } else { "stopped" };
    let mut parts = vec![
        format!("{verb} at {}", limits.join(" and ")),
        format!("left in {}: {}", counted(totals.tables_left, "table"), left_words(&totals.left)),
    ];
    if !report.dry_run {
        parts.push("run again to go on".to_owned());
    }
    Some(parts)
}

fn option_of(limit: BudgetLimit) -> &'static str {
    match limit {
        BudgetLimit::MaxBytes => "--max-bytes",
        BudgetLimit::MaxTime => "--max-time",
        BudgetLimit::Cancelled => "the end of its job",
    }
}

/// `2 groups of 12 fragments, 3 indexes, 30.0 MiB to read`.
fn left_words(left: &WorkLeft) -> String {
    let mut parts = Vec::new();
    if left.groups_left > 0 {
        let groups = counted(left.groups_left, "group");
        parts.push(format!("{groups} of {}", counted(left.fragments_left, "fragment")));
    }
    match left.indexes_left {
        0 => {}
        1 => parts.push("1 index".to_owned()),
        indexes => parts.push(format!("{} indexes", count(indexes))),
    }
    parts.push(format!("{} to read", size(left.bytes_left)));
    parts.join(", ")
}

fn root_text(root: &RootOptimizeReport, dry_run: bool, screen: Screen) -> String {
    let mut heading = root_label(root.kind, &root.uri);
    if root.kind == Some(RootKind::Graph) && !dry_run {
        heading.push_str(&format!(" · published {}", count(root.published)));
    }
    let mut heading = paint(&heading, Tone::Strong, screen.colour);
    let recovered = recovery_text(&root.recovery, screen.width);
    if !recovered.is_empty() {
        heading = format!("{heading}\n{}", recovered.trim_end());
    }
    if root.tables.is_empty() {
        return format!("{heading}\n  no tables\n");
    }
    let remarks: Vec<Remark> =
        root.tables.iter().map(|table| outcome(table, root.error.is_some(), dry_run)).collect();
    let rendered = render(columns(&root.tables), "outcome", &remarks, screen);
    let mut notes = Notes::default();
    for (at, table) in root.tables.iter().enumerate() {
        let name = table_name(table);
        if rendered.shortened.contains(&at) {
            notes.add(&name, &remarks[at].full());
        }
        add_details(&mut notes, &name, table);
    }
    format!("{heading}\n{}{}", rendered.text, notes.render(screen.width))
}

fn columns(tables: &[TableOptimizeStats]) -> Vec<Column> {
    let change = |of: fn(&TableOptimizeStats) -> (u64, u64), unit: fn(u64) -> String| {
        tables.iter().map(move |table| {
            let (before, after) = of(table);
            (unit(before), unit(after))
        })
    };
    vec![
        Column::text("table", Rank::Always, tables.iter().map(table_name)),
        Column::changes(
            "fragments",
            Rank::Always,
            change(|table| (table.fragments_before, table.fragments_after), count),
        ),
        Column::changes(
            "files",
            Rank::Wide,
            change(|table| (table.files_before, table.files_after), count),
        ),
        Column::changes(
            "rows",
            Rank::Wide,
            change(|table| (table.rows_before, table.rows_after), count),
        ),
        Column::changes(
            "size",
            Rank::Always,
            change(|table| (table.bytes_before, table.bytes_after), size),
        ),
        Column::numbers(
            "time",
            Rank::Usual,
            tables.iter().map(|table| duration(table.duration_ms)),
        ),
    ]
}

/// What became of a table. `root_failed`: nothing of what it did was made visible.
fn outcome(table: &TableOptimizeStats, root_failed: bool, dry_run: bool) -> Remark {
    let remark = |short: &str, tone, detail: Option<String>| Remark {
        short: short.to_owned(),
        detail: detail.filter(|detail| !detail.is_empty()),
        tone,
    };
    let planned = table.fragments_removed > 0 || table.fragments_added > 0;
    if let Some(error) = &table.error {
        remark("failed", Tone::Bad, Some(error.clone()))
    } else if table.skipped == Some(SkipReason::RunEnded) {
        remark("not done", Tone::Bad, None)
    } else if let Some(reason) = table.skipped {
        // Nobody has to act on what the caller asked for.
        let tone = if reason.is_by_choice() { Tone::Dim } else { Tone::Warn };
        remark("skipped", tone, Some(skip_detail(table, reason)))
    } else if dry_run && (planned || table.would_commit) {
        let short = if planned { "would rewrite" } else { "would be done" };
        remark(short, Tone::Good, Some(table.reason.clone()))
    } else if table.committed {
        remark("done", Tone::Good, None)
    } else if root_failed && planned {
        remark("not published", Tone::Bad, None)
    } else {
        remark("nothing to do", Tone::Dim, Some(table.reason.clone()))
    }
}

fn skip_detail(table: &TableOptimizeStats, reason: SkipReason) -> String {
    match (table.manifest_version, table.lance_head_version) {
        (Some(pin), Some(head)) => format!("{reason} (pin {pin}, HEAD {head})"),
        _ => reason.to_string(),
    }
}

/// What else there is to know of a table, whatever became of it.
fn add_details(notes: &mut Notes, name: &str, table: &TableOptimizeStats) {
    if table.skipped.is_some() {
        notes.add(name, &table.reason);
    }
    if let Some(layout) = &table.layout {
        notes.add(name, &layout_text(layout));
        if let Some(expansions) = &layout.expansions {
            notes.add(name, &expansions_text(expansions));
        }
    }
    if let Some(chosen) = &table.chosen {
        notes.add(name, &chosen_text(chosen));
    }
    if !table.left.is_nothing() {
        notes.add(name, &format!("left for the next run: {}", left_words(&table.left)));
    }
    if table.groups_redone > 0 {
        let groups = counted(table.groups_redone, "group");
        notes.add(name, &format!("{groups} rewritten again: a writer had changed the fragments"));
    }
    if table.groups_dropped > 0 {
        let groups = counted(table.groups_dropped, "group");
        notes.add(name, &format!("{groups} given up: a writer had changed the fragments"));
    }
    if let Some(note) = &table.statistics {
        let verb = if note.written { "written" } else { "would be written" };
        notes.add(name, &format!("statistics {verb} to {}", note.file));
    }
    if let Some(pruned) = table.pruned.as_ref().filter(|pruned| tells_anything(pruned)) {
        notes.add(name, &prune_text(pruned));
    }
    for index in &table.pending_indexes {
        notes.add(name, &format!("index on {} is pending: {}", index.column, index.reason));
    }
}

/// `kept in layout hilbert:a,b: depth 10.0 -> 1.4, a range of 1 % of a column touches 100.0 % -> 12.0 %`.
fn layout_text(stats: &LayoutStats) -> String {
    let LayoutStats { layout, before, after, .. } = stats;
    let Some(after) = after else { return format!("kept in layout {layout}") };
    let widest = |of: &Clustering| of.ranges.iter().copied().fold(0.0, f64::max) * 100.0;
    let before = before.as_ref().filter(|before| *before != after);
    let change = |of: fn(&Clustering) -> f64| before.map(of).into_iter().chain([of(after)]);
    let depth = change(|of| of.depth).map(|depth| format!("{depth:.1}"));
    let touched = before.map(widest).into_iter().chain([widest(after)]);
    let touched = touched.map(|share| format!("{share:.1} %"));
    let joined = |parts: Vec<String>| parts.join(" → ");
    format!(
        "kept in layout {layout}: depth {}, a range of 1 % of a column touches {} of the fragments",
        joined(depth.collect()),
        joined(touched.collect())
    )
}

/// `a hop touches 9.4 → 5.8 fragments (12.0 MiB → 7.0 MiB) out of a node and 8.8 → 5.7 (…) into it; two hops …`.
fn expansions_text(Expansions { before, after, .. }: &Expansions) -> String {
    let change = |noun: &str, of: fn(&Expansion) -> Touch| {
        let (before, after) = (of(before), of(after));
        format!(
            "{:.1} → {:.1}{noun} ({} → {})",
            before.fragments,
            after.fragments,
            size(before.bytes),
            size(after.bytes)
        )
    };
    format!(
        "following edges, one hop touches {} out of a node and {} into it, two hops {} and {}",
        change(" fragments", |of| of.one_hop_out),
        change("", |of| of.one_hop_in),
        change("", |of| of.two_hops_out),
        change("", |of| of.two_hops_in)
    )
}

/// `2 fragments match --where in part and are left: 4, 7; 10 do not match`. Empty if all match.
fn chosen_text(chosen: &ChosenFragments) -> String {
    let mut parts = Vec::new();
    if !chosen.partial.is_empty() {
        let verb = if chosen.partial.len() == 1 { "matches" } else { "match" };
        let verb = format!(
            "{verb} --where in part and stay{}",
            if chosen.partial.len() == 1 { "s" } else { "" }
        );
        let ids: Vec<String> = chosen.partial.iter().map(ToString::to_string).collect();
        let named = named_commits(ids.iter().map(String::as_str));
        parts.push(format!("{} {verb}: {named}", counted(chosen.partial.len() as u64, "fragment")));
    }
    if chosen.none > 0 {
        let verb = if chosen.none == 1 { "does" } else { "do" };
        parts.push(format!("{} {verb} not match --where", counted(chosen.none, "fragment")));
    }
    parts.join("; ")
}

/// Of a table of which nothing could go there is nothing to tell.
fn tells_anything(pruned: &PrunedStats) -> bool {
    pruned.old_versions_removed > 0 || pruned.files_removed > 0 || pruned.unverified_left > 0
}

fn prune_text(pruned: &PrunedStats) -> String {
    let versions = counted(pruned.old_versions_removed, "old version");
    let mut text = format!("pruned {versions}, {}", size(pruned.bytes_removed));
    if pruned.unverified_left > 0 {
        let files = counted(pruned.unverified_left, "young file");
        text += &format!("; {files} left that nothing refers to");
    }
    text
}

fn table_name(table: &TableOptimizeStats) -> String {
    TableRef { key: table.table_key.clone(), branch: table.branch.clone() }.to_string()
}

fn totals_text(totals: &OptimizeTotals, tables: usize, screen: Screen) -> String {
    let change = |noun: &str, unit: fn(u64) -> String, before, after| {
        if before == after {
            format!("{noun} {}", unit(before))
        } else {
            format!("{noun} {} → {}", unit(before), unit(after))
        }
    };
    let mut parts = vec![
        format!("total {}", counted(tables as u64, "table")),
        counted(totals.rows, "row"),
        change("fragments", count, totals.fragments_before, totals.fragments_after),
        change("files", count, totals.files_before, totals.files_after),
        change("size", size, totals.bytes_before, totals.bytes_after),
        duration(totals.duration_ms),
    ];
    if totals.tables_failed > 0 {
        parts.push(format!("{} failed", count(totals.tables_failed)));
    }
    let text = dotted(&parts, screen.width);
    format!("{}\n", paint(&text, Tone::Strong, screen.colour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_following_edges_touches_is_said_for_both_directions_before_and_after() {
        let touch = |fragments, mib: u64| Touch { fragments, bytes: mib << 20 };
        let before = Expansion {
            one_hop_out: touch(9.4, 94),
            one_hop_in: touch(8.8, 88),
            two_hops_out: touch(50.5, 505),
            two_hops_in: touch(49.4, 494),
        };
        let after = Expansion { one_hop_out: touch(5.75, 57), ..before };
        let text = expansions_text(&Expansions { nodes: 100, before, after });
        assert_eq!(
            text,
            "following edges, one hop touches 9.4 → 5.8 fragments (94.0 MiB → 57.0 MiB) out of a node \
             and 8.8 → 8.8 (88.0 MiB → 88.0 MiB) into it, two hops 50.5 → 50.5 (505 MiB → 505 MiB) \
             and 49.4 → 49.4 (494 MiB → 494 MiB)"
        );
    }
}
