//! Which files blob descriptors name. Writes nothing.
//!
//! In a table that has opted into managed blobs, a blob's file is named by the descriptor in its
//! row, and by nothing else: a rewrite copies descriptors and leaves the files where they are. So
//! manifests do not tell which of them a version reads, and neither does a file's name. Tables
//! without managed blobs are not looked at: there a blob lies beside the data file of its row.
//!
//! Only the columns that hold descriptors are read, fragment by fragment, and what the same
//! fragment of several versions says is read once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt};
use lance::Dataset;
use lance::datatypes::Field;
use lance_table::format::Fragment;
use lancekeeper_model::Branch;
use lancekeeper_planner::cleanup::chain_dir;
use lancekeeper_store::failure::{full_text, guarded};

use crate::cleanup::descriptors::{NotUnderstood, Owned, collect, holds_blobs};
use crate::cleanup::names::Names;
use crate::cleanup::references::{Fragments, Reference, VersionRead};

/// Fragments whose descriptors are read at the same time.
const FRAGMENTS_AT_ONCE: usize = 4;
/// Rows per batch: descriptors are small, what else lies in the same column may not be.
const BATCH_ROWS: usize = 1024;
/// Bytes read ahead per fragment at most.
const READ_AHEAD_BYTES: u64 = 32 << 20;

/// What the descriptors of versions name.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Per version, as they were given: its sets.
    pub(super) of_versions: Vec<Vec<u32>>,
    /// What the descriptors of one fragment name.
    pub(super) sets: Vec<Vec<Reference>>,
    /// Why it is not known of all versions.
    pub(super) unread: Option<String>,
}

impl Named {
    /// Of one version whose descriptors nobody can read; it may have none that name files.
    pub(super) fn unknown(names_files: bool) -> Self {
        let unread = names_files.then(|| "nobody can read its descriptors".to_owned());
        Self { of_versions: vec![Vec::new()], sets: Vec::new(), unread }
    }
}

/// Reads the descriptors of versions, each with its branch. `names` are the files that were
/// listed: of a fragment whose data file is gone nobody can read a blob.
///
/// Never fails: what could not be read is said in [`Named::unread`], and any blob may be named.
pub(super) async fn read(
    table: &Dataset,
    versions: &[(&Branch, &VersionRead)],
    fragments: &Fragments,
    names: &Names,
) -> Named {
    let mut named = Named::default();
    let mut known = HashMap::new();
    for (branch, version) in versions {
        let Some(schema) = version.schema else {
            named.of_versions.push(Vec::new());
            continue;
        };
        let unknown: Vec<u32> = version
            .fragments
            .iter()
            .copied()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter(|fragment| !known.contains_key(&(*fragment, schema)))
            .collect();
        if named.unread.is_none() && !unknown.is_empty() {
            match read_fragments(table, branch, version, &unknown, fragments, names).await {
                Ok(found) => {
                    for (fragment, references) in unknown.iter().zip(found) {
                        let set = u32::try_from(named.sets.len()).unwrap_or(u32::MAX);
                        named.sets.push(references);
                        known.insert((*fragment, schema), set);
                    }
                }
                Err(why) => {
                    named.unread = Some(format!(
                        "no file of blobs is deleted, because descriptors of version {} of branch {branch} cannot be read and may name any: {why}",
                        version.version
                    ));
                }
            }
        }
        let sets = version.fragments.iter().filter_map(|fragment| known.get(&(*fragment, schema)));
        named.of_versions.push(sets.copied().collect());
    }
    named
}

/// What the descriptors of some fragments of a version name, in their order.
async fn read_fragments(
    table: &Dataset,
    branch: &Branch,
    version: &VersionRead,
    wanted: &[u32],
    fragments: &Fragments,
    names: &Names,
) -> Result<Vec<Vec<Reference>>, String> {
    let own = chain_dir(branch);
    let mut to_read = Vec::with_capacity(wanted.len());
    for fragment in wanted {
        let fragment = fragments.decoded(*fragment).map_err(|error| full_text(&error))?;
        to_read.push(Some(fragment).filter(|fragment| is_there(fragment, &own, names)));
    }
    if to_read.iter().all(Option::is_none) {
        return Ok(vec![Vec::new(); wanted.len()]);
    }
    let uri = table.uri();
    let at = table.checkout_version((branch.name(), Some(version.version)));
    let snapshot = guarded(uri, at.boxed()).await.map_err(|error| full_text(&error))?;
    let snapshot = Arc::new(snapshot);
    if !snapshot.schema().fields.iter().any(holds_blobs) {
        return Ok(vec![Vec::new(); wanted.len()]);
    }
    let reads = to_read.into_iter().map(|fragment| {
        let snapshot = Arc::clone(&snapshot);
        async move {
            match fragment {
                Some(fragment) => read_fragment(snapshot, fragment).await,
                None => Ok(Vec::new()),
            }
        }
    });
    futures::stream::iter(reads).buffered(FRAGMENTS_AT_ONCE).try_collect().await
}

/// Whether the data files of a fragment that lie in its own branch were listed.
fn is_there(fragment: &Fragment, own: &str, names: &Names) -> bool {
    let prefix = if own.is_empty() { String::new() } else { format!("{own}/") };
    let mut own = fragment.files.iter().filter(|file| file.base_id.is_none());
    own.all(|file| names.is_there(&format!("{prefix}data/{}", file.path)))
}

async fn read_fragment(
    snapshot: Arc<Dataset>,
    fragment: Fragment,
) -> Result<Vec<Reference>, String> {
    // A branch of the same name may have been made anew, and its version read for this one.
    let is_same = snapshot.fragments().contains(&fragment);
    if !is_same {
        return Err("the version is another one than was listed".to_owned());
    }
    if !fragment.overlays.is_empty() {
        return Err("values lie over those of its data files".to_owned());
    }
    let uri = snapshot.uri().to_owned();
    let read = scan(Arc::clone(&snapshot), fragment.clone());
    let owned = guarded(&uri, read.boxed()).await.map_err(|error| full_text(&error))?;
    let references: Result<Vec<Reference>, NotUnderstood> =
        owned?.into_iter().map(|owned| reference(owned, &fragment)).collect();
    references.map_err(|error| error.to_string())
}

/// What a descriptor names, seen from the version: one that gives no base means that of the data
/// file it lies in.
fn reference(owned: Owned, fragment: &Fragment) -> Result<Reference, NotUnderstood> {
    let Owned { field, base, path } = owned;
    let base = match base {
        Some(base) => Some(base),
        None => {
            let mut files = fragment.files.iter();
            files.find(|file| file.fields.contains(&field)).ok_or(NotUnderstood::File)?.base_id
        }
    };
    // Below the base itself, whatever else lies there.
    Ok(Reference { base, directory: "", name: path, is_vital: true })
}

/// What the rows of a fragment name that are not deleted.
async fn scan(
    snapshot: Arc<Dataset>,
    fragment: Fragment,
) -> lance::Result<Result<BTreeSet<Owned>, String>> {
    let fields: Vec<Field> =
        snapshot.schema().fields.iter().filter(|field| holds_blobs(field)).cloned().collect();
    let columns: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    let mut scanner = snapshot.scan();
    scanner.with_fragments(vec![fragment]);
    scanner.project(&columns)?;
    scanner.batch_size(BATCH_ROWS).io_buffer_size(READ_AHEAD_BYTES);
    let mut batches = scanner.try_into_stream().await?;
    let mut found = BTreeSet::new();
    while let Some(batch) = batches.try_next().await? {
        for field in &fields {
            let collected = match batch.column_by_name(&field.name) {
                Some(column) => collect(field, column.as_ref(), &mut found),
                None => Err(NotUnderstood::Column(field.name.clone())),
            };
            if let Err(error) = collected {
                return Ok(Err(error.to_string()));
            }
        }
    }
    Ok(Ok(found))
}
