//! Which fragments a rewrite may take at all, before any of them is packed with others. Not
//! here: which of them are worth it, and which go together.

use lancekeeper_model::{FragmentFacts, TableFacts};

/// Why a fragment stays as it is, whatever its neighbours are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ineligible {
    /// An index covers it that a rewrite would end.
    Held,
    /// It claims to hide more rows than it has. The table is reported as broken; grouping it
    /// would drop the rows that it may have.
    Contradictory,
}

/// Of each fragment, in manifest order, why it may not be rewritten; `None` if it may.
#[must_use]
pub fn eligibility(facts: &TableFacts) -> Vec<Option<Ineligible>> {
    facts.fragments.iter().map(why_not).collect()
}

fn why_not(fragment: &FragmentFacts) -> Option<Ineligible> {
    if fragment.deleted_rows > fragment.physical_rows {
        return Some(Ineligible::Contradictory);
    }
    fragment.held.then_some(Ineligible::Held)
}
