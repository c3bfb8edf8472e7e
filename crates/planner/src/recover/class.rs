//! What the established rules call a table of a sidecar, by its versions alone.

use lancekeeper_model::Version;

use super::facts::ForeignTable;
use super::kind::{Rule, WriterKind};

/// What the established rules call a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Nothing was committed, or everything is published.
    NoMovement,
    /// It is as its writer meant it to be.
    RolledPastExpected,
    /// One version ahead, but not as it was meant.
    UnexpectedAtP1,
    /// Further ahead, and not as it was meant.
    UnexpectedMultistep,
    /// Its writer had not come to the end with it.
    IncompletePhaseB,
    /// Behind what readers see, which cannot be.
    InvariantViolation,
    /// Its branch has no such table any more: there is nothing to be moved. Ours; the
    /// established rules take its pin for 0 and then cannot restore that.
    Gone,
}

impl Class {
    /// The established name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoMovement => "NoMovement",
            Self::RolledPastExpected => "RolledPastExpected",
            Self::UnexpectedAtP1 => "UnexpectedAtP1",
            Self::UnexpectedMultistep => "UnexpectedMultistep",
            Self::IncompletePhaseB => "IncompletePhaseB",
            Self::InvariantViolation => "InvariantViolation",
            Self::Gone => "Gone",
        }
    }
}

/// Classifies a table.
pub(super) fn classify(table: &ForeignTable, kind: WriterKind, schema_version: u32) -> Class {
    let Some(pin) = table.pin else { return Class::Gone };
    // Without a fork of that name nothing was committed to one.
    let head = table.head.unwrap_or(pin);
    if head < pin {
        return Class::InvariantViolation;
    }
    if head == pin {
        return Class::NoMovement;
    }
    let is_expected = table.expected == pin;
    let unexpected =
        if head == pin.next() { Class::UnexpectedAtP1 } else { Class::UnexpectedMultistep };
    match kind.rule(schema_version) {
        Rule::Strict if is_one_step(pin, head) && is_expected && table.post_commit_pin == head => {
            Class::RolledPastExpected
        }
        Rule::Loose if is_expected => Class::RolledPastExpected,
        Rule::Strict | Rule::Loose => unexpected,
        Rule::Confirmed => match table.confirmed {
            Some(confirmed) if confirmed == head && is_expected => Class::RolledPastExpected,
            Some(_) => Class::UnexpectedMultistep,
            None => Class::IncompletePhaseB,
        },
    }
}

fn is_one_step(pin: Version, head: Version) -> bool {
    head == pin.next()
}
