//! The facts of a root that may have been moved: one listing, every manifest in it, and what readers see now, by rows of
//! `__manifest` as they will be read once it refers to this place. Writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::{FutureExt, StreamExt};
use lance_table::format::IndexMetadata;
use lancekeeper_manifest::{ACTORS, COMMITS, Graph};
use lancekeeper_model::{Branch, InternalSchema, Snapshot, Version};
use lancekeeper_planner::cleanup::{Place, chain_dir, classify, split_chain};
use lancekeeper_planner::relocate::{
    Current, Leads, ManifestFacts, RelocateFacts, plan_relocate, split_recorded,
};
use lancekeeper_store::failure::text_with_hint;
use lancekeeper_store::files::{Listed, identity_at};
use lancekeeper_store::root::MANIFEST_DIR;
use lancekeeper_store::{Files, Root};
use prost::bytes::Bytes;

use super::RelocateError;
use super::bytes::repointed;
use super::old_place::open_to_us;
use crate::cleanup::references::{Fragments, VersionRead};
use crate::cleanup::stored;

/// Manifests read at the same time.
const MANIFESTS_AT_ONCE: usize = 16;
/// What is ours below a root; it has copies of manifests.
const OURS: &str = "__maintenance/";
const VERSIONS: &str = "/_versions/";
const TREE: &str = "/tree/";
const BRANCH_FILES: &str = "_refs/branches/";

/// Indexes of the system have no files; their names begin so.
const OF_SYSTEM: &str = "__lance_";

/// Looks at every manifest of a graph.
///
/// # Errors
///
/// When anything of it cannot be read: what was not seen cannot be decided about. What a branch reads that cannot be
/// told is said in the facts.
pub async fn inventory(root: &Root, graph: &Graph) -> Result<RelocateFacts, RelocateError> {
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
    let facts = RelocateFacts::default();
    let mut looks = Looks { root, graph, files, known: HashMap::new(), facts };
    looks.current(&datasets).await?;
    for (location, dataset) in &datasets {
        looks.dataset(location, dataset).await?;
    }
    Ok(looks.facts)
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

    /// Its manifests: the branch, the version if it is on one, and the file relative to the root.
    fn manifests(&self, location: &str) -> Vec<(Branch, Option<Version>, String)> {
        let branches = self.branches();
        let manifest = |path: &String| {
            let (branch, rest) = split_chain(path, &branches)?;
            let file = format!("{location}/{path}");
            match classify(rest) {
                Place::Manifest(version) => Some((branch, Some(version), file)),
                Place::Detached => Some((branch, None, file)),
                _ => None,
            }
        };
        self.sizes.keys().filter_map(manifest).collect()
    }

    /// The newest manifest of a branch.
    fn newest(&self, location: &str, branch: &Branch) -> Option<(Version, String)> {
        let manifests = self.manifests(location).into_iter();
        let its = manifests.filter(|(of, ..)| of == branch);
        its.filter_map(|(_, version, file)| Some((version?, file))).max()
    }

    /// Whether there is a file below a directory.
    fn has_files_in(&self, directory: &str) -> bool {
        let first = self.sizes.range(directory.to_owned()..).next();
        first.is_some_and(|(path, _)| path.starts_with(directory))
    }
}

struct Looks<'a> {
    root: &'a Root,
    graph: &'a Graph,
    files: Files,
    /// Where paths lead that were looked at.
    known: HashMap<(String, String), Leads>,
    /// What was found so far. What readers see comes first.
    facts: RelocateFacts,
}

impl Looks<'_> {
    /// What readers of every branch see: the newest version of its `__manifest`, what that pins, and up to v3 its
    /// commit history.
    async fn current(&mut self, datasets: &BTreeMap<String, Dataset>) -> Result<(), RelocateError> {
        let Some(manifest) = datasets.get(MANIFEST_DIR) else { return Ok(()) };
        let is_v3 = self.graph.schema() <= InternalSchema::V3;
        let history = |location: &str, branch: &Branch| {
            let dataset = datasets.get(location).filter(|_| is_v3)?;
            dataset.newest(location, branch).map(|(version, _)| version)
        };
        let branches: BTreeSet<Branch> =
            manifest.branches().into_iter().chain([Branch::main()]).collect();
        for seen_by in branches {
            let current = |location: &str, branch: &Branch, version| Current {
                seen_by: seen_by.clone(),
                location: location.to_owned(),
                branch: branch.clone(),
                version,
            };
            let Some((version, file)) = manifest.newest(MANIFEST_DIR, &seen_by) else {
                let why = format!("no version of it is in {MANIFEST_DIR}");
                self.facts.unread.push((seen_by, why));
                continue;
            };
            self.facts.current.push(current(MANIFEST_DIR, &seen_by, version));
            for location in [COMMITS, ACTORS] {
                let newest = history(location, &seen_by);
                let newest = newest.map(|version| current(location, &seen_by, version));
                self.facts.current.extend(newest);
            }
            match self.snapshot(&seen_by, &file).await {
                Ok(snapshot) => {
                    let pins = snapshot.pins.iter();
                    let pins =
                        pins.map(|pin| current(&pin.location, &pin.table_branch, pin.version));
                    self.facts.current.extend(pins);
                }
                Err(error) => self.facts.unread.push((seen_by, text_with_hint(&error))),
            }
        }
        Ok(())
    }

    /// What readers of a branch see once its newest manifest, this file, refers to this place: the old one may be gone,
    /// or have gone on.
    async fn snapshot(&mut self, branch: &Branch, file: &str) -> Result<Snapshot, RelocateError> {
        let unreadable = |source| RelocateError::Manifest { file: file.to_owned(), source };
        let changed = || RelocateError::Changed { file: file.to_owned() };
        let content = self.files.read(file).await?.ok_or_else(changed)?;
        let (stored, _) = stored::decode(&content).map_err(unreadable)?;
        let mut facts = facts_of(MANIFEST_DIR, branch.clone(), None, file.to_owned());
        for base in &stored.base_paths {
            let leads = self.leads(MANIFEST_DIR, &base.path).await?;
            facts.bases.insert(base.id, (base.path.clone(), leads));
        }
        let only_it = RelocateFacts { manifests: vec![facts], ..RelocateFacts::default() };
        let mut steps = plan_relocate(&only_it, &self.root.address).steps;
        let bases = steps.pop().map(|step| step.bases).unwrap_or_default();
        let after = repointed(&content, &bases).map_err(unreadable)?;
        let message = after.slice(stored::manifest_range(&after).map_err(unreadable)?);
        Ok(self.graph.snapshot_as(branch, &message).await?)
    }

    async fn dataset(&mut self, location: &str, dataset: &Dataset) -> Result<(), RelocateError> {
        let (chains, branches) = (dataset.manifests(location), dataset.branches());
        let reads: Vec<_> = chains.iter().map(|(.., file)| self.files.read(file).boxed()).collect();
        let contents: Vec<_> =
            futures::stream::iter(reads).buffered(MANIFESTS_AT_ONCE).collect().await;
        let mut fragments = Fragments::default();
        for ((branch, version, file), content) in chains.into_iter().zip(contents) {
            let Some(content) = content? else { return Err(RelocateError::Changed { file }) };
            let is_zombie = !branch.is_main() && !branches.contains(&branch);
            let mut facts =
                ManifestFacts { is_zombie, ..facts_of(location, branch, version, file) };
            self.fill(&mut facts, &content, dataset, &mut fragments).await?;
            self.facts.manifests.push(facts);
        }
        Ok(())
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
        let mut current = self.facts.current.iter();
        let is_current = current.any(|of| of.is(&facts.location, &facts.branch, facts.version));
        if decoded.0.base_paths.is_empty() && !is_current {
            return Ok(());
        }
        for base in &decoded.0.base_paths {
            let leads = self.leads(&facts.location, &base.path).await?;
            facts.bases.insert(base.id, (base.path.clone(), leads));
        }
        let of_indexes = index_files(&decoded.1, is_current);
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
                is_directory: false,
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
            if asked.is_directory {
                let is_here = dataset.has_files_in(&name);
                facts.missing.extend((!is_here).then(|| format!("{}/{name}", facts.location)));
                continue;
            }
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
                let found = match plain.starts_with('/') {
                    true => open_to_us(identity_at(plain).await)?,
                    false => None,
                };
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
    /// Whether any file below it will do: which there are is not recorded.
    is_directory: bool,
}

fn facts_of(
    location: &str,
    branch: Branch,
    version: Option<Version>,
    file: String,
) -> ManifestFacts {
    ManifestFacts {
        file,
        location: location.to_owned(),
        branch,
        version,
        is_zombie: false,
        bases: BTreeMap::new(),
        files: 0,
        missing: Vec::new(),
    }
}

/// The files of indexes, as far as they are recorded. Older writers did not: then there is a directory at least, of
/// which nobody needs to know who reads old versions only.
fn index_files(indexes: &[IndexMetadata], is_current: bool) -> Vec<Asked> {
    let of = |index: &IndexMetadata| {
        let (base, directory) = (index.base_id, format!("_indices/{}", index.uuid));
        let Some(files) = &index.files else {
            let is_asked = is_current && !index.name.starts_with(OF_SYSTEM);
            let below = format!("{directory}/");
            let asked = Asked { base, below, size: None, is_directory: true };
            return is_asked.then_some(asked).into_iter().collect();
        };
        let asked = files.iter().map(|file| {
            let (below, size) = (format!("{directory}/{}", file.path), Some(file.size_bytes));
            Asked { base, below, size, is_directory: false }
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
