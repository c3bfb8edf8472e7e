//! The clients, installed once into a cache.
//!
//! What is present is taken as it is, so a cache can be filled in any other way too:
//! `omnigraph-VERSION/bin/omnigraph` and `py/bin/python`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use xtask::{archive, cargo};

use super::omnigraph::Omnigraph;

const OMNIGRAPH_VERSIONS: [&str; 2] = ["0.7.0", "0.8.0"];
const PYTHON_PACKAGES: [&str; 4] =
    ["pylance==14.0.2", "lancedb==0.40.0", "deltalake==1.6.6", "duckdb==2.0.1"];

/// The clients contain a Lance of their own: optimizing it would take most of an hour.
const QUICK_BUILD: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
];

pub(super) struct Clients {
    /// Those that are tried.
    pub(super) omnigraph: Vec<Omnigraph>,
    pub(super) python: PathBuf,
    cache: PathBuf,
}

impl Clients {
    /// All of them, or `only` the omnigraph of one version: each takes long.
    pub(super) fn install(cache: &Path, only: Option<&str>) -> Result<Self> {
        let python = install_python(cache)?;
        let mut omnigraph = Vec::new();
        let is_wanted = |version: &&str| only.is_none_or(|only| only == *version);
        for version in OMNIGRAPH_VERSIONS.into_iter().filter(is_wanted) {
            omnigraph.push(install_omnigraph(cache, version)?);
        }
        Ok(Self { omnigraph, python, cache: cache.to_owned() })
    }

    /// The omnigraph of a version, also if only another one is tried; not if it would have to be installed first.
    pub(super) fn installed(&self, version: &str) -> Option<Omnigraph> {
        let version = OMNIGRAPH_VERSIONS.into_iter().find(|known| *known == version)?;
        find_omnigraph(&self.cache, version)
    }
}

fn install_omnigraph(cache: &Path, version: &'static str) -> Result<Omnigraph> {
    let dir = omnigraph_dir(cache, version);
    let binary = dir.join("bin").join("omnigraph");
    if !binary.exists() {
        eprintln!("Installing omnigraph {version}; this takes about 20 minutes.");
        let mut command = cargo::cargo(cache)?;
        command
            .args(["install", &format!("omnigraph-cli@{version}"), "--locked", "--root"])
            .arg(dir);
        // One target directory for all versions: most of the build is the same.
        command.env("CARGO_TARGET_DIR", cache.join("target")).envs(QUICK_BUILD);
        cargo::run(&mut command)?;
    }
    Ok(Omnigraph::new(version, binary))
}

/// The newest omnigraph, where it is installed: what takes so long nobody should wait for unasked.
pub(crate) fn newest_omnigraph(cache: &Path) -> Option<Omnigraph> {
    find_omnigraph(cache, OMNIGRAPH_VERSIONS[OMNIGRAPH_VERSIONS.len() - 1])
}

fn find_omnigraph(cache: &Path, version: &'static str) -> Option<Omnigraph> {
    let binary = omnigraph_dir(cache, version).join("bin").join("omnigraph");
    binary.exists().then(|| Omnigraph::new(version, binary))
}

fn omnigraph_dir(cache: &Path, version: &str) -> PathBuf {
    cache.join(format!("omnigraph-{version}"))
}

pub(super) fn install_python(cache: &Path) -> Result<PathBuf> {
    fs::create_dir_all(cache).with_context(|| format!("failed to create {}", cache.display()))?;
    let dir = cache.join("py");
    let python = dir.join("bin").join("python");
    // An installation that broke off has the interpreter without the packages.
    if has_packages(&python) {
        return Ok(python);
    }
    eprintln!("Installing {}.", PYTHON_PACKAGES.join(" and "));
    archive::remove(&dir)?;
    cargo::run(Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    cargo::run(pip.args(PYTHON_PACKAGES))?;
    Ok(python)
}

fn has_packages(python: &Path) -> bool {
    super::output(Command::new(python).args(["-c", "import lance, lancedb"])).is_ok()
}
