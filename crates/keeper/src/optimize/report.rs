//! Rows of the report: before, after, and what stands between them.

use lancekeeper_model::{
    ErrorKind, Recovery, RootKind, RootOptimizeReport, TableBytes, TableOptimizeStats, TableRef,
    WorkLeft,
};
use lancekeeper_store::failure::{full_text, text_with_hint};

use crate::root::facts::Totals;

/// A root about which nothing is known yet.
pub(crate) fn root_report(uri: &str, kind: RootKind) -> RootOptimizeReport {
    RootOptimizeReport {
        uri: uri.to_owned(),
        kind: Some(kind),
        error: None,
        hint: None,
        published: 0,
        recovery: Recovery::default(),
        warnings: Vec::new(),
        tables: Vec::new(),
        error_kind: None,
    }
}

/// A root that failed as a whole.
pub(crate) fn root_failure(
    uri: &str,
    kind: Option<RootKind>,
    error_kind: ErrorKind,
    error: &(dyn std::error::Error + 'static),
    hint: Option<&str>,
) -> RootOptimizeReport {
    let hint = hint.or_else(|| lancekeeper_store::failure::hint_of(error));
    RootOptimizeReport {
        uri: uri.to_owned(),
        kind,
        error: Some(full_text(error)),
        hint: hint.map(ToOwned::to_owned),
        published: 0,
        recovery: Recovery::default(),
        warnings: Vec::new(),
        tables: Vec::new(),
        error_kind: Some(error_kind),
    }
}

/// A row about which nothing is known yet.
pub(crate) fn empty_stats(table: &TableRef) -> TableOptimizeStats {
    TableOptimizeStats {
        table_key: table.key.clone(),
        branch: table.branch.clone(),
        fragments_removed: 0,
        fragments_added: 0,
        committed: false,
        would_commit: false,
        skipped: None,
        manifest_version: None,
        lance_head_version: None,
        pending_indexes: Vec::new(),
        rows_before: 0,
        rows_after: 0,
        fragments_before: 0,
        fragments_after: 0,
        files_before: 0,
        files_after: 0,
        bytes_before: 0,
        bytes_after: 0,
        sizes_before: TableBytes::default(),
        sizes_after: TableBytes::default(),
        duration_ms: 0,
        error: None,
        groups_dropped: 0,
        groups_redone: 0,
        left: WorkLeft::default(),
        reason: String::new(),
        pruned: None,
        error_kind: None,
    }
}

/// Fills in what a table looks like before the run; also after it, until something changes.
pub(crate) fn set_before(stats: &mut TableOptimizeStats, totals: Totals) {
    stats.rows_before = totals.rows;
    stats.fragments_before = totals.fragments;
    stats.files_before = totals.files;
    stats.bytes_before = totals.sizes.total();
    stats.sizes_before = totals.sizes;
    set_after(stats, totals);
}

/// Fills in what a table looks like after the run.
pub(crate) fn set_after(stats: &mut TableOptimizeStats, totals: Totals) {
    stats.rows_after = totals.rows;
    stats.fragments_after = totals.fragments;
    stats.files_after = totals.files;
    stats.bytes_after = totals.sizes.total();
    stats.sizes_after = totals.sizes;
}

/// Notes that a table failed. The first error stays.
pub(crate) fn set_error(
    stats: &mut TableOptimizeStats,
    kind: ErrorKind,
    error: &(dyn std::error::Error + 'static),
) {
    if stats.error.is_none() {
        stats.error = Some(text_with_hint(error));
        stats.error_kind = Some(kind);
        tracing::warn!(target: "lancekeeper::optimize", table = %stats.table_key, branch = %stats.branch,
            error = %full_text(error), "table failed");
    }
}
