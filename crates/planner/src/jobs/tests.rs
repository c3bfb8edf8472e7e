//! How jobs end, and which are closed and forgotten: every case.

use super::*;
use lancekeeper_model::{JobProgress, JobStatus::*};

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
}

fn job(status: JobStatus) -> JobRecord {
    JobRecord {
        id: "01A".to_owned(),
        table: "t".to_owned(),
        compaction_status: status,
        progress: JobProgress { groups_planned: 3, groups_done: 1, ..JobProgress::default() },
        queued_at: at(0),
        started_at: (status != Queued).then(|| at(1)),
        ..JobRecord::default()
    }
}

#[test]
fn only_an_open_job_of_a_dead_process_is_closed() {
    for status in JobStatus::ALL {
        for liveness in [Liveness::Alive, Liveness::Dead, Liveness::Unknown] {
            let closed = closed(&job(*status), liveness, false, at(9));
            let is_expected = liveness == Liveness::Dead && matches!(status, Queued | Running);
            assert_eq!(closed.is_some(), is_expected, "{status} {liveness:?}");
        }
    }
}

#[test]
fn a_closed_job_says_what_became_of_it() {
    let dead = |status, is_cancelled| {
        closed(&job(status), Liveness::Dead, is_cancelled, at(9)).expect("closed")
    };
    let running = dead(Running, false);
    let error = running.error.as_ref().expect("an error");
    assert_eq!((running.compaction_status, running.ended_at), (Failed, Some(at(9))));
    assert_eq!(
        (&*error.message, &*error.kind),
        ("its process died before it was done", "interrupted")
    );
    assert!(error.hint.is_some());
    for (record, said) in
        [(dead(Queued, false), "before it began"), (dead(Running, true), "cancelled")]
    {
        assert_eq!(record.compaction_status, Cancelled);
        assert!(record.outcome.contains(said) && record.error.is_none(), "{record:?}");
    }
}

#[test]
fn no_job_ends_before_it_began_whatever_the_clock_says() {
    let closed = closed(&job(Running), Liveness::Dead, false, at(-60)).expect("closed");
    assert_eq!(closed.ended_at, Some(at(1)));
    let mut record = job(Running);
    end(&mut record, &Ended::default(), at(-60));
    assert_eq!(record.ended_at, Some(at(1)));
}

fn ended(ended: Ended<'_>) -> (JobStatus, String, Option<JobError>) {
    let mut record = job(Running);
    end(&mut record, &ended, at(5));
    (record.compaction_status, record.outcome, record.error)
}

#[test]
fn a_job_ends_as_success_noop_failure_or_cancelled() {
    let failure = |kind| RootFailure {
        message: "the root is gone".to_owned(),
        hint: Some("look".to_owned()),
        kind,
        cause: None,
    };
    let (unavailable, stopped) = (failure(ErrorKind::Unavailable), failure(ErrorKind::Interrupted));
    let noop = Ended { reason: "writers changed it", ..Ended::default() };
    assert_eq!(ended(noop.clone()), (Noop, "writers changed it".to_owned(), None));
    let done = Ended { committed: true, ..noop };
    assert_eq!(ended(done.clone()), (Done, String::new(), None));
    let part = ended(Ended { left: true, ..done.clone() });
    assert_eq!(
        (part.0, &*part.1),
        (Done, "1 of 3 groups were done, the rest is left to the next run")
    );
    // What readers see was done, whatever ended the run afterwards.
    assert_eq!(ended(Ended { root: Some(&unavailable), ..done.clone() }).0, Done);
    let cancelled = ended(Ended { cancelled: true, root: Some(&stopped), ..done.clone() });
    assert_eq!((cancelled.0, &*cancelled.1), (Cancelled, "cancelled: 1 of 3 groups were done"));
    let (status, _, error) = ended(Ended { root: Some(&unavailable), ..Ended::default() });
    let error = error.expect("an error");
    assert_eq!(
        (status, &*error.message, error.hint.as_deref()),
        (Failed, "the root is gone", Some("look"))
    );
    let (status, said, _) = ended(Ended { root: Some(&stopped), ..Ended::default() });
    assert_eq!((status, &*said), (Cancelled, "the run was asked to stop: 1 of 3 groups were done"));
    // An error beats everything.
    let error = Some(("rows are missing", ErrorKind::Corrupt));
    let (status, _, error) = ended(Ended { error, cancelled: true, ..done });
    assert_eq!((status, error.expect("an error").kind), (Failed, "corrupt".to_owned()));
}

fn kept<'a>(id: &'a str, table: &'a str, status: JobStatus, ended: Option<i64>) -> Kept<'a> {
    Kept { id, table, status, ended_at: ended.map(at) }
}

#[test]
fn history_drops_what_is_old_and_what_is_too_much_and_no_open_job() {
    let policy = HistoryPolicy { max_age: TimeDelta::minutes(60), per_table: 2 };
    let jobs = [
        kept("01", "t", Running, None),
        kept("02", "t", Queued, None),
        kept("03", "t", Done, Some(10)),
        kept("04", "t", Failed, Some(30)),
        kept("05", "t", Noop, Some(40)),
        kept("06", "other", Cancelled, Some(5)),
        kept("07", "other", Done, Some(-1)),
        // By a clock that ran ahead.
        kept("08", "far", Done, Some(100_000)),
        kept("09", "lost", Done, None),
    ];
    assert_eq!(dropped(jobs.clone(), &policy, at(59)), ["03", "07"]);
    assert_eq!(dropped(jobs.clone(), &policy, at(70)), ["03", "06", "07"]);
    assert_eq!(dropped(jobs.clone(), &policy, at(100)), ["03", "04", "05", "06", "07"]);
    assert_eq!(dropped(jobs, &HistoryPolicy::default(), at(100)), [""; 0]);
}

#[test]
fn of_two_that_ended_at_once_the_later_id_stays() {
    let policy = HistoryPolicy { per_table: 1, ..HistoryPolicy::default() };
    let jobs = [kept("02", "t", Done, Some(1)), kept("01", "t", Done, Some(1))];
    assert_eq!(dropped(jobs, &policy, at(2)), ["01"]);
}
