//! Small text files that a person names: settings, policies, patterns.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Such a file is read up to this size; what is larger is another kind of file. 1 MiB.
const BYTES_MAX: u64 = 1 << 20;

/// The whole text of a regular file. Whatever else has its name, such as a pipe, is not waited for. Blocks on the file
/// system.
///
/// # Errors
///
/// When it cannot be read, is no regular file, is larger than 1 MiB or is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut content = Vec::new();
    let read = File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut content)?;
    if read as u64 > BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 1 MiB"));
    }
    String::from_utf8(content)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}
