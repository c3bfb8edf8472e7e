//! The past of a table as commits of its writers, read from its versions: what each added and deleted, and when.
//!
//! What rewrites did is left out: a version that takes fragments away is taken for one, and what it adds is not counted. So
//! is what an update adds that leaves some fragment without a row.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lance::Dataset;
use lancekeeper_model::{Branch, TableKey, Version};
use lancekeeper_planner::schedule::Arrival;
use lancekeeper_store::members::members;
use lancekeeper_store::root::recognise;
use lancekeeper_store::sizes::table_sizes;
use lancekeeper_store::{Root, Tables};

/// Versions that are read, the newest of them: each is a manifest.
const VERSIONS_MOST: usize = 500;

/// The commits of a table's writers, from the oldest version that is read, with the time of that.
///
/// # Errors
///
/// Why they cannot be read, in words.
pub(crate) async fn arrivals(
    tables: &Tables,
    uri: &str,
    table: &str,
) -> Result<(DateTime<Utc>, Vec<Arrival>), String> {
    let given = uri.to_owned();
    let root = tokio::task::spawn_blocking(move || recognise(&given)).await;
    let root = root.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let place = place_of(&root, table).await?;
    let main = Branch::main();
    let head = tables.open(&place, &main).await.map_err(|error| error.to_string())?;
    let mut versions = head.versions().await.map_err(|error| error.to_string())?;
    versions.sort_by_key(|version| version.version);
    let first = versions.len().saturating_sub(VERSIONS_MOST);
    let versions = &versions[first..];
    let start = versions.first().map_or_else(Utc::now, |version| version.timestamp);
    let mut before: BTreeMap<u64, Fragment> = BTreeMap::new();
    let mut arrivals = Vec::new();
    for version in versions {
        let opened = tables.open_at(&place, &main, Version(version.version)).await;
        // It may have been cleaned up meanwhile.
        let Ok(opened) = opened else { continue };
        let now = fragments(&opened).await?;
        let at = (version.timestamp - start).to_std().unwrap_or(Duration::ZERO);
        arrivals.extend(arrival(&before, &now, at));
        before = now;
    }
    Ok((start, arrivals))
}

/// Where a table lies. Those of a graph are not found by their names.
async fn place_of(root: &Root, table: &str) -> Result<String, String> {
    let members = members(root).await.map_err(|error| error.to_string())?;
    let key = TableKey::new(table);
    let found = members.tables().find(|(known, _)| **known == key);
    match found {
        Some((_, location)) => Ok(root.address_of(location)),
        None => Err("its history is not replayed: only databases and tables are".to_owned()),
    }
}

/// What is known of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fragment {
    rows: u64,
    deleted: u64,
    bytes: u64,
}

async fn fragments(table: &Dataset) -> Result<BTreeMap<u64, Fragment>, String> {
    let sizes = table_sizes(table, &[]).await.map_err(|error| error.to_string())?;
    let mut found = BTreeMap::new();
    for (fragment, size) in table.get_fragments().into_iter().zip(&sizes.fragments) {
        let rows = fragment.physical_rows().await.map_err(|error| error.to_string())? as u64;
        let deleted = fragment.count_deletions().await.map_err(|error| error.to_string())? as u64;
        let bytes = size.to_read();
        found.insert(fragment.metadata().id, Fragment { rows, deleted, bytes });
    }
    Ok(found)
}

/// What a writer did between two versions; `None` if nothing, or if it was a rewrite.
fn arrival(
    before: &BTreeMap<u64, Fragment>,
    now: &BTreeMap<u64, Fragment>,
    at: Duration,
) -> Option<Arrival> {
    let is_rewrite = before.keys().any(|id| !now.contains_key(id));
    let added = now.iter().filter(|(id, _)| !before.contains_key(id));
    let mut arrival = Arrival { at, ..Arrival::default() };
    if !is_rewrite {
        for (_, fragment) in added {
            arrival.rows += fragment.rows;
            arrival.bytes += fragment.bytes;
        }
    }
    for (id, fragment) in before {
        let deleted = now.get(id).map_or(0, |now| now.deleted.saturating_sub(fragment.deleted));
        arrival.deleted_rows += deleted;
    }
    (arrival.rows > 0 || arrival.deleted_rows > 0).then_some(arrival)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(fragments: &[(u64, u64)]) -> BTreeMap<u64, Fragment> {
        let fragment = |(id, deleted): &(u64, u64)| {
            (*id, Fragment { rows: 10, deleted: *deleted, bytes: 100 })
        };
        fragments.iter().map(fragment).collect()
    }

    #[test]
    fn appends_and_deletions_are_told_from_rewrites() {
        let at = Duration::from_secs(3);
        let between = |before: &[(u64, u64)], now: &[(u64, u64)]| {
            arrival(&table(before), &table(now), at).map(|a| (a.rows, a.bytes, a.deleted_rows))
        };
        assert_eq!(between(&[], &[(0, 0)]), Some((10, 100, 0)));
        assert_eq!(between(&[(0, 0)], &[(0, 0), (1, 0)]), Some((10, 100, 0)));
        assert_eq!(between(&[(0, 1)], &[(0, 4)]), Some((0, 0, 3)));
        assert_eq!(between(&[(0, 0), (1, 0)], &[(2, 0)]), None);
        assert_eq!(between(&[(0, 0)], &[(0, 0)]), None);
    }
}
