//! The document, as it is written today; and what is no document.

use super::*;
use crate::CacheUse;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_323_045 + seconds, 0).unwrap_or_default()
}

fn done() -> JobRecord {
    JobRecord {
        schema: JOB_SCHEMA,
        id: "01KDZ3C4M8XS0Q1E6J8Z2H4T5V".to_owned(),
        operation: "01KDZ3C4M7000000000000000A".to_owned(),
        root: "/data/shop".to_owned(),
        table: "events".to_owned(),
        branch: "main".to_owned(),
        kind: JobKind::Layout,
        trigger: JobTrigger::Sql,
        reason: "COMPACT TABLE events Z_ORDER BY (a, b)".to_owned(),
        plan: "lay out 10 fragments".to_owned(),
        compaction_status: JobStatus::Done,
        priority: 5,
        progress: JobProgress {
            groups_planned: 2,
            groups_done: 2,
            bytes_planned: 4_096,
            bytes_done: 4_096,
        },
        bytes_read: 4_096,
        bytes_written: 4_000,
        rows_read: 300,
        rows_written: 300,
        before: Some(JobTable { rows: 300, fragments: 10, files: 10, bytes: 4_500 }),
        after: Some(JobTable { rows: 300, fragments: 2, files: 2, bytes: 4_400 }),
        layout: Some("zorder:a,b".to_owned()),
        depth_before: Some(9.5),
        depth_after: Some(1.0),
        memory_peak_bytes: Some(1 << 26),
        caches: Some(JobCaches {
            index_hits: 1,
            index_misses: 2,
            metadata_hits: 3,
            metadata_misses: 4,
        }),
        queued_at: at(0),
        started_at: Some(at(1)),
        ended_at: Some(at(2)),
        host: "keeper-1".to_owned(),
        process: 4242,
        ..JobRecord::default()
    }
}

const DONE: &str = r#"{
  "schema": 1,
  "id": "01KDZ3C4M8XS0Q1E6J8Z2H4T5V",
  "operation": "01KDZ3C4M7000000000000000A",
  "root": "/data/shop",
  "table": "events",
  "branch": "main",
  "kind": "layout",
  "trigger": "sql",
  "reason": "COMPACT TABLE events Z_ORDER BY (a, b)",
  "plan": "lay out 10 fragments",
  "compaction_status": "done",
  "outcome": "",
  "priority": 5,
  "progress": {
    "groups_planned": 2,
    "groups_done": 2,
    "bytes_planned": 4096,
    "bytes_done": 4096
  },
  "bytes_read": 4096,
  "bytes_written": 4000,
  "bytes_deleted": 0,
  "rows_read": 300,
  "rows_written": 300,
  "before": {
    "rows": 300,
    "fragments": 10,
    "files": 10,
    "bytes": 4500
  },
  "after": {
    "rows": 300,
    "fragments": 2,
    "files": 2,
    "bytes": 4400
  },
  "layout": "zorder:a,b",
  "depth_before": 9.5,
  "depth_after": 1.0,
  "error": null,
  "memory_peak_bytes": 67108864,
  "caches": {
    "index_hits": 1,
    "index_misses": 2,
    "metadata_hits": 3,
    "metadata_misses": 4
  },
  "queued_at": "2026-01-02T03:04:05Z",
  "started_at": "2026-01-02T03:04:06Z",
  "ended_at": "2026-01-02T03:04:07Z",
  "host": "keeper-1",
  "process": 4242
}
"#;

#[test]
fn a_document_stays_as_it_is_written_today() {
    assert_eq!(done().to_json().unwrap_or_default(), DONE);
    assert_eq!(JobRecord::from_json(DONE.as_bytes()).ok(), Some(done()));
}

#[test]
fn an_error_and_what_is_not_known_come_back_as_they_were() {
    let hint = Some("free some space".to_owned());
    let error = Some(JobError::new("the disk is full", ErrorKind::Unavailable, hint));
    let failed = JobRecord { compaction_status: JobStatus::Failed, error, ..done() };
    let queued = JobRecord {
        compaction_status: JobStatus::Queued,
        started_at: None,
        ended_at: None,
        before: None,
        caches: None,
        ..done()
    };
    for record in [failed, queued, JobRecord { schema: 1, ..JobRecord::default() }] {
        let text = record.to_json().unwrap_or_default();
        assert_eq!(JobRecord::from_json(text.as_bytes()).ok(), Some(record), "{text}");
    }
}

#[test]
fn what_is_no_document_is_said_and_what_is_newer_is_refused() {
    let newer = DONE.replace("\"schema\": 1", "\"schema\": 7").replace("\"done\"", "\"dreamt\"");
    let status = DONE.replace("\"done\"", "\"dreamt\"");
    let cases = [
        ("", "it is damaged: EOF", ErrorKind::Corrupt),
        ("[1]", "it is damaged: invalid", ErrorKind::Corrupt),
        ("{\"schema\": 1}", "it is damaged: missing field `id`", ErrorKind::Corrupt),
        (&DONE[..DONE.len() / 2], "it is damaged: EOF", ErrorKind::Corrupt),
        (&status, "it is damaged: unknown variant `dreamt`", ErrorKind::Corrupt),
        (&newer, "it has schema 7; this version of lancekeeper knows 1", ErrorKind::Refused),
    ];
    for (text, said, kind) in cases {
        let Err(error) = JobRecord::from_json(text.as_bytes()) else { panic!("{text}") };
        assert!(error.to_string().starts_with(said), "{error}");
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn words_stand_for_what_they_name() {
    for status in JobStatus::ALL {
        assert_eq!(JobStatus::of(status.as_str()), Some(*status));
        let quoted = serde_json::to_string(status).unwrap_or_default();
        assert_eq!(quoted, format!("\"{status}\""));
    }
    assert_eq!((JobKind::of("compact"), JobKind::of("Compact")), (Some(JobKind::Compact), None));
    let over: Vec<_> = JobStatus::ALL.iter().filter(|status| status.is_over()).collect();
    assert_eq!(over.len(), 4);
}

#[test]
fn caches_count_what_a_job_used_and_never_less_than_nothing() {
    let used = |hits, misses| CacheUse { hits, misses, ..CacheUse::default() };
    let before = CacheStats { index: used(5, 5), metadata: used(9, 9) };
    let after = CacheStats { index: used(7, 6), metadata: used(1, 10) };
    let caches = JobCaches::between(&before, &after);
    assert_eq!((caches.index_hits, caches.index_misses), (2, 1));
    assert_eq!((caches.metadata_hits, caches.metadata_misses), (0, 1));
}
