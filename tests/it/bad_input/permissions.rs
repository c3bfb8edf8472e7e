//! Files and directories that may not be read or written. The binary runs without the
//! privilege to pass over permissions, so that this is tested for root, too.

#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use lancekeeper_testkit::invariants::names;
use serde_json::Value;

use super::{PERSON, TABLES, World, assert_clean, assert_says};
use crate::binary::{Ran, path, run};

const DENIED: &str = "permission denied";

#[tokio::test]
async fn a_root_that_may_not_be_read_is_an_error_that_says_so() {
    let world = World::new().await;
    for place in ["", "__manifest", "__manifest/_versions", "__manifest/data", "__recovery"] {
        let sealed = Sealed::with(world.root().join(place), 0o000);
        let root = fails_as_a_whole(&optimize(&world.uri()));
        assert_says(root["error"].as_str(), &[&world.uri(), DENIED]);
        assert_says(root["hint"].as_str(), &["permission"]);
        drop(sealed);
        assert_clean(&world.root());
    }
    for file in ["_schema.pg", "_schema.ir.json", "__schema_state.json"] {
        let sealed = Sealed::with(world.root().join(file), 0o000);
        let root = fails_as_a_whole(&optimize(&world.uri()));
        assert_says(root["error"].as_str(), &[file, DENIED]);
        assert_says(root["hint"].as_str(), &["permission"]);
        drop(sealed);
    }
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn a_directory_that_may_not_be_searched_is_reported_and_the_rest_is_done() {
    let world = World::new().await;
    let parent = world.root().parent().unwrap().to_owned();
    let below = parent.to_string_lossy().into_owned();
    fs::create_dir_all(parent.join("secret/inner")).unwrap();
    // Neither listed nor, where names can be read, looked into.
    for (place, mode) in [("secret", 0o000), ("secret", 0o444)] {
        let sealed = Sealed::with(parent.join(place), mode);
        for (verb, code) in [("status", 3), ("optimize", 3)] {
            let ran = run(unprivileged(&[verb, "--json", "--recursive", &below]));
            assert_eq!(ran.code, Some(code), "{mode:o}: {ran:#?}");
            let document = ran.document();
            assert_eq!(document["roots"][0]["uri"], world.uri().as_str());
            assert_eq!(document["roots"][0]["error"], Value::Null);
            let trouble = &document["roots"][1];
            assert_says(trouble["error"].as_str(), &[&format!("{below}/secret"), DENIED]);
            assert_says(trouble["hint"].as_str(), &["permission"]);
            assert_eq!(document["roots"].as_array().unwrap().len(), 2, "{mode:o}");
        }
        drop(sealed);
    }
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn a_root_that_may_not_be_written_is_an_error_and_stays_as_it_is() {
    let world = World::new().await;
    let before = super::files(&world.root());
    let sealed = Sealed::with(world.root(), 0o555);
    let root = fails_as_a_whole(&optimize(&world.uri()));
    assert_says(root["error"].as_str(), &["__maintenance", DENIED]);
    let planned = run(unprivileged(&["optimize", "--json", "--dry-run", &world.uri()]));
    assert_eq!(planned.code, Some(0), "{planned:#?}");
    drop(sealed);
    assert!(super::files(&world.root()) == before, "something was written");
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn a_table_that_may_not_be_touched_is_its_own_rows_error() {
    let world = World::new().await;
    let table = world.directory(PERSON).await;
    let file = world.table(PERSON).await.fragments()[6].files[0].path.clone();
    for (place, mode) in [
        (table.clone(), 0o000),
        (table.join("_versions"), 0o000),
        (table.join("data"), 0o000),
        (table.join("data"), 0o555),
        (table.join("data").join(file), 0o000),
        (table.join("_versions"), 0o555),
        (table.join("_transactions"), 0o555),
    ] {
        let sealed = Sealed::with(place.clone(), mode);
        let ran = optimize(&world.uri());
        drop(sealed);
        let what = format!("{}: {ran:#?}", place.display());
        assert_eq!(ran.code, Some(3), "{what}");
        let document = ran.document();
        for row in document["roots"][0]["tables"].as_array().unwrap() {
            if row["table_key"] == PERSON {
                assert_says(row["error"].as_str(), &[DENIED]);
                assert_eq!(row["committed"], false);
            } else {
                assert_eq!(row["error"], Value::Null, "{what}");
                assert!(row["fragments_after"].as_u64().unwrap() <= 2, "{what}");
            }
        }
        world.is_clean(TABLES).await;
    }
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn what_could_not_be_armed_is_not_committed() {
    let world = World::new().await;
    let before = super::files(&world.root());
    let sealed = Sealed::with(world.root().join("__recovery"), 0o555);
    let ran = optimize(&world.uri());
    drop(sealed);
    assert_ne!(ran.code, Some(0), "{ran:#?}");
    let document = ran.document();
    let rows = document["roots"][0]["tables"].as_array().unwrap().iter();
    for row in rows.filter(|row| row["table_key"] != "__manifest") {
        let had_work = row["fragments_before"] != 1;
        assert_eq!(row["committed"], false);
        assert_eq!(row["error"].as_str().is_some_and(|e| e.contains("__recovery")), had_work);
    }
    let ours = |path: &Path| path.starts_with("__maintenance") || path.starts_with("__manifest");
    for (path, content) in super::files(&world.root()).iter().filter(|(path, _)| !ours(path)) {
        assert!(before.get(path) == Some(content), "{} is left", path.display());
    }
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn what_could_not_be_published_is_published_by_the_next_run() {
    let world = World::new().await;
    let sealed = Sealed::with(world.root().join("__manifest/_versions"), 0o555);
    let ran = optimize(&world.uri());
    drop(sealed);
    let root = fails_as_a_whole(&ran);
    assert_says(root["error"].as_str(), &["__manifest", DENIED]);
    assert_says(root["hint"].as_str(), &["run again"]);
    assert!(root["tables"].as_array().unwrap().iter().all(|row| row["committed"] == false));
    assert_eq!(names(&world.root().join("__recovery")).unwrap().len(), 3);
    world.nothing_is_lost().await;
}

fn fails_as_a_whole(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    ran.document()["roots"][0].clone()
}

fn optimize(uri: &str) -> Ran {
    run(unprivileged(&["optimize", "--json", uri]))
}

/// The binary, bound by permissions even when the tests run as root.
fn unprivileged(arguments: &[&str]) -> Command {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(secret.path(), Permissions::from_mode(0o000)).unwrap();
    let is_root = fs::metadata(secret.path()).unwrap().uid() == 0;
    let bound = |program: &Path| {
        if !is_root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        let caps = "-dac_override,-dac_read_search";
        command.args([format!("--bounding-set={caps}"), format!("--inh-caps={caps}")]);
        command.arg("--").arg(program);
        command
    };
    let mut read = bound(Path::new("cat"));
    read.arg(secret.path());
    assert_ne!(run(read).code, Some(0), "permissions do not bind this process");
    let mut command = bound(&path());
    command.args(arguments);
    command
}

/// A file or directory with other permissions, until dropped.
struct Sealed {
    path: PathBuf,
    before: Permissions,
}

impl Sealed {
    fn with(path: PathBuf, mode: u32) -> Self {
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        Self { path, before }
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        fs::set_permissions(&self.path, self.before.clone()).unwrap();
    }
}
