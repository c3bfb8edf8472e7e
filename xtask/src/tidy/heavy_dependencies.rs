//! Which crates may name Lance, Arrow, DataFusion or an object store.
//!
//! The others build and test in seconds, and keep the thinking free of I/O. Dependencies of tests count
//! too: one of them is enough to make those tests slow to build.

use super::Finding;
use super::repo::Repo;

const HEAVY: [&str; 5] = ["lance", "lancedb", "arrow", "datafusion", "object_store"];

const MAY_USE_THEM: [&str; 8] =
    ["store", "manifest", "rewrite", "reconciler", "keeper", "service", "testkit", "tests"];

/// Works on Arrow arrays and on nothing else of these: arrays are plain values, no I/O.
const MAY_USE_ARROW: &str = "layout";

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let light = repo.packages.iter().filter(|p| !MAY_USE_THEM.contains(&p.short_name()));
    let pairs = light.flat_map(|package| package.dependencies.iter().map(move |d| (package, d)));
    pairs
        .filter(|(package, dependency)| {
            let allowed = package.short_name() == MAY_USE_ARROW && is(&dependency.name, "arrow");
            is_heavy(&dependency.name) && !allowed
        })
        .map(|(package, dependency)| {
            let message = format!("must not depend on {}", dependency.name);
            Finding::error(format!("{}/Cargo.toml", package.dir), message)
        })
        .collect()
}

/// `lance-table` is heavy, our own `lancekeeper-model` is not.
fn is_heavy(name: &str) -> bool {
    HEAVY.iter().any(|heavy| is(name, heavy))
}

/// Whether a package is this one or one of its family.
fn is(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
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
            ("crates/layout", &["arrow-array", "datafusion", "lancekeeper-model"]),
            ("xtask", &["object_store"]),
        ]);
        assert_eq!(
            findings(check, &repo),
            [
                "crates/planner/Cargo.toml: must not depend on lance-table",
                "crates/cli/Cargo.toml: must not depend on arrow-array",
                "crates/layout/Cargo.toml: must not depend on datafusion",
                "xtask/Cargo.toml: must not depend on object_store",
            ]
        );
    }
}
