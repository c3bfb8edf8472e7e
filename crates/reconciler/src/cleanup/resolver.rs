//! From what versions refer to, to what was listed.

use std::collections::HashMap;

use lancekeeper_model::Branch;
use lancekeeper_planner::cleanup::{UnitId, chain_dir};

use crate::cleanup::blobs::Named;
use crate::cleanup::names::Names;
use crate::cleanup::references::{Base, BasePaths, Bases, Fragments, Reference, VersionRead};
use crate::cleanup::report::CleanupError;

/// What a version refers to, as units.
#[derive(Debug, Clone, Default)]
pub(super) struct Resolved {
    pub(super) units: Vec<UnitId>,
    pub(super) missing: Option<(String, u64)>,
    pub(super) beside: Vec<String>,
}

impl Resolved {
    pub(super) fn extend(&mut self, other: &Self) {
        self.units.extend_from_slice(&other.units);
        self.beside.extend_from_slice(&other.beside);
        if let Some((name, count)) = &other.missing {
            self.missing.get_or_insert_with(|| (name.clone(), 0)).1 += count;
        }
    }
}

/// Why a file could not be looked up.
enum LookUpError {
    /// Its base is not defined.
    Undefined(u32),
    /// Nobody can tell where its base is.
    Unreachable(CleanupError),
}

impl LookUpError {
    fn of(self, location: &str, version: u64) -> CleanupError {
        match self {
            Self::Undefined(base) => {
                CleanupError::UnknownBase { location: location.to_owned(), version, base }
            }
            Self::Unreachable(error) => error,
        }
    }
}

/// Looks up what versions of one branch refer to, as long as they define the same bases. What a
/// fragment comes to is looked up once.
#[derive(Debug)]
pub(super) struct Resolver {
    /// The prefix of the branch's own files.
    own: String,
    bases: BasePaths,
    fragments: Vec<Option<Resolved>>,
    /// What each set of blobs comes to.
    sets: HashMap<u32, Resolved>,
}

impl Resolver {
    pub(super) fn new(branch: &Branch, read: &VersionRead) -> Self {
        let own = match chain_dir(branch) {
            directory if directory.is_empty() => directory,
            directory => format!("{directory}/"),
        };
        Self { own, bases: read.bases.clone(), fragments: Vec::new(), sets: HashMap::new() }
    }

    /// Whether another version of the branch can be looked up here.
    pub(super) fn fits(&self, read: &VersionRead) -> bool {
        self.bases == read.bases
    }

    /// Looks up what a version refers to among the units that were listed.
    ///
    /// # Errors
    ///
    /// When it refers to a base that it does not define, or of which nobody can tell where it is.
    pub(super) fn resolve(
        &mut self,
        read: &VersionRead,
        fragments: &Fragments,
        location: &str,
        bases: &mut Bases,
        names: &Names,
    ) -> Result<Resolved, CleanupError> {
        self.fragments.resize(fragments.len(), None);
        let failed = |error: LookUpError| error.of(location, read.version);
        let mut resolved = Resolved {
            units: Vec::with_capacity(read.fragments.len() + read.others.len()),
            ..Resolved::default()
        };
        for reference in &read.others {
            self.look_up(reference, bases, names, &mut resolved).map_err(failed)?;
        }
        for fragment in &read.fragments {
            let at = *fragment as usize;
            if self.fragments[at].is_none() {
                let mut of_fragment = Resolved::default();
                for reference in fragments.references(*fragment) {
                    self.look_up(reference, bases, names, &mut of_fragment).map_err(failed)?;
                }
                self.fragments[at] = Some(of_fragment);
            }
            resolved.extend(self.fragments[at].as_ref().unwrap_or(&Resolved::default()));
        }
        Ok(resolved)
    }

    /// Looks up what the blob descriptors of a version name. `keep` says what a set of them comes
    /// to, from what it was found to name; it is asked once per set.
    ///
    /// # Errors
    ///
    /// As [`Resolver::resolve`].
    pub(super) fn resolve_blobs(
        &mut self,
        (read, sets): (&VersionRead, &[u32]),
        named: &Named,
        location: &str,
        bases: &mut Bases,
        names: &Names,
        mut keep: impl FnMut(Resolved) -> Resolved,
    ) -> Result<Resolved, CleanupError> {
        let mut resolved = Resolved::default();
        for set in sets {
            if !self.sets.contains_key(set) {
                let mut of_set = Resolved::default();
                for reference in &named.sets[*set as usize] {
                    let looked = self.look_up(reference, bases, names, &mut of_set);
                    looked.map_err(|error| error.of(location, read.version))?;
                }
                self.sets.insert(*set, keep(of_set));
            }
            resolved.extend(&self.sets[set]);
        }
        Ok(resolved)
    }

    /// Looks up one file.
    fn look_up(
        &self,
        reference: &Reference,
        bases: &mut Bases,
        names: &Names,
        into: &mut Resolved,
    ) -> Result<(), LookUpError> {
        let Reference { base, directory, name, is_vital } = reference;
        let is_whole = directory.is_empty();
        let below = if is_whole { name.clone() } else { format!("{directory}/{name}") };
        let (prefix, below) = match base {
            None => (self.own.clone(), below),
            Some(number) => {
                let (path, is_dataset) =
                    self.bases.get(number).ok_or(LookUpError::Undefined(*number))?;
                // A base that is no dataset is the directory of the files itself.
                let below = if *is_dataset || is_whole { below } else { name.clone() };
                match bases.resolve(path).map_err(LookUpError::Unreachable)? {
                    Base::Here(prefix) => (prefix, below),
                    Base::Beside(prefix) => {
                        into.beside.push(format!("{prefix}{below}"));
                        return Ok(());
                    }
                    Base::Elsewhere => return Ok(()),
                }
            }
        };
        let name = format!("{prefix}{below}");
        into.units.extend(names.get(&name));
        if *is_vital && !names.is_there(&name) {
            into.missing.get_or_insert((name, 0)).1 += 1;
        }
        Ok(())
    }
}
