//! A load is held up between its two tables, we hold a table armed, and another client process opens.
//!
//! Whoever opens for writing, and the clients' export does, acts on every sidecar. One of ours that lies over
//! what the load has just committed to its first table must not make that visible without the second.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::graph::{Graph, MAIN_ONLY, new_rows};
use super::keeper::{Action, Failpoint, Run};
use super::omnigraph::Omnigraph;
use super::report::{Report, Scenario};
use super::{Lab, output};

/// A table's sidecar is written, and nothing committed to the table.
const ARMED: &str = "optimize.armed_pre_commit";

/// Each of the tables that a load writes is tried: which one it commits to first is the client's affair.
const TABLES: [&str; 2] = ["node:Person", "edge:Knows"];

/// When a load is stopped for the first time: some of these moments are after its opening and before its
/// first commit.
const FIRST_STOPS_MS: std::ops::Range<u64> = 20..120;
const STEP_MS: usize = 10;

const MARK: &str = "between";
const LONGEST_LOAD: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_micros(200);

pub(super) fn run(report: &mut Report, lab: &Lab) -> Result<()> {
    for client in &lab.clients.omnigraph {
        for table in TABLES {
            let mut scenario = report.scenario(&client.title(), &format!("between {table}"));
            check(lab, client, table, &mut scenario);
        }
    }
    Ok(())
}

fn check(lab: &Lab, client: &Omnigraph, table: &str, scenario: &mut Scenario<'_>) {
    let mut interleaved = 0;
    for delay in FIRST_STOPS_MS.step_by(STEP_MS) {
        let label = format!("a load stopped after {delay} ms is seen as a whole or not at all");
        let attempt = || attempt(lab, client, table, Duration::from_millis(delay));
        interleaved += usize::from(scenario.check_if_any(&label, attempt));
    }
    // The other stops were too early or too late.
    scenario.check("some loads were stopped between their tables", || {
        ensure!(interleaved > 0, "none was");
        Ok(())
    });
}

/// `false` if the load was not held up where we wanted it.
fn attempt(lab: &Lab, client: &Omnigraph, table: &str, delay: Duration) -> Result<bool> {
    let graph = Graph::unpacked(lab, client, MAIN_ONLY)?;
    let (rows, _) = new_rows(MARK);
    let mut load = Load::start(client, &graph.path(), &rows)?;
    std::thread::sleep(delay);
    if load.ended()? {
        return Ok(false);
    }
    load.stop()?;
    if !graph.sidecars()?.is_empty() {
        return Ok(false);
    }
    let ours = arm(lab, &graph, table)?;
    let before = versions(&graph.path())?;
    load.go_on()?;
    let end = Instant::now() + LONGEST_LOAD;
    while versions(&graph.path())? == before && !load.ended()? {
        ensure!(Instant::now() < end, "the load neither commits nor ends");
        std::thread::sleep(POLL);
    }
    if load.ended()? {
        return Ok(false);
    }
    load.stop()?;
    expect_whole(&graph).context("while the load was stopped between its tables")?;
    load.go_on()?;
    load.wait()?;
    ours.resume()?;
    ours.wait()?;
    expect_whole(&graph).context("when all have ended")?;
    Ok(true)
}

/// A run of ours that holds this table armed.
fn arm(lab: &Lab, graph: &Graph<'_>, table: &str) -> Result<Run> {
    let failpoint = Failpoint { name: ARMED, action: Action::Pause, crossing: 1 };
    let mut run = lab.keeper.start_on(&graph.path(), &["--table", table], Some(&failpoint))?;
    ensure!(run.pauses()?, "our run armed nothing");
    Ok(run)
}

/// The client, in a process of its own, sees all rows of the load or none.
fn expect_whole(graph: &Graph<'_>) -> Result<()> {
    let (_, whole) = new_rows(MARK);
    let rows = graph.client.export(&graph.path(), "main")?;
    let found = rows.iter().filter(|row| row.contains(MARK)).count();
    ensure!(found == 0 || found == whole, "{found} of the {whole} rows of a load are visible");
    Ok(())
}

/// How many versions the tables have.
fn versions(graph: &Path) -> Result<usize> {
    let mut count = 0;
    for kind in ["nodes", "edges"] {
        for table in std::fs::read_dir(graph.join(kind))? {
            count += std::fs::read_dir(table?.path().join("_versions"))?.count();
        }
    }
    Ok(count)
}

/// A load in a process that can be stopped. It is killed if it is dropped before its end.
struct Load {
    child: Child,
    _files: TempDir,
}

impl Load {
    fn start(client: &Omnigraph, graph: &Path, rows: &str) -> Result<Self> {
        let files = tempfile::tempdir()?;
        let data = files.path().join("rows.jsonl");
        std::fs::write(&data, rows)?;
        let mut command = client.load_command(graph, "main", &data);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("failed to start the load")?;
        Ok(Self { child, _files: files })
    }

    fn stop(&self) -> Result<()> {
        self.signal("-STOP")
    }

    fn go_on(&self) -> Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        // Of a child that we have not waited for there is at least its entry, so that no other process
        // can have its number.
        output(Command::new("kill").args([signal, &self.child.id().to_string()])).map(drop)
    }

    fn ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// However it ends: it may have been refused.
    fn wait(&mut self) -> Result<()> {
        let end = Instant::now() + LONGEST_LOAD;
        while !self.ended()? {
            ensure!(Instant::now() < end, "the load does not end");
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Of a child that has ended both do nothing.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
