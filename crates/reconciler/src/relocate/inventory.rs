//! The facts of a root that may have been moved: one listing, and every manifest in it. Writes nothing.

use std::collections::{BTreeMap, HashMap};

use futures::{FutureExt, StreamExt};
use lance_table::format::IndexMetadata;
use lancekeeper_model::Branch;
use lancekeeper_planner::cleanup::{Place, chain_dir, classify, split_chain};
use lancekeeper_planner::relocate::{Leads, ManifestFacts, split_recorded};
use lancekeeper_store::files::{Listed, identity_at};
use lancekeeper_store::{Files, Root};
use prost::bytes::Bytes;

use super::RelocateError;
use crate::cleanup::references::{Fragments, VersionRead};
use crate::cleanup::stored;

/// Manifests read at the same time.
const MANIFESTS_AT_ONCE: usize = 16;
/// What is ours below a root; it has copies of manifests.
const OURS: &str = "__maintenance/";
const VERSIONS: &str = "/_versions/";
const TREE: &str = "/tree/";
const BRANCH_FILES: &str = "_refs/branches/";

/// Looks at every manifest of a root.
///
/// # Errors
///
/// When anything of it cannot be read: what was not seen cannot be decided about.
pub async fn inventory(root: &Root) -> Result<Vec<ManifestFacts>, RelocateError> {
    let files = root.files();
    let listed = files.list("").await?;
    let mut datasets: BTreeMap<String, Dataset> = BTreeMap::new();
    for Listed { path, .. } in listed.iter().filter(|file| !file.path.starts_with(OURS)) {
        if let Some(location) = location_of(path) {
            datasets.entry(location.to_owned()).or_default();
        }
    }
    for Listed { path, bytes, .. } in listed {
        // The longest: a dataset may lie in the directory of another.
        let of = |location: &&String| {
            path.strip_prefix(location.as_str()).is_some_and(|r| r.starts_with('/'))
        };
        let Some(location) = datasets.keys().filter(of).max_by_key(|l| l.len()).cloned() else {
            continue;
        };
        let below = path[location.len() + 1..].to_owned();
        if let Some(dataset) = datasets.get_mut(&location) {
            dataset.sizes.insert(below, bytes);
        }
    }
    let mut looks = Looks { root, files, known: HashMap::new() };
    let mut manifests = Vec::new();
    for (location, dataset) in &datasets {
        manifests.extend(looks.dataset(location, dataset).await?);
    }
    Ok(manifests)
}

/// The dataset that a file of the root belongs to, if that tells.
fn location_of(path: &str) -> Option<&str> {
    let at = path.find(VERSIONS)?;
    let at = path.find(TREE).filter(|tree| *tree < at).unwrap_or(at);
    Some(&path[..at])
}

/// The files of one dataset, by their names below it.
#[derive(Debug, Default)]
struct Dataset {
    sizes: BTreeMap<String, u64>,
}

impl Dataset {
    /// The branches that have a branch file.
    fn branches(&self) -> Vec<Branch> {
        let files = self.sizes.keys().filter_map(|path| path.strip_prefix(BRANCH_FILES));
        let names = files.filter_map(|name| name.strip_suffix(".json"));
        names.map(|name| Branch::named(name.replace("%2F", "/"))).collect()
    }
}

struct Looks<'a> {
    root: &'a Root,
    files: Files,
    /// Where paths lead that were looked at.
    known: HashMap<(String, String), Leads>,
}

impl Looks<'_> {
    async fn dataset(
        &mut self,
        location: &str,
        dataset: &Dataset,
    ) -> Result<Vec<ManifestFacts>, RelocateError> {
        let branches = dataset.branches();
        let chains = dataset.sizes.keys().filter_map(|path| {
            let (branch, rest) = split_chain(path, &branches)?;
            match classify(rest) {
                Place::Manifest(version) => {
                    Some((branch, Some(version), format!("{location}/{path}")))
                }
                Place::Detached => Some((branch, None, format!("{location}/{path}"))),
                _ => None,
            }
        });
        let chains: Vec<_> = chains.collect();
        let reads: Vec<_> = chains.iter().map(|(.., file)| self.files.read(file).boxed()).collect();
        let contents: Vec<_> =
            futures::stream::iter(reads).buffered(MANIFESTS_AT_ONCE).collect().await;
        let mut fragments = Fragments::default();
        let mut manifests = Vec::new();
        for ((branch, version, file), content) in chains.into_iter().zip(contents) {
            let Some(content) = content? else { return Err(RelocateError::Changed { file }) };
            let mut facts = ManifestFacts {
                file,
                location: location.to_owned(),
                branch,
                version,
                bases: BTreeMap::new(),
                files: 0,
                missing: Vec::new(),
            };
            self.fill(&mut facts, &content, dataset, &mut fragments).await?;
            manifests.push(facts);
        }
        Ok(manifests)
    }

    async fn fill(
        &mut self,
        facts: &mut ManifestFacts,
        content: &Bytes,
        dataset: &Dataset,
        fragments: &mut Fragments,
    ) -> Result<(), RelocateError> {
        let unreadable = |source| RelocateError::Manifest { file: facts.file.clone(), source };
        let decoded = stored::decode(content).map_err(unreadable)?;
        if decoded.0.base_paths.is_empty() {
            return Ok(());
        }
        for base in &decoded.0.base_paths {
            let leads = self.leads(&facts.location, &base.path).await?;
            facts.bases.insert(base.id, (base.path.clone(), leads));
        }
        let of_indexes = index_files(&decoded.1);
        let read = fragments.add(&facts.file, &facts.location, decoded)?;
        let sizes = sizes(&read, fragments).map_err(unreadable)?;
        let own = match chain_dir(&facts.branch) {
            directory if directory.is_empty() => directory,
            directory => format!("{directory}/"),
        };
        let of_fragments = read.fragments.iter().flat_map(|at| fragments.references(*at));
        let of_fragments =
            of_fragments.filter(|reference| reference.is_vital).map(|reference| Asked {
                base: reference.base,
                below: format!("{}/{}", reference.directory, reference.name),
                size: sizes.get(&reference.name).copied().flatten(),
            });
        for asked in of_fragments.chain(of_indexes) {
            let prefix = match asked.base {
                None => own.clone(),
                Some(base) => match facts.bases.get(&base) {
                    Some((recorded, _)) => {
                        facts.files += 1;
                        prefix_of(recorded, &facts.location)
                    }
                    None => {
                        return Err(unreadable(stored::StoredError::Outside { what: "a base" }));
                    }
                },
            };
            let name = format!("{prefix}{}", asked.below);
            let found = dataset.sizes.get(&name);
            if found.is_none() || asked.size.is_some_and(|size| found != Some(&size)) {
                facts.missing.push(format!("{}/{name}", facts.location));
            }
        }
        Ok(())
    }

    /// Where a recorded path leads. Compared as directories: the same place has several spellings.
    async fn leads(&mut self, location: &str, recorded: &str) -> Result<Leads, RelocateError> {
        let asked = (location.to_owned(), recorded.to_owned());
        if let Some(known) = self.known.get(&asked) {
            return Ok(known.clone());
        }
        let leads = match split_recorded(recorded, location) {
            None => Leads::Elsewhere,
            Some((root, below)) => {
                let plain = root.strip_prefix("file://").unwrap_or(&root);
                let found = if plain.starts_with('/') { identity_at(plain).await? } else { None };
                match found == Some(self.root.files().identity()) {
                    true => Leads::Here,
                    false => Leads::Old { root, below },
                }
            }
        };
        self.known.insert(asked, leads.clone());
        Ok(leads)
    }
}

/// A file that a manifest asks for.
struct Asked {
    /// The number of the base it lies in; `None` for the chain's own directory.
    base: Option<u32>,
    /// Below that.
    below: String,
    /// Its size, if that is recorded.
    size: Option<u64>,
}

/// The files of indexes, as far as they are recorded: older writers did not, and such an index is looked for by nobody.
fn index_files(indexes: &[IndexMetadata]) -> Vec<Asked> {
    let of = |index: &IndexMetadata| {
        let (base, directory) = (index.base_id, format!("_indices/{}", index.uuid));
        let files = index.files.iter().flatten();
        let asked = files.map(|file| {
            let (below, size) = (format!("{directory}/{}", file.path), Some(file.size_bytes));
            Asked { base, below, size }
        });
        asked.collect::<Vec<_>>()
    };
    indexes.iter().flat_map(of).collect()
}

/// What names begin with of files below a base, seen from the dataset.
fn prefix_of(recorded: &str, location: &str) -> String {
    let below = split_recorded(recorded, location).map_or_else(String::new, |(_, below)| below);
    match below[location.len().min(below.len())..].trim_start_matches('/') {
        "" => String::new(),
        tree => format!("{tree}/"),
    }
}

/// How large data files are by what their fragments say.
fn sizes(
    read: &VersionRead,
    fragments: &Fragments,
) -> Result<HashMap<String, Option<u64>>, stored::StoredError> {
    let mut sizes = HashMap::new();
    for at in &read.fragments {
        for file in &fragments.decoded(*at)?.files {
            sizes.insert(file.path.clone(), file.file_size_bytes.get().map(|size| size.get()));
        }
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_the_dataset_whose_versions_it_lies_beside() {
        assert_eq!(location_of("nodes/x/_versions/1.manifest"), Some("nodes/x"));
        assert_eq!(location_of("nodes/x/tree/a/b/_versions/1.manifest"), Some("nodes/x"));
        assert_eq!(location_of("__manifest/_versions/1.manifest"), Some("__manifest"));
        assert_eq!(location_of("nodes/x/data/a.lance"), None);
    }

    #[test]
    fn files_of_a_base_lie_in_the_dataset_or_in_one_of_its_branches() {
        assert_eq!(prefix_of("/old/g/nodes/x", "nodes/x"), "");
        assert_eq!(prefix_of("file:///old/g/nodes/x/tree/a/b", "nodes/x"), "tree/a/b/");
        assert_eq!(prefix_of("/warehouse", "nodes/x"), "");
    }
}
