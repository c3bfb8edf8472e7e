//! Room for what a run cannot hold in memory: a directory of this process below that of the system (`TMPDIR`), so that
//! what a killed run left there is found, and removed by the next one.
//!
//! Not here: what is written there, which sorts and trainings of Lance and DataFusion do.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use tempfile::TempDir;

/// What names of such directories begin with.
const PREFIX: &str = "lancekeeper-";
/// Locked for as long as the process lives: whoever gets the lock knows that it does not.
const LOCK: &str = "lock";
/// The same file until it is locked, so that nobody takes a process that just begins for a dead one.
const NEW_LOCK: &str = "lock.new";

/// The directory. It goes with this value.
pub(crate) struct Scratch {
    directory: TempDir,
    _locks: [File; 2],
}

impl Scratch {
    /// Takes a directory for this process, after what dead ones left was removed. Must come before anything is written to
    /// a temporary file.
    ///
    /// Without one the run is as good: it writes to the system's directory, and no later run can tell whose that was.
    pub(crate) fn take() -> Option<Self> {
        let base = std::env::temp_dir();
        sweep(&base);
        let taken = Self::below(&base);
        if let Err(error) = &taken {
            tracing::debug!(%error, "there is no temporary directory of this process");
        }
        let taken = taken.ok()?;
        // Only the first one counts, and this is it.
        tempfile::env::override_temp_dir(taken.directory.path()).ok()?;
        Some(taken)
    }

    fn below(base: &Path) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(base)?;
        let new = directory.path().join(NEW_LOCK);
        let lock = File::create_new(&new)?;
        lock.try_lock()?;
        fs::rename(new, directory.path().join(LOCK))?;
        // A watcher may rest for weeks. Programs that remove old temporary files, as systemd's, spare a directory that is
        // locked itself.
        let whole = File::open(directory.path())?;
        whole.try_lock()?;
        Ok(Self { directory, _locks: [lock, whole] })
    }
}

/// Removes the directories of dead processes. What cannot be looked at or removed stays: it may be another user's.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        // No link: what it leads to is somebody else's.
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_directory || !is_ours(&entry.file_name()) {
            continue;
        }
        let lock = OpenOptions::new().write(true).open(entry.path().join(LOCK));
        let Some(_held) = lock.ok().filter(|lock| lock.try_lock().is_ok()) else { continue };
        if let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::debug!(path = %entry.path().display(), %error, "left by a dead run, and stays");
        }
    }
}

fn is_ours(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dead_processes_left_goes_and_what_others_use_stays() {
        let base = tempfile::tempdir().unwrap();
        let living = Scratch::below(base.path()).unwrap();
        let kept = living.directory.path().to_owned();
        let dead = base.path().join("lancekeeper-dead");
        let begins = base.path().join("lancekeeper-begins");
        let others = base.path().join("another-dead");
        for directory in [&dead, &begins, &others] {
            fs::create_dir_all(directory.join("spilled")).unwrap();
        }
        fs::write(dead.join("spilled/rows"), "rows").unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(begins.join(NEW_LOCK), "").unwrap();
        fs::write(others.join(LOCK), "").unwrap();
        sweep(base.path());
        assert!(!dead.exists(), "a dead process keeps its directory");
        assert!(kept.join(LOCK).exists() && begins.exists() && others.exists());
        drop(living);
        assert!(!kept.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_leads_nowhere() {
        let (base, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(elsewhere.path().join(LOCK), "").unwrap();
        let link = base.path().join("lancekeeper-link");
        std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
        sweep(base.path());
        assert!(link.is_symlink() && elsewhere.path().join(LOCK).exists());
    }
}
