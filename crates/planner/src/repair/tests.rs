//! Histories, and what becomes of them.

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn wish() -> Wish {
    Wish {
        force: false,
        restore_pin: false,
        dead_after: TimeDelta::minutes(15),
        assume_dead: false,
    }
}

/// A table pinned at 5 of which these operations were committed since, the last an hour ago.
/// `Restore5` brings back version 5, `?` cannot be read.
fn drifted(operations: &str) -> DriftFacts {
    let mut versions = Vec::new();
    for (number, operation) in (6..).zip(operations.split_whitespace()) {
        let effect = match operation {
            "Rewrite" | "ReserveFragments" | "CreateIndex" => Effect::Maintenance,
            "?" => Effect::Unreadable,
            other => match other.strip_prefix("Restore") {
                Some(to) => Effect::Restore(Version(to.parse().unwrap())),
                None => Effect::Change,
            },
        };
        versions.push(VersionFacts {
            version: Version(number),
            operation: operation.to_owned(),
            effect,
        });
    }
    DriftFacts {
        table: TableRef::on_main(lancekeeper_model::TableKey::new("node:Person")),
        pin: Version(5),
        rows_pinned: Some(10),
        head: Version(5 + versions.len() as u64),
        rows_head: 10,
        newest_at: at(NOW - 3_600),
        versions,
        tags: BTreeMap::new(),
    }
}

fn planned(facts: &DriftFacts, wish: Wish) -> RepairPlan {
    plan_repair(facts, wish, at(NOW))
}

#[test]
fn a_history_has_the_class_of_what_it_adds_up_to() {
    let classes = [
        "",
        "Rewrite",
        "ReserveFragments Rewrite CreateIndex",
        "Append",
        "Rewrite Append Rewrite",
        "?",
        "? Rewrite",
        "Append ?",
        "? Append",
        "Append Restore5",
        "? Restore5 Rewrite",
        "Append Restore5 Delete",
        "Restore4",
        "Append Restore6",
        "Rewrite Append Restore6",
        "Append Rewrite Restore6",
        "? Append Restore6",
    ];
    let line = |operations: &&str| {
        let plan = planned(&drifted(operations), wish());
        format!("{operations:?}: {} ({})", plan.class.unwrap().as_str(), plan.why)
    };
    insta::assert_snapshot!(classes.iter().map(line).collect::<Vec<_>>().join("\n"), @r#"
    "": no_drift (readers see the newest version)
    "Rewrite": verified_maintenance (only maintenance: the same rows)
    "ReserveFragments Rewrite CreateIndex": verified_maintenance (only maintenance: the same rows)
    "Append": suspicious (version 6 may have changed rows (Append))
    "Rewrite Append Rewrite": suspicious (version 7 may have changed rows (Append))
    "?": unverifiable (what version 6 did cannot be read (?))
    "? Rewrite": unverifiable (what version 6 did cannot be read (?))
    "Append ?": suspicious (version 6 may have changed rows (Append))
    "? Append": suspicious (version 7 may have changed rows (Append))
    "Append Restore5": verified_maintenance (what was committed was taken back: the same rows)
    "? Restore5 Rewrite": verified_maintenance (what was committed was taken back: the same rows)
    "Append Restore5 Delete": suspicious (version 8 may have changed rows (Delete))
    "Restore4": suspicious (version 6 may have changed rows (Restore4))
    "Append Restore6": suspicious (version 6 may have changed rows (Append))
    "Rewrite Append Restore6": verified_maintenance (what was committed was taken back: the same rows)
    "Append Rewrite Restore6": suspicious (version 6 may have changed rows (Append))
    "? Append Restore6": unverifiable (what version 6 did cannot be read (?))
    "#);
}

#[test]
fn maintenance_is_published_at_any_age_and_anything_else_takes_a_decision() {
    let force = Wish { force: true, ..wish() };
    let back = Wish { restore_pin: true, ..wish() };
    let tag = Decision::Restore { tag: "lancekeeper-drift-6".to_owned(), is_there: false };
    for (operations, wish, decision) in [
        ("", wish(), Decision::Nothing),
        ("Rewrite", wish(), Decision::Heal),
        ("Rewrite", force, Decision::Heal),
        ("Rewrite", back, Decision::Heal),
        ("Append", wish(), Decision::Refuse),
        ("?", wish(), Decision::Refuse),
        ("Append", force, Decision::Force),
        ("?", force, Decision::Force),
        ("Append", back, tag.clone()),
        ("?", Wish { force: true, ..back }, tag),
    ] {
        assert_eq!(planned(&drifted(operations), wish).decision, decision, "{operations} {wish:?}");
    }
}

#[test]
fn what_its_writer_may_be_about_to_publish_is_left_to_him() {
    for wish in [Wish { force: true, ..wish() }, Wish { restore_pin: true, ..wish() }] {
        // The last of them by a clock that is ahead of ours.
        for age in [0, 14 * 60, -3_600] {
            let mut young = drifted("Append");
            young.newest_at = at(NOW - age);
            let plan = planned(&young, wish);
            assert_eq!(plan.decision, Decision::Refuse, "{age}");
            assert!(plan.why.contains("may be about to publish"), "{}", plan.why);
            let sure = planned(&young, Wish { assume_dead: true, ..wish });
            assert_ne!(sure.decision, Decision::Refuse);
            let mut maintained = drifted("Rewrite");
            maintained.newest_at = young.newest_at;
            assert_eq!(planned(&maintained, wish).decision, Decision::Heal);
        }
        let mut old = drifted("Append");
        old.newest_at = at(NOW - 15 * 60);
        assert_ne!(planned(&old, wish).decision, Decision::Refuse);
    }
}

#[test]
fn maintenance_in_which_rows_are_missing_is_none() {
    let mut facts = drifted("ReserveFragments Rewrite");
    facts.rows_head = 9;
    let plan = planned(&facts, wish());
    assert_eq!((plan.class, plan.decision), (Some(DriftClass::Suspicious), Decision::Refuse));
    assert!(plan.why.contains("has 9 rows and readers see 10"), "{}", plan.why);
    // Of a pin that is gone only the history tells.
    facts.rows_pinned = None;
    assert_eq!(planned(&facts, wish()).decision, Decision::Heal);
}

#[test]
fn nothing_goes_back_to_a_version_that_cannot_be_opened() {
    let facts = DriftFacts { rows_pinned: None, ..drifted("Append") };
    let plan = planned(&facts, Wish { restore_pin: true, ..wish() });
    assert_eq!(plan.decision, Decision::Refuse);
    assert!(plan.why.contains("nothing to go back to"), "{}", plan.why);
    assert_eq!(planned(&facts, Wish { force: true, ..wish() }).decision, Decision::Force);
}

#[test]
fn a_head_behind_its_pin_is_damage_and_a_chain_that_was_not_read_to_its_end_is_not_judged() {
    let behind = DriftFacts { head: Version(4), ..drifted("") };
    let plan = planned(&behind, Wish { force: true, ..wish() });
    assert_eq!((plan.class, plan.decision), (None, Decision::Broken));
    let long = DriftFacts { head: Version(5_000), ..drifted("Rewrite Rewrite") };
    assert_eq!(planned(&long, wish()).class, Some(DriftClass::Unverifiable));
}

#[test]
fn what_is_taken_back_keeps_the_name_that_it_has_or_gets_a_free_one() {
    let back = Wish { restore_pin: true, ..wish() };
    let main = |version| (Branch::main(), Version(version));
    let tag = |facts: &DriftFacts| match planned(facts, back).decision {
        Decision::Restore { tag, is_there } => (tag, is_there),
        other => panic!("{other:?}"),
    };
    let mut facts = drifted("Append");
    facts.tags.insert("release".to_owned(), main(6));
    assert_eq!(tag(&facts), ("lancekeeper-drift-6".to_owned(), false));
    // Of an earlier life of the table.
    facts.tags.insert("lancekeeper-drift-6".to_owned(), main(3));
    assert_eq!(tag(&facts), ("lancekeeper-drift-6-2".to_owned(), false));
    // Of a run that died.
    facts.tags.insert("lancekeeper-drift-6-2".to_owned(), main(6));
    assert_eq!(tag(&facts), ("lancekeeper-drift-6-2".to_owned(), true));
    let mut fork = drifted("Append");
    fork.table.branch = Branch::named("team/feat");
    fork.tags.insert("lancekeeper-drift-6".to_owned(), main(6));
    assert_eq!(tag(&fork), ("lancekeeper-drift-team_feat-6".to_owned(), false));
}

#[test]
fn what_was_taken_back_by_a_run_that_died_is_still_known_by_its_tag() {
    let mut facts = drifted("Append Restore5");
    facts.tags.insert("lancekeeper-drift-6".to_owned(), (Branch::main(), Version(6)));
    let plan = planned(&facts, wish());
    assert_eq!(plan.decision, Decision::Heal);
    assert_eq!(plan.kept_as.as_deref(), Some("lancekeeper-drift-6"));
}

fn operation() -> impl Strategy<Value = Effect> {
    prop_oneof![
        3 => Just(Effect::Maintenance),
        1 => Just(Effect::Change),
        1 => Just(Effect::Unreadable),
        2 => (1u64..14).prop_map(|to| Effect::Restore(Version(to))),
    ]
}

/// Rows as numbers that no two changes share: what readers would really see.
fn content(effects: &[Effect]) -> Vec<Option<u64>> {
    // Versions 1 to 5; the last is the pin.
    let mut contents: Vec<Option<u64>> = (1..=5).map(Some).collect();
    for (number, effect) in (100..).zip(effects) {
        let last = contents.last().copied().flatten();
        contents.push(match effect {
            Effect::Maintenance => last,
            Effect::Change => Some(number),
            Effect::Unreadable => None,
            Effect::Restore(to) => contents.get(to.0 as usize - 1).copied().flatten(),
        });
    }
    contents
}

proptest! {
    #[test]
    fn only_the_rows_that_readers_see_already_are_published_unasked(
        effects in prop::collection::vec(operation(), 0..8),
    ) {
        let mut facts = drifted("");
        for (number, effect) in (6..).zip(&effects) {
            let (version, operation) = (Version(number), "X".to_owned());
            facts.versions.push(VersionFacts { version, operation, effect: *effect });
        }
        facts.head = Version(5 + effects.len() as u64);
        let plan = planned(&facts, wish());
        let is_same = content(&effects).last().copied().flatten() == Some(5);
        let is_published = matches!(plan.decision, Decision::Heal | Decision::Nothing);
        prop_assert_eq!(is_published, is_same, "{:?}", plan);
        // With the caller's word everything comes to an end.
        for wish in [Wish { force: true, ..wish() }, Wish { restore_pin: true, ..wish() }] {
            prop_assert_ne!(planned(&facts, wish).decision, Decision::Refuse);
        }
    }
}
