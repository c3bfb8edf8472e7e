//! Plans of tables written down as text.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use lancekeeper_model::{FragmentFacts, OptimizeOptions, TableFacts, TableKey, TableRef, Version};

use super::*;

/// Plans the table that `input` describes and prints the plan.
///
/// A line with `rows` is one fragment, or with `N x` in front N equal ones:
/// `[N x] ROWS[-DELETED] rows SIZE [cov N] [files N]`, ids counted from 0. The other lines
/// are settings: `target ROWS rows SIZE`, `threshold SHARE`, `at least N`, `columns N`,
/// `blobs`, `unchosen ID ...`, `pin N head N [ours]`, `head N`, `sidecar FILE KIND`.
fn check(input: &str) -> String {
    let mut options = OptimizeOptions::default();
    let mut inventory = inventory(Vec::new());
    for line in input.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["target", rows, "rows", bytes] => {
                options.target_rows = number(rows);
                options.target_bytes = parse_size(bytes);
            }
            ["threshold", share] => options.deletion_threshold = share.parse().expect("a share"),
            ["at", "least", fragments] => options.min_fragments = Some(number(fragments)),
            ["columns", columns] => {
                inventory.facts.columns = columns.parse().expect("a number of columns");
            }
            ["unchosen", ids @ ..] => {
                inventory.facts.unchosen.extend(ids.iter().map(|id| number(id)));
            }
            ["blobs"] => inventory.facts.can_copy_pages = false,
            ["head", head] => at(&mut inventory, Authority::Head { head: Version(number(head)) }),
            ["pin", pin, "head", head, ours @ ..] => {
                let (pin, head) = (Version(number(pin)), Version(number(head)));
                at(&mut inventory, Authority::Pinned { pin, head });
                inventory.ahead_is_ours = ours == ["ours"];
            }
            ["sidecar", file, kind] => {
                inventory.sidecar =
                    Some(SidecarClaim { file: (*file).into(), writer_kind: (*kind).into() });
            }
            words => parse_fragments(words, &mut inventory.facts.fragments),
        }
    }
    let policy = LayoutPolicy::from_options(&options, DateTime::UNIX_EPOCH).expect("good options");
    planned(&inventory, &policy).to_string()
}

/// Plans, and insists that the plan has no findings.
pub(super) fn planned(inventory: &TableInventory, policy: &LayoutPolicy) -> TablePlan {
    let plan = plan_table(inventory, policy);
    if let TablePlan::Rewrite(rewrite) = &plan {
        assert_eq!(rewrite.lint(&inventory.facts), Vec::<String>::new(), "{plan}");
    }
    plan
}

/// A table in a database at version 1, with 5 columns.
pub(super) fn inventory(fragments: Vec<FragmentFacts>) -> TableInventory {
    TableInventory {
        facts: TableFacts {
            table: TableRef::on_main(TableKey::new("docs")),
            version: Version(1),
            columns: 5,
            can_copy_pages: true,
            fragments,
            shared_fragments: 0,
            unchosen: BTreeSet::new(),
            pages: BTreeMap::new(),
            of_other_versions: BTreeSet::new(),
        },
        authority: Authority::Head { head: Version(1) },
        sidecar: None,
        ahead_is_ours: false,
    }
}

fn at(inventory: &mut TableInventory, authority: Authority) {
    let (Authority::Pinned { head, .. } | Authority::Head { head }) = authority;
    inventory.authority = authority;
    inventory.facts.version = head;
}

pub(super) fn parse_fragments(words: &[&str], fragments: &mut Vec<FragmentFacts>) {
    let (count, words) = match words {
        [count, "x", rest @ ..] => (number(count), rest),
        rest => (1, rest),
    };
    let [rows, "rows", bytes, extras @ ..] = words else {
        panic!("not a fragment: {words:?}");
    };
    let (physical, deleted) = rows.split_once('-').unwrap_or((rows, "0"));
    for _ in 0..count {
        let mut fragment = FragmentFacts {
            id: fragments.len() as u64,
            physical_rows: number(physical),
            deleted_rows: number(deleted),
            bytes: parse_size(bytes),
            files: 1,
            coverage: 0,
            held: false,
        };
        for extra in extras.chunks(2) {
            match extra {
                ["files", files] => fragment.files = number(files),
                ["cov", coverage] => fragment.coverage = coverage.parse().expect("a coverage"),
                ["held", index] => fragment.held = !index.is_empty(),
                other => panic!("not about a fragment: {other:?}"),
            }
        }
        fragments.push(fragment);
    }
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("not a number: {word}"))
}

fn parse_size(word: &str) -> u64 {
    for (unit, bytes) in [("KiB", 1 << 10), ("MiB", 1 << 20), ("MB", 1_000_000), ("B", 1)] {
        if let Some(count) = word.strip_suffix(unit) {
            return number(count) * bytes;
        }
    }
    panic!("not a size: {word}");
}

#[test]
fn ten_fragments_of_100_mb_become_two() {
    insta::assert_snapshot!(check("10 x 150000 rows 100MB"), @r"
        rewrite at version 1: merge 10 fragments into 2
          merge 0-4: 750000 rows, 476.8 MiB to read, copying pages
          merge 5-9: 750000 rows, 476.8 MiB to read, copying pages
    ");
}

#[test]
fn two_thousand_tiny_fragments_are_re_encoded() {
    insta::assert_snapshot!(check("2000 x 500 rows 300KiB"), @r"
        rewrite at version 1: merge 2000 fragments into 2
          merge 0-1746: 873500 rows, 511.8 MiB to read, re-encoding 8192 rows at a time
          merge 1747-1999: 126500 rows, 74.1 MiB to read, re-encoding 8192 rows at a time
    ");
}

#[test]
fn an_empty_table_is_left_alone() {
    insta::assert_snapshot!(check("pin 4 head 4"), @"nothing: the table is empty");
}

#[test]
fn one_clean_fragment_is_left_alone() {
    insta::assert_snapshot!(
        check("1000 rows 1MB"),
        @"nothing: one fragment"
    );
}

#[test]
fn neighbours_that_do_not_fit_are_left_alone() {
    insta::assert_snapshot!(
        check("3 x 600000 rows 300MiB"),
        @"nothing: 3 fragments, no two neighbours fit into one"
    );
}

#[test]
fn a_group_may_reach_both_targets_exactly() {
    insta::assert_snapshot!(
        check("target 100 rows 1000B \n 2 x 50 rows 500B \n 2 x 50 rows 10B \n 50 rows 10B"),
        @r"
        rewrite at version 1: merge 4 fragments into 2
          merge 0-1: 100 rows, 1000 B to read, re-encoding 8192 rows at a time
          merge 2-3: 100 rows, 20 B to read, re-encoding 8192 rows at a time
    "
    );
}

#[test]
fn one_row_or_one_byte_too_many_keeps_neighbours_apart() {
    insta::assert_snapshot!(
        check("target 100 rows 1000B \n 50 rows 1B \n 51 rows 1B"),
        @"nothing: 2 fragments, no two neighbours fit into one"
    );
    insta::assert_snapshot!(
        check("target 100 rows 1000B \n 5 rows 500B \n 5 rows 501B"),
        @"nothing: 2 fragments, no two neighbours fit into one"
    );
}

#[test]
fn fragments_that_reach_a_target_are_never_merged() {
    insta::assert_snapshot!(
        check("target 100 rows 1000B \n 1 rows 0B \n 100 rows 10B \n 1 rows 1000B"),
        @"nothing: 3 fragments, 2 of them full, no two neighbours fit into one"
    );
}

#[test]
fn full_fragments_are_no_obstacle() {
    insta::assert_snapshot!(
        check("target 100 rows 1000B \n 2 x 30 rows 9B \n 100 rows 9B \n 2 x 20 rows 9B"),
        @r"
        rewrite at version 1: merge 4 fragments into 1
          merge 0-1, 3-4: 100 rows, 36 B to read, re-encoding 8192 rows at a time
    "
    );
}

#[test]
fn an_output_is_merged_with_what_it_comes_to_stand_beside() {
    insta::assert_snapshot!(
        check("target 100 rows 1000B \n 2 x 20 rows 9B \n 90 rows 9B \n 2 x 30 rows 9B"),
        @r"
        rewrite at version 1: merge 4 fragments into 1
          merge 0-1, 3-4: 100 rows, 36 B to read, re-encoding 8192 rows at a time
    "
    );
    insta::assert_snapshot!(
        check("target 100 rows 1000B \n 60-20 rows 9B \n 90 rows 9B \n 60-20 rows 9B"),
        @r"
        rewrite at version 1: merge 2 fragments into 1
          merge 0, 2: 80 rows, 18 B to read, re-encoding 8192 rows at a time
    "
    );
}

/// Each merge makes neighbours of two fragments that were apart before.
#[test]
fn merges_that_wait_for_one_another_are_one_plan() {
    insta::assert_snapshot!(
        check("target 10 rows 10B \n 4 x 8 rows 2B \n 2 x 5 rows 5B \n 4 x 2 rows 8B"),
        @r"
        rewrite at version 1: merge 10 fragments into 5
          merge 4-5: 10 rows, 10 B to read, re-encoding 8192 rows at a time
          merge 3, 6: 10 rows, 10 B to read, re-encoding 8192 rows at a time
          merge 2, 7: 10 rows, 10 B to read, re-encoding 8192 rows at a time
          merge 1, 8: 10 rows, 10 B to read, re-encoding 8192 rows at a time
          merge 0, 9: 10 rows, 10 B to read, re-encoding 8192 rows at a time
    "
    );
}

#[test]
fn what_does_not_pay_waits_and_the_plan_says_so() {
    insta::assert_snapshot!(check("400000 rows 400MB \n 1000 rows 1MB"), @"nothing: 2 fragments, 1 small one waits until a merge pays");
    insta::assert_snapshot!(check("600 rows 600MiB \n 200 rows 200MB \n 2 x 1 rows 1100KiB"), @"nothing: 4 fragments, 1 of them full, 3 small ones wait until a merge pays");
    insta::assert_snapshot!(check("100000 rows 400MB \n 600000 rows 1MB"), @"nothing: 2 fragments, none of them small enough to be merged");
}

#[test]
fn equal_fragments_become_one_from_three_on() {
    insta::assert_snapshot!(check("2 x 10000 rows 10MB"), @"nothing: 2 fragments, 2 small ones wait until a merge pays");
    insta::assert_snapshot!(check("3 x 10000 rows 10MB"), @r"
        rewrite at version 1: merge 3 fragments into 1
          merge 0-2: 30000 rows, 28.6 MiB to read, copying pages
    ");
}

#[test]
fn tiny_fragments_become_one_whatever_stands_between_them() {
    insta::assert_snapshot!(
        check("10 rows 1KiB \n 150000 rows 150MB \n 2000 rows 900KiB \n 100 rows 20KiB"),
        @r"
        rewrite at version 1: merge 3 fragments into 1
          merge 0, 2-3: 2110 rows, 921.0 KiB to read, re-encoding 8192 rows at a time
    "
    );
}

#[test]
fn a_merge_takes_along_whatever_is_smaller() {
    insta::assert_snapshot!(
        check("1 rows 5KiB \n 3 x 100000 rows 80MB \n 300000 rows 300MB \n 1000 rows 1MB"),
        @r"
        rewrite at version 1: merge 5 fragments into 1
          merge 0-3, 5: 301001 rows, 229.8 MiB to read, re-encoding 1638 rows at a time
    "
    );
}

#[test]
fn more_than_one_fragment_holds_is_cut_where_neighbours_no_longer_fit() {
    insta::assert_snapshot!(
        check("target 1000000 rows 100MB \n 3 x 1000 rows 40MB \n 20 x 1000 rows 5MB"),
        @r"
        rewrite at version 1: merge 23 fragments into 3
          merge 0-1: 2000 rows, 76.3 MiB to read, copying pages
          merge 2-14: 13000 rows, 95.4 MiB to read, copying pages
          merge 15-22: 8000 rows, 38.1 MiB to read, copying pages
    "
    );
}

#[test]
fn wide_rows_are_not_rewritten_for_ever() {
    insta::assert_snapshot!(check("4 x 600 rows 600MiB \n 3 x 100 rows 100MiB"), @r"
        rewrite at version 1: merge 3 fragments into 1
          merge 4-6: 300 rows, 300.0 MiB to read, copying pages
    ");
}

#[test]
fn a_batch_holds_few_wide_rows() {
    insta::assert_snapshot!(check("blobs \n 2 x 10 rows 160MiB"), @r"
        rewrite at version 1: merge 2 fragments into 1
          merge 0-1: 20 rows, 320.0 MiB to read, re-encoding 1 rows at a time
    ");
    insta::assert_snapshot!(check("blobs \n 3 x 10 rows 10MiB"), @r"
        rewrite at version 1: merge 3 fragments into 1
          merge 0-2: 30 rows, 30.0 MiB to read, re-encoding 8 rows at a time
    ");
    insta::assert_snapshot!(check("blobs \n 3 x 10 rows 10MiB \n 1000 rows 1MiB"), @r"
        rewrite at version 1: merge 4 fragments into 1
          merge 0-3: 1030 rows, 31.0 MiB to read, re-encoding 8 rows at a time
    ");
}

#[test]
fn fragments_of_different_index_coverage_are_not_merged() {
    insta::assert_snapshot!(
        check("3 x 10 rows 1MB cov 1 \n 2 x 10 rows 1MB cov 0 \n 10 rows 1MB cov 1"),
        @r"
        rewrite at version 1: merge 6 fragments into 2
          merge 0-2, 5: 40 rows, 3.8 MiB to read, re-encoding 83 rows at a time
          merge 3-4: 20 rows, 1.9 MiB to read, re-encoding 83 rows at a time
    "
    );
}

#[test]
fn a_plan_of_nothing_says_when_only_coverage_is_in_the_way() {
    insta::assert_snapshot!(
        check("10 rows 1MB cov 1 \n 10 rows 1MB cov 0"),
        @"nothing: 2 fragments, neighbours covered by different indexes"
    );
    insta::assert_snapshot!(
        check("10 rows 1MB cov 1 \n 9 rows 600MiB cov 1 \n 10 rows 1MB cov 0"),
        @"nothing: 3 fragments, 1 of them full, neighbours covered by different indexes"
    );
    insta::assert_snapshot!(
        check("10 rows 500MiB cov 1 \n 10 rows 500MiB cov 0"),
        @"nothing: 2 fragments, no two neighbours fit into one"
    );
}

#[test]
fn what_a_predicate_does_not_choose_stays_and_the_rest_is_planned_around_it() {
    insta::assert_snapshot!(check("unchosen 1 3 \n 3 x 10 rows 1MB \n 10-10 rows 1MB \n 10 rows 1MB"), @r"
        rewrite at version 1: merge 3 fragments into 1
          merge 0, 2, 4: 30 rows, 2.9 MiB to read, re-encoding 83 rows at a time
    ");
    insta::assert_snapshot!(check("unchosen 0 1 2 \n 2 x 10 rows 1MB cov 1 \n 100-90 rows 1MB"), @"nothing: 3 fragments, 3 of them not chosen by the predicate");
    insta::assert_snapshot!(check("unchosen 0 2 \n 10 rows 1MB cov 1 \n 10 rows 1MB \n 10 rows 1MB"), @"nothing: 3 fragments, 2 of them not chosen by the predicate");
}

#[test]
fn deletions_above_the_threshold_are_purged() {
    insta::assert_snapshot!(
        check("100-10 rows 1MB"),
        @"nothing: one fragment, at most 10 % of a fragment deleted"
    );
    insta::assert_snapshot!(check("100-11 rows 1MB"), @r"
        rewrite at version 1: purge deleted rows of 1 fragment
          purge 0: 89 rows, 976.6 KiB to read, re-encoding 838 rows at a time
    ");
}

#[test]
fn a_threshold_of_zero_purges_every_deletion() {
    insta::assert_snapshot!(check("threshold 0 \n 1000000-1 rows 1MB"), @r"
        rewrite at version 1: purge deleted rows of 1 fragment
          purge 0: 999999 rows, 976.6 KiB to read, re-encoding 8192 rows at a time
    ");
    insta::assert_snapshot!(
        check("threshold 0 \n 1000000 rows 1MB"),
        @"nothing: one fragment"
    );
}

#[test]
fn a_full_fragment_is_purged_alone() {
    insta::assert_snapshot!(
        check("10 rows 1MB \n 3000000-900000 rows 300MB \n 10 rows 1MB"),
        @r"
        rewrite at version 1: merge 2 fragments into 1, purge deleted rows of 1 fragment
          purge 1: 2100000 rows, 286.1 MiB to read, re-encoding 8192 rows at a time
          merge 0, 2: 20 rows, 1.9 MiB to read, re-encoding 83 rows at a time
    "
    );
}

#[test]
fn a_purge_takes_neighbours_that_fit() {
    insta::assert_snapshot!(check("1000000-400000 rows 300MB \n 2 x 10 rows 1MB"), @r"
        rewrite at version 1: merge 3 fragments into 1
          merge 0-2: 600020 rows, 288.0 MiB to read, re-encoding 83 rows at a time
    ");
}

#[test]
fn a_purge_takes_along_no_more_than_what_it_writes() {
    insta::assert_snapshot!(check("100000-50000 rows 100MB \n 2 x 10000 rows 45MB"), @r"
        rewrite at version 1: merge 2 fragments into 1
          merge 0-1: 60000 rows, 138.3 MiB to read, re-encoding 1864 rows at a time
    ");
    insta::assert_snapshot!(check("20000-10000 rows 20MB \n 300000 rows 200MB"), @r"
        rewrite at version 1: purge deleted rows of 1 fragment
          purge 0: 10000 rows, 19.1 MiB to read, re-encoding 8192 rows at a time
    ");
}

#[test]
fn deletions_count_by_what_they_leave() {
    insta::assert_snapshot!(check("target 100 rows 1000B \n 2 x 100-50 rows 1000B"), @r"
        rewrite at version 1: merge 2 fragments into 1
          merge 0-1: 100 rows, 2.0 KiB to read, re-encoding 8192 rows at a time
    ");
}

#[test]
fn fragments_without_live_rows_become_nothing_whatever_the_threshold() {
    insta::assert_snapshot!(
        check("threshold 1 \n 10 rows 1MB \n 2 x 10-10 rows 1MB \n 10-10 rows 1MB cov 1"),
        @r"
        rewrite at version 1: drop 3 fragments without live rows
          purge 1-2: nothing remains
          purge 3: nothing remains
    "
    );
}

#[test]
fn fragments_without_live_rows_are_no_obstacle() {
    insta::assert_snapshot!(
        check("2 x 9 rows 1MB cov 1 \n 7-7 rows 1MB cov 0 \n 2 x 9 rows 1MB cov 1"),
        @r"
        rewrite at version 1: merge 4 fragments into 1, drop 1 fragment without live rows
          purge 2: nothing remains
          merge 0-1, 3-4: 36 rows, 3.8 MiB to read, re-encoding 75 rows at a time
    "
    );
}

#[test]
fn pages_are_copied_only_where_that_pays() {
    insta::assert_snapshot!(check("columns 4 \n 2 x 10 rows 1MiB"), @r"
        rewrite at version 1: merge 2 fragments into 1
          merge 0-1: 20 rows, 2.0 MiB to read, copying pages
    ");
    insta::assert_snapshot!(check("columns 4 \n 10 rows 1MiB \n 10 rows 1048572B"), @r"
        rewrite at version 1: merge 2 fragments into 1
          merge 0-1: 20 rows, 2.0 MiB to read, re-encoding 79 rows at a time
    ");
    insta::assert_snapshot!(check("2 x 1000 rows 6MB files 2"), @r"
        rewrite at version 1: merge 2 fragments into 1
          merge 0-1: 2000 rows, 11.4 MiB to read, re-encoding 1398 rows at a time
    ");
    insta::assert_snapshot!(check("1000 rows 6MB \n 1000-1 rows 6MB"), @r"
        rewrite at version 1: merge 2 fragments into 1
          merge 0-1: 1999 rows, 11.4 MiB to read, re-encoding 1398 rows at a time
    ");
    insta::assert_snapshot!(check("blobs \n 2 x 1000 rows 6MB"), @r"
        rewrite at version 1: merge 2 fragments into 1
          merge 0-1: 2000 rows, 11.4 MiB to read, re-encoding 1398 rows at a time
    ");
}

#[test]
fn a_foreign_sidecar_keeps_us_off_the_table() {
    let fragments = "\n sidecar __recovery/01J.json Load \n 2 x 10 rows 1MB";
    insta::assert_snapshot!(
        check(&format!("pin 4 head 4 {fragments}")),
        @"skip (recovery_pending): an unfinished Load names it: __recovery/01J.json"
    );
    insta::assert_snapshot!(
        check(&format!("pin 4 head 6 ours {fragments}")),
        @"skip (recovery_pending): an unfinished Load names it: __recovery/01J.json"
    );
    insta::assert_snapshot!(
        check(&format!("pin 4 head 3 {fragments}")),
        @"skip (recovery_pending): an unfinished Load names it: __recovery/01J.json"
    );
}

#[test]
fn drift_is_left_to_repair_with_both_versions() {
    let mut drifted = inventory(Vec::new());
    at(&mut drifted, Authority::Pinned { pin: Version(4), head: Version(6) });
    let policy = LayoutPolicy::from_options(&OptimizeOptions::default(), DateTime::UNIX_EPOCH)
        .expect("defaults");
    let TablePlan::Skip { reason, manifest_version, head, why } = planned(&drifted, &policy) else {
        panic!("it was not skipped");
    };
    assert_eq!((reason, manifest_version.0, head.0), (SkipReason::DriftNeedsRepair, 4, 6));
    insta::assert_snapshot!(why, @"its HEAD 6 is ahead of its pin 4, and nothing explains it; `lancekeeper repair` says what it is");
}

#[test]
fn versions_of_ours_ahead_of_the_pin_do_not_stand_in_the_way() {
    insta::assert_snapshot!(
        check("pin 4 head 5 ours \n 10 rows 1MB"),
        @"nothing: publish our version 5 first; one fragment"
    );
    insta::assert_snapshot!(check("pin 4 head 6 ours \n 2 x 10 rows 1MB"), @r"
        rewrite at version 6: publish our versions 5 to 6 first; merge 2 fragments into 1
          merge 0-1: 20 rows, 1.9 MiB to read, re-encoding 83 rows at a time
    ");
}

#[test]
fn a_head_behind_its_pin_is_broken() {
    insta::assert_snapshot!(
        check("pin 4 head 3 ours \n 2 x 10 rows 1MB"),
        @"broken: its HEAD 3 is behind manifest version 4"
    );
}

#[test]
fn a_fragment_that_hides_more_rows_than_it_has_is_broken_and_never_grouped() {
    insta::assert_snapshot!(
        check("2 x 10 rows 1MB \n 10-11 rows 1MB"),
        @"broken: fragment 2 has 10 rows and 11 deleted ones"
    );
    let mut facts = inventory(Vec::new()).facts;
    parse_fragments(&["3", "x", "10-11", "rows", "1MB"], &mut facts.fragments);
    let policy = LayoutPolicy::from_options(&OptimizeOptions::default(), DateTime::UNIX_EPOCH)
        .expect("defaults");
    assert_eq!(replan_groups(&facts, &policy), []);
}

#[test]
fn a_table_with_fewer_fragments_than_asked_for_is_compact_enough() {
    insta::assert_snapshot!(
        check("at least 4 \n 3 x 10 rows 1MB"),
        @"skip (already_compact): 3 fragments, fewer than 4"
    );
    insta::assert_snapshot!(
        check("at least 2 \n 10-9 rows 1MB"),
        @"skip (already_compact): 1 fragment, fewer than 2"
    );
    insta::assert_snapshot!(check("at least 3 \n 3 x 10 rows 1MB"), @r"
        rewrite at version 1: merge 3 fragments into 1
          merge 0-2: 30 rows, 2.9 MiB to read, re-encoding 83 rows at a time
    ");
    insta::assert_snapshot!(check("at least 5"), @"nothing: the table is empty");
    insta::assert_snapshot!(
        check("at least 5 \n pin 4 head 5 ours \n 2 x 10 rows 1MB"),
        @"skip (already_compact): publish our version 5 first; 2 fragments, fewer than 5"
    );
}

#[test]
fn what_stands_in_the_way_is_said_even_of_a_table_that_is_compact_enough() {
    insta::assert_snapshot!(
        check("at least 5 \n pin 4 head 6 \n 2 x 10 rows 1MB"),
        @"skip (drift_needs_repair): its HEAD 6 is ahead of its pin 4, and nothing explains it; `lancekeeper repair` says what it is"
    );
    insta::assert_snapshot!(
        check("at least 5 \n 10-11 rows 1MB"),
        @"broken: fragment 0 has 10 rows and 11 deleted ones"
    );
}

#[test]
fn a_part_of_a_plan_says_what_it_is_a_part_of() {
    let mut table = inventory(Vec::new());
    at(&mut table, Authority::Pinned { pin: Version(4), head: Version(6) });
    table.ahead_is_ours = true;
    for fragment in ["600", "600-400", "600-600"] {
        parse_fragments(&[fragment, "rows", "1MB"], &mut table.facts.fragments);
    }
    let options = OptimizeOptions { target_rows: 500, ..OptimizeOptions::default() };
    let policy = LayoutPolicy::from_options(&options, DateTime::UNIX_EPOCH).expect("good options");
    let TablePlan::Rewrite(plan) = planned(&table, &policy) else { panic!("nothing to do") };
    insta::assert_snapshot!(
        plan.reason(),
        @"publish our versions 5 to 6 first; purge deleted rows of 1 fragment, drop 1 fragment without live rows"
    );
    insta::assert_snapshot!(
        plan.only(&[0]).to_string(),
        @r"
    rewrite at version 6: publish our versions 5 to 6 first; drop 1 fragment without live rows
      purge 2: nothing remains
    "
    );
    assert_eq!(plan.only(&[0, 1]), plan);
    assert_eq!(plan.only(&[1]).lint(&table.facts), Vec::<String>::new());
}

#[test]
fn fragments_that_an_index_holds_stay_and_the_others_are_merged_around_them() {
    insta::assert_snapshot!(
        check("2 x 10 rows 1MB held x\n3 x 10 rows 1MB\n10-10 rows 1MB held x"), @r"
        rewrite at version 1: merge 3 fragments into 1
          merge 2-4: 30 rows, 2.9 MiB to read, re-encoding 83 rows at a time
    ");
    insta::assert_snapshot!(check("2 x 10 rows 1MB held x"), @"nothing: 2 fragments, 2 of them held by an index that a rewrite would end");
}

#[test]
fn fragments_that_are_shared_are_told_from_an_empty_table() {
    let mut table = inventory(Vec::new());
    let policy = LayoutPolicy::from_options(&OptimizeOptions::default(), DateTime::UNIX_EPOCH)
        .expect("defaults");
    let nothing = |table: &TableInventory| planned(table, &policy).to_string();
    assert_eq!(nothing(&table), "nothing: the table is empty");
    assert_eq!(withheld(&table.facts), None);
    table.facts.shared_fragments = 1;
    assert!(nothing(&table).contains("its one fragment is shared"), "{}", nothing(&table));
    assert_eq!(withheld(&table.facts), None);
    table.facts.shared_fragments = 3;
    assert!(nothing(&table).contains("all 3 fragments are shared"), "{}", nothing(&table));
    assert_eq!(withheld(&table.facts), Some(SkipReason::FilesInBase));
    parse_fragments(&["10-1", "rows", "1MB"], &mut table.facts.fragments);
    assert!(nothing(&table).contains("3 more are shared"), "{}", nothing(&table));
    assert_eq!(withheld(&table.facts), None);
}
