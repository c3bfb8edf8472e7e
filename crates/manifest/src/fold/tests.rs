//! The fold on hand-written rows.

use super::*;
use crate::row::version_row_id;

fn row(object_type: &str, key: &str, version: Option<u64>) -> Row {
    Row {
        object_id: match version {
            Some(version) => version_row_id(key, Version(version)),
            None => key.to_owned(),
        },
        object_type: object_type.to_owned(),
        location: (object_type == TABLE).then(|| format!("nodes/{key}")),
        metadata: None,
        table_key: key.to_owned(),
        table_version: version,
        table_branch: None,
        row_count: Some(10),
    }
}

#[test]
fn the_greatest_version_is_visible_whatever_the_order() {
    let rows = [
        row(TABLE_VERSION, "b", Some(7)),
        row(TABLE, "b", None),
        row(TABLE_VERSION, "b", Some(12)),
        row(TABLE_VERSION, "b", Some(9)),
        row(TABLE, "a", None),
        row(TABLE_VERSION, "a", Some(1)),
    ];
    let folded = fold(&rows).unwrap();
    let seen: Vec<_> = folded.pins.iter().map(|p| (p.key.as_str(), p.version.0)).collect();
    assert_eq!(seen, [("a", 1), ("b", 12)]);
    assert_eq!(folded.pins[1].location, "nodes/b");
}

#[test]
fn a_tombstone_hides_a_table_until_a_newer_version() {
    let mut rows = vec![
        row(TABLE, "a", None),
        row(TABLE_VERSION, "a", Some(3)),
        row(TABLE_TOMBSTONE, "a", Some(4)),
    ];
    assert!(fold(&rows).unwrap().pins.is_empty());
    rows.push(row(TABLE_VERSION, "a", Some(4)));
    assert!(fold(&rows).unwrap().pins.is_empty(), "a tombstone at the version hides it");
    rows.push(row(TABLE_VERSION, "a", Some(5)));
    assert_eq!(fold(&rows).unwrap().pins[0].version, Version(5));
}

#[test]
fn a_version_without_a_table_is_an_error_and_unknown_rows_are_not() {
    assert_eq!(
        fold(&[row(TABLE_VERSION, "a", Some(3))]).unwrap_err(),
        FoldError::NoLocation("a".to_owned())
    );
    assert!(fold(&[row("something_new", "a", Some(3))]).unwrap().pins.is_empty());
}

#[test]
fn the_head_commit_is_the_one_of_the_newest_manifest_version() {
    let commit = |id: &str, version: u64, created_at: i64| Row {
        object_id: id.to_owned(),
        metadata: Some(format!("{{\"created_at\":{created_at}}}")),
        ..row(GRAPH_COMMIT, "", Some(version))
    };
    let rows = [commit("C", 3, 50), commit("A", 9, 10), commit("B", 9, 20)];
    assert_eq!(fold(&rows).unwrap().head_commit.as_deref(), Some("B"));
}
