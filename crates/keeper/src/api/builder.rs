//! The settings of a keeper. Each has a default that fits a machine which does other things, too.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lancekeeper_model::{Observer, Progress};
use lancekeeper_queue::Queues;
use lancekeeper_rewrite::Admission;
use lancekeeper_store::Tables;
use lancekeeper_store::tables::Caches;

use super::Keeper;
use crate::run::Context;
use crate::run::clock::Clock;
use crate::run::jobs::{JobLog, Log};

/// Builds a [`Keeper`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct KeeperBuilder {
    context: Context,
    caches: Caches,
}

impl KeeperBuilder {
    /// The memory that all rewrites of the keeper may take together, by estimate, in bytes. 1 GiB
    /// unless told. One rewrite that takes more runs alone.
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.context.admission = Admission::with_ceiling(bytes);
        self
    }

    /// How much of the indexes that were read stays in memory, in bytes. 256 MiB unless told.
    pub fn index_cache_bytes(mut self, bytes: usize) -> Self {
        self.caches.index_bytes = bytes;
        self
    }

    /// How much of the manifests and footers that were read stays in memory, in bytes. 64 MiB
    /// unless told.
    pub fn metadata_cache_bytes(mut self, bytes: usize) -> Self {
        self.caches.metadata_bytes = bytes;
        self
    }

    /// Tables worked on at the same time where a verb's options do not say. Else the variable
    /// `OMNIGRAPH_MAINTENANCE_CONCURRENCY`, else 8.
    pub fn concurrency(mut self, tables: usize) -> Self {
        self.context.concurrency = Some(tables);
        self
    }

    /// How long a verb that writes waits for another process that has the root locked. Not at all
    /// unless told: it fails at once, and says who has it.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.context.lock_wait = wait;
        self
    }

    /// Who tells the time: whatever depends on the age of something asks this. The system's clock
    /// unless told.
    pub fn clock(mut self, now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        self.context.clock = Clock::of(now);
        self
    }

    /// Where the keys of tables come from. Writers in this process that take the keys of the same
    /// queues and the keeper keep out of each other's way. Those of the process unless told.
    pub fn queues(mut self, queues: Queues) -> Self {
        self.context.queues = queues;
        self
    }

    /// Somebody who hears what happens in every verb, as by [`Keeper::observed_by`].
    pub fn observer(mut self, observer: Arc<dyn Progress>) -> Self {
        self.context.observer = Observer(observer);
        self
    }

    /// Somebody who writes down what becomes of each table that a verb changes. Nobody unless told.
    pub fn job_log(mut self, log: Arc<dyn JobLog>) -> Self {
        self.context.jobs = Log(Some(log));
        self
    }

    /// The keeper.
    #[must_use]
    pub fn build(self) -> Keeper {
        Keeper { context: Context { tables: Tables::with_caches(self.caches), ..self.context } }
    }
}
