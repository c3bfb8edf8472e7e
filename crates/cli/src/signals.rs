//! The signals that ask this process to end, heard from its first moments on.
//!
//! Who asks before anything has begun must be heard, too: so they are listened to before the arguments are read, and
//! what was heard is kept until somebody looks. Not here: what is done about it (`run`, and `verbs::watch`).

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// How often this process was asked to end so far.
#[derive(Debug, Clone)]
pub(crate) struct Ends(watch::Receiver<u32>);

/// A runtime that hears the signals as long as it is there, and nothing else: the work gets threads of its own, whose priority
/// is not known yet. Where signals cannot be heard they end the process.
///
/// # Errors
///
/// When there is no runtime to be had.
pub(crate) fn listen() -> io::Result<(Runtime, Ends)> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_io().build()?;
    let (sender, receiver) = watch::channel(0);
    {
        let _within = runtime.enter();
        // Listened to from here on, not only once the task runs.
        if let Ok(mut asked) = Asked::new() {
            runtime.spawn(async move {
                while asked.again().await {
                    sender.send_modify(|times| *times += 1);
                }
            });
        }
    }
    Ok((runtime, Ends(receiver)))
}

impl Ends {
    /// Waits until the process was asked so often; for ever where nothing is heard.
    ///
    /// # Cancel safety
    ///
    /// What was heard is kept.
    pub(crate) async fn asked(&mut self, times: u32) {
        if self.0.wait_for(|heard| *heard >= times).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Ctrl-C, and what a supervisor sends to end a process.
#[cfg(unix)]
struct Asked {
    interrupts: tokio::signal::unix::Signal,
    terminations: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Asked {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let interrupts = signal(SignalKind::interrupt())?;
        Ok(Self { interrupts, terminations: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one; false when none will come.
    async fn again(&mut self) -> bool {
        tokio::select! {
            heard = self.interrupts.recv() => heard.is_some(),
            heard = self.terminations.recv() => heard.is_some(),
        }
    }
}

#[cfg(not(unix))]
struct Asked;

#[cfg(not(unix))]
impl Asked {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn again(&mut self) -> bool {
        tokio::signal::ctrl_c().await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_was_asked_before_anybody_waited_is_heard() {
        let (sender, receiver) = watch::channel(0);
        let mut ends = Ends(receiver);
        sender.send_modify(|times| *times += 1);
        ends.asked(1).await;
        let second = tokio::time::timeout(Duration::from_millis(20), ends.asked(2));
        assert!(second.await.is_err());
        sender.send_modify(|times| *times += 1);
        ends.asked(2).await;
        // Nobody listens any more: what was heard still holds, and nothing new is made up.
        drop(sender);
        ends.clone().asked(2).await;
        let third = tokio::time::timeout(Duration::from_millis(20), ends.asked(3));
        assert!(third.await.is_err());
    }
}
