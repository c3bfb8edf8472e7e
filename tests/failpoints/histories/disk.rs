//! What lies on the disk, by names and through Lance: nothing here asks the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use lance::Dataset;
use lance::index::DatasetIndexExt;
use lance_table::io::deletion::relative_deletion_file_path;
use lancekeeper_testkit::invariants::names;

use super::model::MAIN;

/// A chain of versions as its directory shows it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ChainOnDisk {
    pub(crate) is_zombie: bool,
    pub(crate) versions: BTreeSet<u64>,
}

/// Every file below a directory with its size; not what we keep for ourselves.
pub(crate) fn files(directory: &Path) -> Result<BTreeMap<String, u64>> {
    fn walk(directory: &Path, prefix: &str, into: &mut BTreeMap<String, u64>) -> Result<()> {
        for name in names(directory)?.into_iter().filter(|name| name != "__maintenance") {
            let (path, inside) = (directory.join(&name), format!("{prefix}{name}"));
            if path.is_dir() {
                walk(&path, &format!("{inside}/"), into)?;
            } else {
                into.insert(inside, path.metadata()?.len());
            }
        }
        Ok(())
    }
    let mut found = BTreeMap::new();
    walk(directory, "", &mut found)?;
    Ok(found)
}

/// The Lance branch in whose directory a file of a dataset lies, and its path there. Names of
/// branches may have slashes; those of directories of a dataset begin with `_` or are `data`.
pub(crate) fn split(path: &str) -> (String, String) {
    let Some(below) = path.strip_prefix("tree/") else { return (MAIN.to_owned(), path.to_owned()) };
    let parts: Vec<&str> = below.split('/').collect();
    let own = parts.iter().position(|part| part.starts_with('_') || *part == "data");
    let (branch, rest) = parts.split_at(own.unwrap_or(parts.len()));
    (branch.join("/"), rest.join("/"))
}

/// The chains of a dataset, by the names of its files.
pub(crate) fn chains(files: &BTreeMap<String, u64>) -> BTreeMap<String, ChainOnDisk> {
    let mut chains: BTreeMap<String, ChainOnDisk> = BTreeMap::new();
    for path in files.keys() {
        let (branch, rest) = split(path);
        let chain = chains.entry(branch).or_default();
        let number =
            rest.strip_prefix("_versions/").and_then(|name| name.strip_suffix(".manifest"));
        if let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) {
            chain.versions.insert(u64::MAX - number);
        }
    }
    for (branch, chain) in &mut chains {
        chain.is_zombie = branch != MAIN && !files.contains_key(&branch_file(branch));
    }
    chains
}

pub(crate) fn branch_file(branch: &str) -> String {
    format!("_refs/branches/{}.json", branch.replace('/', "%2F"))
}

/// The files that the version a handle stands at refers to, relative to the dataset's directory.
/// Of an index, its directory.
pub(crate) async fn referred_to(
    table: &Dataset,
    directory: &Path,
    branch: &str,
) -> Result<BTreeSet<String>> {
    let manifest = table.manifest();
    let own = if branch == MAIN { String::new() } else { format!("tree/{branch}/") };
    let directory = directory.canonicalize()?;
    let place = |base: Option<u32>, name: String| -> Result<String> {
        let Some(base) = base else { return Ok(format!("{own}{name}")) };
        let base = manifest.base_paths.get(&base).context("a base that is not there")?;
        let plain = base.path.strip_prefix("file://").unwrap_or(&base.path);
        let below = Path::new(plain).join(name);
        let below = below.strip_prefix(&directory).context("a base elsewhere")?;
        Ok(below.to_string_lossy().into_owned())
    };
    let mut found = BTreeSet::new();
    for fragment in manifest.fragments.iter() {
        for file in &fragment.files {
            found.insert(place(file.base_id, format!("data/{}", file.path))?);
        }
        if let Some(deletion) = &fragment.deletion_file {
            let name = relative_deletion_file_path(fragment.id, deletion);
            found.insert(place(deletion.base_id, name)?);
        }
    }
    for index in table.load_indices().await?.iter() {
        found.insert(place(index.base_id, format!("_indices/{}", index.uuid))?);
    }
    if let Some(transaction) = &manifest.transaction_file {
        found.insert(format!("{own}_transactions/{transaction}"));
    }
    let version = u64::MAX - manifest.version;
    found.insert(format!("{own}_versions/{version:020}.manifest"));
    Ok(found)
}

/// What lists of deletions under way name: dataset and path.
pub(crate) fn listed(graph: &Path) -> Result<BTreeSet<(String, String)>> {
    let directory = graph.join("__maintenance/cleanup");
    let mut found = BTreeSet::new();
    for name in names(&directory)?.iter().filter(|name| name.ends_with(".json")) {
        let list: serde_json::Value = serde_json::from_slice(&fs::read(directory.join(name))?)?;
        let location = list["location"].as_str().context("a list is of a dataset")?;
        for entry in list["deletions"].as_array().context("a list has deletions")? {
            let path = entry["path"].as_str().context("a deletion has a path")?;
            found.insert((location.to_owned(), path.to_owned()));
        }
    }
    Ok(found)
}

/// The records of deletions that were done, by file.
pub(crate) fn records(graph: &Path) -> Result<BTreeMap<String, serde_json::Value>> {
    let directory = graph.join("__maintenance/audit");
    let names = names(&directory)?.into_iter().filter(|name| name.ends_with(".json"));
    names
        .map(|name| {
            let content = fs::read(directory.join(&name))?;
            Ok((name, serde_json::from_slice(&content)?))
        })
        .collect()
}
