//! How a keeper yields to writers that know nothing of it: for how long it waits for them, and which changes were
//! its own. Not here: what is looked at, and when (`optimize`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

/// Shared by all runs of a keeper.
#[derive(Debug, Clone, Default)]
pub(crate) struct Yielding {
    /// How long one that is ready to commit waits for a moment in which nobody writes; zero does not wait.
    pub(crate) patience: Duration,
    /// By the address of the root.
    ends: Arc<Mutex<BTreeMap<String, Ends>>>,
}

/// When writes to a root ended last.
#[derive(Debug, Clone, Copy)]
struct Ends {
    ours: DateTime<Utc>,
    others: Option<DateTime<Utc>>,
}

impl Yielding {
    pub(crate) fn of(patience: Duration) -> Self {
        Self { patience, ..Self::default() }
    }

    /// When somebody else last ended a write, where the newest end of all is known.
    pub(crate) fn others(
        &self,
        root: &str,
        newest: Option<DateTime<Utc>>,
    ) -> Option<DateTime<Utc>> {
        match self.ends().get(root) {
            Some(ends) if newest.is_some_and(|newest| newest <= ends.ours) => ends.others,
            _ => newest,
        }
    }

    /// Takes note that the newest end is one of ours, and when others had last ended before it.
    pub(crate) fn ended(&self, root: &str, ours: DateTime<Utc>, others: Option<DateTime<Utc>>) {
        self.ends().insert(root.to_owned(), Ends { ours, others });
    }

    fn ends(&self) -> MutexGuard<'_, BTreeMap<String, Ends>> {
        // Every change of it is whole: poison means nothing here.
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_end_is_nobody_elses() {
        let at = |seconds| DateTime::<Utc>::from_timestamp(seconds, 0);
        let (yielding, root) = (Yielding::default(), "/g");
        assert_eq!(yielding.others(root, at(5)), at(5));
        yielding.ended(root, at(7).unwrap(), at(5));
        assert_eq!(yielding.others(root, at(7)), at(5));
        assert_eq!(yielding.others(root, at(8)), at(8));
        assert_eq!(yielding.others("/h", at(7)), at(7));
        assert_eq!(yielding.others(root, None), None);
    }
}
