//! The lock of a root against other processes: an exclusive OS lock on one file.
//!
//! One attempt, no waiting for the lock, no async. The OS drops the lock when the process ends, however it
//! ends. It is advisory: it keeps keepers apart, not foreign writers, who do not know it.
//! Not here: the queue in front of it (`exclusive`), and leases on object stores.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use lancekeeper_model::{ErrorKind, OperationId};
use thiserror::Error;

pub(crate) use holder::Description;
use holder::FIRST_LINE;
pub use holder::LockHolder;

mod holder;
#[cfg(test)]
pub(crate) mod tests;

/// The directory of a root where the keeper keeps its own files.
pub const LOCK_DIRECTORY: &str = "__maintenance";

/// The file in [`LOCK_DIRECTORY`] that is locked.
pub const LOCK_FILE: &str = "lock";

/// The file there that a watcher has locked for as long as it watches the root.
pub const WATCHER_FILE: &str = "watcher";

/// How much of a lock file is read. A description is five short lines; the rest of anything
/// longer is not ours.
const DESCRIPTION_BYTES_MAX: u64 = 4096;

/// How often the description of a holder is read before it counts as missing. A holder locks
/// first and writes then: who comes between the two would name nobody.
const DESCRIPTION_READS_MAX: usize = 6;

/// The pause between two of these reads.
const DESCRIPTION_PAUSE: Duration = Duration::from_millis(20);

/// Why a root is not locked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else has the lock.
    #[error("{} is locked by another keeper ({})", path.display(), holder.as_deref().unwrap_or("it left no description"))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the holder says about itself, in one line.
        holder: Option<String>,
    },
    /// The path does not lead to the file that was locked: somebody deleted, moved or linked
    /// it. Others would lock another file, so this lock keeps nobody out.
    #[error("{} is not the file that was locked: it was replaced, removed, or is a link", path.display())]
    Replaced {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file is of a keeper newer than this one, whose rules are not known here.
    #[error("{} was written by a newer keeper (schema {found}, known here: up to {}): upgrade lancekeeper first", path.display(), holder::SCHEMA)]
    NewerSchema {
        /// The lock file.
        path: PathBuf,
        /// The schema it states.
        found: String,
    },
    /// The file system failed.
    #[error("failed to lock {}{}", path.display(), permission_hint(source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Too many verbs of this process wait for the root.
    #[error(transparent)]
    Queue(#[from] crate::lane::QueueError),
}

impl LockError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Held { .. } | Self::Replaced { .. } => ErrorKind::Busy,
            Self::NewerSchema { .. } => ErrorKind::Refused,
            Self::Io { .. } => ErrorKind::Unavailable,
            Self::Queue(error) => error.kind(),
        }
    }
}

/// The exclusive OS lock on a root's lock file, released on drop or with the process.
///
/// Two of them conflict within one process, too. LOCK ORDER: before any table key.
#[derive(Debug)]
#[must_use = "the root is unlocked as soon as this is dropped"]
pub struct RootLock {
    file: File,
    path: PathBuf,
}

impl RootLock {
    /// Makes one attempt at the lock of the root in `directory`, which must exist; the
    /// directory and the file of the lock are made if missing. With the lock taken, `holder`
    /// is written into the file, so that who comes too late can say who was first.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] with the holder's own description, if it can be read; otherwise
    /// see there.
    pub fn try_acquire(directory: &Path, holder: &LockHolder) -> Result<Self, LockError> {
        let (file, path) = locked(directory, LOCK_FILE, holder, File::try_lock)?;
        Ok(Self { file, path })
    }

    /// Makes one attempt at the place of the one watcher of the root in `directory`, as [`RootLock::try_acquire`] does at
    /// its lock. It keeps out other watchers and nobody else.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_watch(directory: &Path, holder: &LockHolder) -> Result<Self, LockError> {
        let (file, path) = locked(directory, WATCHER_FILE, holder, File::try_lock)?;
        Ok(Self { file, path })
    }

    /// Who has the whole lock of the root in `directory`, as the error that whoever wants it now
    /// would get; `None` if nobody has, or somebody only a share. Also that its file is of a newer
    /// keeper. Writes nothing. Others who try in this very moment may have to try again, which
    /// they do.
    ///
    /// # Errors
    ///
    /// [`LockError::Io`] when that cannot be found out.
    pub fn holder(directory: &Path) -> Result<Option<LockError>, LockError> {
        let path = directory.join(LOCK_DIRECTORY).join(LOCK_FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LockError::Io { path, source }),
        };
        match file.try_lock_shared() {
            Ok(()) => {
                let described = read_description(&file).and_then(|found| {
                    file.unlock()?;
                    Ok(found)
                });
                match described {
                    Ok(Description::Newer(found)) => {
                        Ok(Some(LockError::NewerSchema { path, found }))
                    }
                    Ok(Description::Holder(_) | Description::None) => Ok(None),
                    Err(source) => Err(LockError::Io { path, source }),
                }
            }
            Err(TryLockError::WouldBlock) => Ok(Some(held(path, &file))),
            Err(TryLockError::Error(source)) => Err(LockError::Io { path, source }),
        }
    }

    /// The operation of whoever has the whole lock of the root in `directory`: `None` if nobody has, and
    /// `Some(None)` if it has not said which it is. Writes nothing.
    ///
    /// # Errors
    ///
    /// As [`RootLock::holder`].
    pub fn operation(directory: &Path) -> Result<Option<Option<OperationId>>, LockError> {
        Ok(match Self::holder(directory)? {
            None => None,
            Some(LockError::Held { holder: Some(text), .. }) => Some(holder::operation_in(&text)),
            Some(_) => Some(None),
        })
    }

    /// Finds out whether this lock still keeps others out: the path must lead to the file
    /// that is locked. To be asked again before what cannot be undone.
    ///
    /// # Errors
    ///
    /// [`LockError::Replaced`] when it does not, [`LockError::Io`] when that cannot be found
    /// out.
    pub fn check(&self) -> Result<(), LockError> {
        match leads_to(&self.path, &self.file) {
            Ok(true) => Ok(()),
            Ok(false) => Err(LockError::Replaced { path: self.path.clone() }),
            Err(source) => Err(LockError::Io { path: self.path.clone(), source }),
        }
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RootLock {
    fn drop(&mut self) {
        // So that the file does not name a holder while there is none. Of no consequence if it
        // fails: nobody reads it without having found it locked.
        let _ = self.file.set_len(FIRST_LINE.len() as u64);
        // Not left to closing the file: a child that this process is just starting has a copy
        // of the handle, and the lock would stay until it has closed that.
        let _ = self.file.unlock();
    }
}

/// A share of the lock on a root's lock file: others may have a share too, but nobody the whole
/// lock. For whoever works on a part of a root. Released on drop or with the process.
#[derive(Debug)]
#[must_use = "the root is unlocked as soon as this is dropped"]
pub struct SharedRootLock {
    file: File,
}

impl SharedRootLock {
    /// Makes one attempt at a share of the lock of the root in `directory`, as
    /// [`RootLock::try_acquire`] does at the whole. The description is that of whoever came last.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_acquire(directory: &Path, holder: &LockHolder) -> Result<Self, LockError> {
        let (file, _) = locked(directory, LOCK_FILE, holder, File::try_lock_shared)?;
        Ok(Self { file })
    }
}

impl Drop for SharedRootLock {
    fn drop(&mut self) {
        // The description stays: it may be that of another share.
        let _ = self.file.unlock();
    }
}

/// A lock file of a root, made if missing, locked and described.
fn locked(
    directory: &Path,
    name: &str,
    holder: &LockHolder,
    lock: fn(&File) -> Result<(), TryLockError>,
) -> Result<(File, PathBuf), LockError> {
    let ours = directory.join(LOCK_DIRECTORY);
    // Not its parents: a root that does not exist must not come into being by locking it.
    match fs::create_dir(&ours) {
        Err(source) if !ours.is_dir() => return Err(LockError::Io { path: ours, source }),
        Ok(()) | Err(_) => {}
    }
    let path = ours.join(name);
    let io = |source| LockError::Io { path: path.clone(), source };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io)?;
    match attempt(&file, lock) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(held(path, &file)),
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    if let Description::Newer(found) = read_description(&file).map_err(io)? {
        return Err(LockError::NewerSchema { path, found });
    }
    // Before anything is written: a link must not lead us into a file of somebody else's.
    if !leads_to(&path, &file).map_err(io)? {
        return Err(LockError::Replaced { path });
    }
    describe(&file, holder).map_err(io)?;
    Ok((file, path))
}

/// One attempt at a lock, and another one if somebody has it: he may only be looking who has it, which
/// takes no longer than the pause in between.
pub(crate) fn attempt(
    file: &File,
    lock: fn(&File) -> Result<(), TryLockError>,
) -> Result<(), TryLockError> {
    match lock(file) {
        Err(TryLockError::WouldBlock) => {
            thread::sleep(DESCRIPTION_PAUSE);
            lock(file)
        }
        outcome => outcome,
    }
}

/// The refusal by a lock that others have. The description is a courtesy: the lock is held whether
/// it can be read or not.
fn held(path: PathBuf, file: &File) -> LockError {
    match description_of_holder(file) {
        Description::Newer(found) => LockError::NewerSchema { path, found },
        Description::Holder(text) => LockError::Held { path, holder: Some(text) },
        Description::None => LockError::Held { path, holder: None },
    }
}

/// Truncates first: a reader finds no description, a whole one, or the beginning of one, and never
/// that of the holder before.
fn describe(mut file: &File, holder: &LockHolder) -> io::Result<()> {
    file.set_len(0)?;
    io::Seek::rewind(&mut file)?;
    match file.write_all(holder.render().as_bytes()) {
        // The verb that frees space must be able to run when there is none.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ) =>
        {
            Ok(())
        }
        written => written,
    }
}

/// What the holder of a lock that others have says of itself. Blocks for at most
/// [`DESCRIPTION_READS_MAX`] pauses, and only while there is nothing to read.
fn description_of_holder(file: &File) -> Description {
    for _ in 1..DESCRIPTION_READS_MAX {
        match read_description(file).unwrap_or_default() {
            Description::None => thread::sleep(DESCRIPTION_PAUSE),
            described => return described,
        }
    }
    read_description(file).unwrap_or_default()
}

fn read_description(file: &File) -> io::Result<Description> {
    let mut bytes = Vec::new();
    io::Seek::rewind(&mut &*file)?;
    file.take(DESCRIPTION_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Description::parse(&String::from_utf8_lossy(&bytes)))
}

/// Whether `path` is the very file that is open, and not a link to it.
fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    let named = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(named.is_file() && is_same_file(&named, &file.metadata()?))
}

#[cfg(unix)]
fn is_same_file(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Where files have no number that the standard library can read, an open file cannot be
/// replaced either.
#[cfg(not(unix))]
fn is_same_file(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

/// Named in the message, unlike other causes: it is the one that people meet, and can mend.
fn permission_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => ": permission denied",
        io::ErrorKind::ReadOnlyFilesystem => ": the file system is read-only",
        _ => "",
    }
}
