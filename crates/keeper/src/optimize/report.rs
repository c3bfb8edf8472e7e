//! Rows of the report: before, after, and what stands between them.

use lancekeeper_model::{ErrorKind, TableOptimizeStats};
use lancekeeper_store::failure::text_with_hint;

use crate::root::facts::Totals;

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
    }
}

/// Says that a table failed, if it did, for whoever reads logs. Only once nothing more is done to
/// it: of a table that somebody drops meanwhile the error is taken back.
pub(crate) fn tell(stats: &TableOptimizeStats) {
    if let Some(error) = &stats.error {
        tracing::warn!(target: "lancekeeper::optimize", table = %stats.table_key, branch = %stats.branch,
            %error, "table failed");
    }
}
