//! Every case of the established rules, as tables: versions on the left, what becomes of it on
//! the right. In a table `4>5 P4 H5` is: written at pin 4 to reach 5, pin now 4, HEAD 5; `C5`
//! is the version that a merge confirmed, `P-` no such table, `H-` no such dataset.

mod dead;
mod schema;

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_model::{AssumedDead, Branch, RecoverOptions, TableKey, TableRef, Version};

use super::class::classify;
use super::*;

/// When every sidecar of these tests began.
const BEGAN: i64 = 1_800_000_000;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(BEGAN + seconds, 0).unwrap_or_default()
}

/// The run begins an hour later.
fn now() -> DateTime<Utc> {
    at(3600)
}

fn operation_of(kind: WriterKind) -> &'static str {
    match kind {
        WriterKind::Mutation => "Update",
        WriterKind::Load | WriterKind::BranchMerge => "Append",
        WriterKind::SchemaApply => "Overwrite",
        WriterKind::EnsureIndices => "CreateIndex",
        WriterKind::Optimize => "Rewrite",
    }
}

/// One table of a sidecar.
fn table(key: &str, text: &str, kind: WriterKind) -> ForeignTable {
    let mut words = text.split(' ');
    let (expected, reached) = words.next().and_then(|word| word.split_once('>')).unwrap();
    let number = |word: &str| word.parse().ok().map(Version);
    let mut table = ForeignTable {
        table: TableRef::on_main(TableKey::new(key)),
        misplaced: None,
        expected: number(expected).unwrap(),
        post_commit_pin: number(reached).unwrap(),
        confirmed: None,
        pin: None,
        was_taken_back: false,
        head: None,
        lacks_pin: false,
        ahead: Vec::new(),
    };
    for word in words {
        let (letter, rest) = word.split_at(1);
        match letter {
            "P" => table.pin = number(rest),
            "H" => table.head = number(rest),
            "C" => table.confirmed = number(rest),
            other => panic!("{other} is no letter of a table"),
        }
    }
    if let (Some(pin), Some(head)) = (table.pin, table.head) {
        table.ahead = (pin.0 + 1..=head.0)
            .map(|version| AheadVersion {
                version: Version(version),
                committed_at: Some(at(1)),
                operation: Some(operation_of(kind).to_owned()),
                restores: None,
                is_ours: false,
            })
            .collect();
    }
    table
}

/// A sidecar over tables `node:A`, `node:B`, …
fn sidecar(kind: WriterKind, schema_version: u32, tables: &[&str]) -> ForeignFacts {
    let keys = ["node:A", "node:B", "node:C"];
    let tables = keys.iter().zip(tables).map(|(key, text)| table(key, text, kind)).collect();
    ForeignFacts {
        file: "__recovery/01.json".to_owned(),
        operation: "01".to_owned(),
        content: Ok(ForeignContent {
            schema_version,
            kind: Some(kind),
            kind_text: format!("{kind:?}"),
            started_at: Some(at(0)),
            branch: Branch::main(),
            branch_exists: true,
            branch_is_lost: false,
            tables,
            added: Vec::new(),
            dropped: Vec::new(),
            schema: SchemaFacts::default(),
            unread: None,
        }),
    }
}

fn changed(mut facts: ForeignFacts, change: impl FnOnce(&mut ForeignContent)) -> ForeignFacts {
    if let Ok(content) = &mut facts.content {
        change(content);
    }
    facts
}

fn plan(sidecars: &[ForeignFacts]) -> RecoverPlan {
    plan_recover(sidecars, &RecoverOptions::default(), now())
}

/// What becomes of a sidecar, in a line.
fn line(step: &RecoverStep) -> String {
    let list =
        |items: Vec<String>| if items.is_empty() { "nothing".into() } else { items.join(", ") };
    match &step.decision {
        Decision::RollForward { tables, added, dropped, promotes } => {
            let moves = tables.iter().map(|t| format!("{} {}>{}", t.table, t.expected, t.to));
            let added = added.iter().map(|a| format!("+{}@{}", a.key, a.to));
            let dropped = dropped.iter().map(|d| format!("-{}@{}", d.key, d.tombstone));
            let all = list(moves.chain(added).chain(dropped).collect());
            format!("forward: {all}{}", if *promotes { " and its schema" } else { "" })
        }
        Decision::RollBack { tables, unstages } => {
            let moves = tables.iter().map(|t| {
                let how = if t.is_restored { "is" } else { "to" };
                format!("{} {} {how} {}", t.table, t.head, t.pin)
            });
            let all = list(moves.collect());
            format!("back: {all}{}", if *unstages { " and its schema" } else { "" })
        }
        Decision::Record { went_back, promotes } => {
            let back = if *went_back { " as gone back" } else { "" };
            format!("record{back}{}", if *promotes { " and its schema" } else { "" })
        }
        Decision::DiscardOrphan => "discard".to_owned(),
        Decision::Wait { .. } => format!("wait: {}", step.why),
        Decision::Refuse => format!("refuse: {}", step.why),
        Decision::Stop => format!("stop: {}", step.why),
    }
}

fn check(facts: ForeignFacts) -> String {
    plan(&[facts]).steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_table_has_the_class_that_the_established_rules_give_it() {
    use WriterKind::{BranchMerge, EnsureIndices, Load, Mutation, Optimize, SchemaApply};
    let strict: &[(&str, Class)] = &[
        ("4>5 P4 H4", Class::NoMovement),
        ("4>5 P4 H5", Class::RolledPastExpected),
        // The pin moved since.
        ("4>5 P5 H5", Class::NoMovement),
        ("4>5 P5 H6", Class::UnexpectedAtP1),
        ("4>5 P5 H7", Class::UnexpectedMultistep),
        ("3>4 P4 H5", Class::UnexpectedAtP1),
        // It announced another version.
        ("4>6 P4 H5", Class::UnexpectedAtP1),
        ("4>6 P4 H6", Class::UnexpectedMultistep),
        ("4>5 P4 H6", Class::UnexpectedMultistep),
        ("4>5 P5 H4", Class::InvariantViolation),
        ("4>5 P4 H3", Class::InvariantViolation),
        ("4>5 P4 H-", Class::NoMovement),
        ("4>5 P- H5", Class::Gone),
    ];
    let loose: &[(&str, Class)] = &[
        ("4>5 P4 H4", Class::NoMovement),
        ("4>5 P4 H5", Class::RolledPastExpected),
        ("4>5 P4 H9", Class::RolledPastExpected),
        ("4>9 P4 H5", Class::RolledPastExpected),
        ("4>5 P5 H5", Class::NoMovement),
        ("4>5 P5 H6", Class::UnexpectedAtP1),
        ("4>5 P5 H7", Class::UnexpectedMultistep),
        ("4>5 P4 H3", Class::InvariantViolation),
        ("4>5 P4 H-", Class::NoMovement),
        ("4>5 P- H5", Class::Gone),
    ];
    let confirmed: &[(&str, Class)] = &[
        ("4>5 P4 H4 C5", Class::NoMovement),
        ("4>5 P4 H5 C5", Class::RolledPastExpected),
        ("4>5 P4 H9 C9", Class::RolledPastExpected),
        ("4>5 P4 H9 C8", Class::UnexpectedMultistep),
        ("4>5 P5 H6 C6", Class::UnexpectedMultistep),
        ("4>5 P4 H5", Class::IncompletePhaseB),
        ("4>5 P4 H9", Class::IncompletePhaseB),
        ("4>5 P4 H4", Class::NoMovement),
        ("4>5 P4 H3 C5", Class::InvariantViolation),
    ];
    let rules = [
        (Mutation, 1, strict),
        (Mutation, 2, strict),
        (Load, 1, strict),
        (Load, 2, strict),
        (SchemaApply, 1, loose),
        (SchemaApply, 2, loose),
        (EnsureIndices, 1, loose),
        (EnsureIndices, 2, loose),
        (Optimize, 1, loose),
        (Optimize, 2, loose),
        (BranchMerge, 1, loose),
        (BranchMerge, 2, confirmed),
    ];
    for (kind, schema_version, cases) in rules {
        for (text, class) in cases {
            let found = classify(&table("node:A", text, kind), kind, schema_version);
            assert_eq!(found, *class, "{kind:?} of version {schema_version}: {text}");
        }
    }
}

#[test]
fn all_of_it_goes_forward_or_all_of_it_goes_back() {
    use WriterKind::{BranchMerge, EnsureIndices, Load, Mutation, Optimize};
    let cases: &[(WriterKind, u32, &[&str], &str)] = &[
        (Load, 1, &["4>5 P4 H5", "7>8 P7 H8"], "forward: node:A 4>5, node:B 7>8"),
        (Load, 2, &["4>5 P4 H5"], "forward: node:A 4>5"),
        (Mutation, 2, &["4>5 P4 H5"], "forward: node:A 4>5"),
        // One of two moved.
        (Load, 1, &["4>5 P4 H5", "7>8 P7 H7"], "back: node:A 5 to 4"),
        (Load, 2, &["4>5 P4 H4", "7>8 P7 H8"], "back: node:B 8 to 7"),
        // None did.
        (Load, 1, &["4>5 P4 H4", "7>8 P7 H7"], "back: nothing"),
        // One is not as it was meant, so none is published.
        (Load, 1, &["4>5 P4 H5", "7>8 P7 H9"], "back: node:A 5 to 4, node:B 9 to 7"),
        (Load, 1, &["4>5 P4 H5", "7>8 P8 H9"], "back: node:A 5 to 4, node:B 9 to 8"),
        (Optimize, 1, &["4>5 P4 H7"], "forward: node:A 4>7"),
        (Optimize, 1, &["4>5 P4 H5", "7>8 P7 H7"], "back: node:A 5 to 4"),
        (EnsureIndices, 2, &["4>5 P4 H6", "7>8 P7 H8"], "forward: node:A 4>6, node:B 7>8"),
        (BranchMerge, 1, &["4>5 P4 H6", "7>8 P7 H8"], "forward: node:A 4>6, node:B 7>8"),
        (BranchMerge, 2, &["4>5 P4 H6 C6", "7>8 P7 H8 C8"], "forward: node:A 4>6, node:B 7>8"),
        (BranchMerge, 2, &["4>5 P4 H6", "7>8 P7 H8"], "back: node:A 6 to 4, node:B 8 to 7"),
        (BranchMerge, 2, &["4>5 P4 H6 C5", "7>8 P7 H8 C8"], "back: node:A 6 to 4, node:B 8 to 7"),
        // It names no table: there is nothing to be undone.
        (BranchMerge, 2, &[], "forward: nothing"),
        (Optimize, 1, &[], "forward: nothing"),
        // Published, and only the sidecar stayed.
        (Load, 1, &["4>5 P5 H5", "7>8 P8 H8"], "record"),
        (Optimize, 1, &["4>5 P7 H7"], "record"),
        // A merge: whole, or not said to be whole, or of which only a part was published by others.
        (BranchMerge, 1, &["4>5 P5 H5", "7>8 P8 H8"], "record as gone back"),
        (BranchMerge, 1, &["4>5 P5 H5", "7>8 P7 H7"], "record as gone back"),
        (BranchMerge, 2, &["4>5 P6 H6 C6", "7>8 P8 H8 C8"], "record"),
        (BranchMerge, 2, &["4>5 P5 H5 C6", "7>8 P8 H8 C8"], "record as gone back"),
        (BranchMerge, 2, &["4>5 P5 H5", "7>8 P8 H8"], "record as gone back"),
        // One table was published with another's later write, the other is as it was.
        (Load, 1, &["4>5 P5 H5", "7>8 P7 H7"], "record"),
        (Load, 1, &["4>5 P- H5", "7>8 P8 H8"], "record"),
        // A table that left the branch takes the others back.
        (Load, 1, &["4>5 P- H5", "7>8 P7 H8"], "back: node:B 8 to 7"),
        (Load, 1, &["4>5 P- H5"], "back: nothing"),
        (Load, 1, &["4>5 P4 H-", "7>8 P7 H8"], "back: node:B 8 to 7"),
    ];
    for (kind, schema_version, tables, expected) in cases {
        let found = check(sidecar(*kind, *schema_version, tables));
        assert_eq!(found, *expected, "{kind:?} of version {schema_version}: {tables:?}");
    }
}

#[test]
fn a_head_behind_its_pin_is_refused() {
    let facts = sidecar(WriterKind::Load, 1, &["4>5 P4 H5", "7>8 P7 H6"]);
    insta::assert_snapshot!(
        check(facts),
        @"refuse: HEAD of node:B is behind its pin: pin 7, HEAD 6"
    );
}

#[test]
fn a_table_that_an_earlier_recovery_restored_is_only_published() {
    let facts = sidecar(WriterKind::Load, 1, &["4>5 P4 H6", "7>8 P7 H7"]);
    let facts = changed(facts, |content| {
        let last = &mut content.tables[0].ahead[1];
        last.operation = Some("Restore".to_owned());
        (last.restores, last.is_ours) = (Some(Version(4)), true);
    });
    assert_eq!(check(facts.clone()), "back: node:A 6 is 4");
    // One that restored something else is no such table.
    let facts = changed(facts, |content| content.tables[0].ahead[1].restores = Some(Version(3)));
    assert_eq!(check(facts), "back: node:A 6 to 4");
}

#[test]
fn a_recovery_that_died_after_it_took_tables_back_is_told_as_such() {
    let facts = sidecar(WriterKind::Load, 1, &["4>5 P6 H6", "7>8 P7 H7"]);
    let facts = changed(facts, |content| content.tables[0].was_taken_back = true);
    assert_eq!(check(facts), "record as gone back");
}

#[test]
fn a_sidecar_of_a_branch_that_is_gone_is_discarded() {
    let gone = |content: &mut ForeignContent| {
        content.branch = Branch::named("feat");
        content.branch_exists = false;
        for table in &mut content.tables {
            table.table.branch = Branch::named("feat");
            (table.pin, table.head) = (None, None);
            table.ahead.clear();
        }
    };
    let facts = changed(sidecar(WriterKind::Load, 2, &["4>5 P4 H5"]), gone);
    assert_eq!(check(facts.clone()), "discard");
    // One that only lost its file comes back with it, and needs to know what was unfinished.
    let lost = changed(facts, |content| content.branch_is_lost = true);
    assert_eq!(
        check(lost),
        "refuse: feat is no branch, but was published to: its file may be lost"
    );
}

#[test]
fn nothing_is_done_about_a_sidecar_beside_one_of_which_nothing_is_known() {
    let whole = sidecar(WriterKind::Load, 1, &["4>5 P4 H5"]);
    assert_eq!(check(whole.clone()), "forward: node:A 4>5");
    let mut unknown = sidecar(WriterKind::Load, 1, &["1>2 P1 H1"]);
    unknown.file = "__recovery/02.json".to_owned();
    unknown.content = Err("EOF".to_owned());
    let plan = plan(&[whole, unknown]);
    assert!(plan.steps.iter().all(|step| !step.decision.acts()), "{plan:#?}");
    assert!(
        line(&plan.steps[0]).starts_with(
            "wait: nothing is known of __recovery/02.json, which may be about any table"
        ),
        "{plan:#?}"
    );
}

#[test]
fn what_cannot_be_understood_stops_everything() {
    let mut facts = sidecar(WriterKind::Load, 1, &["4>5 P4 H5"]);
    facts.content = Err("expected `,` at line 3".to_owned());
    insta::assert_snapshot!(
        check(facts),
        @"stop: it cannot be understood: expected `,` at line 3"
    );
    let facts = changed(sidecar(WriterKind::Load, 1, &["4>5 P4 H5"]), |content| {
        (content.kind, content.kind_text) = (None, "Defragment".to_owned());
    });
    insta::assert_snapshot!(
        check(facts),
        @r#"stop: it is of a kind that is not known: "Defragment""#
    );
}

#[test]
fn what_points_elsewhere_is_refused() {
    let facts = changed(sidecar(WriterKind::Load, 1, &["4>5 P4 H5"]), |content| {
        content.tables[0].misplaced = Some("/etc/passwd is not where node:A lies".to_owned());
    });
    assert_eq!(check(facts), "refuse: /etc/passwd is not where node:A lies");
    let facts = changed(sidecar(WriterKind::Load, 1, &["4>5 P4 H5"]), |content| {
        content.tables[0].table.branch = Branch::named("feat");
    });
    insta::assert_snapshot!(
        check(facts),
        @"refuse: it is about branch main, and names node:A@feat"
    );
}

#[test]
fn a_commit_that_two_operations_claim_is_published_for_neither() {
    let first = sidecar(WriterKind::Load, 1, &["4>5 P4 H5"]);
    let mut second = sidecar(WriterKind::Load, 1, &["4>5 P4 H5", "7>8 P7 H8"]);
    second.file = "__recovery/02.json".to_owned();
    let lines: Vec<String> = plan(&[first.clone(), second]).steps.iter().map(line).collect();
    assert_eq!(lines, ["back: node:A 5 to 4", "back: node:A 5 to 4, node:B 8 to 7"]);
    // One that began from another pin claims something else.
    let mut later = sidecar(WriterKind::Load, 1, &["5>6 P4 H5"]);
    later.file = "__recovery/02.json".to_owned();
    assert_eq!(line(&plan(&[first, later]).steps[0]), "forward: node:A 4>5");
}

#[test]
fn every_sidecar_gets_one_step_in_the_order_of_its_name() {
    let mut second = sidecar(WriterKind::Optimize, 1, &["4>5 P4 H5"]);
    second.file = "__recovery/02.json".to_owned();
    let steps = plan(&[second, sidecar(WriterKind::Load, 1, &["4>5 P4 H4"])]).steps;
    let files: Vec<&str> = steps.iter().map(|step| step.file.as_str()).collect();
    assert_eq!(files, ["__recovery/01.json", "__recovery/02.json"]);
    assert_eq!(steps[0].classes, [Class::NoMovement]);
    assert_eq!(plan(&[]), RecoverPlan::default());
}

#[test]
fn what_points_to_something_unreadable_is_refused_for_that_reason_and_holds_nobody_else() {
    let lost = |content: &mut ForeignContent| {
        content.tables[0].pin = None;
        content.unread = Some(Unread { why: "node:A: no manifest".to_owned(), may_pass: false });
    };
    let unread = changed(sidecar(WriterKind::Load, 2, &["4>5 P4 H5", "7>8 P7 H8"]), lost);
    assert_eq!(check(unread.clone()), "refuse: node:A: no manifest");
    assert!(
        plan(std::slice::from_ref(&unread)).steps[0].classes.is_empty(),
        "nothing is known of its tables"
    );
    // Another's table is dealt with, unless both were to go on from the same version of it.
    let mut other = sidecar(WriterKind::Load, 2, &["1>2 P1 H2"]);
    other.file = "__recovery/02.json".to_owned();
    other = changed(other, |content| content.tables[0].table.key = TableKey::new("node:C"));
    let steps = plan(&[unread.clone(), other.clone()]).steps;
    assert_eq!(line(&steps[1]), "forward: node:C 1>2");
    let same = changed(other, |content| {
        content.tables[0] = table("node:B", "7>8 P7 H8", WriterKind::Load)
    });
    let steps = plan(&[unread.clone(), same]).steps;
    assert_eq!(line(&steps[1]), "back: node:B 8 to 7");
    // As long as its writer may be alive, nothing is said of what he is at.
    let young = changed(unread, |content| content.started_at = Some(now()));
    assert!(check(young).starts_with("wait: "));
}

#[test]
fn what_is_to_go_back_to_a_version_that_is_gone_is_refused_and_what_goes_forward_is_not() {
    let lost = |tables: &[&str]| {
        let facts = sidecar(WriterKind::Load, 2, tables);
        let facts = changed(facts, |content| content.tables[0].lacks_pin = true);
        let step = plan(&[facts]).steps.remove(0);
        (step.decision == Decision::Refuse, step.why)
    };
    let (is_refused, why) = lost(&["5>6 P5 H7"]);
    assert!(is_refused && why.contains("nothing to go back to: version 5 of node:A"), "{why}");
    // What is taken back for another table's sake, too.
    assert!(lost(&["5>6 P5 H6", "5>6 P5 H5"]).0);
    assert!(!lost(&["5>6 P5 H6"]).0, "it goes forward");
    assert!(!lost(&["5>6 P5 H5", "5>6 P5 H7"]).0, "nothing of it moved");
}
