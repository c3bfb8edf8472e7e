//! Documents of an invented kind that is at version 3, and the versions of those there are.

use serde_json::json;

use super::*;

/// A document as it is at version 3.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Box3 {
    schema: u32,
    sides: Vec<u64>,
    unit: String,
}

/// From version 1, with one side, to 2, with all of them.
fn has_sides(mut document: Value) -> Value {
    let side = document["side"].clone();
    (document["schema"], document["sides"]) = (json!(2), json!([side]));
    document
}

/// From version 2, where all was in metres, to 3.
fn has_unit(mut document: Value) -> Value {
    (document["schema"], document["unit"]) = (json!(3), json!("m"));
    document
}

const STEPS: &[Step] = &[has_sides, has_unit];

fn read_box(content: &str) -> Result<Box3, DocumentError> {
    read(content.as_bytes(), Field::Schema, STEPS)
}

#[test]
fn an_older_document_is_brought_along_step_by_step_and_a_current_one_is_read_as_it_is() {
    let expected = |sides: &[u64], unit: &str| Box3 {
        schema: 3,
        sides: sides.to_vec(),
        unit: unit.to_owned(),
    };
    let first = read_box(r#"{"schema": 1, "side": 7}"#).unwrap();
    assert_eq!(first, expected(&[7], "m"));
    let second = read_box(r#"{"schema": 2, "sides": [1, 2]}"#).unwrap();
    assert_eq!(second, expected(&[1, 2], "m"));
    let third = read_box(r#"{"schema": 3, "sides": [], "unit": "inch"}"#).unwrap();
    assert_eq!(third, expected(&[], "inch"));
}

#[test]
fn a_newer_document_is_refused_with_both_versions_whatever_else_is_in_it() {
    let refused = read_box(r#"{"schema": 4, "sides": "none", "volume": 8}"#).unwrap_err();
    assert!(matches!(refused, DocumentError::Newer { found: 4, known: 3, .. }), "{refused:?}");
    assert_eq!(
        refused.to_string(),
        "it has schema 4; this version of lancekeeper knows 3: upgrade lancekeeper first"
    );
}

#[test]
fn what_says_no_version_that_ever_was_is_damaged() {
    let cases = [
        "",
        "banana",
        "[3]",
        r#"{"sides": [], "unit": "m"}"#,
        r#"{"schema": "3", "sides": [], "unit": "m"}"#,
        r#"{"schema": 0, "sides": [], "unit": "m"}"#,
        r#"{"schema": -1}"#,
        r#"{"schema": 3, "sides": 1}"#,
        r#"{"schema": 1}{"#,
    ];
    for content in cases {
        let refused = read_box(content).unwrap_err();
        assert!(matches!(refused, DocumentError::Damaged(_)), "{content}: {refused:?}");
    }
}

#[test]
fn each_kind_reads_its_own_version_where_it_says_it_and_refuses_the_next() {
    let kinds = [
        (DocumentKind::Journal, "schema"),
        (DocumentKind::MigrationNote, "schema"),
        (DocumentKind::CleanupList, "schema"),
        (DocumentKind::Job, "schema"),
        (DocumentKind::Noops, "schema"),
        (DocumentKind::Layout, "version"),
        (DocumentKind::Statistics, "format"),
        (DocumentKind::Policy, "format"),
    ];
    for (kind, field) in kinds {
        let version = u64::from(kind.version());
        let of = |number: u64| {
            let content = json!({ field: number, "else": [] }).to_string();
            kind.read::<Value>(content.as_bytes())
        };
        assert!(of(version).is_ok(), "{kind:?}");
        let refused = of(version + 1).unwrap_err();
        assert!(matches!(refused, DocumentError::Newer { .. }), "{kind:?}: {refused:?}");
        assert!(!kind.is_newer(version) && kind.is_newer(version + 1), "{kind:?}");
    }
}

#[test]
fn a_lock_of_the_first_version_is_no_obstacle() {
    assert!(!DocumentKind::Lock.is_newer(1) && !DocumentKind::Lock.is_newer(2));
    assert!(DocumentKind::Lock.is_newer(3));
}
