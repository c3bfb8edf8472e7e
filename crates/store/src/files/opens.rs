//! Opens: the kernel tells which files of some directories are opened, where it can.
//!
//! It does not tell by whom, so whoever listens knows what the process itself opens meanwhile. Another machine that reads
//! the same disk is not heard.
//!
//! Not here: names that come and go (`notices`), and what an open means.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
use elsewhere::Ear;
#[cfg(target_os = "linux")]
use linux::Ear;

use super::{Files, FilesError, Place, blocking, check_is_below};

/// Directories whose files' opens are heard.
#[derive(Debug)]
pub struct Opens {
    ear: Ear,
    /// Each with its number at the kernel.
    directories: Vec<(i32, String)>,
}

/// What was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// The files, in order, below the directory that is listened in; once for each time.
    pub files: Vec<String>,
    /// So much happened that some of it was not told.
    pub is_more: bool,
}

impl Opens {
    /// Listens in these directories of `files`, and not below them, from now on; an empty name is the directory
    /// itself. `None` where the system tells nothing, or when one is not there.
    ///
    /// # Cancel safety
    ///
    /// Nothing is listened to.
    pub async fn of(files: &Files, names: &[&str]) -> Option<Self> {
        let Place::Local(directory) = &files.place else { return None };
        let (directory, names) = (directory.clone(), names.iter().map(|name| (*name).to_owned()));
        let names: Vec<String> = names.collect();
        let listen = move || {
            let ear = Ear::open().map_err(FilesError::io("listen in", &directory))?;
            let mut directories = Vec::new();
            for name in names {
                if !name.is_empty() {
                    check_is_below(&name)?;
                }
                let place = directory.join(&name);
                let number = ear.listen_in(&place).map_err(FilesError::io("listen in", &place))?;
                directories.push((number, name));
            }
            Ok(Self { ear, directories })
        };
        let not_heard = |error: &FilesError| tracing::debug!(target: "lancekeeper::files", %error, "nobody is heard");
        blocking(listen).await.inspect_err(not_heard).ok()
    }

    /// What was opened since this was asked last. Waits for nothing.
    pub fn heard(&mut self) -> Opened {
        let mut opened = Opened::default();
        self.ear.hear(|news| match news {
            Some((number, file)) => {
                let of = self.directories.iter().find(|(other, _)| *other == number);
                opened.files.extend(of.map(|(_, directory)| match directory.as_str() {
                    "" => file.to_owned(),
                    directory => format!("{directory}/{file}"),
                }));
            }
            None => opened.is_more = true,
        });
        opened
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn files_that_are_opened_are_heard_each_time_and_directories_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        fs::create_dir_all(place.join("t/_versions")).unwrap();
        for file in ["a", "t/b", "t/_versions/c"] {
            fs::write(place.join(file), "1").unwrap();
        }
        let files = Files::local(place);
        let mut opens = Opens::of(&files, &["", "t/_versions"]).await.unwrap();
        assert_eq!(opens.heard(), Opened::default());
        for file in ["t/_versions/c", "a", "t/b", "t/_versions/c"] {
            fs::read(place.join(file)).unwrap();
        }
        assert_eq!(fs::read_dir(place.join("t/_versions")).unwrap().count(), 1);
        assert!(fs::metadata(place.join("a")).is_ok() && fs::read(place.join("d")).is_err());
        let files_opened = ["t/_versions/c", "a", "t/_versions/c"].map(str::to_owned).to_vec();
        assert_eq!(opens.heard(), Opened { files: files_opened, is_more: false });
        assert_eq!(opens.heard(), Opened::default());
        assert!(Opens::of(&files, &["u"]).await.is_none());
        assert!(Opens::of(&files, &[".."]).await.is_none());
        assert!(Opens::of(&Files::in_memory(), &[""]).await.is_none());
    }
}
