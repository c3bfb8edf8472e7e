//! Which tables a root has, and where they lie: listed anew when something tells that there may be others. Not here:
//! which of them are watched (`look`).

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use lancekeeper_model::{RootKind, StatusOptions, TableKey};
use lancekeeper_store::Files;
use lancekeeper_store::members::members;
use lancekeeper_store::root::MANIFEST_DIR;

use super::changes::{ASKED_AT_ONCE, is_settled, versions_of};
use super::{LookError, Request, rows};

/// The tables of a graph are listed this often at most: each listing opens all of them.
const LISTED_EVERY: TimeDelta = TimeDelta::seconds(10);

/// Where tables lie, and what would tell that there are others.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Located {
    /// By name.
    pub(in super::super) tables: Arc<BTreeMap<TableKey, String>>,
    /// When the root changed, or of a graph when its tables were listed; `None` if that is to be looked at in any case.
    seen: Option<DateTime<Utc>>,
    /// When the list changed by which a database names its tables.
    listed: Option<DateTime<Utc>>,
    /// Directories that are no tables yet. The first commit of one changes nothing in the root's own directory.
    unborn: Arc<Vec<String>>,
}

/// Where the tables of a root lie. Of a graph, which there are: listed again after its `__manifest` changed, and not
/// more often than [`LISTED_EVERY`].
pub(super) async fn located(
    request: &Request,
    files: &Files,
    changed: DateTime<Utc>,
) -> Result<Located, LookError> {
    let before = &request.members;
    let list = match request.root.kind {
        RootKind::Graph => true,
        _ => request.root.has_namespaces,
    };
    let listed = if list { files.changed(&versions_of(MANIFEST_DIR)).await? } else { None };
    if request.root.kind == RootKind::Graph {
        return of_graph(request, listed).await;
    }
    let is_same = before.seen == Some(changed) && before.listed == listed && !request.reload;
    if is_same && !any_born(files, &before.unborn).await {
        return Ok(before.clone());
    }
    let found = members(&request.root).await?;
    let tables = found.tables().map(|(key, location)| (key.clone(), location.to_owned()));
    let unborn = found.all.iter().filter(|member| !member.state.has_versions());
    let now = Utc::now();
    let is_settled = is_settled(changed, now) && listed.is_none_or(|at| is_settled(at, now));
    Ok(Located {
        tables: Arc::new(tables.collect()),
        seen: is_settled.then_some(changed),
        listed,
        unborn: Arc::new(unborn.map(|member| member.location.clone()).collect()),
    })
}

async fn of_graph(
    request: &Request,
    manifest: Option<DateTime<Utc>>,
) -> Result<Located, LookError> {
    let now = Utc::now();
    let is_listed = request.members.seen.is_some_and(|listed| {
        (now - listed).abs() < LISTED_EVERY || manifest.is_some_and(|changed| changed < listed)
    });
    if is_listed && !request.reload {
        return Ok(request.members.clone());
    }
    let options = StatusOptions { quick: true, ..StatusOptions::default() };
    let rows = rows(request, options).await?;
    let tables = rows.into_iter().map(|row| (row.table_key, MANIFEST_DIR.to_owned()));
    Ok(Located { tables: Arc::new(tables.collect()), seen: Some(now), ..Located::default() })
}

/// Whether one of them has a directory of versions now. One that cannot be asked is looked at.
async fn any_born(files: &Files, unborn: &[String]) -> bool {
    let asked: Vec<String> = unborn.iter().map(|location| versions_of(location)).collect();
    let asked = asked.into_iter().map(|at| async move { files.changed(&at).await });
    let answers: Vec<_> = futures::stream::iter(asked).buffered(ASKED_AT_ONCE).collect().await;
    answers.into_iter().any(|answer| !matches!(answer, Ok(None)))
}
