//! `jobs`: what it reports. The report's fields are those of `--json`.

use serde::Serialize;

use crate::report::{Report, RootOutcome, RootReport, VerbBody};
use crate::{JobRecord, JobStatus};

/// Which jobs are shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobsOptions {
    /// Only those of these tables; empty means all.
    pub tables: Vec<String>,
    /// Only those that are so far; empty means all.
    pub statuses: Vec<JobStatus>,
    /// At most so many of a root, the newest; `None` means all.
    pub limit: Option<usize>,
}

impl JobsOptions {
    /// Whether a job is among them, whatever their number.
    #[must_use]
    pub fn wants(&self, job: &JobRecord) -> bool {
        (self.tables.is_empty() || self.tables.contains(&job.table))
            && (self.statuses.is_empty() || self.statuses.contains(&job.compaction_status))
    }
}

/// The jobs of one root.
pub type RootJobs = RootReport<JobsBody>;

/// The part of a root's report that only `jobs` has.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct JobsBody {
    /// The jobs, the newest first.
    pub jobs: Vec<JobRecord>,
    /// How many more there are that were asked for.
    pub more: u64,
    /// What was done about the job, in words; null where nothing was.
    pub done: Option<String>,
    /// Documents that say nothing: damaged ones, and those of a newer program.
    pub warnings: Vec<String>,
    /// Whether one job is shown with all that is known of it.
    #[serde(skip)]
    pub in_full: bool,
}

/// Sums over all roots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JobsTotals {
    /// Jobs that are shown.
    pub jobs: u64,
    /// Those of them that are queued or running.
    pub open: u64,
    /// Those that failed.
    pub failed: u64,
}

/// The jobs of all roots asked for.
pub type JobsReport = Report<JobsBody>;

impl VerbBody for JobsBody {
    type Totals = JobsTotals;

    fn add(root: &RootJobs, totals: &mut JobsTotals) {
        for job in &root.jobs {
            totals.jobs += 1;
            totals.open += u64::from(!job.compaction_status.is_over());
            totals.failed += u64::from(job.compaction_status == JobStatus::Failed);
        }
    }

    fn outcome(root: &RootJobs) -> RootOutcome {
        // That a job failed once is no failure of who asks.
        root.outcome(0, root.jobs.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(table: &str, status: JobStatus) -> JobRecord {
        JobRecord { table: table.to_owned(), compaction_status: status, ..JobRecord::default() }
    }

    #[test]
    fn sums_count_open_and_failed_jobs_and_the_run_is_none_of_them() {
        let mut root = RootJobs::of("/data/shop");
        root.jobs = [JobStatus::Queued, JobStatus::Running, JobStatus::Failed, JobStatus::Done]
            .map(|status| job("t", status))
            .to_vec();
        let report = Report::new(false, vec![root], 1);
        assert_eq!(report.totals, JobsTotals { jobs: 4, open: 2, failed: 1 });
        assert_eq!(report.exit_code().number(), 0);
    }

    #[test]
    fn jobs_are_chosen_by_table_and_by_how_far_they_are() {
        let options = JobsOptions {
            tables: vec!["a".to_owned()],
            statuses: vec![JobStatus::Done],
            limit: None,
        };
        assert!(options.wants(&job("a", JobStatus::Done)));
        assert!(!options.wants(&job("b", JobStatus::Done)));
        assert!(!options.wants(&job("a", JobStatus::Failed)));
        assert!(JobsOptions::default().wants(&job("b", JobStatus::Failed)));
    }
}
