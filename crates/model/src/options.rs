//! What a caller may ask for. Plain data, with the defaults and the reason for each.

use std::time::Duration;

use chrono::TimeDelta;

use crate::{Layout, StorageVersion};

/// A fragment below this many bytes counts as small in `status` and in triggers: opening it
/// costs about as much as reading it. 64 MiB.
pub const SMALL_FRAGMENT_BYTES: u64 = 64 << 20;

/// The longest a writer of a real client stages before it commits, with room.
pub const WRITER_WINDOW: TimeDelta = TimeDelta::minutes(10);

/// The writer window of `optimize --prune-now`, which is waited out: longer than nearly every
/// writer stages, short enough to sit through.
pub const PRUNE_WINDOW: TimeDelta = TimeDelta::minutes(2);

/// Bytes of indexes that stay in memory, unless told. Lance's default of 6 GiB is meant for query
/// servers.
pub const INDEX_CACHE_BYTES: u64 = 256 << 20;

/// Bytes of manifests and file footers that stay in memory, unless told.
pub const METADATA_CACHE_BYTES: u64 = 64 << 20;

/// Bytes that all running rewrites may use together, unless told.
pub const MEMORY_BYTES: u64 = 1 << 30;

/// Tables worked on at the same time, unless told.
pub const TABLES_AT_ONCE: usize = 8;

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

/// What `optimize` compares of a rewrite before it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RewriteCheck {
    /// How many rows there are.
    #[default]
    Rows,
    /// Every value as well: old and new files are read once more.
    Content,
}

/// Which branches of a graph, or of tables, a verb works on.
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

/// How large the pages of data files are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageTarget {
    /// So many rows, in every column.
    Rows(u64),
    /// So many bytes, in the widest column; the other columns get pages of as many rows.
    Bytes(u64),
}

/// Options of `optimize`.
#[derive(Debug, Clone, PartialEq)]
pub struct OptimizeOptions {
    /// Only these tables; empty means all.
    pub tables: Vec<String>,
    /// Every table, those that `tables` does not name as well; what it names must exist.
    pub all_tables: bool,
    /// A table with fewer fragments is not worked on, its indexes neither; `None` means that
    /// every table is.
    pub min_fragments: Option<u64>,
    /// An output fragment is full at this many rows, or at `target_bytes`.
    pub target_rows: u64,
    /// An output fragment is full at this many bytes, or at `target_rows`.
    pub target_bytes: u64,
    /// A fragment with more than this share of its rows deleted is rewritten even alone.
    /// 0 rewrites every fragment with a deleted row.
    pub deletion_threshold: f64,
    /// Only fragments of which every live row matches are rewritten: an SQL expression over the table's
    /// columns, as Lance's filters have it. What is null or unknown does not match.
    pub predicate: Option<String>,
    /// How large pages are to be: fragments whose pages are far from that are rewritten, even alone. `None` leaves
    /// that to Lance.
    pub pages: Option<PageTarget>,
    /// Of databases and tables: nothing is rewritten but fragments whose data files are of another version, each to
    /// one of its own. `None`: files are of the version that they were of, or that the table says.
    pub storage_version: Option<StorageVersion>,
    /// Tables rewritten at the same time; `None` takes the environment's or the default.
    pub concurrency: Option<usize>,
    /// What to do with indexes.
    pub index: IndexMode,
    /// Indexes are worked on and no fragment is rewritten.
    pub index_only: bool,
    /// Only these indexes are refreshed, rebuilt or built; the others keep covering what they
    /// cover. Empty means all.
    pub index_names: Vec<String>,
    /// Branches of graphs; of databases and tables, Lance branches of the tables.
    pub branches: BranchSelection,
    /// Bytes that a run may read for rewrites, over all roots. What does not fit is left for
    /// the next run; the first piece of work is done whatever its size.
    pub max_bytes: Option<u64>,
    /// How long after its start a run begins new work. What was begun is finished; the first
    /// piece of work is always begun.
    pub max_time: Option<Duration>,
    /// In which order rows are to lie from now on; `None` keeps up what is remembered of each table.
    pub layout: Option<Layout>,
    /// Everything is laid out anew, not only what was added or overlaps. Says nothing about tables without a
    /// layout.
    pub full: bool,
    /// Predicates as queries ask them, by which [`Layout::Auto`] chooses columns; empty to go by indexes and keys.
    pub workload: Vec<String>,
    /// What is compared of each rewrite before it is committed.
    pub verify: RewriteCheck,
    /// Whether statistics of each table's values are computed afterwards and kept beside the root. All of it is
    /// read for that.
    pub statistics: bool,
    /// Whether to delete old versions afterwards. Databases and tables only: on graphs that
    /// is `cleanup`.
    pub prune: Option<PruneOptions>,
}

impl OptimizeOptions {
    /// Unless told. Lance's own target: 2^20 rows keep row addresses and index bitmaps compact.
    pub const TARGET_ROWS: u64 = 1 << 20;
    /// Unless told. Wide rows reach a sensible file size long before 2^20 rows.
    pub const TARGET_BYTES: u64 = 512 << 20;
    /// Unless told.
    pub const DELETION_THRESHOLD: f64 = 0.1;

    /// The tables a run is limited to; empty for all.
    #[must_use]
    pub fn selected(&self) -> &[String] {
        if self.all_tables { &[] } else { &self.tables }
    }
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
    /// Wait until the window has passed since the run's commits. Without that, what they
    /// replaced stays for the next run.
    pub wait: bool,
}

impl PruneOptions {
    /// The writer window that holds.
    #[must_use]
    pub fn window(&self) -> TimeDelta {
        if self.no_other_writers { TimeDelta::zero() } else { self.writer_window }
    }
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self { writer_window: PRUNE_WINDOW, no_other_writers: false, wait: true }
    }
}

impl Default for OptimizeOptions {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            all_tables: false,
            min_fragments: None,
            target_rows: Self::TARGET_ROWS,
            target_bytes: Self::TARGET_BYTES,
            deletion_threshold: Self::DELETION_THRESHOLD,
            predicate: None,
            pages: None,
            storage_version: None,
            concurrency: None,
            index: IndexMode::default(),
            index_only: false,
            index_names: Vec::new(),
            branches: BranchSelection::default(),
            layout: None,
            full: false,
            workload: Vec::new(),
            statistics: false,
            prune: None,
            max_bytes: None,
            max_time: None,
            verify: RewriteCheck::default(),
        }
    }
}
