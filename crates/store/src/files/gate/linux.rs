//! Leases of Linux. No crate that we have wraps them, so this asks the system itself.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use libc::c_int;

/// Which signal tells the process that somebody waits: number ten of the commands, which `libc` does not name
/// everywhere.
const F_SETSIG: c_int = 10;

/// A file that nobody else can open.
#[derive(Debug)]
pub(super) struct Lease(File);

impl Lease {
    /// Opens the file, and keeps everybody else from it. Would block while somebody has it open.
    pub(super) fn take(place: &Path) -> io::Result<Self> {
        let file = File::open(place)?;
        // Else the signal is one that ends a process which does not expect it. This one is ignored.
        ask(&file, F_SETSIG, libc::SIGURG)?;
        ask(&file, libc::F_SETLEASE, libc::F_WRLCK)?;
        Ok(Self(file))
    }

    pub(super) fn is_waited_for(&self) -> bool {
        // What is to become of it once it is given back: without anybody who waits, it stays.
        ask(&self.0, libc::F_GETLEASE, 0).is_ok_and(|becomes| becomes != libc::F_WRLCK)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Closing does it too, but not while a child that is being started has the file as well.
        let _ = ask(&self.0, libc::F_SETLEASE, libc::F_UNLCK);
    }
}

fn ask(file: &File, command: c_int, value: c_int) -> io::Result<c_int> {
    // SAFETY: the descriptor is open as long as `file` is, and these commands take and return numbers.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, value) };
    match answer {
        0.. => Ok(answer),
        _ => Err(io::Error::last_os_error()),
    }
}
