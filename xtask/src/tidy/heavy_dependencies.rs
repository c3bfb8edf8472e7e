//! Which crates may name Lance, Arrow, DataFusion or an object store.
//!
//! The others build and test in seconds, and keep the thinking free of I/O. Dependencies of tests count
//! too: one of them is enough to make those tests slow to build.

use super::Finding;
use super::repo::Repo;

const HEAVY: [&str; 5] = ["lance", "lancedb", "arrow", "datafusion", "object_store"];

const MAY_USE_THEM: [&str; 7] =
    ["store", "manifest", "rewrite", "reconciler", "keeper", "testkit", "tests"];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let light = repo.packages.iter().filter(|p| !MAY_USE_THEM.contains(&p.short_name()));
    let pairs = light.flat_map(|package| package.dependencies.iter().map(move |d| (package, d)));
    pairs
        .filter(|(_, dependency)| is_heavy(&dependency.name))
        .map(|(package, dependency)| {
            let message = format!("must not depend on {}", dependency.name);
            Finding::error(format!("{}/Cargo.toml", package.dir), message)
        })
        .collect()
}

/// `lance-table` is heavy, our own `lancekeeper-model` is not.
fn is_heavy(name: &str) -> bool {
    HEAVY.iter().any(|heavy| {
        name.strip_prefix(heavy).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    #[test]
    fn lance_in_a_pure_crate_is_found() {
        let repo = Repo::of_packages(&[
            ("crates/store", &["lance", "arrow-array", "object_store"]),
            ("crates/planner", &["lancekeeper-model", "lance-table"]),
            ("crates/cli", &["dev:arrow-array"]),
            ("xtask", &["object_store"]),
        ]);
        assert_eq!(
            findings(check, &repo),
            [
                "crates/planner/Cargo.toml: must not depend on lance-table",
                "crates/cli/Cargo.toml: must not depend on arrow-array",
                "xtask/Cargo.toml: must not depend on object_store",
            ]
        );
    }
}
