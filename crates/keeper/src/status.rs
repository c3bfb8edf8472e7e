//! `status`: what a root looks like, and what `optimize` would do. Writes nothing, needs no
//! lock, refuses nothing it can read.

mod depth;
mod inventory;
mod picture;
mod report;
mod room;

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{RootStatus, StatusOptions};

use crate::optimize::Wish;
use crate::root::{
    OpenRootError, Purpose, Tolerance, at_work, beside, look, look_ahead, read_root,
};
use crate::run::Context;
use crate::run::ended::{Ended, ended};

/// Looks at one root. Never fails: the report says what went wrong.
pub(crate) fn root_status<'a>(
    context: &'a Context,
    uri: String,
    options: &'a StatusOptions,
) -> BoxFuture<'a, RootStatus> {
    async move {
        let mut status = RootStatus::of(&uri);
        let outcome = look_at_root(context, &uri, options, &mut status).await;
        ended(status, outcome)
    }
    .boxed()
}

async fn look_at_root(
    context: &Context,
    uri: &str,
    options: &StatusOptions,
    status: &mut RootStatus,
) -> Result<(), Ended> {
    let now = context.now();
    let wish = Wish::from_options(&options.optimize, now)?;
    let root = look(uri).await?;
    status.kind = Some(root.kind);
    let read = read_root(root, &context.tables).await?;
    // What would stop a run that writes is worth knowing before it is tried.
    let tolerates = Tolerance::REWRITES;
    let purpose = Purpose { verb: "optimize", selected: &[], tolerates };
    let mut way = look_ahead(&read, purpose, now).await;
    way.obstacles.extend(at_work(&read.root).await);
    let unread = std::mem::take(&mut way.unread).into_iter();
    way.obstacles
        .extend(unread.map(|(branch, why)| OpenRootError::BranchUnreadable { branch, why }));
    if let Some(graph) = &read.graph {
        match beside(graph).await {
            Ok(found) => way.obstacles.extend(found),
            Err(error) => {
                status.warnings.push(format!("what crashes left cannot be told: {error}"));
            }
        }
    }
    report::describe(status, &read, &way);
    status.tables = inventory::tables(context, &read, &wish, options).await?;
    if let Some(graph) = &read.graph {
        inventory::internal(&graph.graph, status).await;
    }
    if options.quick {
        return Ok(());
    }
    match room::reclaimable(context, &read, now).await {
        Ok(room) => status.reclaimable = Some(room),
        Err(why) => status.reclaimable_error = Some(why),
    }
    Ok(())
}
