//! The plans of a cleanup from what was gathered, and which tables it is asked for.

use lancekeeper_model::{Branch, TableKey};
use lancekeeper_planner::branch::{DeletePlan, plan_delete};
use lancekeeper_planner::cleanup::{CleanupInventory, CleanupPlan, plan_cleanup};

use super::{Cleaning, CleanupRootError, Gathered};
use crate::root::ReadRoot;

/// The datasets asked for, by their place in what was gathered.
pub(super) fn wanted(
    gathered: &Gathered,
    tables: &[String],
    read: &ReadRoot,
) -> Result<Vec<usize>, CleanupRootError> {
    let named =
        |table: &TableKey| tables.is_empty() || tables.iter().any(|name| name == table.as_str());
    let known: Vec<&TableKey> = gathered
        .datasets
        .iter()
        .map(|dataset| &dataset.facts.table)
        .chain(gathered.failed.iter().map(|(place, _)| &place.table))
        .chain(read.members.all.iter().map(|member| &member.key))
        .collect();
    if let Some(name) =
        tables.iter().find(|name| !known.iter().any(|table| table.as_str() == name.as_str()))
    {
        let (uri, table) = (read.root.given.clone(), name.clone());
        return Err(CleanupRootError::UnknownTable { uri, table });
    }
    Ok((0..gathered.datasets.len())
        .filter(|at| named(&gathered.datasets[*at].facts.table))
        .collect())
}

/// Plans from what was gathered.
impl Gathered {
    pub(crate) fn plan(&self, cleaning: &Cleaning<'_>) -> CleanupPlan {
        plan_cleanup(&self.inventory(), &cleaning.own, &cleaning.policy, cleaning.now)
    }

    /// The deletion of a branch, by a policy that keeps everything else.
    pub(crate) fn plan_delete(&self, cleaning: &Cleaning<'_>, branch: &Branch) -> DeletePlan {
        plan_delete(&self.inventory(), branch, &cleaning.policy, cleaning.now)
    }

    pub(super) fn inventory(&self) -> CleanupInventory<'_> {
        CleanupInventory {
            authority: &self.read.authority,
            running: &self.running,
            datasets: self.datasets.iter().map(|dataset| &dataset.facts).collect(),
        }
    }
}
