//! Roots as a person names a set of them: which spellings are one, and which roots lie below a
//! directory. Blocks on the file system; nothing is opened or written.

use lancekeeper_model::{
    BranchReconcileStats, ErrorKind, Recovery, RootBranchReport, RootCleanupReport, RootCounts,
    RootOptimizeReport, RootStatus,
};
use lancekeeper_store::root::{self, RootError, SEARCH_DEPTH_MAX};

/// The roots below a directory.
#[derive(Debug, Default)]
pub struct FoundRoots {
    /// Their spellings, in the order of their paths.
    pub roots: Vec<String>,
    /// What could not be looked into, or that nothing was found.
    pub troubles: Vec<SearchTrouble>,
    /// Things to know that are no errors.
    pub warnings: Vec<String>,
}

/// A place below which roots may lie that nobody sees.
#[derive(Debug, Clone)]
pub struct SearchTrouble {
    uri: String,
    message: String,
    hint: String,
    kind: ErrorKind,
}

/// Finds every graph, database and table at or below a directory, at most 16 levels deep. What
/// lies inside a root is not searched, and symlinked directories are not followed.
#[must_use]
pub fn find_roots(uri: &str) -> FoundRoots {
    let found = root::find_roots(uri);
    let warning = found.too_deep.first().map(|first| {
        let count = found.too_deep.len();
        format!(
            "{count} directories lie more than {SEARCH_DEPTH_MAX} levels below {uri} and were not searched, such as those in {first}"
        )
    });
    let trouble = |error: &RootError| SearchTrouble {
        uri: error.uri().to_owned(),
        message: lancekeeper_store::failure::full_text(error),
        hint: error.hint().to_owned(),
        kind: error.kind(),
    };
    FoundRoots {
        troubles: found.troubles.iter().map(trouble).collect(),
        roots: found.roots,
        warnings: warning.into_iter().collect(),
    }
}

/// The key by which two spellings of one root are told to be one.
#[must_use]
pub fn root_identity(uri: &str) -> String {
    root::identity_of(uri)
}

impl SearchTrouble {
    /// As an entry of the report of `optimize`.
    #[must_use]
    pub fn to_optimize_report(&self) -> RootOptimizeReport {
        RootOptimizeReport {
            uri: self.uri.clone(),
            kind: None,
            error: Some(self.message.clone()),
            hint: Some(self.hint.clone()),
            published: 0,
            recovery: Recovery::default(),
            warnings: Vec::new(),
            tables: Vec::new(),
            error_kind: Some(self.kind),
        }
    }

    /// As an entry of the report of `cleanup`.
    #[must_use]
    pub fn to_cleanup_report(&self) -> RootCleanupReport {
        RootCleanupReport {
            uri: self.uri.clone(),
            kind: None,
            error: Some(self.message.clone()),
            hint: Some(self.hint.clone()),
            keep_versions: None,
            older_than_secs: None,
            recovery: Recovery::default(),
            reconciled: BranchReconcileStats::default(),
            undecided_forks: 0,
            lost_commits: Vec::new(),
            warnings: Vec::new(),
            tables: Vec::new(),
            error_kind: Some(self.kind),
        }
    }

    /// As an entry of the report of `branch`.
    #[must_use]
    pub fn to_branch_report(&self) -> RootBranchReport {
        RootBranchReport {
            error: Some(self.message.clone()),
            hint: Some(self.hint.clone()),
            error_kind: Some(self.kind),
            ..RootBranchReport::of(&self.uri)
        }
    }

    /// As an entry of the report of `count-rows`.
    #[must_use]
    pub fn to_counts(&self) -> RootCounts {
        RootCounts {
            uri: self.uri.clone(),
            kind: None,
            error: Some(self.message.clone()),
            hint: Some(self.hint.clone()),
            tables: Vec::new(),
            error_kind: Some(self.kind),
        }
    }

    /// As an entry of the report of `status`.
    #[must_use]
    pub fn to_status(&self) -> RootStatus {
        RootStatus {
            uri: self.uri.clone(),
            kind: None,
            error: Some(self.message.clone()),
            hint: Some(self.hint.clone()),
            internal_schema: None,
            manifest_version: None,
            branches: Vec::new(),
            sidecars: Vec::new(),
            moved_from: None,
            obstacles: Vec::new(),
            internal: Vec::new(),
            reclaimable: None,
            reclaimable_error: None,
            warnings: Vec::new(),
            tables: Vec::new(),
            error_kind: Some(self.kind),
        }
    }
}
