//! What the checks look at: the repository's text files and the arrows between its packages.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{DependencyKind, MetadataCommand};

use super::rust_source::{self, RustFile};

#[derive(Default)]
pub(super) struct Repo {
    /// Text by path from the root, with forward slashes.
    pub(super) files: BTreeMap<String, String>,
    /// Every `.rs` file below `crates`, `interop`, `tests` and `xtask`.
    pub(super) rust: Vec<RustFile>,
    pub(super) packages: Vec<Package>,
}

pub(super) struct Package {
    pub(super) name: String,
    /// From the root, as in `crates/store`.
    pub(super) dir: String,
    pub(super) dependencies: Vec<Dependency>,
}

pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) dev: bool,
}

impl Repo {
    pub(super) fn load(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for path in listed_files(root)? {
            // What git still lists but a change has just removed is no longer ours to check, and
            // what is not text (fixtures) has no rules.
            if let Ok(text) = fs::read_to_string(root.join(&path)) {
                files.insert(path, text);
            }
        }
        Ok(Self::new(files, load_packages(root)?))
    }

    pub(super) fn new(files: BTreeMap<String, String>, packages: Vec<Package>) -> Self {
        let rust = rust_source::parse_all(
            files.iter().filter(|(path, _)| path.ends_with(".rs") && has_rust_rules(path)),
        );
        Self { files, rust, packages }
    }

    /// The `.rs` files of the crates' own sources, with the name of the crate's directory.
    pub(super) fn crate_sources(&self) -> impl Iterator<Item = (&str, &RustFile)> {
        self.rust.iter().filter_map(|file| {
            let (name, rest) = file.path.strip_prefix("crates/")?.split_once('/')?;
            rest.starts_with("src/").then_some((name, file))
        })
    }

    /// The names of the directories in `crates/`.
    pub(super) fn crate_names(&self) -> Vec<&str> {
        let manifests = self.files.keys().filter_map(|path| {
            path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml").filter(|n| !n.contains('/'))
        });
        manifests.collect()
    }
}

impl Package {
    /// `store` for a package in `crates/store`, else the directory itself.
    pub(super) fn short_name(&self) -> &str {
        self.dir.strip_prefix("crates/").unwrap_or(&self.dir)
    }
}

fn has_rust_rules(path: &str) -> bool {
    ["crates/", "interop/", "tests/", "xtask/"].iter().any(|dir| path.starts_with(dir))
}

/// New files too: a check that waits for `git add` is a surprise at commit time.
fn listed_files(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("failed to start git")?;
    ensure!(output.status.success(), "git ls-files: {}", output.status);
    let listing = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    Ok(listing.split_terminator('\0').map(str::to_owned).collect())
}

fn load_packages(root: &Path) -> Result<Vec<Package>> {
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec()?;
    let mut packages = Vec::new();
    for package in metadata.workspace_packages() {
        let dir = package.manifest_path.parent().context("a manifest lies in a directory")?;
        let dir = dir.strip_prefix(&metadata.workspace_root)?;
        let dependencies = package.dependencies.iter().map(|dependency| Dependency {
            name: dependency.name.clone(),
            dev: dependency.kind == DependencyKind::Development,
        });
        packages.push(Package {
            name: package.name.to_string(),
            dir: dir.as_str().replace('\\', "/"),
            dependencies: dependencies.collect(),
        });
    }
    Ok(packages)
}

#[cfg(test)]
impl Repo {
    /// A repository of a few files, for the tests of the checks.
    pub(super) fn of_files(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self::new(files.collect(), Vec::new())
    }

    /// A repository of packages: (directory, [dependency]); a dependency that starts with `dev:` is one
    /// for tests only.
    pub(super) fn of_packages(packages: &[(&str, &[&str])]) -> Self {
        let packages = packages.iter().map(|(dir, dependencies)| Package {
            name: package_name(dir),
            dir: (*dir).to_owned(),
            dependencies: dependencies
                .iter()
                .map(|name| Dependency {
                    name: name.trim_start_matches("dev:").to_owned(),
                    dev: name.starts_with("dev:"),
                })
                .collect(),
        });
        Self::new(BTreeMap::new(), packages.collect())
    }
}

#[cfg(test)]
fn package_name(dir: &str) -> String {
    match dir.trim_start_matches("crates/") {
        "keeper" => "lancekeeper".to_owned(),
        "xtask" => "xtask".to_owned(),
        name => format!("lancekeeper-{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_can_be_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let repo = Repo::load(root).unwrap();
        assert!(repo.files.contains_key("xtask/src/tidy/repo.rs"));
        assert!(repo.crate_names().contains(&"model"));
        let xtask = repo.packages.iter().find(|package| package.name == "xtask").unwrap();
        assert_eq!(xtask.dir, "xtask");
        assert!(xtask.dependencies.iter().any(|dependency| dependency.name == "clap"));
    }
}
