//! Giving a table row ids that stay when rows are moved: the one commit that only Lance can make, because nothing
//! else may turn that feature on. It is made under the same guard as every strict commit, so it becomes exactly
//! HEAD+1 or nothing; it carries no id of ours, and needs none, because it is whole or not there.
//!
//! Not here: for which tables that is asked (`planner::migrate::tables`). One whose configuration deletes old
//! versions after a commit must not be given to it: this commit is not told to leave that out.

use std::sync::Arc;

use futures::FutureExt;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance_table::io::commit::{CommitHandler, commit_handler_from_url};
use lancekeeper_model::TableRef;

use crate::failure::guarded;
use crate::strict::{CommitError, ExpectHead};
use crate::tables::version_of;

/// What errors call this step.
const STEP: &str = "stable-row-ids";

/// Gives every row an id that stays, on top of `head`, a handle that stands at the HEAD of main. Returns a handle at
/// the new version. Rows that were deleted keep their ids to themselves.
///
/// # Errors
///
/// [`CommitError::Conflict`] when anybody committed after `head`, [`CommitError::Failed`] when Lance refuses:
/// nothing is changed then. [`CommitError::Unknown`] when what became of it could not be learned.
///
/// # Cancel safety
///
/// Dropped, the commit has happened or not.
pub async fn give_stable_row_ids(head: &Dataset, table: &TableRef) -> Result<Dataset, CommitError> {
    let expected = version_of(head).next();
    let failed = |source| {
        let (table, step) = (table.clone(), STEP.to_owned());
        CommitError::Failed { table, step, expected, source }
    };
    let inner = commit_handler_from_url(head.uri(), &None).await.map_err(failed)?;
    let guard = Arc::new(ExpectHead::on(inner, expected));
    let opened = DatasetBuilder::from_uri(head.uri())
        .with_version(version_of(head).0)
        .with_session(head.session())
        .with_commit_handler(Arc::clone(&guard) as Arc<dyn CommitHandler>)
        .load();
    let mut guarded_head = guarded(head.uri(), opened.boxed()).await.map_err(failed)?;
    let migrated = guarded_head.migrate_to_stable_row_ids().await;
    let (table, step) = (table.clone(), STEP.to_owned());
    match migrated {
        Ok(()) => {}
        Err(source) if guard.has_refused() => {
            return Err(CommitError::Conflict { table, step, expected, source: Some(source) });
        }
        // Whether it was written, the table itself says.
        Err(source) => match head.checkout_version(expected.0).await {
            Ok(found) if found.manifest().uses_stable_row_ids() => {}
            Ok(_) => {
                return Err(CommitError::Conflict { table, step, expected, source: Some(source) });
            }
            Err(error) if crate::kind_of(&error) == lancekeeper_model::ErrorKind::NotFound => {
                return Err(CommitError::Failed { table, step, expected, source });
            }
            Err(_) => return Err(CommitError::Unknown { table, step, expected, source }),
        },
    }
    // Not by the handle that has the guard: whoever commits with it would be refused.
    head.checkout_version(expected.0).await.map_err(|source| CommitError::Unknown {
        table,
        step,
        expected,
        source,
    })
}
