//! What every verb is given: the handles and limits that all runs of a keeper share, and what is
//! known of one run. Nothing here knows a verb or a root.

pub(crate) mod budget;
pub(crate) mod clock;
pub(crate) mod concurrency;
pub(crate) mod ended;
pub(crate) mod graph_job;
pub(crate) mod jobs;
pub(crate) mod stop;
pub(crate) mod yielding;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use lancekeeper_model::{JobCause, Observer, OperationId, Progress, ProgressEvent};
use lancekeeper_queue::Queues;
use lancekeeper_rewrite::Admission;
use lancekeeper_store::Tables;

use clock::Clock;
use concurrency::tables_at_once;
use jobs::Log;
use stop::Stop;
use yielding::Yielding;

/// What all runs of a keeper share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Opens tables, with one cache for all.
    pub(crate) tables: Tables,
    /// Hands out memory to rewrites.
    pub(crate) admission: Admission,
    /// The request to stop.
    pub(crate) stop: Stop,
    /// Who hears of pins, whatever the verb.
    pub(crate) observer: Observer,
    /// Where the keys of tables are had: those of the process, unless told.
    pub(crate) queues: Queues,
    /// What time it is.
    pub(crate) clock: Clock,
    /// How long another keeper is waited for that has a root locked.
    pub(crate) lock_wait: Duration,
    /// Who writes jobs down.
    pub(crate) jobs: Log,
    /// Why its runs are started, for their jobs.
    pub(crate) cause: JobCause,
    /// Tables worked on at the same time where a verb does not say.
    pub(crate) concurrency: Option<usize>,
    /// How it yields to writers that know nothing of it.
    pub(crate) yielding: Yielding,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            tables: Tables::default(),
            admission: Admission::default(),
            stop: Stop::default(),
            observer: Observer::default(),
            queues: Queues::process(),
            clock: Clock::default(),
            lock_wait: Duration::ZERO,
            jobs: Log::default(),
            cause: JobCause::default(),
            concurrency: None,
            yielding: Yielding::default(),
        }
    }
}

impl Context {
    /// What time it is.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Tables at once, of so many: what a verb asks for, else what the keeper was built with, else
    /// the environment's.
    pub(crate) fn tables_at_once(&self, asked: Option<usize>, tables: usize) -> usize {
        tables_at_once(asked.or(self.concurrency), tables)
    }

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
