//! A run that records its jobs is killed: its job is seen as dead, and the next run closes it and does the work.

use std::path::Path;
use std::sync::Arc;

use chrono::Utc;
use fail::FailScenario;
use lancekeeper::{JobStatus, Keeper, NoProgress, OptimizeOptions};
use lancekeeper_service::jobs::{Recorder, cancel_job, jobs_of};
use lancekeeper_store::failpoint;
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::tables;

use crate::child::{Death, Verb, run_and_die};

#[tokio::test]
async fn a_killed_run_leaves_a_running_job_that_the_next_one_closes() {
    let _failpoints = FailScenario::setup();
    for at in [failpoint::OPTIMIZE_AFTER_STAGE_GROUP, failpoint::OPTIMIZE_RESERVED_PRE_REWRITE] {
        let directory = tempfile::tempdir().unwrap();
        let uri = directory.path().to_string_lossy().into_owned();
        tables::create(&format!("{uri}/a.lance"), 6, 10, false).await.unwrap();
        run_and_die(&uri, Death { verb: Verb::RecordedOptimize, ..Death::at(at, 1) });
        let open = directory.path().join("__maintenance/jobs/open");
        let left = names(&open).unwrap();
        assert_eq!(left.len(), 1, "{left:?}");
        let document = Path::new(&open).join(left.first().unwrap());
        let document = std::fs::read_to_string(document).unwrap();
        assert!(document.contains("\"compaction_status\": \"running\""), "{document}");
        let seen = jobs_of(&uri, Utc::now()).await.unwrap().jobs;
        assert_eq!((seen.len(), seen[0].compaction_status), (1, JobStatus::Failed), "{seen:#?}");
        assert_eq!(names(&open).unwrap(), left, "looking closes nothing");
        let cancelled = cancel_job(&uri, &seen[0].id, Utc::now()).await.unwrap();
        assert_eq!(cancelled.compaction_status, JobStatus::Failed, "it is over already");
        let keeper = Keeper::builder().job_log(Arc::new(Recorder::default())).build();
        let options = OptimizeOptions::default();
        let report = keeper.optimize([&uri], &options, Arc::new(NoProgress)).await;
        assert_eq!(report.totals.tables_committed, 1, "{report:#?}");
        let jobs = jobs_of(&uri, Utc::now()).await.unwrap().jobs;
        let [done, dead] = &jobs[..] else { panic!("{jobs:#?}") };
        assert_eq!((done.compaction_status, done.progress.groups_done), (JobStatus::Done, 1));
        assert_eq!((dead.compaction_status, &dead.id), (JobStatus::Failed, &seen[0].id));
        assert!(dead.error.as_ref().unwrap().message.contains("died") && dead.ended_at.is_some());
        assert_eq!(names(&open).unwrap().len(), 0);
    }
}
