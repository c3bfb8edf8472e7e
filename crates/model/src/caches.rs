//! What the caches of a keeper did. The fields are those of `--json`.

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
