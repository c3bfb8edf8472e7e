//! Whether the writer of a sidecar is presumed dead, and whether what lies ahead of the pins can
//! be his. A foreign sidecar has no proof of either: there are times, and there is what was
//! committed.

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_model::{RecoverOptions, Version};

use super::facts::{AheadVersion, ForeignContent, ForeignFacts, ForeignTable};
use super::kind::WriterKind;
use super::words;

/// Sidecar and commits are dated by one clock, rounded differently.
const SLACK: TimeDelta = TimeDelta::seconds(5);
/// A query that deletes rows commits that before it writes its sidecar, table by table.
const DELETES_BEFORE: TimeDelta = TimeDelta::minutes(5);

/// Whether a writer is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pulse {
    /// It did nothing for long enough, or is said to be dead.
    Dead,
    /// It may be.
    Alive {
        /// Until when; never by itself, for `None`.
        until: Option<DateTime<Utc>>,
        /// Why.
        why: String,
    },
}

/// Whether the writer of a sidecar is alive; `None` when nothing is known of it.
pub(super) fn pulse(
    sidecar: &ForeignFacts,
    options: &RecoverOptions,
    now: DateTime<Utc>,
) -> Option<Pulse> {
    let content = sidecar.content.as_ref().ok()?;
    content.kind?;
    let ahead = content.tables.iter().flat_map(|table| &table.ahead);
    // A restore of ours that died before its publish is no sign of the writer's life.
    let his = ahead.filter(|ahead| !ahead.is_ours);
    let newest = his.filter_map(|ahead| ahead.committed_at).max();
    // The clock of a writer that began in the future is ahead of ours, so his times say nothing; but nobody can name
    // an operation that was not there yet.
    let is_ahead = content.started_at.is_some_and(|started_at| started_at > now);
    if is_ahead && options.assumed_dead.names(&sidecar.operation) {
        return Some(Pulse::Dead);
    }
    if let Some(newest) = newest.filter(|newest| *newest > now) {
        let why = format!("somebody committed to its tables at {}", words::time(newest));
        return Some(Pulse::Alive { until: Some(later(newest, options.dead_after)), why });
    }
    if let Some(started_at) = content.started_at.filter(|started_at| *started_at > now) {
        let why = format!("it began at {}, after this run did", words::time(started_at));
        return Some(Pulse::Alive { until: Some(later(started_at, options.dead_after)), why });
    }
    if options.assumed_dead.includes(&sidecar.operation) {
        return Some(Pulse::Dead);
    }
    let Some(started_at) = content.started_at else {
        let why = "it does not say when it began, so its age cannot be told".to_owned();
        return Some(Pulse::Alive { until: None, why });
    };
    let last = newest.map_or(started_at, |newest| newest.max(started_at));
    let until = later(last, options.dead_after);
    if until <= now {
        return Some(Pulse::Dead);
    }
    let what = if last == started_at { "it began" } else { "its tables were last committed to" };
    let why = format!(
        "its writer may be alive: {what} at {}; it is presumed dead at {}",
        words::time(last),
        words::time(until)
    );
    Some(Pulse::Alive { until: Some(until), why })
}

/// A time that much later; the last there is, where there is none so late.
#[must_use]
pub fn later(time: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    time.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Why what lies ahead of the pins cannot be taken for the writer's own, if it cannot.
pub(super) fn not_his(content: &ForeignContent, kind: WriterKind) -> Option<String> {
    content.tables.iter().find_map(|table| table_not_his(table, kind, content.started_at))
}

fn table_not_his(
    table: &ForeignTable,
    kind: WriterKind,
    started_at: Option<DateTime<Utc>>,
) -> Option<String> {
    let (pin, head) = (table.pin?, table.head?);
    let distance = head.0.saturating_sub(pin.0);
    if table.ahead.len() as u64 != distance {
        return Some(format!(
            "{distance} versions of {} are ahead of its pin {pin}: more than one operation makes",
            table.table
        ));
    }
    table.ahead.iter().find_map(|ahead| {
        version_not_his(ahead, kind, started_at)
            .map(|why| format!("version {} of {} {why}", ahead.version, table.table))
    })
}

fn version_not_his(
    ahead: &AheadVersion,
    kind: WriterKind,
    started_at: Option<DateTime<Utc>>,
) -> Option<String> {
    let (Some(operation), Some(committed_at)) = (&ahead.operation, ahead.committed_at) else {
        return Some("cannot be read, so whose it is cannot be told".to_owned());
    };
    let is_restored = ahead.restores.is_some_and(|version| version > Version(0));
    if ahead.is_ours && !is_restored {
        return Some("was committed by lancekeeper, not by its writer".to_owned());
    }
    if !is_restored && !kind.commits(operation) {
        return Some(format!("is {operation:?}, which a {kind:?} does not commit"));
    }
    let Some(started_at) = started_at else {
        return Some(
            "may be older than the operation, which does not say when it began".to_owned(),
        );
    };
    let slack = match (kind, operation.as_str()) {
        (WriterKind::Mutation, "Delete") => DELETES_BEFORE,
        _ => SLACK,
    };
    (committed_at < started_at - slack).then(|| {
        format!(
            "was committed at {}, before the operation began at {}",
            words::time(committed_at),
            words::time(started_at)
        )
    })
}
