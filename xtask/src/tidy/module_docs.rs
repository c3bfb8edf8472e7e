//! Every Rust file starts with `//!` and a whole sentence: what the file is responsible for.

use super::Finding;
use super::repo::Repo;

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &repo.rust {
        let paragraph = first_paragraph(&file.text);
        if paragraph.is_empty() {
            findings.push(Finding::error(&file.path, "does not start with `//!` and a sentence"));
        } else if !has_sentence(&paragraph) {
            let message = "the first paragraph of `//!` holds no finished sentence";
            findings.push(Finding::error(&file.path, message));
        }
    }
    findings
}

fn first_paragraph(text: &str) -> String {
    let docs = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    docs.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn has_sentence(paragraph: &str) -> bool {
    paragraph
        .split_whitespace()
        .any(|word| word.trim_end_matches([')', '*']).ends_with(['.', '!', '?']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    #[test]
    fn a_file_without_a_first_sentence_is_found() {
        let repo = Repo::of_files(&[
            ("crates/a/src/good.rs", "//! Holds `a.b`\n//! and more.\n\nfn f() {}"),
            ("crates/a/src/late.rs", "fn f() {}\n//! Too late."),
            ("crates/a/src/empty.rs", "//!\n//! Not in the first paragraph."),
            ("tests/it/main.rs", "//! Not finished\n//!\n//! Finished."),
        ]);
        assert_eq!(
            findings(check, &repo),
            [
                "crates/a/src/empty.rs: does not start with `//!` and a sentence",
                "crates/a/src/late.rs: does not start with `//!` and a sentence",
                "tests/it/main.rs: the first paragraph of `//!` holds no finished sentence",
            ]
        );
    }
}
