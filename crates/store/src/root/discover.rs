//! Finding the roots below a directory. Blocks on the file system; writes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use lancekeeper_model::RootKind;

use super::{RootError, io_error, kind_of_directory, local_path};

/// How far below a directory roots are looked for. Data directories are a few levels deep;
/// what is deeper is most often somebody else's.
pub const SEARCH_DEPTH_MAX: usize = 16;

/// What a search came to.
#[derive(Debug, Default)]
pub struct FoundRoots {
    /// The roots, in the order of their paths.
    pub roots: Vec<String>,
    /// Directories that could not be looked into, and a search that found nothing.
    pub troubles: Vec<RootError>,
    /// Directories that were not looked into because they lie too deep.
    pub too_deep: Vec<String>,
}

/// Looks for graphs, databases and tables below a directory, or at it. One that is found is
/// not searched further, because what lies inside belongs to it; but a table that lies in the
/// directory of another one is a root of its own. Symlinked directories are not
/// followed: those that stay inside are found where they are, and the others are not below.
#[must_use]
pub fn find_roots(uri: &str) -> FoundRoots {
    let mut found = FoundRoots::default();
    let path = match local_path(uri) {
        Ok(path) => PathBuf::from(path),
        Err(error) => {
            found.troubles.push(error);
            return found;
        }
    };
    // Depth first, children in the order of their names. Ends: a tree without symlinks.
    let mut waiting = vec![(path, 0)];
    while let Some((directory, depth)) = waiting.pop() {
        let Some(name) = directory.to_str() else {
            let uri = directory.to_string_lossy().into_owned();
            found.troubles.push(RootError::NotUtf8 { uri });
            continue;
        };
        match look_into(&directory) {
            Ok(Look::Root(inner)) => {
                found.roots.push(name.to_owned());
                waiting.extend(inner.into_iter().rev().map(|child| (child, depth + 1)));
            }
            Ok(Look::Children(children)) if children.is_empty() => {}
            Ok(Look::Children(_)) if depth == SEARCH_DEPTH_MAX => {
                found.too_deep.push(name.to_owned());
            }
            Ok(Look::Children(children)) => {
                waiting.extend(children.into_iter().rev().map(|child| (child, depth + 1)));
            }
            Err(source) => found.troubles.push(io_error(name)(source)),
        }
    }
    if found.roots.is_empty() && found.troubles.is_empty() {
        found.troubles.push(RootError::NothingBelow { uri: uri.to_owned() });
    }
    found
}

enum Look {
    /// A root, and the tables that lie in its directory and are no part of it.
    Root(Vec<PathBuf>),
    Children(Vec<PathBuf>),
}

fn look_into(directory: &Path) -> std::io::Result<Look> {
    let mut children = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // Without following: the type of a symlink is that of a symlink.
        if entry.file_type()?.is_dir() {
            children.push(entry.path());
        }
    }
    children.sort();
    match kind_of_directory(directory)? {
        Some(RootKind::Table) => {
            children.retain(|child| child.join("_versions").is_dir());
            Ok(Look::Root(children))
        }
        Some(_) => Ok(Look::Root(Vec::new())),
        None => Ok(Look::Children(children)),
    }
}

#[cfg(test)]
mod tests {
    use lancekeeper_model::ErrorKind;

    use super::*;
    use crate::root::tests::directory;

    fn below(dir: &tempfile::TempDir, found: &FoundRoots) -> Vec<String> {
        let prefix = format!("{}/", dir.path().display());
        found.roots.iter().map(|root| root.strip_prefix(&prefix).unwrap().to_owned()).collect()
    }

    fn find(dir: &tempfile::TempDir) -> FoundRoots {
        find_roots(&dir.path().to_string_lossy())
    }

    #[test]
    fn every_kind_is_found_and_nothing_inside_one() {
        let dir = directory(&[
            "b/db/x.lance/_versions",
            "b/db/notes/hidden.lance/_versions",
            "a/graph/__manifest/_versions",
            "a/graph/nodes/1/_versions",
            "c.lance/_versions",
            "c.lance/tree/branch/_versions",
            "other/empty",
        ]);
        // `c.lance` makes a database of the directory itself.
        assert_eq!(find(&dir).roots, [dir.path().to_string_lossy()]);
        fs::rename(dir.path().join("c.lance"), dir.path().join("other/table")).unwrap();
        fs::create_dir_all(dir.path().join("other/table/inner.lance/_versions")).unwrap();
        let found = find(&dir);
        let expected = ["a/graph", "b/db", "other/table", "other/table/inner.lance"];
        assert_eq!(below(&dir, &found), expected);
        assert!(found.troubles.is_empty() && found.too_deep.is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn symlinked_directories_are_not_followed_in_or_out_or_around() {
        let outside = directory(&["db/x.lance/_versions"]);
        let dir = directory(&["in/db/y.lance/_versions"]);
        let link = |to: &Path, name: &str| {
            std::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
        };
        link(outside.path(), "out");
        link(&dir.path().join("in"), "again");
        link(dir.path(), "in/around");
        let found = find(&dir);
        assert_eq!(below(&dir, &found), ["in/db"]);
        // The directory that was named may be one itself.
        let found = find_roots(&dir.path().join("again").to_string_lossy());
        assert_eq!(below(&dir, &found), ["again/db"]);
    }

    #[test]
    fn a_search_ends_at_its_depth_and_says_so() {
        let deep = |levels: usize| vec!["d"; levels].join("/");
        let dir = directory(&[
            &format!("{}/table/_versions", deep(SEARCH_DEPTH_MAX - 1)),
            &format!("{}/e/f/g", deep(SEARCH_DEPTH_MAX - 1)),
        ]);
        let found = find(&dir);
        assert_eq!(below(&dir, &found), [format!("{}/table", deep(SEARCH_DEPTH_MAX - 1))]);
        assert_eq!(found.too_deep.len(), 1, "{:?}", found.too_deep);
        assert!(found.too_deep[0].ends_with("/d/e"), "{:?}", found.too_deep);
    }

    #[test]
    fn a_search_that_finds_nothing_is_a_missing_root() {
        let dir = directory(&["a/b"]);
        let missing = dir.path().join("absent").to_string_lossy().into_owned();
        for uri in [dir.path().to_string_lossy().into_owned(), missing] {
            let found = find_roots(&uri);
            assert!(found.roots.is_empty());
            assert_eq!(found.troubles.len(), 1);
            assert_eq!(found.troubles[0].kind(), ErrorKind::NotFound);
            assert!(found.troubles[0].to_string().contains(&uri));
        }
        assert_eq!(find_roots("ftp://host/x").troubles[0].kind(), ErrorKind::Refused);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_that_is_no_text_is_told_and_the_others_are_found() {
        use std::os::unix::ffi::OsStrExt as _;
        let dir = directory(&["db/x.lance/_versions"]);
        let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"odd\xff"));
        fs::create_dir_all(odd.join("y.lance/_versions")).unwrap();
        let found = find(&dir);
        assert_eq!(below(&dir, &found), ["db"]);
        assert!(matches!(found.troubles.as_slice(), [RootError::NotUtf8 { .. }]));
    }
}
