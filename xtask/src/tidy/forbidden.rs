//! Texts that may not appear in code: panics without a reason, local disks past the one door to
//! files, and tests that do not test.

use std::path::Path;

use super::Finding;
use super::repo::Repo;
use super::rust_source::lines_with;

/// Not in production code; the testkit is allowed to panic.
const IN_PRODUCTION: [(&str, &str); 2] =
    [(".unwrap()", "say why it cannot fail: `expect(\"…\")`"), ("todo!(", "finish it")];

/// Not where files are asked for through `store::Files`, which knows what is behind them.
const BEHIND_THE_DOOR: [&str; 4] = ["std::fs", "PathBuf", "canonicalize(", "LocalFileSystem"];
const BEFORE_THE_DOOR: [&str; 4] = ["rewrite", "manifest", "reconciler", "keeper"];
/// The room that finds, opens and locks roots, which lie on local disks.
const ROOM_OF_ROOTS: (&str, &str) = ("crates/keeper/src", "root");

/// Nowhere in the crates' files, their tests least of all.
const IN_TESTS: [(&str, &str); 2] = [
    ("#[ignore", "assert today's behaviour instead, or delete the test"),
    ("#[should_panic", "assert on the error instead: any panic satisfies this"),
];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, file) in repo.crate_sources().filter(|(name, _)| *name != "testkit") {
        for (text, instead) in IN_PRODUCTION {
            findings.extend(found(&file.path, &file.production, text, instead));
        }
    }
    let before = |name: &str| BEFORE_THE_DOOR.contains(&name);
    let (keeper, root) = ROOM_OF_ROOTS;
    let room = Path::new(keeper).join(root);
    for (_, file) in repo.crate_sources().filter(|(name, _)| before(name)) {
        for text in BEHIND_THE_DOOR.iter().filter(|_| !Path::new(&file.path).starts_with(&room)) {
            findings.extend(found(&file.path, &file.production, text, "ask `store::Files`"));
        }
    }
    for file in &repo.rust {
        for (text, instead) in IN_TESTS {
            findings.extend(found(&file.path, &file.bare, text, instead));
        }
    }
    findings
}

fn found<'a>(
    path: &'a str,
    code: &'a str,
    text: &'a str,
    instead: &'a str,
) -> impl Iterator<Item = Finding> + 'a {
    lines_with(code, text)
        .map(move |line| Finding::error(format!("{path}:{line}"), format!("`{text}`: {instead}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    #[test]
    fn a_panic_without_a_reason_is_found_outside_tests() {
        let text = "//! No `.unwrap()`.\nfn f() {\n    g(\".unwrap()\").unwrap()\n}\n\
                    #[cfg(test)]\nmod tests { fn h() { g().unwrap() } }\nfn i() { todo!() }\n";
        let repo = Repo::of_files(&[
            ("crates/a/src/lib.rs", text),
            ("crates/testkit/src/lib.rs", "fn f() { g().unwrap() }"),
            ("tests/it/main.rs", "fn f() { g().unwrap() }"),
        ]);
        assert_eq!(
            findings(check, &repo),
            [
                "crates/a/src/lib.rs:3: `.unwrap()`: say why it cannot fail: `expect(\"…\")`",
                "crates/a/src/lib.rs:7: `todo!(`: finish it",
            ]
        );
    }

    #[test]
    fn a_local_disk_is_found_before_the_door() {
        let text = "use std::fs;\n#[cfg(test)]\nmod tests { use std::path::PathBuf; }\n";
        let (keeper, root) = ROOM_OF_ROOTS;
        let room_file = format!("{keeper}/{root}/outer.rs");
        let repo = Repo::of_files(&[
            (&room_file, text),
            ("crates/keeper/src/cleanup.rs", text),
            ("crates/store/src/root.rs", text),
        ]);
        let found = ["crates/keeper/src/cleanup.rs:1: `std::fs`: ask `store::Files`"];
        assert_eq!(findings(check, &repo), found);
    }

    #[test]
    fn a_test_that_does_not_test_is_found_everywhere() {
        let repo = Repo::of_files(&[
            ("crates/a/src/lib.rs", "#[cfg(test)] mod tests { #[test] #[ignore] fn f() {} }"),
            ("tests/it/main.rs", "#[test]\n#[should_panic(expected = \"x\")]\nfn f() {}"),
        ]);
        let places: Vec<_> = check(&repo).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["crates/a/src/lib.rs:1", "tests/it/main.rs:2"]);
    }
}
