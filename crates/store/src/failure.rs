//! Lance's errors, sorted into the kinds a caller can act on. Nothing is lost: the Lance
//! error stays the source.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use futures::future::BoxFuture;
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

/// Runs something of Lance that reads files nobody has checked. Lance trusts some numbers in
/// them and panics when they are wrong: one damaged file must not end a run over many tables.
/// `what` is read.
///
/// # Errors
///
/// Lance's own, and [`LanceError::CorruptFile`] for a panic.
///
/// # Cancel safety
///
/// That of `work`.
pub async fn guarded<T>(what: &str, work: BoxFuture<'_, lance::Result<T>>) -> lance::Result<T> {
    // Nothing that the panic left half changed is used again: `work` is consumed.
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason");
        Err(LanceError::corrupt_file_named(what, format!("reading it panicked: {said}")))
    })
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
            Some(
                std::io::ErrorKind::NotFound
                | std::io::ErrorKind::UnexpectedEof
                | std::io::ErrorKind::InvalidData,
            ) => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        },
    }
}

/// The operating system's error somewhere below, if there is one.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    find_io(error).map(std::io::Error::kind)
}

/// A copy of it, as far as it has a number.
pub(crate) fn os_error(error: &(dyn std::error::Error + 'static)) -> Option<std::io::Error> {
    find_io(error)?.raw_os_error().map(std::io::Error::from_raw_os_error)
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

const PERMISSION_DENIED: &str = "permission denied: run as a user who may read and write there";
const DISK_FULL: &str = "the disk is full: free space and run again";
const FILE_TOO_LARGE: &str = "a file would be larger than `ulimit -f` or the file system allows";

/// Whether a file found no room, on whichever disk it was to lie.
#[must_use]
pub fn is_disk_full(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    if find_io(error).is_some_and(|io| matches!(io.kind(), StorageFull | QuotaExceeded)) {
        return true;
    }
    // Some layers keep the text only.
    let text = full_text(error);
    text.contains("No space left on device") || text.contains("quota exceeded")
}

/// What a person can do about a failure of the operating system.
#[must_use]
pub fn hint_of(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if is_disk_full(error) {
        return Some(DISK_FULL);
    }
    let io = find_io(error);
    if let Some(io) = io {
        match io.kind() {
            std::io::ErrorKind::PermissionDenied => {
                return Some(PERMISSION_DENIED);
            }
            std::io::ErrorKind::FileTooLarge => return Some(FILE_TOO_LARGE),
            std::io::ErrorKind::ReadOnlyFilesystem => {
                return Some("the file system is read-only");
            }
            _ => {}
        }
    }
    // Some layers keep the text only.
    let text = full_text(error);
    if text.contains("Found multiple manifest naming schemes") {
        Some("`migrate ROOT --manifest-paths v2` gives all manifests the same names")
    } else if text.contains("Too many open files") {
        Some("too few file handles: raise `ulimit -n`")
    } else if text.contains("File too large") {
        Some(FILE_TOO_LARGE)
    } else if text.contains("Permission denied") {
        Some(PERMISSION_DENIED)
    } else if text.contains("Resources exhausted") {
        Some("a sort needs more memory than it may have: raise `--memory-limit`")
    } else {
        None
    }
}

/// An error, its causes and what a person can do about it, in one line.
#[must_use]
pub fn text_with_hint(error: &(dyn std::error::Error + 'static)) -> String {
    let text = full_text(error);
    match hint_of(error) {
        Some(hint) if !text.contains(hint) => format!("{text} ({hint})"),
        _ => text,
    }
}

/// An error and its causes in one line.
#[must_use]
pub fn full_text(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = without_places(&error.to_string());
    let mut source = error.source();
    for _ in 0..32 {
        let Some(cause) = source else { break };
        let cause_text = without_places(&cause.to_string());
        // Many wrappers print their source themselves.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// A text without the places in source files that Lance appends: they are paths of the
/// machine Lance was built on, and tell a user nothing.
fn without_places(text: &str) -> String {
    let mut parts = text.split(", ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (token, rest) = part.split_once(' ').unwrap_or((part, ""));
        let token = token.trim_end_matches(':');
        let place = token.trim_end_matches(')');
        if !is_place(place) {
            kept.push_str(", ");
            kept.push_str(part);
            continue;
        }
        // An error within another one stands in brackets.
        kept.push_str(&token[place.len()..]);
        if !rest.is_empty() {
            kept.push_str(": ");
            kept.push_str(rest);
        }
    }
    kept
}

/// Whether a token reads `path/to/file.rs:LINE:COLUMN`.
fn is_place(token: &str) -> bool {
    let mut from_the_end = token.rsplitn(3, ':');
    let is_number = |part: Option<&str>| {
        part.is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    is_number(from_the_end.next())
        && is_number(from_the_end.next())
        && from_the_end.next().is_some_and(|path| path.ends_with(".rs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_sources_are_left_out() {
        for (said, kept) in [
            (
                "LanceError(IO): too small, /home/me/lance-io/src/utils.rs:192:24",
                "LanceError(IO): too small",
            ),
            ("a, b, src/x.rs:1:2: c, /y.rs:3:4", "a, b: c"),
            ("outer (inner, /z.rs:5:6)", "outer (inner)"),
            ("no x.rs:1, y.rs", "no x.rs:1, y.rs"),
        ] {
            assert_eq!(without_places(said), kept);
        }
    }

    #[tokio::test]
    async fn a_panic_of_lance_is_an_error_that_names_what_was_read() {
        let numbers = [1_usize, 2];
        let work = async { Ok(numbers[numbers[1]]) };
        let error = guarded("t.lance", work.boxed()).await.unwrap_err();
        assert_eq!(kind_of(&error), ErrorKind::Corrupt);
        let text = full_text(&error);
        assert!(text.contains("t.lance") && text.contains("out of bounds"), "{text}");
    }

    #[test]
    fn a_hint_is_said_once() {
        let full = LanceError::io("No space left on device".to_owned());
        let text = text_with_hint(&LanceFailure::new("failed to write x", full));
        assert_eq!(text.matches(DISK_FULL).count(), 1, "{text}");
        let large = LanceError::io("File too large (os error 27)".to_owned());
        assert!(text_with_hint(&large).ends_with(&format!("({FILE_TOO_LARGE})")));
    }
}
