//! What is decided about indexes, case by case.

use std::collections::{BTreeMap, BTreeSet};

use lancekeeper_model::{
    CarryOver, DeclaredIndex, FragmentFacts, IndexFacts, IndexKind, IndexMode, SegmentFacts,
};

use super::*;

/// Rows of every fragment of these tables.
const ROWS: u64 = 10;

fn index(column: &str, carry_over: CarryOver, segments: &[&[u64]], uncovered: u64) -> IndexFacts {
    let segment = |(at, fragments): (usize, &&[u64])| SegmentFacts {
        id: format!("{column}-{at}"),
        fragments: fragments.to_vec(),
        rows: fragments.len() as u64 * ROWS,
    };
    IndexFacts {
        name: format!("{column}_idx"),
        column: column.to_owned(),
        kind: IndexKind::BTree,
        segments: segments.iter().enumerate().map(segment).collect(),
        uncovered_rows: uncovered * ROWS,
        carry_over,
        can_append: true,
        must_be_rebuilt: false,
        unusable: None,
    }
}

/// A table of a database with one index.
fn with(index: IndexFacts) -> IndexInventory {
    IndexInventory {
        rows: 1000,
        existing: vec![index],
        upkeep: Upkeep::Segments,
        ..IndexInventory::default()
    }
}

fn wish(mode: IndexMode) -> IndexWish {
    IndexWish { mode, names: Vec::new() }
}

/// The plan when these groups are rewritten.
fn fitted(inventory: &IndexInventory, mode: IndexMode, groups: &[&[u64]]) -> IndexPlan {
    let mut plan = plan_indexes(inventory, &wish(mode));
    plan.fit_to(groups.iter().copied(), inventory);
    plan
}

fn said(work: &[IndexWork]) -> Vec<(&str, IndexAction)> {
    work.iter().map(|work| (work.name.as_str(), work.action)).collect()
}

const fn refresh(merge: usize) -> IndexAction {
    IndexAction::Refresh { merge }
}

/// A graph whose schema declares indexes.
fn graph() -> IndexInventory {
    let mut name = index("name", CarryOver::ByRowIds, &[&[0]], 1);
    name.kind = IndexKind::FullText;
    let declared = |column: &str, kind| DeclaredIndex { column: column.to_owned(), kind };
    IndexInventory {
        rows: 100,
        existing: vec![
            index("id", CarryOver::ByRowIds, &[&[0, 1]], 0),
            name,
            index("age", CarryOver::ByRowIds, &[&[0], &[1]], 0),
        ],
        declared: vec![
            declared("id", IndexKind::BTree),
            declared("city", IndexKind::FullText),
            declared("emb", IndexKind::Vector),
        ],
        without_vectors: vec!["emb".to_owned()],
        ..IndexInventory::default()
    }
}

#[test]
fn in_graphs_refresh_makes_one_segment_and_builds_what_is_declared() {
    let plan = fitted(&graph(), IndexMode::Refresh, &[]);
    let expected =
        [("age_idx", refresh(2)), ("city_idx", IndexAction::Create), ("name_idx", refresh(1))];
    assert_eq!(said(&plan.before), expected);
    assert_eq!(plan.before[0].segments, ["age-0", "age-1"]);
    assert_eq!(plan.pending.len(), 1);
    assert_eq!(plan.pending[0].column, "emb");
    assert_eq!(plan.reason(), "build 1 index, refresh 2 indexes");
}

#[test]
fn in_graphs_an_index_of_another_form_is_made_anew_though_it_covers_everything() {
    let mut foreign = index("id", CarryOver::ByRemap, &[&[0, 1]], 0);
    foreign.must_be_rebuilt = true;
    let inventory = IndexInventory { rows: 20, existing: vec![foreign], ..graph() };
    let plan = plan_indexes(&inventory, &wish(IndexMode::Refresh));
    assert!(plan.before.iter().any(|work| work.name == "id_idx"));
}

#[test]
fn keep_touches_nothing_and_still_says_what_is_missing() {
    let plan = fitted(&graph(), IndexMode::Keep, &[]);
    assert!(plan.is_nothing());
    let columns: Vec<_> = plan.pending.iter().map(|p| p.column.as_str()).collect();
    assert_eq!(columns, ["city", "emb"]);
    assert!(plan.reason().is_empty());
}

#[test]
fn rebuild_trains_everything_that_exists_or_only_what_is_named() {
    let rebuilt = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let plan = plan_indexes(&graph(), &IndexWish { mode: IndexMode::Rebuild, names });
        plan.before.iter().filter(|work| work.action == IndexAction::Rebuild).count()
    };
    assert_eq!(rebuilt(&[]), 3);
    assert_eq!(rebuilt(&["id_idx"]), 1);
}

#[test]
fn refreshes_read_the_rows_that_are_not_covered_and_builds_read_all() {
    let refresh = IndexInventory { declared: Vec::new(), ..graph() };
    let bytes = |inventory: &IndexInventory, mode| {
        plan_indexes(inventory, &wish(mode)).bytes_to_read(inventory.rows, 1000)
    };
    assert_eq!(bytes(&refresh, IndexMode::Refresh), 100);
    assert_eq!(bytes(&refresh, IndexMode::Rebuild), 1000);
    assert_eq!(bytes(&refresh, IndexMode::Keep), 0);
    assert_eq!(bytes(&graph(), IndexMode::Refresh), 1000, "one is built");
    assert_eq!(bytes(&IndexInventory::default(), IndexMode::Rebuild), 0);
    let plan = IndexPlan { rows_to_read: u64::MAX, ..IndexPlan::default() };
    assert_eq!(plan.bytes_to_read(3, u64::MAX), u64::MAX);
}

#[test]
fn an_empty_table_is_never_work() {
    let empty = IndexInventory {
        rows: 0,
        existing: vec![index("id", CarryOver::ByRowIds, &[&[]], 0)],
        ..graph()
    };
    for mode in [IndexMode::Keep, IndexMode::Refresh, IndexMode::Rebuild] {
        let plan = fitted(&empty, mode, &[]);
        assert!(plan.is_nothing(), "{mode:?}: {plan:?}");
        assert_eq!(plan.pending.len(), 2, "{mode:?}");
    }
}

#[test]
fn a_few_new_rows_become_a_segment_of_their_own_and_many_are_merged() {
    let big: Vec<u64> = (0..40).collect();
    let plan = |segments: &[&[u64]], uncovered| {
        let index = index("id", CarryOver::ByRemap, segments, uncovered);
        said(&fitted(&with(index), IndexMode::Refresh, &[]).before)
            .first()
            .map(|(_, action)| *action)
    };
    assert_eq!(plan(&[&big], 1), Some(refresh(0)));
    assert_eq!(plan(&[&big], 11), Some(refresh(1)), "no longer small beside it");
    assert_eq!(plan(&[&big, &[40]], 1), Some(refresh(1)), "the small ones become one");
    assert_eq!(plan(&[&big], 0), None);
    assert_eq!(plan(&[&big, &[40]], 0), None, "two segments that cover everything are whole");
    assert_eq!(plan(&[&[40], &[41]], 0), Some(refresh(2)));
    let many: Vec<Vec<u64>> = (0..10).map(|at| vec![at]).collect();
    let many: Vec<&[u64]> = many.iter().map(Vec::as_slice).collect();
    let behind: Vec<&[u64]> = many.into_iter().chain([&big[..]]).collect();
    assert_eq!(plan(&behind, 0), Some(refresh(11)), "too many to ask, though the newest is large");
}

#[test]
fn the_number_of_segments_grows_with_the_logarithm_of_what_was_appended() {
    let mut segments: Vec<u64> = Vec::new();
    let mut written = 0;
    for _ in 0..10_000 {
        let facts = IndexFacts {
            segments: segments
                .iter()
                .map(|rows| SegmentFacts { id: String::new(), fragments: Vec::new(), rows: *rows })
                .collect(),
            ..index("id", CarryOver::ByRemap, &[], 1)
        };
        let merge = merges::segments_to_merge(&facts, &BTreeSet::new());
        let merged: u64 = segments.drain(segments.len() - merge..).sum::<u64>() + ROWS;
        written += merged;
        segments.push(merged);
    }
    assert!(segments.len() <= 7, "{segments:?}");
    assert!(written < 10_000 * ROWS * 20, "each row was written {} times", written / 10_000 / ROWS);
}

#[test]
fn an_updated_row_of_an_index_over_row_ids_makes_it_merge() {
    let big: Vec<u64> = (0..40).collect();
    let stale = |carry_over| {
        let inventory = IndexInventory {
            with_deletions: BTreeSet::from([3]),
            ..with(index("id", carry_over, &[&big], 1))
        };
        fitted(&inventory, IndexMode::Refresh, &[]).before[0].action
    };
    assert_eq!(stale(CarryOver::ByRowIds), refresh(1));
    assert_eq!(stale(CarryOver::ByRemap), refresh(0));
}

#[test]
fn segments_that_stand_between_fragments_of_a_group_become_one() {
    let big: Vec<u64> = (0..40).collect();
    let three = || with(index("id", CarryOver::ByRemap, &[&big, &[40, 41], &[42]], 1));
    let merged =
        |groups: &[&[u64]]| said(&fitted(&three(), IndexMode::Refresh, groups).before)[0].1;
    assert_eq!(merged(&[&[42, 43]]), refresh(2), "by size alone");
    assert_eq!(merged(&[&[39, 43]]), refresh(3));
    assert_eq!(merged(&[&[1, 2], &[40, 41]]), refresh(2), "no group is divided");
    // Nothing is uncovered: it is work only because of the group.
    let whole = with(index("id", CarryOver::ByRemap, &[&big, &[40]], 0));
    assert_eq!(said(&fitted(&whole, IndexMode::Refresh, &[&[39, 40]]).before)[0].1, refresh(2));
    assert!(fitted(&whole, IndexMode::Refresh, &[&[1, 2]]).is_nothing());
    assert!(fitted(&whole, IndexMode::Keep, &[&[39, 40]]).is_nothing());
}

#[test]
fn what_a_rewrite_would_undo_is_done_after_it_and_given_back_even_where_indexes_are_kept() {
    let zones = || with(index("id", CarryOver::ByRefresh, &[&[0, 1]], 1));
    let plan = fitted(&zones(), IndexMode::Refresh, &[&[0, 1]]);
    assert!(plan.before.is_empty());
    assert_eq!(said(&plan.after).len(), 1);
    let alone = fitted(&zones(), IndexMode::Refresh, &[]);
    assert_eq!((alone.before.len(), alone.after.len()), (1, 0), "there is no rewrite to wait for");
    let kept = fitted(&zones(), IndexMode::Keep, &[&[0, 1]]);
    assert_eq!(kept.after.len(), 1, "a rewrite takes away what it covered");
    assert!(fitted(&zones(), IndexMode::Keep, &[&[5, 6]]).is_nothing());
    assert!(fitted(&zones(), IndexMode::Keep, &[]).is_nothing());
    let whole = with(index("id", CarryOver::ByRefresh, &[&[0, 1]], 0));
    assert_eq!(fitted(&whole, IndexMode::Refresh, &[&[0, 1]]).after.len(), 1);
    assert!(fitted(&whole, IndexMode::Refresh, &[]).is_nothing());
}

fn fragments() -> Vec<FragmentFacts> {
    let fragment = |id| FragmentFacts {
        id,
        physical_rows: ROWS,
        deleted_rows: 0,
        bytes: 1,
        files: 1,
        coverage: 0,
        held: false,
    };
    (0..4).map(fragment).collect()
}

/// By fragment: its coverage, and whether it is held.
fn marks(inventory: &IndexInventory, mode: IndexMode) -> Vec<(u32, bool)> {
    let plan = plan_indexes(inventory, &wish(mode));
    let mut fragments = fragments();
    mark_fragments(&mut fragments, &inventory.existing, &plan);
    fragments.iter().map(|fragment| (fragment.coverage, fragment.held)).collect()
}

#[test]
fn an_index_that_cannot_be_worked_on_is_pending_and_its_table_is_planned_around_it() {
    for (carry_over, unusable, failed, expected) in [
        // Lance can write it anew though it cannot be refreshed.
        (CarryOver::ByRemap, false, true, [(0, false), (0, false), (1, false), (1, false)]),
        (CarryOver::ByRowIds, false, true, [(0, false), (0, false), (1, false), (1, false)]),
        (CarryOver::ByRowIds, true, false, [(0, false), (0, false), (1, false), (1, false)]),
        (CarryOver::ByRefresh, false, true, [(0, true), (0, true), (0, false), (0, false)]),
        (CarryOver::ByRefresh, true, false, [(0, true), (0, true), (0, false), (0, false)]),
        (CarryOver::Not, true, false, [(0, true), (0, true), (0, false), (0, false)]),
    ] {
        let mut index = index("text", carry_over, &[&[0, 1]], 2);
        index.unusable = unusable.then(|| "its tokenizer is not there".to_owned());
        let mut inventory = with(index);
        if failed {
            let failed = BTreeMap::from([("text_idx".to_owned(), "it broke".to_owned())]);
            inventory.learned = Learned { failed, lost: BTreeSet::new() };
        }
        let plan = fitted(&inventory, IndexMode::Refresh, &[&[2, 3]]);
        assert!(plan.is_nothing(), "{carry_over:?}: {plan:?}");
        assert_eq!(plan.pending.len(), 1, "{carry_over:?}");
        assert!(plan.pending[0].reason.starts_with("index text_idx: it"), "{:?}", plan.pending);
        assert_eq!(marks(&inventory, IndexMode::Refresh), expected, "{carry_over:?}");
    }
}

#[test]
fn what_an_index_covers_stays_when_lance_turns_out_to_leave_it_behind() {
    let mut inventory = with(index("text", CarryOver::ByRemap, &[&[0, 1]], 0));
    let failed = BTreeMap::from([("text_idx".to_owned(), "it is left out".to_owned())]);
    inventory.learned = Learned { failed, lost: BTreeSet::from(["text_idx".to_owned()]) };
    let held = [(0, true), (0, true), (0, false), (0, false)];
    for mode in [IndexMode::Refresh, IndexMode::Keep] {
        assert_eq!(marks(&inventory, mode), held);
        assert_eq!(plan_indexes(&inventory, &wish(mode)).pending.len(), 1, "{mode:?}");
    }
}

#[test]
fn an_index_that_will_cover_everything_tells_no_fragments_apart_and_a_kept_one_does() {
    let inventory = with(index("id", CarryOver::ByRemap, &[&[0, 1]], 2));
    assert_eq!(marks(&inventory, IndexMode::Refresh), [(0, false); 4]);
    let apart = [(0, false), (0, false), (1, false), (1, false)];
    assert_eq!(marks(&inventory, IndexMode::Keep), apart);
    let others = IndexWish { mode: IndexMode::Refresh, names: vec!["other".to_owned()] };
    let plan = plan_indexes(&inventory, &others);
    let mut fragments = fragments();
    mark_fragments(&mut fragments, &inventory.existing, &plan);
    assert_ne!(fragments[0].coverage, fragments[2].coverage, "it is not named, so it is kept");
}

#[test]
fn an_index_that_nothing_can_carry_over_is_refreshed_first_and_holds_its_fragments_until_then() {
    let inventory = with(index("id", CarryOver::Not, &[&[0, 1]], 2));
    let plan = fitted(&inventory, IndexMode::Refresh, &[&[2, 3]]);
    assert_eq!(plan.before.len(), 1);
    let held = [(0, true), (0, true), (0, false), (0, false)];
    assert_eq!(marks(&inventory, IndexMode::Refresh), held);
}
