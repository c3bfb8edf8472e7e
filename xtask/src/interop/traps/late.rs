//! A client's command is stopped at random moments, we optimize and clean up to the end, and it goes on.
//!
//! It has opened the graph, staged, or committed half of what it does, and we collect what is older than the
//! writer window. Whatever it then does must be done as a whole or not at all; rows that another client has
//! deleted meanwhile do not come back, and no key is there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::super::graph::{BRANCHES, Exports, Fixture, Graph, MAIN_ONLY, expect_same, new_rows};
use super::super::omnigraph::{Lines, Omnigraph};
use super::super::process::Process;
use super::super::race::reason;
use super::super::random::Random;
use super::super::report::{Report, Scenario};
use super::super::{Lab, output};

/// Random moments at which each command is stopped.
const STOPS: usize = 2;
const MARK: &str = "late";
/// A branch that is merged.
const FEATURE: &str = "feature";
const PROPERTY: &str = "nickname";

/// Versions of the fixtures are a day old: the default window lets them go, and so does one that is just
/// longer than a stop.
const RULES: [&[&str]; 2] = [
    &["--keep", "1", "--confirm"],
    &[
        "--keep",
        "1",
        "--confirm",
        "--writer-window",
        "1m",
        "--min-fork-age",
        "1m",
        "--min-age",
        "1m",
    ],
];

/// Done; some tables failed; a writer's sidecar is in the way; refused by a safety rule.
const HONEST_EXIT_CODES: [i32; 4] = [0, 3, 12, 13];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Late {
    Load(&'static str),
    Update,
    Delete,
    Branch,
    Merge,
    Schema,
}

impl Late {
    const ALL: [Self; 8] = [
        Self::Load("main"),
        Self::Load("work"),
        Self::Load("lazy"),
        Self::Update,
        Self::Delete,
        Self::Branch,
        Self::Merge,
        Self::Schema,
    ];

    fn name(self) -> String {
        match self {
            Self::Load(branch) => format!("a load on {branch}"),
            Self::Update => "an update".to_owned(),
            Self::Delete => "a deletion".to_owned(),
            Self::Branch => "the creation of a branch".to_owned(),
            Self::Merge => "a merge".to_owned(),
            Self::Schema => "a change of the schema".to_owned(),
        }
    }

    /// The client refuses a change of the schema where there are other branches.
    fn fixture(self) -> Fixture {
        match self {
            Self::Load("main") | Self::Update | Self::Delete | Self::Schema => MAIN_ONLY,
            Self::Load(_) | Self::Branch | Self::Merge => BRANCHES,
        }
    }

    /// Whether it arms a sidecar.
    fn arms(self) -> bool {
        matches!(self, Self::Load(_) | Self::Update)
    }

    fn prepare(self, graph: &Graph<'_>) -> Result<()> {
        if self == Self::Merge {
            graph.client.create_branch(&graph.path(), FEATURE, "main")?;
            graph.client.load(&graph.path(), FEATURE, &new_rows(MARK).0)?;
        }
        Ok(())
    }

    /// Where its rows go.
    fn branch(self) -> &'static str {
        match self {
            Self::Load(branch) => branch,
            Self::Branch => MARK,
            Self::Update | Self::Delete | Self::Merge | Self::Schema => "main",
        }
    }

    fn command(self, graph: &Graph<'_>, persons: &Persons, file: &Path) -> Result<Command> {
        let (client, path) = (graph.client, graph.path());
        let mutate = |query: &str, name: &str| {
            let mut command = client.command("mutate");
            command.arg("--store").arg(&path).args(["-e", query, "--params"]);
            command.arg(json!({ "n": name }).to_string());
            command
        };
        let branch = |arguments: &[&str], name: &str| {
            let mut command = client.command("branch");
            command.args(arguments).arg("--uri").arg(&path).arg(name);
            command
        };
        Ok(match self {
            Self::Load(on) => {
                std::fs::write(file, new_rows(MARK).0)?;
                client.load_command(&path, on, file)
            }
            Self::Update => mutate(
                "query q($n: String) { update Person set { age: 99 } where name = $n }",
                &persons.updated,
            ),
            Self::Delete => mutate(DELETE, &persons.deleted),
            Self::Branch => branch(&["create", "--from", "main"], MARK),
            Self::Merge => branch(&["merge", "--into", "main"], FEATURE),
            Self::Schema => {
                let person = "node Person {\n";
                let schema = client.schema(&path)?;
                ensure!(schema.contains(person), "the schema has no Person: {schema}");
                let with = format!("{person}    {PROPERTY}: String?\n");
                std::fs::write(file, schema.replacen(person, &with, 1))?;
                client.apply_command(&path, file)
            }
        })
    }
}

const DELETE: &str = "query q($n: String) { delete Person where name = $n }";

/// Whom the commands are about, all of them in main from the beginning.
struct Persons {
    updated: String,
    deleted: String,
    /// Whom another client deletes while the command is stopped.
    deleted_meanwhile: String,
}

pub(super) fn run(
    report: &mut Report,
    lab: &Lab,
    client: &Omnigraph,
    random: &mut Random,
) -> Result<()> {
    let mut before = BTreeMap::new();
    for fixture in [BRANCHES, MAIN_ONLY] {
        let graph = Graph::unpacked(lab, client, fixture)?;
        before.insert(fixture.name(client), graph.read_fixture()?);
    }
    let mut scenario = report.scenario(&client.title(), "traps late");
    for late in Late::ALL {
        let before = before[&late.fixture().name(client)].clone();
        let mut trap = Trap { lab, client, late, before, whole: None, ends: BTreeMap::new() };
        let Some(span) = trap.learn(&mut scenario) else { continue };
        for number in 0..STOPS {
            let after = span.mul_f64(random.duration_below(Duration::from_secs(1)).as_secs_f64());
            let label = format!("{}, stopped after {} ms", late.name(), after.as_millis());
            // A merge reads so much that another writer beside it is a trap of the client's own.
            let beside = number % 2 == 1 && !matches!(late, Late::Schema | Late::Merge);
            let stop = Stop { after: Some(after), rules: RULES[number % 2], beside };
            let _: Option<()> = scenario.check(&label, || trap.stopped(&stop));
        }
        if late.arms() {
            let label = format!("{}, stopped when it is armed", late.name());
            let stop = Stop { after: None, rules: RULES[0], beside: false };
            let _: Option<()> = scenario.check(&label, || trap.stopped(&stop));
        }
        for (end, count) in &trap.ends {
            scenario.note(&late.name(), &format!("{count} × {end}"));
        }
    }
    Ok(())
}

struct Stop {
    /// When its sidecar is there, if not after a time.
    after: Option<Duration>,
    rules: &'static [&'static str],
    /// Another client deletes a person meanwhile.
    beside: bool,
}

struct Trap<'a> {
    lab: &'a Lab,
    client: &'a Omnigraph,
    late: Late,
    before: Exports,
    /// The branch it writes to when the command was done as a whole, nobody else there. Ids that the
    /// client draws are not in it.
    whole: Option<Lines>,
    /// How the commands ended, and how often.
    ends: BTreeMap<String, usize>,
}

impl<'a> Trap<'a> {
    /// What the command does when nobody else is there, and how long it takes.
    fn learn(&mut self, scenario: &mut Scenario<'_>) -> Option<Duration> {
        let (span, whole) = scenario.check(&format!("{}, alone", self.late.name()), || {
            let graph = self.graph()?;
            let file = tempfile::NamedTempFile::new()?;
            let mut command = self.late.command(&graph, &self.persons()?, file.path())?;
            let started = Instant::now();
            output(&mut command)?;
            let span = started.elapsed();
            Ok((span, known(&self.client.export(&graph.path(), self.late.branch())?)?))
        })?;
        self.whole = Some(whole);
        Some(span)
    }

    fn graph(&self) -> Result<Graph<'a>> {
        let graph = Graph::unpacked(self.lab, self.client, self.late.fixture())?;
        self.late.prepare(&graph)?;
        Ok(graph)
    }

    fn persons(&self) -> Result<Persons> {
        let names = names(&self.before["main"])?;
        let mut others = names.into_iter().filter(|name| !name.starts_with(MARK));
        let mut next = || others.next().context("too few persons");
        Ok(Persons { updated: next()?, deleted: next()?, deleted_meanwhile: next()? })
    }

    fn stopped(&mut self, stop: &Stop) -> Result<()> {
        let graph = self.graph()?;
        let persons = self.persons()?;
        let file = tempfile::NamedTempFile::new()?;
        let mut process = Process::start(&mut self.late.command(&graph, &persons, file.path())?)?;
        match stop.after {
            Some(after) => std::thread::sleep(after),
            None => {
                let armed = process.wait_until(|| Ok(!graph.sidecars()?.is_empty()))?;
                ensure!(armed, "it armed nothing");
            }
        }
        // One that has ended cannot be stopped, but what it did must stand our runs.
        let is_over = process.ended()?;
        if is_over {
            self.count("over before its stop");
        } else {
            process.stop()?;
        }
        let has_sidecar = !graph.sidecars()?.is_empty();
        // A client that opens takes a sidecar for a dead one's, and rolls it back.
        let deleted = stop.beside && !has_sidecar && self.late != Late::Schema && {
            let parameters = json!({ "n": persons.deleted_meanwhile });
            self.client.mutate(&graph.path(), DELETE, &parameters).is_ok()
        };
        self.keep(&graph, stop.rules)?;
        if !is_over {
            process.go_on()?;
        }
        let end = process.wait()?;
        let state = if has_sidecar { "armed" } else { "not armed" };
        let done = end.status.success();
        let word = if done { "done".to_owned() } else { reason(&end.said) };
        let beside = if deleted { ", another deletes" } else { "" };
        self.count(&format!("stopped {state}{beside}: {word}"));
        self.expect_whole_or_nothing(&graph, done, deleted, &persons).context(word)?;
        self.expect_usable(&graph)
    }

    /// Optimizes the branch and cleans up, as far as we are let.
    fn keep(&mut self, graph: &Graph<'_>, rules: &[&str]) -> Result<()> {
        let on = if self.late == Late::Branch { "main" } else { self.late.branch() };
        self.ours(graph, "optimize", &["--branch", on])?;
        self.ours(graph, "cleanup", rules)
    }

    fn ours(&mut self, graph: &Graph<'_>, verb: &str, what: &[&str]) -> Result<()> {
        let outcome = self.lab.keeper.start_verb(verb, &graph.path(), what, None)?.wait()?;
        let code = outcome.status.code().context("killed")?;
        ensure!(HONEST_EXIT_CODES.contains(&code), "{verb}: {}", outcome.describe());
        self.count(&format!("our {verb}: {code}"));
        Ok(())
    }

    fn count(&mut self, end: &str) {
        *self.ends.entry(end.to_owned()).or_default() += 1;
    }

    fn expect_whole_or_nothing(
        &self,
        graph: &Graph<'_>,
        done: bool,
        deleted: bool,
        persons: &Persons,
    ) -> Result<()> {
        let whole = self.whole.as_ref().context("what it does alone is not known")?;
        let branch = self.late.branch();
        let branches = self.client.branches(&graph.path())?;
        // The client opens for writing first, and mends what it finds.
        for name in branches.iter().filter(|name| *name != branch && *name != FEATURE) {
            let mut expected = known(&self.before[name])?;
            let found = known(&self.client.export(&graph.path(), name)?)?;
            if deleted && name == "main" {
                expected.retain(|line| !is_about(line, &persons.deleted_meanwhile));
            }
            expect_same(&expected, &found).with_context(|| name.clone())?;
        }
        if !branches.iter().any(|name| name == branch) {
            ensure!(self.late == Late::Branch && !done, "{branch} is not there");
            return Ok(());
        }
        let mut found = known(&self.client.export(&graph.path(), branch)?)?;
        let from = if self.late == Late::Branch { "main" } else { branch };
        let mut nothing = known(&self.before[from])?;
        let mut whole = whole.clone();
        if deleted {
            let about = |line: &String| is_about(line, &persons.deleted_meanwhile);
            // A branch may have been cut before the deletion.
            let may_stay = self.late == Late::Branch || branch != "main";
            if !may_stay {
                ensure!(!found.iter().any(about), "a deleted person has come back");
            }
            for lines in [&mut nothing, &mut whole, &mut found] {
                lines.retain(|line| !about(line));
            }
        }
        judge(&nothing, &whole, &found, done)
    }

    /// The client writes on, mends whatever drift is left, and we finish.
    fn expect_usable(&mut self, graph: &Graph<'_>) -> Result<()> {
        let path = graph.path();
        let drift = self.client.drift(&path)?;
        if !drift.is_empty() {
            for (_, class) in &drift {
                self.count(&format!("drift left: {class}"));
            }
            self.client.repair(&path).context("repair")?;
            graph.expect_no_drift()?;
        }
        let mut expected = Exports::new();
        for branch in self.client.branches(&path)? {
            expected.insert(branch.clone(), self.client.export(&path, &branch)?);
        }
        if self.late == Late::Schema {
            // Its rows have a property more than those of a load, or have not.
            self.client.load(&path, "main", &new_rows("afterwards").0)?;
        } else {
            graph.load("main", "afterwards", &mut expected)?;
        }
        expected.insert("main".to_owned(), self.client.export(&path, "main")?);
        self.ours(graph, "cleanup", RULES[0])?;
        graph.expect_unchanged(&expected)?;
        graph.expect_no_drift()
    }
}

/// What is there is `whole`, or `nothing` if the command was not called done, and no key is there twice.
fn judge(nothing: &Lines, whole: &Lines, found: &Lines, done: bool) -> Result<()> {
    let people = names(found)?;
    let distinct: BTreeSet<_> = people.iter().collect();
    ensure!(distinct.len() == people.len(), "a key is there twice");
    if done || found != nothing {
        expect_same(whole, found).context("it is not there as a whole")?;
    }
    Ok(())
}

/// An export without the ids of edges, which the client draws.
fn known(lines: &Lines) -> Result<Lines> {
    let mut known = lines
        .iter()
        .map(|line| {
            let mut row: Value = serde_json::from_str(line)?;
            if row["edge"].is_string()
                && let Some(data) = row["data"].as_object_mut()
            {
                data.remove("id");
            }
            Ok(row.to_string())
        })
        .collect::<Result<Lines>>()?;
    known.sort();
    Ok(known)
}

/// The names of all persons, as often as they are there.
fn names(lines: &Lines) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for line in lines {
        let row: Value = serde_json::from_str(line)?;
        if let (true, Some(name)) = (row["type"] == "Person", row["data"]["name"].as_str()) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// A person, or an edge of theirs.
fn is_about(line: &str, name: &str) -> bool {
    let row: Value = serde_json::from_str(line).unwrap_or_default();
    let is_person = row["type"] == "Person" && row["data"]["name"] == name;
    is_person || row["edge"].is_string() && (row["from"] == name || row["to"] == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_doubles_and_what_was_done_and_is_gone_are_found() {
        let lines = |names: &[&str]| -> Lines {
            let line = |name| format!(r#"{{"type":"Person","data":{{"name":"{name}"}}}}"#);
            names.iter().map(line).collect()
        };
        let (nothing, whole) = (lines(&["a"]), lines(&["a", "b", "c"]));
        assert!(judge(&nothing, &whole, &whole, true).is_ok());
        assert!(judge(&nothing, &whole, &whole, false).is_ok());
        assert!(judge(&nothing, &whole, &nothing, false).is_ok());
        assert!(judge(&nothing, &whole, &nothing, true).is_err());
        assert!(judge(&nothing, &whole, &lines(&["a", "b"]), false).is_err());
        assert!(judge(&nothing, &whole, &lines(&["a", "b", "c", "c"]), false).is_err());
        assert!(judge(&nothing, &whole, &lines(&["b", "c"]), false).is_err());
    }

    #[test]
    fn ids_of_edges_do_not_count_and_persons_do() {
        let lines = [
            r#"{"edge":"Knows","from":"a","to":"b","data":{"id":"01X","since":null}}"#,
            r#"{"type":"Person","data":{"name":"a","id":"a"}}"#,
        ];
        let lines: Lines = lines.map(str::to_owned).to_vec();
        let known = known(&lines).unwrap();
        assert!(!known.iter().any(|line| line.contains("01X")), "{known:?}");
        assert_eq!(names(&known).unwrap(), ["a"]);
        assert!(known.iter().all(|line| is_about(line, "a")));
        assert_eq!(known.iter().filter(|line| is_about(line, "b")).count(), 1);
    }
}
