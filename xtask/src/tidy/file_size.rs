//! Files stay short enough to be read: lines before the tests are counted.
//!
//! A tail of very long files is what hurts in every large code base, so the tail is cut.

use super::Finding;
use super::repo::Repo;

const WARN_LINES: usize = 600;
const MAX_LINES: usize = 1_000;
/// A `lib.rs` is a page of contents.
const MAX_LIB_LINES: usize = 120;

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = repo.rust.iter().filter(|file| !file.production.is_empty());
    for file in files.filter(|file| file.path.contains("/src/")) {
        // Comments count: they are read too.
        let lines = match file.code.find("#[cfg(test)]\nmod ") {
            Some(tests) => file.code[..tests].lines().count(),
            None => file.code.lines().count(),
        };
        if lines > MAX_LINES {
            let message = format!("{lines} lines before the tests, more than {MAX_LINES}");
            findings.push(Finding::error(&file.path, message));
        } else if file.path.ends_with("/lib.rs") && lines > MAX_LIB_LINES {
            let message = format!("{lines} lines before the tests, more than {MAX_LIB_LINES}");
            findings.push(Finding::error(&file.path, message));
        } else if lines > WARN_LINES {
            let message = format!("{lines} lines before the tests, more than {WARN_LINES}");
            findings.push(Finding::warning(&file.path, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{Severity, findings};

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let lines = |count: usize| "f();\n".repeat(count);
        let long = lines(1_001);
        let longish = lines(601);
        let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(600), lines(900));
        let page = lines(121);
        let repo = Repo::of_files(&[
            ("crates/a/src/lib.rs", &page),
            ("crates/a/src/long.rs", &long),
            ("crates/a/src/longish.rs", &longish),
            ("crates/a/src/tested.rs", &tested),
        ]);
        assert_eq!(
            findings(check, &repo),
            [
                "crates/a/src/lib.rs: 121 lines before the tests, more than 120",
                "crates/a/src/long.rs: 1001 lines before the tests, more than 1000",
                "crates/a/src/longish.rs: 601 lines before the tests, more than 600",
            ]
        );
        let severities: Vec<_> = check(&repo).iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Error, Severity::Error, Severity::Warning]);
    }
}
