//! The versions of data files, where a caller cares for them. What follows from them says the plan.

use lance::Dataset;
use lancekeeper_model::TableFacts;
use lancekeeper_store::LanceFailure;

use crate::optimize::inventory::Wish;

/// Takes note of which fragments have data files of another version than was asked for, if one was.
///
/// # Errors
///
/// When a manifest names a version that is not known.
pub(super) fn compare(
    table: &Dataset,
    wish: &Wish,
    facts: &mut TableFacts,
) -> Result<(), LanceFailure> {
    let Some(wanted) = wish.layout.storage else { return Ok(()) };
    for fragment in table.fragments().iter() {
        for file in fragment.referenced_lance_files() {
            let version = file.file_version().map_err(|source| {
                let what =
                    format!("failed to tell the version of {} of {}", file.path, facts.table);
                LanceFailure::new(what, source)
            })?;
            if version.to_string() != wanted.as_str() {
                facts.of_other_versions.insert(fragment.id);
            }
        }
    }
    Ok(())
}
