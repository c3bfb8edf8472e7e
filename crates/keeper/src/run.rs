//! What every verb is given: the handles and limits that all runs of a keeper share, and what is
//! known of one run. Nothing here knows a verb or a root.

pub(crate) mod budget;
pub(crate) mod concurrency;
pub(crate) mod stop;

use std::time::Instant;

use lancekeeper_model::{Observer, OperationId, Progress, ProgressEvent};
use lancekeeper_rewrite::Admission;
use lancekeeper_store::Tables;

use stop::Stop;

/// What all runs of a keeper share. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context {
    /// Opens tables, with one cache for all.
    pub(crate) tables: Tables,
    /// Hands out memory to rewrites.
    pub(crate) admission: Admission,
    /// The request to stop.
    pub(crate) stop: Stop,
    /// Who hears of pins, whatever the verb.
    pub(crate) observer: Observer,
}

impl Context {
    /// Who hears of pins, whatever the verb.
    pub(crate) fn observer(&self) -> &dyn Progress {
        self.observer.0.as_ref()
    }
}

/// Two who hear of everything that happens during a run.
pub(crate) struct Both<'a>(pub(crate) &'a dyn Progress, pub(crate) &'a dyn Progress);

impl Progress for Both<'_> {
    fn on_event(&self, event: ProgressEvent) {
        self.0.on_event(event.clone());
        self.1.on_event(event);
    }
}

/// The id of a run that begins now.
pub(crate) fn new_operation() -> OperationId {
    OperationId::new(ulid::Ulid::generate().to_string())
}

/// Milliseconds since a moment.
pub(crate) fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
