//! What is found in a directory of tables.

use std::time::SystemTime;

use super::*;
use crate::root::recognise;

fn database_of(paths: &[&str]) -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    for path in paths {
        let file = dir.path().join(path);
        if path.ends_with('/') {
            fs::create_dir_all(file).unwrap();
        } else {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
    }
    let root = recognise(&dir.path().to_string_lossy()).unwrap();
    (dir, root)
}

fn states(found: &Members) -> Vec<(&str, &str, MemberState)> {
    found.all.iter().map(|m| (m.key.as_str(), m.location.as_str(), m.state)).collect()
}

#[tokio::test]
async fn what_has_no_version_is_no_table_unless_a_writer_left_files_there() {
    let (_dir, root) = database_of(&[
        "a.lance/_versions/1.manifest",
        "declared.lance/.lance-reserved",
        "empty.lance/",
        "gone.lance/_versions/1.manifest",
        "gone.lance/.lance-deregistered",
        "lost.lance/data/x.lance",
        "making.lance/data/x.lance",
        "refs.lance/_refs/tags/t.json",
        "some.lance/_versions/",
        "file.lance",
        "notes/readme",
        "x_team$users/_versions/1.manifest",
    ]);
    let lost = fs::File::options().write(true).open(root.directory.join("lost.lance/data/x.lance"));
    lost.unwrap().set_modified(SystemTime::now() - 2 * YOUNG).unwrap();
    let found = members(&root).await.unwrap();
    use MemberState::{Aside, Declared, Deregistered, Empty, Table, Young};
    assert_eq!(
        states(&found),
        [
            ("a", "a.lance", Table),
            ("declared", "declared.lance", Declared),
            ("empty", "empty.lance", Empty),
            ("gone", "gone.lance", Deregistered),
            ("lost", "lost.lance", Table),
            ("making", "making.lance", Young),
            ("refs", "refs.lance", Empty),
            ("some", "some.lance", Empty),
            ("x_team$users", "x_team$users", Aside),
        ]
    );
    assert_eq!(found.warnings.len(), 2, "{:?}", found.warnings);
    for (location, has) in [("a.lance", true), ("making.lance", false), ("gone.lance", false)] {
        assert_eq!(has_table(&root, location).await.unwrap(), has, "{location}");
    }
    fs::remove_dir_all(root.directory.join("a.lance")).unwrap();
    assert!(!has_table(&root, "a.lance").await.unwrap());
}

#[test]
fn names_of_a_namespace_lead_below_the_root_and_the_list_has_the_first_word() {
    let (_dir, root) = database_of(&[
        "plain.lance/_versions/1.manifest",
        "twice.lance/_versions/1.manifest",
        "a1_team$users/_versions/1.manifest",
        "sub/dir/_versions/1.manifest",
    ]);
    let mut named = Named::default();
    for (name, location) in [
        ("again", "plain.lance"),
        ("again too", "plain.lance/"),
        ("far", "s3://b/x"),
        ("team$users", "a1_team$users"),
        ("team$deep", "sub/dir"),
        ("team$new", "b2_team$new"),
        ("twice", "b3_twice"),
        ("up", "../out"),
        ("up", "/etc"),
    ] {
        named.add(name, location);
    }
    let found = database(&root, named).unwrap();
    use MemberState::{Declared, Table};
    assert_eq!(
        states(&found),
        [
            ("again", "plain.lance", Table),
            ("team$deep", "sub/dir", Table),
            ("team$new", "b2_team$new", Declared),
            ("team$users", "a1_team$users", Table),
            ("twice", "b3_twice", Declared),
            ("twice.lance", "twice.lance", Table),
        ]
    );
    assert_eq!(found.warnings.len(), 4, "{:?}", found.warnings);
}

#[tokio::test]
async fn a_table_in_a_table_is_said_and_no_part_of_it() {
    let (_dir, root) = database_of(&["_versions/1.manifest", "inner.lance/_versions/1.manifest"]);
    let found = members(&root).await.unwrap();
    assert_eq!(found.tables().count(), 1);
    assert_eq!(states(&found)[1].2, MemberState::Aside);
    assert!(found.warnings[0].contains("inner.lance"), "{:?}", found.warnings);
}
