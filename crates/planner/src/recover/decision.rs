//! What can become of a sidecar and of the tables that it names. Decides nothing.

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, RecoverAction, TableKey, TableRef, Version};

use super::Class;

/// How a table is moved forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The table.
    pub table: TableRef,
    /// The pin that must still be there.
    pub expected: Version,
    /// The version that was looked at.
    pub to: Version,
}

/// How a table is moved back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// The table.
    pub table: TableRef,
    /// What readers see, and are to see again.
    pub pin: Version,
    /// The version that was looked at: restored is on top of exactly this one.
    pub head: Version,
    /// Whether that one has the content of the pin already, because an earlier recovery died
    /// after its restore.
    pub is_restored: bool,
}

/// A table that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The table.
    pub key: TableKey,
    /// Where it lies, relative to the root.
    pub location: String,
    /// The version that was looked at.
    pub to: Version,
}

/// A table that is taken off its branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The table.
    pub key: TableKey,
    /// The version of its tombstone.
    pub tombstone: Version,
}

/// What becomes of one sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Everything is published in one commit, then the staged schema counts.
    RollForward {
        /// Tables that move.
        tables: Vec<Forward>,
        /// Tables that appear.
        added: Vec<Added>,
        /// Tables that go.
        dropped: Vec<Dropped>,
        /// Whether there are staged schema files to take over.
        promotes: bool,
    },
    /// Tables are restored, and what they are then is published; staged schema files go.
    RollBack {
        /// Tables that moved. The others are as they were.
        tables: Vec<Back>,
        /// Whether there are staged schema files to delete.
        unstages: bool,
    },
    /// It was published already: that is written down.
    Record {
        /// Whether what was published are tables that were restored.
        went_back: bool,
        /// Whether there are staged schema files to take over.
        promotes: bool,
    },
    /// Its branch is gone: that is written down.
    DiscardOrphan,
    /// Its writer may be alive.
    Wait {
        /// Until when; never by itself, for `None`.
        until: Option<DateTime<Utc>>,
    },
    /// A person has to look at it. Others can be dealt with.
    Refuse,
    /// Nothing is known of it, not even its tables: no other can be dealt with either.
    Stop,
}

impl Decision {
    /// The same without what is needed to carry it out.
    #[must_use]
    pub fn action(&self) -> RecoverAction {
        match self {
            Self::RollForward { .. } => RecoverAction::RollForward,
            Self::RollBack { .. } => RecoverAction::RollBack,
            Self::Record { .. } => RecoverAction::Record,
            Self::DiscardOrphan => RecoverAction::DiscardOrphan,
            Self::Wait { .. } => RecoverAction::Wait,
            Self::Refuse | Self::Stop => RecoverAction::Refuse,
        }
    }

    /// Whether something is done about it.
    #[must_use]
    pub fn acts(&self) -> bool {
        !matches!(self, Self::Wait { .. } | Self::Refuse | Self::Stop)
    }
}

/// The decision about one sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoverStep {
    /// The file, relative to the root.
    pub file: String,
    /// The graph branch it is about.
    pub branch: Branch,
    /// What the established rules call each of its tables, in its order.
    pub classes: Vec<Class>,
    /// What becomes of it.
    pub decision: Decision,
    /// Why, in a sentence.
    pub why: String,
}

/// The decisions about all foreign sidecars.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoverPlan {
    /// One per sidecar, by file name, which is the order in which the operations began.
    pub steps: Vec<RecoverStep>,
}
