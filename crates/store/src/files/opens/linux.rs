//! What Linux tells of opens (inotify), asked without waiting.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

/// Room for some hundred names at a time.
const BUFFER_BYTES: usize = 16 << 10;

/// A place to listen at.
#[derive(Debug)]
pub(super) struct Ear {
    listening: OwnedFd,
    buffer: Vec<MaybeUninit<u8>>,
}

impl Ear {
    pub(super) fn open() -> io::Result<Self> {
        let listening = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { listening, buffer: vec![MaybeUninit::uninit(); BUFFER_BYTES] })
    }

    /// Listens in a directory, and returns its number.
    pub(super) fn listen_in(&self, place: &Path) -> io::Result<i32> {
        Ok(inotify::add_watch(&self.listening, place, WatchFlags::OPEN | WatchFlags::ONLYDIR)?)
    }

    /// Everything that was told, oldest first: the number of the directory and the name of a file that was opened, or
    /// `None` for what was lost.
    pub(super) fn hear(&mut self, mut tell: impl FnMut(Option<(i32, &str)>)) {
        let mut reader = Reader::new(&self.listening, &mut self.buffer);
        // It would block once there is nothing more. Whatever else it says, nothing more is heard.
        while let Ok(event) = reader.next() {
            let events = event.events();
            if events.contains(ReadFlags::QUEUE_OVERFLOW) {
                tell(None);
            } else if events.contains(ReadFlags::OPEN) && !events.contains(ReadFlags::ISDIR) {
                let name = event.file_name().map(|name| name.to_string_lossy());
                tell(name.as_deref().map(|name| (event.wd(), name)));
            }
        }
    }
}
