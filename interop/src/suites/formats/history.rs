//! The history of a graph, commit by commit: what lies in a v3 graph's own dataset, and what a client lists.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::super::graph::Graph;
use super::super::omnigraph::Omnigraph;
use super::super::output;

/// Prints the commits that a v3 graph keeps, by branch.
const HISTORY: &str = include_str!("../history.py");
/// What a client lists of a commit.
const FIELDS: [&str; 6] = [
    "graph_commit_id",
    "manifest_version",
    "parent_commit_id",
    "merged_parent_commit_id",
    "actor_id",
    "created_at",
];

/// By branch and id, each commit: its fields as the client's `commit list` has them.
pub(super) type History = BTreeMap<String, Commits>;
type Commits = BTreeMap<String, [Value; FIELDS.len()]>;

/// What a graph of before v4 keeps.
pub(super) fn history(graph: &Graph<'_>) -> Result<History> {
    let mut command = Command::new(&graph.lab.clients.python);
    let text = output(command.args(["-c", HISTORY]).arg(graph.path()))?;
    let rows: BTreeMap<String, Vec<Value>> =
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))?;
    let history: History = rows
        .iter()
        .map(|(branch, rows)| Ok((branch.clone(), commits(rows)?)))
        .collect::<Result<_>>()?;
    let branches: Vec<_> = graph.fixture.branches.iter().map(|(name, _)| *name).collect();
    ensure!(history.keys().eq(&branches), "histories of {:?}, not {branches:?}", history.keys());
    Ok(history)
}

/// The client lists exactly these commits of each branch, equal in every field.
pub(super) fn expect_same_history(
    graph: &Graph<'_>,
    client: &Omnigraph,
    history: &History,
) -> Result<()> {
    for (branch, expected) in history {
        let listed = commits(&client.commit_rows(&graph.path(), branch)?)?;
        expect_same(expected, &listed).with_context(|| branch.clone())?;
    }
    Ok(())
}

fn expect_same(expected: &Commits, listed: &Commits) -> Result<()> {
    for (id, commit) in expected {
        let found = listed.get(id).with_context(|| format!("{id} is not listed"))?;
        for (field, (was, is)) in FIELDS.iter().zip(commit.iter().zip(found)) {
            ensure!(is == was, "{field} of {id} is {is}, not {was}");
        }
    }
    let more: Vec<_> = listed.keys().filter(|id| !expected.contains_key(*id)).collect();
    ensure!(more.is_empty(), "{} more are listed: {more:?}", more.len());
    Ok(())
}

/// By id; one that is there twice is an error.
fn commits(rows: &[Value]) -> Result<Commits> {
    let mut commits = Commits::new();
    for row in rows {
        let id = row[FIELDS[0]].as_str().with_context(|| format!("no id in {row}"))?;
        let fields = FIELDS.map(|field| row[field].clone());
        ensure!(commits.insert(id.to_owned(), fields).is_none(), "{id} is listed twice");
    }
    Ok(commits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn commits_that_are_lost_gained_doubled_or_changed_are_found() {
        let row = |id: &str, parent: &str| json!({ "graph_commit_id": id, "parent_commit_id": parent, "else": 1 });
        let of = |rows: &[Value]| commits(rows).unwrap();
        let both = of(&[row("a", ""), row("b", "a")]);
        assert!(expect_same(&both, &of(&[row("b", "a"), row("a", "")])).is_ok());
        assert!(expect_same(&both, &of(&[row("a", "")])).is_err());
        assert!(expect_same(&both, &of(&[row("a", ""), row("b", "a"), row("c", "b")])).is_err());
        assert!(expect_same(&both, &of(&[row("a", ""), row("b", "")])).is_err());
        assert!(commits(&[row("a", ""), row("a", "")]).is_err());
    }
}
