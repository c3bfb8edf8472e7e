//! One cleanup on a thread and a runtime of its own: run to its end, failed or dropped at a
//! crossing of a failpoint, or held up while something else happens. When this returns, nothing of
//! it is running any more, as after a death.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use fail::FailGuard;
use lancekeeper::{CleanupOptions, CleanupReport, Keeper};
use lancekeeper_store::failpoint;

use super::disk;
use super::history::pick;
use super::steps::{End, Roll};

const FAILPOINTS: [&str; 7] = [
    failpoint::CLEANUP_RESOLVE_BRANCH,
    failpoint::CLEANUP_TABLE_GC,
    failpoint::CLEANUP_LISTED_PRE_DELETE,
    failpoint::CLEANUP_RECONCILE_FORK,
    failpoint::CLEANUP_MANIFESTS_PRE_FILES,
    failpoint::CLEANUP_DELETED_PRE_MARK,
    failpoint::CLEANUP_EMPTIED_PRE_DELETE,
];
/// A cleanup of a few small tables takes a second or two.
const PATIENCE: Duration = Duration::from_secs(120);

type Listed = BTreeSet<(String, String)>;

/// What a run came to.
pub(super) struct Ran {
    /// None when its future was dropped.
    pub(super) report: Option<CleanupReport>,
    /// Every path on every list it wrote: dataset and path.
    pub(super) listed: Listed,
    /// Where it was to end, or wait.
    pub(super) at: String,
}

/// Where lists are looked at: crossed with every list written, and before any goes.
struct Collector {
    listed: Arc<Mutex<Listed>>,
    graph: PathBuf,
}

impl Collector {
    fn new(graph: &Path) -> Self {
        Self { listed: Arc::default(), graph: graph.to_owned() }
    }

    /// What lists say that is not known yet.
    fn collect(&self) {
        let found = disk::listed(&self.graph).unwrap();
        self.listed.lock().unwrap().extend(found);
    }

    fn guard(&self, name: &'static str) -> FailGuard {
        let own = Self { listed: Arc::clone(&self.listed), graph: self.graph.clone() };
        FailGuard::with_callback(name, move || own.collect()).unwrap()
    }

    fn done(self) -> Listed {
        self.collect();
        std::mem::take(&mut self.listed.lock().unwrap())
    }
}

/// Runs a cleanup to its end.
pub(super) fn whole(graph: &Path, options: &CleanupOptions) -> Result<Ran> {
    let collector = Collector::new(graph);
    let guard = collector.guard(failpoint::CLEANUP_LISTED_PRE_DELETE);
    let report = finished(start(graph, options, Arc::default()))?;
    drop(guard);
    Ok(Ran { report, listed: collector.done(), at: "its end".to_owned() })
}

/// Ends a cleanup at a crossing of a failpoint. One that is never crossed lets it run.
pub(super) fn crash(
    graph: &Path,
    options: &CleanupOptions,
    name: Roll,
    crossing: Roll,
    end: End,
) -> Result<Ran> {
    let name = *pick(&FAILPOINTS, name).expect("there are some");
    let collector = Collector::new(graph);
    // Two callbacks at one failpoint are none.
    let other = match name {
        failpoint::CLEANUP_LISTED_PRE_DELETE => failpoint::CLEANUP_MANIFESTS_PRE_FILES,
        _ => failpoint::CLEANUP_LISTED_PRE_DELETE,
    };
    let collecting = collector.guard(other);
    let drop_after = Arc::new(DropAfter::default());
    let guard = match end {
        End::Fails { lastingly } => {
            let often = if lastingly { "" } else { "1*" };
            FailGuard::new(name, &format!("{crossing}*off->{often}return"))
        }
        End::Dropped { polls } => {
            let (left, drop_after) = (AtomicUsize::new(usize::from(crossing)), drop_after.clone());
            FailGuard::with_callback(name, move || {
                let before =
                    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
                if before.is_err() {
                    drop_after.arm(polls);
                }
            })
        }
    }
    .unwrap();
    let report = finished(start(graph, options, Arc::clone(&drop_after)))?;
    drop((guard, collecting));
    let at = format!("{name}, crossing {}, {end:?}", crossing + 1);
    Ok(Ran { report, listed: collector.done(), at })
}

/// A cleanup that looked at everything and waits before its first table.
pub(super) struct Waiting {
    running: JoinHandle<Option<CleanupReport>>,
    go: SyncSender<()>,
    collector: Collector,
    guards: (FailGuard, FailGuard),
}

/// Starts a cleanup and lets it wait there.
pub(super) fn held_up(graph: &Path, options: &CleanupOptions) -> Result<Waiting> {
    let collector = Collector::new(graph);
    let collecting = collector.guard(failpoint::CLEANUP_LISTED_PRE_DELETE);
    let (tell, told) = channel();
    let (go, gone) = sync_channel(1);
    let gone: Mutex<Receiver<()>> = Mutex::new(gone);
    let first = AtomicBool::new(true);
    let guard = FailGuard::with_callback(failpoint::CLEANUP_TABLE_GC, move || {
        if first.swap(false, Ordering::SeqCst) {
            tell.send(()).unwrap();
            gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
    })
    .unwrap();
    let running = start(graph, options, Arc::default());
    let waiting = Waiting { running, go, collector, guards: (guard, collecting) };
    match told.recv_timeout(PATIENCE) {
        Ok(()) => Ok(waiting),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            bail!("the cleanup did not get to its first table")
        }
    }
}

impl Waiting {
    /// Lets it go on to its end.
    pub(super) fn go_on(self) -> Result<Ran> {
        self.go.send(())?;
        let report = finished(self.running)?;
        drop(self.guards);
        let at = "its end, held up at its first table".to_owned();
        Ok(Ran { report, listed: self.collector.done(), at })
    }
}

/// What a cleanup would do.
pub(super) async fn preview(graph: &Path, options: &CleanupOptions) -> CleanupReport {
    Keeper::new().plan_cleanup(&[graph.to_string_lossy().into_owned()], options).await
}

fn start(
    graph: &Path,
    options: &CleanupOptions,
    drop_after: Arc<DropAfter>,
) -> JoinHandle<Option<CleanupReport>> {
    let (uri, options) = (graph.to_string_lossy().into_owned(), options.clone());
    spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Dropped at the end of this, it waits for what blocks.
        runtime.block_on(async {
            let keeper = Keeper::new();
            let run = Box::pin(async move { keeper.cleanup(&[uri], &options).await });
            Droppable { run: Some(run), drop_after }.await
        })
    })
}

fn finished(running: JoinHandle<Option<CleanupReport>>) -> Result<Option<CleanupReport>> {
    let joined = running.join();
    ensure!(joined.is_ok(), "the cleanup panicked");
    Ok(joined.ok().flatten())
}

/// Whether, and after how many polls, a future is dropped.
#[derive(Debug, Default)]
struct DropAfter {
    is_armed: AtomicBool,
    polls: AtomicUsize,
}

impl DropAfter {
    fn arm(&self, polls: Roll) {
        if !self.is_armed.load(Ordering::SeqCst) {
            self.polls.store(usize::from(polls), Ordering::SeqCst);
            self.is_armed.store(true, Ordering::SeqCst);
        }
    }

    fn is_due(&self) -> bool {
        let is_left = |n: usize| n.checked_sub(1);
        self.is_armed.load(Ordering::SeqCst)
            && self.polls.fetch_update(Ordering::SeqCst, Ordering::SeqCst, is_left).is_err()
    }
}

/// A future that may be dropped before its end.
struct Droppable<F> {
    run: Option<Pin<Box<F>>>,
    drop_after: Arc<DropAfter>,
}

impl<F: Future> Future for Droppable<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.drop_after.is_due() {
            self.run = None;
        }
        match &mut self.run {
            Some(run) => run.as_mut().poll(context).map(Some),
            None => Poll::Ready(None),
        }
    }
}
