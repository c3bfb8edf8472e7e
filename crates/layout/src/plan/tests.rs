//! What is clustered with what, case by case.

use super::*;

/// 10,000 rows of 45 bytes are full.
const TARGETS: Targets = Targets { rows: 10_000, bytes: 512 << 20 };

const CHANGED: Request =
    Request { scope: Scope::Changed, targets: TARGETS, max_bytes: u64::MAX, generation: 0 };

fn strip(n: u32, of: u32) -> RankBox {
    let width = u32::MAX / of;
    RankBox::new(vec![(n * width, n * width + width - 1), (0, u32::MAX)])
}

fn fragment(id: u64, rows: u64, ranks: Option<RankBox>) -> Fragment {
    Fragment { id, rows, bytes: rows * 45, ranks }
}

/// A run of full fragments beside each other, with ids from this one on.
fn run(table: &mut Vec<Fragment>, runs: &Runs, first: u64, fragments: u32, rows: u64) -> Runs {
    let new = (0..fragments).map(|n| (first + u64::from(n), strip(n, fragments)));
    let new: Vec<_> = new.collect();
    table.extend(new.iter().map(|(id, ranks)| fragment(*id, rows, Some(ranks.clone()))));
    runs.after_rewrite(&[], &new, 0)
}

fn plan(table: &[Fragment], runs: &Runs) -> String {
    plan_clustering(table, runs, &CHANGED).to_string()
}

fn group(table: &[Fragment], runs: &Runs) -> ClusterGroup {
    match plan_clustering(table, runs, &CHANGED) {
        ClusterPlan::Rewrite(group) => group,
        ClusterPlan::Nothing { reason } => panic!("nothing: {reason}"),
    }
}

fn sixty() -> (Vec<Fragment>, Runs) {
    let mut table = Vec::new();
    let runs = run(&mut table, &Runs::default(), 100, 60, 10_000);
    (table, runs)
}

#[test]
fn a_table_that_was_never_clustered_is_clustered_wherever_its_rows_lie() {
    let table: Vec<_> = (0..10).map(|id| fragment(id, 60_000, None)).collect();
    let group = group(&table, &Runs::default());
    assert_eq!(group.fragments, Vec::from_iter(0..10));
    assert_eq!(group.outputs, [10_000; 60]);
    assert_eq!(
        ClusterPlan::Rewrite(group).to_string(),
        "cluster 10 appended fragments: 600000 rows, 27000000 bytes, 10 fragments become 60"
    );
    let one = [fragment(7, 3, None)];
    let expected = "cluster 1 appended fragment: 3 rows, 135 bytes, 1 fragments become 1";
    assert_eq!(plan(&one, &Runs::default()), expected);
}

#[test]
fn a_small_append_leaves_the_large_run_alone() {
    let (mut table, runs) = sixty();
    assert_eq!(
        plan(&table, &runs),
        "nothing: nothing was appended, and nothing overlaps more than it must"
    );
    table.push(fragment(300, 6_000, None));
    let group = group(&table, &runs);
    assert_eq!((group.fragments, group.outputs), (vec![300], vec![6_000]));
}

#[test]
fn runs_that_are_not_larger_than_what_is_rewritten_go_with_it() {
    let (mut table, runs) = sixty();
    let runs = run(&mut table, &runs, 200, 8, 10_000);
    let runs = run(&mut table, &runs, 210, 2, 10_000);
    table.push(fragment(300, 20_000, None));
    // 20,000 and 20,000 are less than 80,000.
    assert_eq!(group(&table, &runs).fragments, [210, 211, 300]);
    table.push(fragment(301, 40_000, None));
    let all = group(&table, &runs);
    assert_eq!(all.fragments, Vec::from_iter((200..208).chain([210, 211, 300, 301])));
    assert_eq!((all.merged_runs, all.appended, all.outputs.len()), (2, 2, 16));
    table.push(fragment(302, 440_000, None));
    assert_eq!(group(&table, &runs).fragments.len(), 60 + 8 + 2 + 3);
}

#[test]
fn a_small_table_that_fits_into_one_fragment_becomes_one() {
    let mut table = Vec::new();
    let runs = run(&mut table, &Runs::default(), 100, 1, 7_000);
    let runs = run(&mut table, &runs, 800, 1, 2_000);
    table.push(fragment(900, 1, None));
    assert_eq!(group(&table, &runs).fragments, [100, 800, 900]);
    let mut table = Vec::new();
    let runs = run(&mut table, &Runs::default(), 100, 1, 9_000);
    let runs = run(&mut table, &runs, 800, 1, 2_000);
    table.push(fragment(900, 1, None));
    assert_eq!(group(&table, &runs).fragments, [900]);
}

#[test]
fn fragments_that_overlap_although_they_are_of_one_run_are_clustered_anew() {
    let (mut table, runs) = sixty();
    for fragment in &mut table[10..13] {
        fragment.ranks = Some(RankBox::new(vec![(0, u32::MAX); 2]));
    }
    // The three lie over all others, which are not to blame.
    assert_eq!(
        plan(&table, &runs),
        "cluster 3 fragments that overlap others: 30000 rows, 1350000 bytes, 3 fragments become 3"
    );
    assert_eq!(group(&table, &runs).fragments, [110, 111, 112]);
    // Two of them make the others three times as deep, which is not yet worth a rewrite.
    table[12].ranks = Some(strip(12, 60));
    assert!(plan(&table, &runs).starts_with("nothing"));
    // What could not be laid out better is not tried again.
    let piled: Vec<_> = (0..9).map(|id| (id, RankBox::new(vec![(5, 5); 2]))).collect();
    let runs = Runs::default().after_rewrite(&[], &piled, 0);
    let table = piled.into_iter().map(|(id, ranks)| fragment(id, 10_000, Some(ranks)));
    assert!(plan(&Vec::from_iter(table), &runs).starts_with("nothing"));
}

#[test]
fn a_run_whose_fragments_have_the_wrong_size_is_written_anew() {
    let mut table = Vec::new();
    let runs = run(&mut table, &Runs::default(), 0, 20, 500);
    assert_eq!(group(&table, &runs).outputs, [10_000]);
    let mut table = Vec::new();
    let runs = run(&mut table, &Runs::default(), 0, 2, 50_000);
    assert_eq!(group(&table, &runs).outputs, [10_000; 10]);
    let mut table = Vec::new();
    let runs = run(&mut table, &Runs::default(), 0, 20, 5_000);
    assert!(plan(&table, &runs).starts_with("nothing"), "twice as many are let pass");
}

#[test]
fn full_takes_everything_unless_nothing_would_change() {
    let full = |table: &[Fragment], runs: &Runs, generation| {
        plan_clustering(table, runs, &Request { scope: Scope::Full, generation, ..CHANGED })
    };
    let (mut table, runs) = sixty();
    let expected = "nothing: everything is one run of this space already";
    assert_eq!(full(&table, &runs, 0).to_string(), expected);
    let ClusterPlan::Rewrite(renewed) = full(&table, &runs, 1) else { panic!("another space") };
    assert_eq!(renewed.fragments.len(), 60);
    table.push(fragment(300, 1, None));
    let ClusterPlan::Rewrite(group) = full(&table, &runs, 0) else { panic!("one was appended") };
    assert_eq!(group.fragments.len(), 61);
    assert_eq!(group.outputs.len(), 61);
    assert_eq!(group.outputs.iter().sum::<u64>(), 600_001);
    assert_eq!(full(&[], &runs, 0).to_string(), expected);
}

#[test]
fn outputs_keep_below_both_targets_and_are_as_equal_as_can_be() {
    let targets = Targets { rows: 100, bytes: 1000 };
    let of = |rows, bytes| outputs(Size { rows, bytes }, targets);
    assert_eq!(of(0, 0), Vec::<u64>::new());
    assert_eq!(of(100, 1000), [100]);
    assert_eq!(of(101, 10), [51, 50]);
    assert_eq!(of(10, 2500), [4, 3, 3]);
    // A row is never cut.
    assert_eq!(of(2, 9000), [1, 1]);
}

#[test]
fn an_empty_table_and_empty_fragments_are_no_trouble() {
    assert_eq!(plan(&[], &Runs::default()), "nothing: the table has no fragments");
    let emptied = [fragment(1, 0, None)];
    let expected = "cluster 1 appended fragment: 0 rows, 0 bytes, 1 fragments become 0";
    assert_eq!(plan(&emptied, &Runs::default()), expected);
}

#[test]
fn a_limit_of_bytes_leaves_runs_where_they_are_and_takes_what_must_be() {
    let (mut table, runs) = sixty();
    let runs = run(&mut table, &runs, 210, 2, 10_000);
    table.push(fragment(300, 700_000, None));
    let of = |max_bytes| match plan_clustering(&table, &runs, &Request { max_bytes, ..CHANGED }) {
        ClusterPlan::Rewrite(group) => group.fragments.len(),
        ClusterPlan::Nothing { .. } => 0,
    };
    assert_eq!(of(u64::MAX), 63);
    assert_eq!(of(1_320_000 * 45), 63);
    assert_eq!(of(1_320_000 * 45 - 1), 3);
    assert_eq!(of(0), 1);
}

#[test]
fn runs_alone_are_merged_once_they_are_too_alike_but_not_under_a_limit() {
    let mut table = Vec::new();
    let mut runs = Runs::default();
    for first in [0, 10, 20] {
        runs = run(&mut table, &runs, first, 4, 10_000);
    }
    assert_eq!(group(&table, &runs).fragments.len(), 12);
    let limited = Request { max_bytes: u64::MAX - 1, ..CHANGED };
    let reason = plan_clustering(&table, &runs, &limited).to_string();
    assert!(reason.starts_with("nothing: nothing was appended"), "{reason}");
    assert!(reason.ends_with("the 3 runs are left as they are"), "{reason}");
}
