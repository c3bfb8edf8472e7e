//! A branch that was written before the migration is merged after it: the client looks for the merge base in the
//! history that we copied, and must come to what the old client comes to on the graph as it was.

use anyhow::{Context, Result, ensure};

use super::super::graph::{Graph, expect_same, mark, new_rows};
use super::super::omnigraph::{Lines, Omnigraph};
use super::super::race::reason;
use super::super::report::Scenario;
use super::OLD_CLIENT;

/// The branch of the fixtures that was written, and the one that was not: to merge into the latter asks for another base. What
/// the former has is refused in one of the fixtures, by both clients: it has edges to persons that main has not.
const MERGES: [(&str, &str); 2] = [("work", "main"), ("main", "lazy")];

const NEVER_WRITTEN: &str = "lazy";

/// What became of each of the merges, one after the other.
pub(super) type Merged = Vec<Step>;

pub(super) struct Step {
    source: &'static str,
    target: &'static str,
    /// What the client called the outcome, or how it refused.
    outcome: Result<String, String>,
    /// The rows of the target afterwards.
    rows: Lines,
}

/// What the old client makes of the graph as it was unpacked; nothing where it is not installed. Leaves the graph as it
/// is then.
pub(super) fn by_the_old_client(
    graph: &Graph<'_>,
    scenario: &mut Scenario<'_>,
) -> Option<Option<Merged>> {
    let Some(old) = graph.lab.clients.installed(OLD_CLIENT) else {
        scenario.note("merges", &format!("not compared with {OLD_CLIENT}'s: it is not installed"));
        return Some(None);
    };
    let merged = scenario.check(&format!("what {OLD_CLIENT} merges"), || merge(graph, &old))?;
    for Step { source, target, outcome, rows } in &merged {
        let said = outcome.as_ref().unwrap_or_else(|refused| refused);
        scenario.note(&format!("{source} into {target}"), &format!("{said}, {} rows", rows.len()));
    }
    Some(Some(merged))
}

/// The client merges the same branches, to the same ends.
pub(super) fn check(
    graph: &Graph<'_>,
    client: &Omnigraph,
    expected: Option<&Merged>,
    scenario: &mut Scenario<'_>,
) -> Option<()> {
    if !is_branched(graph) {
        return Some(());
    }
    let label = format!("the client merges what was written before as {OLD_CLIENT} does");
    scenario.check(&label, || {
        let heads = heads(graph, client)?;
        let found = merge(graph, client)?;
        for (at, Step { source, target, outcome, rows }) in found.iter().enumerate() {
            let what = format!("{source} into {target}");
            if let Some(expected) = expected.map(|steps| &steps[at]) {
                ensure!(
                    outcome.as_ref().ok() == expected.outcome.as_ref().ok(),
                    "{what}: {outcome:?}, not {:?}",
                    expected.outcome
                );
                expect_same(&expected.rows, rows).with_context(|| what.clone())?;
            }
            if outcome.as_ref().is_ok_and(|outcome| outcome == "merged") && at == 0 {
                let commits = client.commit_rows(&graph.path(), target)?;
                let merged = commits.iter().any(|commit| {
                    commit["merged_parent_commit_id"].as_str() == heads.get(at).map(String::as_str)
                });
                ensure!(merged, "{what}: no commit names {heads:?} as what was merged");
            }
        }
        let merged = found.iter().filter(|step| step.outcome.as_deref() == Ok("merged"));
        ensure!(merged.count() > 0, "nothing was merged by a base");
        graph.expect_no_drift()
    })
}

fn is_branched(graph: &Graph<'_>) -> bool {
    graph.fixture.branches.len() > 1
}

/// The newest commit of each source.
fn heads(graph: &Graph<'_>, client: &Omnigraph) -> Result<Vec<String>> {
    let newest = |(source, _): (&str, &str)| {
        let commits = client.commits(&graph.path(), source)?;
        commits.last().cloned().with_context(|| format!("{source} has no commit"))
    };
    MERGES.into_iter().map(newest).collect()
}

fn merge(graph: &Graph<'_>, client: &Omnigraph) -> Result<Merged> {
    if !is_branched(graph) {
        return Ok(Merged::new());
    }
    let path = graph.path();
    let one = |(source, target): (&'static str, &'static str)| {
        if target == NEVER_WRITTEN {
            // Else it would only be taken to where main is, for which no base is asked.
            client.load(&path, target, &new_rows(&mark(target)).0)?;
        }
        let outcome = client.merge_branch(&path, source, target);
        let outcome = outcome.map_err(|error| reason(&format!("{error:#}")));
        Ok(Step { source, target, outcome, rows: client.export(&path, target)? })
    };
    MERGES.into_iter().map(one).collect()
}
