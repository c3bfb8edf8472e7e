//! The moment to commit: a run that is patient waits until no client of the graph is seen to write.
//!
//! A client takes no lock of ours, and leaves behind what it does: rows in files of their own before it looks whether
//! its tables are at their pins, then a sidecar, then a version of `__manifest`. All of that shows in the times of a few
//! directories, on a disk of this machine. Elsewhere nothing is seen but sidecars.
//!
//! It is no exclusion. What a client does that was not seen is found by the re-check, as ever.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_manifest::{FoundSidecar, RECOVERY_DIR, Sidecar};
use lancekeeper_model::Branch;
use lancekeeper_planner::moment::{Neighbours, is_moment, is_still_moment};
use lancekeeper_store::root::MANIFEST_DIR;
use lancekeeper_store::{Files, FilesError};

use super::member::{Member, Window};

/// How often is looked. A few directories are asked for their times, on a thread of their own.
const LOOK_EVERY: Duration = Duration::from_millis(15);
/// Whose sidecar is older than this writes for long, or died: the re-check leaves its tables alone.
const COMMITS_FOR: TimeDelta = TimeDelta::seconds(30);

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

impl<'a> Moment<'a> {
    pub(super) fn of(window: &'a Window<'a>, members: &[Member<'_>]) -> Self {
        let branch = &window.graph.snapshot.branch;
        let is_own =
            |location: &&str| members.iter().any(|member| member.target().location == **location);
        let locations = window.graph.snapshot.pins.iter().map(|pin| pin.location.as_str());
        let (own, others): (Vec<&str>, Vec<&str>) = locations.partition(is_own);
        let data = |locations: Vec<&str>| -> Vec<String> {
            locations.into_iter().map(|location| below(location, branch, "data")).collect()
        };
        Self {
            window,
            files: window.run.write.read.root.files(),
            own: data(own),
            others: data(others),
            ends: vec![below(MANIFEST_DIR, branch, "_versions"), RECOVERY_DIR.to_owned()],
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
        while self.may_wait() {
            self.seen = self.look().await;
            if is_moment(self.seen.at(Utc::now()), self.began.elapsed(), patience) {
                return;
            }
            // Whoever is asked to stop looks for that by itself.
            let _ = stop.unless_requested(tokio::time::sleep(LOOK_EVERY)).await;
        }
    }

    /// Whether the moment has passed, or a writer is seen that was not there when it came; and there is time for another
    /// one.
    pub(super) async fn is_over(&self) -> bool {
        if !self.may_wait() {
            return false;
        }
        let now = self.look().await;
        let is_news = now.staged > self.seen.staged || now.ended > self.seen.ended;
        let (waited, patience) = (self.began.elapsed(), self.patience());
        is_news || !is_still_moment(now.at(Utc::now()), waited, patience)
    }

    /// Takes note that the newest changes are those of the run.
    pub(super) async fn was_used(&self) {
        let context = &self.window.run.context;
        if self.patience().is_zero() {
            return;
        }
        if let Ok(Some(ours)) = self.files.last_change(&self.ends).await {
            let root = &self.window.run.write.read.root.address;
            context.yielding.ended(root, ours, self.seen.ended);
        }
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
    fn at(self, now: DateTime<Utc>) -> Neighbours {
        // A disk whose clock is ahead of ours has changed just now.
        let since = |at: DateTime<Utc>| (now - at).to_std().unwrap_or_default();
        Neighbours {
            is_committing: self.is_committing,
            staged: self.staged.map(since),
            ended: self.ended.map(since),
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
