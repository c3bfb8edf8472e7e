//! The rules a caller gives: how many, how old, which commits.

use super::*;

#[test]
fn keep_keeps_exactly_the_newest_existing_versions() {
    let world = World::database([Table::plain("T").with(1..=5)]);
    for (keep, kept) in [(1, &[5][..]), (2, &[4, 5]), (5, &[1, 2, 3, 4, 5]), (9, &[1, 2, 3, 4, 5])]
    {
        let policy = Retention { keep_versions: Some(keep), ..keep_one() };
        assert_eq!(world.plan(&policy).kept("T", "main"), kept, "--keep {keep}");
    }
}

#[test]
fn keep_counts_versions_that_exist_and_not_their_numbers() {
    let world = World::database([Table::plain("T").with([1, 4, 5, 40, 90])]);
    let policy = Retention { keep_versions: Some(3), ..keep_one() };
    let plan = world.plan(&policy);
    assert_eq!(plan.kept("T", "main"), [5, 40, 90]);
    assert_eq!(plan.why("T", "main", 5), "among the newest 3");
}

#[test]
fn keep_counts_each_chain_for_itself() {
    let table = Table::plain("T").with(1..=4).fork("B", "main", 4).version("B", 6, OLD);
    let world = World::database([table.version("B", 7, OLD)]);
    let policy = Retention { keep_versions: Some(2), ..keep_one() };
    let plan = world.plan(&policy);
    assert_eq!((plan.kept("T", "main"), plan.kept("T", "B")), (vec![3, 4], vec![6, 7]));
}

#[test]
fn a_version_goes_at_the_age_asked_for_and_not_before() {
    let table = Table::plain("T").version("main", 1, 60).version("main", 2, 59).with([3]);
    let older_than = Some(TimeDelta::hours(1));
    let policy = Retention { keep_versions: None, older_than, ..keep_one() };
    let plan = World::database([table]).plan(&policy);
    assert_eq!(plan.kept("T", "main"), [2, 3]);
    assert_eq!(plan.why("T", "main", 2), "younger than 1h");
}

#[test]
fn with_several_rules_a_version_goes_only_if_all_let_it() {
    // 1 is old and far back, 2 young and far back, 3 old and among the newest two.
    let table = Table::plain("T").with([1]).version("main", 2, 30).with([3, 4]).tag("main", 4, "v");
    let policy =
        Retention { keep_versions: Some(2), older_than: Some(TimeDelta::hours(1)), ..keep_one() };
    let plan = World::database([table]).plan(&policy);
    assert_eq!(plan.kept("T", "main"), [2, 3, 4]);
    assert_eq!(plan.why("T", "main", 2), "younger than 1h");
    assert_eq!(plan.why("T", "main", 3), "among the newest 2");
    assert_eq!(plan.why("T", "main", 4), "the newest, tag v, among the newest 2");
}

#[test]
fn every_kept_version_has_a_reason_and_every_other_is_listed_as_removed() {
    let table = Table::plain("T").with(1..=6).tag("main", 2, "v").fork("B", "main", 3);
    let plan = World::database([table]).plan(&keep_one());
    let dataset = plan.of("T");
    assert!(dataset.kept.iter().all(|kept| !kept.reasons.is_empty()));
    let removed: Vec<u64> = dataset.removed.iter().map(|(_, version)| version.0).collect();
    assert_eq!(removed, [1, 4, 5]);
}
