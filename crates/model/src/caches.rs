//! What the caches of a keeper did, and what it asked of stores. The fields are those of `--json`.

use serde::Serialize;

/// What a cache did since the keeper was made, or since it last forgot what it had read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CacheUse {
    /// How often something that was asked for was there.
    pub hits: u64,
    /// How often it was not, and had to be read.
    pub misses: u64,
    /// What is there now.
    pub entries: u64,
    /// The bytes of that.
    pub bytes: u64,
}

/// What both caches did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CacheStats {
    /// Parts of indexes.
    pub index: CacheUse,
    /// Manifests and footers of files.
    pub metadata: CacheUse,
}

/// What was asked of the stores that tables lie in, since the keeper was made: each call of Lance
/// that reads, lists or writes, as it would be a request to an object store. What is kept beside
/// tables (locks, sidecars, lists) is not among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StoreRequests {
    /// Calls that read something: parts of files, listings, questions whether a file is there.
    pub reads: u64,
    /// The bytes of those.
    pub bytes_read: u64,
    /// Calls that wrote something, deletions among them.
    pub writes: u64,
    /// The bytes of those.
    pub bytes_written: u64,
}
