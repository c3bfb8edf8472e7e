//! What Linux tells of directories (inotify). A thread of its own waits for it, as the kernel wants to be waited for.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::fs::inotify::{self, CreateFlags, Event, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::sync::Notify;

use super::Said;

/// Room for some hundred names at a time.
const BUFFER_BYTES: usize = 16 << 10;
/// What is kept for whoever listens; beyond that it is only told that much happened.
const KEPT_MAX: usize = 4_096;

/// A place to listen at.
#[derive(Debug)]
pub(super) struct Kernel {
    listening: Arc<OwnedFd>,
    told: Arc<Told>,
    /// What is listened to from the beginning, so that to listen to it no more wakes the thread: that needs no room.
    alarm: i32,
}

/// What was told and not heard yet.
#[derive(Debug, Default)]
struct Told {
    said: Mutex<Vec<Said>>,
    news: Notify,
    is_over: AtomicBool,
}

impl Kernel {
    pub(super) fn open() -> io::Result<Self> {
        let listening = Arc::new(inotify::init(CreateFlags::CLOEXEC)?);
        let alarm = inotify::add_watch(&listening, "/", WatchFlags::DELETE_SELF)?;
        let told = Arc::<Told>::default();
        let (from, to) = (Arc::clone(&listening), Arc::clone(&told));
        thread::Builder::new().name("notices".to_owned()).spawn(move || listen(&from, &to))?;
        Ok(Self { listening, told, alarm })
    }

    /// Listens to a directory, and returns its number.
    pub(super) fn add(&self, place: &Path) -> io::Result<i32> {
        let told = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVE_SELF
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR;
        Ok(inotify::add_watch(&self.listening, place, told)?)
    }

    /// Listens to a directory no more. It may be gone.
    pub(super) fn remove(&self, number: i32) {
        // The kernel has forgotten one that is gone.
        let _ = inotify::remove_watch(&self.listening, number);
    }

    /// Waits for what there is to tell. Cancelled, it has taken nothing.
    pub(super) async fn heard(&self) -> Vec<Said> {
        loop {
            let said = self.told.take();
            if !said.is_empty() {
                return said;
            }
            self.told.news.notified().await;
        }
    }
}

impl Drop for Kernel {
    /// Ends the thread: it waits for the kernel to say something, and to listen to nothing any more is something.
    fn drop(&mut self) {
        self.told.is_over.store(true, Ordering::SeqCst);
        self.remove(self.alarm);
    }
}

impl Told {
    fn take(&self) -> Vec<Said> {
        std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, news: Said) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < KEPT_MAX {
            said.push(news);
        } else {
            *said = vec![Said::Everything];
        }
        drop(said);
        self.news.notify_one();
    }
}

/// Tells what the kernel says until it is over.
fn listen(from: &OwnedFd, to: &Told) {
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER_BYTES];
    let mut reader = Reader::new(from, &mut buffer);
    while !to.is_over.load(Ordering::SeqCst) {
        match reader.next() {
            Ok(event) => {
                if let Some(news) = news(&event) {
                    to.tell(news);
                }
            }
            Err(Errno::INTR) => {}
            // Nothing is told from now on, and whoever asks by himself goes on.
            Err(_) => return,
        }
    }
}

fn news(event: &Event<'_>) -> Option<Said> {
    let gone = ReadFlags::MOVE_SELF | ReadFlags::DELETE_SELF | ReadFlags::IGNORED;
    // What is written beside its place, as NAME#N, is linked there next.
    let is_beside = event.file_name().is_some_and(|name| name.to_bytes().contains(&b'#'));
    match event.events() {
        events if events.contains(ReadFlags::QUEUE_OVERFLOW) => Some(Said::Everything),
        events if events.intersects(gone) => Some(Said::Gone(event.wd())),
        _ if is_beside => None,
        _ => Some(Said::Changed(event.wd())),
    }
}
