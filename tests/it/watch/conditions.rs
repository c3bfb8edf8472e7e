//! When things are not as they should be: the clock, the disk, the documents.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, TimeZone};
use lancekeeper_testkit::invariants::names;

use super::*;

/// Keeps every table in order, without a word of theirs.
fn every_table(world: &World) -> WatchOptions {
    fs::write(world.policy_file(), "[defaults]\nauto_compact = true\n").unwrap();
    let policies = lancekeeper_service::load_policies(&world.policy_file()).unwrap();
    WatchOptions { policies, ..WatchOptions::default() }
}

/// A clock that somebody sets.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    /// It is this hour of that day of January.
    fn set(&self, year: i32, day: u32, hour: u32) {
        let wanted = Utc.with_ymd_and_hms(year, 1, day, hour, 0, 0).unwrap();
        self.0.store((wanted - Utc::now()).num_seconds(), Ordering::SeqCst);
    }

    fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::seconds(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_moves_quiet_times_and_nothing_else() {
    let (world, heard, clock) = (World::new().await, Heard::default(), Clock::default());
    fs::write(world.policy_file(), "[defaults]\nquiet_times = \"Mon-Fri 08:00-18:00\"\n").unwrap();
    let policies = lancekeeper_service::load_policies(&world.policy_file()).unwrap();
    let told = clock.clone();
    let log = Arc::new(Recorder::default());
    let keeper = Keeper::builder().job_log(log).clock(move || told.now()).build();
    clock.set(2026, 6, 10);
    let handle =
        heard.watch_with(&keeper, &world, WatchOptions { policies, ..WatchOptions::default() });
    heard.until(WatchEventKind::Watches, 1).await;
    world.append(12).await;
    heard.until(WatchEventKind::Waits, 1).await;
    assert_eq!(heard.count(WatchEventKind::Began), 0);
    // Forward to the evening, back by years, and far ahead: pauses are told by another clock.
    for (times, (year, day, hour)) in (1..).zip([(2026, 6, 20), (2024, 1, 3), (2036, 1, 3)]) {
        clock.set(year, day, hour);
        heard.until(WatchEventKind::Done, times).await;
        world.compacted_below(9).await;
        if times < 3 {
            world.append(12).await;
        }
    }
    end(handle).await;
    assert_eq!((world.rows().await, heard.count(WatchEventKind::Failed)), (46, 0));
    for job in jobs_of(&world.uri(), Utc::now()).await.unwrap().jobs {
        assert!(job.started_at <= job.ended_at && job.ended_at.is_some(), "{job:#?}");
    }
}

/// Of an append that is larger than what [`short_of_room`] leaves.
const ROWS: i64 = 20_000;

/// Its files may not grow beyond 64 KiB (or 128, where a block is larger) until somebody lifts the limit: records and locks fit,
/// what it writes of the data here does not.
fn short_of_room(world: &World) -> Process {
    let script = "trap '' XFSZ; ulimit -S -f 128; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(crate::binary::path()).args(["watch", &world.uri()]);
    Process::run(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_room_a_job_fails_and_is_tried_again_once_there_is() {
    let world = World::new().await;
    let mut process = short_of_room(&world);
    process.until("watches: looks begin");
    for n in 1..=12 {
        tables::append(&world.table(), n * ROWS, ROWS as usize).await.unwrap();
    }
    process.until("failed: compact:");
    process.until("waits because it failed");
    // Neither the table nor a directory has anything of it.
    let table = PathBuf::from(world.table());
    assert_eq!((world.fragments().await, names(&table.join("data")).unwrap().len()), (13, 13));
    let pid = process.child.id().to_string();
    let lifted =
        Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
    assert!(lifted.success());
    process.until("done: compact:");
    let (code, said) = process.end();
    assert_eq!((code, world.rows().await), (Some(0), 10 + 12 * ROWS as usize), "{said}");
    assert!(world.fragments().await <= 3, "{said}");
    let jobs = jobs_of(&world.uri(), Utc::now()).await.unwrap().jobs;
    let ended = |status| jobs.iter().filter(|job| job.compaction_status == status).count();
    assert!(ended(JobStatus::Failed) >= 1 && ended(JobStatus::Done) == 1, "{jobs:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_document_of_a_job_is_moved_aside_and_the_watcher_works_on() {
    let world = World::new().await;
    let jobs = world.root().join("__maintenance/jobs");
    fs::create_dir_all(jobs.join("open")).unwrap();
    fs::create_dir_all(jobs.join("noops")).unwrap();
    fs::write(jobs.join("open/01CUT.json"), "{\"schema\": 1, \"id").unwrap();
    fs::write(jobs.join("noops/watch.json"), "not a document").unwrap();
    let mut process = Process::start(&world);
    process.until("watches: looks begin");
    world.append(12).await;
    process.until("done: compact:");
    let (code, said) = process.end();
    assert!(code == Some(0) && said.contains("01CUT.json"), "{said}");
    assert!(jobs.join("damaged/01CUT.json").is_file());
    let list = jobs_of(&world.uri(), Utc::now()).await.unwrap();
    assert_eq!((list.jobs.len(), world.rows().await), (1, 22), "{list:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_watched_though_its_first_commit_comes_long_after_its_directory() {
    let (world, heard, keeper) = (World::new().await, Heard::default(), keeper());
    // What a client makes of a table before it has written the last row of its first version.
    let (late, aside) = (world.root().join("late.lance"), world.directory.path().join("aside"));
    fs::create_dir_all(late.join("data")).unwrap();
    let handle = heard.watch_with(&keeper, &world, every_table(&world));
    heard.until(WatchEventKind::Watches, 1).await;
    // The root is at rest, and known.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let made = aside.to_string_lossy().into_owned();
    tables::create(&made, 1, 10, false).await.unwrap();
    for n in 0..20 {
        tables::append(&made, 1_000 + n, 1).await.unwrap();
    }
    for name in ["data", "_transactions", "_versions"] {
        let _ = fs::remove_dir(late.join(name));
        fs::rename(aside.join(name), late.join(name)).unwrap();
    }
    heard.until(WatchEventKind::Done, 1).await;
    let fragments = lance::Dataset::open(&late.to_string_lossy()).await.unwrap();
    assert_eq!(fragments.get_fragments().len(), 1);
    end(handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_policy_is_judged_by_facts_that_it_asks_for_though_the_table_rests() {
    let (world, heard, keeper) = (World::new().await, Heard::default(), keeper());
    world.set(PolicyOption::CompactThresholdFiles, PolicyValue::Count(1_000)).await;
    world.set(PolicyOption::DeletionShare, PolicyValue::Real(0.9)).await;
    lance::Dataset::open(&world.table()).await.unwrap().delete("id < 3").await.unwrap();
    let handle = heard.watch(&keeper, &world);
    heard.until(WatchEventKind::Watches, 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(heard.count(WatchEventKind::Began), 0);
    // A plan that purges nothing was all that the policy before asked for.
    world.set(PolicyOption::DeletionShare, PolicyValue::Real(0.1)).await;
    heard.until(WatchEventKind::Done, 1).await;
    assert!(heard.texts(WatchEventKind::Began)[0].contains("deleted"));
    end(handle).await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_may_not_be_entered_stops_no_other() {
    let (world, heard, keeper) = (World::new().await, Heard::default(), keeper());
    let closed = world.root().join("closed.lance");
    tables::create(&closed.to_string_lossy(), 1, 10, false).await.unwrap();
    let versions = closed.join("_versions");
    // For root, who may enter everything, a link that leads to itself does the same.
    fs::rename(&versions, closed.join("_elsewhere")).unwrap();
    std::os::unix::fs::symlink(&versions, &versions).unwrap();
    let handle = heard.watch_with(&keeper, &world, every_table(&world));
    heard.until(WatchEventKind::Watches, 1).await;
    world.append(12).await;
    world.compacted_below(9).await;
    end(handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_appended_to_is_laid_out_by_its_depth_alone() {
    let (world, heard, keeper) = (World::new().await, Heard::default(), keeper());
    world.set(PolicyOption::CompactThresholdFiles, PolicyValue::Count(1_000)).await;
    let ran = run(lancekeeper(["optimize", "--layout", "sort:id", &world.uri()]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    world.append(3).await;
    let handle = heard.watch(&keeper, &world);
    heard.until(WatchEventKind::Watches, 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(heard.count(WatchEventKind::Began), 0);
    world.set(PolicyOption::ClusteringDepth, PolicyValue::Real(1.2)).await;
    heard.until(WatchEventKind::Done, 1).await;
    assert!(heard.texts(WatchEventKind::Began)[0].contains("may fall into"));
    assert_eq!(world.fragments().await, 1);
    end(handle).await;
}
