//! What runs need that are under way: they stage new files beside the versions they read, and let other
//! verbs work on the root meanwhile. Plain values; who is alive is found out elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::authority::PinnedVersion;

/// What must stay for runs that are under way, whatever the policy says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// The versions they stage at. Each stays, and so does everything after it on its chain: what is
    /// staged is compared with the newest, and all in between is asked who refers to what was staged.
    pub stages: Vec<PinnedVersion>,
    /// When the first of them began, by the clock of the files. What nothing refers to and was written
    /// since may be theirs, however young files may be to go.
    pub since: Option<DateTime<Utc>>,
    /// The files that journals name, by where their dataset lies: relative to that, and for an index
    /// segment its directory.
    pub files: BTreeMap<String, BTreeSet<String>>,
}

impl Running {
    /// Whether a file written at a time may be one that a run has just staged.
    pub(super) fn may_have_written(&self, written: DateTime<Utc>) -> bool {
        self.since.is_some_and(|since| written >= since)
    }

    /// Whether a journal names a file of a dataset, or a directory that it lies in.
    pub(super) fn names(&self, location: &str, path: &str) -> bool {
        let Some(named) = self.files.get(location) else { return false };
        let directories = path.match_indices('/').map(|(at, _)| &path[..at]);
        named.contains(path) || directories.into_iter().any(|directory| named.contains(directory))
    }
}
