//! What is left alone because it is of a kind that is not known. Pure.

use std::collections::BTreeMap;

use lancekeeper_planner::cleanup::{FileClass, FileFacts};

/// Where Lance keeps files, some of them of kinds of which nobody here asks who refers to them.
const DIRECTORIES: [&str; 7] =
    ["data", "_blobs", "_deletions", "_fri", "_indices", "_mem_wal", "_transactions"];

/// Says which files in the directories of Lance are never deleted. Those elsewhere are their
/// owner's, and nothing is said of them.
pub(super) fn left_alone(files: &[FileFacts]) -> Vec<String> {
    let mut found: BTreeMap<&str, (u64, u64, &str)> = BTreeMap::new();
    for file in files.iter().filter(|file| file.class == FileClass::Untouchable) {
        let directory = file.path.split('/').next().unwrap_or_default();
        if DIRECTORIES.contains(&directory) {
            let (count, bytes, _) = found.entry(directory).or_insert((0, 0, &file.path));
            (*count, *bytes) = (*count + 1, *bytes + file.bytes);
        }
    }
    let said = found.into_iter().map(|(directory, (count, bytes, first))| {
        format!(
            "in {directory} lie files of kinds that are never deleted here: {count} ({bytes} bytes), as {first}"
        )
    });
    said.collect()
}

/// Leaves every index file alone, because one of the indexes is of an unknown kind.
pub(super) fn leave_indexes(files: &mut [FileFacts], why: &str) -> String {
    for file in files.iter_mut().filter(|file| is_of_index(&file.path)) {
        file.class = FileClass::Untouchable;
    }
    format!("no index file is deleted: there is {why}, and which files it has is not known")
}

/// Of main's indexes or of a branch's.
fn is_of_index(path: &str) -> bool {
    path.starts_with("_indices/") || path.starts_with("tree/") && path.contains("/_indices/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lancekeeper_planner::cleanup::UnitId;

    fn file(path: &str, class: FileClass) -> FileFacts {
        let (path, modified) = (path.to_owned(), chrono::DateTime::UNIX_EPOCH);
        FileFacts { path, bytes: 5, modified, class, chain: None }
    }

    #[test]
    fn files_of_unknown_kinds_are_counted_where_lance_keeps_its_own() {
        let files = [
            file("_fri/a/1.lance", FileClass::Untouchable),
            file("_fri/b/1.lance", FileClass::Untouchable),
            file("_refs/tags/v.json", FileClass::Untouchable),
            file("README.md", FileClass::Untouchable),
            file("data/x.lance", FileClass::Part(UnitId(0))),
        ];
        assert_eq!(
            left_alone(&files),
            [
                "in _fri lie files of kinds that are never deleted here: 2 (10 bytes), as _fri/a/1.lance"
            ]
        );
    }

    #[test]
    fn an_unknown_kind_of_index_keeps_the_files_of_all_indexes_and_no_others() {
        let part = FileClass::Part(UnitId(0));
        let paths = ["_indices/u/x.idx", "tree/b/_indices/u/x.idx", "data/x.lance"];
        let mut files = paths.map(|path| file(path, part));
        let said = leave_indexes(&mut files, "index i of the unknown kind K");
        assert!(said.contains("unknown kind K"), "{said}");
        assert_eq!(
            files.map(|file| file.class),
            [FileClass::Untouchable, FileClass::Untouchable, part]
        );
    }
}
