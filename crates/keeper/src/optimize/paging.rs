//! The sizes of pages, where a caller cares for them. How far off they may be says the plan.

use lance::Dataset;
use lancekeeper_model::TableFacts;
use lancekeeper_rewrite::pages;
use lancekeeper_store::LanceFailure;

use crate::optimize::inventory::Wish;

/// Takes note of how large the pages of the fragments are, if that was asked for.
///
/// # Errors
///
/// When the footer of a data file cannot be read.
pub(super) async fn measure(
    table: &Dataset,
    wish: &Wish,
    facts: &mut TableFacts,
) -> Result<(), LanceFailure> {
    if wish.layout.pages.is_none() {
        return Ok(());
    }
    let ids: Vec<u64> = facts.fragments.iter().map(|fragment| fragment.id).collect();
    facts.pages = Box::pin(pages(table, &ids)).await.map_err(|source| {
        LanceFailure::new(format!("failed to measure the pages of {}", facts.table), source)
    })?;
    Ok(())
}
