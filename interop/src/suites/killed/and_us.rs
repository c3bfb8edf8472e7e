//! What a real client left when it was killed, and our recovery of it is killed as well: the real client opens it first,
//! and both of us come to the end that either alone comes to.

use anyhow::{Context, Result, ensure};

use super::super::Lab;
use super::super::graph::{Exports, Graph};
use super::super::keeper::{Action, Failpoint};
use super::super::omnigraph::Omnigraph;
use super::super::report::Scenario;
use super::{CONFIRMED, expect_clean, start};

/// What the names of the failpoints begin with that a recovery crosses. It may also write a row of a v3 history, and lists and
/// deletes sidecars.
const PREFIXES: [&str; 3] = ["recover.", "recovery.", "graph_publish."];
/// More than a recovery of one operation crosses any of them.
const MOST_CROSSINGS: usize = 8;

/// How our run ends, and when the client comes.
#[derive(Clone, Copy)]
enum Way {
    /// The client opens what is left.
    Killed,
    /// The client opens while our run stands there; then that is killed.
    KilledAfterTheClient,
}

/// Kills our recovery at each crossing of each failpoint. `expected` is what both read after a recovery that ends.
pub(super) fn check(
    graph: &Graph<'_>,
    client: &Omnigraph,
    (expected, schema): (&Exports, &str),
    scenario: &mut Scenario<'_>,
) {
    let mut killed = 0;
    for name in own(graph.lab) {
        for crossing in 1..=MOST_CROSSINGS {
            // Both ways take their turns, each at every other crossing, and the first at the first.
            let way = if killed % 2 == 0 { Way::Killed } else { Way::KilledAfterTheClient };
            let how = match way {
                Way::Killed => "our recover is killed at",
                Way::KilledAfterTheClient => {
                    "our recover, the client comes meanwhile, is killed at"
                }
            };
            let label = format!("{how} {name}, crossing {crossing}");
            let attempt = || {
                graph.unpack()?;
                let failpoint = |action| Failpoint { name, action, crossing };
                if !die(graph, client, &failpoint, way)? {
                    return Ok(false);
                }
                is_ended(graph, client, (expected, schema))?;
                Ok(true)
            };
            if !scenario.check_if_any(&label, attempt) {
                break;
            }
            killed += 1;
        }
    }
    // What failed is in the report.
    let _: Option<()> = scenario.check("our recover was killed somewhere", || {
        // The least that any recovery crosses: listing, judging, writing down, and taking the sidecar away.
        ensure!(killed >= 4, "only {killed} times");
        Ok(())
    });
}

fn own(lab: &Lab) -> impl Iterator<Item = &String> {
    lab.failpoints.iter().filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// Whether our run died; `false` if it does not come to that crossing.
fn die<'a>(
    graph: &Graph<'_>,
    client: &Omnigraph,
    failpoint: &impl Fn(Action) -> Failpoint<'a>,
    way: Way,
) -> Result<bool> {
    let (path, keeper) = (graph.path(), &graph.lab.keeper);
    let start = |action| keeper.start_verb("recover", &path, &CONFIRMED, Some(&failpoint(action)));
    let outcome = match way {
        Way::Killed => start(Action::Abort)?.wait()?,
        Way::KilledAfterTheClient => {
            let mut run = start(Action::Pause)?;
            if run.pauses()? {
                // What it says may be a refusal: the lock of a schema apply keeps it out.
                client.load(&path, "main", &super::super::graph::new_rows(MEANWHILE).0).ok();
                run.kill()?;
            }
            run.wait()?
        }
    };
    if outcome.status.success() {
        return Ok(false);
    }
    ensure!(outcome.status.code().is_none(), "not killed: {}", outcome.describe());
    Ok(true)
}

/// Rows that the client loads while our run stands still carry this.
const MEANWHILE: &str = "loadedmeanwhile";

/// The client opens it, and reads what there is to be read; then we have a look, and both go on.
fn is_ended(
    graph: &Graph<'_>,
    client: &Omnigraph,
    (expected, schema): (&Exports, &str),
) -> Result<()> {
    let path = graph.path();
    // An export opens for writing.
    let mut found =
        graph.export(expected.keys().map(String::as_str)).context("the client reads")?;
    let sidecars = graph.sidecars()?;
    ensure!(sidecars.is_empty(), "the client left {sidecars:?}");
    expect_same_but_loads(expected, &found)?;
    ensure!(client.schema(&path)? == schema, "another schema than either alone comes to");
    let outcome = start(graph, &CONFIRMED)?;
    ensure!(outcome.status.success(), "our next recover: {}", outcome.describe());
    expect_clean(graph)?;
    ensure!(client.schema(&path)? == schema, "another schema after our next recover");
    // All that there was, and what is loaded now.
    graph.load("main", "loadedafterdeath", &mut found).context("the client loads")?;
    graph.expect_no_drift()
}

/// The rows are those expected, and all or none of those that were loaded meanwhile.
fn expect_same_but_loads(expected: &Exports, found: &Exports) -> Result<()> {
    let (_, whole) = super::super::graph::new_rows(MEANWHILE);
    for (branch, lines) in expected {
        let (loaded, others): (Vec<_>, Vec<_>) =
            found[branch].iter().cloned().partition(|line| line.contains(MEANWHILE));
        let is_whole = loaded.is_empty() || loaded.len() == whole && branch == "main";
        ensure!(is_whole, "{branch}: {} of {whole} loaded rows", loaded.len());
        super::super::graph::expect_same(lines, &others).with_context(|| branch.clone())?;
    }
    Ok(())
}
