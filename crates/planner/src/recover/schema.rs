//! Schema applies: their sidecars, and what they leave beside tables, which are staging files
//! and the branch that keeps everybody out.
//!
//! A client stages its schema files after it has committed to all tables and before it
//! publishes, and renames them afterwards. So staged files say that the tables are complete, and what
//! counts and what is staged can be told from each other by what tables look like.

use chrono::{DateTime, Utc};
use lancekeeper_model::{RecoverAction, RecoverOptions, Version};

use super::class::Class;
use super::dead::later;
use super::facts::{ForeignContent, SchemaFacts, Staging};
use super::{Decision, back, forward, words};

/// What becomes of a schema apply all of whose tables are (or are not) committed.
pub(super) fn settle(
    content: &ForeignContent,
    is_whole: bool,
    classes: &[Class],
) -> (Decision, String) {
    let schema = &content.schema;
    if let Some(why) = schema.staging.refusal() {
        return (Decision::Refuse, why.to_owned());
    }
    if !is_whole {
        return go_back(content, words::back(content, classes));
    }
    if let Some(why) = contradiction(content) {
        return (Decision::Refuse, why);
    }
    let is_published = content.tables.is_empty() && is_done(content);
    match schema.staging {
        _ if is_published && !schema.is_staged() && schema.live.now => {
            let why = "it was published already: only its sidecar was left".to_owned();
            (Decision::Record { went_back: false, promotes: false }, why)
        }
        Staging::Whole | Staging::Rest if schema.staged.then => {
            let why = "every table was committed, and its schema is staged".to_owned();
            (forward(content, true), why)
        }
        Staging::Whole | Staging::Rest => {
            let why = "the staged schema is not that of the tables it committed to".to_owned();
            (Decision::Refuse, why)
        }
        // A recovery took the schema over and died before it published.
        _ if schema.live.then && !schema.live.now => {
            let why = "every table was committed, and its schema counts already".to_owned();
            (forward(content, false), why)
        }
        _ => go_back(content, "its schema was not staged: it did not come to its end".to_owned()),
    }
}

fn go_back(content: &ForeignContent, why: String) -> (Decision, String) {
    match content.schema.staging {
        // The source that counts is the new one already.
        Staging::Rest => {
            let why = format!("{why}; but its schema counts already in part");
            (Decision::Refuse, why)
        }
        Staging::None => (back(content, false), why),
        _ => (back(content, true), why),
    }
}

/// Whether all that it was to add and to drop is added and dropped.
fn is_done(content: &ForeignContent) -> bool {
    let has_changes = !content.added.is_empty() || !content.dropped.is_empty();
    has_changes
        && content.added.iter().all(|added| added.is_registered)
        && content.dropped.iter().all(|dropped| dropped.pin.is_none())
}

/// What cannot be published as it is meant.
fn contradiction(content: &ForeignContent) -> Option<String> {
    if !content.schema.is_staged() {
        // What is not complete goes back anyway.
        return None;
    }
    let added = content.added.iter().find(|added| !added.is_registered && added.head.is_none());
    if let Some(added) = added {
        return Some(format!("there is no dataset of {} at {}", added.key, added.location));
    }
    let moved = content.dropped.iter().find(|dropped| {
        dropped.pin.is_some_and(|pin| pin != Version(dropped.tombstone.0.saturating_sub(1)))
    });
    moved.map(|dropped| format!("{} was published to since it was to be dropped", dropped.key))
}

/// What becomes of staging files that no sidecar explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedFate {
    /// Promote, remove, wait or refuse.
    pub action: RecoverAction,
    /// Why, in a sentence.
    pub why: String,
    /// Until when they are waited for.
    pub until: Option<DateTime<Utc>>,
}

/// Decides about staging files without a sidecar; `None` when there are none. `written_at` is
/// when the newest of them was written.
#[must_use]
pub fn decide_staging(
    schema: &SchemaFacts,
    written_at: Option<DateTime<Utc>>,
    options: &RecoverOptions,
    now: DateTime<Utc>,
) -> Option<StagedFate> {
    if schema.staging == Staging::None {
        return None;
    }
    let fate = |action, why: &str| Some(StagedFate { action, why: why.to_owned(), until: None });
    if let Some(until) = young(written_at, SCHEMA, options, now) {
        let why = format!("its writer may be alive; it is presumed dead at {}", words::time(until));
        return Some(StagedFate { action: RecoverAction::Wait, why, until: Some(until) });
    }
    if let Some(why) = schema.staging.refusal() {
        return fate(RecoverAction::Refuse, why);
    }
    match &schema.staging {
        Staging::None | Staging::Either | Staging::Odd(_) => None,
        Staging::Torn => fate(RecoverAction::Remove, "they were not written to the end"),
        Staging::Rest => {
            fate(RecoverAction::Promote, "the tables are published, and the source counts already")
        }
        // Both are of the tables if nothing but annotations changed. Nobody was told that it was
        // applied, so what counts stays.
        Staging::Whole if schema.live.now => {
            fate(RecoverAction::Remove, "the schema that counts is that of the tables")
        }
        Staging::Whole if schema.staged.now => {
            fate(RecoverAction::Promote, "the staged schema is that of the tables")
        }
        Staging::Whole => fate(
            RecoverAction::Refuse,
            "neither the schema that counts nor the staged one is that of the tables",
        ),
    }
}

/// By this name the lock and the staging files of schema applies are assumed dead, one by one.
const SCHEMA: &str = "__schema_apply_lock__";

/// What is known of the branch that keeps everybody out while a schema is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockFacts {
    /// When it was made; `None` when that cannot be told.
    pub created_at: Option<DateTime<Utc>>,
    /// Whether something of a schema apply remains that has to be dealt with first.
    pub is_needed: bool,
}

/// Decides about the lock of schema applies.
#[must_use]
pub fn decide_lock(lock: &LockFacts, options: &RecoverOptions, now: DateTime<Utc>) -> StagedFate {
    if lock.is_needed {
        let why = "a schema apply is unfinished: that comes first".to_owned();
        return StagedFate { action: RecoverAction::Wait, why, until: None };
    }
    if let Some(until) = young(lock.created_at, SCHEMA, options, now) {
        let why =
            format!("a schema apply may be running; it is presumed dead at {}", words::time(until));
        return StagedFate { action: RecoverAction::Wait, why, until: Some(until) };
    }
    let why = "no schema apply needs it: there is no sidecar and no staged schema of one";
    StagedFate { action: RecoverAction::Remove, why: why.to_owned(), until: None }
}

/// Until when something is too young to be a dead writer's; `None` when it is not.
fn young(
    made_at: Option<DateTime<Utc>>,
    name: &str,
    options: &RecoverOptions,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    // What has no date is as young as can be.
    let until = later(made_at.unwrap_or(now), options.dead_after);
    if options.assumed_dead.names(name) {
        return None;
    }
    // Whoever began after this run did is not who was said to be dead with all others.
    if made_at.is_some_and(|made_at| made_at > now) {
        return Some(until);
    }
    if options.assumed_dead.includes(name) {
        return None;
    }
    (until > now).then_some(until)
}
