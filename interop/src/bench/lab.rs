//! What every row needs: the programs, data that is made once, fresh copies of it, facts about a table.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xtask::archive;
use xtask::cargo::output;

use super::runner::{Run, Side};
use crate::suites::Omnigraph;

const SCRIPTS: [(&str, &str); 8] = [
    ("measure", include_str!("scripts/measure.py")),
    ("tables", include_str!("scripts/tables.py")),
    ("peers", include_str!("scripts/peers.py")),
    ("facts", include_str!("scripts/facts.py")),
    ("rounds", include_str!("scripts/rounds.py")),
    ("shapes", include_str!("scripts/shapes.py")),
    ("appender", include_str!("scripts/appender.py")),
    ("triggers", include_str!("scripts/triggers.py")),
];

pub(super) struct Lab {
    pub(super) root: PathBuf,
    pub(super) binary: PathBuf,
    pub(super) python: PathBuf,
    /// Only where it is installed.
    pub(super) omnigraph: Option<Omnigraph>,
    /// Measured runs of each side.
    pub(super) runs: usize,
    /// Of the data; below 1 only for working on the bench itself.
    pub(super) scale: f64,
    data: PathBuf,
    work: Work,
}

/// Where the copies are. On the disk of the data, because a temporary directory may be memory; and always the same
/// place, so that the next run removes what an interrupted one left.
struct Work(PathBuf);

impl Drop for Work {
    fn drop(&mut self) {
        archive::remove(&self.0).ok();
    }
}

/// What a run must not change, and the number of fragments, which it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) rows: u64,
    /// Of the column `id`.
    pub(super) checksum: u64,
    pub(super) fragments: u64,
}

impl Lab {
    pub(super) fn new(
        root: &Path,
        cache: &Path,
        binary: PathBuf,
        python: PathBuf,
        omnigraph: Option<Omnigraph>,
    ) -> Result<Self> {
        let data = cache.join("bench-data");
        fs::create_dir_all(&data)?;
        let work = Work(cache.join("bench-work"));
        archive::remove(&work.0)?;
        fs::create_dir(&work.0)?;
        for (name, text) in SCRIPTS {
            fs::write(work.0.join(format!("{name}.py")), text)?;
        }
        let root = root.to_owned();
        Ok(Self { root, binary, python, omnigraph, runs: 5, scale: 1.0, data, work })
    }

    pub(super) fn work(&self) -> &Path {
        &self.work.0
    }

    pub(super) fn script(&self, name: &str) -> PathBuf {
        self.work().join(format!("{name}.py"))
    }

    /// So many of something at the scale of this run.
    pub(super) fn scaled(&self, count: usize) -> usize {
        // The counts are small: no precision is lost.
        ((count as f64 * self.scale).round() as usize).max(1)
    }

    /// Ours, to be given its arguments.
    pub(super) fn ours(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.args([verb, "--json"]);
        command
    }

    /// Ours on a fresh copy of a root.
    pub(super) fn our_side<'a>(&'a self, from: &'a Path, words: &'a [&str]) -> Side<'a> {
        let command = move || {
            let mut command = self.ours(words[0]);
            command.args(&words[1..]).arg(self.copy_of(from));
            command
        };
        Side::new(format!("`lancekeeper {}`", words.join(" ")), command)
            .prepared_by(move || self.fresh(from).map(drop))
    }

    /// One of the calls in `scripts/peers.py` on a fresh copy; `title` is how it reads.
    pub(super) fn peer_side<'a>(
        &'a self,
        from: &'a Path,
        call: &'a str,
        package: &str,
        title: &str,
    ) -> Result<Side<'a>> {
        let name = format!("{} `{title}`", self.package(package)?);
        let side = Side::new(name, move || self.peer(call, &self.copy_of(from)));
        Ok(side.prepared_by(move || self.fresh(from).map(drop)))
    }

    /// Whether a verb of ours has an option already.
    pub(super) fn has_option(&self, verb: &str, option: &str) -> Result<bool> {
        Ok(output(Command::new(&self.binary).args([verb, "--help"]))?.contains(option))
    }

    /// One of the calls in `scripts/peers.py`.
    pub(super) fn peer(&self, call: &str, place: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(self.script("peers")).arg(call).arg(place);
        command
    }

    /// A package of Python with its version.
    fn package(&self, name: &str) -> Result<String> {
        let code = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))";
        let version = output(Command::new(&self.python).args(["-c", code, name]))?;
        Ok(format!("{name} {}", version.trim()))
    }

    /// Data of `scripts/tables.py`.
    pub(super) fn tables(&self, what: &str, fragments: usize, rows: usize) -> Result<PathBuf> {
        self.once(&format!("{what}-{fragments}x{rows}"), |place| {
            let mut command = Command::new(&self.python);
            command.arg(self.script("tables")).arg(what).arg(place);
            output(command.args([fragments, rows].map(|number| number.to_string()))).map(drop)
        })
    }

    /// Data that is made once. It is built beside its place and renamed, so that what an interrupted build
    /// left is not taken for it.
    pub(super) fn once(
        &self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let place = self.data.join(name);
        if !place.exists() {
            eprintln!("  making {name}");
            let beside = self.data.join(format!("{name}.tmp"));
            archive::remove(&beside)?;
            fs::create_dir_all(&beside)?;
            make(&beside)?;
            fs::rename(&beside, &place)?;
        }
        Ok(place)
    }

    /// Makes a fresh copy and returns its place, which has the same name as the original.
    pub(super) fn fresh(&self, from: &Path) -> Result<PathBuf> {
        let place = self.copy_of(from);
        archive::remove(&place)?;
        copy(from, &place)?;
        warm(&place)?;
        Ok(place)
    }

    /// Where [`Lab::fresh`] puts the copy.
    pub(super) fn copy_of(&self, from: &Path) -> PathBuf {
        let name = from.file_name().expect("data that is made once has a name");
        self.work().join("copy").join(name)
    }

    pub(super) fn facts(&self, table: &Path) -> Result<Facts> {
        let facts = self.table_report(table, &[])?;
        let count = |name: &str| facts[name].as_u64().with_context(|| format!("no {name}"));
        Ok(Facts {
            rows: count("rows")?,
            checksum: count("checksum")?,
            fragments: count("fragments")?,
        })
    }

    /// What `scripts/facts.py` prints.
    pub(super) fn table_report(&self, table: &Path, more: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.python);
        let text = output(command.arg(self.script("facts")).arg(table).args(more))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// In the copy of a table: the same rows as in `before`, in at most so many fragments.
    pub(super) fn expect_compact(&self, from: &Path, before: Facts, most: u64) -> Result<()> {
        let after = self.facts(&self.copy_of(from))?;
        let is_same = (after.rows, after.checksum) == (before.rows, before.checksum);
        ensure!(is_same, "other rows than before: {after:?}, not {before:?}");
        ensure!(after.fragments <= most, "{} fragments, not {most}", after.fragments);
        Ok(())
    }
}

/// How many tables a run of our optimize committed to.
pub(super) fn committed(run: &Run) -> u64 {
    let roots = run.said["roots"].as_array().into_iter().flatten();
    let tables = roots.flat_map(|root| root["tables"].as_array().into_iter().flatten());
    tables.filter(|table| table["committed"] == true).count() as u64
}

/// The files below a directory, with their sizes.
pub(super) fn files(dir: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("failed to list {}", dir.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push((entry.path(), entry.metadata()?.len()));
        }
    }
    found.sort();
    Ok(found)
}

/// Copies a directory with all that is below it and when each file was written: cleaners ask that.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("failed to create {}", to.display()))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            let written = entry.metadata()?.modified()?;
            fs::File::options().write(true).open(&target)?.set_modified(written)?;
        }
    }
    Ok(())
}

/// Reads every file, so that whoever runs next finds it in memory.
pub(super) fn warm(dir: &Path) -> Result<()> {
    for (file, _) in files(dir)? {
        std::io::copy(&mut fs::File::open(file)?, &mut std::io::sink())?;
    }
    Ok(())
}

/// Whether a binary says of itself that it is not optimized.
pub(super) fn is_debug_build(binary: &Path) -> Result<bool> {
    Ok(output(Command::new(binary).arg("--version"))?.contains("not optimized"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_files_and_their_times() {
        let temp = tempfile::tempdir().unwrap();
        let (from, to) = (temp.path().join("from"), temp.path().join("to"));
        fs::create_dir_all(from.join("data")).unwrap();
        fs::write(from.join("data/a"), "abc").unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        let file = fs::File::options().write(true).open(from.join("data/a")).unwrap();
        file.set_modified(old).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(files(&to).unwrap(), [(to.join("data/a"), 3)]);
        assert_eq!(fs::metadata(to.join("data/a")).unwrap().modified().unwrap(), old);
    }
}
