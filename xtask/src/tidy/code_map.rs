//! The code map of docs/architecture.md has one line per crate, and names nothing that is gone.

use super::Finding;
use super::repo::Repo;

const MAP: &str = "docs/architecture.md";

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let Some(text) = repo.files.get(MAP) else {
        return vec![Finding::error(MAP, "is missing")];
    };
    let mut findings = Vec::new();
    let map = map_section(text);
    for name in repo.crate_names() {
        let lines = map.iter().filter(|line| line_is_about(line, name)).count();
        if lines != 1 {
            let message =
                format!("{lines} lines of the code map are about `crates/{name}`, not one");
            findings.push(Finding::error(MAP, message));
        }
    }
    for (index, line) in text.lines().enumerate() {
        for path in quoted(line).filter(|path| path.starts_with("crates/")) {
            let dir = format!("{}/", path.trim_end_matches('/'));
            if !repo.files.keys().any(|file| file == path || file.starts_with(&dir)) {
                let message = format!("`{path}` does not exist");
                findings.push(Finding::error(format!("{MAP}:{}", index + 1), message));
            }
        }
    }
    findings
}

/// The section under the heading "Code map", or everything where there is no such heading.
fn map_section(text: &str) -> Vec<&str> {
    let is_heading = |line: &&str| line.starts_with('#');
    let is_map = |line: &&str| is_heading(line) && line.to_lowercase().contains("code map");
    let mut lines = text.lines();
    match lines.find(is_map) {
        Some(_) => lines.take_while(|line| !is_heading(line)).collect(),
        None => text.lines().collect(),
    }
}

/// Whether this is a row of a table, or an item of a list, of which the crate is the first thing named.
fn line_is_about(line: &str, name: &str) -> bool {
    line.trim_start().starts_with(['|', '*', '-'])
        && quoted(line).next().and_then(|path| path.strip_prefix("crates/")) == Some(name)
}

/// What stands between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    fn repo(map: &str) -> Repo {
        let manifests = [("crates/a/Cargo.toml", ""), ("crates/b/Cargo.toml", "")];
        Repo::of_files(&[manifests[0], manifests[1], (MAP, map)])
    }

    #[test]
    fn tables_and_lists_are_maps() {
        let map = "| 0 | `crates/a` | Is a. |\n* `crates/b`: beside `crates/a` and `crates/a/Cargo.toml`.\n";
        assert_eq!(findings(check, &repo(map)), [""; 0]);
        let with_rules = format!("# Code map\n{map}## Rules\n* `crates/a` knows nothing.\n");
        assert_eq!(findings(check, &repo(&with_rules)), [""; 0]);
    }

    #[test]
    fn crates_that_are_missing_doubled_or_gone_are_found() {
        let map = "| `crates/a` | x |\n| `crates/a` | y |\nLike `crates/gone/src/lib.rs`.\n";
        assert_eq!(
            findings(check, &repo(map)),
            [
                "docs/architecture.md: 2 lines of the code map are about `crates/a`, not one",
                "docs/architecture.md: 0 lines of the code map are about `crates/b`, not one",
                "docs/architecture.md:3: `crates/gone/src/lib.rs` does not exist",
            ]
        );
    }

    #[test]
    fn a_missing_map_is_found() {
        assert_eq!(findings(check, &Repo::of_files(&[])), ["docs/architecture.md: is missing"]);
    }
}
