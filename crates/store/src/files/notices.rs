//! Notices: the kernel tells that names came to directories or left them, where it can.
//!
//! Who follows a directory hears of a change at once and need not ask. It is no proof of the contrary: another machine that
//! writes to the same disk is not heard, and a kernel tells of so many directories only. So whoever must not miss a
//! change goes on asking, less often.
//!
//! Not here: what changed, which is to be looked at (`Files::changed`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
use elsewhere::Kernel;
#[cfg(target_os = "linux")]
use linux::Kernel;

use super::{Files, Place, blocking};

/// What the kernel said.
#[derive(Debug)]
enum Said {
    /// Names came to this directory, or left it.
    Changed(i32),
    /// This directory is gone from where it was, and nothing more is heard of it.
    Gone(i32),
    /// So much happened that some of it was not told.
    Everything,
}

/// Directories that are followed, in groups: who hears of a change learns in which group it was.
#[derive(Debug)]
pub struct Notices {
    kernel: Arc<Kernel>,
    followed: Mutex<Followed>,
}

/// Each directory that is followed, by its group and name, with its number at the kernel. Several names may lead to one
/// directory, which has one number.
#[derive(Debug, Default)]
struct Followed {
    numbers: BTreeMap<(usize, String), i32>,
}

impl Notices {
    /// `None` where the system tells nothing, or has no room for one more who listens.
    #[must_use]
    pub fn open() -> Option<Self> {
        let kernel = Kernel::open()
            .inspect_err(|error| tracing::debug!(target: "lancekeeper::files", %error, "no notices of changes"))
            .ok()?;
        Some(Self { kernel: Arc::new(kernel), followed: Mutex::default() })
    }

    /// Follows these directories of `files` in this group from now on, and no others of the group; an empty name is the
    /// directory itself. What is not there, or more than the kernel has room for, is tried again with the next call.
    /// A store without directories has nothing to follow.
    ///
    /// # Cancel safety
    ///
    /// Some of them may not be followed yet.
    pub async fn follow(&self, group: usize, files: &Files, names: &BTreeSet<String>) {
        let Place::Local(directory) = &files.place else { return };
        self.drop_where(|(of, name)| *of == group && !names.contains(name));
        let added: Vec<(String, PathBuf)> = {
            let followed = self.followed();
            let is_new = |name: &&String| !followed.numbers.contains_key(&(group, (*name).clone()));
            names.iter().filter(is_new).map(|name| (name.clone(), directory.join(name))).collect()
        };
        if added.is_empty() {
            return;
        }
        let kernel = Arc::clone(&self.kernel);
        // A disk may take its time.
        let add =
            move || Ok(added.into_iter().map(|(name, place)| (name, kernel.add(&place))).collect());
        let numbers: Vec<(String, io::Result<i32>)> = blocking(add).await.unwrap_or_default();
        let mut followed = self.followed();
        for (name, number) in numbers {
            match number {
                Ok(number) => _ = followed.numbers.insert((group, name), number),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::debug!(target: "lancekeeper::files", name, %error, "changes are not told");
                }
            }
        }
    }

    /// Follows nothing of this group any more.
    pub fn forget(&self, group: usize) {
        self.drop_where(|(of, _)| *of == group);
    }

    /// Waits until something changed, and returns the groups in which. Waits for ever where nothing is told.
    ///
    /// # Cancel safety
    ///
    /// What was not returned is returned by the next call.
    pub async fn heard(&self) -> BTreeSet<usize> {
        loop {
            let groups = self.groups(&self.kernel.heard().await);
            if !groups.is_empty() {
                return groups;
            }
        }
    }

    /// The groups of directories that changed. What is gone is followed no more.
    fn groups(&self, said: &[Said]) -> BTreeSet<usize> {
        let mut groups = BTreeSet::new();
        for said in said {
            let followed = self.followed();
            let is_meant = |number: i32| match said {
                Said::Changed(changed) | Said::Gone(changed) => number == *changed,
                Said::Everything => true,
            };
            let meant = followed.numbers.iter().filter(|(_, number)| is_meant(**number));
            groups.extend(meant.map(|((group, _), _)| *group));
            drop(followed);
            match said {
                Said::Gone(gone) => self.drop_number(*gone),
                // What went meanwhile was not told: all are asked for anew.
                Said::Everything => self.drop_where(|_| true),
                Said::Changed(_) => {}
            }
        }
        groups
    }

    fn drop_number(&self, number: i32) {
        let mut followed = self.followed();
        let before = followed.numbers.len();
        followed.numbers.retain(|_, other| *other != number);
        if followed.numbers.len() < before {
            self.kernel.remove(number);
        }
    }

    /// Follows these names no more, nor the directories that no other name leads to.
    fn drop_where(&self, is_dropped: impl Fn(&(usize, String)) -> bool) {
        let mut followed = self.followed();
        let dropped: Vec<i32> = followed
            .numbers
            .iter()
            .filter(|(name, _)| is_dropped(name))
            .map(|(_, number)| *number)
            .collect();
        if dropped.is_empty() {
            return;
        }
        followed.numbers.retain(|name, _| !is_dropped(name));
        let left: BTreeSet<i32> = followed.numbers.values().copied().collect();
        dropped
            .iter()
            .filter(|number| !left.contains(number))
            .for_each(|number| self.kernel.remove(*number));
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        // Every change of it is whole: poison means nothing here.
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    async fn heard(notices: &Notices) -> Vec<usize> {
        let heard = tokio::time::timeout(Duration::from_secs(10), notices.heard()).await;
        heard.unwrap().into_iter().collect()
    }

    async fn is_silent(notices: &Notices) -> bool {
        tokio::time::timeout(Duration::from_millis(100), notices.heard()).await.is_err()
    }

    /// As a commit does: written beside its place, then linked there.
    fn commit(directory: &Path, name: &str) {
        let beside = directory.join(format!("{name}#1"));
        fs::write(&beside, "").unwrap();
        fs::hard_link(&beside, directory.join(name)).unwrap();
        fs::remove_file(&beside).unwrap();
    }

    #[tokio::test]
    async fn a_name_that_comes_is_told_of_the_groups_that_follow_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("t/_versions")).unwrap();
        fs::create_dir_all(directory.path().join("u/_versions")).unwrap();
        let (files, notices) = (Files::local(directory.path()), Notices::open().unwrap());
        notices.follow(1, &files, &names(&["t/_versions", "not/there"])).await;
        notices.follow(2, &files, &names(&["", "u/_versions"])).await;
        // Another way to the same directory.
        notices.follow(3, &files.below("u"), &names(&["_versions"])).await;
        commit(&directory.path().join("t/_versions"), "1.manifest");
        assert_eq!(heard(&notices).await, [1]);
        commit(&directory.path().join("u/_versions"), "1.manifest");
        assert_eq!(heard(&notices).await, [2, 3]);
        // What one of them follows no more the other one still hears.
        notices.forget(2);
        commit(&directory.path().join("u/_versions"), "2.manifest");
        assert_eq!(heard(&notices).await, [3]);
        notices.forget(3);
        commit(&directory.path().join("u/_versions"), "3.manifest");
        // A file beside its place is no news yet.
        fs::write(directory.path().join("t/_versions/2.manifest#1"), "").unwrap();
        assert!(is_silent(&notices).await);
    }

    #[tokio::test]
    async fn a_directory_that_goes_is_told_and_followed_again_once_it_is_back() {
        let directory = tempfile::tempdir().unwrap();
        let (place, away) = (directory.path().join("t"), directory.path().join("away"));
        fs::create_dir(&place).unwrap();
        let (files, notices) = (Files::local(directory.path()), Notices::open().unwrap());
        for goes in [
            (|place, away| fs::rename(place, away)) as fn(&Path, &Path) -> io::Result<()>,
            |place, _| fs::remove_dir_all(place),
        ] {
            notices.follow(1, &files, &names(&["t"])).await;
            goes(&place, &away).unwrap();
            assert_eq!(heard(&notices).await, [1]);
            while !is_silent(&notices).await {}
            fs::create_dir(&place).unwrap();
            notices.follow(1, &files, &names(&["t"])).await;
            commit(&place, "a");
            assert_eq!(heard(&notices).await, [1]);
        }
        // Nor is anything heard of the one that was moved away.
        commit(&away, "a");
        assert!(is_silent(&notices).await);
    }
}
