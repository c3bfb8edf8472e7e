//! What becomes of the unfinished operations that other writers left: the established rules,
//! to the letter, once a writer is presumed dead and what lies ahead of the pins is his.
//!
//! # Protocol
//!
//! `facts` is what is known of each sidecar, `dead` says whether its writer is presumed dead
//! and whether the versions ahead of the pins can be his, `class` what the established rules
//! call each table, and [`plan_recover`] what becomes of the sidecar as a whole: all of it goes
//! forward, or all of it back.
//!
//! # Crash consistency
//!
//! A decision may be carried out in part and made again from what is then there. A table that
//! was restored stays one that is not as its writer meant it, so what went back once never
//! goes forward; what was published in full is only written down the next time.
//!
//! Not here: our own sidecars, which are decided by proof (`sweep`).

mod class;
mod dead;
mod decision;
mod facts;
mod kind;
mod schema;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, RecoverOptions, TableRef};

pub use class::Class;
use dead::Pulse;
pub use dead::later;
pub use decision::{Added, Back, Decision, Dropped, Forward, RecoverPlan, RecoverStep};
pub use facts::{
    AddedTable, AheadVersion, DroppedTable, Fit, ForeignContent, ForeignFacts, ForeignTable,
    SchemaFacts, Staging, Unread,
};
use kind::CONFIRMS_SINCE;
pub use kind::WriterKind;
pub use schema::{LockFacts, StagedFate, decide_lock, decide_staging};

/// Decides what becomes of every foreign sidecar. `now` is when the run began: whoever commits
/// after that is alive, whatever is assumed.
#[must_use]
pub fn plan_recover(
    sidecars: &[ForeignFacts],
    options: &RecoverOptions,
    now: DateTime<Utc>,
) -> RecoverPlan {
    let mut sidecars: Vec<&ForeignFacts> = sidecars.iter().collect();
    sidecars.sort_by(|a, b| a.file.cmp(&b.file));
    let pulses: Vec<Option<Pulse>> =
        sidecars.iter().map(|sidecar| dead::pulse(sidecar, options, now)).collect();
    // A restore takes whatever is ahead of a pin with it, so what anybody alive is writing to
    // is nobody else's to recover.
    let mut living: BTreeMap<&TableRef, &str> = BTreeMap::new();
    for (sidecar, pulse) in sidecars.iter().zip(&pulses) {
        if let (Ok(content), Some(Pulse::Alive { .. })) = (&sidecar.content, pulse) {
            let tables = content.tables.iter().map(|table| (&table.table, sidecar.file.as_str()));
            living.extend(tables);
        }
    }
    let claims = Claims { living, contested: contested(&sidecars) };
    let mut plan = RecoverPlan::default();
    plan.steps.extend(sidecars.iter().zip(&pulses).map(|(sidecar, pulse)| {
        let (decision, why) = decide(sidecar, pulse.as_ref(), &claims);
        let content = sidecar.content.as_ref().ok();
        RecoverStep {
            file: sidecar.file.clone(),
            branch: content.map_or_else(Branch::main, |content| content.branch.clone()),
            // Of what was not read it is not known what it is.
            classes: content.filter(|of| of.unread.is_none()).map(classes).unwrap_or_default(),
            decision,
            why,
        }
    }));
    plan.hold_for_the_unknown();
    plan
}

/// Why nothing is done about a sidecar beside one that cannot be understood.
#[must_use]
pub fn comes_first(file: &str) -> String {
    format!("nothing is known of {file}, which may be about any table: that one comes first")
}

impl RecoverPlan {
    /// Does nothing about any sidecar while there is one of which nothing is known: a restore would take with it
    /// what that one's writer committed.
    fn hold_for_the_unknown(&mut self) {
        let stop = self.steps.iter().find(|step| step.decision == Decision::Stop);
        let Some(because) = stop.map(|step| comes_first(&step.file)) else { return };
        for step in self.steps.iter_mut().filter(|step| step.decision.acts()) {
            step.decision = Decision::Wait { until: None };
            step.why = format!("{because}; else: {}", step.why);
        }
    }
}

/// What several sidecars say of one table.
struct Claims<'a> {
    /// Tables of writers that may be alive, each with the sidecar that names it.
    living: BTreeMap<&'a TableRef, &'a str>,
    /// Tables that went ahead of a pin from which more than one operation was to go on.
    contested: BTreeSet<&'a TableRef>,
}

/// Of a commit that two operations were about to make it cannot be told whose it is: published for the one, it
/// would be half of the other.
fn contested<'a>(sidecars: &[&'a ForeignFacts]) -> BTreeSet<&'a TableRef> {
    let (mut claimed, mut contested) = (BTreeSet::new(), BTreeSet::new());
    for content in sidecars.iter().filter_map(|sidecar| sidecar.content.as_ref().ok()) {
        for of in content.tables.iter().filter(|of| !of.ahead.is_empty()) {
            if !claimed.insert((&of.table, of.expected)) {
                contested.insert(&of.table);
            }
        }
    }
    contested
}

fn classes(content: &ForeignContent) -> Vec<Class> {
    let Some(kind) = content.kind else { return Vec::new() };
    content
        .tables
        .iter()
        .map(|table| class::classify(table, kind, content.schema_version))
        .collect()
}

fn decide(
    sidecar: &ForeignFacts,
    pulse: Option<&Pulse>,
    claims: &Claims<'_>,
) -> (Decision, String) {
    let content = match &sidecar.content {
        Ok(content) => content,
        Err(why) => return (Decision::Stop, format!("it cannot be understood: {why}")),
    };
    let (Some(kind), Some(pulse)) = (content.kind, pulse) else {
        let why = format!("it is of a kind that is not known: {:?}", content.kind_text);
        return (Decision::Stop, why);
    };
    if let Some(why) = misplaced(content) {
        return (Decision::Refuse, why);
    }
    if let Pulse::Alive { until, why } = pulse {
        return (Decision::Wait { until: *until }, why.clone());
    }
    if content.branch_is_lost {
        let why =
            format!("{} is no branch, but was published to: its file may be lost", content.branch);
        return (Decision::Refuse, why);
    }
    if !content.branch_exists {
        let why = format!("there is no branch {} any more", content.branch);
        return (Decision::DiscardOrphan, why);
    }
    let beside = content.tables.iter().find_map(|table| {
        let file = claims.living.get(&table.table).filter(|file| **file != sidecar.file)?;
        Some(format!(
            "{} is also named by {file}, whose writer may be alive: that one comes first",
            table.table
        ))
    });
    if let Some(why) = beside {
        return (Decision::Wait { until: None }, why);
    }
    if let Some(unread) = &content.unread {
        return (Decision::Refuse, unread.why.clone());
    }
    if let Some(why) = dead::not_his(content, kind) {
        return (Decision::Refuse, why);
    }
    let (decision, why) = settle(content, kind, &classes(content), &claims.contested);
    match lost(content, &decision) {
        Some(why) => (Decision::Refuse, why),
        None => (decision, why),
    }
}

/// Why nothing can be taken back, if so: of a table that is to be restored the version is gone that readers see. What
/// goes forward does not need it.
fn lost(content: &ForeignContent, decision: &Decision) -> Option<String> {
    let Decision::RollBack { tables, .. } = decision else { return None };
    let lacks_pin =
        |back: &&Back| content.tables.iter().any(|of| of.lacks_pin && of.table == back.table);
    let back = tables.iter().filter(|back| !back.is_restored).find(lacks_pin)?;
    Some(format!(
        "there is nothing to go back to: version {} of {}, which readers see, is gone",
        back.pin, back.table
    ))
}

/// What a sidecar says of places that contradicts the graph.
fn misplaced(content: &ForeignContent) -> Option<String> {
    let tables = content.tables.iter().find_map(|table| table.misplaced.clone());
    let added = content.added.iter().find_map(|added| added.misplaced.clone());
    let other = content.tables.iter().find(|table| table.table.branch != content.branch);
    tables.or(added).or_else(|| {
        other.map(|table| {
            format!("it is about branch {}, and names {}", content.branch, table.table)
        })
    })
}

/// All of it goes forward, or all of it back.
fn settle(
    content: &ForeignContent,
    kind: WriterKind,
    classes: &[Class],
    contested: &BTreeSet<&TableRef>,
) -> (Decision, String) {
    let of = |class| content.tables.iter().zip(classes).find(move |(_, found)| **found == class);
    if let Some((table, _)) = of(Class::InvariantViolation) {
        let why = format!("HEAD of {} is behind its pin: {}", table.table, words::place(table));
        return (Decision::Refuse, why);
    }
    let is_still = |class: &Class| matches!(class, Class::NoMovement | Class::Gone);
    let is_all_still = !classes.is_empty() && classes.iter().all(is_still);
    let was_published =
        content.tables.iter().any(|table| table.pin.is_some_and(|pin| pin > table.expected));
    if is_all_still && was_published {
        return published(content, kind);
    }
    if let Some(table) = content.tables.iter().find(|of| contested.contains(&of.table)) {
        let why = format!(
            "another operation was to go on from pin {} of {}, too: whose its versions are cannot be told",
            table.expected, table.table
        );
        return match kind {
            WriterKind::SchemaApply => (Decision::Refuse, why),
            _ => (back(content, false), why),
        };
    }
    let is_whole = classes.iter().all(|class| *class == Class::RolledPastExpected);
    match kind {
        WriterKind::SchemaApply => schema::settle(content, is_whole, classes),
        _ if is_whole => (forward(content, false), words::forward(content)),
        _ => (back(content, false), words::back(content, classes)),
    }
}

/// What is ahead of no pin any more is written down as what it came to.
fn published(content: &ForeignContent, kind: WriterKind) -> (Decision, String) {
    let mut why = "it was published already: only its sidecar was left".to_owned();
    let mut went_back = content.tables.iter().any(|table| table.was_taken_back);
    // Written down as merged, a branch of which a part is missing would never be merged again: its rows would be
    // hidden for good. Written down as not merged it is merged once more, at worst for nothing.
    // The first format says neither how many commits it makes of a table nor which tables it takes over as they are.
    let confirms = content.schema_version >= CONFIRMS_SINCE;
    let is_merged = confirms && content.tables.iter().all(is_merged);
    if kind == WriterKind::BranchMerge && !is_merged {
        why = "its tables were published by others, and it was not merged to the end".to_owned();
        went_back = true;
    }
    if kind != WriterKind::SchemaApply || went_back {
        return (Decision::Record { went_back, promotes: false }, why);
    }
    match &content.schema.staging {
        Staging::Odd(why) => (Decision::Refuse, why.clone()),
        // The tables are published: a recovery died while it took the new schema over.
        Staging::Either => (Decision::Record { went_back, promotes: true }, why),
        _ => {
            let promotes = content.schema.is_staged() && content.schema.staged.now;
            (Decision::Record { went_back, promotes }, why)
        }
    }
}

/// Whether readers see what a merge had made of a table: what it confirmed, since merges do that.
fn is_merged(table: &ForeignTable) -> bool {
    table.pin.zip(table.confirmed).is_some_and(|(pin, confirmed)| pin >= confirmed)
}

/// Publishes what was looked at.
fn forward(content: &ForeignContent, promotes: bool) -> Decision {
    let tables = content.tables.iter().filter_map(|table| {
        Some(Forward { table: table.table.clone(), expected: table.expected, to: table.head? })
    });
    let added = content.added.iter().filter(|added| !added.is_registered).filter_map(|added| {
        let (key, location) = (added.key.clone(), added.location.clone());
        Some(Added { key, location, to: added.head? })
    });
    let dropped = content.dropped.iter().filter(|dropped| dropped.pin.is_some());
    let dropped =
        dropped.map(|table| Dropped { key: table.key.clone(), tombstone: table.tombstone });
    Decision::RollForward {
        tables: tables.collect(),
        added: added.collect(),
        dropped: dropped.collect(),
        promotes,
    }
}

/// Takes back what moved.
fn back(content: &ForeignContent, unstages: bool) -> Decision {
    let tables = content.tables.iter().filter_map(|table| {
        let (pin, head) = (table.pin?, table.head?);
        let is_restored = table.ahead.last().is_some_and(|last| last.restores == Some(pin));
        (head > pin).then(|| Back { table: table.table.clone(), pin, head, is_restored })
    });
    Decision::RollBack { tables: tables.collect(), unstages }
}
