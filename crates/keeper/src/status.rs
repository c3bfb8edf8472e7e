//! `status`: what a root looks like, and what `optimize` would do. Writes nothing, needs no
//! lock, refuses nothing it can read.

mod inventory;
mod report;
mod room;

use chrono::Utc;
use lancekeeper_model::{OptimizeOptions, RootStatus, StatusOptions};

use crate::optimize::Wish;
use crate::root::{look, look_ahead, read_root};
use crate::run::Context;

/// Looks at one root.
pub(crate) async fn root_status(
    context: &Context,
    uri: &str,
    options: &StatusOptions,
) -> RootStatus {
    let wish = match Wish::from_options(&OptimizeOptions::default()) {
        Ok(wish) => wish,
        Err(error) => return report::failure(uri, None, error.kind(), &error, None),
    };
    let root = match look(uri).await {
        Ok(root) => root,
        Err(error) => return report::failure(uri, None, error.kind(), &error, error.hint()),
    };
    let kind = root.kind;
    let read = match read_root(root, &context.tables).await {
        Ok(read) => read,
        Err(error) => return report::failure(uri, Some(kind), error.kind(), &error, error.hint()),
    };
    let mut status = report::root(uri, &read);
    // What would stop a run that writes is worth knowing before it is tried.
    let way = look_ahead(&read, "optimize", &[], Utc::now()).await;
    status.obstacles = way.obstacles.iter().map(report::obstacle).collect();
    match inventory::tables(&read, &wish, options).await {
        Ok(tables) => status.tables = tables,
        Err(error) => return report::failure(uri, Some(kind), error.kind(), &error, None),
    }
    if let Some(graph) = &read.graph {
        inventory::internal(&graph.graph, &mut status).await;
    }
    match room::reclaimable(context, &read, Utc::now()).await {
        Ok(room) => status.reclaimable = Some(room),
        Err(why) => status.reclaimable_error = Some(why),
    }
    status
}
