//! What is begun: opening roots, looks, and the jobs that were decided.

use std::time::Duration;

use chrono::Utc;
use lancekeeper_model::{ErrorKind, TableKey};
use lancekeeper_planner::schedule::{
    Job, Schedule, TURN_OF_ROOT, TableState, Wait, Work, schedule,
};

use super::super::event::WatchEventKind;
use super::super::look::{Request, look};
use super::super::noops::{self, WRITE_EVERY};
use super::super::open::open;
use super::super::run::run;
use super::super::standing::{State, Table, Watched};
use super::{Actor, Doing, Message};

/// What waits for less is not told.
const TOLD_LEAST: Duration = Duration::from_secs(2);

impl Actor {
    /// Begins every look, and every attempt to open a root, whose time has come.
    pub(super) fn begin_looks(&mut self) {
        let at = self.at();
        for index in 0..self.roots.len() {
            match &self.roots[index].state {
                State::Closed { retry_at, failures } if *retry_at <= at => {
                    let failures = *failures;
                    // A single pass tries once.
                    if !(self.options.once && failures > 0) {
                        self.begin_open(index, failures);
                    }
                }
                State::Open(open) if open.may_look() && open.next_look <= at => {
                    if !(self.options.once && self.is_at_rest(index)) {
                        self.begin_look(index);
                    }
                }
                State::Closed { .. } | State::Opening { .. } | State::Open(_) => {}
            }
            self.begin_write(index, at);
        }
    }

    /// Counts runs without work, if there are some and the last write is long enough ago.
    fn begin_write(&mut self, index: usize, at: Duration) {
        let root = &mut self.roots[index];
        if root.noops.is_empty() || root.next_write > at {
            return;
        }
        let Some(files) = root.open().map(|open| open.root.files()) else { return };
        root.next_write = at.saturating_add(WRITE_EVERY);
        let counted = std::mem::take(&mut root.noops);
        let write = async move {
            noops::write(files, counted, Utc::now()).await;
            Message::Written
        };
        let id = self.tasks.spawn(write).id();
        self.doing.insert(id, Doing::Writing);
    }

    /// Of a single pass: whether everything in a root is known.
    fn is_at_rest(&self, index: usize) -> bool {
        let Some(open) = self.roots[index].open() else { return true };
        let is_known = |table: &Table| table.shape.is_some() || table.told.is_some();
        open.was_looked_at && open.tables.values().all(is_known)
    }

    fn begin_open(&mut self, index: usize, failures: u32) {
        let uri = self.roots[index].uri.clone();
        self.roots[index].state = State::Opening { failures };
        let task = async move { Message::Opened(open(uri, Utc::now()).await) };
        let id = self.tasks.spawn(task).id();
        self.doing.insert(id, Doing::Opening(index));
    }

    fn begin_look(&mut self, index: usize) {
        let at = self.at();
        let (keeper, file, confirm) =
            (self.keeper.clone(), self.file.clone(), self.options.confirm);
        let notices = self.notices.clone().map(|notices| (notices, index));
        let Some(open) = self.roots[index].open_mut() else { return };
        if let Err(error) = open.lock.check() {
            // Somebody moved or replaced the root: it is another one now.
            let text = error.to_string();
            return self.lose(index, 0, &text, error.kind());
        }
        open.begin_look(at);
        let known = open.tables.iter().map(|(key, table)| (key.clone(), table.known.clone()));
        let request = Request {
            keeper,
            root: open.root.clone(),
            notices,
            file,
            confirm,
            documents: open.documents.clone(),
            reload: std::mem::take(&mut open.reload),
            members: open.members.clone(),
            known: known.collect(),
            asked: open.asked.clone(),
        };
        let task = async move { Message::Looked(look(request).await.map(Box::new)) };
        let id = self.tasks.spawn(task).id();
        self.doing.insert(id, Doing::Looking(index));
    }

    /// Gives a root up until it is tried again. Its jobs run on: they fail or finish by themselves.
    pub(super) fn lose(&mut self, index: usize, failures: u32, why: &str, kind: ErrorKind) {
        let at = self.at();
        // It may be another directory when it is back.
        self.notices.iter().for_each(|notices| notices.forget(index));
        let root = &mut self.roots[index];
        root.close(at, failures.saturating_add(1));
        if root.is_news(why, kind) {
            let uri = root.uri.clone();
            self.tell(WatchEventKind::Lost, &uri, None, why);
        }
    }

    /// Decides what is done now, and begins it.
    pub(super) fn decide(&mut self) {
        let now = self.now();
        let running = self.doing.values().filter(|d| matches!(d, Doing::Running { .. })).count();
        let decided = {
            let tables = self.roots.iter().filter_map(Watched::open);
            let tables = tables.flat_map(|open| open.tables.values());
            let states: Vec<TableState<'_>> = tables
                .filter_map(|table| {
                    let (place, policy, memory) = (&table.place, &table.policy, &table.memory);
                    Some(TableState { place, shape: table.shape.as_ref()?, policy, memory })
                })
                .collect();
            schedule(&states, running, now)
        };
        self.ask_again = decided.ask_again.filter(|_| !self.options.once);
        self.note_due(&decided, now.at);
        if self.is_paused {
            return;
        }
        for wait in &decided.waits {
            self.tell_wait(wait, now.at);
        }
        for job in self.asked_for(&decided).into_iter().chain(decided.jobs) {
            self.begin_job(job);
        }
        self.settle_asked();
    }

    /// Since when tables wait.
    fn note_due(&mut self, decided: &Schedule, at: Duration) {
        for open in self.roots.iter_mut().filter_map(Watched::open_mut) {
            for table in open.tables.values_mut() {
                let due: Vec<Work> = decided.due_of(&table.place).collect();
                table.memory.saw_due(at, due);
            }
        }
    }

    /// Jobs for tables that somebody asked for and that nothing was decided about, where a plan has something to do.
    fn asked_for(&self, decided: &Schedule) -> Vec<Job> {
        let tables = self.roots.iter().filter_map(Watched::open);
        let tables = tables.flat_map(|open| open.tables.values());
        let asked = tables.filter(|table| {
            let is_begun = decided.jobs.iter().any(|job| job.place == table.place);
            table.is_asked && !is_begun && table.memory.running().is_none()
        });
        let job = |table: &Table| {
            let planned = table.shape?.planned?;
            (planned.fragments > 0).then(|| Job {
                place: table.place.clone(),
                work: Work::Compact,
                benefit: planned.fragments.saturating_sub(planned.leaves) as f64,
                cost: planned.bytes,
                rank: 0.0,
                reason: "somebody asked for it".to_owned(),
            })
        };
        asked.filter_map(job).collect()
    }

    /// Tells what something waits for, once for each thing, and not what is over in a moment.
    fn tell_wait(&mut self, wait: &Wait, at: Duration) {
        if wait.until.is_some_and(|until| until.saturating_sub(at) < TOLD_LEAST) {
            return;
        }
        let Some((_, table)) = self.table_mut(&wait.place.root, &wait.place.table) else { return };
        // The job that runs says enough.
        let is_turn = table.memory.running().is_some() || wait.why == TURN_OF_ROOT;
        if is_turn || table.told.as_ref() == Some(&wait.why) {
            return;
        }
        table.told = Some(wait.why.clone());
        let (root, table) = (wait.place.root.clone(), wait.place.table.clone());
        let text = format!("{}: {}", wait.work, wait.reason);
        self.tell(WatchEventKind::Waits, &root, Some(table), &text);
    }

    /// Forgets what somebody asked for of tables that a plan has nothing to do with, or that are not there.
    fn settle_asked(&mut self) {
        let mut settled = Vec::new();
        for root in &mut self.roots {
            let uri = root.uri.clone();
            let Some(open) = root.open_mut().filter(|open| open.was_looked_at) else { continue };
            let (tables, members) = (&mut open.tables, &open.members.tables);
            open.asked.retain(|key| {
                let text = match tables.get_mut(key) {
                    None if members.contains_key(key) => return true,
                    None => "there is no such table",
                    Some(table) => match table.shape.and_then(|shape| shape.planned) {
                        Some(planned) if planned.fragments == 0 && table.is_asked => {
                            table.is_asked = false;
                            "somebody asked for it, and there is nothing to do"
                        }
                        _ => return true,
                    },
                };
                settled.push((uri.clone(), key.clone(), text));
                false
            });
        }
        for (root, table, text) in settled {
            self.tell(WatchEventKind::NoOp, &root, Some(table), text);
        }
    }

    fn begin_job(&mut self, job: Job) {
        let at = self.at();
        let keeper = self.keeper.clone();
        let (work, key) = (job.work, job.place.table.clone());
        let is_once = self.options.once;
        let Some((index, table)) = self.table_mut(&job.place.root, &key) else { return };
        let Some(shape) = table.shape else { return };
        let (policy, version) = (table.policy.clone(), shape.version);
        // By the same clock as decisions.
        let began = if is_once { at + super::SETTLED_MOST } else { at };
        table.memory.began(work, began);
        if is_once {
            // A single pass does everything once, and what it has done takes no turn from others.
            table.memory.closes(work);
        }
        table.told = None;
        // Somebody who asked for a compaction does not get a cleanup instead.
        if work == Work::Compact {
            table.is_asked = false;
            if let Some(open) = self.roots[index].open_mut() {
                open.asked.remove(&key);
            }
        }
        let root = job.place.root.clone();
        let text = format!("{work}: {}", job.reason);
        self.tell(WatchEventKind::Began, &root, Some(key.clone()), &text);
        let task = async move { Message::Ran(run(keeper, root, job, policy, version).await) };
        let id = self.tasks.spawn(task).id();
        self.doing.insert(id, Doing::Running { root: index, table: key, work, version });
    }

    /// A table that is watched, with the place of its root.
    pub(super) fn table_mut(&mut self, root: &str, key: &TableKey) -> Option<(usize, &mut Table)> {
        let index = self.roots.iter().position(|known| known.uri == root)?;
        let table = self.roots[index].open_mut()?.tables.get_mut(key)?;
        Some((index, table))
    }
}
