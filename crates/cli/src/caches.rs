//! What the caches did, in the log: at the end of a run and, where that was asked for, meanwhile.
//! At the end also what was asked of stores.

use std::pin::pin;
use std::time::Duration;

use lancekeeper::{CacheStats, CacheUse, Keeper, StoreRequests};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::output::log;

/// How often it is said during a long run: often enough to see a cache that is too small while
/// something can be done about it.
const EVERY: Duration = Duration::from_secs(60);

/// Does some work of a keeper and says every minute what its caches did.
///
/// # Cancel safety
///
/// That of `work`, which is dropped with it.
pub(crate) async fn watched<T>(work: impl Future<Output = T>, keeper: &Keeper) -> T {
    let mut minutes = interval_at(Instant::now() + EVERY, EVERY);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            value = &mut work => return value,
            _ = minutes.tick() => say(&keeper.cache_stats().await),
        }
    }
}

/// Logs what the caches did.
pub(crate) fn say(stats: &CacheStats) {
    for (cache, CacheUse { hits, misses, entries, bytes }) in
        [("index", stats.index), ("metadata", stats.metadata)]
    {
        tracing::info!(target: log::CACHES, cache, hits, misses, entries, bytes, "cache");
    }
}

/// Logs what was asked of stores, in all and of each table: that must not grow with their history.
pub(crate) fn say_requests(requests: &StoreRequests, tables: usize) {
    let &StoreRequests { reads, bytes_read, writes, bytes_written } = requests;
    let each = (reads + writes) as f64 / tables.max(1) as f64;
    let per_table = format_args!("{each:.1}");
    tracing::info!(target: log::CACHES, reads, bytes_read, writes, bytes_written, tables, per_table, "requests");
}
