//! Checks of the repository as text and metadata: each rule of the house that a machine can hold.
//!
//! A check is a pure function from a [`Repo`] to its findings, so that each one's tests can show it
//! going red. What rustc and clippy can check is not here.

mod code_map;
mod failpoints;
mod file_names;
mod file_size;
mod forbidden;
mod heavy_dependencies;
mod layers;
mod machine_paths;
mod manifests;
mod module_cycles;
mod module_docs;
mod module_graph;
mod repo;
mod rust_source;
mod strict_commits;
mod use_paths;

use std::path::Path;

use anyhow::{Result, bail};

use repo::Repo;

type Check = fn(&Repo) -> Vec<Finding>;

const CHECKS: [(&str, Check); 12] = [
    ("layers", layers::check),
    ("heavy_dependencies", heavy_dependencies::check),
    ("module_docs", module_docs::check),
    ("module_cycles", module_cycles::check),
    ("file_size", file_size::check),
    ("file_names", file_names::check),
    ("forbidden", forbidden::check),
    ("failpoints", failpoints::check),
    ("code_map", code_map::check),
    ("manifests", manifests::check),
    ("machine_paths", machine_paths::check),
    ("strict_commits", strict_commits::check),
];

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    severity: Severity,
    place: String,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Warning,
    Error,
}

impl Finding {
    fn error(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: place.into(), message: message.into() }
    }

    fn warning(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, place: place.into(), message: message.into() }
    }
}

pub(crate) fn run(root: &Path) -> Result<()> {
    let repo = Repo::load(root)?;
    let mut errors = 0;
    for (name, check) in CHECKS {
        for Finding { severity, place, message } in check(&repo) {
            let word = match severity {
                Severity::Warning => "warning",
                Severity::Error => "error",
            };
            errors += usize::from(severity == Severity::Error);
            println!("{word}[{name}]: {place}: {message}");
        }
    }
    if errors > 0 {
        bail!("tidy: {errors} errors");
    }
    println!("tidy: {} checks passed", CHECKS.len());
    Ok(())
}

/// The messages of a check, for tests.
#[cfg(test)]
fn findings(check: Check, repo: &Repo) -> Vec<String> {
    check(repo)
        .into_iter()
        .map(|finding| format!("{}: {}", finding.place, finding.message))
        .collect()
}
