//! The table of what was checked.

use std::fmt;
use std::time::Instant;

use anyhow::Result;

#[derive(Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

struct Row {
    client: String,
    fixture: String,
    check: String,
    verdict: Verdict,
}

enum Verdict {
    Passed,
    /// Why, in one line.
    Failed(String),
    /// No check: something that whoever reads the table must know.
    Noted(String),
}

/// The rows of one client on one fixture.
pub(super) struct Scenario<'a> {
    report: &'a mut Report,
    client: String,
    fixture: String,
}

impl Report {
    pub(super) fn scenario(&mut self, client: &str, fixture: &str) -> Scenario<'_> {
        Scenario { report: self, client: client.to_owned(), fixture: fixture.to_owned() }
    }

    fn count(&self, which: impl Fn(&Verdict) -> bool) -> usize {
        self.rows.iter().filter(|row| which(&row.verdict)).count()
    }

    pub(super) fn failed(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Failed(_)))
    }
}

impl Scenario<'_> {
    /// Runs one check and records it. `None` if it failed: what follows would only fail after it.
    pub(super) fn check<T>(&mut self, check: &str, run: impl FnOnce() -> Result<T>) -> Option<T> {
        let started = Instant::now();
        let result = run();
        self.record(check, started, result)
    }

    /// Runs a check that may turn out to have nothing to look at: then it answers `Ok(false)`, and
    /// nothing is recorded. Returns whether there was something, failed or not.
    pub(super) fn check_if_any(&mut self, check: &str, run: impl FnOnce() -> Result<bool>) -> bool {
        let started = Instant::now();
        let result = run();
        let any = !matches!(result, Ok(false));
        if any {
            self.record(check, started, result);
        }
        any
    }

    fn record<T>(&mut self, check: &str, started: Instant, result: Result<T>) -> Option<T> {
        // At once: a run that is stopped prints no table.
        let verdict = match &result {
            Ok(_) => "ok".to_owned(),
            Err(error) => format!("FAILED: {}", one_line(&format!("{error:#}"))),
        };
        let seconds = started.elapsed().as_secs_f64();
        eprintln!("{} · {} · {check}: {verdict} ({seconds:.1} s)", self.client, self.fixture);
        self.push(
            check,
            match &result {
                Ok(_) => Verdict::Passed,
                Err(error) => Verdict::Failed(one_line(&format!("{error:#}"))),
            },
        );
        result.ok()
    }

    /// Records what is neither passed nor failed, as that a failpoint was never crossed.
    pub(super) fn note(&mut self, subject: &str, text: &str) {
        eprintln!("{} · {} · {subject}: {text}", self.client, self.fixture);
        self.push(subject, Verdict::Noted(text.to_owned()));
    }

    fn push(&mut self, check: &str, verdict: Verdict) {
        let (client, fixture) = (self.client.clone(), self.fixture.clone());
        self.report.rows.push(Row { client, fixture, check: check.to_owned(), verdict });
    }
}

/// Clients report an error over many lines: what failed in the first ones, why in the last ones.
fn one_line(text: &str) -> String {
    const MAX_CHARS: usize = 800;
    let line: Vec<char> = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
    if line.len() <= MAX_CHARS {
        return line.into_iter().collect();
    }
    let head: String = line[..MAX_CHARS / 2].iter().collect();
    let tail: String = line[line.len() - MAX_CHARS / 2..].iter().collect();
    format!("{head} … {tail}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["client", "fixture", "check", "result"].map(str::to_owned);
        let rows = self.rows.iter().map(|row| {
            let result = match &row.verdict {
                Verdict::Passed => "ok".to_owned(),
                Verdict::Failed(why) => format!("FAILED: {why}"),
                Verdict::Noted(text) => format!("note: {text}"),
            };
            [row.client.clone(), row.fixture.clone(), row.check.clone(), result]
        });
        let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths = [0, 1, 2].map(|column| width(column).unwrap_or_default());
        for [client, fixture, check, result] in &rows {
            let [a, b, c] = widths;
            writeln!(f, "{client:a$}  {fixture:b$}  {check:c$}  {result}")?;
        }
        let checks = self.count(|verdict| !matches!(verdict, Verdict::Noted(_)));
        write!(f, "{checks} checks, {} failed", self.failed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_a_row_and_failures_are_counted() {
        let mut report = Report::default();
        let mut scenario = report.scenario("client 1", "graph");
        assert_eq!(scenario.check("reads", || Ok(3)), Some(3));
        let failing = scenario.check("writes", || anyhow::bail!("no\n   luck"));
        assert_eq!(failing, None::<()>);
        scenario.note("a place", "never seen");
        assert_eq!(report.failed(), 1);
        assert_eq!(
            report.to_string(),
            "client    fixture  check    result\n\
             client 1  graph    reads    ok\n\
             client 1  graph    writes   FAILED: no luck\n\
             client 1  graph    a place  note: never seen\n\
             2 checks, 1 failed"
        );
    }
}
