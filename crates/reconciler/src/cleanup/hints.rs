//! The version hints of a dataset, written before versions go. Not here: who reads them.

use std::collections::BTreeSet;

use lancekeeper_model::{Branch, Version};
use lancekeeper_planner::cleanup::{DatasetPlan, chain_dir};

use crate::cleanup::dataset::DatasetInventory;
use crate::cleanup::report::CleanupError;

/// Lets the hints name the newest versions. From a hint that lags, Lance walks up until a
/// version is missing: over the gaps we are about to make it would take an old version for
/// HEAD, and a writer would commit below the newest one. A hint that is one behind a commit
/// made meanwhile does no harm, because there is no gap above HEAD.
pub(super) async fn hint_at_heads(
    dataset: &DatasetInventory,
    plan: &DatasetPlan,
) -> Result<(), CleanupError> {
    let main = Branch::main();
    let mut stays: BTreeSet<&Branch> = plan.kept.iter().map(|kept| &kept.branch).collect();
    stays.extend(plan.empties.map(|_| &main));
    let chains = dataset.facts.chains.iter().filter(|chain| stays.contains(&chain.branch));
    for chain in chains.filter(|chain| !chain.is_zombie) {
        let Some(head) = chain.versions.last() else { continue };
        let head =
            plan.empties.filter(|_| chain.branch.is_main()).map_or(head.version, Version::next);
        dataset.files.hint_at(&chain_dir(&chain.branch), head).await?;
    }
    Ok(())
}
