//! What a caller may ask for. Plain data, with the defaults and the reason for each.

/// A fragment below this many bytes counts as small in `status` and in triggers: opening it
/// costs about as much as reading it. 64 MiB.
pub const SMALL_FRAGMENT_BYTES: u64 = 64 << 20;

/// Options of `optimize`.
#[derive(Debug, Clone, PartialEq)]
pub struct OptimizeOptions {
    /// Only these tables; empty means all.
    pub tables: Vec<String>,
    /// An output fragment is full at this many rows, or at `target_bytes`.
    pub target_rows: u64,
    /// An output fragment is full at this many bytes, or at `target_rows`.
    pub target_bytes: u64,
    /// A fragment with more than this share of its rows deleted is rewritten even alone.
    /// 0 rewrites every fragment with a deleted row.
    pub deletion_threshold: f64,
    /// Tables rewritten at the same time; `None` takes the environment's or the default.
    pub concurrency: Option<usize>,
}

impl Default for OptimizeOptions {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            // Lance's own target: 2^20 rows keep row addresses and index bitmaps compact.
            target_rows: 1 << 20,
            // Wide rows reach a sensible file size long before 2^20 rows.
            target_bytes: 512 << 20,
            deletion_threshold: 0.1,
            concurrency: None,
        }
    }
}
