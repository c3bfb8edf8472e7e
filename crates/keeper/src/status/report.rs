//! Rows of `status`.

use lancekeeper_manifest::FoundSidecar;
use lancekeeper_model::{
    Branch, ErrorKind, Obstacle, PendingSidecar, RootKind, RootStatus, TableBytes,
    TableOptimizeStats, TableStatus, Version,
};
use lancekeeper_store::failure::{full_text, hint_of};

use crate::root::facts::TableView;
use crate::root::{OpenRootError, ReadRoot};

/// A root that could not be read.
pub(crate) fn failure(
    uri: &str,
    kind: Option<RootKind>,
    error_kind: ErrorKind,
    error: &(dyn std::error::Error + 'static),
    hint: Option<&str>,
) -> RootStatus {
    let hint = hint.or_else(|| hint_of(error));
    RootStatus {
        uri: uri.to_owned(),
        kind,
        error: Some(full_text(error)),
        hint: hint.map(ToOwned::to_owned),
        internal_schema: None,
        manifest_version: None,
        branches: Vec::new(),
        sidecars: Vec::new(),
        moved_from: None,
        obstacles: Vec::new(),
        internal: Vec::new(),
        reclaimable: None,
        reclaimable_error: None,
        warnings: Vec::new(),
        tables: Vec::new(),
        error_kind: Some(error_kind),
    }
}

/// A root that was read; its tables follow.
pub(crate) fn root(uri: &str, read: &ReadRoot) -> RootStatus {
    let graph = read.graph.as_ref();
    let mut warnings = read.members.warnings.clone();
    if read.spellings.here.len() > 1 {
        let spellings: Vec<&str> = read.spellings.here.iter().map(String::as_str).collect();
        warnings.push(format!(
            "branches refer to this root by several spellings ({}): nothing will be deleted here",
            spellings.join(", ")
        ));
    }
    RootStatus {
        uri: uri.to_owned(),
        kind: Some(read.root.kind),
        error: None,
        hint: None,
        internal_schema: graph.map(|graph| graph.graph.schema().number()),
        manifest_version: graph.map(|graph| graph.snapshot.manifest_version),
        branches: graph
            .map(|graph| graph.branches.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        sidecars: graph.map(|graph| graph.found.iter().map(pending).collect()).unwrap_or_default(),
        moved_from: read.spellings.elsewhere.first().cloned(),
        obstacles: Vec::new(),
        internal: Vec::new(),
        reclaimable: None,
        reclaimable_error: None,
        warnings,
        tables: Vec::new(),
        error_kind: None,
    }
}

fn pending(found: &FoundSidecar) -> PendingSidecar {
    let content = found.content.as_ref();
    PendingSidecar {
        file: found.path(),
        writer_kind: content.ok().map(|sidecar| sidecar.writer_kind.clone()),
        tables: found.tables().into_iter().map(|table| table.key).collect(),
        branch: Branch::from(content.ok().and_then(|sidecar| sidecar.branch.clone())),
        ours: found.our_operation().is_some(),
        error: content.err().cloned(),
    }
}

/// A row before its table was read in full.
pub(crate) fn table(stats: &TableOptimizeStats, has_plan: bool) -> TableStatus {
    TableStatus {
        table_key: stats.table_key.clone(),
        branch: stats.branch.clone(),
        version: Version::default(),
        rows: 0,
        fragments: 0,
        files: 0,
        small_fragments: 0,
        bytes: 0,
        sizes: TableBytes::default(),
        deleted_share: 0.0,
        versions: 0,
        unindexed_rows: None,
        drift_head: None,
        branches: Vec::new(),
        would: match (has_plan, stats.skipped) {
            (true, _) => format!("rewrite: {}", stats.reason),
            (false, Some(skipped)) => format!("skip: {skipped} ({})", stats.reason),
            (false, None) if stats.error.is_some() => String::new(),
            (false, None) => format!("nothing: {}", stats.reason),
        },
        error: stats.error.clone(),
    }
}

/// Fills in the version readers see.
pub(crate) fn fill(status: &mut TableStatus, seen: &TableView, version: Version) {
    let totals = seen.totals;
    status.version = version;
    status.rows = totals.rows;
    status.fragments = totals.fragments;
    status.files = totals.files;
    status.bytes = totals.sizes.total();
    status.sizes = totals.sizes;
    status.small_fragments = seen.small_fragments;
    status.unindexed_rows = seen.unindexed_rows;
    let physical = totals.rows + totals.deleted;
    status.deleted_share =
        if physical == 0 { 0.0 } else { totals.deleted as f64 / physical as f64 };
}

/// What stands in the way of verbs that write.
pub(crate) fn obstacle(error: &OpenRootError) -> Obstacle {
    Obstacle {
        message: full_text(error),
        hint: error.hint().or_else(|| hint_of(error)).map(ToOwned::to_owned),
        kind: error.kind(),
    }
}
