//! Finds out which indexes cannot be opened, before their table is worked on. Lance would not
//! say: it skips the merge of such an index, and a rewrite ends what the index covers.

use lance::Dataset;
use lance::index::DatasetIndexExt;
use lance_table::format::IndexMetadata;
use lancekeeper_model::{CarryOver, IndexFacts};
use lancekeeper_planner::index::IndexPlan;
use lancekeeper_rewrite::index::{cannot_be_opened, too_few_vectors};

/// Opens the indexes that a plan works on or counts on to follow a Rewrite, and notes which of
/// them cannot be opened. Returns whether there are any. Reads their metadata; writes nothing.
pub(crate) async fn probe(table: &Dataset, indexes: &mut [IndexFacts], plan: &IndexPlan) -> bool {
    // What cannot be listed fails where it is needed.
    let Ok(segments) = table.load_indices().await else { return false };
    let mut found = false;
    for index in indexes.iter_mut().filter(|index| index.unusable.is_none()) {
        let is_worked_on =
            plan.before.iter().chain(&plan.after).any(|work| work.name == index.name);
        // Row ids stay: such an index follows a Rewrite unopened.
        if index.carry_over == CarryOver::ByRowIds && !is_worked_on {
            continue;
        }
        let own: Vec<&IndexMetadata> =
            segments.iter().filter(|segment| segment.name == index.name).collect();
        if is_worked_on && let Some(reason) = too_few_vectors(table, &index.column, &own).await {
            index.unusable = Some(reason);
            found = true;
            continue;
        }
        if let Some(reason) = cannot_be_opened(table, &index.column, &own).await {
            index.unusable = Some(reason);
            if index.carry_over != CarryOver::ByRowIds {
                index.carry_over = CarryOver::Not;
            }
            found = true;
        }
    }
    found
}
