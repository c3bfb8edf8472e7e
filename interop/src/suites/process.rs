//! A client's command in a process of its own, which can be stopped, sent on and killed.

use std::fs::{self, File};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::output;

/// No command on a small graph takes a second, even on a busy machine.
const LONGEST: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_micros(200);

/// A command that was started. It is killed if it is dropped before its end.
pub(super) struct Process {
    child: Child,
    /// Where it writes what it says.
    files: TempDir,
}

/// How a command ended.
pub(super) struct End {
    pub(super) status: ExitStatus,
    /// What it wrote on stderr.
    pub(super) said: String,
}

impl Process {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let files = tempfile::tempdir()?;
        // Files, not pipes: nobody reads while we wait for something else.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(files.path().join("stderr"))?);
        let child = command.spawn().context("failed to start a client")?;
        Ok(Self { child, files })
    }

    /// SIGSTOP.
    pub(super) fn stop(&self) -> Result<()> {
        self.signal("-STOP")
    }

    /// SIGCONT.
    pub(super) fn go_on(&self) -> Result<()> {
        self.signal("-CONT")
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill().context("failed to kill a client")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        // Of a child that we have not waited for there is at least its entry, so that no other process
        // can have its number.
        output(Command::new("kill").args([signal, &self.child.id().to_string()])).map(drop)
    }

    pub(super) fn ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for the end, however it ends.
    pub(super) fn wait(&mut self) -> Result<End> {
        let end = Instant::now() + LONGEST;
        loop {
            if let Some(status) = self.child.try_wait()? {
                let said = fs::read_to_string(self.files.path().join("stderr"))?;
                return Ok(End { status, said });
            }
            ensure!(Instant::now() < end, "a client does not end within {LONGEST:?}");
            std::thread::sleep(POLL);
        }
    }

    /// Waits until something is so, or the command has ended. Returns whether it is so.
    pub(super) fn wait_until(&mut self, is_so: impl Fn() -> Result<bool>) -> Result<bool> {
        let end = Instant::now() + LONGEST;
        loop {
            // First: what the command did last counts, too.
            let ended = self.ended()?;
            if is_so()? {
                return Ok(true);
            }
            if ended {
                return Ok(false);
            }
            ensure!(Instant::now() < end, "a client neither does what we wait for nor ends");
            std::hint::spin_loop();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Of a child that has ended both do nothing.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
