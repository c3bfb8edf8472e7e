//! What `status` found, for people.

use std::collections::BTreeSet;

use lancekeeper_model::{
    Clustering, ExitCode, InternalStatus, Obstacle, PendingSidecar, RootStatus, StatusBody,
    StatusReport, TableKey, TableRef, TableStatus,
};

use super::{Notes, named_commits, root_label, statistics};
use crate::output::grid::{Column, Rank, Remark, render};
use crate::output::style::{Tone, dotted, indented, paint};
use crate::output::terminal::Screen;
use crate::output::units::{count, counted, percent, size};
use crate::output::view::View;
use crate::target::without_secrets;

impl View for StatusBody {
    fn attention_code(report: &StatusReport) -> ExitCode {
        report.attention_code()
    }

    fn is_shown(root: &RootStatus) -> bool {
        root.error.is_none() || root.kind.is_some()
    }

    fn root_text(root: &RootStatus, _dry_run: bool, screen: Screen) -> String {
        root_text(root, screen)
    }

    fn warnings(root: &RootStatus) -> &[String] {
        &root.warnings
    }

    fn obstacles(root: &RootStatus) -> &[Obstacle] {
        &root.obstacles
    }
}

fn root_text(root: &RootStatus, screen: Screen) -> String {
    let mut text = heading(root, screen);
    if root.tables.is_empty() {
        if root.error.is_none() {
            text.push_str("  no tables\n");
        }
        return text;
    }
    let remarks: Vec<Remark> = root.tables.iter().map(remark).collect();
    let rendered = render(columns(&root.tables), "would", &remarks, screen);
    let mut notes = Notes::default();
    for &at in &rendered.shortened {
        let table = &root.tables[at];
        notes.add(&table_name(table), &remarks[at].full());
    }
    text.push_str(&rendered.text);
    text.push_str(&notes.render(screen.width));
    text
}

fn heading(root: &RootStatus, screen: Screen) -> String {
    let mut parts = vec![root_label(root.kind, &root.uri)];
    if let Some(schema) = root.internal_schema {
        parts.push(format!("internal schema v{schema}"));
    }
    if let Some(version) = root.manifest_version {
        parts.push(format!("manifest version {version}"));
    }
    let line = dotted(&parts, screen.width);
    let mut text = format!("{}\n", paint(&line, Tone::Strong, screen.colour));
    let mut detail = |tone, line: String| {
        for line in indented(&line, screen.width).lines() {
            text.push_str(&paint(line, tone, screen.colour));
            text.push('\n');
        }
    };
    if !root.branches.is_empty() {
        detail(Tone::Plain, format!("branches: {}", root.branches.join(", ")));
    }
    if !root.stamps.is_empty() {
        let each = root.stamps.iter().map(|of| format!("{} {}", of.branch, of.stamp));
        let each: Vec<String> = each.collect();
        detail(Tone::Warn, format!("stamps: {}", each.join(", ")));
    }
    if let Some(place) = &root.moved_from {
        let place = without_secrets(place);
        detail(Tone::Warn, format!("moved from {place}: its branches still read from there"));
    }
    for sidecar in &root.sidecars {
        detail(Tone::Warn, sidecar_line(sidecar));
    }
    for table in &root.internal {
        detail(Tone::Plain, internal_line(table));
    }
    for line in fork_line(&root.tables).into_iter().chain(room_lines(root)) {
        detail(Tone::Plain, line);
    }
    for table in &root.tables {
        match (&table.clustering, &table.layout) {
            (Some(clustering), _) => detail(Tone::Plain, clustering_line(table, clustering)),
            (None, Some(layout)) => {
                detail(Tone::Plain, format!("{} is kept in layout {layout}", table_name(table)));
            }
            (None, None) => {}
        }
        for line in statistics::lines(&table_name(table), table) {
            detail(Tone::Plain, line);
        }
    }
    text
}

/// What queries on some columns would have to read of a table.
fn clustering_line(table: &TableStatus, clustering: &Clustering) -> String {
    let Clustering { columns, fragments, depth, ranges, boxes, error, .. } = clustering;
    let by = columns.join(", ");
    let name = match &table.layout {
        Some(layout) => format!("{}, kept in layout {layout}, by {by}", table_name(table)),
        None => format!("{} by {by}", table_name(table)),
    };
    if let Some(error) = error {
        return format!("{name}: {error}");
    }
    let share = |share: f64| format!("{:.1} %", share * 100.0);
    let mut parts = vec![format!("depth {depth:.1} of {}", counted(*fragments, "fragment"))];
    let ranges = columns
        .iter()
        .zip(ranges)
        .map(|(column, touched)| format!("{} of {column}", share(*touched)));
    let ranges: Vec<_> = ranges.collect();
    if !ranges.is_empty() {
        parts.push(format!("ranges of 1 % touch {}", ranges.join(", ")));
    }
    if let Some(boxes) = boxes {
        parts.push(format!("boxes of 10 % x 10 % touch {}", share(*boxes)));
    }
    if let Some(file) = &clustering.drawn_to {
        parts.push(format!("drawn to {file}"));
    }
    format!("{name}: {}", parts.join("; "))
}

fn internal_line(table: &InternalStatus) -> String {
    format!(
        "{}: {}, {}, {}",
        table.table_key,
        counted(table.versions, "version"),
        counted(table.fragments, "fragment"),
        size(table.bytes)
    )
}

/// The Lance branches of tables, as far as naming them helps.
fn fork_line(tables: &[TableStatus]) -> Option<String> {
    let forks: BTreeSet<String> = tables
        .iter()
        .flat_map(|table| table.branches.iter().map(|fork| format!("{}@{fork}", table.table_key)))
        .collect();
    let named = forks.iter().map(String::as_str);
    (!forks.is_empty()).then(|| format!("forks: {}", named_commits(named)))
}

/// What a cleanup would free, and what is not known of that.
fn room_lines(root: &RootStatus) -> Vec<String> {
    if let Some(error) = &root.reclaimable_error {
        return vec![format!("what cleanup would free is not known: {error}")];
    }
    let Some(room) = &root.reclaimable else { return Vec::new() };
    let rule = format!("cleanup --keep {}", room.keep_versions);
    let mut lines = Vec::new();
    if room.files > 0 {
        lines.push(format!(
            "{rule} would free {}: {}, {}",
            size(room.bytes),
            counted(room.versions, "version"),
            counted(room.files, "file")
        ));
    } else {
        lines.push(format!("{rule} would free nothing"));
    }
    if !room.orphaned_forks.is_empty() {
        let named = room.orphaned_forks.iter().map(String::as_str);
        lines.push(format!("forks that nothing reads: {}", named_commits(named)));
    }
    if room.unverified_left > 0 {
        lines.push(format!(
            "{} that nothing refers to and that cleanup leaves for now: {}",
            counted(room.unverified_left, "file"),
            size(room.unverified_left_bytes)
        ));
    }
    lines.extend(room.unknown.iter().map(|why| format!("cleanup would leave {why}")));
    lines
}

fn sidecar_line(sidecar: &PendingSidecar) -> String {
    let mut parts = vec![sidecar.file.clone()];
    match (&sidecar.writer_kind, &sidecar.error) {
        (_, Some(error)) => parts.push(format!("unreadable: {error}")),
        (Some(kind), None) => parts.push(kind.clone()),
        (None, None) => {}
    }
    if !sidecar.tables.is_empty() {
        let tables: Vec<&str> = sidecar.tables.iter().map(TableKey::as_str).collect();
        parts.push(tables.join(", "));
    }
    if !sidecar.branch.is_main() {
        parts.push(format!("branch {}", sidecar.branch));
    }
    parts.push(if sidecar.ours { "ours".to_owned() } else { "not ours".to_owned() });
    format!("unfinished: {}", parts.join(" · "))
}

fn columns(tables: &[TableStatus]) -> Vec<Column> {
    // What could not be read has no numbers.
    let numbers = |title, rank, of: fn(&TableStatus) -> String| {
        let cells = tables.iter().map(move |table| match table.error {
            Some(_) => "-".to_owned(),
            None => of(table),
        });
        Column::numbers(title, rank, cells)
    };
    let mut columns = vec![
        Column::text("table", Rank::Always, tables.iter().map(table_name)),
        numbers("version", Rank::Wide, |table| table.version.to_string()),
        numbers("rows", Rank::Always, |table| count(table.rows)),
        numbers("fragments", Rank::Always, |table| count(table.fragments)),
        numbers("files", Rank::Wide, |table| count(table.files)),
        numbers("small", Rank::Usual, |table| count(table.small_fragments)),
        numbers("size", Rank::Always, |table| size(table.bytes)),
        numbers("deleted", Rank::Usual, |table| percent(table.deleted_share)),
        numbers("versions", Rank::Wide, |table| count(table.versions)),
        numbers("unindexed", Rank::Wide, |table| {
            table.unindexed_rows.map_or_else(|| "-".to_owned(), count)
        }),
    ];
    // The parts of the size that are not always there.
    type Part = fn(&TableStatus) -> u64;
    let parts: [(&'static str, Part); 2] =
        [("blobs", |table| table.sizes.blob_bytes), ("indexes", |table| table.sizes.index_bytes)];
    for (title, part) in parts {
        if tables.iter().any(|table| part(table) > 0) {
            let cells = tables.iter().map(move |table| match table.error {
                Some(_) => "-".to_owned(),
                None => size(part(table)),
            });
            columns.push(Column::numbers(title, Rank::Wide, cells));
        }
    }
    if tables.iter().any(|table| table.drift_head.is_some()) {
        let drift = numbers("drift", Rank::Always, |table| {
            table.drift_head.map_or_else(String::new, |head| format!("HEAD {head}"))
        });
        columns.push(drift.toned(|_| Tone::Warn));
    }
    columns
}

/// What `optimize` would do: below the table where there is no room for it.
fn remark(table: &TableStatus) -> Remark {
    match &table.error {
        Some(error) => {
            Remark { short: "error".to_owned(), detail: Some(error.clone()), tone: Tone::Bad }
        }
        None => {
            Remark { short: String::new(), detail: Some(table.would.clone()), tone: Tone::Plain }
        }
    }
}

fn table_name(table: &TableStatus) -> String {
    TableRef { key: table.table_key.clone(), branch: table.branch.clone() }.to_string()
}
