//! Names of files below a dataset: which chain of versions one belongs to, and what it is.
//! An allow-list: a name that is not known here is nobody's to delete.

use lancekeeper_model::{Branch, Version};

/// Directories that hold a chain's own files.
const KNOWN_DIRECTORIES: [&str; 6] =
    ["_versions", "data", "_blobs", "_deletions", "_indices", "_transactions"];
const TREE: &str = "tree/";
/// Files of a graph beside its datasets.
const SCHEMA_FILES: [&str; 3] = ["_schema.pg", "_schema.ir.json", "__schema_state.json"];
/// Set in the numbers of versions that are on no chain.
const DETACHED_MASK: u64 = 1 << 63;

/// What a file is, by its path below its chain's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The manifest of a version.
    Manifest(Version),
    /// The manifest of a version that is on no chain. Kept, with all it refers to.
    Detached,
    /// A part of versions; parts of equal name live and go together. The name is that under
    /// which manifests refer to it: a data file, a deletion file, the directory of an index
    /// segment, a transaction.
    Part(String),
    /// A file of blobs. Descriptors in data files may name it by its own path, whichever data
    /// file it was written with.
    Blob {
        /// The data file in whose directory it lies; `None` for one that was written to be named
        /// by descriptors alone.
        beside: Option<String>,
    },
    /// A temporary that a writer left; nothing ever refers to it.
    Litter,
    /// `_versions/latest_version_hint.json`: worthless without its chain, else not ours.
    Hint,
    /// The file that makes a Lance branch exist; with the branch's name.
    BranchFile(Branch),
    /// Anything else. Never deleted.
    Unknown,
}

/// The directory of a chain below its dataset; empty for main.
#[must_use]
pub fn chain_dir(branch: &Branch) -> String {
    branch.name().map_or_else(String::new, |name| format!("{TREE}{name}"))
}

/// Splits a path below a dataset into its chain and the rest.
///
/// Names of branches have several segments, and a branch may be called like a directory or
/// lie below another one's directory: the longest known branch that leaves a known directory
/// wins. Without one, the directory is of a branch that has no branch file.
#[must_use]
pub fn split_chain<'p>(path: &'p str, branches: &[Branch]) -> Option<(Branch, &'p str)> {
    let Some(below) = path.strip_prefix(TREE) else { return Some((Branch::main(), path)) };
    let known = branches
        .iter()
        .filter_map(|branch| {
            let rest = below.strip_prefix(branch.name()?)?.strip_prefix('/')?;
            starts_known(rest).then_some((branch, rest))
        })
        .max_by_key(|(branch, _)| branch.label().len());
    if let Some((branch, rest)) = known {
        return Some((branch.clone(), rest));
    }
    let at = below
        .match_indices('/')
        .map(|(at, _)| at)
        .find(|at| *at > 0 && starts_known(&below[at + 1..]))?;
    Some((Branch::named(&below[..at]), &below[at + 1..]))
}

/// Says whether a file of the root that lies in no dataset is a temporary that a writer left:
/// one of a schema file, a sidecar, a document of ours. `path` is relative to the root.
#[must_use]
pub fn is_root_litter(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    if !is_temporary(name) {
        return false;
    }
    let Some((stem, _)) = name.rsplit_once('#') else {
        return true;
    };
    match path.split('/').next() {
        Some("__recovery" | "__maintenance") => stem.ends_with(".json"),
        // Beside the datasets lie files of their owner, too.
        _ => SCHEMA_FILES.contains(&stem.strip_suffix(".staging").unwrap_or(stem)),
    }
}

fn starts_known(rest: &str) -> bool {
    rest.split_once('/').is_some_and(|(first, _)| KNOWN_DIRECTORIES.contains(&first))
}

/// Says what a file is, by its path below its chain's directory.
#[must_use]
pub fn classify(path: &str) -> Place {
    let Some((directory, rest)) = path.split_once('/') else { return Place::Unknown };
    let name = rest.rsplit('/').next().unwrap_or(rest);
    if directory == "_refs" {
        return branch_file(rest).unwrap_or(Place::Unknown);
    }
    if !KNOWN_DIRECTORIES.contains(&directory) {
        return Place::Unknown;
    }
    if is_temporary(name) {
        return Place::Litter;
    }
    let flat = !rest.contains('/');
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match directory {
        "_versions" if flat => version_file(name),
        "data" if extension == "lance" => Place::Part(path.to_owned()),
        "data" if extension == "blob" => match rest.split('/').collect::<Vec<_>>().as_slice() {
            // Blob files lie in a directory named like their data file.
            [stem, _] => Place::Blob { beside: Some(format!("data/{stem}.lance")) },
            _ => Place::Unknown,
        },
        // As Lance names those it manages; another name would be somebody else's.
        "_blobs" if flat && extension == "blob" => {
            match name.strip_suffix(".blob").filter(|id| id.len() == 36 && is_uuid(id)) {
                Some(_) => Place::Blob { beside: None },
                None => Place::Unknown,
            }
        }
        "_deletions" if flat && matches!(extension, "arrow" | "bin") => {
            Place::Part(path.to_owned())
        }
        "_transactions" if flat && extension == "txn" => Place::Part(path.to_owned()),
        "_indices" => match rest.split_once('/') {
            // As manifests spell it: another spelling would look like nobody's.
            Some((segment, _)) if segment.len() == 36 && is_uuid(segment) && is_lower(segment) => {
                Place::Part(format!("_indices/{segment}"))
            }
            _ => Place::Unknown,
        },
        _ => Place::Unknown,
    }
}

fn version_file(name: &str) -> Place {
    if name == "latest_version_hint.json" {
        return Place::Hint;
    }
    let Some((stem, rest)) = name.split_once(".manifest") else { return Place::Unknown };
    if rest.strip_prefix('-').is_some_and(is_uuid) && is_number(stem) {
        // Staged by clients that commit through a namespace; renamed or left over.
        return Place::Litter;
    }
    if !rest.is_empty() {
        return Place::Unknown;
    }
    if stem.strip_prefix('d').is_some_and(is_number) {
        return Place::Detached;
    }
    let Some(number) = Some(stem).filter(|stem| is_number(stem)).and_then(|s| s.parse().ok())
    else {
        return Place::Unknown;
    };
    // Twenty digits count down from the top, so that the newest is listed first.
    let version = if stem.len() == 20 { u64::MAX - number } else { number };
    if version & DETACHED_MASK != 0 { Place::Detached } else { Place::Manifest(Version(version)) }
}

fn branch_file(rest: &str) -> Option<Place> {
    let name = rest.strip_prefix("branches/")?.strip_suffix(".json")?;
    if name.contains('/') || name.is_empty() {
        return None;
    }
    Some(Place::BranchFile(Branch::named(decoded(name)?)))
}

/// A name as Lance decodes it: `%XX` is a byte, and the bytes are UTF-8. `None` for what it
/// would not have written.
fn decoded(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// `.tmpXXXXXX` and `NAME#N` of local object stores, `NAME.tmp.UUID` of Lance.
fn is_temporary(name: &str) -> bool {
    let staged = name.rsplit_once('#').is_some_and(|(stem, n)| !stem.is_empty() && is_number(n));
    let random = name.strip_prefix(".tmp").is_some_and(|rest| {
        rest.len() == 6 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    let marked =
        name.rsplit_once(".tmp.").is_some_and(|(stem, id)| !stem.is_empty() && is_uuid(id));
    staged || random || marked
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_lower(text: &str) -> bool {
    !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_uuid(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_hexdigit();
    match text.len() {
        32 => text.bytes().all(plain),
        36 => text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => plain(byte),
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0a1b2c3d-0000-4000-8000-0123456789ab";

    #[test]
    fn every_kind_that_lance_writes_is_known() {
        let part = |name: &str| Place::Part(name.to_owned());
        assert_eq!(
            classify("_versions/18446744073709551612.manifest"),
            Place::Manifest(Version(3))
        );
        assert_eq!(classify("_versions/3.manifest"), Place::Manifest(Version(3)));
        assert_eq!(classify("_versions/d12345.manifest"), Place::Detached);
        assert_eq!(classify("_versions/latest_version_hint.json"), Place::Hint);
        assert_eq!(classify("data/x.lance"), part("data/x.lance"));
        let blob = |beside: Option<&str>| Place::Blob { beside: beside.map(ToOwned::to_owned) };
        assert_eq!(classify("data/x/01.blob"), blob(Some("data/x.lance")));
        assert_eq!(classify(&format!("_blobs/{UUID}.blob")), blob(None));
        assert_eq!(classify("_deletions/0-1-2.arrow"), part("_deletions/0-1-2.arrow"));
        assert_eq!(classify("_transactions/1-u.txn"), part("_transactions/1-u.txn"));
        let segment = format!("_indices/{UUID}");
        assert_eq!(classify(&format!("{segment}/page_data.lance")), part(&segment));
        assert_eq!(classify("_refs/branches/a%2Fb.json"), Place::BranchFile(Branch::named("a/b")));
        assert_eq!(
            classify("_refs/branches/%C3%BCber.json"),
            Place::BranchFile(Branch::named("über"))
        );
    }

    #[test]
    fn temporaries_are_litter_wherever_a_writer_leaves_them() {
        for name in [".tmpAb3dEf", "x.lance#1", &format!("x.tmp.{UUID}")] {
            assert_eq!(classify(&format!("data/{name}")), Place::Litter, "{name}");
            assert_eq!(classify(&format!("_versions/{name}")), Place::Litter, "{name}");
        }
        assert_eq!(
            classify(&format!("_versions/18446744073709551612.manifest-{UUID}")),
            Place::Litter
        );
    }

    #[test]
    fn beside_datasets_only_temporaries_of_known_files_are_litter() {
        for path in [
            "__recovery/01J.json#1",
            "__recovery/.tmpAb3dEf",
            "__maintenance/journal/01J.json#2",
            "_schema.pg#1",
            "__schema_state.json.staging#1",
            ".tmpAb3dEf",
        ] {
            assert!(is_root_litter(path), "{path}");
        }
        for path in [
            "__recovery/01J.json",
            "__recovery/notes#1",
            "_schema.pg.staging",
            "_schema.pg",
            "notes#1",
            "report.json#1",
            "__maintenance/lock",
            "lancekeeper.toml",
            ".tmp",
        ] {
            assert!(!is_root_litter(path), "{path}");
        }
    }

    #[test]
    fn whatever_is_not_known_is_nobodys_to_delete() {
        for path in [
            "README.md",
            "data/notes.txt",
            "data/a/b/c.blob",
            "_refs/tags/v1.json",
            "_refs/branches/a%2.json",
            "_refs/branches/%FF.json",
            "_indices/not-a-segment/x.idx",
            "_indices/0A1B2C3D-0000-4000-8000-0123456789AB/x.idx",
            "_blobs/x.bin",
            "_blobs/x.blob",
            "_blobs/x/y.blob",
            "_fri/m/1",
            "_versions/x.manifest",
            "_versions/3.manifest.bak",
            "_versions/sub/3.manifest",
            "_transactions/readme",
            "mine/data/x.lance",
            "data/.tmp",
            "data/#1",
        ] {
            assert_eq!(classify(path), Place::Unknown, "{path}");
        }
    }

    #[test]
    fn nested_branches_and_branches_named_like_directories_keep_their_own_files() {
        let branches = ["a", "a/b", "data", "a/data"].map(Branch::named);
        let split = |path| {
            split_chain(path, &branches).map(|(branch, rest)| (branch.label().to_owned(), rest))
        };
        let is = |branch: &str, rest| Some((branch.to_owned(), rest));
        assert_eq!(split("data/x.lance"), is("main", "data/x.lance"));
        assert_eq!(split("tree/a/data/x.lance"), is("a", "data/x.lance"));
        assert_eq!(split("tree/a/b/data/x.lance"), is("a/b", "data/x.lance"));
        assert_eq!(split("tree/a/data/data/x.lance"), is("a/data", "data/x.lance"));
        assert_eq!(split("tree/data/_versions/1.manifest"), is("data", "_versions/1.manifest"));
        assert_eq!(split("tree/gone/far/data/x.lance"), is("gone/far", "data/x.lance"));
        assert_eq!(split("tree/a/b/c/data/x.lance"), is("a/b/c", "data/x.lance"));
        assert_eq!(split("tree/a/_blobs/x.blob"), is("a", "_blobs/x.blob"));
        assert_eq!(split("tree/notes.txt"), None);
    }
}
