//! A load is held up between its two tables, we hold a table armed, and another client process opens.
//!
//! Whoever opens for writing, and the clients' export does, acts on every sidecar. One of ours that lies over
//! what the load has just committed to its first table must not make that visible without the second.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Lab;
use super::graph::{Graph, MAIN_ONLY, new_rows};
use super::keeper::{Action, Failpoint, Run};
use super::omnigraph::Omnigraph;
use super::process::Process;
use super::report::{Report, Scenario};

/// A table's sidecar is written, and nothing committed to the table.
const ARMED: &str = "optimize.armed_pre_commit";

/// Each of the tables that a load writes is tried: which one it commits to first is the client's affair.
const TABLES: [&str; 2] = ["node:Person", "edge:Knows"];

/// When a load is stopped for the first time: some of these moments are after its opening and before its
/// first commit.
const FIRST_STOPS_MS: std::ops::Range<u64> = 20..120;
const STEP_MS: usize = 10;

const MARK: &str = "between";

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
    let data = tempfile::NamedTempFile::new()?;
    std::fs::write(data.path(), &rows)?;
    let mut load = Process::start(&mut client.load_command(&graph.path(), "main", data.path()))?;
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
    load.wait_until(|| Ok(versions(&graph.path())? != before))?;
    if load.ended()? {
        return Ok(false);
    }
    load.stop()?;
    expect_whole(&graph).context("while the load was stopped between its tables")?;
    load.go_on()?;
    // However it ends: it may have been refused.
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
