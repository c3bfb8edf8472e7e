//! Names of branches.

use super::*;
use lancekeeper_model::Branch;

#[test]
fn names_that_clients_use_are_allowed_nested_ones_too() {
    for name in ["feat", "a/b/c", "a.b", "-x", ".hid", "über", "main/x", "HEAD", "_x", "data", "2"]
    {
        assert_eq!(check_name(name), Ok(()), "{name}");
    }
    assert_eq!(check_name(&"x".repeat(200)), Ok(()));
}

#[test]
fn names_that_cannot_be_or_that_are_not_for_users_are_refused() {
    for name in [
        "",
        "main",
        "__x",
        "__run__1",
        "__schema_apply_lock__",
        "..",
        ".",
        "a..b",
        "a/.",
        "a/../b",
        "/a",
        "a/",
        "a//b",
        "x y",
        " x",
        "a%2Fb",
        "a\\b",
        "x:y",
        "x*",
        "~",
        "x.lock",
        "a\nb",
        "a\0",
    ] {
        assert!(check_name(name).is_err(), "{name:?}");
    }
    assert!(check_name(&"x".repeat(201)).is_err());
    assert!(check_name(&"ü".repeat(34)).is_err(), "six bytes each as a file name");
}

/// A client deletes the directory of `a/data` as a whole, and `a` keeps its data there.
#[test]
fn a_branch_never_lies_in_a_directory_of_another_ones_data() {
    for name in ["a/data", "a/_versions", "a/b/_indices", "a/data/b"] {
        assert!(matches!(check_name(name), Err(NameError::Directory { .. })), "{name}");
    }
    let existing = ["a/data", "b/c", "bb/data"].map(Branch::named);
    assert!(matches!(check_beside("a", &existing), Err(NameError::Beside { .. })));
    assert_eq!(check_beside("b", &existing), Ok(()));
    assert_eq!(check_beside("b/c/d", &existing), Ok(()));
}
