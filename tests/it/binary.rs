//! The built binary: what scripts and terminals see of it.

use std::borrow::BorrowMut;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::{env, fs};

use lancekeeper_testkit::invariants::{check_files, names};
use lancekeeper_testkit::{Fixture, check_graph, graph_rows, tables};
use serde_json::Value;

/// A run that takes longer than this hangs: the tables here are done in seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// The fields of a table's row that scripts rely on.
const TABLE_FIELDS: [&str; 19] = [
    "table_key",
    "branch",
    "fragments_removed",
    "fragments_added",
    "committed",
    "skipped",
    "manifest_version",
    "lance_head_version",
    "pending_indexes",
    "rows_before",
    "rows_after",
    "fragments_before",
    "fragments_after",
    "files_before",
    "files_after",
    "bytes_before",
    "bytes_after",
    "duration_ms",
    "error",
];

#[tokio::test]
async fn the_json_of_optimize_has_the_fields_scripts_rely_on() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let rows = graph_rows(&uri).await.unwrap();
    let ran = run(lancekeeper(["optimize", "--json", "-vv", &uri]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stderr.contains("DEBUG"), "logs were asked for: {ran:#?}");

    let document = ran.document();
    assert_eq!(document["schema"], 1);
    assert_eq!(document["command"], "optimize");
    assert_eq!(document["dry_run"], false);
    let root = &document["roots"][0];
    assert_eq!(root["uri"], uri.as_str());
    assert_eq!(root["kind"], "graph");
    assert_eq!(root["published"], 1);
    assert_eq!(root["error"], Value::Null);
    let tables = root["tables"].as_array().unwrap();
    let keys: Vec<_> = tables.iter().map(|table| table["table_key"].as_str().unwrap()).collect();
    for (key, has_work) in [
        ("edge:Knows", true),
        ("edge:WorksAt", true),
        ("node:Company", false),
        ("node:Person", true),
    ] {
        let at = keys.iter().position(|found| *found == key).unwrap();
        assert_eq!(tables[at]["committed"], has_work, "{key}");
        assert_eq!(tables[at]["fragments_removed"] != 0, has_work, "{key}");
    }
    for table in tables {
        for field in TABLE_FIELDS {
            assert!(table.get(field).is_some(), "{field} in {table}");
        }
        assert_eq!(table["rows_before"], table["rows_after"]);
    }
    let committed = tables.iter().filter(|table| table["committed"] == true).count();
    assert_eq!(document["totals"]["tables_committed"], committed);
    assert!(graph_rows(&uri).await.unwrap() == rows);
    check_graph(&uri).await.unwrap();
}

#[tokio::test]
async fn every_exit_code_reaches_the_shell() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    tables::create(&at("good/a.lance"), 3, 10, false).await.unwrap();
    tables::create(&at("half/a.lance"), 3, 10, false).await.unwrap();
    tables::create(&at("half/b.lance"), 3, 10, false).await.unwrap();
    for name in names(&dir.path().join("half/b.lance/data")).unwrap() {
        fs::write(dir.path().join("half/b.lance/data").join(name), "garbage").unwrap();
    }
    // A schema apply that died leaves what only its client can finish.
    let graph = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    fs::write(graph.path("graph").join("_schema.pg.staging"), "node").unwrap();
    let unfinished = graph.uri("graph");
    let cases: [(&[&str], i32); 20] = [
        (&["--version"], 0),
        (&["optimize", &at("good")], 0),
        (&["optimize", &at("good")], 0),
        (&["status", &at("good"), &at("half")], 0),
        (&["optimize"], 2),
        (&["optimise", &at("good")], 2),
        (&["optimize", "--target-rows", "0", &at("good")], 2),
        (&["optimize", "--deletion-threshold", "1.5", &at("good")], 2),
        (&["optimize", "--table", "zebra", &at("good")], 2),
        (&["count-rows", &at("good")], 0),
        (&["--db-path", &at("good"), "count-rows", "zebra"], 2),
        (&["count-rows", "--branch", "work", &at("good")], 2),
        (&["optimize", &at("half")], 3),
        (&["optimize", &at("half/b.lance")], 1),
        (&["optimize", &unfinished], 12),
        (&["cleanup", "--keep", "1", "--confirm", &unfinished], 12),
        (&["optimize", &at("good"), &at("absent")], 3),
        (&["optimize", &at("absent")], 10),
        (&["status", &at("absent")], 10),
        (&["optimize", "s3://bucket/graph"], 13),
    ];
    for (arguments, code) in cases {
        let ran = run(lancekeeper(arguments));
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:#?}");
        if code > 0 {
            assert!(ran.stderr.contains("error"), "{arguments:?}: {ran:#?}");
        }
    }
}

#[test]
fn a_build_says_whether_it_is_optimized() {
    let ran = run(lancekeeper(["--version"]));
    assert_eq!(ran.stdout.contains("(not optimized)"), cfg!(debug_assertions), "{ran:#?}");
}

#[tokio::test]
async fn a_relative_root_is_found_from_where_one_stands() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.lance");
    tables::create(&path.to_string_lossy(), 3, 10, false).await.unwrap();
    for (place, root, fragments) in [(dir.path(), ".", 3), (&path, ".", 1), (&path, "../", 1)] {
        let mut command = lancekeeper(["optimize", "--json", root]);
        let ran = run(command.current_dir(place));
        assert_eq!(ran.code, Some(0), "{root}: {ran:#?}");
        let document = ran.document();
        let table = &document["roots"][0]["tables"][0];
        assert_eq!(table["table_key"], "events", "{root}");
        assert_eq!(table["fragments_before"], fragments, "{root}");
    }
}

#[tokio::test]
async fn progress_is_one_json_line_per_event() {
    let dir = tempfile::tempdir().unwrap();
    let uri = dir.path().join("a.lance").to_string_lossy().into_owned();
    tables::create(&uri, 4, 10, false).await.unwrap();
    let ran = run(lancekeeper(["optimize", "--json", "--quiet", "--progress", "json", &uri]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    ran.document();
    let lines = ran.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events: Vec<_> = lines.map(|line| line["event"].as_str().unwrap().to_owned()).collect();
    let expected =
        ["root_opened", "table_planned", "group_staged", "table_published", "table_finished"];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn two_runs_at_once_on_one_root_take_turns_or_one_is_told_to_wait() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let rows = graph_rows(&uri).await.unwrap();
    let children = [(); 3].map(|()| start(&mut lancekeeper(["optimize", "--json", &uri])));
    let ran = children.map(|child| finish(child, None));
    assert!(ran.iter().any(|ran| ran.code == Some(0)), "{ran:#?}");
    for ran in ran {
        match ran.code {
            Some(0) => assert_eq!(ran.document()["roots"][0]["error"], Value::Null),
            Some(11) => is_told_to_wait(&ran),
            _ => panic!("{ran:#?}"),
        }
    }
    assert!(graph_rows(&uri).await.unwrap() == rows);
    check_graph(&uri).await.unwrap();
}

/// A data file of the last table is a pipe nobody writes to, so that a run stands still there
/// for as long as the test wants, with the tables before it staged.
#[tokio::test]
async fn an_interrupted_run_ends_with_130_and_the_next_one_finishes() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let rows = graph_rows(&uri).await.unwrap();
    let stuck = data_file_of_person(&fixture).await;
    let aside = fixture.path("aside");
    fs::rename(&stuck, &aside).unwrap();
    assert!(Command::new("mkfifo").arg(&stuck).status().unwrap().success());

    let mut child = start(&mut lancekeeper(["optimize", "--json", "--progress", "json", &uri]));
    let mut said = BufReader::new(child.stderr.take().unwrap());
    until(&mut said, "group_staged");
    let second = run(lancekeeper(["optimize", "--json", &uri]));
    assert_eq!(second.code, Some(11), "{second:#?}");
    is_told_to_wait(&second);

    signal(child.id(), "INT");
    let ran = finish(child, Some(said));
    assert_eq!(ran.code, Some(130), "{ran:#?}");
    assert!(ran.stderr.contains("interrupted"), "{ran:#?}");
    let root = &ran.document()["roots"][0];
    assert!(root["error"].as_str().unwrap().contains("interrupted"), "{root}");
    assert_eq!(root["published"], 0);
    fs::remove_file(&stuck).unwrap();
    fs::rename(&aside, &stuck).unwrap();
    // Not only invisible: what was staged is gone at once.
    assert!(graph_rows(&uri).await.unwrap() == rows, "the interrupted run is visible");
    check_graph(&uri).await.unwrap();

    let ran = run(lancekeeper(["optimize", "--json", &uri]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(ran.document()["roots"][0]["published"], 1);
    assert!(graph_rows(&uri).await.unwrap() == rows);
    check_graph(&uri).await.unwrap();
}

#[tokio::test]
async fn a_run_interrupted_at_its_first_word_leaves_a_table_that_the_next_one_finishes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.lance");
    let uri = path.to_string_lossy().into_owned();
    tables::create(&uri, 150, 20, false).await.unwrap();
    let mut child = start(&mut lancekeeper(["optimize", "--progress", "json", "--quiet", &uri]));
    let mut said = BufReader::new(child.stderr.take().unwrap());
    until(&mut said, "root_opened");
    signal(child.id(), "TERM");
    let ran = finish(child, Some(said));
    assert_eq!(ran.code, Some(130), "{ran:#?}");

    let ran = run(lancekeeper(["optimize", "--json", &uri]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let table = &ran.document()["roots"][0]["tables"][0];
    assert_eq!((&table["fragments_after"], &table["rows_after"]), (&1.into(), &3000.into()));
    assert!(names(&path.join("__maintenance/journal")).unwrap().is_empty());
    let table = lance::Dataset::open(&uri).await.unwrap();
    check_files(&table, &path).await.unwrap();
}

/// The line as operators paste it, with a window that nobody here waits for: nothing is locked
/// meanwhile, and whoever interrupts it loses nothing.
#[tokio::test]
async fn pruning_that_waits_locks_nothing_and_can_be_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().to_string_lossy().into_owned();
    let uri = dir.path().join("events.lance").to_string_lossy().into_owned();
    tables::create(&uri, 4, 10, false).await.unwrap();
    let line = ["db", "--db-path", &db, "optimize", "events", "--all", "--prune-now"];
    let mut command = lancekeeper(line);
    command.args(["--writer-window", "1h", "--json", "--progress", "json"]);
    let mut child = start(&mut command);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    until(&mut said, "prune_delayed");
    tables::append(&uri, 100, 10).await.unwrap();
    let other = run(lancekeeper(["optimize", "--json", &db]));
    assert_eq!(other.code, Some(0), "{other:#?}");
    signal(child.id(), "INT");
    let ran = finish(child, Some(said));
    assert_eq!(ran.code, Some(130), "{ran:#?}");
    let root = &ran.document()["roots"][0];
    assert!(root["error"].as_str().unwrap().contains("interrupted"), "{root}");
    assert_eq!(root["tables"][0]["committed"], true, "what was committed is said: {root}");
    let counted = run(lancekeeper(["db", "--db-path", &db, "count-rows", "events", "--json"]));
    let document = counted.document();
    assert_eq!(document["roots"][0]["tables"][0]["rows"], 50, "{document}");
    let table = lance::Dataset::open(&uri).await.unwrap();
    assert!(table.version_refs().await.unwrap().len() > 5, "something was deleted");
}

#[tokio::test]
async fn rows_of_a_graph_are_counted_at_the_pinned_versions() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let count = |table: &str| {
        let ran = run(lancekeeper(["count-rows", "--json", "--table", table, &uri]));
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        ran.document()["roots"][0]["tables"][0].clone()
    };
    let before = count("node:Person");
    // A commit that no publish follows is nothing that readers see.
    let file = data_file_of_person(&fixture).await;
    let mut person =
        lance::Dataset::open(&file.parent().unwrap().parent().unwrap().to_string_lossy())
            .await
            .unwrap();
    person.delete("true").await.unwrap();
    assert_eq!(person.count_rows(None).await.unwrap(), 0);
    assert_eq!(count("node:Person"), before);
    assert!(before["rows"].as_u64().unwrap() > 0, "{before}");
    let all = run(lancekeeper(["count-rows", "--json", &uri])).document();
    assert_eq!(all["totals"]["tables"], 4, "{all}");
}

fn is_told_to_wait(ran: &Ran) {
    let document = ran.document();
    let root = &document["roots"][0];
    let error = root["error"].as_str().unwrap();
    assert!(error.contains("locked by another keeper"), "{error}");
    assert!(error.contains("optimize"), "the holder is not described: {error}");
    assert_eq!(
        root["hint"],
        "wait for the other run to end, or let this one wait for it: --wait 10m"
    );
}

async fn data_file_of_person(fixture: &Fixture) -> PathBuf {
    let uri = fixture.uri("graph");
    let root = lancekeeper_store::root::recognise(&uri).unwrap();
    let graph =
        lancekeeper_manifest::Graph::open(&lancekeeper_store::Tables::new(), &root).await.unwrap();
    let snapshot = graph.snapshot(&lancekeeper_model::Branch::main()).await.unwrap();
    let pin = snapshot.pin(&lancekeeper_model::TableKey::new("node:Person")).unwrap();
    let table = lance::Dataset::open(&root.address_of(&pin.location)).await.unwrap();
    let file = &table.fragments()[6].files[0].path;
    Path::new(&root.address_of(&pin.location)).join("data").join(file)
}

/// What a process did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The one document on stdout; nothing else may be there.
    pub(crate) fn document(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:#?}");
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// The binary with arguments.
pub(crate) fn lancekeeper<S: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(path());
    command.args(arguments);
    command
}

/// The binary of the profile this test was built with.
pub(crate) fn path() -> PathBuf {
    let test = env::current_exe().unwrap();
    let name = format!("lancekeeper{}", env::consts::EXE_SUFFIX);
    let binary = test.parent().and_then(Path::parent).unwrap().join(name);
    let advice = "run `cargo build --workspace --features lancekeeper-tests/failpoints` first";
    assert!(binary.is_file(), "{} is not there: {advice}", binary.display());
    if let Some(newer) = source_between(&binary, &test) {
        panic!("{} is older than {newer}: {advice}", binary.display());
    }
    binary
}

/// A source file that was changed after the binary and before this test were built, by the
/// list cargo writes beside the binary: a test of yesterday's binary says nothing.
fn source_between(binary: &Path, test: &Path) -> Option<String> {
    let list = fs::read_to_string(binary.with_extension("d")).ok()?;
    let changed = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let (from, to) = (changed(binary)?, changed(test)?);
    // Spaces in names are escaped.
    let sources = list.split_once(": ")?.1.trim().replace("\\ ", "\0");
    sources
        .split(' ')
        .map(|source| source.replace('\0', " "))
        .find(|source| changed(Path::new(source)).is_some_and(|at| from < at && at < to))
}

/// Runs a command to its end.
pub(crate) fn run(mut command: impl BorrowMut<Command>) -> Ran {
    finish(start(command.borrow_mut()), None)
}

/// Starts a command with nothing of this process's environment that changes what it does.
fn start(command: &mut Command) -> Child {
    command.env_remove("RUST_LOG").env_remove("OMNIGRAPH_MAINTENANCE_CONCURRENCY");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = command.get_program().to_string_lossy().into_owned();
    command.spawn().unwrap_or_else(|error| panic!("cannot start {program}: {error}"))
}

/// Waits for the end. `stderr` is what was taken from the child to be read before.
fn finish(child: Child, stderr: Option<BufReader<std::process::ChildStderr>>) -> Ran {
    let pid = child.id();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let rest = stderr.map(|mut stderr| {
            thread::spawn(move || {
                let mut text = String::new();
                stderr.read_to_string(&mut text).map(|_| text)
            })
        });
        let output = child.wait_with_output();
        tell.send((output, rest.map(|rest| rest.join().unwrap().unwrap())))
    });
    let Ok((output, rest)) = told.recv_timeout(PATIENCE) else {
        signal(pid, "KILL");
        panic!("still running after {PATIENCE:?}");
    };
    let output = output.unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: rest.unwrap_or_else(|| String::from_utf8(output.stderr).unwrap()),
    }
}

/// Reads lines until one contains `word`.
fn until(said: &mut impl BufRead, word: &str) {
    let mut heard = String::new();
    loop {
        let start = heard.len();
        assert!(said.read_line(&mut heard).unwrap() > 0, "ended without {word}: {heard}");
        if heard[start..].contains(word) {
            return;
        }
    }
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(status.success());
}
