//! Rows of `status`.

use lancekeeper_manifest::FoundSidecar;
use lancekeeper_model::{
    Branch, BranchStamp, Obstacle, PendingSidecar, PlannedRewrite, RootStatus,
    SMALL_FRAGMENT_BYTES, TableOptimizeStats, TableRef, TableStatus, Version,
};
use lancekeeper_planner::optimize::Group;
use lancekeeper_store::failure::{full_text, hint_of};

use crate::root::facts::TableView;
use crate::root::{OpenRootError, ReadRoot, Way};

/// Says what a root is and what stands in the way of verbs that write; its tables follow.
pub(super) fn describe(status: &mut RootStatus, read: &ReadRoot, way: &Way) {
    status.warnings.extend(read.members.warnings.iter().cloned());
    if read.spellings.here.len() > 1 {
        let spellings: Vec<&str> = read.spellings.here.iter().map(String::as_str).collect();
        status.warnings.push(format!(
            "branches refer to this root by several spellings ({}): nothing will be deleted here",
            spellings.join(", ")
        ));
    }
    if let Some(graph) = &read.graph {
        status.internal_schema = graph.graph.stamp().number();
        let is_plain =
            |of: &BranchStamp| of.stamp.known().is_some() && of.stamp == *graph.graph.stamp();
        if !way.stamps.iter().all(is_plain) {
            status.stamps.clone_from(&way.stamps);
        }
        status.warnings.extend(way.notice());
        status.manifest_version = Some(graph.snapshot.manifest_version);
        status.branches = graph.branches.iter().map(ToString::to_string).collect();
        status.sidecars = graph.found.iter().map(pending).collect();
    }
    status.moved_from = read.spellings.elsewhere.first().cloned();
    status.obstacles = way.obstacles.iter().map(obstacle).collect();
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
pub(super) fn table(stats: &TableOptimizeStats, has_plan: bool) -> TableStatus {
    let (key, branch) = (stats.table_key.clone(), stats.branch.clone());
    let mut row = TableStatus::of(&TableRef { key, branch });
    row.would = match (has_plan, stats.skipped) {
        (true, _) => format!("rewrite: {}", stats.reason),
        (false, Some(skipped)) => format!("skip: {} ({})", skipped.as_str(), stats.reason),
        (false, None) if stats.error.is_some() => String::new(),
        (false, None) => format!("nothing: {}", stats.reason),
    };
    if let Some(layout) = &stats.layout {
        row.layout = Some(layout.layout.clone());
        row.clustering.clone_from(&layout.after);
        row.depth_at_most = layout.depth_at_most;
    }
    row.error.clone_from(&stats.error);
    row
}

/// What these groups would rewrite, in numbers.
pub(super) fn planned(groups: &[Group]) -> PlannedRewrite {
    PlannedRewrite {
        fragments_removed: groups.iter().map(|group| group.fragments.len() as u64).sum(),
        fragments_added: groups.iter().map(|group| group.outputs.len() as u64).sum(),
        bytes: groups.iter().map(|group| group.bytes).sum(),
    }
}

/// Fills in the version readers see.
pub(super) fn fill(status: &mut TableStatus, seen: &TableView, version: Version, small_bytes: u64) {
    let totals = seen.totals;
    status.version = version;
    status.rows = totals.rows;
    status.fragments = totals.fragments;
    status.files = totals.files;
    status.bytes = totals.sizes.total();
    status.sizes = totals.sizes;
    let small = || seen.facts.fragments.iter().filter(|each| each.bytes < small_bytes);
    status.small_fragments = match small_bytes {
        SMALL_FRAGMENT_BYTES => seen.small_fragments,
        _ => small().count() as u64,
    };
    status.small_bytes = small().map(|each| each.bytes).sum();
    status.unindexed_rows = seen.unindexed_rows;
    let physical = totals.rows + totals.deleted;
    status.deleted_share =
        if physical == 0 { 0.0 } else { totals.deleted as f64 / physical as f64 };
}

/// What stands in the way of verbs that write.
fn obstacle(error: &OpenRootError) -> Obstacle {
    Obstacle {
        message: full_text(error),
        hint: error.hint().or_else(|| hint_of(error)).map(ToOwned::to_owned),
        kind: error.kind(),
    }
}
