//! The moment to commit: a run that is patient waits until no client of the graph is in the middle of anything, and
//! keeps those that begin meanwhile at the gate.
//!
//! A client takes no lock of ours. What it does can be noticed, on a disk of this machine:
//!
//! * It opens the newest version of `__manifest` first, twice and more often, then the files of the schema. Linux tells
//!   of opens, though not by whom: so whoever else opens those in this process keeps still while a run waits
//!   (`service::watch`), and what the run itself opens is known.
//! * It writes rows to files of their own before it looks whether its tables are at their pins, then a sidecar, then a
//!   version of `__manifest`. All of that shows in the times of a few directories.
//!
//! The gate is that newest version: who opens it while the gate is closed waits until the window is published, and then
//! begins with what there is. So nobody can begin in the middle of a window, however long it takes.
//!
//! It is no exclusion. Who keeps a graph open for long has no gate to pass, and elsewhere than on Linux there is none.
//! What a client does that was not seen is found by the re-check, as ever.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_manifest::{FoundSidecar, RECOVERY_DIR, Sidecar};
use lancekeeper_model::Branch;
use lancekeeper_planner::moment::{
    Begun, Entry, Neighbours, Verdict, is_anybody_inside, moment, still_moment,
};
use lancekeeper_store::files::{Closing, Gate, Opens};
use lancekeeper_store::root::MANIFEST_DIR;
use lancekeeper_store::{Files, FilesError};

use super::member::{Member, Window};

/// How often is looked. A few directories are asked for their times, on a thread of their own.
const LOOK_EVERY: Duration = Duration::from_millis(15);
/// Whose sidecar is older than this writes for long, or died: the re-check leaves its tables alone.
const COMMITS_FOR: TimeDelta = TimeDelta::seconds(30);
/// For so long the run is still once the gate is closed, to hear who is inside: who has begun opens a file of the
/// schema, or writes rows, before that is over.
const LISTENS_FOR: Duration = Duration::from_millis(250);
/// The gate opens by itself after this. Usually a window is over much earlier.
const CLOSED_MOST: Duration = Duration::from_secs(4);
/// How often the run opens the file at the gate while it closes it: to learn which it is, if it is not in the caches,
/// and to close it.
const OWN_OPENS: usize = 2;
/// What is opened by those that have begun, and by nobody else in this process while a run is still.
const SCHEMA_FILES: [&str; 3] = ["_schema.pg", "_schema.ir.json", "__schema_state.json"];

/// A run that waits for its moment.
pub(super) struct Moment<'a> {
    window: &'a Window<'a>,
    files: Files,
    /// Where writers put rows of the tables of the window; the run itself has done so before.
    own: Vec<String>,
    /// Where they put rows of the other tables.
    others: Vec<String>,
    /// What changes when a write ends.
    ends: Vec<String>,
    /// Who opens the files that a client opens first.
    opens: Option<Opens>,
    /// When somebody was heard last who has begun and was not seen to end.
    heard: Option<Instant>,
    /// Where those that begin wait.
    gate: Option<Gate>,
    began: Instant,
    since: DateTime<Utc>,
    seen: Look,
}

/// What was seen of writers.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    is_committing: bool,
    /// When rows were written last that belong to no write that has ended.
    staged: Option<DateTime<Utc>>,
    /// When a write of others ended last.
    ended: Option<DateTime<Utc>>,
}

/// What was opened of the files that a client opens when it begins.
#[derive(Debug, Clone, Copy, Default)]
struct Openings {
    /// Versions of `__manifest` on main.
    versions: usize,
    is_schema: bool,
}

impl<'a> Moment<'a> {
    pub(super) async fn of(window: &'a Window<'a>, members: &[Member<'_>]) -> Self {
        let branch = &window.graph.snapshot.branch;
        let is_own =
            |location: &&str| members.iter().any(|member| member.target().location == **location);
        let locations = window.graph.snapshot.pins.iter().map(|pin| pin.location.as_str());
        let (own, others): (Vec<&str>, Vec<&str>) = locations.partition(is_own);
        let data = |locations: Vec<&str>| -> Vec<String> {
            locations.into_iter().map(|location| below(location, branch, "data")).collect()
        };
        let files = window.run.write.read.root.files();
        let opens = match window.run.context.yielding.patience.is_zero() {
            true => None,
            false => Opens::of(&files, &["", &versions()]).await,
        };
        Self {
            window,
            own: data(own),
            others: data(others),
            ends: vec![below(MANIFEST_DIR, branch, "_versions"), RECOVERY_DIR.to_owned()],
            opens,
            heard: None,
            gate: None,
            files,
            began: Instant::now(),
            since: Utc::now(),
            seen: Look::default(),
        }
    }

    fn patience(&self) -> Duration {
        self.window.run.context.yielding.patience
    }

    fn may_wait(&self) -> bool {
        self.began.elapsed() < self.patience() && !self.window.run.context.stop.is_requested()
    }

    /// Waits for it, as long as the run is patient and nobody asks it to stop.
    ///
    /// # Cancel safety
    ///
    /// Nothing was done.
    pub(super) async fn wait(&mut self) {
        let (patience, stop) = (self.patience(), &self.window.run.context.stop);
        self.gate = None;
        while self.may_wait() {
            self.listen();
            let now = self.look().await;
            if now.ended > self.seen.ended && !now.is_committing {
                // It was the one that was heard, so far as can be told; another one is heard again.
                self.heard = None;
            }
            self.seen = now;
            let neighbours = now.at(Utc::now(), self.begun());
            if moment(neighbours, self.began.elapsed(), patience) != Verdict::Wait {
                return;
            }
            // Whoever is asked to stop looks for that by itself.
            let _ = stop.unless_requested(tokio::time::sleep(LOOK_EVERY)).await;
        }
    }

    /// Closes the gate, where there is one, and listens whether anybody is inside. Returns whether nobody is, or
    /// nobody is waited for any more. Where there is no gate, whoever waits is let go.
    ///
    /// # Cancel safety
    ///
    /// The gate opens with the moment.
    pub(super) async fn close_gate(&mut self) -> bool {
        if self.patience().is_zero() {
            return true;
        }
        let closed = self.try_close_gate().await;
        if closed != Some(false) || !self.may_wait() {
            return true;
        }
        self.gate = None;
        self.heard = Some(Instant::now());
        false
    }

    /// Whether the gate is closed and nobody is inside; `None` where there is no gate.
    async fn try_close_gate(&mut self) -> Option<bool> {
        self.listen();
        let neighbours = Neighbours { begun: self.begun(), ..Neighbours::default() };
        if still_moment(neighbours, self.began.elapsed(), self.patience()) == Verdict::Wait {
            return Some(false);
        }
        let before = self.files.changed(&versions()).await.ok()?;
        let file = self.window.graph.graph.newest_version_file().await.ok()?;
        let closing = self.files.close_gate(&file, CLOSED_MOST).await.ok()?;
        let is_newest = self.files.changed(&versions()).await.ok()? == before;
        let opened = self.openings();
        match closing {
            Closing::Impossible => return None,
            // Where nobody was heard, it is not somebody who has just begun.
            Closing::Busy => return (opened.versions > OWN_OPENS).then_some(false),
            Closing::Closed(_) if !is_newest => return Some(false),
            Closing::Closed(gate) => self.gate = Some(gate),
        }
        let mut entry = Entry { opened: opened.versions, by_us: OWN_OPENS, ..Entry::default() };
        let closed = Instant::now();
        while closed.elapsed() < LISTENS_FOR && self.may_wait() {
            let is_waited_for = self.gate.as_ref().is_some_and(Gate::is_waited_for);
            entry.knocked = entry.knocked.or_else(|| is_waited_for.then(|| closed.elapsed()));
            entry.is_heard_inside |= self.openings().is_schema;
            if is_anybody_inside(entry) {
                return Some(false);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Some(true)
    }

    /// Whether the moment has passed, or a writer is seen that was not there when it came; and there is time for another
    /// one.
    pub(super) async fn is_over(&mut self) -> bool {
        if !self.may_wait() {
            return false;
        }
        let now = self.look().await;
        let is_news = now.staged > self.seen.staged || now.ended > self.seen.ended;
        let has_opened = self.gate.as_ref().is_some_and(|gate| !gate.is_closed());
        // The run itself has opened the files of the schema meanwhile.
        let opened = self.openings().versions;
        let begun = match (&self.gate, &self.opens) {
            (Some(_), _) => Begun::Nobody,
            (None, None) => Begun::Unknown,
            (None, Some(_)) if opened == 0 => self.begun(),
            (None, Some(_)) => {
                self.heard = Some(Instant::now());
                self.begun()
            }
        };
        let neighbours = now.at(Utc::now(), begun);
        let waited = self.began.elapsed();
        is_news || has_opened || still_moment(neighbours, waited, self.patience()) == Verdict::Wait
    }

    /// Whether a client may be in the middle of something, and has been waited for long enough.
    pub(super) fn is_out_of_patience(&self) -> bool {
        let patience = self.patience();
        !patience.is_zero() && self.began.elapsed() >= patience
    }

    /// Takes note that the newest changes are those of the run, and opens the gate.
    pub(super) async fn was_used(&mut self) {
        self.gate = None;
        let context = &self.window.run.context;
        if self.patience().is_zero() {
            return;
        }
        if let Ok(Some(ours)) = self.files.last_change(&self.ends).await {
            let root = &self.window.run.write.read.root.address;
            context.yielding.ended(root, ours, self.seen.ended);
        }
    }

    /// Takes note of who has begun since it was listened last; the run itself has opened nothing.
    fn listen(&mut self) {
        let Openings { versions, is_schema } = self.openings();
        if versions > 0 || is_schema {
            self.heard = Some(Instant::now());
        }
    }

    fn begun(&self) -> Begun {
        match (&self.opens, self.heard) {
            (None, _) => Begun::Unknown,
            (Some(_), None) => Begun::Nobody,
            (Some(_), Some(heard)) => Begun::Heard(heard.elapsed()),
        }
    }

    fn openings(&mut self) -> Openings {
        let Some(opens) = &mut self.opens else { return Openings::default() };
        let opened = opens.heard();
        let (manifest, mut openings) = (versions(), Openings::default());
        for file in &opened.files {
            match file.strip_prefix(manifest.as_str()) {
                Some(file) => openings.versions += usize::from(file.ends_with(".manifest")),
                None => openings.is_schema |= SCHEMA_FILES.contains(&file.as_str()),
            }
        }
        if opened.is_more {
            // All of them, for all that is known.
            openings = Openings { versions: usize::MAX, is_schema: true };
        }
        openings
    }

    async fn look(&self) -> Look {
        self.try_look().await.unwrap_or_else(|error| {
            // The re-check says what cannot be read.
            tracing::debug!(target: "lancekeeper::optimize", %error, "writers cannot be seen");
            Look::default()
        })
    }

    async fn try_look(&self) -> Result<Look, FilesError> {
        let newest = self.files.last_change(&self.ends).await?;
        let own = self.files.last_change(&self.own).await?.filter(|own| *own > self.since);
        let staged = own.max(self.files.last_change(&self.others).await?);
        let root = &self.window.run.write.read.root.address;
        Ok(Look {
            is_committing: self.is_anybody_committing().await,
            staged: staged.filter(|staged| Some(*staged) > newest),
            ended: self.window.run.context.yielding.others(root, newest),
        })
    }

    async fn is_anybody_committing(&self) -> bool {
        let Ok(found) = self.window.graph.sidecars.list().await else { return false };
        let now = Utc::now();
        let is_young = |found: &FoundSidecar| {
            let began = found.content.as_ref().ok().and_then(Sidecar::began);
            began.is_some_and(|began| (now - began).abs() < COMMITS_FOR)
        };
        found.iter().filter(|found| found.our_operation().is_none()).any(is_young)
    }
}

impl Look {
    fn at(self, now: DateTime<Utc>, begun: Begun) -> Neighbours {
        // A disk whose clock is ahead of ours has changed just now.
        let since = |at: DateTime<Utc>| (now - at).to_std().unwrap_or_default();
        Neighbours {
            is_committing: self.is_committing,
            staged: self.staged.map(since),
            ended: self.ended.map(since),
            begun,
        }
    }
}

/// A directory of a table, on a branch.
fn below(location: &str, branch: &Branch, name: &str) -> String {
    match branch.name() {
        None => format!("{location}/{name}"),
        Some(branch) => format!("{location}/tree/{branch}/{name}"),
    }
}

/// Where versions of `__manifest` appear on main: what every client reads first, whatever it is to do.
fn versions() -> String {
    below(MANIFEST_DIR, &Branch::main(), "_versions")
}
