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
    /// Why the check failed, in one line.
    failure: Option<String>,
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

    pub(super) fn failed(&self) -> usize {
        self.rows.iter().filter(|row| row.failure.is_some()).count()
    }
}

impl Scenario<'_> {
    /// Runs one check and records it. `None` if it failed: what follows would only fail after it.
    pub(super) fn check<T>(&mut self, check: &str, run: impl FnOnce() -> Result<T>) -> Option<T> {
        let started = Instant::now();
        let result = run();
        let verdict = if result.is_ok() { "ok" } else { "FAILED" };
        let seconds = started.elapsed().as_secs_f64();
        eprintln!("{} · {} · {check}: {verdict} ({seconds:.1} s)", self.client, self.fixture);
        let failure = result.as_ref().err().map(|error| one_line(&format!("{error:#}")));
        let (client, fixture) = (self.client.clone(), self.fixture.clone());
        self.report.rows.push(Row { client, fixture, check: check.to_owned(), failure });
        result.ok()
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
            let result = match &row.failure {
                None => "ok".to_owned(),
                Some(why) => format!("FAILED: {why}"),
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
        write!(f, "{} checks, {} failed", self.rows.len(), self.failed())
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
        assert_eq!(report.failed(), 1);
        assert_eq!(
            report.to_string(),
            "client    fixture  check   result\n\
             client 1  graph    reads   ok\n\
             client 1  graph    writes  FAILED: no luck\n\
             2 checks, 1 failed"
        );
    }
}
