//! Names on a local disk that a store has no word for: bytes that are no UTF-8, or control characters. Nobody of ours
//! makes such a file, but one may lie where others are looked for, and must be seen, told and moved aside.
//!
//! They are written as ASCII, with `\xff` for a byte that is none and `\\` for a backslash, so that each is told from all
//! others.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use object_store::path::Path as StorePath;

use super::{Files, FilesError, Place, blocking, check_is_below};

/// What lies directly in a directory and is a file, or a link to one.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Names that a store has a word for, sorted.
    pub(super) plain: Vec<String>,
    /// The others, as they are written here, sorted.
    pub(super) odd: Vec<String>,
}

/// The names directly in a directory; none if there is no such directory.
pub(super) async fn names(directory: PathBuf) -> Result<Names, FilesError> {
    blocking(move || {
        let mut names = Names::default();
        each(&directory, |place, name| match plain(place, name) {
            Some(name) => names.plain.push(name.to_owned()),
            None => names.odd.push(written(name)),
        })?;
        names.plain.sort_unstable();
        names.odd.sort_unstable();
        Ok(names)
    })
    .await
}

fn each(directory: &Path, mut found: impl FnMut(&Path, &OsStr)) -> Result<(), FilesError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(FilesError::io("list", directory))?,
    };
    for entry in entries {
        let entry = entry.map_err(FilesError::io("list", directory))?;
        let place = entry.path();
        match fs::metadata(&place) {
            Ok(metadata) if metadata.is_file() => found(&place, &entry.file_name()),
            Ok(_) => {}
            // Gone since it was listed, or a link to nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FilesError::io("look at", &place)(error)),
        }
    }
    Ok(())
}

/// The name of a file, if a store has a word for it.
fn plain<'n>(place: &Path, name: &'n OsStr) -> Option<&'n str> {
    name.to_str().filter(|_| StorePath::from_absolute_path(place).is_ok())
}

fn written(name: &OsStr) -> String {
    name.as_encoded_bytes().escape_ascii().to_string()
}

impl Files {
    /// The names directly in it that end in `suffix` and that a store has no word for, written as ASCII. Only a local disk
    /// can have such.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed.
    pub async fn odd_names(&self, suffix: &str) -> Result<Vec<String>, FilesError> {
        let Place::Local(directory) = &self.place else { return Ok(Vec::new()) };
        let odd = names(directory.clone()).await?.odd;
        Ok(odd.into_iter().filter(|name| name.ends_with(suffix)).collect())
    }

    /// Gives a file of such a name, directly in a directory below this one, another name below this one. Returns whether
    /// there was one.
    ///
    /// # Errors
    ///
    /// When it cannot be renamed.
    ///
    /// # Cancel safety
    ///
    /// It has the one name or the other.
    pub async fn rename_odd(&self, below: &str, odd: &str, to: &str) -> Result<bool, FilesError> {
        check_is_below(to)?;
        let Place::Local(outer) = &self.place else { return Ok(false) };
        let (directory, to, odd) = (outer.join(below), outer.join(to), odd.to_owned());
        blocking(move || {
            let mut from = None;
            each(&directory, |place, name| {
                if plain(place, name).is_none() && written(name) == odd {
                    from = Some(place.to_owned());
                }
            })?;
            let Some(from) = from else { return Ok(false) };
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).map_err(FilesError::io("make", parent))?;
            }
            fs::rename(&from, &to).map_err(FilesError::io("rename", &from))?;
            Ok(true)
        })
        .await
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[tokio::test]
    async fn a_name_that_no_store_has_a_word_for_hides_no_other_and_can_be_moved() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::local(directory.path());
        let place = directory.path().join("in");
        fs::create_dir(&place).unwrap();
        let put = |name: &[u8]| fs::write(place.join(OsStr::from_bytes(name)), name).unwrap();
        for name in [&b"a.json"[..], b"b\xff.json", b"c\xfe.json", b"d\ne.json", b"f\xff.txt"] {
            put(name);
        }
        put("\u{e4} ok.json".as_bytes());
        let below = files.below("in");
        assert_eq!(below.names(".json").await.unwrap(), ["a.json", "\u{e4} ok.json"]);
        let odd = ["b\\xff.json", "c\\xfe.json", "d\\ne.json"];
        assert_eq!(below.odd_names(".json").await.unwrap(), odd);
        for name in odd {
            assert!(files.rename_odd("in", name, &format!("out/{}", &name[..1])).await.unwrap());
        }
        assert!(!files.rename_odd("in", odd[0], "out/b").await.unwrap(), "it is gone");
        assert_eq!(fs::read(directory.path().join("out/b")).unwrap(), b"b\xff.json");
        assert_eq!(below.odd_names("").await.unwrap(), ["f\\xff.txt"]);
    }
}
