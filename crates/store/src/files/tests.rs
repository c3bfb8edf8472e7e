//! The laws of [`Files`], on a local disk and in memory; and what only a disk has.

use std::fs;

use chrono::TimeDelta;

use super::*;

/// A directory on disk, and a store without directories.
fn both() -> (tempfile::TempDir, [Files; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let local = Files::local(dir.path());
    (dir, [local, Files::in_memory()])
}

async fn names_below(files: &Files, directory: &str) -> Vec<String> {
    let listed = files.list(directory).await.unwrap();
    listed.into_iter().map(|listed| listed.path).collect()
}

async fn listed(files: &Files, path: &str) -> Listed {
    let all = files.list("").await.unwrap();
    all.into_iter().find(|listed| listed.path == path).unwrap()
}

async fn delete_if(files: &Files, file: &Listed, condition: Condition) -> Deleted {
    let batch = vec![Doomed { file: file.clone(), condition }];
    files.delete_batch(batch).await.unwrap()
}

#[tokio::test]
async fn a_file_is_put_once_if_absent_and_read_as_it_was_put() {
    let (_dir, both) = both();
    for files in &both {
        assert_eq!(files.read("a/one.json").await.unwrap(), None);
        assert_eq!(files.size("a/one.json").await.unwrap(), None);
        assert!(files.put_if_absent("a/one.json", "first").await.unwrap());
        assert!(!files.put_if_absent("a/one.json", "second").await.unwrap());
        assert_eq!(files.read("a/one.json").await.unwrap().unwrap(), "first");
        assert_eq!(files.size("a/one.json").await.unwrap(), Some(5));
        files.put("a/one.json", "third!").await.unwrap();
        assert_eq!(files.read("a/one.json").await.unwrap().unwrap(), "third!");
        assert_eq!(files.below("a").read("one.json").await.unwrap().unwrap(), "third!");
        files.delete("a/one.json").await.unwrap();
        files.delete("a/one.json").await.unwrap();
        assert_eq!(files.read("a/one.json").await.unwrap(), None);
    }
}

#[tokio::test]
async fn who_read_before_another_wrote_does_not_replace_what_is_there() {
    let (_dir, both) = both();
    for files in &both {
        assert!(!files.put_if_unchanged("lease", b"", "ours").await.unwrap(), "it is not there");
        assert_eq!(files.read("lease").await.unwrap(), None);
        files.put("lease", "free").await.unwrap();
        assert!(files.put_if_unchanged("lease", b"free", "theirs").await.unwrap());
        assert!(!files.put_if_unchanged("lease", b"free", "ours").await.unwrap());
        assert_eq!(files.read("lease").await.unwrap().unwrap(), "theirs");
    }
}

#[tokio::test]
async fn a_store_that_can_tell_refuses_who_is_overtaken_between_look_and_write() {
    let (_dir, [_, files]) = both();
    files.put("lease", "free").await.unwrap();
    let (_, version) = files.get("lease").await.unwrap().unwrap();
    files.put("lease", "theirs").await.unwrap();
    assert!(!files.replace("lease", version, "ours".into()).await.unwrap());
    assert_eq!(files.read("lease").await.unwrap().unwrap(), "theirs");
}

#[tokio::test]
async fn only_what_was_listed_is_deleted_if_it_must_be_unchanged() {
    let (_dir, both) = both();
    for files in &both {
        files.put("data/x", "1").await.unwrap();
        let mut before = listed(files, "data/x").await;
        // Of the same size: only its time tells.
        before.modified -= TimeDelta::seconds(1);
        for condition in [Condition::Unchanged, Condition::Present] {
            let deleted = delete_if(files, &before, condition).await;
            let failed = deleted.failed.as_slice();
            assert!(matches!(failed, [FilesError::Changed { .. }]), "{condition:?}: {deleted:?}");
        }
        let now = listed(files, "data/x").await;
        let larger = Listed { bytes: 2, ..now.clone() };
        assert_eq!(delete_if(files, &larger, Condition::Unchanged).await.failed.len(), 1);
        assert_eq!(files.read("data/x").await.unwrap().unwrap(), "1");
        let deleted = delete_if(files, &now, Condition::Present).await;
        assert_eq!((deleted.files, deleted.bytes, deleted.failed.len()), (1, 1, 0));
        assert_eq!(files.read("data/x").await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_is_gone_already_is_missed_only_where_it_must_be_there() {
    let (_dir, both) = both();
    for files in &both {
        files.put("x", "1").await.unwrap();
        let gone = listed(files, "x").await;
        files.delete("x").await.unwrap();
        for condition in [Condition::None, Condition::Unchanged] {
            let deleted = delete_if(files, &gone, condition).await;
            assert_eq!((deleted.files, deleted.failed.len()), (0, 0), "{condition:?}");
        }
        let deleted = delete_if(files, &gone, Condition::Present).await;
        assert!(matches!(deleted.failed.as_slice(), [FilesError::Changed { .. }]), "{deleted:?}");
    }
}

#[tokio::test]
async fn a_batch_goes_on_after_a_file_that_may_not_go() {
    let (_dir, both) = both();
    for files in &both {
        for name in ["a", "b", "c"] {
            files.put(name, "12").await.unwrap();
        }
        let mut all = files.list("").await.unwrap();
        all[1].bytes = 3;
        let batch = all.into_iter().map(|file| Doomed { file, condition: Condition::Unchanged });
        let deleted = files.delete_batch(batch.collect()).await.unwrap();
        assert_eq!((deleted.files, deleted.bytes, deleted.failed.len()), (2, 4, 1));
        assert_eq!(names_below(files, "").await, ["b"]);
    }
}

#[tokio::test]
async fn a_listing_has_all_below_a_directory_and_nothing_beside_it() {
    let (_dir, both) = both();
    for files in &both {
        for name in ["one", "a/two", "a/b/three", "ab/four", "a.json", "a/b.json"] {
            files.put(name, "x").await.unwrap();
        }
        let all = ["a.json", "a/b.json", "a/b/three", "a/two", "ab/four", "one"];
        assert_eq!(names_below(files, "").await, all);
        assert_eq!(names_below(files, "a").await, all[1..4]);
        assert_eq!(names_below(&files.below("a"), "").await, ["b.json", "b/three", "two"]);
        assert_eq!(names_below(&files.below("a"), "b").await, ["b/three"]);
        let directly = files.list_directly().await.unwrap();
        assert_eq!(directly.iter().map(|l| l.path.as_str()).collect::<Vec<_>>(), ["a.json", "one"]);
        assert_eq!(files.names(".json").await.unwrap(), ["a.json"]);
        assert_eq!(files.below("a").names("").await.unwrap(), ["b.json", "two"]);
        assert_eq!(names_below(files, "nowhere").await, [""; 0]);
        assert_eq!(files.below("nowhere").names(".json").await.unwrap(), [""; 0]);
        assert!(files.has_directory("a/b").await);
        assert!(!files.has_directory("a/bb").await);
        assert!(!files.has_directory("one").await);
    }
}

#[tokio::test]
async fn a_name_stays_as_it_is_on_disk() {
    let (dir, both) = both();
    for name in ["refs/a%2Fb.json", "refs/%C3%BC.json", "refs/ü ?.json", "a%2Fb/plain.json"] {
        for files in &both {
            files.put(name, "x").await.unwrap();
            assert_eq!(listed(files, name).await.bytes, 1);
            let (directory, file) = name.split_once('/').unwrap();
            let below = files.below(directory);
            assert!(below.names(".json").await.unwrap().contains(&file.to_owned()), "{name}");
            assert_eq!(below.read(file).await.unwrap().unwrap(), "x");
        }
        assert!(dir.path().join(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn a_path_that_leads_out_is_refused_whatever_is_asked() {
    let (dir, both) = both();
    fs::create_dir_all(dir.path().join("table/data")).unwrap();
    fs::write(dir.path().join("sibling"), "x").unwrap();
    for files in &both {
        let table = files.below("table");
        for path in ["../sibling", "data/../../sibling", "/etc/hostname", "."] {
            assert!(is_outside(&table.list(path).await), "{path}");
        }
        for path in ["../sibling", "data/../../sibling", "/etc/hostname", "", "."] {
            assert!(is_outside(&table.read(path).await), "{path}");
            assert!(is_outside(&table.size(path).await), "{path}");
            assert!(is_outside(&table.put(path, "y").await), "{path}");
            assert!(is_outside(&table.put_if_absent(path, "y").await), "{path}");
            assert!(is_outside(&table.put_if_unchanged(path, b"x", "y").await), "{path}");
            assert!(is_outside(&table.delete(path).await), "{path}");
            assert!(is_outside(&table.delete_empty(path).await), "{path}");
            assert!(is_outside(&table.make_durable(path).await), "{path}");
            let file = Listed { path: path.to_owned(), bytes: 1, modified: chrono::Utc::now() };
            let deleted = delete_if(&table, &file, Condition::None).await;
            let failed = deleted.failed.as_slice();
            assert!(matches!(failed, [FilesError::Outside { .. }]), "{path}: {deleted:?}");
        }
    }
    assert_eq!(fs::read(dir.path().join("sibling")).unwrap(), b"x");
}

fn is_outside<T>(result: &Result<T, FilesError>) -> bool {
    matches!(result, Err(FilesError::Outside { .. }))
}

#[tokio::test]
async fn links_are_neither_listed_nor_followed_and_temporaries_are_listed() {
    let (dir, [files, _]) = both();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "x").unwrap();
    files.put("a/b/two", "22").await.unwrap();
    // What a writer that died left: the store itself does not show it.
    fs::write(dir.path().join("one.json#1"), "1").unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("precious"), dir.path().join("file")).unwrap();
    assert_eq!(names_below(&files, "").await, ["a/b/two", "one.json#1"]);
    let link = dir.path().join("file");
    let of_link = fs::symlink_metadata(&link).unwrap();
    let (bytes, modified) = (of_link.len(), of_link.modified().unwrap().into());
    let file = Listed { path: "file".to_owned(), bytes, modified };
    assert_eq!(delete_if(&files, &file, Condition::Unchanged).await.files, 1);
    assert!(!link.exists() && outside.path().join("precious").exists());
}

#[tokio::test]
async fn a_directory_goes_only_when_it_is_empty() {
    let (dir, [files, _]) = both();
    fs::create_dir_all(dir.path().join("tree/a/b/data")).unwrap();
    files.put("tree/a/keep", "x").await.unwrap();
    files.delete_empty("tree/a/b/data").await.unwrap();
    assert!(!dir.path().join("tree/a/b").exists());
    assert!(dir.path().join("tree/a/keep").exists());
    files.delete("tree/a/keep").await.unwrap();
    files.below("tree").delete_empty("a").await.unwrap();
    assert!(dir.path().join("tree").exists() && !dir.path().join("tree/a").exists());
}

#[tokio::test]
async fn a_place_is_the_same_whatever_it_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let real = fs::canonicalize(dir.path()).unwrap();
    fs::create_dir_all(real.join("root/t.lance/tree/b")).unwrap();
    std::os::unix::fs::symlink(real.join("root/t.lance"), real.join("root/link.lance")).unwrap();
    let root = Files::local(real.join("root"));
    let (table, link) =
        (root.resolved("t.lance").await.unwrap(), root.resolved("link.lance").await.unwrap());
    assert_eq!(table.identity(), link.identity());
    assert_eq!(link.identity().prefix_in(&root.identity()).unwrap(), "t.lance/");
    assert_eq!(root.identity().prefix_in(&root.identity()).unwrap(), "");
    assert_eq!(root.identity().prefix_in(&table.identity()), None);
    let base = format!("{}/tree/b", real.join("root/link.lance").display());
    let base = identity_at(&base).await.unwrap().unwrap();
    assert_eq!(base.prefix_in(&table.identity()).unwrap(), "tree/b/");
    assert_eq!(identity_at(&format!("{}/nowhere", real.display())).await.unwrap(), None);
    assert!(root.resolved("nowhere").await.is_err());
}

#[tokio::test]
async fn what_the_system_says_is_said_once_and_with_the_place() {
    let (dir, [files, _]) = both();
    files.put("file", "x").await.unwrap();
    let error = files.put("file/below", "x").await.unwrap_err();
    let place = dir.path().join("file/below");
    let expected = format!("failed to write {}: Not a directory (os error 20)", place.display());
    assert_eq!(error.to_string(), expected);
    files.make_durable("file").await.unwrap();
    files.make_durable("nowhere").await.unwrap();
}

#[tokio::test]
async fn the_beginnings_of_files_are_joined_at_their_places() {
    let (dir, [files, memory]) = both();
    files.put("a", "first and more").await.unwrap();
    files.put("b", "second").await.unwrap();
    let part = |name: &str, bytes| Part { name: name.to_owned(), bytes };
    let parts = vec![part("a", 5), part("b", 6)];
    assert_eq!(places(&parts, 8), (vec![0, 8], 16));
    assert_eq!(files.join("c", parts.clone(), 8, b"tail".to_vec()).await.unwrap(), 20);
    assert_eq!(fs::read(dir.path().join("c")).unwrap(), b"first\0\0\0second\0\0tail");
    // What is there already is somebody else's.
    let error = files.join("b", parts.clone(), 8, Vec::new()).await.unwrap_err();
    assert!(error.to_string().starts_with("failed to create"), "{error}");
    assert_eq!(fs::read(dir.path().join("b")).unwrap(), b"second");
    // A part that is shorter than said leaves nothing behind.
    let error = files.join("d", vec![part("b", 7)], 8, Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("failed to read"), "{error}");
    assert!(!dir.path().join("d").exists());
    assert!(files.join("d", vec![part("../b", 1)], 8, Vec::new()).await.is_err());
    assert!(files.can_join() && !memory.can_join());
    assert!(memory.join("d", Vec::new(), 8, Vec::new()).await.is_err());
}
