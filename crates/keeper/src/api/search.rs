//! Roots as a person names a set of them: which spellings are one, and which roots lie below a
//! directory. Blocks on the file system; nothing is opened or written.

use lancekeeper_model::{RootFailure, RootReport};
use lancekeeper_store::root::{self, RootError, SEARCH_DEPTH_MAX};

use crate::root::{self as opening, OpenRootError};
use crate::run::ended::Ended;
use crate::run::jobs::UnderWay;

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
    failure: RootFailure,
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
    let trouble = |error: RootError| SearchTrouble {
        uri: error.uri().to_owned(),
        failure: Ended::from(OpenRootError::from(error)).0,
    };
    FoundRoots {
        troubles: found.troubles.into_iter().map(trouble).collect(),
        roots: found.roots,
        warnings: warning.into_iter().collect(),
    }
}

/// The key by which two spellings of one root are told to be one.
#[must_use]
pub fn root_identity(uri: &str) -> String {
    root::identity_of(uri)
}

/// The runs over a root that are under way, as far as locks tell.
///
/// # Errors
///
/// When the place is no root, or its locks cannot be looked at.
pub fn under_way(uri: &str) -> Result<UnderWay, OpenRootError> {
    opening::under_way(&root::recognise(uri)?)
}

impl SearchTrouble {
    /// As an entry of the report of any verb.
    #[must_use]
    pub fn to_report<Body: Default>(&self) -> RootReport<Body> {
        RootReport::<Body>::of(&self.uri).failed(self.failure.clone())
    }
}
