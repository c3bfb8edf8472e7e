//! Records of runs that give the root's lock back while they stage: who is at work, and what must stay
//! for it.
//!
//! A record is a file in `__maintenance/runs/`, one per run. Its run holds an OS lock on it for as long
//! as it lives, and only that says that it lives: no time does. Records are written and cleared away under
//! the root's lock, so whoever holds that reads whole ones and knows all of them.
//! Not here: what follows from a record (`planner::cleanup`, `rewrite::journal`).
//!
//! FORMAT: the description of the holder as in a lock file, then `since MICROSECONDS`, one line
//! `stages VERSION BRANCH LOCATION` per table, and `end`. Blanks, control characters and `%` in names are
//! written as `%XX` of each byte.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use lancekeeper_model::{Branch, OperationId, Version};

use crate::lock::{Description, LOCK_DIRECTORY, LockError, LockHolder, attempt};

#[cfg(test)]
mod tests;

/// The directory of the records, in [`LOCK_DIRECTORY`].
pub const RUNS_DIRECTORY: &str = "runs";

/// What the names of records end in.
const SUFFIX: &str = ".run";

/// How much of a record is read: lines of some hundred bytes for more tables than a root has. Of a
/// longer one it is not known what it needs.
const RECORD_BYTES_MAX: u64 = 64 << 20;

/// A table on a branch, and the version that a run rewrites it at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stage {
    /// Where the table lies, relative to the root.
    pub location: String,
    /// The branch.
    pub branch: Branch,
    /// The version. It and everything after it must stay.
    pub version: Version,
}

/// The record of a run of this process. Dropped, the run is over.
#[derive(Debug)]
#[must_use = "the run is over as soon as this is dropped"]
pub struct RunRecord {
    file: File,
    path: PathBuf,
    holder: LockHolder,
    since_micros: i64,
}

impl RunRecord {
    /// Begins the record of the holder's operation. The caller holds the lock of the root in
    /// `directory`.
    ///
    /// # Errors
    ///
    /// [`LockError::Io`], or [`LockError::Held`] if another one has a record of that name.
    pub fn begin(directory: &Path, holder: &LockHolder) -> Result<Self, LockError> {
        let place = directory.join(LOCK_DIRECTORY).join(RUNS_DIRECTORY);
        match fs::create_dir(&place) {
            Err(source) if !place.is_dir() => return Err(LockError::Io { path: place, source }),
            Ok(()) | Err(_) => {}
        }
        let path = place.join(format!("{}{SUFFIX}", holder.operation()));
        let io = |source| LockError::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(io)?;
        match attempt(&file, File::try_lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held { path, holder: None }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        // By the clock of the disk, as the times of all files are that the run writes after this.
        let written = file.metadata().and_then(|metadata| metadata.modified()).map_err(io)?;
        let since = written.duration_since(UNIX_EPOCH).unwrap_or_default();
        let since_micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        let record = Self { file, path, holder: holder.clone(), since_micros };
        record.stages(&[])?;
        Ok(record)
    }

    /// Writes down what the run stages at from now on. The caller holds the root's lock.
    ///
    /// # Errors
    ///
    /// [`LockError::Io`]. Then the record says nothing, and the lock must not be given back.
    pub fn stages(&self, stages: &[Stage]) -> Result<(), LockError> {
        let text = render(&self.holder, self.since_micros, stages);
        let write = || {
            let mut file = &self.file;
            file.set_len(0)?;
            io::Seek::rewind(&mut file)?;
            file.write_all(text.as_bytes())
        };
        write().map_err(|source| LockError::Io { path: self.path.clone(), source })
    }
}

impl Drop for RunRecord {
    fn drop(&mut self) {
        // One that stays is found unlocked by whoever opens the root next, and cleared away.
        let _ = fs::remove_file(&self.path);
        // As for the root's lock: a child that is being started may have a copy of the handle.
        let _ = self.file.unlock();
    }
}

/// A run that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRun {
    /// Its operation.
    pub operation: OperationId,
    /// Its record.
    pub path: PathBuf,
    /// What it says about itself, in one line.
    pub holder: Option<String>,
    /// What must stay for it; `None` if its record does not tell.
    pub needs: Option<Needs>,
}

/// What must stay for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// When it began, by the clock of the disk, in microseconds since 1970.
    pub since_micros: i64,
    /// What it stages at.
    pub stages: Vec<Stage>,
}

impl LiveRun {
    /// The refusal of whoever cannot work beside it.
    #[must_use]
    pub fn refusal(&self) -> LockError {
        LockError::Held { path: self.path.clone(), holder: self.holder.clone() }
    }
}

/// The runs that live in the root in `directory`. Without its lock others may begin and end meanwhile,
/// and a record may be cut off.
///
/// # Errors
///
/// [`LockError::Io`], and [`LockError::NewerSchema`] for one that is of a newer keeper.
pub fn live_runs(directory: &Path) -> Result<Vec<LiveRun>, LockError> {
    let mut live = Vec::new();
    for path in records(directory)? {
        live.extend(look(path)?.ok());
    }
    Ok(live)
}

/// Clears the records of dead runs away. The caller holds the root's lock.
///
/// # Errors
///
/// [`LockError::Io`].
pub fn clear_dead_runs(directory: &Path) -> Result<(), LockError> {
    for path in records(directory)? {
        if let Err(path) = look(path)? {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(|source| LockError::Io { path, source })?,
            }
        }
    }
    Ok(())
}

fn records(directory: &Path) -> Result<Vec<PathBuf>, LockError> {
    let place = directory.join(LOCK_DIRECTORY).join(RUNS_DIRECTORY);
    let listed = fs::read_dir(&place).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()
    });
    match listed {
        Ok(mut paths) => {
            paths.retain(|path| path.to_str().is_some_and(|path| path.ends_with(SUFFIX)));
            paths.sort();
            Ok(paths)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(LockError::Io { path: place, source }),
    }
}

/// The run of a record; its path again if it is dead.
fn look(path: PathBuf) -> Result<Result<LiveRun, PathBuf>, LockError> {
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(path)),
        Err(source) => return Err(LockError::Io { path, source }),
    };
    // A share: others who look at the same moment have one too, and take nobody for alive.
    match file.try_lock_shared() {
        Ok(()) => return Ok(Err(path)),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(source)) => return Err(LockError::Io { path, source }),
    }
    let mut bytes = Vec::new();
    let read = (&file).take(RECORD_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|source| LockError::Io { path: path.clone(), source })?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, rest) = text.split_once("\nsince ").unwrap_or((&text, ""));
    let holder = match Description::parse(head) {
        Description::Newer(found) => return Err(LockError::NewerSchema { path, found }),
        Description::Holder(holder) => Some(holder),
        Description::None => None,
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Ok(LiveRun { operation: OperationId::new(stem), path, holder, needs: parse(rest) }))
}

fn render(holder: &LockHolder, since_micros: i64, stages: &[Stage]) -> String {
    let mut text = format!("{}since {since_micros}\n", holder.render());
    for Stage { location, branch, version } in stages {
        let (branch, location) = (branch.name().unwrap_or_default(), encode(location));
        text.push_str(&format!("stages {} {} {location}\n", version.0, encode(branch)));
    }
    text.push_str("end\n");
    text
}

/// What follows on the word `since`; `None` if it is not whole.
fn parse(text: &str) -> Option<Needs> {
    let mut lines = text.strip_suffix("end\n")?.lines();
    let since_micros = lines.next()?.parse().ok()?;
    let mut stages = Vec::new();
    for line in lines {
        let mut words = line.strip_prefix("stages ")?.splitn(3, ' ');
        let version = Version(words.next()?.parse().ok()?);
        let branch = decode(words.next()?)?;
        let branch = Branch::from(Some(branch).filter(|name| !name.is_empty()));
        stages.push(Stage { location: decode(words.next()?)?, branch, version });
    }
    Some(Needs { since_micros, stages })
}

fn encode(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_control() || c.is_whitespace() || c == '%' {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|b| text.push_str(&format!("%{b:02X}")));
        } else {
            text.push(c);
        }
    }
    text
}

fn decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend(part[2..].bytes());
    }
    String::from_utf8(bytes).ok()
}
