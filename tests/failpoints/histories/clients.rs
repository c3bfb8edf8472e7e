//! The steps that clients do. What a real client would refuse is no step: the history goes on.

use std::fs::{self, File};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use lance::Dataset;
use lance::dataset::UpdateBuilder;
use lance::dataset::refs::Ref;
use lancekeeper_testkit::writer::{Entry, MANIFEST, append, stage};

use super::disk;
use super::history::{History, pick};
use super::model::{BranchModel, Litter, MAIN, Place, Rows, Stalled};
use super::steps::{Change, Death, Roll, Step};

const BRANCHES: [&str; 4] = ["b", "c", "d/x", "e"];
const A_MONTH: Duration = Duration::from_secs(30 * 86_400);

impl History {
    pub(super) async fn client_step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Write { branch, tables, dies } => self.write(*branch, tables, *dies).await,
            Step::Finish { which } => self.finish(*which).await,
            Step::Branch { name, from } => self.branch(*name, *from).await,
            Step::Unbranch { branch } => self.unbranch(*branch).await,
            Step::Merge { from, into } => self.merge(*from, *into).await,
            Step::Tag { version } => self.tag(*version).await,
            Step::Untag { tag } => self.untag(*tag).await,
            Step::Drop { branch, table } => self.drop_table(*branch, *table).await,
            Step::Litter { chain, is_old } => self.litter(*chain, *is_old),
            Step::HalfFork { branch, table } => self.half_fork(*branch, *table).await,
            Step::Optimize | Step::Cleanup { .. } => unreachable!("not a client's"),
        }
    }

    fn pick_branch(&self, roll: Roll) -> String {
        let names: Vec<&String> = self.model.branches.keys().collect();
        pick(&names, roll).map_or_else(|| MAIN.to_owned(), |name| (*name).clone())
    }

    fn pins(&self, branch: &str) -> Vec<(String, Entry)> {
        let pins = &self.model.branches[branch].pins;
        pins.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect()
    }

    /// Whether a fork could be cut: what is left under its name can be removed.
    fn can_fork(&self, location: &str, branch: &str) -> bool {
        let dataset = self.model.dataset(location);
        let from_it = |from: &Option<(String, u64)>| {
            from.as_ref().is_some_and(|(parent, _)| parent == branch)
        };
        dataset.tags.values().all(|(of, _)| of != branch)
            && dataset.chains.values().all(|chain| !from_it(&chain.cut_from))
    }

    /// Opens a table for writing on a branch, with the rows it has; cuts the fork if need be.
    async fn open_to_write(
        &mut self,
        branch: &str,
        entry: &Entry,
    ) -> Result<Option<(Dataset, Rows)>> {
        let location = &entry.location;
        if entry.branch == branch {
            // Also what somebody committed before and never published.
            let head = self.model.head(location, branch).context("a chain has a head")?;
            let rows = self.rows_of(&Entry { version: head, ..entry.clone() })?;
            return Ok(Some((self.writer.open_to_write(entry, branch).await?, rows)));
        }
        if !self.can_fork(location, branch) {
            return Ok(None);
        }
        let table = self.writer.open_to_write(entry, branch).await?;
        let rows = self.rows_of(entry)?;
        self.model.forget_chain(location, branch);
        self.note_cut(location, branch, (entry.branch.clone(), entry.version));
        self.note_version(location, branch, &table, rows.clone());
        Ok(Some((table, rows)))
    }

    async fn write(
        &mut self,
        branch: Roll,
        tables: &[(Roll, Change)],
        dies: Option<Death>,
    ) -> Result<()> {
        let branch = self.pick_branch(branch);
        let pins = self.pins(&branch);
        let mut written: Vec<(String, Dataset)> = Vec::new();
        for (table, change) in tables {
            let Some((key, entry)) = pick(&pins, *table) else { continue };
            if written.iter().any(|(known, _)| known == key) {
                continue;
            }
            let Some((mut table, mut rows)) = self.open_to_write(&branch, entry).await? else {
                self.did("refused", &format!("{key} on {branch} cannot be forked"));
                continue;
            };
            match dies {
                Some(Death::Forked) => continue,
                Some(Death::Staged) => {
                    let before = disk::files(&self.directory_of(&entry.location))?;
                    stage(&table, &[("staged".to_owned(), "never seen".to_owned())]).await?;
                    self.note_litter(&entry.location, &before)?;
                    continue;
                }
                _ => self.change(&mut table, &mut rows, *change).await?,
            }
            self.note_version(&entry.location, &branch, &table, rows);
            let version = table.manifest().version;
            if matches!(dies, Some(Death::Committed | Death::MidPublish)) {
                let (key, branch, expected) = (key.clone(), branch.clone(), entry.clone());
                self.model.stalled.push(Stalled { key, branch, version, expected });
            }
            written.push((key.clone(), table));
        }
        let what: Vec<String> = written
            .iter()
            .map(|(key, table)| format!("{key} at {}", table.manifest().version))
            .collect();
        match dies {
            Some(death) => self.did("died", &format!("on {branch}: {what:?}, then {death:?}")),
            None => self.did("written", &format!("on {branch}: {what:?}")),
        }
        match dies {
            None => self.publish(&branch, written, None).await,
            Some(Death::MidPublish) => self.half_publish(&branch, &written).await,
            Some(_) => Ok(()),
        }
    }

    async fn change(&mut self, table: &mut Dataset, rows: &mut Rows, change: Change) -> Result<()> {
        let ids: Vec<String> = rows.keys().cloned().collect();
        let number = self.number();
        match change {
            Change::Delete(roll) if !ids.is_empty() => {
                let id = pick(&ids, roll).context("there are some")?;
                table.delete(&format!("id = '{id}'")).await?;
                rows.remove(id);
            }
            Change::Update(roll) if !ids.is_empty() => {
                let id = pick(&ids, roll).context("there are some")?;
                let update = UpdateBuilder::new(Arc::new(table.clone()))
                    .update_where(&format!("id = '{id}'"))?
                    .set("note", &format!("'note {number}'"))?
                    .build()?;
                *table = update.execute().await?.new_dataset.as_ref().clone();
                rows.insert(id.clone(), format!("note {number}"));
            }
            Change::Append(roll) | Change::Delete(roll) | Change::Update(roll) => {
                let more: Rows = (0..=roll % 3)
                    .map(|n| (format!("r{number:03}{n}"), format!("note {number}")))
                    .collect();
                add(table, rows, more).await?;
            }
        }
        Ok(())
    }

    /// Pins tables of a branch at the versions the handles stand at.
    async fn publish(
        &mut self,
        branch: &str,
        tables: Vec<(String, Dataset)>,
        merged: Option<&str>,
    ) -> Result<()> {
        if tables.is_empty() {
            return Ok(());
        }
        let now = self.tick();
        let pinned: Vec<(&str, &Dataset)> =
            tables.iter().map(|(key, table)| (key.as_str(), table)).collect();
        let publish = self.writer.begin_publish(branch, &pinned, merged, now).await?;
        let (manifest, commit) = publish.commit().await?;
        let facts = self.model.branches.get_mut(branch).context("a live branch")?;
        for (key, table) in &tables {
            let pin = facts.pins.get_mut(key).context("a table of the branch")?;
            pin.version = table.manifest().version;
            pin.branch = table.manifest().branch.clone().unwrap_or_else(|| MAIN.to_owned());
        }
        self.note_commit(commit, &manifest);
        Ok(())
    }

    async fn half_publish(&mut self, branch: &str, tables: &[(String, Dataset)]) -> Result<()> {
        let now = self.tick();
        let pinned: Vec<(&str, &Dataset)> =
            tables.iter().map(|(key, table)| (key.as_str(), table)).collect();
        let before = disk::files(&self.directory_of(MANIFEST))?;
        self.writer.begin_publish(branch, &pinned, None, now).await?.die().await?;
        self.note_litter(MANIFEST, &before)
    }

    /// A writer that was only slow publishes after all, if its branch is as it was.
    async fn finish(&mut self, which: Roll) -> Result<()> {
        let Some(stalled) = pick(&self.model.stalled, which).cloned() else { return Ok(()) };
        let Stalled { key, branch, version, expected } = stalled;
        let live = self.model.branches.get(&branch);
        let is_as_it_was = live.is_some_and(|live| live.pins.get(&key) == Some(&expected));
        let own = Entry { branch: branch.clone(), version, ..expected };
        let is_there = self.model.rows_at(&own).is_some()
            && !self.model.dataset(&own.location).chains[&branch].is_zombie;
        if is_as_it_was && is_there {
            let table = self.writer.open(&own.location, &branch, Some(version)).await?;
            self.did("finished", &format!("{key} on {branch} at {version}"));
            self.publish(&branch, vec![(key, table)], None).await?;
        }
        Ok(())
    }

    async fn branch(&mut self, name: Roll, from: Roll) -> Result<()> {
        let free: Vec<&str> =
            BRANCHES.into_iter().filter(|name| !self.model.branches.contains_key(*name)).collect();
        let Some(name) = pick(&free, name).copied() else { return Ok(()) };
        let from = self.pick_branch(from);
        let cut_at = self.model.head(MANIFEST, &from).context("a branch has a head")?;
        let manifest = self.writer.create_branch(name, &from).await?;
        self.did("branched", &format!("{name} from {from} at {cut_at}"));
        self.note_cut(MANIFEST, name, (from.clone(), cut_at));
        self.note_version(MANIFEST, name, &manifest, Rows::new());
        let parent = self.model.branches[&from].clone();
        let branch = BranchModel { parent: Some(from), ..parent };
        self.model.branches.insert(name.to_owned(), branch);
        Ok(())
    }

    async fn unbranch(&mut self, branch: Roll) -> Result<()> {
        let names: Vec<String> =
            self.model.branches.keys().filter(|n| self.model.is_deletable(n)).cloned().collect();
        let Some(name) = pick(&names, branch) else { return Ok(()) };
        self.writer.delete_branch(name).await?;
        self.did("unbranched", name);
        self.model.branches.remove(name);
        self.model.forget_chain(MANIFEST, name);
        Ok(())
    }

    /// Brings a branch's tables into another: by pointer where the rows lie on main, else by
    /// writing what is missing.
    async fn merge(&mut self, from: Roll, into: Roll) -> Result<()> {
        let (from, into) = (self.pick_branch(from), self.pick_branch(into));
        if from == into {
            return Ok(());
        }
        let mut tables = Vec::new();
        let mut what = Vec::new();
        let theirs = self.model.branches[&from].pins.clone();
        for (key, own) in self.pins(&into) {
            let Some(source) = theirs.get(&key).filter(|source| **source != own) else { continue };
            let missing: Rows = {
                let have = self.rows_of(&own)?;
                let rows = self.rows_of(source)?.into_iter();
                rows.filter(|(id, _)| !have.contains_key(id)).collect()
            };
            if source.branch == MAIN && source.version > own.version {
                let table = self.writer.open(&source.location, MAIN, Some(source.version)).await?;
                what.push(format!("{key} points to {}", source.version));
                tables.push((key, table));
            } else if !missing.is_empty()
                && let Some((mut table, mut rows)) = self.open_to_write(&into, &own).await?
            {
                add(&mut table, &mut rows, missing).await?;
                self.note_version(&own.location, &into, &table, rows);
                what.push(format!("{key} written at {}", table.manifest().version));
                tables.push((key, table));
            }
        }
        self.did("merged", &format!("{from} into {into}: {what:?}"));
        let head = self.model.branches[&from].commits.first().cloned();
        self.publish(&into, tables, head.as_deref()).await
    }

    async fn tag(&mut self, version: Roll) -> Result<()> {
        let places: Vec<Place> =
            self.model.existing().into_iter().filter(|(l, ..)| l != MANIFEST).collect();
        // Old ones are nobody's but the tag's.
        let Some((location, branch, version)) = pick(&places, version).cloned() else {
            return Ok(());
        };
        let name = format!("t{}", self.number());
        let table = self.writer.open(&location, MAIN, None).await?;
        let lance_branch = (branch != MAIN).then(|| branch.clone());
        table.tags().create(&name, Ref::Version(lance_branch, Some(version))).await?;
        let dataset = self.model.dataset_mut(&location);
        let what = format!("{name} on {} {branch} {version}", dataset.key);
        dataset.tags.insert(name, (branch, version));
        self.did("tagged", &what);
        Ok(())
    }

    async fn untag(&mut self, tag: Roll) -> Result<()> {
        let datasets = self.model.datasets.iter();
        let tags: Vec<(String, String)> = datasets
            .flat_map(|(location, d)| d.tags.keys().map(|tag| (location.clone(), tag.clone())))
            .collect();
        let Some((location, name)) = pick(&tags, tag) else { return Ok(()) };
        let table = self.writer.open(location, MAIN, None).await?;
        table.tags().delete(name).await?;
        self.model.dataset_mut(location).tags.remove(name);
        self.did("untagged", name);
        Ok(())
    }

    /// Drops a type from a branch, by a tombstone. One stays.
    async fn drop_table(&mut self, branch: Roll, table: Roll) -> Result<()> {
        let branch = self.pick_branch(branch);
        let pins = self.pins(&branch);
        let Some((key, entry)) = pick(&pins, table).filter(|_| pins.len() > 1) else {
            return Ok(());
        };
        let now = self.tick();
        let publish = self.writer.begin_drop(&branch, key, entry.version, now).await?;
        let (manifest, commit) = publish.commit().await?;
        self.model.branches.get_mut(&branch).context("a live branch")?.pins.remove(key);
        self.note_commit(commit, &manifest);
        self.did("dropped", &format!("{key} from {branch}"));
        Ok(())
    }

    fn litter(&mut self, chain: Roll, is_old: bool) -> Result<()> {
        let chains: Vec<(String, String)> = self
            .model
            .datasets
            .iter()
            .flat_map(|(location, dataset)| {
                let chains = dataset.chains.iter().filter(|(_, chain)| !chain.is_zombie);
                chains.map(|(branch, _)| (location.clone(), branch.clone()))
            })
            .collect();
        let Some((location, branch)) = pick(&chains, chain).cloned() else { return Ok(()) };
        let below = if branch == MAIN { String::new() } else { format!("tree/{branch}/") };
        let path = format!("{below}data/litter{}.lance", self.number());
        let file = self.directory_of(&location).join(&path);
        fs::create_dir_all(file.parent().context("a file has a directory")?)?;
        fs::write(&file, b"nobody's")?;
        if is_old {
            let file = File::options().write(true).open(&file)?;
            file.set_modified(SystemTime::now() - A_MONTH)?;
        }
        self.did("littered", &format!("{location}: {path}, old: {is_old}"));
        self.model.dataset_mut(&location).litter.insert(path, Litter { branch, is_old });
        Ok(())
    }

    async fn half_fork(&mut self, branch: Roll, table: Roll) -> Result<()> {
        let branch = self.pick_branch(branch);
        let pins = self.pins(&branch);
        let Some((key, entry)) = pick(&pins, table) else { return Ok(()) };
        if entry.branch == branch || !self.can_fork(&entry.location, &branch) {
            return Ok(());
        }
        self.open_to_write(&branch, entry).await?;
        fs::remove_file(self.directory_of(&entry.location).join(disk::branch_file(&branch)))?;
        let chains = &mut self.model.dataset_mut(&entry.location).chains;
        let chain = chains.get_mut(&branch).context("it was just cut")?;
        (chain.is_zombie, chain.cut_from) = (true, None);
        self.did("half forked", &format!("{key} on {branch}"));
        Ok(())
    }
}

async fn add(table: &mut Dataset, rows: &mut Rows, more: Rows) -> Result<()> {
    append(table, &more.clone().into_iter().collect::<Vec<_>>()).await?;
    rows.extend(more);
    Ok(())
}
