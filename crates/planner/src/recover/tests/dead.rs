//! Who is presumed dead, and what cannot be his.

use super::*;

fn options(dead_after: TimeDelta, assumed_dead: AssumedDead) -> RecoverOptions {
    let mut options = RecoverOptions::default();
    (options.dead_after, options.assumed_dead) = (dead_after, assumed_dead);
    options
}

fn check_at(facts: &ForeignFacts, options: &RecoverOptions, seconds: i64) -> String {
    let plan = plan_recover(std::slice::from_ref(facts), options, at(seconds));
    plan.steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_writer_is_presumed_dead_once_it_did_nothing_for_long_enough() {
    let facts = sidecar(WriterKind::Load, 1, &["4>5 P4 H5"]);
    let after = options(TimeDelta::minutes(15), AssumedDead::Nobody);
    // Its commit came a second after it began.
    insta::assert_snapshot!(
        check_at(&facts, &after, 900),
        @"wait: its writer may be alive: its tables were last committed to at 2027-01-15T08:00:01Z; it is presumed dead at 2027-01-15T08:15:01Z"
    );
    assert_eq!(check_at(&facts, &after, 901), "forward: node:A 4>5");
    let facts = sidecar(WriterKind::Load, 1, &["4>5 P4 H4"]);
    insta::assert_snapshot!(
        check_at(&facts, &after, 899),
        @"wait: its writer may be alive: it began at 2027-01-15T08:00:00Z; it is presumed dead at 2027-01-15T08:15:00Z"
    );
    assert_eq!(check_at(&facts, &after, 900), "back: nothing");
    let sooner = options(TimeDelta::minutes(1), AssumedDead::Nobody);
    assert_eq!(check_at(&facts, &sooner, 60), "back: nothing");
    // A clock that is ahead is waited for.
    assert!(check_at(&facts, &after, -60).starts_with("wait: "));
}

#[test]
fn whoever_is_said_to_be_dead_is_not_waited_for() {
    let facts = sidecar(WriterKind::Load, 1, &["4>5 P4 H5"]);
    let quarter = TimeDelta::minutes(15);
    let these = |id: &str| options(quarter, AssumedDead::These(vec![id.to_owned()]));
    assert_eq!(check_at(&facts, &options(quarter, AssumedDead::All), 2), "forward: node:A 4>5");
    assert_eq!(check_at(&facts, &these("01"), 2), "forward: node:A 4>5");
    assert!(check_at(&facts, &these("02"), 2).starts_with("wait: "));
}

#[test]
fn whoever_commits_after_the_run_began_is_alive_whatever_is_said() {
    let facts = sidecar(WriterKind::Load, 1, &["4>5 P4 H5"]);
    let all = options(TimeDelta::minutes(15), AssumedDead::All);
    insta::assert_snapshot!(
        check_at(&facts, &all, 0),
        @"wait: somebody committed to its tables at 2027-01-15T08:00:01Z"
    );
    // So is who began after it, and has not committed yet.
    let facts = sidecar(WriterKind::Load, 1, &["4>5 P4 H4"]);
    insta::assert_snapshot!(
        check_at(&facts, &all, -1),
        @"wait: it began at 2027-01-15T08:00:00Z, after this run did"
    );
}

#[test]
fn an_operation_that_somebody_names_was_there_whatever_its_clock_says() {
    let named = options(TimeDelta::minutes(15), AssumedDead::These(vec!["01".to_owned()]));
    let facts = sidecar(WriterKind::Load, 1, &["4>5 P4 H5"]);
    assert_eq!(check_at(&facts, &named, -100), "forward: node:A 4>5");
    // One whose clock is right lives as long as it commits.
    assert!(check_at(&facts, &named, 0).starts_with("wait: somebody committed"));
    // No date is too late.
    let facts = changed(facts, |content| content.started_at = Some(DateTime::<Utc>::MAX_UTC));
    let all = options(TimeDelta::minutes(15), AssumedDead::All);
    assert!(check_at(&facts, &all, 3600).starts_with("wait: it began"));
}

#[test]
fn without_a_beginning_there_is_no_age_and_no_proof() {
    let facts = changed(sidecar(WriterKind::Load, 1, &["4>5 P4 H5"]), |content| {
        content.started_at = None;
    });
    insta::assert_snapshot!(
        check(facts.clone()),
        @"wait: it does not say when it began, so its age cannot be told"
    );
    let all = options(TimeDelta::minutes(15), AssumedDead::All);
    insta::assert_snapshot!(
        check_at(&facts, &all, 3600),
        @"refuse: version 5 of node:A may be older than the operation, which does not say when it began"
    );
    let still = changed(sidecar(WriterKind::Load, 1, &["4>5 P4 H4"]), |content| {
        content.started_at = None;
    });
    assert_eq!(check_at(&still, &all, 3600), "back: nothing");
}

#[test]
fn what_a_writer_of_its_kind_does_not_commit_is_not_its_own() {
    use WriterKind::{BranchMerge, EnsureIndices, Load, Mutation, Optimize, SchemaApply};
    let all = [Mutation, Load, SchemaApply, BranchMerge, EnsureIndices, Optimize];
    let writes: &[WriterKind] = &[Mutation, Load, BranchMerge];
    let cases: &[(&str, &[WriterKind])] = &[
        ("Append", &[Mutation, Load, SchemaApply, BranchMerge]),
        ("Update", &[Mutation, Load, SchemaApply, BranchMerge]),
        ("Delete", writes),
        ("Overwrite", &[Mutation, Load, SchemaApply, BranchMerge]),
        ("CreateIndex", &all),
        ("UpdateConfig", &all),
        ("Rewrite", &[Optimize]),
        ("ReserveFragments", &[Optimize]),
        ("Merge", &[SchemaApply]),
        ("Project", &[SchemaApply]),
        ("Clone", &[]),
        ("DataReplacement", &[]),
    ];
    for (operation, kinds) in cases {
        for kind in all {
            let facts = changed(sidecar(kind, 1, &["4>5 P4 H5"]), |content| {
                content.tables[0].ahead[0].operation = Some((*operation).to_owned());
                content.schema.staged.then = true;
                content.schema.staging = Staging::Whole;
            });
            let found = check(facts);
            let is_refused = found.starts_with("refuse: ");
            assert_eq!(!is_refused, kinds.contains(&kind), "{kind:?}: {operation}: {found}");
        }
    }
}

fn ahead(change: fn(&mut AheadVersion)) -> String {
    let facts = changed(sidecar(WriterKind::Load, 1, &["4>5 P4 H6"]), |content| {
        change(&mut content.tables[0].ahead[0]);
    });
    check(facts)
}

#[test]
fn what_is_older_than_the_operation_unreadable_or_ours_is_not_its_own() {
    insta::assert_snapshot!(
        ahead(|ahead| ahead.operation = Some("Rewrite".to_owned())),
        @r#"refuse: version 5 of node:A is "Rewrite", which a Load does not commit"#
    );
    insta::assert_snapshot!(
        ahead(|ahead| ahead.committed_at = Some(at(-60))),
        @"refuse: version 5 of node:A was committed at 2027-01-15T07:59:00Z, before the operation began at 2027-01-15T08:00:00Z"
    );
    insta::assert_snapshot!(
        ahead(|ahead| ahead.operation = None),
        @"refuse: version 5 of node:A cannot be read, so whose it is cannot be told"
    );
    insta::assert_snapshot!(
        ahead(|ahead| ahead.is_ours = true),
        @"refuse: version 5 of node:A was committed by lancekeeper, not by its writer"
    );
    assert_eq!(ahead(|ahead| ahead.committed_at = Some(at(-4))), "back: node:A 6 to 4");
    let facts = changed(sidecar(WriterKind::Load, 1, &["4>5 P4 H6"]), |content| {
        content.tables[0].ahead.pop();
    });
    insta::assert_snapshot!(
        check(facts),
        @"refuse: 2 versions of node:A are ahead of its pin 4: more than one operation makes"
    );
}

#[test]
fn rows_that_a_query_deleted_before_it_wrote_its_sidecar_are_its_own() {
    let deleted = |seconds| {
        let facts = sidecar(WriterKind::Mutation, 1, &["4>5 P4 H5"]);
        check(changed(facts, |content| {
            let ahead = &mut content.tables[0].ahead[0];
            ahead.operation = Some("Delete".to_owned());
            ahead.committed_at = Some(at(seconds));
        }))
    };
    assert_eq!(deleted(-60), "forward: node:A 4>5");
    assert!(deleted(-301).starts_with("refuse: "));
}

#[test]
fn what_anybody_alive_writes_to_is_nobody_elses_to_recover() {
    let mut young = sidecar(WriterKind::Optimize, 1, &["4>5 P4 H5"]);
    young.file = "__recovery/02.json".to_owned();
    young.operation = "02".to_owned();
    let young = changed(young, |content| {
        content.started_at = Some(at(3599));
        content.tables[0].ahead[0].committed_at = Some(at(3600));
    });
    // Said to be dead, but its table is also that of somebody who may not be.
    let these = AssumedDead::These(vec!["01".to_owned()]);
    let old = sidecar(WriterKind::Load, 1, &["4>5 P4 H5", "7>8 P7 H7"]);
    let plan = plan_recover(&[old, young], &options(TimeDelta::minutes(15), these), at(3601));
    let lines: Vec<String> = plan.steps.iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    wait: node:A is also named by __recovery/02.json, whose writer may be alive: that one comes first
    wait: its writer may be alive: its tables were last committed to at 2027-01-15T09:00:00Z; it is presumed dead at 2027-01-15T09:15:00Z
    ");
}
