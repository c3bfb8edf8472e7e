//! All queues of a process: one per root, found by the root's identity.
//!
//! Not here: how an identity is found out. Resolving a path needs I/O and is done by `store`. What is
//! known of each root is in `registry`.

use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::registry::{Registry, RootIdentity};
use crate::root_queue::RootQueue;

#[cfg(test)]
mod tests;

/// The queues of one process, by root. A handle: clones share.
#[derive(Clone, Default)]
pub struct Queues {
    registry: Arc<Registry>,
}

impl Queues {
    /// A registry of its own, for a test or a simulated process. Everything else uses
    /// [`process`](Self::process): two registries do not see each other.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The registry of this process.
    #[must_use]
    pub fn process() -> Self {
        static PROCESS: LazyLock<Queues> = LazyLock::new(Queues::new);
        PROCESS.clone()
    }

    /// The queue of a root: the one that exists as long as anybody has a handle on it, holds
    /// a guard of it or waits in it.
    #[must_use]
    pub fn root(&self, identity: &RootIdentity) -> RootQueue {
        RootQueue::from_state(self.registry.state(identity))
    }

    /// How many roots have a queue.
    #[must_use]
    pub fn len(&self) -> usize {
        self.registry.len()
    }

    /// Whether no root has a queue.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").field("len", &self.len()).finish()
    }
}
