//! The fragments of one index coverage as a plan will leave them. Decides nothing.

use lancekeeper_model::FragmentFacts;

use super::super::LayoutPolicy;
use super::super::policy::Size;

/// A fragment of the table, or one that the plan will make.
#[derive(Clone, Copy)]
struct Unit {
    size: Size,
    /// Whether it is rewritten even alone.
    purge: bool,
    /// The output it goes into.
    into: Option<usize>,
}

/// Fragments in manifest order, then outputs as they are made.
///
/// A manifest is sorted by fragment id, and outputs get the highest ids. Units that went into an
/// output stay in the list, so that the place of a unit never changes.
pub(super) struct List {
    units: Vec<Unit>,
}

impl List {
    pub(super) fn over(fragments: &[&FragmentFacts], policy: &LayoutPolicy) -> Self {
        let units = fragments.iter().map(|fragment| Unit {
            size: Size::of(fragment),
            purge: policy.needs_purge(fragment),
            into: None,
        });
        Self { units: units.collect() }
    }

    /// How many units there were so far; those that went into an output count.
    pub(super) fn len(&self) -> usize {
        self.units.len()
    }

    pub(super) fn size(&self, at: usize) -> Size {
        self.units[at].size
    }

    pub(super) fn needs_purge(&self, at: usize) -> bool {
        self.units[at].purge
    }

    /// Whether it went into no output.
    pub(super) fn stands(&self, at: usize) -> bool {
        self.units[at].into.is_none()
    }

    /// The units of the table as it will be, in its order.
    pub(super) fn standing(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(|at| self.stands(*at))
    }

    /// Turns these units into an output at the end of the list.
    pub(super) fn merge(&mut self, members: &[usize]) -> usize {
        let output = self.units.len();
        let mut size = Size::default();
        for at in members {
            self.units[*at].into = Some(output);
            size = size.plus(self.units[*at].size);
        }
        self.units.push(Unit { size, purge: false, into: None });
        output
    }

    /// The fragments of each output that stands.
    pub(super) fn groups<'a>(
        &self,
        fragments: &[&'a FragmentFacts],
    ) -> Vec<Vec<&'a FragmentFacts>> {
        // An output stands behind all that goes into it, so its own end is known first.
        let mut ends: Vec<usize> = (0..self.units.len()).collect();
        for (at, unit) in self.units.iter().enumerate().rev() {
            if let Some(output) = unit.into {
                ends[at] = ends[output];
            }
        }
        let mut groups = vec![Vec::new(); self.units.len() - fragments.len()];
        for (fragment, end) in fragments.iter().zip(ends) {
            if let Some(output) = end.checked_sub(fragments.len()) {
                groups[output].push(*fragment);
            }
        }
        groups.retain(|group| !group.is_empty());
        groups
    }
}
