//! The facts of one dataset: one listing of its directory, every manifest in it read. Writes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use lance::Dataset;
use lancekeeper_model::{Branch, Version};
use lancekeeper_planner::cleanup::{
    ChainFacts, DatasetFacts, FileClass, FileFacts, FileId, ForkFacts, Place, Role, UnitId,
    VersionFacts, classify, split_chain,
};
use lancekeeper_store::files::Listed;
use lancekeeper_store::{Files, FilesError, LanceFailure, Root, Tables};

use crate::cleanup::blobs::{self, Named};
use crate::cleanup::dataset::{DatasetInventory, DatasetPlace};
use crate::cleanup::names::Names;
use crate::cleanup::references::{Bases, Fragments, VersionRead, read_stored};
use crate::cleanup::report::CleanupError;
use crate::cleanup::resolver::{Resolved, Resolver};
use crate::cleanup::top;
use crate::cleanup::unknown;

/// Manifests read at the same time: enough to keep a disk busy, few enough for `ulimit -n`.
const MANIFESTS_AT_ONCE: usize = 16;

/// Lists a dataset. `explained` are the paths that an earlier cleanup of it had decided to
/// delete.
///
/// # Errors
///
/// When anything of it cannot be read: what was not seen cannot be decided about.
pub async fn list_dataset(
    tables: &Tables,
    root: &Root,
    place: &DatasetPlace,
    explained: &BTreeSet<String>,
) -> Result<DatasetInventory, CleanupError> {
    if place.role == Role::Root {
        return top::list(root, place, explained).await;
    }
    let files = files_of(root, place).await?;
    // Branches and tags first: one that is made later cannot be missed for a directory that
    // was listed before.
    let main = tables.open(&root.address_of(&place.location), &Branch::main()).await?;
    let refs = Refs::of(&main).await?;
    let listed = files.list("").await?;
    let mut building = Building::new(place, refs, listed);
    let mut fragments = Fragments::default();
    let read = building.read_manifests(&files, &mut fragments).await?;
    let blobs = building.read_blobs(&main, &read, &fragments).await;
    let mut bases = Bases::new(root, &files);
    for (path, _) in read.iter().flat_map(|version| version.bases.values()) {
        bases.learn(path).await;
    }
    building.refer(&read, &fragments, &blobs, bases)?;
    building.facts.explained = building
        .facts
        .files
        .iter()
        .zip(0..)
        .filter(|(file, _)| explained.contains(&file.path))
        .map(|(_, at)| FileId(at))
        .collect();
    let Building { facts, names, beside, reads_blobs_below, .. } = building;
    let has_managed = read.iter().any(|version| version.schema.is_some());
    Ok(DatasetInventory {
        files,
        names,
        table: Some(main).filter(|_| has_managed),
        detached: facts.held.clone(),
        tables: Arc::default(),
        beside,
        blobs_unread: facts.blobs_unread.clone(),
        reads_blobs_below,
        facts,
    })
}

async fn files_of(root: &Root, place: &DatasetPlace) -> Result<Files, CleanupError> {
    let outer = root.files();
    let files = outer.resolved(&place.location).await?;
    if files.identity().prefix_in(&outer.identity()).is_some() {
        return Ok(files);
    }
    let (location, target) = (place.location.clone(), files.place_of(""));
    Err(CleanupError::OutsideOfRoot { location, target })
}

/// Branches and tags of a dataset.
#[derive(Debug)]
pub(super) struct Refs {
    /// Parent and version each branch was cut from.
    branches: BTreeMap<Branch, (Branch, Version)>,
    tags: BTreeMap<(Branch, Version), Vec<String>>,
}

impl Refs {
    async fn of(main: &Dataset) -> Result<Self, CleanupError> {
        let failed = |what: &str, source| {
            LanceFailure::new(format!("failed to list the {what} of {}", main.uri()), source)
        };
        let listed = main.list_branches().await.map_err(|error| failed("branches", error))?;
        let branches = listed
            .into_iter()
            .map(|(name, contents)| {
                let parent = Branch::from(contents.parent_branch);
                (Branch::named(name), (parent, Version(contents.parent_version)))
            })
            .collect();
        let mut tags: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for (name, tag) in main.tags().list().await.map_err(|error| failed("tags", error))? {
            tags.entry((Branch::from(tag.branch), Version(tag.version))).or_default().push(name);
        }
        Ok(Self { branches, tags })
    }
}

/// Facts while they are put together.
struct Building {
    facts: DatasetFacts,
    refs: Refs,
    names: Names,
    beside: BTreeSet<String>,
    reads_blobs_below: BTreeSet<String>,
    /// Manifests: chain, version (`None` for those on no chain), file.
    manifests: Vec<(u32, Option<Version>, FileId)>,
}

impl Building {
    /// Sorts what was listed by chain and kind.
    fn new(place: &DatasetPlace, refs: Refs, listed: Vec<Listed>) -> Self {
        let branches: Vec<Branch> = refs.branches.keys().cloned().collect();
        let chain = |branch: Branch, is_zombie| ChainFacts {
            branch,
            fork: None,
            is_zombie,
            versions: Vec::new(),
        };
        let mut chains = vec![chain(Branch::main(), false)];
        chains.extend(branches.iter().cloned().map(|branch| chain(branch, false)));
        let mut building = Self {
            facts: DatasetFacts {
                table: place.table.clone(),
                location: place.location.clone(),
                role: place.role,
                files: Vec::with_capacity(listed.len()),
                units: 0,
                sets: BTreeMap::new(),
                chains,
                held: Vec::new(),
                unsure: None,
                blobs_unread: None,
                warnings: Vec::new(),
                stuck: BTreeSet::new(),
                explained: Vec::new(),
            },
            refs,
            names: Names::default(),
            beside: BTreeSet::new(),
            reads_blobs_below: BTreeSet::new(),
            manifests: Vec::new(),
        };
        for (file, at) in listed.into_iter().zip(0..) {
            building.add(file, FileId(at), &branches);
        }
        building
    }

    fn add(&mut self, file: Listed, id: FileId, branches: &[Branch]) {
        let split = split_chain(&file.path, branches);
        let (mut chain, mut class) = (None, FileClass::Untouchable);
        if let Some((branch, rest)) = split {
            let place = classify(rest);
            let prefix = &file.path[..file.path.len() - rest.len()];
            // A directory without a branch file counts only once something known is in it.
            if !matches!(place, Place::Unknown) {
                chain = Some(self.chain(branch));
            }
            class = match place {
                Place::Manifest(version) => {
                    self.manifests.extend(chain.map(|chain| (chain, Some(version), id)));
                    FileClass::Manifest
                }
                Place::Detached => {
                    self.manifests.extend(chain.map(|chain| (chain, None, id)));
                    FileClass::Untouchable
                }
                Place::Part(name) => {
                    let unit = self.unit(format!("{prefix}{name}"));
                    self.names.set_there(unit);
                    FileClass::Part(unit)
                }
                Place::Blob { beside } => {
                    let own = self.unit(file.path.clone());
                    self.names.set_there(own);
                    let beside = beside.map(|name| self.unit(format!("{prefix}{name}")));
                    FileClass::Blob { own, beside }
                }
                Place::Litter => FileClass::Litter,
                Place::Hint => FileClass::Hint,
                Place::BranchFile(named) => {
                    // Only main has branch files; it goes with the branch it makes.
                    chain = self.branch_file(&named, id);
                    chain.map_or(FileClass::Untouchable, |_| FileClass::BranchFile)
                }
                Place::Unknown => FileClass::Untouchable,
            };
        }
        if class == FileClass::Untouchable {
            self.names.add_other(&file.path);
        }
        let Listed { path, bytes, modified } = file;
        self.facts.files.push(FileFacts { path, bytes, modified, class, chain });
    }

    fn chain(&mut self, branch: Branch) -> u32 {
        let chains = &mut self.facts.chains;
        let at = chains.iter().position(|chain| chain.branch == branch).unwrap_or_else(|| {
            chains.push(ChainFacts { branch, fork: None, is_zombie: true, versions: Vec::new() });
            chains.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn branch_file(&mut self, branch: &Branch, file: FileId) -> Option<u32> {
        let (parent, parent_version) = self.refs.branches.get(branch)?.clone();
        let at = self.chain(branch.clone());
        self.facts.chains[at as usize].fork = Some(ForkFacts { parent, parent_version, file });
        Some(at)
    }

    fn unit(&mut self, name: String) -> UnitId {
        let next = UnitId(self.facts.units);
        let unit = self.names.unit(name, next);
        if unit == next {
            self.facts.units += 1;
        }
        unit
    }

    /// Reads every manifest that was listed.
    async fn read_manifests(
        &self,
        files: &Files,
        fragments: &mut Fragments,
    ) -> Result<Vec<VersionRead>, CleanupError> {
        let listed = |file: &FileId| self.facts.files[file.0 as usize].path.as_str();
        let names: Vec<&str> = self.manifests.iter().map(|(.., file)| listed(file)).collect();
        let reads: Vec<_> = names.iter().map(|name| read_stored(files, name).boxed()).collect();
        let reads = futures::stream::iter(reads).buffered(MANIFESTS_AT_ONCE);
        let mut versions = Vec::with_capacity(names.len());
        let mut reads = reads.zip(futures::stream::iter(names));
        while let Some((stored, name)) = reads.next().await {
            let place = files.place_of(name);
            match stored? {
                Some(stored) => {
                    versions.push(fragments.add(&place, &self.facts.location, stored)?);
                }
                None => return Err(FilesError::Gone { place }.into()),
            }
        }
        Ok(versions)
    }

    /// Reads what the blob descriptors of every version name.
    async fn read_blobs(
        &self,
        table: &Dataset,
        read: &[VersionRead],
        fragments: &Fragments,
    ) -> Named {
        let branch = |chain: u32| &self.facts.chains[chain as usize].branch;
        let chains = self.manifests.iter().map(|(chain, ..)| branch(*chain));
        let versions: Vec<_> = chains.zip(read).collect();
        blobs::read(table, &versions, fragments, &self.names).await
    }

    /// Ties versions to what they refer to.
    fn refer(
        &mut self,
        read: &[VersionRead],
        fragments: &Fragments,
        named: &Named,
        mut bases: Bases,
    ) -> Result<(), CleanupError> {
        let manifests = std::mem::take(&mut self.manifests);
        self.facts.blobs_unread.clone_from(&named.unread);
        let unknown_index = read.iter().find_map(|version| version.unknown_index.clone());
        let mut resolver: Option<(u32, Resolver)> = None;
        let of_versions = read.iter().zip(&named.of_versions);
        for ((chain, version, manifest), (read, sets)) in manifests.into_iter().zip(of_versions) {
            let branch = self.facts.chains[chain as usize].branch.clone();
            let is_same = |(of, resolver): &(u32, Resolver)| *of == chain && resolver.fits(read);
            if !resolver.as_ref().is_some_and(is_same) {
                resolver = Some((chain, Resolver::new(&branch, read)));
            }
            let Some((_, resolver)) = &mut resolver else { continue };
            let location = self.facts.location.clone();
            let mut resolved =
                resolver.resolve(read, fragments, &location, &mut bases, &self.names)?;
            let (facts, beside) = (&mut self.facts, &mut self.beside);
            let keep = |found| keep_set(facts, beside, found);
            let blobs = (read, sets.as_slice());
            resolved.extend(&resolver.resolve_blobs(
                blobs,
                named,
                &location,
                &mut bases,
                &self.names,
                keep,
            )?);
            if named.unread.is_some() && read.schema.is_some() {
                self.reads_blobs_below.extend(bases.beside(&read.bases)?);
            }
            self.beside.extend(resolved.beside);
            let Some(version) = version else {
                self.facts.held.extend(resolved.units);
                continue;
            };
            let tags = self.refs.tags.remove(&(branch, version)).unwrap_or_default();
            self.facts.chains[chain as usize].versions.push(VersionFacts {
                version,
                committed_at: read.committed_at,
                manifest,
                fragments: read.fragments.len() as u64,
                refs: resolved.units,
                missing: resolved.missing,
                tags,
            });
        }
        for chain in &mut self.facts.chains {
            chain.versions.sort_by_key(|version| version.version);
        }
        self.facts.warnings = unknown::left_alone(&self.facts.files);
        if let Some(why) = unknown_index {
            self.facts.warnings.push(unknown::leave_indexes(&mut self.facts.files, &why));
        }
        Ok(())
    }
}

/// Gives what a set of blob descriptors names one unit to stand for it: of as many versions as
/// there are, each has as many blobs.
fn keep_set(facts: &mut DatasetFacts, beside: &mut BTreeSet<String>, found: Resolved) -> Resolved {
    beside.extend(found.beside);
    let mut units = Vec::new();
    if !found.units.is_empty() {
        let set = UnitId(facts.units);
        facts.units += 1;
        facts.sets.insert(set, found.units);
        units.push(set);
    }
    Resolved { units, missing: found.missing, beside: Vec::new() }
}
