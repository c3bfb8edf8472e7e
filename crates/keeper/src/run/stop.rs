//! Asking a run to stop: it finishes the step that others could see half of, gives up what is
//! only staged, and reports.

use std::sync::Arc;

use lancekeeper_model::ErrorKind;
use thiserror::Error;
use tokio::sync::watch;

use super::ended::EndsRoot;

/// A request to stop, shared by all runs of a keeper. Once made it stands.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    sender: Arc<watch::Sender<bool>>,
}

/// A run was asked to stop before it was done.
#[derive(Debug, Error)]
#[error("interrupted: what is published stays, the rest is as it was")]
pub(crate) struct Interrupted;

impl EndsRoot for Interrupted {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Interrupted
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self { sender: Arc::new(watch::Sender::new(false)) }
    }
}

impl Stop {
    pub(crate) fn request(&self) {
        self.sender.send_replace(true);
    }

    pub(crate) fn is_requested(&self) -> bool {
        *self.sender.borrow()
    }

    /// For whoever looks by itself.
    pub(crate) fn receiver(&self) -> watch::Receiver<bool> {
        self.sender.subscribe()
    }

    /// Runs work that may be abandoned at any point; `None` when it was.
    ///
    /// # Cancel safety
    ///
    /// That of the work.
    pub(crate) async fn unless_requested<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut receiver = self.sender.subscribe();
        tokio::select! {
            biased;
            // The sender lives in `self`, so waiting cannot fail.
            _ = receiver.wait_for(|requested| *requested) => None,
            done = work => Some(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_abandoned_once_a_stop_is_requested() {
        let stop = Stop::default();
        assert_eq!(stop.unless_requested(async { 1 }).await, Some(1));
        stop.clone().request();
        assert!(stop.is_requested());
        assert_eq!(stop.unless_requested(async { 1 }).await, None);
    }
}
