//! Arrows between crates go strictly downwards, so crates of one layer never see each other.
//!
//! The table is the one of docs/architecture.md. Dependencies of tests alone are free.

use super::Finding;
use super::repo::{Package, Repo};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layer {
    Level(u8),
    /// Only tests may use it.
    Dev,
    /// May use everything, and nothing with a layer may use it.
    Free,
}

use Layer::{Dev, Free, Level};

const LAYERS: [(&str, Layer); 17] = [
    ("model", Level(0)),
    ("layout", Level(1)),
    ("planner", Level(1)),
    ("queue", Level(1)),
    ("settings", Level(1)),
    ("sql", Level(1)),
    ("store", Level(1)),
    ("rewrite", Level(2)),
    ("manifest", Level(3)),
    ("reconciler", Level(4)),
    ("keeper", Level(5)),
    ("service", Level(6)),
    ("cli", Level(7)),
    ("testkit", Dev),
    ("interop", Free),
    ("tests", Free),
    ("xtask", Free),
];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &repo.packages {
        let Some(from) = layer(package) else {
            let message = "has no layer: add it to LAYERS and to docs/architecture.md";
            findings.push(Finding::error(&package.dir, message));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.dev) {
            let target = repo.packages.iter().find(|package| package.name == dependency.name);
            let Some(to) = target.and_then(layer) else {
                continue;
            };
            if !allowed(from, to) {
                let message = format!("must not depend on {}: arrows go down", dependency.name);
                findings.push(Finding::error(format!("{}/Cargo.toml", package.dir), message));
            }
        }
    }
    findings
}

fn layer(package: &Package) -> Option<Layer> {
    let name = package.short_name();
    LAYERS.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer)
}

fn allowed(from: Layer, to: Layer) -> bool {
    match (from, to) {
        (Free, _) => true,
        (_, Free) => false,
        (Level(from), Level(to)) => to < from,
        (Dev, Level(_)) => true,
        (_, Dev) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    #[test]
    fn an_arrow_up_or_sideways_is_found() {
        let repo = Repo::of_packages(&[
            ("crates/model", &["serde"]),
            ("crates/planner", &["lancekeeper-model"]),
            ("crates/queue", &["lancekeeper-planner"]),
            ("crates/manifest", &["lancekeeper"]),
            ("crates/keeper", &["lancekeeper-manifest", "lancekeeper-queue"]),
        ]);
        assert_eq!(
            findings(check, &repo),
            [
                "crates/queue/Cargo.toml: must not depend on lancekeeper-planner: arrows go down",
                "crates/manifest/Cargo.toml: must not depend on lancekeeper: arrows go down",
            ]
        );
    }

    #[test]
    fn the_testkit_is_for_tests_only() {
        let repo = Repo::of_packages(&[
            ("crates/testkit", &["lancekeeper"]),
            ("crates/keeper", &["dev:lancekeeper-testkit"]),
            ("crates/cli", &["lancekeeper", "lancekeeper-testkit"]),
            ("tests", &["lancekeeper-testkit"]),
            ("interop", &["xtask"]),
        ]);
        let only = "crates/cli/Cargo.toml: must not depend on lancekeeper-testkit: arrows go down";
        assert_eq!(findings(check, &repo), [only]);
    }

    #[test]
    fn the_tools_are_for_tools_only() {
        let repo = Repo::of_packages(&[("xtask", &[]), ("crates/cli", &["xtask"])]);
        let only = "crates/cli/Cargo.toml: must not depend on xtask: arrows go down";
        assert_eq!(findings(check, &repo), [only]);
    }

    #[test]
    fn a_crate_without_a_layer_is_found() {
        let repo = Repo::of_packages(&[("crates/extras", &[])]);
        assert!(findings(check, &repo)[0].starts_with("crates/extras: has no layer"));
    }
}
