//! Statistics of a table's values, for people.

use lancekeeper_model::{BoundValue, ColumnStatistics, TableStatistics, TableStatus};

use crate::output::units::{count, counted};

/// Leaves that are shown of a table; `--json` has all of them.
const LEAVES_SHOWN: usize = 40;

/// What is kept of a table's values, a line for each leaf.
pub(super) fn lines(name: &str, table: &TableStatus) -> Vec<String> {
    if let Some(error) = &table.statistics_error {
        return vec![format!("statistics of {name}: {error}")];
    }
    let Some(TableStatistics { version, computed_at, rows, columns, .. }) = &table.statistics
    else {
        return Vec::new();
    };
    let now = if *version == table.version.0 {
        String::new()
    } else {
        format!(" (now {})", table.version)
    };
    let when = computed_at.format("%Y-%m-%d %H:%M:%S UTC");
    let mut lines = vec![format!(
        "statistics of {name} at version {version}{now}, computed {when}: {}",
        counted(*rows, "row")
    )];
    lines.extend(columns.iter().take(LEAVES_SHOWN).map(leaf_line));
    let more = columns.len().saturating_sub(LEAVES_SHOWN);
    if more > 0 {
        lines.push(format!("  and {} more", count(more as u64)));
    }
    lines
}

fn leaf_line(leaf: &ColumnStatistics) -> String {
    let name = format!("  {} ({})", leaf.path, leaf.data_type);
    if let Some(why) = &leaf.left_out {
        return format!("{name}: {why}");
    }
    let mut parts = Vec::new();
    if let Some(nulls) = leaf.nulls {
        parts.push(format!("{} null of {}", count(nulls), count(leaf.values)));
    }
    if let Some(nans) = leaf.nans.filter(|nans| *nans > 0) {
        parts.push(format!("{} NaN", count(nans)));
    }
    if let (Some(min), Some(max)) = (&leaf.min, &leaf.max) {
        parts.push(format!("{} to {}", said(min), said(max)));
    }
    if let Some(distinct) = leaf.distinct {
        parts.push(format!("about {} distinct", count(distinct)));
    }
    if let Some(width) = leaf.mean_width {
        parts.push(format!("{width:.1} wide"));
    }
    format!("{name}: {}", parts.join(", "))
}

fn said(bound: &BoundValue) -> String {
    format!("{:?}{}", bound.value, if bound.truncated { "…" } else { "" })
}
