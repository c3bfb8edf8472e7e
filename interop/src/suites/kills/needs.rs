//! What a run that is to be killed at a failpoint is given to do, in the graph that the client loads; and the run after it,
//! which finishes. All of it while no client is at work.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::super::graph::file_names;
use super::super::keeper::{Action, Failpoint, Outcome};
use super::super::output;
use super::super::process::Process;
use super::cases::{BRANCH, CREATE, Case, DELETE, GARBAGE, Needs};
use super::graph::Siege;
use super::verbs::Killer;

const SCRIPT: &str = include_str!("needs.py");
/// A run dies here with all tables committed and none published.
const BEFORE_PUBLISH: &str = "optimize.post_phase_b_pre_manifest_commit";
/// Both are written by every load.
const LOADED: [&str; 2] = ["node:Person", "edge:Knows"];
/// No load writes it.
const NOT_LOADED: &str = "node:Company";
/// It is not sure that a load can be killed between two commits.
const LOADS_KILLED_MAX: usize = 12;
/// Of a verb that names a branch which is not there, or there already.
const NO_SUCH_BRANCH: [i32; 2] = [2, 13];

impl Siege<'_> {
    /// Makes what a run needs. By whoever has the turn.
    pub(super) fn make(&self, needs: Needs) -> Result<()> {
        // What dead clients left is the next one's to resolve; after these there is none of it.
        for branch in super::graph::BRANCHES {
            self.load_on(branch)?;
        }
        match needs {
            Needs::Loads => self.load_on("main"),
            Needs::DeadRun => {
                let failpoint =
                    Failpoint { name: BEFORE_PUBLISH, action: Action::Abort, crossing: 1 };
                let run = self.lab.keeper.start(&self.path(), Some(&failpoint))?.wait()?;
                ensure!(run.aborted(), "no run died before its publish: {}", run.describe());
                Ok(())
            }
            Needs::AutoCleanup => {
                self.script("configure", LOADED[0])?;
                self.client.repair(&self.path())
            }
            Needs::Litter => {
                self.lab.keeper.optimize_all(&self.path())?;
                Ok(())
            }
            Needs::Fork => self.script("fork", NOT_LOADED),
            Needs::NoBranch => self.delete_branch(),
            Needs::Branch => {
                self.delete_branch()?;
                self.run_well("branch", CREATE)?;
                let (_, rows) = self.new_load();
                self.client.load(&self.path(), BRANCH, &rows)
            }
            Needs::Drift => self.script("append", NOT_LOADED),
            Needs::KilledLoad => self.kill_a_load(),
            Needs::Garbage => {
                let room = self.path().join("__recovery");
                fs::create_dir_all(&room)?;
                fs::write(room.join(GARBAGE), "{\"schema_version\":")?;
                Ok(())
            }
            Needs::MissingRow => {
                self.load_on("main")?;
                uncommit(&self.path().join("_graph_commits.lance"))
            }
            Needs::Copy
            | Needs::V3
            | Needs::DroppedType
            | Needs::StagedSchema
            | Needs::HalfStagedSchema
            | Needs::SchemaLock
            | Needs::OldNames => bail!("{needs:?} is not made in place"),
        }
    }

    /// Another run of the same verb comes to its end. By whoever has the turn.
    pub(super) fn finish(&self, killer: &mut Killer<'_>, case: Case) -> Result<()> {
        let (verb, options) = (case.group.verb, case.group.options);
        let run = || self.run(verb, options);
        let mut outcome = run()?;
        if !is_done(case, &outcome) {
            // A load that was killed meanwhile is the client's to resolve.
            killer.note((verb, options), &outcome, "killed")?;
            self.load_on("main")?;
            outcome = run()?;
        }
        ensure!(
            is_done(case, &outcome),
            "the next run: {verb} {options:?}: {}",
            outcome.describe()
        );
        match case.group.needs {
            // Whatever was left of the branch, its name can be used.
            Needs::NoBranch | Needs::Branch => {
                self.delete_branch()?;
                self.run_well("branch", CREATE)?;
                self.delete_branch()
            }
            // Nobody can say any more to which version those of before were restored.
            Needs::Drift => self.client.expect_no_drift(&self.path()),
            _ => Ok(()),
        }
    }

    fn run(&self, verb: &str, options: &[&str]) -> Result<Outcome> {
        self.lab.keeper.start_verb(verb, &self.path(), options, None)?.wait()
    }

    fn run_well(&self, verb: &str, options: &[&str]) -> Result<()> {
        let outcome = self.run(verb, options)?;
        ensure!(outcome.status.success(), "{verb} {options:?}: {}", outcome.describe());
        Ok(())
    }

    /// Deletes the branch that is made and deleted, if it is there.
    fn delete_branch(&self) -> Result<()> {
        if self.client.branches(&self.path())?.iter().any(|name| name == BRANCH) {
            self.run_well("branch", DELETE)?;
        }
        Ok(())
    }

    fn script(&self, verb: &str, key: &str) -> Result<()> {
        let tables = self.client.tables(&self.path(), "main")?;
        let table = tables.iter().find(|table| table.key == key);
        let table = self.path().join(&table.with_context(|| format!("no {key}"))?.path);
        let mut command = Command::new(&self.lab.clients.python);
        output(command.args(["-c", SCRIPT, verb]).arg(table)).map(drop)
    }

    /// Kills a load with one of its two tables committed.
    fn kill_a_load(&self) -> Result<()> {
        let tables = self.client.tables(&self.path(), "main")?;
        let versions: Vec<_> = tables
            .iter()
            .filter(|table| LOADED.contains(&table.key.as_str()))
            .map(|table| self.path().join(&table.path).join("_versions"))
            .collect();
        ensure!(versions.len() == LOADED.len(), "no tables {LOADED:?}");
        for _ in 0..LOADS_KILLED_MAX {
            let before = counts(&versions)?;
            let (_, rows) = self.new_load();
            let file = tempfile::NamedTempFile::new()?;
            fs::write(file.path(), rows)?;
            let mut command = self.client.load_command(&self.path(), "main", file.path());
            let mut process = Process::start(&mut command)?;
            process.wait_until(|| Ok(counts(&versions)? != before))?;
            process.kill()?;
            process.wait()?;
            let after = counts(&versions)?;
            let moved = before.iter().zip(&after).filter(|(before, after)| before < after).count();
            let is_armed = file_names(&self.path().join("__recovery"))?
                .iter()
                .any(|name| name.ends_with(".json"));
            if moved == 1 && is_armed {
                return Ok(());
            }
            self.load_on("main")?;
        }
        bail!("no load could be killed between its two commits in {LOADS_KILLED_MAX} attempts")
    }
}

/// Whether a run has nothing more to do.
fn is_done(case: Case, outcome: &Outcome) -> bool {
    let is_of_branches = matches!(case.group.needs, Needs::NoBranch | Needs::Branch);
    // The run before moved the file aside, and something else was left to do.
    let is_aside = case.group.needs == Needs::Garbage
        && outcome.describe().contains(&format!("there is no __recovery/{GARBAGE}"));
    let code = outcome.status.code();
    code == Some(0)
        || is_of_branches && code.is_some_and(|code| NO_SUCH_BRANCH.contains(&code))
        || is_aside && code == Some(2)
}

/// The manifests of each of these.
fn counts(versions: &[std::path::PathBuf]) -> Result<Vec<usize>> {
    let manifests = |dir: &std::path::PathBuf| -> Result<usize> {
        let names: BTreeSet<_> =
            file_names(dir)?.into_iter().filter(|name| name.ends_with(".manifest")).collect();
        Ok(names.len())
    };
    versions.iter().map(manifests).collect()
}

/// Takes away the newest version of a dataset, as if it had never been committed.
fn uncommit(dataset: &Path) -> Result<()> {
    let versions = dataset.join("_versions");
    let mut names = file_names(&versions)?;
    names.retain(|name| name.ends_with(".manifest"));
    // Names count backwards.
    let newest = names.into_iter().min().context("there is a version")?;
    fs::remove_file(versions.join(newest))?;
    let hint = versions.join("latest_version_hint.json");
    if hint.exists() {
        fs::remove_file(hint)?;
    }
    Ok(())
}
