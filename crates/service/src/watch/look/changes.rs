//! What tells that tables changed: the times of directories and files, and the notices of the kernel. No store is called for
//! it. Not here: what is done about a change (`look`).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use lancekeeper_model::{EffectivePolicy, RootKind, TableKey, Version};
use lancekeeper_store::Files;
use lancekeeper_store::root::MANIFEST_DIR;

use super::{LookError, Request};
use crate::policies::POLICIES_DIRECTORY;

/// Directories that are asked at the same time: each takes a thread for a few microseconds.
pub(super) const ASKED_AT_ONCE: usize = 32;
/// A directory that changed within this time may change again without looking different: times of files come in steps.
const STEP: TimeDelta = TimeDelta::milliseconds(50);

/// Whether what changed then would look different if it changed now. A disk whose clock is ahead is believed.
pub(super) fn is_settled(changed: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - changed).abs() > STEP
}

/// When the directory of versions changed that tells of each table: of a graph that of `__manifest`, for all of them.
/// `None` for a table that cannot be asked: it is read anew, which says why, and stops no other.
pub(super) async fn changes(
    request: &Request,
    files: &Files,
    members: &BTreeMap<TableKey, String>,
    wanted: &BTreeMap<TableKey, EffectivePolicy>,
) -> Result<BTreeMap<TableKey, Option<DateTime<Utc>>>, LookError> {
    if request.root.kind == RootKind::Graph {
        let changed = files.changed(&versions_of(MANIFEST_DIR)).await?;
        return Ok(wanted.keys().map(|table| (table.clone(), changed)).collect());
    }
    let asked: Vec<_> =
        wanted
            .keys()
            .filter_map(|table| Some((table.clone(), members.get(table)?.clone())))
            .map(|(table, location)| async move {
                (table, files.changed(&versions_of(&location)).await)
            })
            .collect();
    let answers: Vec<_> = futures::stream::iter(asked).buffered(ASKED_AT_ONCE).collect().await;
    Ok(answers.into_iter().map(|(table, changed)| (table, changed.ok().flatten())).collect())
}

/// Those of the tables that have another newest version than their facts are of. A directory of versions changes more
/// often than once a commit, and with files that are none.
pub(super) async fn with_news<'t>(
    request: &Request,
    files: &Files,
    members: &BTreeMap<TableKey, String>,
    stale: BTreeSet<&'t TableKey>,
) -> BTreeSet<&'t TableKey> {
    let mut news = BTreeSet::new();
    for table in stale {
        let known = request.known.get(table).and_then(|known| known.newest);
        let is_known = match (known, members.get(table)) {
            (Some(known), Some(location)) if !request.asked.contains(table) => {
                is_still_newest(files, location, known).await
            }
            _ => false,
        };
        if !is_known {
            news.insert(table);
        }
    }
    news
}

/// Whether a version is still the newest one of the same table: its file is the one that was seen, and there is none of
/// the version after it. What cannot be asked is read anew.
async fn is_still_newest(
    files: &Files,
    location: &str,
    (version, written): (Version, DateTime<Utc>),
) -> bool {
    let at = |version: Version| manifest_of(location, version);
    let (this, next) =
        (files.changed(&at(version)).await, files.changed(&at(version.next())).await);
    matches!((this, next), (Ok(Some(changed)), Ok(None)) if changed == written)
}

/// The version and when its file was written, of a table that is no graph's.
pub(super) async fn newest(
    request: &Request,
    files: &Files,
    location: Option<&String>,
    version: Version,
) -> Option<(Version, DateTime<Utc>)> {
    let location = location.filter(|_| request.root.kind != RootKind::Graph)?;
    // Tables of another way of naming have none: they are read whenever their directory changes.
    let written = files.changed(&manifest_of(location, version)).await.ok()??;
    Some((version, written))
}

/// The file of a version, as Lance has named them since long.
fn manifest_of(location: &str, version: Version) -> String {
    format!("{}/{:020}.manifest", versions_of(location), u64::MAX - version.0)
}

/// Has changes told of the root, of the documents of policies, and of what tells of each table.
pub(super) async fn follow(
    request: &Request,
    files: &Files,
    members: &BTreeMap<TableKey, String>,
    wanted: &BTreeMap<TableKey, EffectivePolicy>,
) {
    let Some((notices, number)) = &request.notices else { return };
    let locations = wanted.keys().filter_map(|table| members.get(table));
    let mut names: BTreeSet<String> = locations.map(|location| versions_of(location)).collect();
    names.extend([String::new(), POLICIES_DIRECTORY.to_owned()]);
    if request.root.kind == RootKind::Graph {
        names.insert(versions_of(MANIFEST_DIR));
    }
    notices.follow(*number, files, &names).await;
}

pub(super) fn versions_of(location: &str) -> String {
    if location.is_empty() { "_versions".to_owned() } else { format!("{location}/_versions") }
}
