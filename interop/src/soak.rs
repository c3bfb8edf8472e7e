//! The soak: five tables that real clients append to, update and delete from all the time beside a watcher.
//!
//! Readers stay at old versions meanwhile, and in the end the watcher is killed again and again. What the writers were told is done
//! is what has to be there. The scripts say what is done in which order; here is what the figures are held against.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xtask::cargo;

use crate::suites;

const SCRIPTS: [(&str, &str); 3] = [
    ("soak", include_str!("soak/scripts/soak.py")),
    ("writer", include_str!("soak/scripts/writer.py")),
    ("reader", include_str!("soak/scripts/reader.py")),
];

/// Twice what a watcher lets come together before it merges: as much may come while it does.
const FRAGMENTS_MOST: f64 = 128.0;
/// The limit of memory that a watcher has unless told.
const MEMORY_MOST_MIB: f64 = 1024.0;
/// Versions for each one that a writer made. Four appends pay for a run, which commits twice.
const VERSIONS_MOST: f64 = 1.5;
/// How much longer 99 of 100 writes may take beside a watcher. It depends on whatever else the machine does, so it is told and
/// ends nothing.
const LATENCY_MOST: f64 = 1.1;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// For how long writers work beside the watcher; they work as long without one
    #[arg(long, default_value_t = 5.0, value_name = "N")]
    minutes: f64,
    /// How often the watcher is killed afterwards
    #[arg(long, default_value_t = 20, value_name = "N")]
    kills: usize,
    /// Which client writes [default: each of them]
    #[arg(long, value_enum, value_name = "CLIENT")]
    client: Vec<Client>,
    /// Brings what writers do and the moments of the kills back
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Where the clients are kept, as for `interop`
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Watch with this binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Client {
    /// Lance's own package for Python
    Pylance,
    /// LanceDB's
    Lancedb,
}

impl Client {
    fn name(self) -> &'static str {
        match self {
            Self::Pylance => "pylance",
            Self::Lancedb => "lancedb",
        }
    }
}

/// What was measured beside one client's writers.
struct Soaked {
    client: Client,
    said: Value,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let binary = match &args.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => cargo::build_lancekeeper(root)?,
    };
    let python = suites::python(root, args.cache.as_deref())?;
    let every: &[Client] = clap::ValueEnum::value_variants();
    let clients = if args.client.is_empty() { every } else { &args.client };
    let mut failed = Vec::new();
    for client in clients {
        eprintln!("{} writes", client.name());
        let soaked = Soaked { client: *client, said: soak(&python, &binary, *client, args)? };
        println!("{soaked}");
        failed.extend(soaked.failures()?);
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => bail!("soak: {}", failed.join("\n")),
    }
}

fn soak(python: &Path, binary: &Path, client: Client, args: &Args) -> Result<Value> {
    let work = tempfile::tempdir()?;
    let (scripts, data) = (work.path().join("scripts"), work.path().join("data"));
    fs::create_dir(&scripts)?;
    fs::create_dir(&data)?;
    for (name, text) in SCRIPTS {
        fs::write(scripts.join(format!("{name}.py")), text)?;
    }
    let mut script = Command::new(python);
    script.arg(scripts.join("soak.py")).arg(binary).arg(&data).arg(client.name());
    script.args([(args.minutes * 60.0).to_string(), args.kills.to_string(), args.seed.to_string()]);
    Ok(serde_json::from_str(&cargo::output(&mut script)?)?)
}

impl Soaked {
    fn figure(&self, path: &str) -> Result<f64> {
        let found = self.said.pointer(path).and_then(Value::as_f64);
        found.with_context(|| format!("no {path} in {}", self.said))
    }

    /// The longest write of 99 in 100 beside the watcher, of that without: before and afterwards, whichever was longer.
    fn latency(&self) -> Result<f64> {
        let alone = self.figure("/alone/p99_ms")?.max(self.figure("/alone_again/p99_ms")?);
        Ok(self.figure("/beside/p99_ms")? / alone)
    }

    /// What must not be.
    fn failures(&self) -> Result<Vec<String>> {
        let client = self.client.name();
        let wrong = self.said["wrong"].as_array().into_iter().flatten();
        let mut failures: Vec<String> = wrong.map(|why| format!("{client}: {why}")).collect();
        let versions = self.figure("/versions/all")? / self.figure("/versions/of_writers")?;
        for (what, figure, most) in [
            ("fragments of a table", self.figure("/beside/most_fragments")?, FRAGMENTS_MOST),
            ("MiB of memory", self.figure("/beside/memory_mib")?, MEMORY_MOST_MIB),
            ("versions for each of a writer", versions, VERSIONS_MOST),
        ] {
            if figure > most {
                failures.push(format!("{client}: {figure:.1} {what}, more than {most}"));
            }
        }
        Ok(failures)
    }
}

impl fmt::Display for Soaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| {} writes | alone | beside the watcher | alone again | watcher killed |",
            self.client.name()
        )?;
        writeln!(f, "|---|---|---|---|---|")?;
        for (name, field) in [
            ("writes", "writes"),
            ("write, middle (ms)", "middle_ms"),
            ("write, 99 of 100 (ms)", "p99_ms"),
            ("fragments of a table, usually", "usual_fragments"),
            ("fragments of a table, at most", "most_fragments"),
            ("memory of the watcher, at most (MiB)", "memory_mib"),
            ("reads of old versions", "reads_of_old_versions"),
        ] {
            let cell = |phase: &str| self.said[phase][field].as_f64().unwrap_or_default();
            let cells = ["alone", "beside", "alone_again", "killed"]
                .map(|phase| format!("{:.0}", cell(phase)));
            writeln!(f, "| {name} | {} |", cells.join(" | "))?;
        }
        let refusals = |phase: &str| match self.said[phase]["refused"].as_object() {
            Some(refused) => refused.values().filter_map(Value::as_u64).sum::<u64>().to_string(),
            None => String::new(),
        };
        let cells = ["alone", "beside", "alone_again", "killed"].map(refusals);
        writeln!(f, "| writes that were refused | {} |", cells.join(" | "))?;
        let verdict = match self.latency() {
            Ok(latency) if latency <= LATENCY_MOST => {
                format!("{latency:.2} × (at most {LATENCY_MOST})")
            }
            Ok(latency) => format!("{latency:.2} ×, MISSED (at most {LATENCY_MOST})"),
            Err(error) => error.to_string(),
        };
        writeln!(f, "99 of 100 writes beside the watcher, of the longer time alone: {verdict}")?;
        writeln!(f, "versions: {}; rows at the end: {}", self.said["versions"], self.said["rows"])?;
        writeln!(
            f,
            "jobs after the kills: {}; at rest: {}",
            self.said["jobs_after_kills"], self.said["jobs"]
        )?;
        for phase in ["beside", "killed"] {
            writeln!(f, "refused, {phase}: {}", self.said[phase]["refused"])?;
        }
        writeln!(f, "wrong: {}", self.said["wrong"])
    }
}
