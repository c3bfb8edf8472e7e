//! The watcher: what it does beside writers, after a crash, beside another one, and when things are not as they should be.

mod beside;
mod conditions;
mod handle;
mod retention;
mod soak;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use chrono::Utc;
use lancekeeper::{JobStatus, JobTrigger, Keeper};
use lancekeeper_model::{PolicyOption, PolicyValue, TableKey};
use lancekeeper_service::jobs::{Recorder, jobs_of};
use lancekeeper_service::{
    Policies, RootSummary, WatchEvent, WatchEventKind, WatchHandle, WatchOptions, watch,
};
use lancekeeper_store::Files;
use lancekeeper_testkit::{Fixture, check_graph, graph_rows, tables};
use tempfile::TempDir;

use crate::binary::{lancekeeper, run};

/// What takes longer than this hangs: everything here is done in a second or two.
const PATIENCE: Duration = Duration::from_secs(30);

/// A database with one table that is kept in order.
struct World {
    directory: TempDir,
}

impl World {
    async fn new() -> Self {
        let world = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir(world.root()).unwrap();
        tables::create(&world.table(), 1, 10, false).await.unwrap();
        world.set(PolicyOption::AutoCompact, PolicyValue::Switch(true)).await;
        world
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("db")
    }

    fn uri(&self) -> String {
        self.root().to_string_lossy().into_owned()
    }

    fn table(&self) -> String {
        format!("{}/t.lance", self.uri())
    }

    /// Where a file of policies may lie.
    fn policy_file(&self) -> PathBuf {
        self.directory.path().join("p.toml")
    }

    async fn set(&self, option: PolicyOption, value: PolicyValue) {
        let policies = Policies::of(&Files::local(self.root()));
        policies.set(&TableKey::new("t"), &[(option, value)]).await.unwrap();
    }

    async fn append(&self, times: i64) {
        for n in 0..times {
            tables::append(&self.table(), 1_000_000 + n, 1).await.unwrap();
        }
    }

    async fn fragments(&self) -> usize {
        lance::Dataset::open(&self.table()).await.unwrap().get_fragments().len()
    }

    async fn rows(&self) -> usize {
        lance::Dataset::open(&self.table()).await.unwrap().count_rows(None).await.unwrap()
    }

    async fn compacted_below(&self, most: usize) {
        let until = Instant::now() + PATIENCE;
        while self.fragments().await > most {
            assert!(Instant::now() < until, "{} fragments are left", self.fragments().await);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

/// What a watcher of this process said.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<WatchEvent>>>);

impl Heard {
    fn watch(&self, keeper: &Keeper, world: &World) -> WatchHandle {
        self.watch_with(keeper, world, WatchOptions::default())
    }

    fn watch_with(&self, keeper: &Keeper, world: &World, options: WatchOptions) -> WatchHandle {
        let heard = Arc::clone(&self.0);
        let listener = move |event: &WatchEvent| heard.lock().unwrap().push(event.clone());
        let options = WatchOptions {
            interval: Duration::from_millis(100),
            listener: Some(Arc::new(listener)),
            ..options
        };
        watch(keeper, [world.uri()], options)
    }

    fn count(&self, kind: WatchEventKind) -> usize {
        self.0.lock().unwrap().iter().filter(|event| event.kind == kind).count()
    }

    /// What was said of one kind, the last one last.
    fn texts(&self, kind: WatchEventKind) -> Vec<String> {
        let heard = self.0.lock().unwrap();
        heard.iter().filter(|event| event.kind == kind).map(|event| event.text.clone()).collect()
    }

    async fn until(&self, kind: WatchEventKind, times: usize) {
        let until = Instant::now() + PATIENCE;
        while self.count(kind) < times {
            assert!(Instant::now() < until, "no {kind:?} in {:#?}", self.0.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn keeper() -> Keeper {
    Keeper::builder().job_log(Arc::new(Recorder::default())).build()
}

async fn end(mut handle: WatchHandle) -> RootSummary {
    handle.shutdown();
    let summary = tokio::time::timeout(PATIENCE, handle.finished()).await.unwrap();
    assert_eq!((summary.dropped, summary.broken), (0, None));
    summary.roots.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn small_appends_are_merged_by_few_runs_and_rest_costs_no_call_of_a_store() {
    let (world, heard, keeper) = (World::new().await, Heard::default(), keeper());
    let handle = heard.watch(&keeper, &world);
    heard.until(WatchEventKind::Watches, 1).await;
    world.append(20).await;
    world.compacted_below(4).await;
    assert_eq!(world.rows().await, 30);
    // What a run has committed is seen before the run is over.
    heard.until(WatchEventKind::Done, 1).await;
    // Not a run for each append.
    let runs = heard.count(WatchEventKind::Done);
    assert!((1..=7).contains(&runs), "{runs} runs: {:#?}", heard.0.lock().unwrap());
    let jobs = jobs_of(&world.uri(), Utc::now()).await.unwrap().jobs;
    let done: Vec<_> = jobs.iter().filter(|job| job.compaction_status == JobStatus::Done).collect();
    assert!(!done.is_empty());
    for job in done {
        assert_eq!(job.trigger, JobTrigger::Policy);
        assert!(job.reason.contains("small fragments"), "{}", job.reason);
    }
    // Once what was done last was looked at, nothing more is asked in the time of seven looks.
    let until = Instant::now() + PATIENCE;
    loop {
        let before = keeper.store_requests();
        tokio::time::sleep(Duration::from_millis(700)).await;
        if keeper.store_requests() == before {
            break;
        }
        assert!(Instant::now() < until, "it never comes to rest");
    }
    end(handle).await;
    // The keeper itself was not stopped.
    assert_eq!(keeper.status([world.uri()]).await.exit_code().number(), 0);
}

/// What a look at a table costs that somebody has committed to, whatever follows the commit in its directory: its newest version is
/// found, and read.
const READS_A_COMMIT: u64 = 2;

/// A look at a table that has not changed asks no store, so a table that needs nothing costs two calls a commit and none a look.
#[tokio::test(flavor = "multi_thread")]
async fn looks_at_a_table_that_needs_nothing_ask_a_store_only_after_a_commit() {
    let (world, heard, keeper) = (World::new().await, Heard::default(), keeper());
    world.set(PolicyOption::CompactThresholdFiles, PolicyValue::Count(1_000)).await;
    let handle = heard.watch(&keeper, &world);
    heard.until(WatchEventKind::Policies, 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (before, commits) = (keeper.store_requests(), 3);
    for _ in 0..commits {
        world.append(1).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let after = keeper.store_requests();
    let looks = end(handle).await.looks;
    let (reads, commits) = (after.reads - before.reads, commits as u64);
    assert!(
        reads >= commits && looks >= commits,
        "{reads} reads, {looks} looks at {commits} commits"
    );
    assert!(reads <= READS_A_COMMIT * commits, "{reads} reads for {commits} commits");
    assert_eq!((after.writes - before.writes, heard.count(WatchEventKind::Began)), (0, 0));
}

/// The watcher as a process of its own, with what it said so far.
struct Process {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl Process {
    fn start(world: &World) -> Self {
        Self::run(lancekeeper(["watch", &world.uri()]))
    }

    fn run(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, said: String::new() }
    }

    /// Waits until it says this.
    fn until(&mut self, word: &str) {
        while !self.said.contains(word) {
            assert!(self.stderr.read_line(&mut self.said).unwrap() > 0, "ended: {}", self.said);
        }
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// The exit code, and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        self.signal("-TERM");
        self.stderr.read_to_string(&mut self.said).unwrap();
        (self.child.wait().unwrap().code(), self.said)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_a_new_watcher_takes_over_and_sigterm_ends_it_with_0() {
    let world = World::new().await;
    let mut first = Process::start(&world);
    first.until("watches: looks begin");
    world.append(8).await;
    // In the middle of its work, or about there.
    thread::sleep(Duration::from_millis(300));
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    world.append(8).await;
    let mut second = Process::start(&world);
    second.until("done: compact:");
    let (code, said) = second.end();
    assert_eq!(code, Some(0), "{said}");
    world.compacted_below(4).await;
    assert_eq!(world.rows().await, 26);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_watchers_one_stands_by_until_the_other_ends() {
    let world = World::new().await;
    let (first, second) = (Heard::default(), Heard::default());
    let (one, other) = (keeper(), keeper());
    let handle = first.watch(&one, &world);
    first.until(WatchEventKind::Watches, 1).await;
    let standby = second.watch(&other, &world);
    second.until(WatchEventKind::StandsBy, 1).await;
    world.append(12).await;
    world.compacted_below(9).await;
    assert_eq!(
        (second.count(WatchEventKind::Watches), second.count(WatchEventKind::Began)),
        (0, 0)
    );
    end(handle).await;
    second.until(WatchEventKind::Watches, 1).await;
    world.append(12).await;
    world.compacted_below(9).await;
    second.until(WatchEventKind::Done, 1).await;
    end(standby).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_policy_is_moved_aside_and_work_goes_on() {
    let (world, heard, keeper) = (World::new().await, Heard::default(), keeper());
    let policies = world.root().join("__maintenance/policies");
    fs::write(policies.join("other.json"), "{\"format\": 1, \"tab").unwrap();
    let handle = heard.watch(&keeper, &world);
    heard.until(WatchEventKind::Warning, 1).await;
    assert!(policies.join("damaged/other.json").is_file() && !policies.join("other.json").exists());
    world.append(12).await;
    world.compacted_below(9).await;
    // What is set meanwhile holds from then on.
    world.set(PolicyOption::CompactThresholdFiles, PolicyValue::Count(2)).await;
    world.append(3).await;
    world.compacted_below(1).await;
    end(handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_vanishes_and_returns_is_watched_again() {
    let (world, heard, keeper) = (World::new().await, Heard::default(), keeper());
    let handle = heard.watch(&keeper, &world);
    heard.until(WatchEventKind::Watches, 1).await;
    let away = world.directory.path().join("away");
    fs::rename(world.root(), &away).unwrap();
    heard.until(WatchEventKind::Lost, 1).await;
    assert!(!Path::new(&world.uri()).exists(), "the watcher made a root that was gone");
    fs::rename(&away, world.root()).unwrap();
    heard.until(WatchEventKind::Watches, 2).await;
    world.append(12).await;
    world.compacted_below(9).await;
    end(handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_pass_does_what_is_due_and_bad_policies_are_refused_with_their_lines() {
    let world = World::new().await;
    world.append(12).await;
    let ran = run(lancekeeper(["watch", "--once", "--json", &world.uri()]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!((world.fragments().await, ran.document()["totals"]["runs"].as_u64()), (1, Some(1)));
    let ran = run(lancekeeper(["watch", "--once", "--json", &world.uri()]));
    assert_eq!(ran.document()["totals"]["runs"], 0, "{ran:#?}");
    let nowhere = world.directory.path().join("nowhere").to_string_lossy().into_owned();
    let ran = run(lancekeeper(["watch", "--once", &nowhere]));
    assert_eq!(ran.code, Some(10), "{ran:#?}");

    let file = world.directory.path().join("p.toml");
    fs::write(&file, "[defaults]\nauto_compact = true\ncompact_treshold_mb = 5\n").unwrap();
    let file = file.to_string_lossy().into_owned();
    for arguments in [
        vec!["policy", "check", &file],
        vec!["watch", "--policy", &file, &world.uri()],
        vec!["policy", "show", "--policy", &file, &world.uri()],
    ] {
        let ran = run(lancekeeper(arguments));
        assert_eq!(ran.code, Some(2), "{ran:#?}");
        assert!(
            ran.stderr.contains("p.toml:3") && ran.stderr.contains("compact_threshold_mb"),
            "{ran:#?}"
        );
    }
    let shown = run(lancekeeper(["policy", "show", &world.uri()]));
    assert!(
        shown.stdout.contains("auto_compact") && shown.stdout.contains("ALTER TABLE"),
        "{shown:#?}"
    );
    let replayed = run(lancekeeper(["policy", "simulate", &world.uri()]));
    assert!(replayed.code == Some(0) && replayed.stdout.contains("auto_compact"), "{replayed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_graph_are_kept_by_their_pins() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let before = graph_rows(&uri).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.toml");
    let policy = "[table.\"node:Person\"]\nauto_compact = true\ncompact_threshold_files = 2\n";
    fs::write(&file, policy).unwrap();
    let file = file.to_string_lossy().into_owned();
    let ran = run(lancekeeper(["watch", "--once", "--json", "--policy", &file, &uri]));
    assert_eq!(
        (ran.code, ran.document()["totals"]["runs"].as_u64()),
        (Some(0), Some(1)),
        "{ran:#?}"
    );
    assert_eq!(graph_rows(&uri).await.unwrap(), before);
    check_graph(&uri).await.unwrap();
    let again = run(lancekeeper(["watch", "--once", "--json", "--policy", &file, &uri]));
    assert_eq!(again.document()["totals"]["runs"], 0, "{again:#?}");
}
