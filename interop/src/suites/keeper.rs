//! The binary under test: runs of it to the end, killed, or paused.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::output;

const ORDER: &str = "LANCEKEEPER_FAILPOINT";
const DIRECTORY: &str = "LANCEKEEPER_FAILPOINT_DIR";
/// No run on a fixture takes half a minute, even of a debug build on a busy machine.
const LONGEST_RUN: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(2);
const SIGABRT: i32 = 6;

/// The binary under test.
pub(super) struct Keeper(pub(super) PathBuf);

impl Keeper {
    /// Optimizes main; anything but exit code 0 is an error.
    pub(super) fn optimize(&self, root: &Path) -> Result<()> {
        output(Command::new(&self.0).arg("optimize").arg(root)).map(drop)
    }

    /// Optimizes every branch, and returns what the run reported.
    pub(super) fn optimize_all(&self, root: &Path) -> Result<Report> {
        self.start(root, None)?.wait()?.expect_success()
    }

    /// Starts an optimize of every branch.
    pub(super) fn start(&self, root: &Path, failpoint: Option<&Failpoint<'_>>) -> Result<Run> {
        self.start_on(root, &["--all-branches"], failpoint)
    }

    /// Starts an optimize of what `what` says on the command line.
    pub(super) fn start_on(
        &self,
        root: &Path,
        what: &[&str],
        failpoint: Option<&Failpoint<'_>>,
    ) -> Result<Run> {
        self.start_verb("optimize", root, what, failpoint)
    }

    /// Starts any verb.
    pub(super) fn start_verb(
        &self,
        verb: &str,
        root: &Path,
        what: &[&str],
        failpoint: Option<&Failpoint<'_>>,
    ) -> Result<Run> {
        let files = tempfile::tempdir()?;
        let mut command = Command::new(&self.0);
        command.args([verb, "--quiet", "--json"]).args(what).arg(root);
        command.env("RUST_BACKTRACE", "0").env_remove(ORDER).env(DIRECTORY, files.path());
        if let Some(failpoint) = failpoint {
            command.env(ORDER, failpoint.order());
        }
        // Files, not pipes: nobody reads while we wait for something else.
        command.stdin(Stdio::null());
        command.stdout(File::create(files.path().join(STDOUT))?);
        command.stderr(File::create(files.path().join(STDERR))?);
        let child = command.spawn().context("failed to start lancekeeper")?;
        Ok(Run { child, files })
    }

    /// Fails with a hint if the binary was built without failpoints: it would obey no order, and every
    /// run would look as if nothing had ever been crossed.
    pub(super) fn expect_failpoints(&self, root: &Path) -> Result<()> {
        let nonsense = Failpoint { name: "no.such.failpoint", action: Action::Abort, crossing: 1 };
        let outcome = self.start(root, Some(&nonsense))?.wait()?;
        ensure!(
            outcome.said.contains("no such failpoint"),
            "the binary has no failpoints; build one with `cargo build {}` and name it with --binary",
            xtask::cargo::WITH_FAILPOINTS.join(" "),
        );
        Ok(())
    }
}

/// What a run is to do at the N-th crossing of a failpoint.
pub(super) struct Failpoint<'a> {
    pub(super) name: &'a str,
    pub(super) action: Action,
    pub(super) crossing: usize,
}

#[derive(Clone, Copy)]
pub(super) enum Action {
    Abort,
    Pause,
}

impl Failpoint<'_> {
    fn order(&self) -> String {
        let action = match self.action {
            Action::Abort => "abort",
            Action::Pause => "pause",
        };
        format!("{}={action}:{}", self.name, self.crossing)
    }
}

const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";

/// A run that was started. It is killed if it is dropped before its end.
pub(super) struct Run {
    child: Child,
    files: TempDir,
}

impl Run {
    /// Waits for the end, however the run ends.
    pub(super) fn wait(mut self) -> Result<Outcome> {
        let end = Instant::now() + LONGEST_RUN;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < end, "lancekeeper did not end within {LONGEST_RUN:?}");
            std::thread::sleep(POLL);
        };
        let read = |name| fs::read_to_string(self.files.path().join(name));
        Ok(Outcome { status, printed: read(STDOUT)?, said: read(STDERR)? })
    }

    /// Waits until the run pauses; `false` if it ended without.
    pub(super) fn pauses(&mut self) -> Result<bool> {
        let end = Instant::now() + LONGEST_RUN;
        while Instant::now() < end {
            if self.files.path().join("paused").exists() {
                return Ok(true);
            }
            if self.child.try_wait()?.is_some() {
                return Ok(false);
            }
            std::thread::sleep(POLL);
        }
        bail!("lancekeeper neither paused nor ended within {LONGEST_RUN:?}")
    }

    pub(super) fn resume(&self) -> Result<()> {
        fs::write(self.files.path().join("resume"), []).context("failed to resume lancekeeper")
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill().context("failed to kill lancekeeper")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Of a child that has ended both do nothing.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(super) struct Outcome {
    pub(super) status: ExitStatus,
    printed: String,
    said: String,
}

impl Outcome {
    pub(super) fn aborted(&self) -> bool {
        self.status.signal() == Some(SIGABRT)
    }

    pub(super) fn report(&self) -> Result<Report> {
        let report = serde_json::from_str(&self.printed);
        report.map(Report).with_context(|| format!("no report, {}", self.describe()))
    }

    /// The document it printed, of whatever verb.
    pub(super) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.printed).with_context(|| format!("no JSON, {}", self.describe()))
    }

    pub(super) fn expect_success(&self) -> Result<Report> {
        ensure!(self.status.success(), "lancekeeper optimize: {}", self.describe());
        self.report()
    }

    /// How the run ended and what it said.
    pub(super) fn describe(&self) -> String {
        format!("{}: {} {}", self.status, self.said.trim(), self.printed.trim())
    }
}

/// The JSON document of an optimize of one root.
pub(super) struct Report(Value);

impl Report {
    /// Nothing was committed and nothing published.
    pub(super) fn expect_idle(&self) -> Result<()> {
        let committed = &self.0["totals"]["tables_committed"];
        let published = &self.0["roots"][0]["published"];
        ensure!(committed == 0 && published == 0, "it found work: {}", self.0);
        Ok(())
    }

    /// Each table of the branch has at most one fragment, none of them was skipped or failed.
    pub(super) fn expect_packed(&self, branch: &str) -> Result<()> {
        let mut count = 0;
        for table in self.tables()?.iter().filter(|table| table["branch"] == branch) {
            let fragments = table["fragments_after"].as_u64().context("no fragments_after")?;
            let done = table["skipped"].is_null() && table["error"].is_null();
            ensure!(done && fragments <= 1, "not packed: {table}");
            count += 1;
        }
        ensure!(count > 0, "no table of {branch} in {}", self.0);
        Ok(())
    }

    /// How the run ended, in a few words each: what it published, skipped and failed at.
    pub(super) fn ends(&self) -> Result<Vec<String>> {
        let root = &self.0["roots"][0];
        let mut ends = Vec::new();
        if let Some(error) = root["error"].as_str() {
            ends.push(format!("error: {error}"));
        } else if self.expect_idle().is_ok() {
            ends.push("nothing published".to_owned());
        } else {
            ends.push("published".to_owned());
        }
        for table in self.tables()? {
            let key = table["table_key"].as_str().context("a table without a key")?;
            for field in ["skipped", "error"] {
                if let Some(why) = table[field].as_str() {
                    ends.push(format!("{key} {field}: {why}"));
                }
            }
        }
        Ok(ends)
    }

    /// Several fragments of that table became one.
    pub(super) fn expect_merged(&self, table_key: &str) -> Result<()> {
        let row = self.tables()?.iter().find(|row| row["table_key"] == table_key);
        let row = row.with_context(|| format!("no {table_key} in {}", self.0))?;
        let fragments = |field: &str| row[field].as_u64().context("no number of fragments");
        let (before, after) = (fragments("fragments_before")?, fragments("fragments_after")?);
        ensure!(before > 1 && after == 1 && row["committed"] == true, "not merged: {row}");
        Ok(())
    }

    /// Whether the report says that the table was left alone or failed, or that the whole root did.
    pub(super) fn names_trouble_with(&self, table_key: &str) -> Result<bool> {
        if !self.0["roots"][0]["error"].is_null() {
            return Ok(true);
        }
        let mut rows = self.tables()?.iter();
        Ok(rows.any(|row| {
            row["table_key"] == table_key && !(row["skipped"].is_null() && row["error"].is_null())
        }))
    }

    fn tables(&self) -> Result<&Vec<Value>> {
        let roots = &self.0["roots"];
        roots[0]["tables"].as_array().with_context(|| format!("no tables in {}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(fragments: u64, committed: u64, skipped: Option<&str>) -> Report {
        let table = serde_json::json!({
            "table_key": "node:A", "branch": "main", "fragments_after": fragments,
            "skipped": skipped, "error": null,
        });
        Report(serde_json::json!({
            "roots": [{ "error": null, "published": committed, "tables": [table] }],
            "totals": { "tables_committed": committed },
        }))
    }

    #[test]
    fn a_report_tells_idle_from_busy_and_packed_from_fragmented() {
        assert!(report(1, 0, None).expect_idle().is_ok());
        assert!(report(1, 1, None).expect_idle().is_err());
        assert!(report(1, 0, None).expect_packed("main").is_ok());
        assert!(report(2, 0, None).expect_packed("main").is_err());
        assert!(report(1, 0, Some("drift")).expect_packed("main").is_err());
        assert!(report(1, 0, None).expect_packed("other").is_err());
        assert!(report(1, 0, Some("drift")).names_trouble_with("node:A").unwrap());
        assert!(!report(1, 0, None).names_trouble_with("node:A").unwrap());
    }

    #[test]
    fn an_order_names_the_crossing() {
        let failpoint = Failpoint { name: "a.b", action: Action::Pause, crossing: 3 };
        assert_eq!(failpoint.order(), "a.b=pause:3");
    }
}
