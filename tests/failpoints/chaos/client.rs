//! A client of the graph: it arms a sidecar, commits to tables, publishes, disarms, and may die between any two of
//! these. What a dead one left it recovers before it writes again, by the established rules: to their letter,
//! because they are what we have to live with.
//!
//! Of two writers to one branch it knows nothing: see `graph`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use chrono::Utc;
use lance::Dataset;
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::writer::{Entry, GraphWriter, append};
use serde_json::{Value, json};
use uuid::Uuid;

use super::dice::Dice;
use super::ledger::{Ledger, Place, Reading};
use super::rows::{delete, is_conflict, rows_of, some_of, update};
use super::world::World;

pub(super) const MAIN: &str = "main";
pub(super) const TYPES: [&str; 3] = ["A", "B", "C"];
/// What a recovery does that somebody else was faster than: its file stays for the next one.
const DEFERS: &str = "defers";
/// As often as the established client.
const PUBLISH_ATTEMPTS: usize = 6;

/// The client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) writer: GraphWriter,
}

/// What a write does to each of its tables.
#[derive(Debug)]
pub(super) enum Change {
    Append(Vec<(String, String)>),
    /// Those rows get that note.
    Update(Vec<String>, String),
    Delete(Vec<String>),
}

/// After which of its steps a client dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    Armed,
    /// With one table committed, of however many.
    FirstCommit,
    Committed,
    Published,
}

impl Death {
    pub(super) const ALL: [Self; 4] =
        [Self::Armed, Self::FirstCommit, Self::Committed, Self::Published];
}

/// How a publish ended that nothing is wrong with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Published {
    Yes,
    /// A pin is not what the writer began with.
    Stale,
    /// Others were faster each time.
    Contended,
}

impl Client {
    /// Does changes together. Returns what became of them, in a word.
    pub(super) async fn write(
        &self,
        world: &World,
        branch: &str,
        changes: Vec<(String, Change)>,
        death: Option<Death>,
        dice: &mut Dice,
    ) -> Result<&'static str> {
        let began = Instant::now();
        self.recover(world, branch).await.context("recovery by the client")?;
        let entries = self.writer.view(branch, None).await?.entries;
        let mut tables = Vec::new();
        for (key, change) in &changes {
            let entry = entries.get(key).context("a table of the graph")?;
            let table = self.writer.open_to_write(entry, branch).await?;
            if entry.branch == branch && table.manifest().version != entry.version {
                // A run of ours is committing to it, or died over it.
                return Ok("refused");
            }
            tables.push((key.as_str(), entry.clone(), table, change));
        }
        if !world.has_time(began) {
            return Ok("given up");
        }
        let sidecar = self.arm(branch, &tables)?;
        if death == Some(Death::Armed) {
            return Ok("dead");
        }
        let ticket = world.ledger(|ledger| ledger.begin(rows(branch, &changes)));
        for (_, _, table, change) in &mut tables {
            match apply(table, change).await {
                Err(error) if is_conflict(&error) => return Ok("conflicted"),
                applied => applied.context("a commit of the client")?,
            }
            if death == Some(Death::FirstCommit) {
                return Ok("dead");
            }
        }
        if death == Some(Death::Committed) || !world.has_time(began) {
            return Ok("dead");
        }
        let expected: BTreeMap<&str, &Entry> =
            tables.iter().map(|(key, entry, ..)| (*key, entry)).collect();
        let pinned: Vec<_> = tables.iter().map(|(key, _, table, _)| (*key, table)).collect();
        match self.publish(branch, &pinned, &expected, dice).await? {
            Published::Yes => {}
            Published::Stale => return Ok("stale"),
            Published::Contended => return Ok("contended"),
        }
        if !world.was_in_time(began) {
            return Ok("late");
        }
        world.ledger(|ledger| ledger.acknowledge(ticket));
        if death == Some(Death::Published) {
            return Ok("dead");
        }
        remove(&sidecar)?;
        Ok("written")
    }

    /// Pins tables at the versions the handles stand at, if the pins are still what was expected.
    async fn publish(
        &self,
        branch: &str,
        pinned: &[(&str, &Dataset)],
        expected: &BTreeMap<&str, &Entry>,
        dice: &mut Dice,
    ) -> Result<Published> {
        for _ in 0..PUBLISH_ATTEMPTS {
            let publish = self.writer.begin_publish(branch, pinned, None, Utc::now()).await?;
            let loaded = publish.commit.manifest_version - 1;
            let now = self.writer.view(branch, Some(loaded)).await?.entries;
            if expected.iter().any(|(key, entry)| now.get(*key) != Some(entry)) {
                return Ok(Published::Stale);
            }
            match publish.commit().await {
                Ok(_) => return Ok(Published::Yes),
                Err(error) if error.to_string().contains("landed at") => bail!(error),
                Err(_) => tokio::time::sleep(dice.millis(1, 30)).await,
            }
        }
        Ok(Published::Contended)
    }

    fn arm(&self, branch: &str, tables: &[(&str, Entry, Dataset, &Change)]) -> Result<PathBuf> {
        let operation = Uuid::new_v4().to_string();
        let table = |(key, entry, table, _): &(&str, Entry, Dataset, &Change)| {
            let mut named = json!({
                "table_key": key,
                "table_path": format!("{}/{}", self.writer.uri(), entry.location),
                "expected_version": entry.version,
                "post_commit_pin": table.manifest().version + 1,
            });
            if branch != MAIN {
                named["table_branch"] = json!(branch);
            }
            named
        };
        let content = json!({
            "schema_version": 2,
            "operation_id": operation,
            "started_at": Utc::now().timestamp_micros().to_string(),
            "branch": (branch != MAIN).then_some(branch),
            "actor_id": null,
            "writer_kind": "Load",
            "tables": tables.iter().map(table).collect::<Vec<_>>(),
        });
        let directory = self.sidecars();
        fs::create_dir_all(&directory)?;
        let (path, cut_off) =
            (directory.join(format!("{operation}.json")), directory.join(format!("{operation}#1")));
        fs::write(&cut_off, content.to_string())?;
        fs::rename(&cut_off, &path)?;
        Ok(path)
    }

    fn sidecars(&self) -> PathBuf {
        Path::new(self.writer.uri()).join("__recovery")
    }

    /// What an opening for writing does: every sidecar of the branch is resolved, whoever armed it.
    pub(super) async fn recover(&self, world: &World, branch: &str) -> Result<()> {
        for name in names(&self.sidecars())?.iter().filter(|name| name.ends_with(".json")) {
            let path = self.sidecars().join(name);
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                // Its writer was faster.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            let sidecar: Value = serde_json::from_str(&text).context(text)?;
            if sidecar["branch"].as_str().unwrap_or(MAIN) == branch {
                let how =
                    self.resolve(&sidecar, branch).await.with_context(|| sidecar.to_string())?;
                world.did(&format!("client {how}"), &sidecar.to_string());
                if how != DEFERS {
                    remove(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Rolls what a sidecar names forward or back, all of it.
    async fn resolve(&self, sidecar: &Value, branch: &str) -> Result<&'static str> {
        let is_strict = sidecar["writer_kind"] != "Optimize";
        let entries = self.writer.view(branch, None).await?.entries;
        let mut moved = Vec::new();
        let mut is_whole = true;
        for table in sidecar["tables"].as_array().context("tables")? {
            let key = table["table_key"].as_str().context("a key")?;
            let expected = table["expected_version"].as_u64().context("a version")?;
            let lance_branch = table["table_branch"].as_str().unwrap_or(MAIN);
            let entry = entries.get(key).context("a table of the branch")?;
            let head = self.writer.open(&entry.location, lance_branch, None).await?;
            let (at, pin) = (head.manifest().version, entry.version);
            ensure!(at >= pin, "{key} on {branch}: HEAD {at} is behind its pin {pin}");
            let is_next = at == pin + 1 && table["post_commit_pin"] == at;
            is_whole &= at > pin && expected == pin && (is_next || !is_strict);
            if at > pin {
                moved.push((key.to_owned(), entry.clone(), head));
            }
        }
        if moved.is_empty() {
            return Ok("discards");
        }
        if !is_whole {
            for (_, entry, head) in &mut moved {
                // A fork that nobody ever read is cut anew by the next writer.
                if entry.branch == head.manifest().branch.as_deref().unwrap_or(MAIN) {
                    let mut at = head.checkout_version(entry.version).await?;
                    at.restore().await?;
                    *head = self.writer.open(&entry.location, &entry.branch, None).await?;
                }
            }
            moved.retain(|(_, entry, head)| {
                entry.branch == head.manifest().branch.as_deref().unwrap_or(MAIN)
            });
        }
        let expected: BTreeMap<&str, &Entry> =
            moved.iter().map(|(key, entry, _)| (key.as_str(), entry)).collect();
        let pinned: Vec<_> = moved.iter().map(|(key, _, head)| (key.as_str(), head)).collect();
        if !pinned.is_empty() {
            let published = self.publish(branch, &pinned, &expected, &mut Dice::new(0, 0)).await?;
            if published != Published::Yes {
                return Ok(DEFERS);
            }
        }
        Ok(if is_whole { "rolls forward" } else { "rolls back" })
    }

    /// What a branch reads now.
    pub(super) async fn read(&self, world: &World, branch: &str) -> Result<Reading> {
        let mut reading = Reading { begun: world.ledger(Ledger::tick), ..Reading::default() };
        let view = self.writer.view(branch, None).await?;
        for (key, entry) in view.entries {
            let table =
                self.writer.open(&entry.location, &entry.branch, Some(entry.version)).await?;
            let rows = rows_of(&table).await.with_context(|| format!("{key} at {entry:?}"))?;
            reading.rows.insert((branch.to_owned(), key), rows);
        }
        reading.ended = world.ledger(Ledger::tick);
        Ok(reading)
    }
}

/// A change of rows that nobody is in doubt about.
pub(super) fn choose(
    world: &World,
    branch: &str,
    name: &str,
    dice: &mut Dice,
) -> Vec<(String, Change)> {
    let key = |dice: &mut Dice| {
        format!("node:{}", TYPES[usize::try_from(dice.roll(3)).unwrap_or_default()])
    };
    let first = key(dice);
    let place = (branch.to_owned(), first.clone());
    let certain = world.ledger(|ledger| ledger.certain(&place));
    match some_of(&certain, dice) {
        Some(ids) if dice.chance(25) => vec![(first, Change::Update(ids, format!("by {name}")))],
        Some(ids) if dice.chance(25) => vec![(first, Change::Delete(ids))],
        _ => {
            let rows = |dice: &mut Dice| {
                let row = |n: u64| (format!("{name}r{n}"), format!("of {name}"));
                Change::Append((0..=dice.roll(3)).map(row).collect())
            };
            let second = key(dice);
            let mut changes = vec![(first, rows(dice))];
            if second != changes[0].0 {
                changes.push((second, rows(dice)));
            }
            changes
        }
    }
}

/// What changes make of rows.
fn rows(branch: &str, changes: &[(String, Change)]) -> Vec<(Place, String, Option<String>)> {
    let mut rows = Vec::new();
    for (key, change) in changes {
        let place = || (branch.to_owned(), key.clone());
        match change {
            Change::Append(new) => {
                rows.extend(new.iter().map(|(id, note)| (place(), id.clone(), Some(note.clone()))))
            }
            Change::Update(ids, note) => {
                rows.extend(ids.iter().map(|id| (place(), id.clone(), Some(note.clone()))));
            }
            Change::Delete(ids) => rows.extend(ids.iter().map(|id| (place(), id.clone(), None))),
        }
    }
    rows
}

async fn apply(table: &mut Dataset, change: &Change) -> Result<()> {
    match change {
        Change::Append(rows) => append(table, rows).await,
        Change::Update(ids, note) => update(table, ids, note).await,
        Change::Delete(ids) => delete(table, ids).await,
    }
}

/// Removes a file, if nobody else did.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
