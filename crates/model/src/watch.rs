//! `watch`: what it reports when it ends. The report's fields are those of `--json`.

use serde::Serialize;

use crate::report::{Report, RootOutcome, RootReport, VerbBody};

/// What a watcher did in one root.
pub type RootWatch = RootReport<WatchBody>;

/// The part of a root's report that only `watch` has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WatchBody {
    /// Runs that did something.
    pub runs: u64,
    /// Runs that found nothing to do.
    pub no_ops: u64,
    /// Runs that failed. The next one may have mended it, so they do not decide the exit code of a watcher that was
    /// told to end; of a single pass they do.
    pub failures: u64,
    /// Whether it was a single pass.
    pub once: bool,
}

/// Sums over all roots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WatchTotals {
    /// Roots.
    pub roots: u64,
    /// Runs that did something.
    pub runs: u64,
    /// Runs that found nothing to do.
    pub no_ops: u64,
    /// Runs that failed.
    pub failures: u64,
    /// For how long it watched, in milliseconds.
    pub duration_ms: u64,
}

/// What a watcher did in all roots.
pub type WatchReport = Report<WatchBody>;

impl VerbBody for WatchBody {
    type Totals = WatchTotals;

    fn add(root: &RootWatch, totals: &mut WatchTotals) {
        totals.roots += 1;
        totals.runs += root.runs;
        totals.no_ops += root.no_ops;
        totals.failures += root.failures;
    }

    fn set_duration(totals: &mut WatchTotals, duration_ms: u64) {
        totals.duration_ms = duration_ms;
    }

    fn outcome(root: &RootWatch) -> RootOutcome {
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let failed = if root.once { count(root.failures) } else { 0 };
        root.outcome(failed, count(root.runs + root.no_ops + root.failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExitCode;

    fn report(once: bool) -> WatchReport {
        let mut root = RootWatch::of("r");
        root.body = WatchBody { runs: 2, no_ops: 1, failures: 1, once };
        WatchReport::new(false, vec![root], 5)
    }

    #[test]
    fn failures_decide_the_exit_code_of_a_single_pass_alone() {
        assert_eq!(report(false).exit_code(), ExitCode::Done);
        assert_eq!(report(true).exit_code(), ExitCode::Partial);
        assert_eq!((report(true).totals.runs, report(true).totals.failures), (2, 1));
    }
}
