//! The place where a root lay, which may be anybody's by now.

use std::io;

use lancekeeper_store::FilesError;
use lancekeeper_store::files::Identity;

/// Where a path leads, if we may look at it: what we may not is not this root, and nothing can be read there through it.
pub(super) fn open_to_us(
    found: Result<Option<Identity>, FilesError>,
) -> Result<Option<Identity>, FilesError> {
    match found {
        Err(FilesError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            Ok(None)
        }
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_may_not_be_looked_at_is_not_this_one_and_one_that_fails_is_an_error() {
        let failed = |kind: io::ErrorKind| {
            let (action, place) = ("resolve", "/old".to_owned());
            open_to_us(Err(FilesError::Io { action, place, source: kind.into() }))
        };
        assert!(matches!(failed(io::ErrorKind::PermissionDenied), Ok(None)));
        assert!(failed(io::ErrorKind::TimedOut).is_err());
    }
}
