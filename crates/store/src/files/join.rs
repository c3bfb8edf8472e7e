//! Files joined end to end into a new one, by the kernel where it can: no byte of theirs passes
//! through this process.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::{Files, FilesError, Place, blocking, check_is_below};

/// The beginning of a file, which becomes part of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The file, by its name in the same directory.
    pub name: String,
    /// How much of it, in bytes.
    pub bytes: u64,
}

/// Where each of these parts begins when they are joined, every one at a multiple of `align`; and
/// where what follows them begins.
#[must_use]
pub fn places(parts: &[Part], align: u64) -> (Vec<u64>, u64) {
    let mut end = 0;
    let starts = parts.iter().map(|part| {
        let start = end;
        end = (start + part.bytes).next_multiple_of(align);
        start
    });
    (starts.collect(), end)
}

impl Files {
    /// Whether [`Files::join`] can do its work here.
    #[must_use]
    pub fn can_join(&self) -> bool {
        matches!(self.place, Place::Local(_))
    }

    /// Makes a new file of the beginnings of others, each at its place ([`places`]), and of `tail`.
    /// Returns its size.
    ///
    /// # Errors
    ///
    /// When a part is shorter than said, the file is there already, or the disk fails. What was
    /// written is deleted then.
    ///
    /// # Cancel safety
    ///
    /// The file is written to its end all the same, and nothing refers to it.
    pub async fn join(
        &self,
        name: &str,
        parts: Vec<Part>,
        align: u64,
        tail: Vec<u8>,
    ) -> Result<u64, FilesError> {
        let Place::Local(directory) = &self.place else {
            let unsupported = io::ErrorKind::Unsupported.into();
            return Err(FilesError::io("join", Path::new(name))(unsupported));
        };
        for name in parts.iter().map(|part| part.name.as_str()).chain([name]) {
            check_is_below(name)?;
        }
        let (directory, to) = (directory.clone(), directory.join(name));
        blocking(move || {
            let create = OpenOptions::new().write(true).create_new(true).open(&to);
            let file = create.map_err(FilesError::io("create", &to))?;
            let written = write_all(file, &to, &directory, &parts, align, &tail);
            if written.is_err() {
                // The cause is worth more than what becomes of a file that nobody refers to.
                let _ = std::fs::remove_file(&to);
            }
            written
        })
        .await
    }
}

fn write_all(
    mut file: File,
    to: &Path,
    directory: &Path,
    parts: &[Part],
    align: u64,
    tail: &[u8],
) -> Result<u64, FilesError> {
    let (starts, end) = places(parts, align);
    for (part, start) in parts.iter().zip(starts) {
        let place = directory.join(&part.name);
        file.seek(SeekFrom::Start(start)).map_err(FilesError::io("write", to))?;
        let mut from = File::open(&place).map_err(FilesError::io("read", &place))?.take(part.bytes);
        let copied = io::copy(&mut from, &mut file).map_err(FilesError::io("copy", &place))?;
        if copied != part.bytes {
            let short = io::ErrorKind::UnexpectedEof.into();
            return Err(FilesError::io("read", &place)(short));
        }
    }
    file.seek(SeekFrom::Start(end)).map_err(FilesError::io("write", to))?;
    file.write_all(tail).map_err(FilesError::io("write", to))?;
    Ok(end + tail.len() as u64)
}
