//! The table of all settings: the one place that knows them by name.

use std::fmt;

use lancekeeper_model::{
    INDEX_CACHE_BYTES, MEMORY_BYTES, METADATA_CACHE_BYTES, OptimizeOptions, TABLES_AT_ONCE,
};

use crate::kind::{Kind, Value};
use Key::{
    BulkConcurrency, BulkIndexCache, BulkMemoryLimit, BulkMetadataCache, BulkNice,
    DatabaseIndexCache, DatabaseLogCacheStats, DatabaseMetadataCache, OptimizeDeletionThreshold,
    OptimizeMaxBytes, OptimizeMaxTime, OptimizeMinFragments, OptimizeTargetBytes,
    OptimizeTargetRows, QueryConcurrency, QueryIndexCache, QueryMetadataCache,
};

/// A section of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// What holds for every kind of work.
    Database,
    /// Work that rewrites and deletes, its previews included.
    Bulk,
    /// Work that looks and counts.
    Query,
    /// How `optimize` lays out tables, and how much it does at once.
    Optimize,
}

impl Section {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Database, Self::Bulk, Self::Query, Self::Optimize];

    /// Its name in a file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Bulk => "bulk",
            Self::Query => "query",
            Self::Optimize => "optimize",
        }
    }
}

/// A setting. The order is that of [`SETTINGS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below says what each is")]
pub enum Key {
    DatabaseIndexCache,
    DatabaseMetadataCache,
    DatabaseLogCacheStats,
    BulkIndexCache,
    BulkMetadataCache,
    BulkMemoryLimit,
    BulkConcurrency,
    BulkNice,
    QueryIndexCache,
    QueryMetadataCache,
    QueryConcurrency,
    OptimizeTargetRows,
    OptimizeTargetBytes,
    OptimizeDeletionThreshold,
    OptimizeMinFragments,
    OptimizeMaxBytes,
    OptimizeMaxTime,
}

/// What is known of a setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// Which it is.
    pub key: Key,
    /// The section it stands in.
    pub section: Section,
    /// Its name within the section.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What holds where nobody says.
    pub default: Unset,
    /// What it is for, in one sentence.
    pub doc: &'static str,
    /// The option of a verb that sets it, too.
    pub flag: Option<&'static str>,
    /// A variable that scripts set already. It counts below our own, and what is no number in it
    /// is ignored, as it always was.
    pub old_variable: Option<&'static str>,
}

/// What holds where nobody sets a setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unset {
    /// This value.
    Value(Value),
    /// What another setting says.
    As(Key),
    /// No limit; in words.
    Without(&'static str),
}

/// Beside an appender on two cores, a run of the same priority as the appender made it wait up to twice as long as
/// alone; at 15 it did not notice the run. On a machine that has nothing else to do it costs nothing.
const NICENESS: u64 = 15;

/// The variable that the established client and its scripts have.
const OLD_CONCURRENCY: &str = "OMNIGRAPH_MAINTENANCE_CONCURRENCY";

/// Every setting there is, as `lancekeeper config` and docs/settings.md show them.
pub const SETTINGS: [Setting; 17] = [
    Setting::new(DatabaseIndexCache, Section::Database, "index_cache_mb", Kind::Mebibytes)
        .or_number(INDEX_CACHE_BYTES >> 20)
        .about("How much of the indexes that were read stays in memory, in MiB."),
    Setting::new(DatabaseMetadataCache, Section::Database, "metadata_cache_mb", Kind::Mebibytes)
        .or_number(METADATA_CACHE_BYTES >> 20)
        .about("How much of the manifests and file footers that were read stays in memory, in MiB."),
    Setting::new(DatabaseLogCacheStats, Section::Database, "log_cache_stats", Kind::Switch)
        .or(Unset::Value(Value::Switch(false)))
        .about("Whether hits, misses and bytes of both caches are logged, every minute and at the end of a run."),
    Setting::new(BulkIndexCache, Section::Bulk, "index_cache_mb", Kind::Mebibytes)
        .or(Unset::As(DatabaseIndexCache))
        .about("The same as in `[database]`, for bulk work alone."),
    Setting::new(BulkMetadataCache, Section::Bulk, "metadata_cache_mb", Kind::Mebibytes)
        .or(Unset::As(DatabaseMetadataCache))
        .about("The same as in `[database]`, for bulk work alone."),
    Setting::new(BulkMemoryLimit, Section::Bulk, "memory_limit", Kind::Size)
        .or_number(MEMORY_BYTES)
        .flag("--memory-limit")
        .about("What all rewrites of a run may take of memory together, by estimate; one that takes more runs alone."),
    Setting::new(BulkConcurrency, Section::Bulk, "concurrency", Kind::Count)
        .or_number(TABLES_AT_ONCE as u64)
        .flag("--concurrency")
        .old_variable(OLD_CONCURRENCY)
        .about("Tables worked on at the same time."),
    Setting::new(BulkNice, Section::Bulk, "nice", Kind::Niceness)
        .or_number(NICENESS)
        .about("How far the process steps back for others that want the processor or the disk, as `nice` counts it; 0 is not at all."),
    Setting::new(QueryIndexCache, Section::Query, "index_cache_mb", Kind::Mebibytes)
        .or(Unset::As(DatabaseIndexCache))
        .about("The same as in `[database]`, for queries alone."),
    Setting::new(QueryMetadataCache, Section::Query, "metadata_cache_mb", Kind::Mebibytes)
        .or(Unset::As(DatabaseMetadataCache))
        .about("The same as in `[database]`, for queries alone."),
    Setting::new(QueryConcurrency, Section::Query, "concurrency", Kind::Count)
        .or_number(TABLES_AT_ONCE as u64)
        .old_variable(OLD_CONCURRENCY)
        .about("Tables looked at at the same time."),
    Setting::new(OptimizeTargetRows, Section::Optimize, "target_rows", Kind::Count)
        .or_number(OptimizeOptions::TARGET_ROWS)
        .flag("--target-rows")
        .about("A new fragment is full at this many rows, or at `target_bytes`."),
    Setting::new(OptimizeTargetBytes, Section::Optimize, "target_bytes", Kind::Size)
        .or_number(OptimizeOptions::TARGET_BYTES)
        .flag("--target-bytes")
        .about("A new fragment is full at this size, or at `target_rows`."),
    Setting::new(OptimizeDeletionThreshold, Section::Optimize, "deletion_threshold", Kind::Share)
        .or(Unset::Value(Value::Share(OptimizeOptions::DELETION_THRESHOLD)))
        .flag("--deletion-threshold")
        .about("A fragment with more than this share of its rows deleted is rewritten, even alone."),
    Setting::new(OptimizeMinFragments, Section::Optimize, "min_fragments", Kind::Count)
        .or(Unset::Without("every table"))
        .flag("--min-fragments")
        .about("A table with fewer fragments is left alone, its indexes too."),
    Setting::new(OptimizeMaxBytes, Section::Optimize, "max_bytes", Kind::Size)
        .or(Unset::Without("no limit"))
        .flag("--max-bytes")
        .about("What one run reads for rewrites, over all roots; the rest is left to the next run."),
    Setting::new(OptimizeMaxTime, Section::Optimize, "max_time", Kind::Time)
        .or(Unset::Without("no limit"))
        .flag("--max-time")
        .about("No work is begun after this time; what was begun is finished."),
];

impl Key {
    /// What is known of it.
    #[must_use]
    pub fn setting(self) -> &'static Setting {
        static TABLE: [Setting; SETTINGS.len()] = SETTINGS;
        &TABLE[self as usize]
    }
}

/// `section.name`, as it is written for `--set` and in messages.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = self.setting();
        write!(f, "{}.{}", setting.section.name(), setting.name)
    }
}

impl Setting {
    const fn new(key: Key, section: Section, name: &'static str, kind: Kind) -> Self {
        let default = Unset::Without("");
        Self { key, section, name, kind, default, doc: "", flag: None, old_variable: None }
    }

    const fn or(self, default: Unset) -> Self {
        Self { default, ..self }
    }

    const fn or_number(self, number: u64) -> Self {
        self.or(Unset::Value(Value::Number(number)))
    }

    const fn about(self, doc: &'static str) -> Self {
        Self { doc, ..self }
    }

    const fn flag(self, flag: &'static str) -> Self {
        Self { flag: Some(flag), ..self }
    }

    const fn old_variable(self, variable: &'static str) -> Self {
        Self { old_variable: Some(variable), ..self }
    }

    /// The variable of the environment that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        let name = format!("{VARIABLE_PREFIX}{}_{}", self.section.name(), self.name);
        name.to_uppercase()
    }

    /// What holds where nobody sets it, as people read it.
    #[must_use]
    pub fn default_text(&self) -> String {
        match self.default {
            Unset::Value(value) => self.kind.show(value),
            Unset::As(key) => format!("as {key}"),
            Unset::Without(words) => words.to_owned(),
        }
    }
}

/// What the names of all our variables begin with.
pub(crate) const VARIABLE_PREFIX: &str = "LANCEKEEPER_";

/// The setting of a section and a name.
pub(crate) fn find(section: &str, name: &str) -> Option<Key> {
    let mut settings = SETTINGS.iter();
    let found = settings.find(|known| known.section.name() == section && known.name == name);
    found.map(|setting| setting.key)
}

#[cfg(test)]
mod tests;
