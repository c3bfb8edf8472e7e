//! What a caller may ask for. Plain data, with the defaults and the reason for each.

use chrono::TimeDelta;

/// A fragment below this many bytes counts as small in `status` and in triggers: opening it
/// costs about as much as reading it. 64 MiB.
pub const SMALL_FRAGMENT_BYTES: u64 = 64 << 20;

/// The longest a writer of a real client stages before it commits, with room.
pub const WRITER_WINDOW: TimeDelta = TimeDelta::minutes(10);

/// What `optimize` does with indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IndexMode {
    /// Leaves them as they are. What they cover and what they do not is then never merged
    /// with each other.
    Keep,
    /// Folds in the rows they do not cover, and builds what the schema declares.
    #[default]
    Refresh,
    /// Trains every index anew from all rows.
    Rebuild,
}

/// Which branches of a graph a verb works on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BranchSelection {
    /// Main alone.
    #[default]
    Main,
    /// These, `main` among them if named.
    Named(Vec<String>),
    /// Every live public branch, main included.
    All,
}

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
    /// What to do with indexes.
    pub index: IndexMode,
    /// Branches of graphs. Databases and tables have main only.
    pub branches: BranchSelection,
    /// Whether to delete old versions afterwards. Databases and tables only: on graphs that
    /// is `cleanup`.
    pub prune: Option<PruneOptions>,
}

/// What `optimize` may delete after its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneOptions {
    /// Versions committed within this time stay: other writers may have staged work against
    /// them.
    pub writer_window: TimeDelta,
    /// The caller's word that nobody else writes: the window is lifted, and so is the age
    /// below which files that nothing refers to stay.
    pub no_other_writers: bool,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self { writer_window: WRITER_WINDOW, no_other_writers: false }
    }
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
            index: IndexMode::default(),
            branches: BranchSelection::default(),
            prune: None,
        }
    }
}
