//! Jobs: every run that changes a table leaves a record, and no other run does.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::Utc;
use lancekeeper::{
    CleanupOptions, JobCause, JobKind, JobRecord, JobStatus, JobTrigger, Keeper, NoProgress,
    OptimizeOptions, OptimizeReport, Progress, ProgressEvent, RepairOptions,
};
use lancekeeper_service::jobs::{JobList, Recorder, cancel_job, jobs_of, new_job_id};
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::{Wreck, tables};
use serde_json::json;
use tempfile::TempDir;

use crate::binary::{lancekeeper, run};
use crate::fixtures::tree;

/// A database, and a keeper that records jobs.
struct World {
    directory: TempDir,
    keeper: Keeper,
}

impl World {
    /// With one table of six fragments.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keeper = Keeper::builder().job_log(Arc::new(Recorder::default())).build();
        let world = Self { directory, keeper };
        tables::create(&world.table("t"), 6, 100, false).await.unwrap();
        world
    }

    fn uri(&self) -> String {
        self.directory.path().to_string_lossy().into_owned()
    }

    fn table(&self, name: &str) -> String {
        format!("{}/{name}.lance", self.uri())
    }

    /// Where the documents lie.
    fn ours(&self) -> PathBuf {
        self.directory.path().join("__maintenance/jobs")
    }

    async fn optimize(&self, options: &OptimizeOptions) -> OptimizeReport {
        self.keeper.optimize([self.uri()], options, Arc::new(NoProgress)).await
    }

    async fn jobs(&self) -> Vec<JobRecord> {
        let JobList { jobs, warnings } = jobs_of(&self.uri(), Utc::now()).await.unwrap();
        assert_eq!(warnings, [""; 0]);
        jobs
    }
}

#[tokio::test]
async fn work_is_a_job_with_numbers_and_an_idle_or_dry_run_leaves_nothing() {
    let world = World::new().await;
    let options = OptimizeOptions::default();
    let before = tree(&world.uri());
    world.keeper.plan_optimize([world.uri()], &options).await;
    assert_eq!(tree(&world.uri()), before);
    let cause = JobCause {
        trigger: JobTrigger::Policy,
        reason: "6 small fragments".to_owned(),
        priority: 3,
        job: None,
    };
    let keeper = world.keeper.clone().caused_by(cause);
    let report = keeper.optimize([world.uri()], &options, Arc::new(NoProgress)).await;
    let jobs = world.jobs().await;
    let [job] = &jobs[..] else { panic!("{jobs:#?}") };
    assert_eq!(report.roots[0].tables[0].job.as_ref(), Some(&job.id));
    assert_eq!((job.compaction_status, job.kind), (JobStatus::Done, JobKind::Compact));
    assert_eq!((&*job.table, &*job.branch, &*job.root), ("t", "main", &*world.uri()));
    assert_eq!(
        (job.trigger, &*job.reason, job.priority),
        (JobTrigger::Policy, "6 small fragments", 3)
    );
    assert_eq!(job.plan, report.roots[0].tables[0].reason);
    assert_eq!((job.progress.groups_planned, job.progress.groups_done), (1, 1));
    assert_eq!((job.rows_read, job.rows_written), (600, 600));
    assert!(job.bytes_read > 0 && job.bytes_written > 0, "{job:#?}");
    let (before, after) = (job.before.unwrap(), job.after.unwrap());
    assert_eq!((before.fragments, after.fragments, after.rows), (6, 1, 600));
    assert!(job.started_at <= job.ended_at && job.ended_at.is_some() && job.error.is_none());
    assert_eq!(job.process, std::process::id());
    assert_eq!(job.operation.len(), 26);
    // Idle, and a preview of a cleanup: no file is touched.
    let before = tree(&world.uri());
    assert_eq!(world.optimize(&options).await.totals.tables_committed, 0);
    world.keeper.plan_cleanup([world.uri()], &CleanupOptions::default()).await;
    assert_eq!(world.jobs().await, jobs);
    assert_eq!(tree(&world.uri()), before);
}

#[tokio::test]
async fn each_table_and_each_kind_of_work_is_a_job_and_a_failure_says_why() {
    let world = World::new().await;
    tables::create(&world.table("broken"), 4, 10, false).await.unwrap();
    let data = PathBuf::from(world.table("broken")).join("data");
    for name in names(&data).unwrap() {
        fs::write(data.join(name), "garbage").unwrap();
    }
    let only = |table: &str| OptimizeOptions {
        tables: vec![table.to_owned()],
        ..OptimizeOptions::default()
    };
    let report = world.optimize(&only("broken")).await;
    assert_eq!(report.totals.tables_failed, 1, "{report:#?}");
    let layout = Some("sort:-id".parse().unwrap());
    let report = world.optimize(&OptimizeOptions { layout, statistics: true, ..only("t") }).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let jobs = world.jobs().await;
    let of = |table: &str| jobs.iter().filter(move |job| job.table == table).collect::<Vec<_>>();
    let [failed] = of("broken")[..] else { panic!("{jobs:#?}") };
    assert_eq!(failed.compaction_status, JobStatus::Failed);
    let error = failed.error.as_ref().unwrap();
    assert!(!error.message.is_empty() && !error.kind.is_empty(), "{error:?}");
    let [statistics, layout] = of("t")[..] else { panic!("{jobs:#?}") };
    assert_eq!((statistics.kind, layout.kind), (JobKind::Statistics, JobKind::Layout));
    assert_eq!(layout.layout.as_deref(), Some("sort:-id"));
    assert_eq!((layout.depth_after, layout.rows_written), (Some(1.0), 600));
    assert_eq!(statistics.operation, layout.operation);
    assert!(
        jobs.iter()
            .filter(|job| job.table == "t")
            .all(|job| job.compaction_status == JobStatus::Done)
    );
    let mut cleanup = CleanupOptions::default();
    cleanup.policy.keep_versions = Some(1);
    (cleanup.writer_window, cleanup.min_age) =
        (chrono::TimeDelta::zero(), chrono::TimeDelta::zero());
    cleanup.tables = vec!["t".to_owned()];
    for round in 1..=2 {
        let report = world.keeper.cleanup([world.uri()], &cleanup).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        let jobs = world.jobs().await;
        let cleaned: Vec<_> = jobs.iter().filter(|job| job.kind == JobKind::Cleanup).collect();
        let [cleaned] = cleaned[..] else { panic!("{round}: {jobs:#?}") };
        assert_eq!((cleaned.compaction_status, &*cleaned.table), (JobStatus::Done, "t"));
        assert!(cleaned.bytes_deleted > 0 && cleaned.progress.groups_done > 0, "{cleaned:#?}");
        // The documents are no litter.
        assert_eq!(jobs.len(), 4, "{round}: {jobs:#?}");
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_said_once_and_does_not_stop_the_work() {
    let world = World::new().await;
    tables::create(&world.table("u"), 3, 10, false).await.unwrap();
    fs::create_dir_all(world.ours().parent().unwrap()).unwrap();
    fs::write(world.ours(), "a file stands where the directory would be").unwrap();
    let ran = run(lancekeeper(["optimize", &world.uri()]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(ran.stderr.matches("not recorded").count(), 1, "{ran:#?}");
    assert_eq!(fs::read(world.ours()).unwrap().len(), 42);
    assert_eq!(world.optimize(&OptimizeOptions::default()).await.totals.tables_committed, 0);
}

#[tokio::test]
async fn a_damaged_document_is_moved_aside_and_the_work_goes_on() {
    let world = World::new().await;
    fs::create_dir_all(world.ours().join("open")).unwrap();
    fs::write(world.ours().join("open/01CUT.json"), "{\"schema\": 1, \"id").unwrap();
    let young = format!("{}.json", new_job_id());
    fs::write(world.ours().join(&young), "").unwrap();
    let ran = run(lancekeeper(["optimize", &world.uri()]));
    assert!(ran.code == Some(0) && ran.stderr.contains("01CUT.json"), "{ran:#?}");
    let ran = run(lancekeeper(["jobs", "list", &world.uri()]));
    assert!(ran.code == Some(0) && ran.stderr.matches(&young).count() == 2, "{ran:#?}");
    assert!(ran.stdout.contains("compact"), "{ran:#?}");
    let aside = names(&world.ours().join("damaged")).unwrap();
    assert_eq!(aside.into_iter().collect::<Vec<_>>(), ["01CUT.json", &young]);
    assert_eq!(world.jobs().await.len(), 1);
}

/// Asks for the end of the only job as soon as a group is staged.
struct Impatient(PathBuf);

impl Progress for Impatient {
    fn on_event(&self, event: ProgressEvent) {
        if matches!(event, ProgressEvent::GroupStaged { .. }) {
            let open = names(&self.0.join("open")).unwrap();
            fs::create_dir_all(self.0.join("cancel")).unwrap();
            fs::write(self.0.join("cancel").join(open.first().unwrap()), "{}").unwrap();
        }
    }
}

#[tokio::test]
async fn a_cancelled_job_ends_between_two_groups_and_what_it_finished_stays() {
    let world = World::new().await;
    fs::remove_dir_all(world.table("t")).unwrap();
    tables::create(&world.table("t"), 16, 100, false).await.unwrap();
    let options = OptimizeOptions { target_rows: 200, ..OptimizeOptions::default() };
    let impatient = Arc::new(Impatient(world.ours()));
    let report = world.keeper.optimize([world.uri()], &options, impatient).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let row = &report.roots[0].tables[0];
    let [job] = &world.jobs().await[..] else { panic!("one job") };
    assert_eq!(job.compaction_status, JobStatus::Cancelled, "{job:#?}");
    let progress = &job.progress;
    assert!((1..=3).contains(&progress.groups_done) && progress.groups_planned == 8, "{job:#?}");
    assert_eq!(row.left.groups_left, 8 - progress.groups_done, "{row:#?}");
    assert_eq!(row.fragments_after, 16 - progress.groups_done, "{row:#?}");
    assert_eq!(names(&world.ours().join("cancel")).unwrap().len(), 0);
    let ended = cancel_job(&world.uri(), &job.id, Utc::now()).await.unwrap();
    assert_eq!(ended, *job, "what is over stays as it is");
    // The next run does the rest.
    let ran = run(lancekeeper(["jobs", "resume", &world.uri(), &job.id, "--json"]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let resumed = &world.jobs().await[0];
    assert_eq!(resumed.compaction_status, JobStatus::Done, "{resumed:#?}");
    assert!(resumed.reason.contains(&job.id) && resumed.trigger == JobTrigger::Command);
}

#[tokio::test]
async fn a_cleanup_that_is_cancelled_stops_and_the_next_one_goes_on() {
    let world = World::new().await;
    for n in 0..60 {
        tables::append(&world.table("t"), 10_000 + n, 1).await.unwrap();
    }
    let mut options = CleanupOptions { delete_rate: Some(10), ..CleanupOptions::default() };
    options.policy.keep_versions = Some(1);
    options.writer_window = chrono::TimeDelta::zero();
    let cancelling = async {
        // There is nothing to ask for before there is a job.
        loop {
            if let [job] = &world.jobs().await[..] {
                return cancel_job(&world.uri(), &job.id, Utc::now()).await.unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let (report, asked) = tokio::join!(world.keeper.cleanup([world.uri()], &options), cancelling);
    assert_eq!((report.exit_code().number(), asked.compaction_status), (0, JobStatus::Running));
    let row = &report.roots[0].tables[0];
    assert!(
        row.error.is_none() && row.warnings.iter().any(|said| said.starts_with("cancelled")),
        "{row:#?}"
    );
    let [job] = &world.jobs().await[..] else { panic!("one job") };
    assert_eq!(job.compaction_status, JobStatus::Cancelled, "{job:#?}");
    let (done, planned) = (job.progress.groups_done, job.progress.groups_planned);
    assert!(planned > 60 && done < planned && done == row.files_removed, "{job:#?}");
    assert_eq!(job.outcome, format!("cancelled: {done} of {planned} files went"));
    options.delete_rate = None;
    let report = world.keeper.cleanup([world.uri()], &options).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let versions = names(&PathBuf::from(world.table("t")).join("_versions")).unwrap();
    assert_eq!(versions.iter().filter(|name| name.ends_with(".manifest")).count(), 1);
    assert_eq!(world.jobs().await[0].compaction_status, JobStatus::Done);
}

#[tokio::test]
async fn what_is_done_to_a_whole_graph_is_a_job_and_a_preview_or_an_idle_run_is_none() {
    let wreck = Wreck::new().await.unwrap();
    let keeper = Keeper::builder().job_log(Arc::new(Recorder::default())).build();
    let (uri, dead) = (wreck.uri(), crate::recover::dead());
    let jobs = async || {
        let mut jobs = jobs_of(uri, Utc::now()).await.unwrap().jobs;
        jobs.sort_by_key(|job| job.id.clone());
        jobs
    };
    let table = wreck.named("node:A", "main").await.unwrap();
    wreck.arm("01ARZ3NDEKTSV4RRFFQ69G5FAV", "Load", Utc::now(), vec![table], &json!({})).unwrap();
    wreck.commit("node:A", "main", &["four"]).await.unwrap();
    keeper.plan_recover([uri], &dead).await;
    assert!(jobs().await.is_empty(), "a preview left a job");
    for _ in 0..2 {
        let report = keeper.recover([uri], &dead).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    }
    wreck.commit("node:A", "main", &["five"]).await.unwrap();
    let mut force = RepairOptions::default();
    (force.confirm, force.force, force.assume_dead) = (true, true, true);
    for _ in 0..2 {
        let report = keeper.repair([uri], &force).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    }
    let done: Vec<_> = jobs()
        .await
        .into_iter()
        .map(|job| (job.kind, job.compaction_status, job.table, job.progress.groups_done))
        .collect();
    let manifest = || "__manifest".to_owned();
    let expected = [
        (JobKind::Recover, JobStatus::Done, manifest(), 1),
        (JobKind::Repair, JobStatus::Done, manifest(), 1),
    ];
    assert_eq!(done, expected);
}

#[tokio::test]
async fn jobs_are_listed_and_shown_and_what_is_no_job_is_said() {
    let world = World::new().await;
    let uri = world.uri();
    let ran = run(lancekeeper(["jobs", "list", &uri]));
    assert!(ran.code == Some(0) && ran.stdout.contains("no jobs"), "{ran:#?}");
    assert!(!world.ours().exists(), "looking leaves nothing");
    world.optimize(&OptimizeOptions::default()).await;
    let id = world.jobs().await[0].id.clone();
    let document = run(lancekeeper(["jobs", "list", &uri, "--json"])).document();
    let job = &document["roots"][0]["jobs"][0];
    assert_eq!((&job["id"], &job["compaction_status"]), (&id.as_str().into(), &"done".into()));
    assert_eq!(
        (&document["totals"]["jobs"], &document["totals"]["failed"]),
        (&1.into(), &0.into())
    );
    let none = run(lancekeeper(["jobs", "list", &uri, "--status", "failed", "--table", "t"]));
    assert!(none.stdout.contains("no jobs"), "{none:#?}");
    let ran = run(lancekeeper(["jobs", "show", &uri, &id]));
    for line in ["status      done", "1 of 1 group", "600 rows", "6 fragments"] {
        assert!(ran.stdout.contains(line), "{line}: {ran:#?}");
    }
    for verb in ["show", "cancel", "resume"] {
        let ran = run(lancekeeper(["jobs", verb, &uri, "01UNKNOWN"]));
        assert!(ran.code == Some(2) && ran.stderr.contains("has no job 01UNKNOWN"), "{ran:#?}");
    }
    let ran = run(lancekeeper(["jobs", "cancel", &uri, &id]));
    assert!(ran.code == Some(0) && ran.stdout.contains("it is over"), "{ran:#?}");
}
