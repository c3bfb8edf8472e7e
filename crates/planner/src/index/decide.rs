//! Which index is worked on, when, and what stands in the way. Not here: what that means for
//! fragments.

use lancekeeper_model::{CarryOver, DeclaredIndex, IndexFacts, IndexKind, IndexMode, PendingIndex};

use super::merges::segments_to_merge;
use super::{IndexAction, IndexInventory, IndexPlan, IndexWish, IndexWork, Upkeep};

/// Decides about the indexes of one table.
#[must_use]
pub fn plan_indexes(inventory: &IndexInventory, wish: &IndexWish) -> IndexPlan {
    let mut plan = IndexPlan::default();
    for index in &inventory.existing {
        let mode = wish.of(&index.name);
        match obstacle(inventory, index, mode) {
            Some(reason) => leave(&mut plan, inventory, index, Some(reason)),
            None if mode == IndexMode::Keep => leave(&mut plan, inventory, index, None),
            None => work_on(&mut plan, inventory, index, mode),
        }
    }
    for declared in &inventory.declared {
        if !inventory.existing.iter().any(|index| is_declared_by(index, declared)) {
            build(&mut plan, inventory, declared, wish);
        }
    }
    plan.before.sort_by(|a, b| a.name.cmp(&b.name));
    plan.after.sort_by(|a, b| a.name.cmp(&b.name));
    plan
}

/// Why an index cannot be worked on, if it is not whole or would be if a caller had its way.
fn obstacle(inventory: &IndexInventory, index: &IndexFacts, mode: IndexMode) -> Option<String> {
    let reason = index.unusable.as_ref().or_else(|| inventory.learned.failed.get(&index.name))?;
    let is_kept_whole = mode == IndexMode::Keep && index.uncovered_rows == 0;
    let is_said =
        !is_kept_whole || index.unusable.is_some() || inventory.learned.lost.contains(&index.name);
    is_said.then(|| reason.clone())
}

/// An index that stays as it is. Fragments are planned around it.
fn leave(
    plan: &mut IndexPlan,
    inventory: &IndexInventory,
    index: &IndexFacts,
    why: Option<String>,
) {
    let cannot_refresh = why.is_some();
    if let Some(reason) = why {
        let reason = format!("index {}: {reason}", index.name);
        plan.pending.push(PendingIndex { column: index.column.clone(), reason });
    }
    match index.carry_over {
        CarryOver::ByRowIds | CarryOver::ByRemap
            if !inventory.learned.lost.contains(&index.name) =>
        {
            plan.apart.insert(index.name.clone());
        }
        CarryOver::ByRefresh if !cannot_refresh => {
            let merge = index.segments.len();
            plan.restore.push(IndexWork::of(index, IndexAction::Refresh { merge }));
        }
        _ => {
            plan.holding.insert(index.name.clone());
        }
    }
}

fn work_on(plan: &mut IndexPlan, inventory: &IndexInventory, index: &IndexFacts, mode: IndexMode) {
    // Until it was made anew it would be lost by a rewrite.
    if index.carry_over == CarryOver::Not {
        plan.holding.insert(index.name.clone());
    }
    let Some(action) = action(inventory, index, mode) else {
        // Whole. If it is of several segments, `fit_to` merges those that stand between
        // fragments.
        if index.carry_over == CarryOver::ByRefresh {
            let merge = index.segments.len();
            plan.restore.push(IndexWork::of(index, IndexAction::Refresh { merge }));
        }
        return;
    };
    plan.rows_to_read = plan.rows_to_read.max(match action {
        IndexAction::Refresh { .. } => index.uncovered_rows,
        IndexAction::Create | IndexAction::Rebuild => inventory.rows,
    });
    let list = match index.carry_over {
        CarryOver::ByRefresh => &mut plan.after,
        CarryOver::ByRowIds | CarryOver::ByRemap | CarryOver::Not => &mut plan.before,
    };
    list.push(IndexWork::of(index, action));
}

/// What has to be done so that an index is whole; `None` when it is.
fn action(inventory: &IndexInventory, index: &IndexFacts, mode: IndexMode) -> Option<IndexAction> {
    let all = index.segments.len();
    if (mode == IndexMode::Rebuild || index.must_be_rebuilt) && inventory.rows > 0 {
        return Some(IndexAction::Rebuild);
    }
    match inventory.upkeep {
        Upkeep::OneSegment => {
            let is_whole = index.uncovered_rows == 0 && all <= 1;
            (!is_whole).then_some(IndexAction::Refresh { merge: all.max(1) })
        }
        Upkeep::Segments => {
            let merge = segments_to_merge(index, &inventory.with_deletions);
            let is_whole = index.uncovered_rows == 0 && merge <= 1;
            (!is_whole).then_some(IndexAction::Refresh { merge })
        }
    }
}

fn is_declared_by(index: &IndexFacts, declared: &DeclaredIndex) -> bool {
    index.column == declared.column && index.kind == declared.kind
}

/// A declared index that does not exist.
fn build(
    plan: &mut IndexPlan,
    inventory: &IndexInventory,
    declared: &DeclaredIndex,
    wish: &IndexWish,
) {
    let name = match declared.kind {
        // Beside an index of the column that has the usual name.
        IndexKind::ZoneMap => format!("{}_zonemap", declared.column),
        // The clients' own naming: they recognise an index by its column.
        _ => format!("{}_idx", declared.column),
    };
    let waits = if inventory.rows == 0 {
        Some("the table is empty")
    } else if inventory.without_vectors.contains(&declared.column) {
        Some("the column holds no vector yet")
    } else if wish.of(&name) == IndexMode::Keep {
        Some("indexes are kept as they are (--index keep)")
    } else {
        inventory.learned.failed.get(&name).map(String::as_str)
    };
    if let Some(reason) = waits {
        let column = declared.column.clone();
        plan.pending.push(PendingIndex { column, reason: reason.to_owned() });
        return;
    }
    plan.rows_to_read = inventory.rows;
    // Zones are places in fragments: a Rewrite would end what it was just built over.
    let list = match declared.kind {
        IndexKind::ZoneMap => &mut plan.after,
        _ => &mut plan.before,
    };
    list.push(IndexWork {
        name,
        column: declared.column.clone(),
        kind: declared.kind,
        action: IndexAction::Create,
        segments: Vec::new(),
    });
}
