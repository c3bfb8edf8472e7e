//! The documents, on a store without directories: what is written is found again, whatever dies in between.

use std::time::{Duration, UNIX_EPOCH};

use chrono::TimeDelta;
use lancekeeper::{JobLog, UnderWay};
use lancekeeper_model::{JobError, OperationId};
use lancekeeper_planner::jobs::Liveness;
use ulid::Ulid;

use super::*;

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
}

/// An id that was made at that time, and is no turn of the rule about numbers.
fn id(minutes: i64, random: u128) -> String {
    let since = at(minutes) - DateTime::UNIX_EPOCH;
    let since = Duration::from_millis(since.num_milliseconds().unsigned_abs());
    let made = Ulid::from_datetime(UNIX_EPOCH + since);
    Ulid::from_parts(made.timestamp_ms(), random * 16 + 1).to_string()
}

fn job(minutes: i64, status: JobStatus) -> JobRecord {
    JobRecord {
        schema: 1,
        id: id(minutes, 7),
        operation: format!("run {minutes}"),
        table: "t".to_owned(),
        branch: "main".to_owned(),
        compaction_status: status,
        queued_at: at(minutes),
        started_at: Some(at(minutes)),
        ended_at: status.is_over().then(|| at(minutes + 1)),
        ..JobRecord::default()
    }
}

async fn ids(jobs: &Jobs) -> Vec<String> {
    jobs.list().await.unwrap().jobs.into_iter().map(|job| job.id).collect()
}

#[tokio::test]
async fn a_job_is_open_until_it_ends_and_is_found_all_the_time() {
    let jobs = Jobs::of(&Files::in_memory());
    assert_eq!(jobs.list().await.unwrap(), JobList::default());
    let (first, second) = (job(1, JobStatus::Queued), job(2, JobStatus::Running));
    jobs.write(&first).await.unwrap();
    jobs.write(&second).await.unwrap();
    assert_eq!(ids(&jobs).await, [second.id.clone(), first.id.clone()]);
    let done = job(1, JobStatus::Done);
    jobs.end(&done).await.unwrap();
    assert_eq!(jobs.open().await.unwrap().jobs, std::slice::from_ref(&second));
    assert_eq!(jobs.list().await.unwrap().jobs, [second.clone(), done.clone()]);
    assert_eq!(jobs.show(&done.id).await.unwrap(), Some(done));
    assert_eq!(jobs.show(&second.id).await.unwrap(), Some(second));
    assert_eq!(jobs.show("../lock").await.unwrap(), None);
}

#[tokio::test]
async fn one_whose_run_died_between_the_two_steps_of_its_end_is_over() {
    let files = Files::in_memory();
    let jobs = Jobs::of(&files);
    let done = job(1, JobStatus::Done);
    jobs.end(&done).await.unwrap();
    jobs.write(&job(1, JobStatus::Running)).await.unwrap();
    assert_eq!(jobs.list().await.unwrap().jobs, std::slice::from_ref(&done));
    assert_eq!(jobs.show(&done.id).await.unwrap(), Some(done));
    assert_eq!(jobs.close_dead(|_| Liveness::Dead, at(9)).await.unwrap(), []);
    assert_eq!(jobs.open().await.unwrap().jobs, []);
}

#[tokio::test]
async fn only_jobs_of_dead_processes_are_closed() {
    let jobs = Jobs::of(&Files::in_memory());
    for minutes in 1..=3 {
        jobs.write(&job(minutes, JobStatus::Running)).await.unwrap();
    }
    let liveness = |job: &JobRecord| match &*job.operation {
        "run 1" => Liveness::Dead,
        "run 2" => Liveness::Alive,
        _ => Liveness::Unknown,
    };
    let closed = jobs.close_dead(liveness, at(9)).await.unwrap();
    assert_eq!(closed.len(), 1);
    let shown = jobs.show(&id(1, 7)).await.unwrap().unwrap();
    assert_eq!((shown.compaction_status, shown.ended_at), (JobStatus::Failed, Some(at(9))));
    let JobError { message, .. } = shown.error.unwrap();
    assert_eq!(message, "its process died before it was done");
    assert_eq!(jobs.open().await.unwrap().jobs.len(), 2);
}

#[tokio::test]
async fn what_is_asked_to_end_is_asked_once_and_what_is_over_stays_as_it_is() {
    let jobs = Jobs::of(&Files::in_memory());
    let (queued, running, done) =
        (job(1, JobStatus::Queued), job(2, JobStatus::Running), job(3, JobStatus::Done));
    jobs.write(&queued).await.unwrap();
    jobs.write(&running).await.unwrap();
    jobs.end(&done).await.unwrap();
    assert_eq!(jobs.request_cancel("01UNKNOWN", at(5)).await.unwrap(), None);
    let cancelled = jobs.request_cancel(&queued.id, at(5)).await.unwrap().unwrap();
    assert_eq!(cancelled.compaction_status, JobStatus::Cancelled);
    assert_eq!(jobs.request_cancel(&done.id, at(5)).await.unwrap(), Some(done.clone()));
    assert!(!jobs.is_cancel_requested(&running.id).await.unwrap());
    let asked = jobs.request_cancel(&running.id, at(5)).await.unwrap();
    assert_eq!(asked, Some(running.clone()));
    assert!(jobs.is_cancel_requested(&running.id).await.unwrap());
    jobs.end(&job(2, JobStatus::Cancelled)).await.unwrap();
    assert!(!jobs.is_cancel_requested(&running.id).await.unwrap());
}

#[tokio::test]
async fn a_damaged_document_is_moved_aside_and_a_newer_one_is_left_alone_and_both_are_said() {
    let files = Files::in_memory();
    let (jobs, below) = (Jobs::of(&files), files.below(JOBS_DIRECTORY));
    let done = job(1, JobStatus::Done);
    jobs.end(&done).await.unwrap();
    let text = done.to_json().unwrap();
    let newer = text.replace("\"schema\": 1", "\"schema\": 2");
    for (name, content) in [
        ("01CUT.json", text[..40].to_owned()),
        ("open/01EMPTY.json", String::new()),
        ("01COPY.json", text.clone()),
        ("01NEW.json", newer.clone()),
    ] {
        below.put(name, content).await.unwrap();
    }
    for (round, said) in [(1, 4), (2, 1)] {
        let list = jobs.list().await.unwrap();
        assert_eq!(list.jobs, std::slice::from_ref(&done), "{round}");
        assert_eq!(list.warnings.len(), said, "{:#?}", list.warnings);
    }
    let aside = below.below("damaged").names("").await.unwrap();
    assert_eq!(aside, ["01COPY.json", "01CUT.json", "01EMPTY.json"]);
    assert_eq!(below.read("01NEW.json").await.unwrap().unwrap(), newer);
    let refused = jobs.show("01NEW").await.unwrap_err();
    assert!(refused.to_string().contains("schema 2"), "{refused}");
}

#[tokio::test]
async fn history_forgets_what_is_old_at_once_and_what_is_too_much_in_turns() {
    let policy = HistoryPolicy { max_age: TimeDelta::minutes(100), per_table: 3 };
    let jobs = Jobs::of(&Files::in_memory()).keeping(policy);
    jobs.write(&job(0, JobStatus::Running)).await.unwrap();
    for minutes in 1..=5 {
        jobs.end(&job(minutes, JobStatus::Done)).await.unwrap();
    }
    let no_turn = id(50, 1);
    assert_eq!(jobs.prune(Some(&no_turn), at(50)).await.unwrap(), 0);
    assert_eq!(jobs.prune(None, at(50)).await.unwrap(), 2);
    let kept = |minutes: &[i64]| minutes.iter().map(|m| id(*m, 7)).collect::<Vec<_>>();
    assert_eq!(ids(&jobs).await, kept(&[5, 4, 3, 0]));
    // One minute after its id was made it ended, and 100 minutes after that it is old.
    assert_eq!(jobs.prune(Some(&no_turn), at(104)).await.unwrap(), 1);
    assert_eq!(ids(&jobs).await, kept(&[5, 4, 0]));
    assert_eq!(jobs.prune(Some(&no_turn), at(1_000)).await.unwrap(), 2);
    assert_eq!(ids(&jobs).await, kept(&[0]), "an open job is never forgotten");
}

#[tokio::test]
async fn no_ops_are_counted_by_table_and_a_damaged_count_begins_anew() {
    let files = Files::in_memory();
    let jobs = Jobs::of(&files);
    let noop = |table: &str, count, why: &str| (table.to_owned(), count, why.to_owned());
    jobs.add_noops(&[noop("a", 2, "one fragment"), noop("b", 1, "quiet")], at(1)).await.unwrap();
    jobs.add_noops(&[noop("a", 3, "it waits")], at(5)).await.unwrap();
    let noops = jobs.noops().await.unwrap();
    let NoopCount { count, first_at, last_at, reason } = &noops["a"];
    assert_eq!((*count, *first_at, *last_at, reason.as_str()), (5, at(1), at(5), "it waits"));
    assert_eq!((noops.len(), noops["b"].count), (2, 1));
    assert_eq!(jobs.list().await.unwrap(), JobList::default());
    let place = files.below(JOBS_DIRECTORY).below("noops");
    place.put("watch.json", "{").await.unwrap();
    assert!(jobs.noops().await.unwrap().is_empty());
    jobs.add_noops(&[noop("a", 1, "again")], at(9)).await.unwrap();
    assert_eq!(jobs.noops().await.unwrap()["a"].count, 1);
}

fn alive(operations: &[&str]) -> UnderWay {
    let operations = operations.iter().map(|o| OperationId::new(*o)).collect();
    UnderWay { operations, somebody_else: false }
}

#[tokio::test]
async fn a_recorder_takes_over_what_was_queued_closes_what_is_dead_and_hears_of_requests() {
    let (files, recorder) = (Files::in_memory(), Recorder::default());
    let jobs = Jobs::of(&files);
    let queued = JobRecord { operation: String::new(), ..job(1, JobStatus::Queued) };
    jobs.write(&queued).await.unwrap();
    jobs.write(&job(2, JobStatus::Running)).await.unwrap();
    let start = |operation: &str| JobRecord {
        id: queued.id.clone(),
        operation: operation.to_owned(),
        ..job(5, JobStatus::Queued)
    };
    let begun = recorder.begin(&files, start("run 5"), &alive(&["run 5"])).await.unwrap();
    assert_eq!((&begun.id, begun.queued_at), (&queued.id, at(1)));
    assert_eq!((begun.compaction_status, begun.process), (JobStatus::Running, std::process::id()));
    let dead = jobs.show(&id(2, 7)).await.unwrap().unwrap();
    assert_eq!(dead.compaction_status, JobStatus::Failed);
    // The second table of the run: what was queued is taken.
    let second = recorder.begin(&files, start("run 5"), &alive(&["run 5"])).await.unwrap();
    assert!(second.id != begun.id && second.queued_at == at(5));
    assert!(!recorder.advance(&files, begun.clone()).await);
    jobs.request_cancel(&begun.id, at(6)).await.unwrap();
    assert!(recorder.advance(&files, begun.clone()).await);
    recorder.end(&files, job(1, JobStatus::Done)).await;
    assert_eq!(jobs.open().await.unwrap().jobs, [second]);
}
