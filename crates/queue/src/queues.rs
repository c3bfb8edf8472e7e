//! All queues of a process: one per root, found by the root's identity.
//!
//! Not here: how an identity is found out. Resolving a path needs I/O and is done by `store`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use crate::root_queue::{RootQueue, RootState};

#[cfg(test)]
mod tests;

/// What makes two handles handles on the same root: its resolved path, not the spelling
/// somebody opened it by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootIdentity(String);

impl RootIdentity {
    /// Wraps a resolved path.
    pub fn new(resolved: impl Into<String>) -> Self {
        Self(resolved.into())
    }

    /// The resolved path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RootIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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
        let mut roots = self.registry.roots();
        if let Some(state) = roots.get(identity).and_then(Weak::upgrade) {
            return RootQueue::from_state(state);
        }
        let state = Arc::new(RootState::new(identity.clone(), Arc::downgrade(&self.registry)));
        roots.insert(identity.clone(), Arc::downgrade(&state));
        RootQueue::from_state(state)
    }

    /// How many roots have a queue.
    #[must_use]
    pub fn len(&self) -> usize {
        self.registry.roots().len()
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

/// The map behind [`Queues`].
#[derive(Default)]
pub(crate) struct Registry {
    roots: Mutex<HashMap<RootIdentity, Weak<RootState>>>,
}

impl Registry {
    /// Removes the entry of a queue that is being dropped, and only that one: between its last
    /// handle and this call another thread may have made a new queue under the same identity.
    pub(crate) fn forget(&self, identity: &RootIdentity, dropped: &RootState) {
        let mut roots = self.roots();
        if roots.get(identity).is_some_and(|state| std::ptr::eq(state.as_ptr(), dropped)) {
            roots.remove(identity);
        }
    }

    /// One insert or one remove at a time: poison means nothing here.
    fn roots(&self) -> MutexGuard<'_, HashMap<RootIdentity, Weak<RootState>>> {
        self.roots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
