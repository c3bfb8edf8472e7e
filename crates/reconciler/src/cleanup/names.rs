//! The names of what was listed of a dataset: what manifests and descriptors say is looked up here.

use std::collections::{BTreeSet, HashMap};

use lancekeeper_planner::cleanup::UnitId;

/// The names below a dataset.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    units: HashMap<String, UnitId>,
    /// Units of which a file was listed under the very name, and not only what lies beside it.
    there: BTreeSet<UnitId>,
    /// Files that are no unit and never go.
    others: BTreeSet<String>,
}

impl Names {
    /// The unit of a name, made as `next` where it is new.
    pub(super) fn unit(&mut self, name: String, next: UnitId) -> UnitId {
        *self.units.entry(name).or_insert(next)
    }

    pub(super) fn set_there(&mut self, unit: UnitId) {
        self.there.insert(unit);
    }

    pub(super) fn add_other(&mut self, path: &str) {
        self.others.insert(path.to_owned());
    }

    pub(super) fn get(&self, name: &str) -> Option<UnitId> {
        self.units.get(name).copied()
    }

    /// Whether a file of that name was listed, or an index segment with any file.
    pub(super) fn is_there(&self, name: &str) -> bool {
        self.get(name).is_some_and(|unit| self.there.contains(&unit)) || self.others.contains(name)
    }
}
