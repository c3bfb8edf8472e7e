//! How long a run kept others waiting, as reports show it.

use serde::Serialize;

/// For how long a run held the key of a table, each time it held one: nobody else of this process
/// can write to the table meanwhile. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct QueueHolds {
    /// How often a key was held.
    pub count: u64,
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The 99.9th percentile.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}
