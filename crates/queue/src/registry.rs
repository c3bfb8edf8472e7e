//! The roots that have a queue in this process: what each is known by, what its handles share, and the
//! map of them all.
//!
//! One file, because state and map know each other: the map finds the state of a root, and the state
//! leaves the map with its last handle. Not here: the handles themselves (`queues`, `root_queue`).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::lane::Lanes;

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

/// What all handles on one root share. Leaves the registry when the last one goes; guards and
/// waiters hold a handle.
pub(crate) struct RootState {
    pub(crate) identity: RootIdentity,
    pub(crate) lanes: Arc<Lanes>,
    registry: Weak<Registry>,
}

impl Drop for RootState {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.upgrade() {
            registry.forget(&self.identity, self);
        }
    }
}

/// The roots that somebody has a handle on.
#[derive(Default)]
pub(crate) struct Registry {
    roots: Mutex<HashMap<RootIdentity, Weak<RootState>>>,
}

impl Registry {
    /// What is shared about a root: what there is, or from now on.
    pub(crate) fn state(self: &Arc<Self>, identity: &RootIdentity) -> Arc<RootState> {
        let mut roots = self.roots();
        if let Some(state) = roots.get(identity).and_then(Weak::upgrade) {
            return state;
        }
        let state = Arc::new(RootState {
            identity: identity.clone(),
            lanes: Arc::default(),
            registry: Arc::downgrade(self),
        });
        roots.insert(identity.clone(), Arc::downgrade(&state));
        state
    }

    /// How many roots there are.
    pub(crate) fn len(&self) -> usize {
        self.roots().len()
    }

    /// Removes the entry of a queue that is being dropped, and only that one: between its last
    /// handle and this call another thread may have made a new queue under the same identity.
    fn forget(&self, identity: &RootIdentity, dropped: &RootState) {
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
