//! Every commit of ours goes through one function, and none through Lance's own compaction.
//!
//! A commit that Lance may rebase lands on a version nobody planned: the pin would move to something
//! other than what was staged. The testkit and tests write as strangers do, and may.

use super::Finding;
use super::repo::Repo;
use super::rust_source::lines_with;

const THE_DOOR: &str = "crates/store/src/strict.rs";

const ONLY_THERE: &str = "CommitBuilder::new";
const NOWHERE: [&str; 2] = ["commit_compaction", "compact_files("];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, file) in repo.crate_sources().filter(|(name, _)| *name != "testkit") {
        let forbidden = NOWHERE.into_iter().chain((file.path != THE_DOOR).then_some(ONLY_THERE));
        for text in forbidden {
            for line in lines_with(&file.production, text) {
                let message = format!("`{text}`: commit through {THE_DOOR}");
                findings.push(Finding::error(format!("{}:{line}", file.path), message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    #[test]
    fn a_commit_beside_the_door_is_found() {
        let commit = "//! Like `CommitBuilder::new`.\nfn f() { CommitBuilder::new(d) }\n";
        let repo = Repo::of_files(&[
            (THE_DOOR, commit),
            ("crates/testkit/src/lib.rs", "fn f() { compact_files(d) }"),
            ("crates/rewrite/src/lib.rs", commit),
            ("crates/store/src/lib.rs", "fn f() { compact_files(d); commit_compaction(d) }"),
        ]);
        assert_eq!(
            findings(check, &repo),
            [
                "crates/rewrite/src/lib.rs:2: `CommitBuilder::new`: commit through crates/store/src/strict.rs",
                "crates/store/src/lib.rs:1: `commit_compaction`: commit through crates/store/src/strict.rs",
                "crates/store/src/lib.rs:1: `compact_files(`: commit through crates/store/src/strict.rs",
            ]
        );
    }
}
