//! Branches that we create are the client's like its own, and those that we delete are gone for it
//! and nothing else is: also when we die on the way, and the client opens first.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::graph::{BRANCHES, Exports, Graph, mark};
use super::keeper::{Action, Failpoint};
use super::report::{Report, Scenario};
use super::{Lab, output};

const MAIN: &str = "main";
/// A branch of the fixture with forks of its own.
const WORK: &str = "work";
const OURS: &str = "ours";
const THEIRS: &str = "theirs";
/// Whatever is not needed goes, however young.
const STRICTEST: [&str; 11] = [
    "--keep",
    "1",
    "--writer-window",
    "0s",
    "--min-fork-age",
    "0s",
    "--min-age",
    "0s",
    "--max-delete-percent",
    "100",
    "--confirm",
];
/// Where a deletion may die.
const DELETION: [&str; 7] = [
    "cleanup.listed_pre_delete",
    "cleanup.reconcile_fork",
    FLIPPED,
    "cleanup.manifests_deleted_pre_files",
    "cleanup.deleted_pre_mark",
    "branch_delete.before_commit_graph_reclaim",
    "branch_delete.before_table_cleanup",
];
/// The branch is gone and its versions of `__manifest` are not: the client's Lance refuses to make one
/// of that name.
const FLIPPED: &str = "branch_delete.flipped_pre_look";
const CREATION: &str = "branch_create.after_commit_branch";
/// `__manifest`, the commit history and two forks: what comes after is more of the same.
const MOST_CROSSINGS: usize = 4;

pub(super) fn run(report: &mut Report, lab: &Lab) -> Result<()> {
    for client in &lab.clients.omnigraph {
        let graph = Graph::unpacked(lab, client, BRANCHES)?;
        let name = format!("branch {}", BRANCHES.name(client));
        // What failed is in the report.
        let _: Option<()> = check(&graph, &mut report.scenario(&client.title(), &name));
    }
    for client in &lab.clients.omnigraph {
        let graph = Graph::unpacked(lab, client, BRANCHES)?;
        let name = format!("branch dies {}", BRANCHES.name(client));
        let mut scenario = report.scenario(&client.title(), &name);
        if lab.keeper.expect_failpoints(&graph.path()).is_err() {
            scenario.note("deaths", "the binary has no failpoints");
            continue;
        }
        graph.unpack()?;
        let before = graph.read_fixture()?;
        dies(&graph, &mut scenario, &before, CREATION, &["create", OURS]);
        for failpoint in DELETION {
            dies(&graph, &mut scenario, &before, failpoint, &["delete", WORK, "--confirm"]);
        }
    }
    Ok(())
}

fn check(graph: &Graph<'_>, scenario: &mut Scenario<'_>) -> Option<()> {
    let mut expected = scenario.check("the client reads the fixture", || graph.read_fixture())?;
    created_by_us(graph, scenario, &mut expected)?;
    created_by_the_client(graph, scenario, &mut expected)?;
    nested(graph, scenario, &mut expected)?;
    scenario.check("a branch of a branch goes first", || {
        let (client, path) = (graph.client, graph.path());
        client.create_branch(&path, "child", WORK)?;
        expected.insert("child".to_owned(), expected[WORK].clone());
        let mut command = Command::new(&graph.lab.keeper.0);
        command.args(["branch", "delete", "--confirm", "--uri"]).arg(&path).arg(WORK);
        let refusal = output(&mut command).err().context("it was not refused")?;
        ensure!(format!("{refusal:#}").contains("child was cut from it"), "{refusal:#}");
        graph.expect_unchanged(&expected)?;
        for name in ["child", WORK] {
            branch(graph, &["delete", name, "--confirm"])?;
            expected.remove(name);
            graph.expect_unchanged(&expected).with_context(|| format!("without {name}"))?;
        }
        expect_branches(graph, &expected)
    })?;
    scenario.check("the client finds no drift", || graph.expect_no_drift())?;
    scenario.check("the client optimizes", || graph.client.optimize(&graph.path()))?;
    scenario.check("lancekeeper optimize", || {
        graph.lab.keeper.optimize_all(&graph.path())?;
        graph.expect_unchanged(&expected)
    })?;
    scenario.check("nothing is left to clean up", || cleans_up(graph, &expected))
}

fn created_by_us(
    graph: &Graph<'_>,
    scenario: &mut Scenario<'_>,
    expected: &mut Exports,
) -> Option<()> {
    let (client, path) = (graph.client, graph.path());
    scenario.check("the client reads branches we created as their sources", || {
        for (name, from) in [(OURS, MAIN), ("of/work", WORK)] {
            branch(graph, &["create", name, "--from", from])?;
            expected.insert(name.to_owned(), expected[from].clone());
        }
        expect_branches(graph, expected)?;
        graph.expect_unchanged(expected)
    })?;
    scenario.check("it loads into one, and nothing else changes", || {
        // Not into the other: what it does to a fork of a fork looks for indexes where they are not,
        // whoever made the branch.
        graph.load(OURS, &mark(OURS), expected)?;
        graph.expect_unchanged(expected)
    })?;
    scenario.check("it merges one into main", || {
        let outcome = client.merge_branch(&path, OURS, MAIN)?;
        ensure!(outcome == "fast_forward" || outcome == "merged", "the outcome is {outcome}");
        expected.insert(MAIN.to_owned(), expected[OURS].clone());
        graph.expect_unchanged(expected)
    })?;
    scenario.check("it deletes them, and we list them no more", || {
        for name in [OURS, "of/work"] {
            client.delete_branch(&path, name)?;
            expected.remove(name);
        }
        expect_branches(graph, expected)?;
        graph.expect_unchanged(expected)
    })
}

fn created_by_the_client(
    graph: &Graph<'_>,
    scenario: &mut Scenario<'_>,
    expected: &mut Exports,
) -> Option<()> {
    let (client, path) = (graph.client, graph.path());
    scenario.check("we delete a branch that the client created", || {
        client.create_branch(&path, THEIRS, MAIN)?;
        expected.insert(THEIRS.to_owned(), expected[MAIN].clone());
        graph.load(THEIRS, &mark(THEIRS), expected)?;
        expect_branches(graph, expected)?;
        let preview = branch(graph, &["delete", THEIRS])?;
        let lost = &preview["roots"][0]["lost"]["unmerged_commits"];
        ensure!(lost.as_array().is_some_and(|lost| lost.len() == 1), "{preview}");
        graph.expect_unchanged(expected).context("after the preview")?;
        branch(graph, &["delete", THEIRS, "--confirm"])?;
        expected.remove(THEIRS);
        expect_branches(graph, expected)?;
        graph.expect_unchanged(expected)?;
        graph.load(MAIN, &mark("aftertheirs"), expected)
    })?;
    scenario.check("the client creates it again, and sees main's rows and no old ones", || {
        client.create_branch(&path, THEIRS, MAIN)?;
        expected.insert(THEIRS.to_owned(), expected[MAIN].clone());
        graph.expect_unchanged(expected)?;
        graph.load(THEIRS, &mark("again"), expected)?;
        graph.expect_unchanged(expected)
    })
}

fn nested(graph: &Graph<'_>, scenario: &mut Scenario<'_>, expected: &mut Exports) -> Option<()> {
    scenario.check("nested names: either goes alone, and can be made again", || {
        for name in ["a", "a/b"] {
            branch(graph, &["create", name])?;
            expected.insert(name.to_owned(), expected[MAIN].clone());
            graph.load(name, &format!("nested{}", name.replace('/', "")), expected)?;
        }
        branch(graph, &["delete", "a", "--confirm"])?;
        expected.remove("a");
        graph.expect_unchanged(expected).context("without a")?;
        graph.client.create_branch(&graph.path(), "a", MAIN)?;
        expected.insert("a".to_owned(), expected[MAIN].clone());
        graph.load("a", &mark("onceagain"), expected)?;
        branch(graph, &["delete", "a/b", "--confirm"])?;
        expected.remove("a/b");
        graph.expect_unchanged(expected).context("without a/b")
    })
}

/// Dies at each crossing of a failpoint; the client opens first, for writing.
fn dies(
    graph: &Graph<'_>,
    scenario: &mut Scenario<'_>,
    before: &Exports,
    failpoint: &str,
    what: &[&str],
) {
    for crossing in 1..=MOST_CROSSINGS {
        let label = format!("killed at {failpoint}, crossing {crossing}");
        let died = scenario.check_if_any(&label, || {
            graph.unpack()?;
            let order = Failpoint { name: failpoint, action: Action::Abort, crossing };
            let (path, name) = (graph.path(), what[1]);
            let mut words = vec![what[0], "--uri", path.to_str().context("the path is text")?];
            words.extend(&what[2..]);
            let keeper = &graph.lab.keeper;
            // It puts last what is worked on, which with --uri is the branch.
            let outcome =
                keeper.start_verb("branch", name.as_ref(), &words, Some(&order))?.wait()?;
            if outcome.status.success() {
                return Ok(false);
            }
            ensure!(outcome.aborted(), "not killed: {}", outcome.describe());
            expect_whole(graph, before, name, failpoint)?;
            Ok(true)
        });
        if !died {
            if crossing == 1 {
                scenario.note(failpoint, "never crossed");
            }
            return;
        }
    }
}

fn expect_whole(graph: &Graph<'_>, before: &Exports, name: &str, failpoint: &str) -> Result<()> {
    let (client, path) = (graph.client, graph.path());
    let mut expected = before.clone();
    let is_there = client.branches(&path)?.iter().any(|branch| branch == name);
    if !is_there {
        expected.remove(name);
    }
    graph.load(MAIN, "loadedafterdeath", &mut expected).context("the client loads")?;
    graph.expect_unchanged(&expected).context("after the death")?;
    let mut is_made = is_there;
    if !is_there {
        let made = client.create_branch(&path, name, MAIN);
        is_made = made.is_ok();
        ensure!(is_made || failpoint == FLIPPED, "the client cannot make it again: {made:?}");
    }
    if is_made && !is_there {
        expected.insert(name.to_owned(), expected[MAIN].clone());
        graph.load(name, "loadedonit", &mut expected).context("the client loads on it")?;
    }
    graph.expect_unchanged(&expected).context("with the branch made again")?;
    cleans_up(graph, &expected).context("our next cleanup")?;
    if !is_made {
        client.create_branch(&path, name, MAIN).context("after our cleanup")?;
        expected.insert(name.to_owned(), expected[MAIN].clone());
        graph.expect_unchanged(&expected).context("made again after our cleanup")?;
    }
    graph.expect_no_drift()
}

/// A cleanup takes away what is left, and a second one nothing.
fn cleans_up(graph: &Graph<'_>, expected: &Exports) -> Result<()> {
    let clean = || -> Result<Value> {
        let mut command = Command::new(&graph.lab.keeper.0);
        command.args(["cleanup", "--quiet", "--json"]).args(STRICTEST).arg(graph.path());
        let text = output(&mut command)?;
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    };
    clean()?;
    let second = clean()?;
    ensure!(second["totals"]["files_removed"] == 0, "the second cleanup removed files: {second}");
    graph.expect_unchanged(expected)
}

/// Runs `branch` as the client's own line is spelled, and returns its document.
fn branch(graph: &Graph<'_>, words: &[&str]) -> Result<Value> {
    let mut command = Command::new(&graph.lab.keeper.0);
    command.args(["branch", words[0], "--uri"]).arg(graph.path());
    let text = output(command.args(&words[1..]).arg("--json"))?;
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
}

/// The client and we list the same branches, and these.
fn expect_branches(graph: &Graph<'_>, expected: &Exports) -> Result<()> {
    let expected: BTreeSet<&str> = expected.keys().map(String::as_str).collect();
    let theirs = graph.client.branches(&graph.path())?;
    let listed = branch(graph, &["list"])?;
    let rows = listed["roots"][0]["branches"].as_array().context("no branches")?;
    let ours: BTreeSet<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    let theirs: BTreeSet<&str> = theirs.iter().map(String::as_str).collect();
    ensure!(theirs == expected, "the client lists {theirs:?}, not {expected:?}");
    ensure!(ours == expected, "we list {ours:?}, not {expected:?}");
    ensure!(rows.iter().all(|row| row["error"].is_null()), "{listed}");
    Ok(())
}
