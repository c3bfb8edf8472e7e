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

/// Changes that are made together.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) changes: Vec<(String, Change)>,
    /// The branch whose rows these are, if they are merged.
    pub(super) source: Option<String>,
}

impl Write {
    /// As its sidecar calls it: loads append, mutations do the rest. Schema applies need a graph without branches.
    fn kind(&self) -> &'static str {
        let appends = |(_, change): &(String, Change)| matches!(change, Change::Append(_));
        match &self.source {
            Some(_) => "BranchMerge",
            None if self.changes.iter().all(appends) => "Load",
            None => "Mutation",
        }
    }
}

/// After which of its steps a client dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    Armed,
    /// With one table committed, of however many.
    FirstCommit,
    Committed,
    /// A merge has written down how far it came; nothing else does.
    Confirmed,
    Published,
}

impl Death {
    pub(super) const ALL: [Self; 5] =
        [Self::Armed, Self::FirstCommit, Self::Committed, Self::Confirmed, Self::Published];
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
        write: Write,
        death: Option<Death>,
        dice: &mut Dice,
    ) -> Result<&'static str> {
        let began = Instant::now();
        self.recover(world, branch).await.context("recovery by the client")?;
        let merged = match &write.source {
            Some(source) => match self.newest_commit(source).await {
                Some(commit) => Some(commit),
                // It was deleted meanwhile.
                None => return Ok("given up"),
            },
            None => None,
        };
        let changes = &write.changes;
        let entries = self.writer.view(branch, None).await?.entries;
        let mut tables = Vec::new();
        for (key, change) in changes {
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
        let mut sidecar = self.arm(branch, &write, merged.as_deref(), &tables)?;
        if death == Some(Death::Armed) {
            return Ok("dead");
        }
        let ticket = world.ledger(|ledger| ledger.begin(rows(branch, changes)));
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
        if merged.is_some() {
            let reached = tables.iter().map(|(_, _, table, _)| table.manifest().version);
            sidecar.confirm(reached)?;
        }
        if death == Some(Death::Confirmed) {
            return Ok("dead");
        }
        let expected: BTreeMap<&str, &Entry> =
            tables.iter().map(|(key, entry, ..)| (*key, entry)).collect();
        let pinned: Vec<_> = tables.iter().map(|(key, _, table, _)| (*key, table)).collect();
        match self.publish(branch, &pinned, &expected, merged.as_deref(), dice).await? {
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
        remove(&sidecar.path)?;
        Ok("written")
    }

    /// The newest commit of a branch, if that is there.
    async fn newest_commit(&self, branch: &str) -> Option<String> {
        let view = self.writer.view(branch, None).await.ok()?;
        view.commits.first().map(|commit| commit.id.clone())
    }

    /// Pins tables at the versions the handles stand at, if the pins are still what was expected.
    async fn publish(
        &self,
        branch: &str,
        pinned: &[(&str, &Dataset)],
        expected: &BTreeMap<&str, &Entry>,
        merged: Option<&str>,
        dice: &mut Dice,
    ) -> Result<Published> {
        for _ in 0..PUBLISH_ATTEMPTS {
            let publish = self.writer.begin_publish(branch, pinned, merged, Utc::now()).await?;
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

    fn arm(
        &self,
        branch: &str,
        write: &Write,
        merged: Option<&str>,
        tables: &[(&str, Entry, Dataset, &Change)],
    ) -> Result<Sidecar> {
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
        let mut content = json!({
            "schema_version": 2,
            "operation_id": operation,
            "started_at": Utc::now().timestamp_micros().to_string(),
            "branch": (branch != MAIN).then_some(branch),
            "actor_id": null,
            "writer_kind": write.kind(),
            "tables": tables.iter().map(table).collect::<Vec<_>>(),
        });
        if let Some(merged) = merged {
            content["merge_source_commit_id"] = json!(merged);
        }
        let directory = self.sidecars();
        fs::create_dir_all(&directory)?;
        let sidecar = Sidecar { path: directory.join(format!("{operation}.json")), content };
        sidecar.save()?;
        Ok(sidecar)
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
        let kind = sidecar["writer_kind"].as_str().context("a kind")?;
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
            let is_right = match kind {
                "Optimize" => true,
                // Of the second format: as far as it was confirmed.
                "BranchMerge" => table["confirmed_version"] == at,
                _ => at == pin + 1 && table["post_commit_pin"] == at,
            };
            is_whole &= at > pin && expected == pin && is_right;
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
            // What went back was not merged.
            let merged = sidecar["merge_source_commit_id"].as_str().filter(|_| is_whole);
            let mut dice = Dice::new(0, 0);
            let published = self.publish(branch, &pinned, &expected, merged, &mut dice).await?;
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

/// A sidecar, as it was written last.
struct Sidecar {
    path: PathBuf,
    content: Value,
}

impl Sidecar {
    /// Notes of each table how far it came.
    fn confirm(&mut self, reached: impl Iterator<Item = u64>) -> Result<()> {
        let tables = self.content["tables"].as_array_mut().context("tables")?;
        for (table, version) in tables.iter_mut().zip(reached) {
            table["confirmed_version"] = json!(version);
        }
        self.save()
    }

    /// Nobody ever sees half of it.
    fn save(&self) -> Result<()> {
        let cut_off = self.path.with_extension("json#1");
        fs::write(&cut_off, self.content.to_string())?;
        Ok(fs::rename(&cut_off, &self.path)?)
    }
}

/// Rows of another branch that this one never had, if there are any.
fn choose_merge(world: &World, branch: &str, live: &[String], dice: &mut Dice) -> Option<Write> {
    let source = dice.pick(live).filter(|source| *source != branch)?.clone();
    let mut changes = Vec::new();
    for name in TYPES {
        let key = format!("node:{name}");
        let place = |branch: &str| (branch.to_owned(), key.clone());
        let new = world.ledger(|ledger| {
            let certain = ledger.certain(&place(&source));
            let known = |id: &String| ledger.knows(&place(branch), id);
            certain.into_iter().filter(|(id, _)| !known(id)).collect::<Vec<_>>()
        });
        if !new.is_empty() {
            changes.push((key, Change::Append(new)));
        }
    }
    (!changes.is_empty()).then_some(Write { changes, source: Some(source) })
}

/// A change of rows that nobody is in doubt about.
pub(super) fn choose(
    world: &World,
    (branch, live): (&str, &[String]),
    name: &str,
    dice: &mut Dice,
) -> Write {
    if dice.chance(25)
        && let Some(merge) = choose_merge(world, branch, live, dice)
    {
        return merge;
    }
    let changes = choose_changes(world, branch, name, dice);
    Write { changes, source: None }
}

fn choose_changes(
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
