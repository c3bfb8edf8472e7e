//! What the caller wants kept. Plain values; the floors in `floors` hold whatever it says.

use chrono::TimeDelta;

/// Which versions and files may go at all. A version goes only if every rule that is given
/// lets it, and no floor needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The newest so many existing versions of each chain stay.
    pub keep_versions: Option<u64>,
    /// Versions younger than this stay.
    pub older_than: Option<TimeDelta>,
    /// The newest so many commits of each live branch stay readable.
    pub keep_last: Option<u64>,
    /// Commits younger than this stay readable.
    pub keep_within: Option<TimeDelta>,
    /// Versions committed within this time stay: other writers may have staged work against
    /// them, and without them Lance would let it through unchecked.
    pub writer_window: TimeDelta,
    /// Files that nothing refers to stay for this long: somebody may be about to commit them.
    pub min_age: TimeDelta,
    /// Forks that no branch reads stay for this long: somebody may be about to publish them.
    pub min_fork_age: TimeDelta,
    /// More unexplained files than this share of a dataset's files, in percent, are not
    /// deleted but reported: so much litter is rather a mistake of ours.
    pub max_delete_percent: u8,
}

impl Retention {
    /// Whether anything is to be kept that nothing needs.
    pub(super) fn has_rule(&self) -> bool {
        self.keep_versions.is_some()
            || self.older_than.is_some()
            || self.keep_last.is_some()
            || self.keep_within.is_some()
    }

    /// A fork that anything was written into within this time stays. The writer window holds
    /// for versions of forks as for all others.
    pub(super) fn fork_age(&self) -> TimeDelta {
        self.min_fork_age.max(self.writer_window)
    }
}
