//! A look at a root: which directories changed, and the facts of the tables that did. Reads only, and decides nothing.

mod changes;
mod located;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lancekeeper::Keeper;
use lancekeeper_model::{
    EffectivePolicy, ErrorKind, Policy, PolicyOption, PolicySource, SourcedPolicy, StatusOptions,
    TableKey, TableStatus, Version,
};
use lancekeeper_planner::schedule::{Planned, Shape, Work, optimize_options};
use lancekeeper_settings::PolicyFile;
use lancekeeper_store::files::Notices;
use lancekeeper_store::{Files, FilesError, Root, RootError};
use thiserror::Error;

use crate::policies::{POLICIES_DIRECTORY, Policies, PoliciesError};
use changes::{changes, follow, is_settled, newest, with_news};
pub(super) use located::Located;
use located::located;

/// Why a look found nothing.
#[derive(Debug, Error)]
pub(super) enum LookError {
    /// The root is not there any more.
    #[error("the root is gone")]
    Gone,
    /// The disk failed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Its tables cannot be listed.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Its policies cannot be read.
    #[error(transparent)]
    Policies(#[from] PoliciesError),
    /// The root cannot be read.
    #[error("{0}")]
    Status(String, ErrorKind),
}

impl LookError {
    /// What a caller can do about it.
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Gone => ErrorKind::NotFound,
            Self::Files(error) => error.kind(),
            Self::Root(error) => error.kind(),
            Self::Policies(error) => error.kind(),
            Self::Status(_, kind) => *kind,
        }
    }
}

/// What documents say of tables, and when their directory changed; `None` if that is to be read in any case.
pub(super) type Documents = (Arc<BTreeMap<TableKey, Policy>>, Option<DateTime<Utc>>);

/// What is known of a table from the look before.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// When its directory of versions changed last; `None` if its facts are to be read in any case.
    pub(super) changed: Option<DateTime<Utc>>,
    /// The newest version that its facts are of, and when the file of that was written; `None` where that is not
    /// looked at.
    newest: Option<(Version, DateTime<Utc>)>,
    /// The policy that asked for its facts. Another one may ask for others.
    policy: Option<EffectivePolicy>,
}

/// What to look at.
pub(super) struct Request {
    pub(super) keeper: Keeper,
    pub(super) root: Root,
    /// Who tells that directories changed, and the number of the root there.
    pub(super) notices: Option<(Arc<Notices>, usize)>,
    pub(super) file: Arc<PolicyFile>,
    /// Whether rules that lie beside the data may delete versions.
    pub(super) confirm: bool,
    /// What documents said, and when their directory changed.
    pub(super) documents: Documents,
    /// Documents are read whatever the directory says.
    pub(super) reload: bool,
    /// Where tables lie; of a graph, which there are.
    pub(super) members: Located,
    /// Tables that were looked at.
    pub(super) known: BTreeMap<TableKey, Known>,
    /// Tables to look at that no policy names.
    pub(super) asked: BTreeSet<TableKey>,
}

/// What was found.
pub(super) struct Looked {
    pub(super) documents: Documents,
    pub(super) members: Located,
    pub(super) warnings: Vec<String>,
    /// The tables that are watched.
    pub(super) tables: BTreeMap<TableKey, Seen>,
}

/// What was found of a table.
pub(super) struct Seen {
    pub(super) policy: EffectivePolicy,
    pub(super) known: Known,
    /// Its facts, if it changed; or why they cannot be read.
    pub(super) fresh: Option<Result<Shape, String>>,
}

/// Why a table is not cleaned up.
const NOT_CONFIRMED: &str = "the rules of retention lie beside the data, so they delete nothing unless the watcher is \
                             started with --confirm or they stand in the file that --policy names";

/// Whether these rules may delete versions. A document lies beside the data, and whoever may write data may write it:
/// that alone must not make anybody delete more. Whoever starts the watcher says so, or has written the rules down
/// himself.
fn may_delete(said: &SourcedPolicy, confirm: bool) -> bool {
    let rules = [PolicyOption::RetainDays, PolicyOption::KeepVersions];
    let is_file = |option| matches!(said.source(option), PolicySource::File { .. });
    confirm || rules.into_iter().all(is_file)
}

/// Looks at a root.
///
/// # Errors
///
/// When it cannot be looked at as a whole.
pub(super) async fn look(mut request: Request) -> Result<Looked, LookError> {
    let files = request.root.files();
    let Some(changed) = files.changed("").await? else { return Err(LookError::Gone) };
    let mut warnings = Vec::new();
    let documents = documents(&request, &files, &mut warnings).await?;
    let members = located(&request, &files, changed).await?;
    let is_news = !Arc::ptr_eq(&documents.0, &request.documents.0);
    let mut wanted = BTreeMap::new();
    for table in members.tables.keys() {
        let said = request.file.of_table(table.as_str(), documents.0.get(table));
        let mut policy = EffectivePolicy::of(said.policy());
        if policy.retention.is_some() && !may_delete(&said, request.confirm) {
            policy.retention = None;
            if is_news {
                warnings.push(format!("{table}: {NOT_CONFIRMED}"));
            }
        }
        policy.auto_compact |= request.asked.contains(table);
        if policy.auto_compact || policy.retention.is_some() {
            wanted.insert(table.clone(), policy);
        }
    }
    // What another policy did not ask for is asked now, whether or not the table changed.
    request.known.retain(|table, known| known.policy.as_ref() == wanted.get(table));
    // Before anything is asked, so that nothing is missed between the two.
    follow(&request, &files, &members.tables, &wanted).await;
    let changed_at = changes(&request, &files, &members.tables, &wanted).await?;
    let stale: BTreeSet<&TableKey> = changed_at
        .iter()
        .filter(|(table, now)| {
            let before = request.known.get(*table).and_then(|known| known.changed);
            before.is_none() || before != **now || request.asked.contains(*table)
        })
        .map(|(table, _)| table)
        .collect();
    let stale = with_news(&request, &files, &members.tables, stale).await;
    let mut shapes = facts(&request, &wanted, &stale).await?;
    let now = Utc::now();
    let mut tables = BTreeMap::new();
    for (table, policy) in wanted {
        let fresh = shapes.remove(&table);
        let newest = match &fresh {
            Some(Ok(shape)) => {
                newest(&request, &files, members.tables.get(&table), shape.version).await
            }
            Some(Err(_)) => None,
            None => request.known.get(&table).and_then(|known| known.newest),
        };
        let changed = changed_at.get(&table).copied().flatten();
        // What changed just now is looked at again: it may change once more within the same step of the disk's clock.
        let changed = changed.filter(|at| is_settled(*at, now));
        let known = Known { changed, newest, policy: Some(policy.clone()) };
        tables.insert(table, Seen { policy, known, fresh });
    }
    Ok(Looked { documents, members, warnings, tables })
}

async fn documents(
    request: &Request,
    files: &Files,
    warnings: &mut Vec<String>,
) -> Result<Documents, LookError> {
    let changed = files.changed(POLICIES_DIRECTORY).await?;
    if changed.is_none() {
        return Ok((Arc::default(), None));
    }
    if changed == request.documents.1 && !request.reload {
        return Ok(request.documents.clone());
    }
    let list = Policies::of(files).list().await?;
    warnings.extend(list.warnings);
    let changed = changed.filter(|at| is_settled(*at, Utc::now()));
    Ok((Arc::new(list.policies), changed))
}

/// The facts of these tables, those with the same options in one status.
async fn facts(
    request: &Request,
    wanted: &BTreeMap<TableKey, EffectivePolicy>,
    stale: &BTreeSet<&TableKey>,
) -> Result<BTreeMap<TableKey, Result<Shape, String>>, LookError> {
    let mut groups: Vec<(StatusOptions, EffectivePolicy)> = Vec::new();
    for table in stale {
        let Some(policy) = wanted.get(*table) else { continue };
        let alike = |other: &EffectivePolicy| {
            (other.small_bytes, other.target_bytes, other.deletion_share)
                == (policy.small_bytes, policy.target_bytes, policy.deletion_share)
                && other.retention.is_some() == policy.retention.is_some()
        };
        let group = match groups.iter_mut().find(|(_, other)| alike(other)) {
            Some((group, _)) => group,
            None => {
                groups.push((options_of(policy, table), policy.clone()));
                continue;
            }
        };
        group.tables.push(table.as_str().to_owned());
    }
    let mut shapes = BTreeMap::new();
    for (options, _) in groups {
        for row in rows(request, options).await? {
            shapes.insert(row.table_key.clone(), shape_of(&row));
        }
    }
    Ok(shapes)
}

fn options_of(policy: &EffectivePolicy, table: &TableKey) -> StatusOptions {
    StatusOptions {
        tables: vec![table.as_str().to_owned()],
        small_bytes: Some(policy.small_bytes),
        quick: true,
        // How many versions there are says whether to clean up, and nothing else.
        brief: policy.retention.is_none(),
        optimize: optimize_options(policy, table, Work::Compact),
        ..StatusOptions::default()
    }
}

async fn rows(request: &Request, options: StatusOptions) -> Result<Vec<TableStatus>, LookError> {
    let report = request.keeper.status_of([&request.root.given], options).await;
    let mut rows = Vec::new();
    for root in report.roots {
        if let Some(error) = root.error {
            let kind = root.error_kind.unwrap_or(ErrorKind::Internal);
            return Err(LookError::Status(error, kind));
        }
        rows.extend(root.body.tables);
    }
    Ok(rows)
}

fn shape_of(row: &TableStatus) -> Result<Shape, String> {
    if let Some(error) = &row.error {
        return Err(error.clone());
    }
    let planned = row.planned;
    Ok(Shape {
        version: row.version,
        rows: row.rows,
        bytes: row.bytes,
        fragments: row.fragments,
        small: row.small_fragments,
        small_bytes: row.small_bytes,
        deleted_share: row.deleted_share,
        unindexed_rows: row.unindexed_rows,
        versions: row.versions,
        depth: row.depth_at_most,
        planned: Some(Planned {
            fragments: planned.fragments_removed,
            leaves: planned.fragments_added,
            bytes: planned.bytes,
        }),
    })
}

/// How long until the next look, after so long without a change.
pub(super) fn next_look(quiet: Duration, interval: Duration) -> Duration {
    /// Beside a writer: what it does is seen before a person would notice.
    const BUSY: Duration = Duration::from_millis(50);
    /// For so long after a change somebody is at work.
    const BUSY_FOR: Duration = Duration::from_secs(10);
    /// A root at rest is looked at this much less often.
    const LESS_MOST: u32 = 5;
    if quiet < BUSY_FOR {
        return BUSY.min(interval);
    }
    let minutes = u32::try_from(quiet.as_secs() / 60).unwrap_or(u32::MAX);
    interval * minutes.clamp(1, LESS_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_beside_the_data_delete_nothing_until_somebody_else_says_so() {
        let rules = Policy { retain_days: Some(1), keep_versions: Some(1), ..Policy::default() };
        let line = PolicySource::File { path: "p.toml".to_owned(), line: 1 };
        let document = SourcedPolicy::of(rules.clone(), &PolicySource::Table);
        assert!(!may_delete(&document, false) && may_delete(&document, true));
        let file = SourcedPolicy::of(rules.clone(), &line);
        assert!(may_delete(&file, false));
        // A document that loosens one rule of the file is no longer what its owner wrote.
        let loosened = Policy { keep_versions: None, ..rules };
        let mixed = SourcedPolicy::of(loosened, &PolicySource::Table).over(&file);
        assert!(!may_delete(&mixed, false));
    }

    #[test]
    fn looks_are_close_together_beside_a_writer_and_far_apart_at_rest() {
        let interval = Duration::from_secs(1);
        let after = |seconds| next_look(Duration::from_secs(seconds), interval);
        assert!(after(0) < Duration::from_millis(100) && after(9) < Duration::from_millis(100));
        assert_eq!((after(10), after(120), after(1 << 40)), (interval, interval * 2, interval * 5));
    }
}
