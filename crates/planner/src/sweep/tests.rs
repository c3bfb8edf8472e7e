//! Every case of the sweep, as a table: the sidecar on the left, the step on the right.

use lancekeeper_model::TableKey;

use super::*;

fn table(key: &str) -> TableRef {
    TableRef::on_main(TableKey::new(key))
}

/// A sidecar of ours on `node:A`, armed at version 4. `ahead` has one letter per version
/// after the pin: `o` is ours, `f` somebody else's.
fn ours(pin: u64, ahead: &str) -> SidecarFacts {
    SidecarFacts {
        file: "__recovery/01.json".into(),
        operation: Some(OperationId::new("01")),
        schema_version: Some(1),
        writer_kind: "Optimize".into(),
        ours: true,
        readable: Ok(()),
        branch: Branch::main(),
        tables: vec![SidecarTableFacts {
            table: table("node:A"),
            expected: Version(4),
            pin: Some(Version(pin)),
            head: Version(pin + ahead.len() as u64),
            ahead: ahead.chars().map(|letter| letter == 'o').collect(),
        }],
        unread: None,
    }
}

fn foreign(file: &str, keys: &[&str]) -> SidecarFacts {
    let mut facts = ours(4, "f");
    facts.file = file.into();
    facts.writer_kind = "Load".into();
    facts.ours = false;
    let named = facts.tables[0].clone();
    facts.tables =
        keys.iter().map(|key| SidecarTableFacts { table: table(key), ..named.clone() }).collect();
    facts
}

/// Sweeps and prints one line per step and per blocked table.
fn check(sidecars: Vec<SidecarFacts>) -> String {
    let plan = plan_sweep(&SweepInventory { sidecars });
    let steps = plan.steps.iter().map(|step| format!("{}: {}", step.decision, step.why));
    let blocked =
        plan.blocked.iter().map(|(table, claim)| format!("blocked: {table} by {}", claim.file));
    steps.chain(blocked).collect::<Vec<_>>().join("\n")
}

/// [`check`] on a sidecar of ours that was changed.
fn check_changed(mut facts: SidecarFacts, change: fn(&mut SidecarFacts)) -> String {
    change(&mut facts);
    check(vec![facts])
}

#[test]
fn nothing_is_decided_without_sidecars() {
    assert_eq!(plan_sweep(&SweepInventory::default()), SweepPlan::default());
}

#[test]
fn versions_of_ours_are_published() {
    insta::assert_snapshot!(
        check(vec![ours(4, "o")]),
        @"publish node:A from 4 to 5: what follows the pin 4 of node:A is ours up to version 5"
    );
    insta::assert_snapshot!(
        check(vec![ours(4, "ooo")]),
        @"publish node:A from 4 to 7: what follows the pin 4 of node:A is ours up to version 7"
    );
}

#[test]
fn versions_of_ours_are_published_on_top_of_a_pin_that_moved() {
    insta::assert_snapshot!(
        check(vec![ours(5, "oo")]),
        @"publish node:A from 5 to 7: what follows the pin 5 of node:A is ours up to version 7"
    );
}

#[test]
fn foreign_commits_after_ours_stay_unpublished() {
    insta::assert_snapshot!(
        check(vec![ours(4, "oof")]),
        @"publish node:A from 4 to 6: what follows the pin 4 of node:A is ours up to version 6; the rest, up to HEAD 7, is not and stays unpublished"
    );
    insta::assert_snapshot!(
        check(vec![ours(4, "ofo")]),
        @"publish node:A from 4 to 5: what follows the pin 4 of node:A is ours up to version 5; the rest, up to HEAD 7, is not and stays unpublished"
    );
}

#[test]
fn a_sidecar_before_its_first_commit_is_discarded() {
    insta::assert_snapshot!(
        check(vec![ours(4, "")]),
        @"discard: nothing was committed: HEAD and pin of node:A are 4"
    );
}

#[test]
fn a_sidecar_whose_versions_were_published_is_discarded() {
    insta::assert_snapshot!(
        check(vec![ours(6, "")]),
        @"discard: already published: the pin of node:A is 6"
    );
}

#[test]
fn a_sidecar_of_ours_is_not_left_over_a_foreign_commit() {
    insta::assert_snapshot!(
        check(vec![ours(4, "f")]),
        @"discard: what is ahead of the pin 4 of node:A, up to HEAD 5, is not ours"
    );
    insta::assert_snapshot!(
        check(vec![ours(4, "fo")]),
        @"discard: what is ahead of the pin 4 of node:A, up to HEAD 6, is not ours"
    );
}

#[test]
fn a_sidecar_about_a_table_that_is_gone_is_discarded() {
    insta::assert_snapshot!(
        check_changed(ours(4, "o"), |facts| facts.tables[0].pin = None),
        @"discard: the branch has no table node:A any more"
    );
}

#[test]
fn a_head_behind_its_pin_is_refused_and_blocks_its_table() {
    insta::assert_snapshot!(
        check_changed(ours(4, ""), |facts| facts.tables[0].head = Version(3)),
        @r"
        refuse: HEAD 3 of node:A is behind manifest version 4
        blocked: node:A by __recovery/01.json
    "
    );
}

#[test]
fn an_inventory_that_missed_versions_is_refused_and_blocks_its_table() {
    insta::assert_snapshot!(
        check_changed(ours(4, "oo"), |facts| { facts.tables[0].ahead.pop(); }),
        @r"
        refuse: 1 versions of node:A were examined, 2 are ahead of its pin 4
        blocked: node:A by __recovery/01.json
    "
    );
}

#[test]
fn what_cannot_be_read_stops_everything() {
    let unreadable: fn(&mut SidecarFacts) =
        |facts| facts.readable = Err("expected `,` at line 3".into());
    insta::assert_snapshot!(
        check_changed(ours(4, "o"), unreadable),
        @"stop: it cannot be read: expected `,` at line 3"
    );
    insta::assert_snapshot!(
        check_changed(foreign("f", &["node:A"]), unreadable),
        @"stop: it cannot be read: expected `,` at line 3"
    );
}

#[test]
fn what_is_newer_than_known_stops_everything() {
    insta::assert_snapshot!(
        check_changed(ours(4, "o"), |f| f.schema_version = Some(2)),
        @"publish node:A from 4 to 5: what follows the pin 4 of node:A is ours up to version 5"
    );
    insta::assert_snapshot!(
        check_changed(ours(4, "o"), |f| f.schema_version = Some(3)),
        @"stop: its schema version 3 is newer than 2, the newest known"
    );
    insta::assert_snapshot!(
        check_changed(foreign("f", &["node:A"]), |f| f.schema_version = Some(9)),
        @"stop: its schema version 9 is newer than 2, the newest known"
    );
}

#[test]
fn a_table_that_cannot_be_read_is_blocked_and_holds_no_other_sidecar() {
    let mut unread = ours(4, "");
    unread.file = "__recovery/00.json".into();
    unread.unread = Some(Unread { why: "its manifest is damaged".into(), may_pass: false });
    let mut other = ours(4, "o");
    other.tables[0].table = table("node:B");
    insta::assert_snapshot!(check(vec![unread, other]), @r"
        refuse: its manifest is damaged
        publish node:B from 4 to 5: what follows the pin 4 of node:B is ours up to version 5
        blocked: node:A by __recovery/00.json
    ");
}

#[test]
fn a_sidecar_of_ours_with_another_number_of_tables_is_refused() {
    insta::assert_snapshot!(
        check_changed(ours(4, "o"), |facts| facts.tables.clear()),
        @"refuse: a sidecar of ours names one table, this one names 0"
    );
    insta::assert_snapshot!(
        check_changed(ours(4, "o"), |facts| facts.tables.push(facts.tables[0].clone())),
        @r"
        refuse: a sidecar of ours names one table, this one names 2
        blocked: node:A by __recovery/01.json
    "
    );
}

#[test]
fn foreign_sidecars_are_left_and_block_their_tables() {
    insta::assert_snapshot!(
        check(vec![
            foreign("__recovery/03.json", &["node:B", "edge:K"]),
            foreign("__recovery/02.json", &["node:B"]),
        ]),
        @r"
        leave to its writer: it belongs to another writer (Load)
        leave to its writer: it belongs to another writer (Load)
        blocked: edge:K by __recovery/03.json
        blocked: node:B by __recovery/02.json
        blocked: node:B by __recovery/03.json
    "
    );
}

#[test]
fn two_sidecars_of_ours_on_one_table_are_published_one_after_the_other() {
    let first = ours(4, "off");
    let mut second = ours(4, "foo");
    second.file = "__recovery/02.json".into();
    insta::assert_snapshot!(check(vec![second, first]), @r"
        publish node:A from 4 to 5: what follows the pin 4 of node:A is ours up to version 5; the rest, up to HEAD 7, is not and stays unpublished
        publish node:A from 5 to 7: what follows the pin 5 of node:A is ours up to version 7
    ");
}

#[test]
fn stops_are_found_among_other_steps() {
    let mut bad = ours(4, "");
    bad.file = "__recovery/00.json".into();
    bad.readable = Err("empty file".into());
    let plan = plan_sweep(&SweepInventory { sidecars: vec![ours(4, "o"), bad] });
    let files: Vec<&str> = plan.stops().map(|step| step.file.as_str()).collect();
    assert_eq!(files, ["__recovery/00.json"]);
}
