//! Schema applies: their sidecars, their staging files and their lock.

use super::*;

const YES: Fit = Fit { now: true, then: true };
const NOW: Fit = Fit { now: true, then: false };
const THEN: Fit = Fit { now: false, then: true };
const NO: Fit = Fit { now: false, then: false };

fn schema(staging: Staging, live: Fit, staged: Fit) -> SchemaFacts {
    SchemaFacts { staging, live, staged }
}

fn applied(tables: &[&str], schema: SchemaFacts) -> ForeignFacts {
    changed(sidecar(WriterKind::SchemaApply, 2, tables), |content| content.schema = schema)
}

fn added(key: &str, is_registered: bool, head: Option<u64>) -> AddedTable {
    AddedTable {
        key: TableKey::new(key),
        location: "nodes/1f".to_owned(),
        misplaced: None,
        is_registered,
        head: head.map(Version),
    }
}

fn dropped(key: &str, tombstone: u64, pin: Option<u64>) -> DroppedTable {
    DroppedTable { key: TableKey::new(key), tombstone: Version(tombstone), pin: pin.map(Version) }
}

#[test]
fn a_schema_apply_goes_forward_only_with_its_schema() {
    let cases = [
        // Died before, while and after it staged its schema.
        ("4>5 P4 H5", schema(Staging::None, NOW, NO), "back: node:A 5 to 4"),
        ("4>5 P4 H5", schema(Staging::Torn, NOW, NO), "back: node:A 5 to 4 and its schema"),
        ("4>5 P4 H5", schema(Staging::Whole, NOW, THEN), "forward: node:A 4>5 and its schema"),
        // Died after it published, before and while its files were renamed, and after that.
        ("4>5 P5 H5", schema(Staging::Whole, NO, YES), "record and its schema"),
        ("4>5 P5 H5", schema(Staging::Rest, NO, YES), "record and its schema"),
        ("4>5 P5 H5", schema(Staging::None, YES, NO), "record"),
        // A recovery took the schema over and died before it published.
        ("4>5 P4 H5", schema(Staging::None, THEN, NO), "forward: node:A 4>5"),
        // It died before it committed anything.
        ("4>5 P4 H4", schema(Staging::None, YES, NO), "back: nothing"),
        // A staged schema that is none of its tables.
        (
            "4>5 P4 H5",
            schema(Staging::Whole, NOW, NO),
            "refuse: the staged schema is not that of the tables it committed to",
        ),
        (
            "4>5 P4 H5",
            schema(Staging::Odd("x.staging is no JSON".to_owned()), NOW, NO),
            "refuse: x.staging is no JSON",
        ),
        (
            "4>5 P5 H6",
            schema(Staging::Rest, NO, YES),
            "refuse: node:A is not as its writer meant it to be: pin 5, HEAD 6, expected 4 to 5; but its schema counts already in part",
        ),
    ];
    for (tables, schema, expected) in cases {
        let text = format!("{tables} {schema:?}");
        assert_eq!(check(applied(&[tables], schema)), expected, "{text}");
    }
}

#[test]
fn a_schema_apply_that_adds_and_drops_types_names_no_table() {
    let apply = |schema, is_registered, head, pin| {
        check(changed(applied(&[], schema), |content| {
            content.added = vec![added("node:New", is_registered, head)];
            content.dropped = vec![dropped("node:Old", 5, pin)];
        }))
    };
    let staged = || schema(Staging::Whole, NOW, THEN);
    assert_eq!(
        apply(staged(), false, Some(1), Some(4)),
        "forward: +node:New@1, -node:Old@5 and its schema"
    );
    // Published, not renamed: what is there already is left out.
    let published = schema(Staging::Whole, NO, YES);
    assert_eq!(apply(published, true, Some(1), None), "forward: nothing and its schema");
    assert_eq!(apply(schema(Staging::None, YES, NO), true, Some(1), None), "record");
    assert_eq!(apply(schema(Staging::None, NOW, NO), false, Some(1), Some(4)), "back: nothing");
    insta::assert_snapshot!(
        apply(staged(), false, None, Some(4)),
        @"refuse: there is no dataset of node:New at nodes/1f"
    );
    insta::assert_snapshot!(
        apply(staged(), false, Some(1), Some(6)),
        @"refuse: node:Old was published to since it was to be dropped"
    );
}

#[test]
fn staged_files_without_a_sidecar_are_told_apart_by_the_tables() {
    let options = RecoverOptions::default();
    let fate = |staging, live, staged, written: i64| {
        let schema = schema(staging, live, staged);
        let fate = decide_staging(&schema, Some(at(written)), &options, now());
        fate.map(|fate| format!("{:?}: {}", fate.action, fate.why)).unwrap_or_default()
    };
    assert_eq!(fate(Staging::None, YES, NO, 0), "");
    insta::assert_snapshot!(
        fate(Staging::Torn, YES, NO, 0),
        @"Remove: they were not written to the end"
    );
    insta::assert_snapshot!(
        fate(Staging::Rest, NO, YES, 0),
        @"Promote: the tables are published, and the source counts already"
    );
    insta::assert_snapshot!(
        fate(Staging::Whole, YES, NO, 0),
        @"Remove: the schema that counts is that of the tables"
    );
    insta::assert_snapshot!(
        fate(Staging::Whole, YES, YES, 0),
        @"Remove: the schema that counts is that of the tables"
    );
    insta::assert_snapshot!(
        fate(Staging::Whole, NO, YES, 0),
        @"Promote: the staged schema is that of the tables"
    );
    insta::assert_snapshot!(
        fate(Staging::Whole, NO, NO, 0),
        @"Refuse: neither the schema that counts nor the staged one is that of the tables"
    );
    insta::assert_snapshot!(
        fate(Staging::Odd("they are no JSON".to_owned()), YES, NO, 0),
        @"Refuse: they are no JSON"
    );
    insta::assert_snapshot!(
        fate(Staging::Whole, YES, NO, 3000),
        @"Wait: its writer may be alive; it is presumed dead at 2027-01-15T09:05:00Z"
    );
}

#[test]
fn the_lock_of_schema_applies_goes_when_nothing_needs_it_and_it_is_old_enough() {
    let fate = |created: Option<i64>, is_needed, assumed_dead| {
        let mut options = RecoverOptions::default();
        options.assumed_dead = assumed_dead;
        let lock = LockFacts { created_at: created.map(at), is_needed };
        let fate = decide_lock(&lock, &options, now());
        format!("{:?}: {}", fate.action, fate.why)
    };
    insta::assert_snapshot!(
        fate(Some(0), false, AssumedDead::Nobody),
        @"Remove: no schema apply needs it: there is no sidecar and no staged schema of one"
    );
    insta::assert_snapshot!(
        fate(Some(3000), false, AssumedDead::Nobody),
        @"Wait: a schema apply may be running; it is presumed dead at 2027-01-15T09:05:00Z"
    );
    assert!(fate(None, false, AssumedDead::Nobody).starts_with("Wait: "));
    assert!(fate(Some(3000), false, AssumedDead::All).starts_with("Remove: "));
    let named = AssumedDead::These(vec!["__schema_apply_lock__".to_owned()]);
    assert!(fate(Some(3000), false, named).starts_with("Remove: "));
    insta::assert_snapshot!(
        fate(Some(0), true, AssumedDead::All),
        @"Wait: a schema apply is unfinished: that comes first"
    );
}
