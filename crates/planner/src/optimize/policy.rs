//! When a fragment is full and when its deletions count: options that were checked.

use chrono::{DateTime, Utc};
use lancekeeper_model::{ErrorKind, FragmentFacts, OptimizeOptions, PageTarget, StorageVersion};

use super::Tiers;

/// The settings of a plan, all within their bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayoutPolicy {
    /// A fragment is full at this many live rows; at least 1.
    pub target_rows: u64,
    /// A fragment is full at this many live bytes; at least 1.
    pub target_bytes: u64,
    /// A fragment with more than this share of its rows deleted is purged; 0 to 1.
    pub deletion_threshold: f64,
    /// A table with fewer fragments is left alone; 0 for none.
    pub min_fragments: u64,
    /// How large pages are to be, if that is not left to Lance.
    pub pages: Option<PageTarget>,
    /// Of which version data files are to be, if nothing else is to be done.
    pub storage: Option<StorageVersion>,
    /// Which merges pay.
    pub tiers: Tiers,
    /// When the run began. Whatever an age decides is decided by this, at the first look at a table
    /// and at every later one of the run.
    pub now: DateTime<Utc>,
}

/// An option that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// No fragment could hold a row.
    #[error("target_rows must be at least 1")]
    TargetRows,
    /// No fragment could hold a byte.
    #[error("target_bytes must be at least 1")]
    TargetBytes,
    /// Not a share.
    #[error("deletion_threshold must be between 0 and 1, not {0}")]
    DeletionThreshold(f64),
    /// No table has fewer than none; leaving it out says the same.
    #[error("min_fragments must be at least 1")]
    MinFragments,
    /// No page could hold a row.
    #[error("pages must have at least 1 row or 1 byte")]
    Pages,
    /// Nothing could be read.
    #[error("max_bytes must be at least 1")]
    MaxBytes,
    /// Nothing could be begun.
    #[error("max_time must be more than 0")]
    MaxTime,
}

impl PolicyError {
    /// What a caller can do about it: ask for something else.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    /// The field of [`OptimizeOptions`] it is about.
    #[must_use]
    pub fn option(&self) -> &'static str {
        match self {
            Self::TargetRows => "target_rows",
            Self::TargetBytes => "target_bytes",
            Self::DeletionThreshold(_) => "deletion_threshold",
            Self::MinFragments => "min_fragments",
            Self::Pages => "pages",
            Self::MaxBytes => "max_bytes",
            Self::MaxTime => "max_time",
        }
    }
}

impl LayoutPolicy {
    /// Checks the options.
    ///
    /// # Errors
    ///
    /// When a target or a limit is 0, or the threshold is no number from 0 to 1.
    pub fn from_options(
        options: &OptimizeOptions,
        now: DateTime<Utc>,
    ) -> Result<Self, PolicyError> {
        if options.target_rows == 0 {
            return Err(PolicyError::TargetRows);
        }
        if options.target_bytes == 0 {
            return Err(PolicyError::TargetBytes);
        }
        // A range contains neither NaN nor an infinity.
        if !(0.0..=1.0).contains(&options.deletion_threshold) {
            return Err(PolicyError::DeletionThreshold(options.deletion_threshold));
        }
        if options.min_fragments == Some(0) {
            return Err(PolicyError::MinFragments);
        }
        if matches!(options.pages, Some(PageTarget::Rows(0) | PageTarget::Bytes(0))) {
            return Err(PolicyError::Pages);
        }
        if options.max_bytes == Some(0) {
            return Err(PolicyError::MaxBytes);
        }
        if options.max_time.is_some_and(|time| time.is_zero()) {
            return Err(PolicyError::MaxTime);
        }
        Ok(Self {
            target_rows: options.target_rows,
            target_bytes: options.target_bytes,
            deletion_threshold: options.deletion_threshold,
            min_fragments: options.min_fragments.unwrap_or(0),
            pages: options.pages,
            storage: options.storage_version,
            tiers: Tiers::DEFAULT,
            now,
        })
    }

    /// Whether this reaches a target. Either is enough: with wide rows the bytes do, long
    /// before the rows, and such a fragment must not be merged for ever.
    pub(super) fn fills(&self, size: Size) -> bool {
        size.rows >= self.target_rows || size.bytes >= self.target_bytes
    }

    /// Whether a fragment hides enough rows to be rewritten even alone.
    pub(super) fn needs_purge(&self, fragment: &FragmentFacts) -> bool {
        let share = fragment.deleted_rows as f64 / fragment.physical_rows as f64;
        // Strict: at a threshold of 0 a fragment without deletions stays, and at 1 so does
        // everything that has a live row.
        share > self.deletion_threshold
    }

    /// Whether one fragment may hold this much.
    pub(super) fn fits(&self, size: Size) -> bool {
        size.rows <= self.target_rows && size.bytes <= self.target_bytes
    }

    /// How full a fragment of this size is, by rows or by bytes, whichever is more. A measure
    /// without fractions, so that plans do not depend on rounding.
    pub(super) fn fill(&self, size: Size) -> u128 {
        let by_rows = u128::from(size.rows) * u128::from(self.target_bytes);
        let by_bytes = u128::from(size.bytes) * u128::from(self.target_rows);
        by_rows.max(by_bytes)
    }

    /// The tier it stands in: 0 is the highest.
    pub(super) fn tier(&self, size: Size) -> u32 {
        let full = u128::from(self.target_rows) * u128::from(self.target_bytes);
        self.tiers.tier(self.fill(size), full)
    }

    /// Whether it is at most half full. Any two of those fit into one.
    pub(super) fn is_small(&self, size: Size) -> bool {
        let is_half = |part: u64, target: u64| part <= target / 2;
        is_half(size.rows, self.target_rows) && is_half(size.bytes, self.target_bytes)
    }

    /// Whether writing this much is lost in the price of the commit.
    pub(super) fn is_tiny(&self, size: Size) -> bool {
        size.rows <= self.tiers.floor_rows && size.bytes <= self.tiers.floor_bytes
    }
}

/// What a fragment holds that readers see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Its live rows.
    pub(super) rows: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

impl Size {
    pub(super) fn of(fragment: &FragmentFacts) -> Self {
        Self { rows: fragment.live_rows(), bytes: fragment.live_bytes() }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_bounds_are_invalid() {
        let refused = |change: fn(&mut OptimizeOptions)| {
            let mut options = OptimizeOptions::default();
            change(&mut options);
            let error = LayoutPolicy::from_options(&options, DateTime::UNIX_EPOCH)
                .expect_err("out of bounds");
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().starts_with(error.option()));
            error.to_string()
        };
        insta::assert_snapshot!(refused(|o| o.target_rows = 0), @"target_rows must be at least 1");
        insta::assert_snapshot!(
            refused(|o| o.target_bytes = 0),
            @"target_bytes must be at least 1"
        );
        insta::assert_snapshot!(
            refused(|o| o.deletion_threshold = -0.1),
            @"deletion_threshold must be between 0 and 1, not -0.1"
        );
        insta::assert_snapshot!(
            refused(|o| o.deletion_threshold = 1.1),
            @"deletion_threshold must be between 0 and 1, not 1.1"
        );
        insta::assert_snapshot!(
            refused(|o| o.deletion_threshold = f64::NAN),
            @"deletion_threshold must be between 0 and 1, not NaN"
        );
        insta::assert_snapshot!(
            refused(|o| o.deletion_threshold = f64::INFINITY),
            @"deletion_threshold must be between 0 and 1, not inf"
        );
        insta::assert_snapshot!(
            refused(|o| o.min_fragments = Some(0)),
            @"min_fragments must be at least 1"
        );
        insta::assert_snapshot!(
            refused(|o| o.pages = Some(PageTarget::Rows(0))),
            @"pages must have at least 1 row or 1 byte"
        );
        insta::assert_snapshot!(refused(|o| o.max_bytes = Some(0)), @"max_bytes must be at least 1");
        insta::assert_snapshot!(
            refused(|o| o.max_time = Some(std::time::Duration::ZERO)),
            @"max_time must be more than 0"
        );
        for threshold in [0.0, 1.0] {
            let options =
                OptimizeOptions { deletion_threshold: threshold, ..OptimizeOptions::default() };
            assert!(LayoutPolicy::from_options(&options, DateTime::UNIX_EPOCH).is_ok());
        }
    }
}
