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
    /// The caller's predicate does not choose it.
    Unchosen,
}

impl LayoutPolicy {
    /// Of each fragment, in manifest order, why it may not be rewritten; `None` if it may. Rules
    /// with an option find it in the policy, and the time there, too.
    #[must_use]
    pub fn eligibility(&self, facts: &TableFacts) -> Vec<Option<Ineligible>> {
        facts.fragments.iter().map(|fragment| self.why_not(facts, fragment)).collect()
    }

    fn why_not(&self, facts: &TableFacts, fragment: &FragmentFacts) -> Option<Ineligible> {
        if fragment.deleted_rows > fragment.physical_rows {
            return Some(Ineligible::Contradictory);
        }
        if facts.unchosen.contains(&fragment.id) {
            return Some(Ineligible::Unchosen);
        }
        fragment.held.then_some(Ineligible::Held)
    }
}
