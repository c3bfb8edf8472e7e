//! The failpoint catalogue: every name is a constant, used in the code and mentioned in a test.
//!
//! A name that is typed twice drifts apart, and a failpoint nobody crosses protects nothing. That each
//! name is really crossed is a test of the failpoint binary, not of this check.

use super::Finding;
use super::repo::Repo;
use super::rust_source::{RustFile, has_word};

const CATALOGUE: &str = "crates/store/src/failpoint.rs";

const CALLS: [&str; 8] = [
    "failpoint::cross(",
    "failpoint::cross_async(",
    "fail_point!(",
    "fail::cfg(",
    "fail::cfg_callback(",
    "fail::eval(",
    "fail::remove(",
    "FailGuard::new(",
];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (catalogue, others): (Vec<_>, Vec<_>) =
        repo.rust.iter().partition(|file| file.path == CATALOGUE);
    if let Some(catalogue) = catalogue.first() {
        findings.extend(check_names(catalogue, &others));
    }
    for file in others.iter().filter(|file| !file.path.starts_with("xtask/")) {
        for line in literal_calls(&file.code) {
            let message = "a failpoint's name is a constant of the catalogue";
            findings.push(Finding::error(format!("{}:{line}", file.path), message));
        }
    }
    findings
}

fn check_names(catalogue: &RustFile, others: &[&RustFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut error = |message: String| findings.push(Finding::error(CATALOGUE, message));
    let constants = constants(&catalogue.code);
    let listed = listed(&catalogue.code);
    for (index, (name, value)) in constants.iter().enumerate() {
        if constants[..index].iter().any(|(_, earlier)| earlier == value) {
            error(format!("{name}: another constant is \"{value}\" too"));
        }
        if !listed.contains(name) {
            error(format!("{name} is missing from ALL"));
        }
        let path = format!("failpoint::{name}");
        let used = |file: &&RustFile| {
            file.path.starts_with("crates/") && has_word(&file.production, &path)
        };
        if !others.iter().any(used) {
            error(format!("{name} is not used in any crate (as `{path}`)"));
        }
        let quoted = format!("\"{value}\"");
        let mentioned = |file: &&RustFile| {
            file.path.starts_with("tests/")
                && (has_word(&file.code, name) || file.code.contains(&quoted))
        };
        if !others.iter().any(mentioned) {
            error(format!("{name} is not mentioned in any test of tests/"));
        }
    }
    for name in listed.iter().filter(|name| !constants.iter().any(|(known, _)| known == *name)) {
        error(format!("ALL lists {name}, which is not a constant here"));
    }
    findings
}

/// The `pub const NAME: &str = "value";` of the catalogue.
fn constants(code: &str) -> Vec<(&str, &str)> {
    let statements = code.split(';').filter_map(|statement| {
        let (_, constant) = statement.rsplit_once("pub const ")?;
        let (name, value) = constant.split_once(": &str =")?;
        Some((name.trim(), value.trim().trim_matches('"')))
    });
    statements.collect()
}

fn listed(code: &str) -> Vec<&str> {
    let list = code.split_once("pub const ALL").and_then(|(_, rest)| rest.split_once('='));
    let list = list.and_then(|(_, rest)| rest.split_once('[')?.1.split_once(']'));
    let names = list.map(|(names, _)| names.split(',').map(str::trim)).into_iter().flatten();
    names.filter(|name| !name.is_empty()).collect()
}

/// The lines on which a call is given a literal for a name.
fn literal_calls(code: &str) -> Vec<usize> {
    let calls =
        CALLS.iter().flat_map(|call| code.match_indices(call).map(|(at, _)| at + call.len()));
    let with_literal = calls.filter(|&at| code[at..].trim_start().starts_with('"'));
    with_literal.map(|at| code[..at].lines().count()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    const GOOD: &str = "//! Names.\npub const AFTER: &str = \"a.after\";\n\
                        pub const BEFORE: &str =\n    \"a.before\";\n\
                        pub const ALL: &[&str] = &[\n    AFTER,\n    BEFORE,\n];\n";

    #[test]
    fn a_complete_catalogue_passes_and_so_does_none() {
        let repo = Repo::of_files(&[
            (CATALOGUE, GOOD),
            ("crates/a/src/lib.rs", "f(failpoint::AFTER); f(failpoint::BEFORE);"),
            ("tests/failpoints/main.rs", "g(AFTER); g(\"a.before\");"),
        ]);
        assert_eq!(findings(check, &repo), [""; 0]);
        assert_eq!(findings(check, &Repo::of_files(&[("crates/a/src/lib.rs", "")])), [""; 0]);
    }

    #[test]
    fn names_that_are_not_listed_used_or_tested_are_found() {
        let catalogue = "pub const A: &str = \"x\"; pub const B: &str = \"x\";\n\
                         pub const ALL: &[&str] = &[A, C];";
        let repo = Repo::of_files(&[
            (CATALOGUE, catalogue),
            ("crates/a/src/lib.rs", "f(failpoint::A); // failpoint::B\n"),
            ("tests/failpoints/main.rs", "f(B); // A"),
        ]);
        let messages: Vec<_> = check(&repo).into_iter().map(|finding| finding.message).collect();
        assert_eq!(
            messages,
            [
                "A is not mentioned in any test of tests/",
                "B: another constant is \"x\" too",
                "B is missing from ALL",
                "B is not used in any crate (as `failpoint::B`)",
                "ALL lists C, which is not a constant here",
            ]
        );
    }

    #[test]
    fn a_name_typed_at_the_call_is_found() {
        let repo = Repo::of_files(&[
            (
                "crates/a/src/lib.rs",
                "\nfail::fail_point!(\n    \"a\", |_| Err(b));\nfailpoint::cross(\"a\")?;",
            ),
            (
                "tests/failpoints/main.rs",
                "fail::cfg(failpoint::A, \"return\"); fail::cfg(\"a\", \"off\");",
            ),
        ]);
        let places: Vec<_> = check(&repo).into_iter().map(|finding| finding.place).collect();
        assert_eq!(
            places,
            ["crates/a/src/lib.rs:4", "crates/a/src/lib.rs:2", "tests/failpoints/main.rs:1"]
        );
    }
}
