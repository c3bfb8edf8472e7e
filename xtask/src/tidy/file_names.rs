//! File names say what is inside: no `mod.rs`, and none of the words that fit every file.

use super::Finding;
use super::repo::Repo;

const SAYS_NOTHING: [&str; 8] =
    ["manager", "managers", "helper", "helpers", "util", "utils", "common", "imp"];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &repo.rust {
        if file.path.ends_with("/mod.rs") {
            findings.push(Finding::error(&file.path, "is a mod.rs: write `foo.rs` beside `foo/`"));
        }
        let path = file.path.trim_end_matches(".rs").to_lowercase();
        if let Some(word) = path.split(['/', '_']).find(|word| SAYS_NOTHING.contains(word)) {
            findings
                .push(Finding::error(&file.path, format!("`{word}` says nothing: name the noun")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    #[test]
    fn names_that_say_nothing_are_found() {
        let repo = Repo::of_files(&[
            ("crates/a/src/common_ancestor.rs", ""),
            ("crates/a/src/import.rs", ""),
            ("crates/a/src/job/mod.rs", ""),
            ("crates/a/src/queue_manager.rs", ""),
            ("tests/common/worlds.rs", ""),
        ]);
        assert_eq!(
            findings(check, &repo),
            [
                "crates/a/src/common_ancestor.rs: `common` says nothing: name the noun",
                "crates/a/src/job/mod.rs: is a mod.rs: write `foo.rs` beside `foo/`",
                "crates/a/src/queue_manager.rs: `manager` says nothing: name the noun",
                "tests/common/worlds.rs: `common` says nothing: name the noun",
            ]
        );
    }
}
