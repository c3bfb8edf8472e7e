//! Recognition of roots on real directories.

use std::fs;

use super::*;

pub(super) fn directory(children: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for child in children {
        fs::create_dir_all(dir.path().join(child)).unwrap();
    }
    dir
}

#[test]
fn the_three_kinds_are_told_apart() {
    for (children, expected) in [
        (vec!["__manifest", "nodes", "_graph_commits.lance"], RootKind::Graph),
        (vec!["a.lance", "b.lance"], RootKind::Database),
        (vec!["_versions", "data"], RootKind::Table),
    ] {
        let dir = directory(&children);
        let root = recognise(dir.path().to_str().unwrap()).unwrap();
        assert_eq!(root.kind, expected);
    }
}

#[test]
fn a_directory_of_another_kind_is_no_root() {
    let dir = directory(&["nodes", "_graph_commits.lance"]);
    let error = recognise(dir.path().to_str().unwrap()).unwrap_err();
    assert!(matches!(error, RootError::Unrecognised { .. }), "{error}");
    assert_eq!(error.kind().exit_code().number(), 10);
}

#[test]
fn a_graphs_table_its_manifest_and_a_tables_branch_are_no_roots_of_their_own() {
    let dir = directory(&[
        "g/__manifest/_versions",
        "g/nodes/1/_versions",
        "t.lance/_versions",
        "t.lance/tree/a/b/_versions",
        "t.lance/inner.lance/_versions",
        "t.lance/inner.lance/tree/c/_versions",
    ]);
    for part in ["g/__manifest", "g/nodes/1", "t.lance/tree/a/b", "t.lance/inner.lance/tree/c"] {
        let error = recognise(dir.path().join(part).to_str().unwrap()).unwrap_err();
        assert!(matches!(error, RootError::Part { .. }), "{part}: {error}");
        assert_eq!(error.kind(), ErrorKind::Refused);
    }
    // A table in the directory of another one is a part of nothing.
    for whole in ["t.lance", "t.lance/inner.lance"] {
        assert!(recognise(dir.path().join(whole).to_str().unwrap()).is_ok(), "{whole}");
    }
}

#[test]
fn nothing_and_files_are_no_roots() {
    let dir = directory(&[]);
    let missing = dir.path().join("absent");
    assert!(matches!(recognise(missing.to_str().unwrap()), Err(RootError::Missing { .. })));
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(recognise(file.to_str().unwrap()).is_err());
}

#[test]
fn schemes_without_atomic_commits_are_refused() {
    for uri in ["ftp://host/x", "file+uring:///x", "cos://bucket/x", "s3://bucket/x"] {
        assert_eq!(recognise(uri).unwrap_err().kind(), ErrorKind::Refused, "{uri}");
    }
}

#[cfg(unix)]
#[test]
fn two_spellings_have_one_identity_and_two_addresses() {
    let dir = directory(&["real/__manifest"]);
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path().join("real"), &link).unwrap();
    let real = recognise(&format!("{}/", dir.path().join("real").display())).unwrap();
    let linked = recognise(&format!("file://{}", link.display())).unwrap();
    assert_eq!(real.identity(), linked.identity());
    assert_ne!(real.address, linked.address);
    assert!(!real.address.ends_with('/'));
}
