//! Jobs, for people: a table of them, or all that is known of one.

use chrono::{DateTime, SecondsFormat, Utc};
use lancekeeper_model::{
    JobKind, JobRecord, JobStatus, JobTable, JobsBody, JobsReport, RootJobs, TableKey, TableRef,
};

use super::{Notes, root_label};
use crate::output::grid::{Column, Rank, Remark, render};
use crate::output::style::{Tone, dotted, indented, paint, visible};
use crate::output::terminal::Screen;
use crate::output::units::{count, counted, duration, size};
use crate::output::view::View;

impl View for JobsBody {
    fn is_shown(root: &RootJobs) -> bool {
        root.error.is_none()
    }

    fn root_text(root: &RootJobs, _dry_run: bool, screen: Screen) -> String {
        match root.jobs.as_slice() {
            [job] if root.in_full => job_text(job),
            jobs => list_text(root, jobs, screen),
        }
    }

    fn warnings(root: &RootJobs) -> &[String] {
        &root.warnings
    }

    fn totals_text(report: &JobsReport, screen: Screen) -> Option<String> {
        let totals = &report.totals;
        if report.roots.len() < 2 {
            return None;
        }
        let mut parts = vec![format!("total {}", counted(totals.jobs, "job"))];
        parts.push(format!("{} open", count(totals.open)));
        parts.push(format!("{} failed", count(totals.failed)));
        Some(format!("{}\n", dotted(&parts, screen.width)))
    }
}

fn list_text(root: &RootJobs, jobs: &[JobRecord], screen: Screen) -> String {
    let heading = paint(&root_label(root.kind, &root.uri), Tone::Strong, screen.colour);
    if jobs.is_empty() {
        return format!("{heading}\n  no jobs\n");
    }
    let remarks: Vec<Remark> = jobs.iter().map(remark).collect();
    let text = |of: fn(&JobRecord) -> String| jobs.iter().map(of);
    let fragments = |of: fn(&JobRecord) -> Option<JobTable>| {
        move |job: &JobRecord| {
            of(job).map_or_else(|| "-".to_owned(), |table| count(table.fragments))
        }
    };
    let (before, after) = (fragments(|job| job.before), fragments(|job| job.after));
    let columns = vec![
        // In full: it is what the other verbs take.
        Column::text("table", Rank::Always, text(table_name)),
        Column::text("job", Rank::Always, text(|job| job.id.clone())),
        Column::text("kind", Rank::Usual, text(|job| job.kind.to_string())),
        Column::text("by", Rank::Wide, text(|job| job.trigger.to_string())),
        Column::text("at", Rank::Usual, text(|job| at(Some(job.queued_at)))),
        Column::changes("fragments", Rank::Wide, jobs.iter().map(|job| (before(job), after(job)))),
        Column::numbers("size", Rank::Wide, text(|job| size(job.progress.bytes_done))),
        Column::numbers("time", Rank::Wide, text(took)),
    ];
    let rendered = render(columns, "status", &remarks, screen);
    let mut notes = Notes::default();
    for at in rendered.shortened {
        notes.add(&jobs[at].id, &remarks[at].full());
    }
    let mut text = format!("{heading}\n{}{}", rendered.text, notes.render(screen.width));
    if root.more > 0 {
        let more = format!("{} more: --limit all shows them", counted(root.more, "job"));
        text += &indented(&more, screen.width);
    }
    if let Some(done) = &root.done {
        text += &indented(done, screen.width);
    }
    text
}

fn remark(job: &JobRecord) -> Remark {
    let (tone, detail) = match job.compaction_status {
        JobStatus::Failed => (Tone::Bad, job.error.as_ref().map(|error| error.message.clone())),
        JobStatus::Done => (Tone::Good, None),
        JobStatus::Running => (Tone::Plain, Some(progress(job))),
        _ => (Tone::Plain, None),
    };
    let outcome = Some(job.outcome.clone()).filter(|outcome| !outcome.is_empty());
    Remark { short: job.compaction_status.to_string(), detail: detail.or(outcome), tone }
}

/// All that is known of a job, a line for each: names and values can be copied, nothing is cut.
fn job_text(job: &JobRecord) -> String {
    let mut lines: Vec<(&str, String)> = vec![
        ("job", job.id.clone()),
        ("status", job.compaction_status.to_string()),
        ("outcome", job.outcome.clone()),
    ];
    if let Some(error) = &job.error {
        lines.push(("error", format!("{} ({})", error.message, error.kind)));
        lines.push(("hint", error.hint.clone().unwrap_or_default()));
    }
    let depth = |depth: Option<f64>| depth.map_or_else(|| "-".to_owned(), |d| format!("{d:.2}"));
    let table = |table: Option<JobTable>| {
        table.map_or_else(String::new, |JobTable { rows, fragments, files, bytes }| {
            let (fragments, files) = (counted(fragments, "fragment"), counted(files, "file"));
            format!("{}, {fragments}, {files}, {}", counted(rows, "row"), size(bytes))
        })
    };
    let moved = |bytes, rows| format!("{}, {}", size(bytes), counted(rows, "row"));
    lines.extend([
        ("table", table_name(job)),
        ("root", job.root.clone()),
        ("kind", job.kind.to_string()),
        ("started by", job.trigger.to_string()),
        ("reason", job.reason.clone()),
        ("plan", job.plan.clone()),
        ("priority", job.priority.to_string()),
        ("progress", progress(job)),
        ("read", moved(job.bytes_read, job.rows_read)),
        ("written", moved(job.bytes_written, job.rows_written)),
        (
            "deleted",
            if job.kind == JobKind::Cleanup { size(job.bytes_deleted) } else { String::new() },
        ),
        ("before", table(job.before)),
        ("after", table(job.after)),
    ]);
    if let Some(layout) = &job.layout {
        lines.push(("layout", layout.clone()));
        lines.push(("depth", format!("{} → {}", depth(job.depth_before), depth(job.depth_after))));
    }
    if let Some(caches) = &job.caches {
        let used = |hits: u64, misses: u64| format!("{} of {}", count(hits), count(hits + misses));
        let (index, metadata) = (
            used(caches.index_hits, caches.index_misses),
            used(caches.metadata_hits, caches.metadata_misses),
        );
        lines.push(("caches", format!("indexes hit {index}, metadata hit {metadata}")));
    }
    lines.extend([
        (
            "memory",
            job.memory_peak_bytes
                .map_or_else(String::new, |peak| format!("at most {}", size(peak))),
        ),
        ("queued", at(Some(job.queued_at))),
        ("started", at(job.started_at)),
        ("ended", at(job.ended_at)),
        ("took", took(job)),
        ("operation", job.operation.clone()),
        ("process", format!("{} on {}", job.process, job.host)),
    ]);
    let lines = lines.into_iter().filter(|(_, value)| !value.is_empty() && value != "-");
    lines.map(|(name, value)| format!("  {name:<10}  {}\n", visible(&value))).collect()
}

fn progress(job: &JobRecord) -> String {
    let progress = &job.progress;
    let noun = match job.kind {
        JobKind::Cleanup => "file",
        JobKind::Recover | JobKind::Repair | JobKind::Migrate => "step",
        _ => "group",
    };
    let groups = counted(progress.groups_planned, noun);
    let (done, planned) = (size(progress.bytes_done), size(progress.bytes_planned));
    format!("{} of {groups}, {done} of {planned}", count(progress.groups_done))
}

fn table_name(job: &JobRecord) -> String {
    let branch = lancekeeper_model::Branch::named(job.branch.as_str());
    TableRef { key: TableKey::new(job.table.as_str()), branch }.to_string()
}

fn took(job: &JobRecord) -> String {
    match (job.started_at, job.ended_at) {
        (Some(started), Some(ended)) => {
            duration(u64::try_from((ended - started).num_milliseconds()).unwrap_or_default())
        }
        _ => "-".to_owned(),
    }
}

fn at(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use lancekeeper_model::{ErrorKind, JobError, JobProgress, RootJobs};

    use super::*;

    fn jobs() -> RootJobs {
        let at = |seconds: i64| DateTime::from_timestamp(1_767_323_045 + seconds, 0);
        let done = JobRecord {
            id: "01KDZ3C4M8XS0Q1E6J8Z2H4T5V".to_owned(),
            table: "events".to_owned(),
            branch: "main".to_owned(),
            compaction_status: JobStatus::Done,
            progress: JobProgress {
                groups_planned: 2,
                groups_done: 2,
                bytes_planned: 9,
                bytes_done: 9,
            },
            before: Some(JobTable { rows: 300, fragments: 10, files: 10, bytes: 4_500 }),
            after: Some(JobTable { rows: 300, fragments: 2, files: 2, bytes: 4_400 }),
            queued_at: at(0).unwrap_or_default(),
            started_at: at(0),
            ended_at: at(3),
            ..JobRecord::default()
        };
        let error = JobError::new("the disk is full", ErrorKind::Unavailable, None);
        let failed = JobRecord {
            compaction_status: JobStatus::Failed,
            error: Some(error),
            branch: "work".to_owned(),
            after: None,
            ..done.clone()
        };
        let mut root = RootJobs::of("/data/shop");
        root.jobs = vec![done, failed];
        root.more = 1;
        root
    }

    #[test]
    fn a_table_of_jobs_has_their_ids_in_full_at_any_width() {
        for (width, line) in [(80, "failed"), (200, "10 → 2")] {
            let text = list_text(&jobs(), &jobs().jobs, Screen::plain(Some(width)));
            for part in
                ["01KDZ3C4M8XS0Q1E6J8Z2H4T5V", "events@work", "disk is full", line, "1 job more"]
            {
                assert!(text.contains(part), "{part} at {width}:\n{text}");
            }
        }
        let none = RootJobs::of("/data/shop");
        assert_eq!(list_text(&none, &[], Screen::plain(None)), "/data/shop\n  no jobs\n");
    }

    #[test]
    fn of_one_job_everything_is_shown_that_is_known() {
        let text = job_text(&jobs().jobs[1]);
        for line in [
            "  status      failed\n",
            "  error       the disk is full (unavailable)\n",
            "  progress    2 of 2 groups, 9 B of 9 B\n",
            "  before      300 rows, 10 fragments, 10 files, 4.39 KiB\n",
            "  took        3.0 s\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(!text.contains("after") && !text.contains("layout"), "{text}");
    }
}
