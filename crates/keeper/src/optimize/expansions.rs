//! What following edges touches before and after a run that has laid them out: for the report, once everything is
//! published. The root's lock is given back meanwhile. Writes nothing.

use lancekeeper_queue::Stage;
use lancekeeper_store::failure::text_with_hint;
use lancekeeper_store::tables::version_of;

use crate::layouts::expansions;
use crate::optimize::Run;
use crate::optimize::table::TableRun;
use crate::root::OpenRootError;

/// Measures the edge tables that were laid out. One that cannot be read has no figures: what was done is done.
///
/// # Errors
///
/// When the root's lock cannot be had again, or when the run is asked to stop.
///
/// # Cancel safety
///
/// Nothing is written.
pub(super) async fn measure(run: &Run<'_>, tables: &mut [TableRun]) -> Result<(), OpenRootError> {
    let is_relaid = |table: &&mut TableRun| table.relaid.is_some() && table.stats.layout.is_some();
    for table in tables.iter_mut().filter(is_relaid) {
        let Some(relaid) = table.relaid.take() else { continue };
        let (before, after) = &*relaid;
        // The versions after it stay, too.
        let stage = Stage {
            location: table.target.location.clone(),
            branch: table.target.table.branch.clone(),
            version: version_of(before),
        };
        run.write.hold.give_back(&[stage])?;
        let stop = &run.context.stop;
        let measured = stop.unless_requested(Box::pin(expansions(before, after))).await;
        run.write.hold.retake(stop).await?;
        match measured.ok_or(OpenRootError::Interrupted)? {
            Ok(found) => {
                if let Some(layout) = &mut table.stats.layout {
                    layout.expansions = found;
                }
            }
            Err(error) => {
                let (table, error) = (&table.target.table, text_with_hint(&error));
                tracing::warn!(target: "lancekeeper::optimize", %table, error,
                    "what following its edges touches was not measured");
            }
        }
    }
    Ok(())
}
