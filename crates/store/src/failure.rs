//! Lance's errors, sorted into the kinds a caller can act on. Nothing is lost: the Lance
//! error stays the source.

use lance::Error as LanceError;
use lancekeeper_model::ErrorKind;
use thiserror::Error;

/// Something Lance could not do.
#[derive(Debug, Error)]
#[error("{what}{}", hint_of(source).map(|hint| format!(" ({hint})")).unwrap_or_default())]
pub struct LanceFailure {
    /// What was being done, to what, as a fragment of a sentence.
    pub what: String,
    /// What Lance said.
    #[source]
    pub source: LanceError,
}

impl LanceFailure {
    /// Wraps an error of Lance.
    pub fn new(what: impl Into<String>, source: LanceError) -> Self {
        Self { what: what.into(), source }
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        kind_of(&self.source)
    }
}

/// The kind of a Lance error.
#[must_use]
pub fn kind_of(error: &LanceError) -> ErrorKind {
    match error.find_root() {
        LanceError::DatasetNotFound { .. } | LanceError::NotFound { .. } => {
            match io_kind(error) {
                // Lance reports a directory it may not read as a missing dataset.
                Some(std::io::ErrorKind::PermissionDenied) => ErrorKind::Unavailable,
                _ => ErrorKind::NotFound,
            }
        }
        LanceError::VersionNotFound { .. } | LanceError::RefNotFound { .. } => ErrorKind::NotFound,
        LanceError::CommitConflict { .. }
        | LanceError::RetryableCommitConflict { .. }
        | LanceError::IncompatibleTransaction { .. }
        | LanceError::TooMuchWriteContention { .. }
        | LanceError::VersionConflict { .. } => ErrorKind::Conflict,
        LanceError::CorruptFile { .. } | LanceError::Schema { .. } | LanceError::Arrow { .. } => {
            ErrorKind::Corrupt
        }
        LanceError::NotSupported { .. } => ErrorKind::Refused,
        LanceError::InvalidInput { .. } => ErrorKind::Invalid,
        _ => match io_kind(error) {
            Some(std::io::ErrorKind::NotFound) => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        },
    }
}

/// The operating system's error somewhere below, if there is one.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    find_io(error).map(std::io::Error::kind)
}

fn find_io<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let mut current = Some(error);
    // Bounded: a chain of sources is a few links long; a cycle would be a bug of a library.
    for _ in 0..32 {
        let this = current?;
        if let Some(io) = this.downcast_ref::<std::io::Error>() {
            // An io::Error may itself wrap another error that holds the real one.
            return io.get_ref().and_then(|inner| find_io(inner)).or(Some(io));
        }
        current = this.source();
    }
    None
}

/// What a person can do about a failure of the operating system.
#[must_use]
pub fn hint_of(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let io = find_io(error);
    if let Some(io) = io {
        match io.kind() {
            std::io::ErrorKind::PermissionDenied => {
                return Some("permission denied: run as a user who may write there");
            }
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                return Some("the disk is full: free space and run again");
            }
            std::io::ErrorKind::ReadOnlyFilesystem => {
                return Some("the file system is read-only");
            }
            _ => {}
        }
    }
    // Some layers keep the text only.
    let text = full_text(error);
    if text.contains("Too many open files") {
        Some("too few file handles: raise `ulimit -n`")
    } else if text.contains("No space left on device") || text.contains("File too large") {
        Some("the disk is full: free space and run again")
    } else if text.contains("Permission denied") {
        Some("permission denied: run as a user who may write there")
    } else {
        None
    }
}

/// An error and its causes in one line.
#[must_use]
pub fn full_text(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    for _ in 0..32 {
        let Some(cause) = source else { break };
        let cause_text = cause.to_string();
        // Many wrappers print their source themselves.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
