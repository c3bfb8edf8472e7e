//! The recovery sweep over sidecars, as far as it can be decided by proof: our own
//! `Optimize` sidecars.
//!
//! # Protocol
//!
//! A sidecar of ours names one table and is armed before the table's first commit; each of
//! its commits carries its operation id. What follows the pin without a gap and carries that
//! id is ours, and publishing it changes no content: a rewrite keeps every row. Whatever
//! else is ahead of the pin belongs to somebody else and is never published.
//!
//! # Crash consistency
//!
//! A plan may be carried out in part, and planned again from what is then there: a table
//! that was published but whose sidecar remained is discarded the next time.
//!
//! One of ours about which nothing can be decided, because its table cannot be read or is behind its pin, is left alone,
//! and its table is reported as blocked: it stands in the way of nobody who works on others.
//!
//! Not here: deciding about sidecars of other writers. They are left alone, and their tables
//! are reported as blocked.

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use lancekeeper_model::{Branch, OperationId, TableRef, Version};

use crate::optimize::SidecarClaim;
use crate::recover::Unread;

/// The newest schema version of a sidecar that we understand.
pub const SIDECAR_SCHEMA_MAX: u32 = 2;

/// Everything [`plan_sweep`] reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepInventory {
    /// All sidecars of the graph.
    pub sidecars: Vec<SidecarFacts>,
}

/// One file under `__recovery/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidecarFacts {
    /// The file, relative to the root.
    pub file: String,
    /// The operation that armed it, if it says so.
    pub operation: Option<OperationId>,
    /// The version of its format, if it says so.
    pub schema_version: Option<u32>,
    /// The kind of its writer: `Optimize`, `Load`, …; empty when it cannot be read.
    pub writer_kind: String,
    /// Whether this keeper wrote it.
    pub ours: bool,
    /// Why it could not be read, if it could not.
    pub readable: Result<(), String>,
    /// The graph branch it is about.
    pub branch: Branch,
    /// The tables it names.
    pub tables: Vec<SidecarTableFacts>,
    /// Of one of ours: what it points to and could not be read, if something could not.
    pub unread: Option<Unread>,
}

/// One table that a sidecar names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidecarTableFacts {
    /// The table.
    pub table: TableRef,
    /// The pin when the sidecar was armed.
    pub expected: Version,
    /// The pin now; `None` when the branch has no such table any more.
    pub pin: Option<Version>,
    /// The newest version of the table.
    pub head: Version,
    /// For each version after the pin, up to HEAD, in order: whether it carries the id of
    /// this sidecar's operation. A version that cannot be read does not.
    pub ahead: Vec<bool>,
}

/// What becomes of one sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SidecarDecision {
    /// Publish our versions, then delete it.
    Publish {
        /// The table.
        table: TableRef,
        /// The pin that must still be there.
        expected: Version,
        /// The newest version of ours.
        to: Version,
    },
    /// Delete it; nothing is to be published.
    Discard,
    /// It is for its writer, or for the rules for foreign sidecars.
    LeaveToItsWriter,
    /// It is of ours, and nothing can be decided about its tables. A person has to look at those; others are worked on.
    Refuse,
    /// Nothing may be written to this graph, by any verb, until a person has looked at it.
    Stop,
}

/// The decision about one sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepStep {
    /// The file, relative to the root.
    pub file: String,
    /// The operation that armed it, if it says so.
    pub operation: Option<OperationId>,
    /// The graph branch it is about.
    pub branch: Branch,
    /// What becomes of it.
    pub decision: SidecarDecision,
    /// Why, in a sentence.
    pub why: String,
}

/// The decisions about all sidecars.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepPlan {
    /// One step per sidecar, by file name: our names begin with a ULID, so this is the order
    /// in which the operations began. To be carried out in this order.
    pub steps: Vec<SweepStep>,
    /// Tables that an unfinished operation of another writer names, or one of ours about which nothing can be decided,
    /// with its sidecar; sorted.
    pub blocked: Vec<(TableRef, SidecarClaim)>,
}

impl SweepPlan {
    /// The steps that stop everything. If there is one, no step of the plan is carried out.
    pub fn stops(&self) -> impl Iterator<Item = &SweepStep> {
        self.steps.iter().filter(|step| step.decision == SidecarDecision::Stop)
    }

    /// The steps of sidecars of ours about which nothing can be decided.
    pub fn refused(&self) -> impl Iterator<Item = &SweepStep> {
        self.steps.iter().filter(|step| step.decision == SidecarDecision::Refuse)
    }
}

/// Decides what becomes of every sidecar.
#[must_use]
pub fn plan_sweep(inventory: &SweepInventory) -> SweepPlan {
    let mut sidecars: Vec<&SidecarFacts> = inventory.sidecars.iter().collect();
    sidecars.sort_by(|a, b| a.file.cmp(&b.file));

    let mut plan = SweepPlan::default();
    // Pins after the steps so far: a second sidecar on a table is decided on top of them.
    let mut published = BTreeMap::new();
    for sidecar in sidecars {
        let (decision, why) = decide(sidecar, &published);
        match &decision {
            SidecarDecision::Publish { table, to, .. } => {
                published.insert(table.clone(), *to);
            }
            SidecarDecision::LeaveToItsWriter | SidecarDecision::Refuse => {
                let claim = SidecarClaim {
                    file: sidecar.file.clone(),
                    writer_kind: sidecar.writer_kind.clone(),
                };
                let tables = sidecar.tables.iter().map(|facts| facts.table.clone());
                plan.blocked.extend(tables.map(|table| (table, claim.clone())));
            }
            SidecarDecision::Discard | SidecarDecision::Stop => {}
        }
        plan.steps.push(SweepStep {
            file: sidecar.file.clone(),
            operation: sidecar.operation.clone(),
            branch: sidecar.branch.clone(),
            decision,
            why,
        });
    }
    plan.blocked.sort();
    plan.blocked.dedup();
    plan
}

fn decide(
    sidecar: &SidecarFacts,
    published: &BTreeMap<TableRef, Version>,
) -> (SidecarDecision, String) {
    if let Err(error) = &sidecar.readable {
        return (SidecarDecision::Stop, format!("it cannot be read: {error}"));
    }
    if let Some(found) = sidecar.schema_version
        && found > SIDECAR_SCHEMA_MAX
    {
        let why = format!(
            "its schema version {found} is newer than {SIDECAR_SCHEMA_MAX}, the newest known"
        );
        return (SidecarDecision::Stop, why);
    }
    if !sidecar.ours {
        let why = format!("it belongs to another writer ({})", sidecar.writer_kind);
        return (SidecarDecision::LeaveToItsWriter, why);
    }
    if let Some(unread) = &sidecar.unread {
        return (SidecarDecision::Refuse, unread.why.clone());
    }
    match sidecar.tables.as_slice() {
        [facts] => decide_ours(facts, published.get(&facts.table).copied()),
        tables => {
            let why = format!("a sidecar of ours names one table, this one names {}", tables.len());
            (SidecarDecision::Refuse, why)
        }
    }
}

fn decide_ours(facts: &SidecarTableFacts, published: Option<Version>) -> (SidecarDecision, String) {
    let table = &facts.table;
    let Some(observed) = facts.pin else {
        return (SidecarDecision::Discard, format!("the branch has no table {table} any more"));
    };
    let head = facts.head;
    if head < observed {
        let why = format!("HEAD {head} of {table} is behind manifest version {observed}");
        return (SidecarDecision::Refuse, why);
    }
    let distance = head.0 - observed.0;
    if u64::try_from(facts.ahead.len()) != Ok(distance) {
        let why = format!(
            "{} versions of {table} were examined, {distance} are ahead of its pin {observed}",
            facts.ahead.len()
        );
        return (SidecarDecision::Refuse, why);
    }
    let pin = published.map_or(observed, |published| published.max(observed));
    let ahead = usize::try_from(pin.0 - observed.0)
        .ok()
        .and_then(|skipped| facts.ahead.get(skipped..))
        .unwrap_or_default();
    let leading = ahead.iter().take_while(|ours| **ours).count();
    let foreign = ahead.len() - leading;

    if leading > 0 {
        let to = Version(pin.0 + leading as u64);
        let mut why = format!("what follows the pin {pin} of {table} is ours up to version {to}");
        if foreign > 0 {
            why += &format!("; the rest, up to HEAD {head}, is not and stays unpublished");
        }
        return (SidecarDecision::Publish { table: table.clone(), expected: pin, to }, why);
    }
    // A sidecar of ours is never left over a foreign commit: a client would take it for the
    // explanation of that commit and roll it forward to HEAD.
    let why = if foreign > 0 {
        format!("what is ahead of the pin {pin} of {table}, up to HEAD {head}, is not ours")
    } else if pin > facts.expected {
        format!("already published: the pin of {table} is {pin}")
    } else {
        format!("nothing was committed: HEAD and pin of {table} are {pin}")
    };
    (SidecarDecision::Discard, why)
}

impl fmt::Display for SidecarDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish { table, expected, to } => {
                write!(f, "publish {table} from {expected} to {to}")
            }
            Self::Discard => f.write_str("discard"),
            Self::LeaveToItsWriter => f.write_str("leave to its writer"),
            Self::Refuse => f.write_str("refuse"),
            Self::Stop => f.write_str("stop"),
        }
    }
}
