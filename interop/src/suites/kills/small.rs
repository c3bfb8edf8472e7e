//! What a graph with branches cannot have: a type that was dropped, and a schema apply that its client was killed in. Each
//! time in a small graph of its own, to which the client loads while our run stands at its failpoint.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::super::graph::{expect_same, file_names, new_rows};
use super::super::omnigraph::{Lines, Omnigraph};
use super::super::output;
use super::super::process::Process;
use super::super::race::MARK;
use super::super::random::Random;
use super::cases::{Case, Needs};
use super::graph::Siege;
use super::verbs::{Killer, expect_no_leftovers};

const LOCK: &str = "__manifest/_refs/branches/__schema_apply_lock__.json";
/// In the order in which they are written.
const STAGED: [&str; 3] =
    ["_schema.pg.staging", "_schema.ir.json.staging", "__schema_state.json.staging"];
/// A type that goes, and a property that comes.
const TYPE: &str = "node Gone {\n    name: String @key\n}\n";
const ROW: &str = "{\"type\":\"Gone\",\"data\":{\"name\":\"gone\"}}\n";
const PERSON: &str = "node Person {";
const PROPERTY: &str = "node Person {\n    nick: String?";
/// It is not sure that a schema apply can be killed in time.
const APPLIES_KILLED_MAX: usize = 12;

/// Whether the run came to its failpoint and was killed there.
pub(super) fn kill_at(
    siege: &Siege<'_>,
    killer: &mut Killer<'_>,
    case: Case,
    random: &mut Random,
) -> Result<bool> {
    let small = Small::make(siege, case.group.needs)?;
    let path = small.path();
    let before = small.rows.clone();
    let mut loaded = Loaded::No;
    let was_killed = killer.kill_at(&path, case, 1, random, || {
        loaded = small.load(&format!("{MARK}1x"))?;
        Ok(())
    })?;
    let next = siege.lab.keeper.start_verb(case.group.verb, &path, case.group.options, None)?;
    let outcome = next.wait()?;
    ensure!(outcome.status.success(), "the next run: {}", outcome.describe());
    let rows = siege.client.export(&path, "main")?;
    expect_loaded(&before, &rows, &format!("{MARK}1x"), loaded)?;
    siege.client.expect_no_drift(&path)?;
    let last = small.load(&format!("{MARK}2x"))?;
    ensure!(last == Loaded::Yes, "the client cannot load afterwards");
    let after = siege.client.export(&path, "main")?;
    expect_loaded(&rows, &after, &format!("{MARK}2x"), last)?;
    expect_no_leftovers(&path)?;
    Ok(was_killed)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Loaded {
    Yes,
    /// It was refused.
    No,
}

/// The rows of before, and a load that was done.
fn expect_loaded(before: &Lines, found: &Lines, mark: &str, loaded: Loaded) -> Result<()> {
    let (ours, others): (Lines, Lines) = found.iter().cloned().partition(|row| row.contains(mark));
    expect_same(before, &others)?;
    let (_, whole) = new_rows(mark);
    let is_whole = ours.len() == whole || ours.is_empty() && loaded == Loaded::No;
    ensure!(is_whole, "{} of {whole} rows of a load", ours.len());
    Ok(())
}

struct Small<'a> {
    client: &'a Omnigraph,
    temp: TempDir,
    /// What the client reads once all is well.
    rows: Lines,
}

impl<'a> Small<'a> {
    fn make(siege: &Siege<'a>, needs: Needs) -> Result<Self> {
        let mut small =
            Self { client: siege.client, temp: tempfile::tempdir()?, rows: Lines::new() };
        let schema = std::fs::read_to_string(siege.schema())?;
        let with_type = format!("{schema}\n{TYPE}");
        let file = small.beside("schema.pg");
        std::fs::write(&file, &with_type)?;
        small.client.init(&small.path(), &file)?;
        for number in 0..3 {
            small.client.load(&small.path(), "main", &new_rows(&format!("before{number}")).0)?;
        }
        let rows = small.client.export(&small.path(), "main")?;
        match needs {
            Needs::DroppedType => {
                small.client.load(&small.path(), "main", ROW)?;
                small.client.apply_schema(&small.path(), &schema)?;
                let keys = small.client.pins(&small.path(), "main")?;
                ensure!(!keys.contains_key("node:Gone"), "it is still there: {keys:?}");
                small.rows = rows;
            }
            _ => {
                let changed = with_type.replacen(PERSON, PROPERTY, 1);
                ensure!(changed != with_type, "no {PERSON} in {with_type}");
                small.kill_an_apply(&changed, needs)?;
                small.rows = match needs {
                    // What the client itself makes of it, on a copy at the same place.
                    Needs::StagedSchema => small.read_aside()?,
                    // Nothing of it counts.
                    _ => rows,
                };
            }
        }
        Ok(small)
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn path(&self) -> PathBuf {
        self.beside("graph")
    }

    /// Kills a schema apply where it has left what is asked for.
    fn kill_an_apply(&self, schema: &str, needs: Needs) -> Result<()> {
        let file = self.beside("changed.pg");
        std::fs::write(&file, schema)?;
        let saved = self.beside("saved");
        copy(&self.path(), &saved)?;
        for _ in 0..APPLIES_KILLED_MAX {
            let path = self.path();
            let awaited = match needs {
                Needs::SchemaLock => path.join(LOCK),
                _ => path.join(STAGED[2]),
            };
            let publishes = file_names(&path.join("__manifest/_versions"))?.len();
            let mut process = Process::start(&mut self.client.apply_command(&path, &file))?;
            process.wait_until(|| Ok(awaited.exists()))?;
            process.kill()?;
            process.wait()?;
            // Neither published nor taken over: it may have come further before it died.
            let is_unpublished = file_names(&path.join("__manifest/_versions"))?.len() == publishes;
            let is_staged = STAGED.iter().all(|name| path.join(name).exists());
            let is_as_asked = match needs {
                Needs::SchemaLock => awaited.exists(),
                _ => is_staged && is_unpublished,
            };
            if is_as_asked {
                if needs == Needs::HalfStagedSchema {
                    // It died a moment earlier: the others were not written.
                    std::fs::remove_file(path.join(STAGED[2]))?;
                    std::fs::remove_file(path.join(STAGED[1]))?;
                }
                return Ok(());
            }
            copy(&saved, &path)?;
        }
        anyhow::bail!("no schema apply could be killed in time, {APPLIES_KILLED_MAX} times")
    }

    /// What the client reads, whose opening resolves what is left; and then it is left again.
    fn read_aside(&self) -> Result<Lines> {
        let (path, saved) = (self.path(), self.beside("left"));
        copy(&path, &saved)?;
        let rows = self.client.export(&path, "main").context("the client by itself");
        copy(&saved, &path)?;
        rows
    }

    fn load(&self, mark: &str) -> Result<Loaded> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), new_rows(mark).0)?;
        let mut process =
            Process::start(&mut self.client.load_command(&self.path(), "main", file.path()))?;
        let end = process.wait()?;
        Ok(if end.status.success() { Loaded::Yes } else { Loaded::No })
    }
}

/// With the times of all files.
fn copy(from: &Path, to: &Path) -> Result<()> {
    xtask::archive::remove(to)?;
    output(Command::new("cp").arg("-a").arg(from).arg(to)).map(drop)
}
