//! Which fragments a rewrite may take at all, before any of them is packed with others. Not
//! here: which of them are worth it, and which go together.

use lancekeeper_model::{FragmentFacts, TableFacts};

use super::LayoutPolicy;

/// Why a fragment stays as it is, whatever its neighbours are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ineligible {
    /// An index covers it that a rewrite would end.
    Held,
    /// It claims to hide more rows than it has. The table is reported as broken; grouping it
    /// would drop the rows that it may have.
    Contradictory,
}

impl LayoutPolicy {
    /// Of each fragment, in manifest order, why it may not be rewritten; `None` if it may. Rules
    /// with an option find it in the policy, and the time there, too.
    #[must_use]
    pub fn eligibility(&self, facts: &TableFacts) -> Vec<Option<Ineligible>> {
        facts.fragments.iter().map(|fragment| self.why_not(fragment)).collect()
    }

    fn why_not(&self, fragment: &FragmentFacts) -> Option<Ineligible> {
        if fragment.deleted_rows > fragment.physical_rows {
            return Some(Ineligible::Contradictory);
        }
        fragment.held.then_some(Ineligible::Held)
    }
}
